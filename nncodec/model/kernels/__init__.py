"""How functions are compiled, and the few loops that most of the time goes into.

May import nothing else of the model.
"""
