"""The classic codecs beside nncodec, each at its strongest setting, and the orders they try.

Unlike nncodec, they depend on the order of the bits. `byte_orders` gives the sensible ones for
codecs of bytes, `bilevel_images` for those of black and white pictures; a peer's size is that of
its best order, chosen anew for every file and number of layers.
"""

import bz2
import importlib
import importlib.util
import lzma
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Codec = Callable[[bytes], bytes]
Codes = npt.NDArray[np.uint8]


def byte_orders(codes: Codes) -> dict[str, bytes]:
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


def bilevel_images(codes: Codes) -> dict[str, bytes]:
    """Tiles the channel planes of every layer and image into one black and white picture.

    Args:
        codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth].

    Returns:
        PBM files by how many planes stand side by side.
    """
    layers, batch, height, width, channels = codes.shape
    pictures = {}
    for across in range(1, channels + 1):
        if channels % across:
            continue
        planes = codes.reshape(layers * batch, height, width, channels // across, across)
        picture = planes.transpose(0, 3, 1, 4, 2).reshape(-1, across * width)
        size = f"P4\n{picture.shape[1]:10}\n{picture.shape[0]:10}\n".encode()
        pictures[f"{across} channels side by side"] = size + np.packbits(picture, axis=1).tobytes()
    return pictures


@dataclass(frozen=True)
class Peer:
    """A codec of bytes.

    Attributes:
        name: of its Python module or program.
        setting: what it is set to, for people.
        compress, decompress: on whole files.
        arrange: gives the files to try for a code tensor, by the name of their order.
    """

    name: str
    setting: str
    compress: Codec
    decompress: Codec
    arrange: Callable[[Codes], dict[str, bytes]] = byte_orders

    @property
    def available(self) -> bool:
        return bool(shutil.which(self.name) or importlib.util.find_spec(self.name))


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


def _filter(*command: str) -> Codec:
    """A program that reads standard input and writes standard output."""
    return lambda data: subprocess.run(command, input=data, capture_output=True, check=True).stdout


def _zpaq(data: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "data").write_bytes(data)
        command = ("zpaq", "add", "packed.zpaq", "data", "-method", "5", "-noattributes")
        subprocess.run((*command, "-threads", "1"), cwd=folder, capture_output=True, check=True)
        return Path(folder, "packed.zpaq").read_bytes()


def _unzpaq(data: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "packed.zpaq").write_bytes(data)
        command = ("zpaq", "extract", "packed.zpaq", "-threads", "1")
        subprocess.run(command, cwd=folder, capture_output=True, check=True)
        return Path(folder, "data").read_bytes()


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
    Peer("zpaq", "method 5", _zpaq, _unzpaq),
    Peer("pbmtojbg", "-q", _filter("pbmtojbg", "-q"), _filter("jbgtopbm"), bilevel_images),
)


def available_peers() -> list[Peer]:
    """The peers whose modules or programs are installed."""
    return [peer for peer in PEERS if peer.available]


def settings() -> dict[str, str]:
    """What the available peers are set to, by name."""
    return {peer.name: peer.setting for peer in available_peers()}


def smallest(peer: Peer, codes: Codes) -> tuple[int, str]:
    """The bytes that a peer needs for a code tensor in its best order, and that order's name."""
    return min((len(peer.compress(data)), name) for name, data in peer.arrange(codes).items())
