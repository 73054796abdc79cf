"""Bytes <-> fields: FORMAT.md, and what reads and writes what it specifies.

May import `errors`. Only `code_tensor` knows numpy: a container is read without it.
"""
