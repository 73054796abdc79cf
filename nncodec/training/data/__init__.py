"""The codes of a training: code files, TFRecord data sets and synthetic ones, and their batches.

May import what `nncodec.training` may.
"""
