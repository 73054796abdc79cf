"""Code files, model files, and outputs that are written whole or not at all.

May import `errors`, `format`, `model` and `coding`.
"""
