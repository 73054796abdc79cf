"""What must hold of any bytes that are taken for a container, a model file or a code file.

They give what they were made from, or one documented exception of one line; nothing else is raised,
no warning, and none of it takes long.
"""

import contextlib
import io
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

import nncodec
from nncodec.coding.codec import decode_container, encode_source
from nncodec.coding.many import decode_arrays
from nncodec.errors import BitstreamError, CodesError, ModelError, NncodecError
from nncodec.files.code_files import read_code_file, write_code_file
from nncodec.files.model_choice import model_to_decode
from nncodec.files.model_files import read_model
from nncodec.format.code_tensor import covered
from nncodec.format.container import ContainerReader, read_container
from nncodec.format.source import Source
from nncodec.model.model import Model
from nncodec.model.packing import unpack_model
from tests.golden import ROOT, arrays_of

Codes = npt.NDArray[np.uint8]

MAX_BITS = 1 << 12
"""Of what is decoded: a header with a right checksum may claim what takes minutes."""

MOST_SECONDS = 20.0
"""A decode of MAX_BITS takes a tenth of a second where each is a step or a layer of its own."""


@cache
def models() -> dict[bytes, Model]:
    """The models of the golden containers, by their ids."""
    found = [read_model(path) for path in sorted(ROOT.glob("*/model.safetensors"))]
    return {model.model_id: model for model in found}


@cache
def golden_codes() -> list[Codes]:
    """What golden containers decode to."""
    return [codes for case in sorted(ROOT.iterdir()) for codes in arrays_of(case.name)]


def check_container(data: bytes) -> str:
    """Decodes all layers, the first alone, and those that are whole.

    Returns:
        What came of it.
    """
    with _nothing_else():
        codes = _decode(data)
        first = _decode(data, layers=1)
        if codes is not None:
            assert first is not None
            for number, one in codes.items():
                assert (first[number] == one[:1]).all()
            return "decoded"
        whole = _decode(data, partial=True)
        if first is None and whole:
            assert len(nncodec.read_header(data).groups) > 1
        return "refused" if first is None else "first layer"


def check_forged(data: bytes) -> str:
    """Decodes what has right checksums of its header, though no encoder may have written it.

    Its segments have checksums too, so that what is decoded is what they say, whatever that is.
    """
    with _nothing_else():
        try:
            reader = ContainerReader(io.BytesIO(data), max_bits=MAX_BITS)
        except (BitstreamError, CodesError) as error:
            _check_line(error)
            return "refused"
        header = reader.header
        shapes = [extent.shape for extent in header.array_extents]
        try:
            decoded, outcome = _decoded(reader), "decoded"
            assert [codes.shape for codes in decoded.values()] == shapes
        except (BitstreamError, ModelError) as error:
            _check_line(error)
            numbers = range(len(shapes)) if header.bits <= MAX_BITS else []
            decoded = {number: np.zeros(shapes[number], dtype=np.uint8) for number in numbers}
            outcome = "wrong"
        sources = header.array_sources()
        extras = [one.source.extras for one in header.members] or [header.source.extras]
        for number, codes in decoded.items():
            first = sources[number]
            beside = extras[number] if len(extras) == len(sources) else b""
            # A shape that does not fit its dtype, extras that are none, a pair that is no numbers.
            with contextlib.suppress(CodesError, BitstreamError):
                stream = io.BytesIO()
                bits, coverage = covered(codes)
                write_code_file(stream, bits, Source((first,), beside), coverage)
                again = read_code_file(
                    io.BytesIO(stream.getvalue()),
                    axes=first.array_axes,
                    bits=codes.shape[-1] if first.is_tokens else None,
                    bit_order=first.values if first.values == "lsb" else "auto",
                    array=first.array_names[0] if first.format not in ("npy", "tensor") else None,
                    shape_array=first.array_names[1:] or None,
                    coverage=first.coverage.name if first.coverage else None,
                )
                assert again.codes.size == codes.size
        return outcome


