"""The adaptive stage: a learner and a mixer, which learn from the bits that are coded.

May import `network` and what that may import.
"""
