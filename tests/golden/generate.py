"""Writes the golden files that are missing: python -m tests.golden.generate

Files that exist stay as they are: a version that was published never changes. To make a case anew
before its version is published, delete its folder first.
"""

import json
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import numpy.typing as npt

from nncodec.codec import encode_source
from nncodec.container import Header
from nncodec.source import Source
from tests.golden import ROOT

Codes = npt.NDArray[np.uint8]


def smooth(*shape: int) -> Codes:
    """Codes whose neighbours agree, from integers alone, so that every machine makes the same."""
    *_, height, width, depth = shape
    layer, image, row, column, channel = np.indices(shape)
    wave = (channel * 7 + layer * 5 + image * 3 + 11) * (row + 2) // 3 + column * (channel + 3)
    grain = (row * 31 + column * 17 + channel * 13 + layer * 7 + image * 5) * 2654435761 % 997
    period = 2 * (height + width + depth)
    return np.asarray((wave % period < period // 2) ^ (grain < 60), dtype=np.uint8)


def noise(*shape: int) -> Codes:
    """Incompressible codes, by a linear congruence."""
    state, bits = 12345, []
    for _ in range(int(np.prod(shape))):
        state = (state * 1103515245 + 12345) % (1 << 31)
        bits.append(state >> 30)
    return np.array(bits, dtype=np.uint8).reshape(shape)


def partly_noise() -> Codes:
    return np.concatenate([smooth(1, 1, 16, 16, 16), noise(1, 1, 16, 16, 16)])


CASES: dict[str, tuple[Callable[[], Codes], Source]] = {
    "tensor": (lambda: smooth(3, 1, 12, 10, 8), Source()),
    "packed-nhwc": (lambda: smooth(4, 1, 9, 14, 32), Source("packed", dtype="<i8")),
    "packed-nchw": (lambda: smooth(4, 1, 9, 14, 32), Source("packed", "nchw", dtype="<i8")),
    "npy-float-signed": (
        lambda: smooth(2, 1, 7, 9, 6),
        Source("npy", "nchw", 3, ">f4", signed=True),
    ),
    "npz-named": (lambda: smooth(1, 3, 7, 9, 6), Source("npz", "nhwc", 4, "|b1", name="bits")),
    "batch": (lambda: smooth(2, 5, 20, 16, 8), Source()),
    "one-segment": (lambda: smooth(8, 1, 6, 7, 2), Source()),
    "stored": (lambda: noise(1, 1, 8, 8, 8), Source()),
    "partly-stored": (partly_noise, Source()),
    "constant": (lambda: np.ones((2, 1, 16, 16, 8), dtype=np.uint8), Source()),
    "deep": (lambda: smooth(2, 1, 5, 6, 100), Source()),
    "one-column": (lambda: smooth(2, 1, 40, 1, 4), Source()),
    "one-bit": (lambda: smooth(1, 1, 1, 1, 1), Source()),
}


def header_facts(header: Header) -> dict[str, object]:
    """What header.json holds."""
    facts = asdict(header)
    facts["model_id"] = header.model_id.hex()
    return json.loads(json.dumps(facts))  # type: ignore[no-any-return]


def main() -> None:
    """Writes every case that has no folder yet."""
    for name, (codes, source) in CASES.items():
        folder = ROOT / name
        if folder.exists():
            continue
        folder.mkdir(parents=True)
        encoded = encode_source(codes(), source)
        np.save(folder / "codes.npy", codes())
        (folder / "bitstream.bin").write_bytes(encoded.data)
        facts = json.dumps(header_facts(encoded.header), indent=1)
        (folder / "header.json").write_text(facts + "\n")


if __name__ == "__main__":
    main()