def check_model(data: bytes) -> str:
    """Loads a model, and codes with it what it fits, a sequence or not."""
    with _nothing_else():
        try:
            model = unpack_model(data)
        except ModelError as error:
            _check_line(error)
            return "refused"
        layers = min(model.layers, 3)
        if layers * model.channels * 18 > MAX_BITS:
            return "large"
        random = np.random.default_rng(zlib.crc32(data))
        shape = (layers, 3, 2, 3, model.channels)  # a frame with two before it
        codes = random.integers(0, 2, shape, dtype=np.uint8)
        sequence = bool(random.integers(2))
        packed = encode_source(codes, Source(), model=model, sequence=sequence).data
        assert (nncodec.decode(packed, model=model) == codes).all()
        return "coded"


def check_codes(data: bytes) -> str:
    """Reads a code file, codes what it held, a sequence or not, and writes it."""
    with _nothing_else():
        sequence, tokens = zlib.crc32(data) % 2 > 0, zlib.crc32(data) % 3 == 0
        options: dict[str, Any] = {"axes": "lnhwc,nhwc,hwc,nc"}
        if tokens:
            options = {"axes": "lnhw,nhw,hw,n", "bits": 8, "bit_order": "lsb"}
        try:
            file = read_code_file(io.BytesIO(data), max_bits=MAX_BITS, **options)
            file.codes  # noqa: B018, refuses several
        except CodesError as error:
            _check_line(error)
            return "refused"
        packed = encode_source(file.marked, file.source, sequence=sequence).data
        container = read_container(io.BytesIO(packed))
        header = container.header
        assert (header.source, header.sequence) == (file.source, sequence)
        stream = io.BytesIO()
        bits, coverage = covered(decode_container(container))
        write_code_file(stream, bits, header.source, coverage)
        again = read_code_file(io.BytesIO(stream.getvalue()), **options)
        assert again.source == file.source
        assert (again.marked == file.marked).all()
        return "read"


TARGETS: dict[str, Callable[[bytes], str]] = {
    "container": check_container,
    "forged": check_forged,
    "model": check_model,
    "codes": check_codes,
}


def _decode(
    data: bytes, *, partial: bool = False, layers: int | None = None
) -> dict[int, Codes] | None:
    """The codes, which must be the first layers of a golden container, or None if refused."""
    try:
        reader = ContainerReader(io.BytesIO(data), layers=layers, max_bits=MAX_BITS)
        decoded = _decoded(reader, partial=partial)
    except (BitstreamError, CodesError, ModelError) as error:
        _check_line(error)
        return None
    for codes in decoded.values():
        assert any(
            codes.shape[1:] == one.shape[1:] and (codes == one[: len(codes)]).all()
            for one in golden_codes()
            if len(one) >= len(codes)
        ), "wrong bits"
    return decoded


def _decoded(reader: ContainerReader, *, partial: bool = False) -> dict[int, Codes]:
    """The members that are whole, by their numbers."""
    model_id = reader.header.model_id
    if model_id and not reader.model:
        if model_id not in models():
            raise ModelError("no such model; none is looked for here")
        model: Model | None = models()[model_id]
    else:
        model = model_to_decode(reader)
    return dict(decode_arrays(reader, model=model, partial=partial))


def _check_line(error: NncodecError) -> None:
    assert str(error).isprintable(), "an error is one line"
    assert str(error), "an error says something"


@cache
def _compile() -> None:
    """Decodes a container of every kind, so that compiling counts nowhere."""
    for case in sorted(ROOT.iterdir()):
        with contextlib.suppress(ModelError):  # of models that ship
            _decoded(ContainerReader(io.BytesIO((case / "bitstream.bin").read_bytes())))


@contextlib.contextmanager
def _nothing_else() -> Iterator[None]:
    """Makes warnings errors, and takes note of the time."""
    _compile()
    begin = time.process_time()  # another process may have the processor
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    taken = time.process_time() - begin
    assert taken < MOST_SECONDS, f"took {taken:.0f} seconds"
