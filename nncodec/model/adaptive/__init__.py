"""The adaptive stage: learners and mixers, which learn from the bits that are coded.

May import `network` and what that may import.
"""
