"""Damage of every kind, and what must hold of it.

`targets` says what must hold of any bytes, `mutations` makes bytes from good files. The tests try
some of them; `python -m tests.fuzz.run` as many as there is time for.
"""

from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
"""A folder for every target, of small files that between them reach what can be reached."""
