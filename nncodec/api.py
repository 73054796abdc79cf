"""Code tensors <-> containers, with the models that they need: what `import nncodec` offers."""

from __future__ import annotations

import io

import numpy.typing as npt

from nncodec.coding.codec import decode_container, encode_source
from nncodec.coding.threads import Threads, thread_count
from nncodec.files.model_choice import (
    AUTO,
    EFFORTS,
    STANDARD,
    ModelChoice,
    choose_predictor,
    model_to_decode,
)
from nncodec.format.code_tensor import Codes, validate_codes
from nncodec.format.container import read_container
from nncodec.format.header import Header, unpack_header
from nncodec.format.limits import MAX_BITS
from nncodec.format.source import Source
from nncodec.model.packing import pack_embedded


def encode(
    codes: npt.ArrayLike,
    model: ModelChoice = AUTO,
    *,
    effort: str = STANDARD,
    embed_model: bool = False,
    sequence: bool | None = None,
    threads: int | None = None,
) -> bytes:
    """Compresses a code tensor.

    Args:
        codes: {0, 1} of any dtype, [layers, batch, height, width, layer_depth].
        model: "auto", the cheapest that is found and fits; "adaptive", which learns from the codes
            alone; the name of a model, the path of a model file, or what `load_model` gave.
        effort: what a network may cost if "auto" is to take it: "fast" takes none, "standard" one
            that takes about three times as long as none and saves 1 %, "best" any that makes the
            container smaller.
        embed_model: put the model into the container, so that it decodes alone.
        sequence: whether the pictures of the batch are frames in order, each predicted from those
            before it; by default, if that seems to make them smaller.
        threads: how many work side by side, by default as many as there are processors, and fewer
            where there is little to do. The container is the same for any number.

    Returns:
        A container, which `decode` turns back into the same bits.

    Raises:
        CodesError: `codes` is no such tensor.
        ModelError: there is no such model, or it does not fit the codes.
        ValueError: there is no such effort, or fewer than one thread.

    Example:
        >>> import numpy as np
        >>> codes = np.zeros((2, 1, 4, 6, 8), dtype=np.uint8)
        >>> bool((decode(encode(codes)) == codes).all())
        True
    """
    codes = validate_codes(codes)
    count = thread_count(threads)
    if effort not in EFFORTS:
        raise ValueError(f"effort must be one of {', '.join(EFFORTS)}, not {effort!r}")
    chosen = choose_predictor(
        codes, model, sequence, effort=effort, embed=embed_model, threads=count
    )
    encoded = encode_source(
        codes,
        Source(),
        model=chosen.model,
        embedded=pack_embedded(chosen.model) if embed_model and chosen.model else b"",
        sequence=chosen.sequence,
        threads=Threads(count),
    )
    return encoded.data


def decode(
    data: bytes,
    *,
    layers: int | None = None,
    model: ModelChoice | None = None,
    max_bits: int = MAX_BITS,
    threads: int | None = None,
) -> Codes:
    """Gives back the code tensor of a container, or its first layers.

    Args:
        data: a container.
        layers: how many layers to decode, from the first; all by default. Bytes of later layers
            may be missing.
        model: the model that the container needs, or its name or path; by default it is looked for
            in the container, among the models that ship, and in the folders of NNCODEC_MODELS.
        max_bits: the most code bits to decode. A container of strangers can claim more than memory
            holds: more are refused before any is taken.
        threads: as for `encode`.

    Returns:
        uint8 {0, 1}, [layers, batch, height, width, layer_depth].

    Raises:
        BitstreamError: `data` is damaged, or no container.
        CodesError: the container has fewer layers, or more code bits than `max_bits`.
        ModelError: the model is missing, or not the one that the container names.
    """
    count = thread_count(threads)
    container = read_container(io.BytesIO(data), layers=layers, max_bits=max_bits)
    found = model_to_decode(container, model)
    return decode_container(container, model=found, threads=Threads(count))[:layers]


def read_header(data: bytes) -> Header:
    """Reads what a container says of itself, from its first bytes.

    Raises:
        BitstreamError: `data` is damaged, or no container.
    """
    return unpack_header(data)[0]
