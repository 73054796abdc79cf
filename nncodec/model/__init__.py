"""What predicts a bit: integers alone, the same on every machine.

May import `errors` and `format`, and opens no file. Within it, kernels < schedule, fixed_point <
contexts < network < adaptive < model < packing.
"""
