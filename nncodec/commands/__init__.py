"""The commands of the command line: click is imported here only.

May import everything else.
"""
