"""The limits of the format, and the memory and threads that coding within them takes.

FORMAT.md lists the limits in section 13; readers refuse what exceeds one of them.
"""

import operator
from typing import Any

from nncodec.errors import CodesError
from nncodec.format.extent import Extent

MAX_BITS = 1 << 28
"""Limit of the code bits of a group, and with it of the memory that a small file can ask for. It is
also how many are decoded by default, of all groups that become one array: who reads files of
strangers can set a lower limit, `max_bits`, and who trusts a file of many groups a higher one."""

MAX_UNITS = 1 << 14
"""Limit of layers x layer_depth. Each unit takes memory of its own (`memory_bound`)."""

MAX_POSITIONS = 1 << 22
"""Limit of the positions of a layer of a group: one of few bits takes more than its bits."""

MAX_PICTURES = 1 << 22
"""Limit of the pictures of a container: each has a position at least."""

MAX_GROUPS = 1 << 17
"""Limit of the groups of a container: one without any codes takes a byte of the header, and the
reader hundreds. There may be one for each of 100,000 small pictures."""

MAX_BODY_BYTES = 1 << 22
"""Limit of the body of a container's header: of 6 bytes or more for each segment and 3 for each run
of pictures, of which a reader makes objects of about 200 (`memory_of_header`)."""

MAX_MEMBERS = 1 << 18
"""Limit of a container's members: a few deflated bytes say many, and a reader keeps 500 of each."""
MAX_MEMBERS_BYTES = 1 << 24
"""Limit of what the description of all members unpacks to."""
MAX_MEMBER_NAME_BYTES = 1024
"""Limit of a member's name, in UTF-8."""

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
MAX_ARRAYS = 1 << 12
"""Limit of the code arrays of one file."""
MAX_EXTRAS_BYTES = 1 << 19
"""Limit of the other arrays of a code file, packed."""
MAX_EXTRAS_UNPACKED = 1 << 24
"""Limit of the same, unpacked."""

THREAD_BITS = 1 << 16
"""The least code bits for which another thread is worth starting."""

_PROGRAM_BYTES = 384 << 20
MAX_DEFLATE_RATIO = 1032
"""Most bytes that a byte of a zlib stream can unpack to."""


RAISE_MAX_BITS = "raise --max-bits if you trust it"
"""What to do about a container of more code bits than are to be decoded."""


def check_limits(extent: Extent) -> None:
    """Refuses groups of codes above a limit.

    Raises:
        CodesError: more than MAX_BITS, MAX_UNITS or MAX_POSITIONS.
    """
    for size, limit, what in (
        (extent.bits, MAX_BITS, "code bits"),
        (extent.layers * extent.channels, MAX_UNITS, "bits at a position"),
        (extent.positions, MAX_POSITIONS, "positions"),
    ):
        if size > limit:
            raise CodesError(f"shape {extent} is above the limit of {limit} {what}")


def whole_number(number: Any, what: str) -> int:
    """Takes what a caller gives as a whole number: of Python, or of numpy.

    Raises:
        CodesError: it is none.
    """
    try:
        return operator.index(number)
    except TypeError as error:
        kind = type(number).__name__
        raise CodesError(f"{what} is of type {kind}; give a whole number, as in 4") from error


def check_bits(bits: int, what: str, max_bits: int, remedy: str = "") -> None:
    """Refuses more code bits than the caller allows.

    Args:
        bits: how many there are.
        what: has them.
        max_bits: how many are allowed.
        remedy: by default, that for a file of codes.

    Raises:
        CodesError: more than `max_bits`.
    """
    if bits > max_bits:
        remedy = remedy or limit_remedy(max_bits)
        raise CodesError(f"{what} is above the limit of {max_bits} code bits; {remedy}")


def limit_remedy(max_bits: int) -> str:
    """Says what to do about a file of more than `max_bits` code bits."""
    return "split the batch" if max_bits >= MAX_BITS else RAISE_MAX_BITS


def most_threads(extent: Extent) -> int:
    """Counts the threads that can work on a group at the same time and are worth starting.

    A layer keeps at most one thread busy, and follows the layer before it at a distance of a row.
    """
    tall = any(run.height > 1 for run in extent.runs)
    rows = sum(run.pictures * (run.height if tall else run.width) for run in extent.runs)
    return max(1, min(extent.layers, rows, extent.bits // THREAD_BITS))


def memory_bound(extent: Extent) -> int:
    """Bounds the bytes of memory that encoding or decoding a group takes.

    Measured over all kinds of shapes, and rounded up. The terms are, in order: code bits with their
    payload; the known bits of the tensor with their margins; the weights of every unit; and the
    program itself with its compiler.
    """
    layers, channels = extent.layers, extent.channels
    # Where a wide picture is next to a narrow one, the margin between them is as wide.
    margin = 3 if len(extent.runs) == 1 else 6
    padded = sum(run.pictures * (run.height + margin) * (run.width + 3) for run in extent.runs)
    known = (layers + 1) * padded * (2 * channels + 8)
    return memory_of_codes(extent.bits) + known + 24_000 * layers * channels + _PROGRAM_BYTES


def memory_of_header(runs: int, groups: int, segments: int) -> int:
    """Bounds the bytes of memory that what a header says of so many takes, beside their codes.

    One of each is in `memory_bound` already.
    """
    return 350 * (runs - 1) + 1500 * (groups - 1) + 250 * max(0, segments - 1)


def memory_of_codes(bits: int) -> int:
    """Bounds the bytes of memory that so many code bits take with their payload, when decoded."""
    return 40 * bits


def memory_bound_of_coverage(extent: Extent) -> int:
    """Bounds the bytes of memory that positions which end early take beyond `memory_bound`.

    They are marks of all positions with their margins, and what decisions were asked for.
    """
    margin = 3 if len(extent.runs) == 1 else 6
    padded = sum(run.pictures * (run.height + margin) * (run.width + 3) for run in extent.runs)
    return 16 * (extent.layers + 1) * padded


def memory_bound_of_model(extent: Extent, embedded_bytes: int) -> int:
    """Bounds the bytes of memory that decoding with a model takes beyond `memory_bound`.

    A network keeps planes of some rows of every layer, and numbers of every position that go from a
    layer to the next; a model keeps for every layer how its rates fall. An embedded model is
    unpacked, and kept in eight copies: its arrays, and what proves that their sums are exact.

    Args:
        extent: of the group.
        embedded_bytes: of the embedded model, or 0.
    """
    unpacked = min(MAX_DEFLATE_RATIO * embedded_bytes, MAX_MODEL_BYTES)
    height = max(run.height for run in extent.runs)
    width = max(run.width for run in extent.runs)
    kept = extent.layers * (min(height, RING_ROWS) + 2) * (width + 3) + extent.positions
    numbers = MAX_PLANES + PLANE_PADDING * MAX_OPERATIONS
    planes = min(2 * numbers * kept, MAX_PLANE_BYTES)
    return embedded_bytes + 8 * unpacked + planes + 24_000 * extent.layers
