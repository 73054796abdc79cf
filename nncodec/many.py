"""Many arrays <-> one container."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy.typing as npt

from nncodec.api import (
    Buffer,
    as_frames,
    check_like,
    check_model,
    choose,
    give_like,
)
from nncodec.coding.many import decode_arrays, encode_members
from nncodec.coding.threads import Threads, thread_count
from nncodec.errors import CodesError
from nncodec.files.axis_orders import Reading
from nncodec.files.code_arrays import CodeArray, take_given
from nncodec.files.memory_arrays import as_coverage
from nncodec.files.model_choice import AUTO, STANDARD, ModelChoice, model_to_decode, sample_of_many
from nncodec.files.readable import stream_of
from nncodec.format.axes import CANONICAL
from nncodec.format.code_tensor import Covered, covered, validate_covered
from nncodec.format.container import ContainerReader
from nncodec.format.limits import MAX_BITS, RAISE_MAX_BITS, check_bits, whole_number
from nncodec.format.members import Member
from nncodec.format.source import Source

Item = TypeVar("Item")


def encode_many(
    arrays: Sequence[Any],
    model: ModelChoice = AUTO,
    *,
    axes: str = CANONICAL,
    layer_depth: int | None = None,
    bits: int | None = None,
    bit_order: str = AUTO,
    effort: str = STANDARD,
    embed_model: bool = False,
    sequence: bool | None = None,
    group: int | None = None,
    coverages: Sequence[npt.ArrayLike | None] | None = None,
    threads: int | None = None,
) -> bytes:
    """Compresses many arrays of codes into one container, smaller than apart.

    Args:
        arrays: each as for `encode`, all of the same layers and bits of a position; the numbers of
            pictures, their heights and widths may differ.
        model, axes, layer_depth, bits, bit_order, effort, embed_model, threads: as for `encode`.
        sequence: whether all pictures, one after another, are frames.
        group: after so many pictures the model starts anew. Each group is decoded apart from the
            others, side by side or alone: small ones are had faster, large ones take less room. By
            default, as many as have 16,384 positions; 0 puts all pictures together.
        coverages: of each array one, or None, as for `encode`.

    Returns:
        A container, which `decode_many` turns back into the same arrays.

    Raises:
        CodesError: one of `arrays` cannot be taken as codes, or they differ in layers or bits.
        ModelError: there is no such model, or it does not fit the codes.
        ValueError: there is no such effort, a negative group, fewer than one thread, or not as many
            coverages as arrays.

    Example:
        >>> import numpy as np
        >>> arrays = [np.ones((2, 1, size, size, 8), dtype=np.uint8) for size in (3, 5)]
        >>> [codes.shape for codes in decode_many(encode_many(arrays))]
        [(2, 1, 3, 3, 8), (2, 1, 5, 5, 8)]
    """
    count = thread_count(threads)
    reading = Reading(axes, layer_depth, bits, bit_order)
    given = _each(arrays, "arrays are")
    covers: Iterator[npt.ArrayLike | None] = itertools.repeat(None)
    if coverages is not None:
        arrays, coverages = list(given), list(_each(coverages, "coverages are"))
        given, covers = iter(arrays), iter(coverages)
        if len(coverages) != len(arrays):
            raise ValueError(f"there are {len(coverages)} coverages of {len(arrays)} arrays")
    taken = [
        _taken(number, array, coverage, reading)
        for number, (array, coverage) in enumerate(zip(given, covers, strict=False))
    ]
    if not taken:
        raise CodesError("there are no arrays; give at least one")
    if group is not None and whole_number(group, "group") < 0:
        raise ValueError(f"group must be at least 0, not {group}")
    sample = sample_of_many([one.codes for one in taken])
    chosen = choose(sample, model, as_frames(sequence, taken), effort, embed_model, count)
    coding = chosen.coding(embed_model, group)
    members = ((Member((one.codes.shape[1],), Source((one.source,))), [one.codes]) for one in taken)
    return encode_members(members, coding, Threads(count)).data


def decode_many(
    data: Buffer,
    *,
    like: str = "codes",
    only: Iterable[int] | None = None,
    layers: int | None = None,
    model: ModelChoice | None = None,
    max_bits: int = MAX_BITS,
    threads: int | None = None,
) -> list[Any]:
    """Gives back the arrays of a container, or some of them.

    Args:
        data: a container.
        like, layers, model, threads: as for `decode`.
        only: the numbers of the arrays that are wanted, from 0; all by default. Groups without any
            of them are not decoded.
        max_bits: the most code bits to decode, of all arrays that are wanted together.

    Returns:
        Arrays, or PyTorch tensors, in the order of `only`; 0 where a position has ended.

    Raises:
        BitstreamError: `data` is damaged, or no container.
        CodesError: it has fewer layers, more code bits than `max_bits`, or no such array.
        ModelError: the model is missing, or not the one that the container names.
    """
    decoded = decode_many_covered(
        data,
        like=like,
        only=only,
        layers=layers,
        model=model,
        max_bits=max_bits,
        threads=threads,
    )
    return [one.codes for one in decoded]


def decode_many_covered(
    data: Buffer,
    *,
    like: str = "codes",
    only: Iterable[int] | None = None,
    layers: int | None = None,
    model: ModelChoice | None = None,
    max_bits: int = MAX_BITS,
    threads: int | None = None,
) -> list[Covered]:
    """Gives what `decode_many` gives, and how many layers each position has.

    Args:
        data, like, only, layers, model, max_bits, threads: as for `decode_many`.

    Raises:
        NncodecError: as for `decode_many`.
    """
    count = thread_count(threads)
    check_like(like)
    check_model(model)
    header = (reader := ContainerReader(stream_of(data), layers=layers)).header
    extents, sources = header.array_extents, header.array_sources()
    numbers = list(range(len(extents)))
    if only is not None:
        numbers = [whole_number(number, "a number of only") for number in _each(only, "only is")]
    if unknown := set(numbers) - set(range(len(extents))):
        raise CodesError(f"there is no array {min(unknown)} among the {len(extents)}")
    wanted = layers or header.layers
    code_bits = sum(extents[number].first_layers(wanted).bits for number in set(numbers))
    what = f"{len(numbers)} arrays of {code_bits} bits in all"
    check_bits(code_bits, what, max_bits, RAISE_MAX_BITS)
    found, chosen = model_to_decode(reader, model), None if only is None else numbers
    decoded = dict(decode_arrays(reader, model=found, only=chosen, threads=Threads(count)))
    given: list[Covered] = []
    for number in numbers:
        codes, coverage = covered(decoded[number])
        given.append(Covered(give_like(like, codes, sources[number]), coverage))
    return given


def _each(given: Iterable[Item], what: str) -> Iterator[Item]:
    """Gives one after another of what a caller gives as several."""
    try:
        return iter(given)
    except TypeError as error:
        raise CodesError(f"{what} of type {type(given).__name__}; give a list") from error


def _taken(number: int, array: Any, coverage: npt.ArrayLike | None, reading: Reading) -> CodeArray:
    """Takes an array; its codes are ABSENT where a position has ended."""
    try:
        taken = take_given(array, reading)
        marked = validate_covered(taken.codes, as_coverage(coverage))
        return replace(taken, codes=marked)
    except CodesError as error:
        raise CodesError(f"array {number}: {error}") from error
