"""Containers of every published version, decoded for ever.

v1/CASE/ holds `codes.npy`, the code tensor in canonical order, `bitstream.bin`, its container,
`header.json`, what the container says of itself, and `model.safetensors` where it has a model.
`python -m tests.golden.generate` alone writes them.
"""

from pathlib import Path

ROOT = Path(__file__).parent / "v1"
