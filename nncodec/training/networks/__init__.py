"""Float networks in PyTorch, as they are trained; `registry` names them.

What codes bits is their integer form, `nncodec.model.network`, which needs no PyTorch.

May import what `nncodec.training` may.
"""
