"""Containers of every published version, decoded for ever.

v1/CASE/ holds `codes.npy`, the code tensor in canonical order, with 2 in place of bits that are not
there, or `codes.npz`, several of them;
`bitstream.bin`, their container; `header.json`, what the container says of itself; and
`model.safetensors` where it has a model.
`python -m tests.golden.generate` alone writes them.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).parent / "v1"


def arrays_of(case: str) -> list[npt.NDArray[np.uint8]]:
    """The code tensors of a golden container."""
    folder = ROOT / case
    if not (folder / "codes.npz").exists():
        return [np.load(folder / "codes.npy")]
    with np.load(folder / "codes.npz") as arrays:
        return [arrays[f"arr_{number}"] for number in range(len(arrays))]
