"""Code tensors <-> containers, with the models that they need: what `import nncodec` offers."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from nncodec.coding.codec import decode_container, encode_source
from nncodec.coding.threads import Threads, thread_count
from nncodec.errors import CodesError, ModelError
from nncodec.files.axis_orders import Reading
from nncodec.files.code_arrays import CodeArray, array_of, take_given
from nncodec.files.memory_arrays import as_coverage, tensor_of_array
from nncodec.files.model_choice import (
    AUTO,
    STANDARD,
    ModelChoice,
    Predictor,
    choose_predictor,
    model_to_decode,
)
from nncodec.files.readable import stream_of
from nncodec.format.axes import CANONICAL
from nncodec.format.code_tensor import Codes, Covered, covered, validate_covered
from nncodec.format.container import read_container
from nncodec.format.header import Header
from nncodec.format.header import read_header as read_header_of
from nncodec.format.limits import MAX_BITS
from nncodec.format.source import ArraySource, Source
from nncodec.model.model import Model

Buffer = bytes | bytearray | memoryview

LIKES = ("codes", "array", "torch")
"""The forms in which `decode` gives codes back."""


def encode(
    codes: Any,
    model: ModelChoice = AUTO,
    *,
    axes: str = CANONICAL,
    layer_depth: int | None = None,
    bits: int | None = None,
    bit_order: str = AUTO,
    coverage: npt.ArrayLike | None = None,
    effort: str = STANDARD,
    embed_model: bool = False,
    sequence: bool | None = None,
    threads: int | None = None,
) -> bytes:
    """Compresses an array of codes.

    Args:
        codes: a numpy array, or a PyTorch tensor on any device, with or without gradient, of any
            dtype, bfloat16 included, and with at most two distinct values, the larger of which is
            a 1; or, with `bits`, of whole numbers.
        model: "auto", the cheapest that is found and fits; "adaptive", which learns from the codes
            alone; the name of a model, the path of a model file, or what `load_model` gave.
        axes: a letter for each axis of the array, in their order: l layer, n picture, t frame of a
            sequence, h, w, c bits of a position, as in "lnchw", "chw" or "nc"; axes without a
            letter have size 1. With "auto", 3 to 5 axes are read in the order in which they are
            cheaper, with h and w before c or behind it.
        layer_depth: cuts c, where there is no l, into layers of so many bits.
        bits: the values are tokens, whole numbers of so many bits, which are c.
        bit_order: which bit of a token is channel 0: "msb", the highest; "lsb", the lowest; "auto",
            what is cheaper.
        coverage: integers [batch, height, width], or of one picture [height, width], as the code
            tensor has these, whatever the axes of the array: how many layers each position has,
            from the first; all by default. Bits beyond must be 0, of other values the smaller one;
            they are not coded, and the coverage is.
        effort: what a network may cost if "auto" is to take it: "fast" takes none, "standard" one
            that takes 2 to 2.5 times as long as none and saves 1 %, "best" any that makes the
            container smaller.
        embed_model: put the model into the container, so that it decodes alone.
        sequence: whether the pictures of the batch are frames in order, each predicted from those
            before it; by default, if the axes have a t, or if that seems to make them smaller.
        threads: how many work side by side, by default as many as there are processors, and fewer
            where there is little to do. The container is the same for any number.

    Returns:
        A container, which `decode` turns back into the same bits, or the same array.

    Raises:
        CodesError: `codes` is no such array, or has other axes; `coverage` is none of it.
        ModelError: there is no such model, or it does not fit the codes.
        ValueError: there is no such effort, or fewer than one thread.

    Example:
        >>> import numpy as np
        >>> codes = np.sign(np.random.default_rng(0).normal(size=(1, 8, 4, 6)))
        >>> again = decode(encode(codes, axes="nchw"), like="array")
        >>> bool((again == codes).all()), again.dtype.name
        (True, 'float64')
    """
    count = thread_count(threads)
    taken = take_given(codes, Reading(axes, layer_depth, bits, bit_order))
    sequence = as_frames(sequence, [taken])
    marked = validate_covered(taken.codes, as_coverage(coverage))
    chosen = choose(marked, model, sequence, effort, embed_model, count)
    encoded = encode_source(
        marked,
        Source((taken.source,)),
        model=chosen.model,
        embedded=chosen.embedded(embed_model),
        sequence=chosen.sequence,
        threads=Threads(count),
    )
    return encoded.data


def decode(
    data: Buffer,
    *,
    like: str = "codes",
    layers: int | None = None,
    model: ModelChoice | None = None,
    max_bits: int = MAX_BITS,
    threads: int | None = None,
) -> Any:
    """Gives back the codes of a container, or their first layers.

    Args:
        data: a container.
        like: "codes", the code tensor: uint8 {0, 1}, [layers, batch, height, width, layer_depth];
            "array", the array that was encoded, in its own axes, dtype and values, bfloat16 as the
            uint16 of its bytes; "torch", the same as a PyTorch tensor, bfloat16 included.
        layers: how many layers to decode, from the first; all by default. Bytes of later layers
            may be missing.
        model: the model that the container needs, or its name or path; by default it is looked for
            in the container, among the models that ship, and in the folders of NNCODEC_MODELS.
        max_bits: the most code bits to decode. A container of strangers can claim more than memory
            holds: more are refused before any is taken.
        threads: as for `encode`.

    Returns:
        A numpy array, or a PyTorch tensor; its bits are 0 where a position has ended.

    Raises:
        BitstreamError: `data` is damaged, or no container.
        CodesError: the container has fewer layers, or more code bits than `max_bits`.
        ModelError: the model is missing, or not the one that the container names.
    """
    return decode_covered(
        data, like=like, layers=layers, model=model, max_bits=max_bits, threads=threads
    ).codes


def decode_covered(
    data: Buffer,
    *,
    like: str = "codes",
    layers: int | None = None,
    model: ModelChoice | None = None,
    max_bits: int = MAX_BITS,
    threads: int | None = None,
) -> Covered:
    """Gives what `decode` gives, and how many layers each position has.

    Args:
        data, like, layers, model, max_bits, threads: as for `decode`.

    Raises:
        NncodecError: as for `decode`.

    Example:
        >>> import numpy as np
        >>> codes, coverage = np.zeros((2, 1, 1, 3, 8), np.uint8), [[[0, 2, 1]]]
        >>> decode_covered(encode(codes, coverage=coverage)).coverage.tolist()
        [[[0, 2, 1]]]
    """
    count = thread_count(threads)
    check_like(like)
    check_model(model)
    container = read_container(stream_of(data), layers=layers, max_bits=max_bits)
    source = only_source(container.header)
    found = model_to_decode(container, model)
    marked = decode_container(container, model=found, threads=Threads(count))[:layers]
    codes, coverage = covered(marked)
    return Covered(give_like(like, codes, source), coverage)


def only_source(header: Header) -> ArraySource:
    """Gives what the only array of a container was.

    Raises:
        CodesError: it holds several.
    """
    source, *others = header.array_sources()
    if others:
        raise CodesError(
            f"the container holds {1 + len(others)} arrays; use decode_many, with only=[k] for some"
        )
    return source


def read_header(data: Buffer) -> Header:
    """Reads what a container says of itself, from its first bytes.

    Raises:
        BitstreamError: `data` is damaged, or no container.
    """
    return read_header_of(stream_of(data))


def as_frames(sequence: bool | None, taken: Sequence[CodeArray]) -> bool | None:
    """Says whether pictures are frames: as asked for, or where all arrays have an axis `t`."""
    named = all("t" in one.source.axes for one in taken)
    return True if sequence is None and named else sequence


def choose(
    sample: Codes,
    model: ModelChoice,
    sequence: bool | None,
    effort: str,
    embed: bool,
    threads: int,
) -> Predictor:
    """Chooses what predicts, as `choose_predictor`; what users should know becomes a warning."""
    check_model(model, needed=True)
    chosen = choose_predictor(sample, model, sequence, effort=effort, embed=embed, threads=threads)
    for line in chosen.warnings:
        warnings.warn(line, stacklevel=3)
    return chosen


def check_like(like: str) -> None:
    """Refuses what is not one of LIKES."""
    if like not in LIKES:
        raise CodesError(f"like {like!r} is unknown; choose {', '.join(LIKES)}")


def check_model(model: Any, *, needed: bool = False) -> None:
    """Refuses what stands for no model; None is one that is looked for, unless it is needed."""
    if (model is not None or needed) and not isinstance(model, str | os.PathLike | Model):
        kind = type(model).__name__
        raise ModelError(f"a {kind} is no model; give its name, its path, or what load_model gave")


def give_like(like: str, codes: Codes, source: ArraySource) -> Any:
    """Gives codes back in one of the forms of LIKES."""
    if like == "codes":
        return codes
    array = array_of(codes, source)
    if like == "array":
        return array
    return tensor_of_array(array, "|u1" if source.format == "packed" else source.dtype)
