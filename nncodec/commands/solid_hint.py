"""What many files that were compressed apart would have saved together."""

from collections.abc import Sequence

from nncodec.coding.codec import encode_source
from nncodec.coding.many import Coding, encode_members
from nncodec.coding.threads import Threads
from nncodec.commands.one_file import Compression
from nncodec.errors import NncodecError
from nncodec.files.code_files import CodeFile
from nncodec.files.model_choice import choose_predictor
from nncodec.files.streams import open_input
from nncodec.format.code_tensor import Codes
from nncodec.format.members import Member
from nncodec.format.source import Source

LEAST_FILES = 8
"""Fewer files are not worth a hint."""
TRIED_FILES, TRIED_BITS = 64, 1 << 20
"""The most files on which it is tried, and code bits; trying takes half a second."""
LEAST_SAVING = 0.02
"""The least part of the bytes that is worth a hint."""


def solid_hint(compression: Compression, inputs: Sequence[str]) -> str:
    """Says what one container would have saved; empty if that is little, or there is a model.

    Args:
        compression: how the files were compressed.
        inputs: their paths.
    """
    if len(inputs) < LEAST_FILES:
        return ""
    try:
        some = _adjacent(compression, inputs)
        if len(some) < LEAST_FILES // 2 or _needs_model(compression, some[0]):
            return ""
        saving = _saving(some, compression.threads)
    except NncodecError:  # it was said of the file already
        return ""
    if saving < LEAST_SAVING:
        return ""
    return (
        f"together in one file these would take about {100 * saving:.0f} % less: "
        "compress --solid OUTPUT"
    )


def _adjacent(compression: Compression, inputs: Sequence[str]) -> list[Codes]:
    """Codes of files beside each other, of one kind."""
    first = max(0, len(inputs) // 2 - TRIED_FILES // 2)
    some: list[Codes] = []
    for name in inputs[first : first + TRIED_FILES]:
        codes = _read(compression, name).marked_pictures[0]
        like = not some or (len(codes), codes.shape[4]) == (len(some[0]), some[0].shape[4])
        if not like or sum(one.size for one in some) + codes.size > TRIED_BITS:
            break
        some.append(codes)
    return some


def _read(compression: Compression, name: str) -> CodeFile:
    with open_input(name) as (stream, _):
        return compression.reading.read(stream)


def _needs_model(compression: Compression, codes: Codes) -> bool:
    choice, effort = compression.model, compression.effort
    return choose_predictor(codes, choice, False, effort=effort).model is not None


def _saving(some: Sequence[Codes], threads: int) -> float:
    """What part of the bytes of some tensors it saves to put them together."""
    members = [(Member((codes.shape[1],), Source()), [codes]) for codes in some]
    together = encode_members(members, Coding(), Threads(threads))
    apart = sum(len(encode_source(codes, Source()).data) for codes in some)
    return 1 - len(together.data) / apart
