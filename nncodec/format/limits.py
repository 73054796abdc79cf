"""The limits of the format, and the memory and threads that coding within them takes.

FORMAT.md lists the limits in section 13; readers refuse what exceeds one of them.
"""

import math
from collections.abc import Sequence

from nncodec.errors import CodesError

MAX_BITS = 1 << 28
"""Limit of the code bits of a file, and with it of the memory that a small file can ask for. A
caller who reads files of strangers can set a lower limit, `max_bits`, but no higher one."""

MAX_UNITS = 1 << 14
"""Limit of layers x layer_depth. Each unit takes memory of its own (`memory_bound`)."""

MAX_POSITIONS = 1 << 22
"""Limit of batch x height x width: a position of few bits takes more than its bits."""

MAX_BODY_BYTES = 1 << 20
"""Limit of the body of a container's header."""

MAX_MODEL_BYTES = 1 << 28
"""Limit of a model file, and of what an embedded model takes, packed or unpacked."""

MAX_HEADER_BYTES = 1 << 20
"""Limit of the header of a model file: parsed JSON takes tens of times as much memory."""

MAX_OPERATIONS = 64
"""Limit of a network's operations."""
MAX_TAPS = 256
"""Limit of what one operation sees."""
MAX_WIDTH = 1024
"""Limit of the numbers of a plane at a position, and of a head's units for each channel."""
MAX_PLANES = 1 << 12
"""Limit of the numbers of all planes of a network at a position."""
MAX_PLANE_BYTES = 1 << 30
"""Limit of the memory that a network's planes take; more is refused, whatever the tensor."""
PLANE_PADDING = 30
"""The most numbers that the planes of an operation are padded by: two, to vectors of 16."""
RING_ROWS = 8
"""The most rows of a picture for which a layer keeps its planes."""

MAX_NAME_BYTES = 255
"""Limit of an array's name, in UTF-8."""

THREAD_BITS = 1 << 16
"""The least code bits for which another thread is worth starting."""

_PROGRAM_BYTES = 384 << 20
MAX_DEFLATE_RATIO = 1032
"""Most bytes that a byte of a zlib stream can unpack to."""


def check_limits(shape: Sequence[int]) -> None:
    """Refuses code tensors above a limit.

    Args:
        shape: layers, batch, height, width, layer_depth.

    Raises:
        CodesError: more than MAX_BITS, MAX_UNITS or MAX_POSITIONS.
    """
    for size, limit, what in (
        (math.prod(shape), MAX_BITS, "code bits"),
        (shape[0] * shape[4], MAX_UNITS, "bits at a position"),
        (math.prod(shape[1:4]), MAX_POSITIONS, "positions"),
    ):
        if size > limit:
            raise CodesError(f"shape {tuple(shape)} is above the limit of {limit} {what}")


def check_bits(bits: int, what: str, max_bits: int) -> None:
    """Refuses more code bits than the caller allows.

    Raises:
        CodesError: more than `max_bits`.
    """
    if bits > max_bits:
        remedy = limit_remedy(max_bits)
        raise CodesError(f"{what} is above the limit of {max_bits} code bits; {remedy}")


def limit_remedy(max_bits: int) -> str:
    """Says what to do about a file of more than `max_bits` code bits."""
    return "split the batch" if max_bits >= MAX_BITS else "raise --max-bits if you trust it"


def most_threads(shape: Sequence[int]) -> int:
    """Counts the threads that can work at the same time and are worth starting.

    A layer keeps at most one thread busy, and follows the layer before it at a distance of a row.

    Args:
        shape: layers, batch, height, width, layer_depth.
    """
    layers, batch, height, width, _ = shape
    rows = batch * height if height > 1 else batch * width
    return max(1, min(layers, rows, math.prod(shape) // THREAD_BITS))


def memory_bound(shape: Sequence[int]) -> int:
    """Bounds the bytes of memory that encoding or decoding a code tensor takes.

    Measured over all kinds of shapes, and rounded up. The terms are, in order: code bits with their
    payload; the known bits of the tensor with their margins; the weights of every unit; and the
    program itself with its compiler.

    Args:
        shape: layers, batch, height, width, layer_depth.
    """
    layers, batch, height, width, channels = shape
    known = (layers + 1) * batch * (height + 3) * (width + 3) * (2 * channels + 8)
    return 40 * math.prod(shape) + known + 24_000 * layers * channels + _PROGRAM_BYTES


def memory_bound_of_model(shape: Sequence[int], embedded_bytes: int) -> int:
    """Bounds the bytes of memory that decoding with a model takes beyond `memory_bound`.

    A network keeps planes of some rows of every layer, and numbers of every position that go from a
    layer to the next; a model keeps for every layer how its rates fall. An embedded model is
    unpacked, and kept in eight copies: its arrays, and what proves that their sums are exact.

    Args:
        shape: layers, batch, height, width, layer_depth.
        embedded_bytes: of the embedded model, or 0.
    """
    unpacked = min(MAX_DEFLATE_RATIO * embedded_bytes, MAX_MODEL_BYTES)
    layers, batch, height, width, _ = shape
    kept = layers * (min(height, RING_ROWS) + 2) * (width + 3) + batch * height * width
    numbers = MAX_PLANES + PLANE_PADDING * MAX_OPERATIONS
    planes = min(2 * numbers * kept, MAX_PLANE_BYTES)
    return embedded_bytes + 8 * unpacked + planes + 24_000 * layers
