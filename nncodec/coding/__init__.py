"""Bits <-> payloads: one traversal of a code tensor, for encoding and decoding alike.

May import `errors`, `format` and `model`, and opens no file.
"""
