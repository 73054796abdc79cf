"""The classic codecs beside nncodec, each at its strongest setting, and the byte orders they try.

Unlike nncodec, they depend on the order of the packed bits. `byte_orders` gives the sensible ones;
a peer's size is that of its best order, chosen anew for every file and number of layers.
"""

import bz2
import importlib
import importlib.util
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Codec = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Peer:
    """A codec of bytes.

    Attributes:
        name: of its Python module too.
        setting: what it is set to, for people.
        compress, decompress: on whole files.
    """

    name: str
    setting: str
    compress: Codec
    decompress: Codec

    @property
    def available(self) -> bool:
        return importlib.util.find_spec(self.name) is not None


def _optional(name: str) -> Any:
    return importlib.import_module(name)


def _compress_lzma(data: bytes) -> bytes:
    """As a .lzma, some 50 bytes below an .xz; a dictionary no larger than the data saves time."""
    settings = {
        "id": lzma.FILTER_LZMA1,
        "preset": 9 | lzma.PRESET_EXTREME,
        "dict_size": max(len(data), 4096),
    }
    return lzma.compress(data, lzma.FORMAT_ALONE, filters=[settings])


PEERS = (
    Peer("zlib", "level 9", lambda data: zlib.compress(data, 9), zlib.decompress),
    Peer("bz2", "level 9", lambda data: bz2.compress(data, 9), bz2.decompress),
    Peer("lzma", "preset 9e, as .lzma", _compress_lzma, lzma.decompress),
    Peer(
        "zstandard",
        "--ultra -22",
        lambda data: bytes(_optional("zstandard").ZstdCompressor(level=22).compress(data)),
        lambda data: bytes(_optional("zstandard").ZstdDecompressor().decompress(data)),
    ),
    Peer(
        "brotli",
        "quality 11",
        lambda data: bytes(_optional("brotli").compress(data, quality=11)),
        lambda data: bytes(_optional("brotli").decompress(data)),
    ),
)


def available_peers() -> list[Peer]:
    """The peers whose modules are installed."""
    return [peer for peer in PEERS if peer.available]


def byte_orders(codes: npt.NDArray[np.uint8]) -> dict[str, bytes]:
    """Packs the bits of a code tensor in every order worth trying.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].

    Returns:
        The packed bits by the name of their order. Names list the axes from the outermost to the
        innermost; orders that cut an axis are missing where its size does not allow it.
    """
    layers, batch, height, width, channels = codes.shape
    orders = {
        "layer, row, column, channel (nhwc)": codes,
        "layer, column, row, channel": codes.transpose(0, 1, 3, 2, 4),
        "layer, channel, row, column (nchw)": codes.transpose(0, 1, 4, 2, 3),
        "layer, channel, column, row": codes.transpose(0, 1, 4, 3, 2),
        "channel, row, column, layer": codes.transpose(1, 4, 2, 3, 0),
    }
    if channels % 8 == 0:
        octets = codes.reshape(layers, batch, height, width, channels // 8, 8)
        orders["layer, 8 channels, row, column"] = octets.transpose(0, 1, 4, 2, 3, 5)
        orders["layer, 8 channels, column, row"] = octets.transpose(0, 1, 4, 3, 2, 5)
    for rows, columns in ((2, 4), (4, 2)):
        if height % rows == 0 and width % columns == 0:
            tiles = codes.reshape(
                layers, batch, height // rows, rows, width // columns, columns, channels
            )
            name = f"layer, channel, tile of {rows} rows x {columns} columns"
            orders[name] = tiles.transpose(0, 1, 6, 2, 4, 3, 5)
    return {name: np.packbits(bits).tobytes() for name, bits in orders.items()}


def smallest(peer: Peer, orders: dict[str, bytes]) -> tuple[int, str]:
    """The bytes that a peer needs in its best order, and that order's name."""
    return min((len(peer.compress(data)), name) for name, data in orders.items())
