"""The integer form of networks, and what runs it while coding.

May import `kernels`, `schedule`, `fixed_point` and `contexts` of the model.
"""
