"""What general compressors make of the bits of each layer, for a plot to compare with.

`benchmarks/` compares more of them, in more orders of the bits.
"""

import importlib
import importlib.util
import lzma
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nncodec.commands.reports import rate_of
from nncodec.format.code_tensor import Codes

MOST_BITS = 1 << 25
"""Of more code bits, which would take them minutes, nothing is measured."""


def peer_rates(codes: Codes, bits: Sequence[int]) -> dict[str, list[float]]:
    """Measures xz, and zstd and brotli where they are installed, at their strongest settings.

    Each has every layer alone, its bits packed position by position or channel by channel,
    whichever it makes smaller.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].
        bits: how many code bits each layer has: fewer than that, where positions end early.

    Returns:
        The bits out for each code bit of every layer, by the compressor's name.
    """
    if codes.size > MOST_BITS:
        return {}
    rates: dict[str, list[float]] = {name: [] for name, _ in _peers()}
    for layer, count in zip(codes, bits, strict=True):
        orders = [np.packbits(one).tobytes() for one in (layer, np.moveaxis(layer, -1, 0))]
        for name, compress in _peers():
            size = min(len(compress(data)) for data in orders)
            rates[name].append(rate_of(size * 8, count))
    return rates


def _peers() -> list[tuple[str, Callable[[bytes], bytes]]]:
    found: list[tuple[str, Callable[[bytes], bytes]]] = [("xz -9e", _compress_xz)]
    if importlib.util.find_spec("zstandard"):
        zstandard: Any = importlib.import_module("zstandard")
        found.append(("zstd -22", zstandard.ZstdCompressor(level=22).compress))
    if importlib.util.find_spec("brotli"):
        brotli: Any = importlib.import_module("brotli")
        found.append(("brotli -11", brotli.compress))
    return found


def _compress_xz(data: bytes) -> bytes:
    """Compresses to the .lzma form, whose frame is some 50 bytes smaller than that of an .xz."""
    return lzma.compress(data, lzma.FORMAT_ALONE, preset=9 | lzma.PRESET_EXTREME)
