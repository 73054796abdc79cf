"""The learned progressive models, as they are trained: float networks in PyTorch.

`registry` names them. What codes bits is their integer form, which needs no PyTorch.
"""
