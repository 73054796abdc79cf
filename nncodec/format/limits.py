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
"""Limit of batch x height x width. All of these positions can belong to one step."""

MAX_BODY_BYTES = 1 << 20
"""Limit of the body of a container's header."""

MAX_MODEL_BYTES = 1 << 28
"""Limit of a model file, and of what an embedded model takes, packed or unpacked."""

MAX_HEADER_BYTES = 1 << 20
"""Limit of the header of a model file: parsed JSON takes tens of times as much memory."""

MAX_HIDDEN = 64
"""Limit of a network's hidden units for each channel. Every position keeps a byte for each."""

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

    A layer keeps at most one thread busy. It follows the layer before it at a distance of about two
    rows. The memory that each thread takes for itself stays small beside the tensor's.

    Args:
        shape: layers, batch, height, width, layer_depth.
    """
    (layers, _, height, width, _), bits = shape, math.prod(shape)
    workspaces = 1 + 16 * bits // _step_bytes(shape)
    return max(1, min(layers, (2 * height + width) // 3, bits // THREAD_BITS, workspaces))


def memory_bound(shape: Sequence[int]) -> int:
    """Bounds the bytes of memory that encoding or decoding a code tensor takes.

    Measured over all kinds of shapes, and rounded up. The terms are, in order: code bits with their
    payload, and positions; the known bits of the tensor with their margins; steps, of which
    pictures of one long row or column have most; for every thread, the bits that a layer has at a
    step, which are no more than three in a row or column of a picture; the weights of every unit;
    and the program itself with its compiler.

    Args:
        shape: layers, batch, height, width, layer_depth.
    """
    layers, batch, height, width, channels = shape
    bits = 40 * math.prod(shape) + 96 * batch * height * width
    known = (layers + 1) * batch * (height + 3) * (width + 3) * (2 * channels + 8)
    steps = 160 * layers * (channels + 1) * (height + width)
    steps += most_threads(shape) * _step_bytes(shape)
    return bits + known + steps + 24_000 * layers * channels + _PROGRAM_BYTES


def memory_bound_of_model(shape: Sequence[int], embedded_bytes: int) -> int:
    """Bounds the bytes of memory that decoding with a model takes beyond `memory_bound`.

    Any model keeps a byte for every hidden unit at every position of a layer, and five for each bit
    of the picture. An embedded model is unpacked, and kept in eight copies: its arrays, and what
    proves that their sums are exact.

    Args:
        shape: layers, batch, height, width, layer_depth.
        embedded_bytes: of the embedded model, or 0.
    """
    unpacked = min(MAX_DEFLATE_RATIO * embedded_bytes, MAX_MODEL_BYTES)
    hidden_units = MAX_HIDDEN * (math.prod(shape) + 5 * math.prod(shape[1:]))
    return embedded_bytes + 8 * unpacked + hidden_units


def _step_bytes(shape: Sequence[int]) -> int:
    """Bounds the bytes that a thread needs for the bits that one layer has at a step."""
    _, batch, height, width, channels = shape
    largest_step = batch * min(height * width, 3 * height, 3 * width)
    return (640 + 64 * min(channels, 64)) * largest_step
