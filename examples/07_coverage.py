"""Spend bits where they count: code positions that end early.

    python examples/07_coverage.py covered.npz

The codes of a picture are cut by how much its positions differ from their neighbours: where they
hardly do, two layers are enough. The file is written with the array `coverage` beside the codes, as
`nncodec compress` takes it.
"""

import sys
from pathlib import Path

import numpy as np

import nncodec

codes = nncodec.read_code_file(Path(__file__).parent / "codes.npz").codes
layers, batch, height, width, layer_depth = codes.shape

# How many bits of the first two layers change to the right and downwards, over a neighbourhood.
changes = np.zeros((batch, height, width))
changes[:, :, 1:] += (codes[:2, :, :, 1:] != codes[:2, :, :, :-1]).mean(axis=(0, 4))
changes[:, 1:] += (codes[:2, :, 1:] != codes[:2, :, :-1]).mean(axis=(0, 4))
for axis in (1, 2):
    changes = np.mean([np.roll(changes, shift, axis) for shift in (-2, -1, 0, 1, 2)], axis=0)
rank = changes.ravel().argsort().argsort().reshape(changes.shape)
coverage = 2 + rank * (layers - 1) // (2 * rank.size)

there = np.arange(layers)[:, None, None, None] < coverage
covered = codes * there[..., None]
data = nncodec.encode(covered, coverage=coverage)
decoded = nncodec.decode_covered(data)
assert (decoded.codes == covered).all()
assert (decoded.coverage == coverage).all()

bits = int(coverage.sum()) * layer_depth
print(f"{bits} of {codes.size} bits: {len(data)} bytes, rate {len(data) * 8 / bits:.3f}")
print(f"all bits: {len(nncodec.encode(codes))} bytes")
np.savez(sys.argv[1], codes=covered, coverage=coverage)
