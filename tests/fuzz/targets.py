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

import numpy as np
import numpy.typing as npt

import nncodec
from nncodec.coding.codec import decode_container, encode_source
from nncodec.errors import BitstreamError, CodesError, ModelError, NncodecError
from nncodec.files.code_files import read_code_file, write_code_file
from nncodec.files.model_choice import model_to_decode
from nncodec.files.model_files import read_model
from nncodec.format.container import Container, read_container
from nncodec.format.source import Source
from nncodec.model.model import Model
from nncodec.model.packing import unpack_model
from tests.golden import ROOT

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
    return [np.load(path) for path in sorted(ROOT.glob("*/codes.npy"))]


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
            assert (first == codes[:1]).all()
            return "decoded"
        whole = _decode(data, partial=True)
        assert first is not None or whole is None
        return "refused" if first is None else "first layer"


def check_forged(data: bytes) -> str:
    """Decodes what has right checksums of its header, though no encoder may have written it.

    Its segments have checksums too, so that what is decoded is what they say, whatever that is.
    """
    with _nothing_else():
        try:
            container = read_container(io.BytesIO(data), max_bits=MAX_BITS)
        except (BitstreamError, CodesError) as error:
            _check_line(error)
            return "refused"
        header = container.header
        try:
            codes = _decoded(container)
            outcome = "decoded"
        except (BitstreamError, ModelError) as error:
            _check_line(error)
            codes, outcome = np.zeros(header.shape, dtype=np.uint8), "wrong"
        assert codes.shape == header.shape
        with contextlib.suppress(CodesError):  # a shape that does not fit its dtype
            stream = io.BytesIO()
            write_code_file(stream, codes, header.source)
            again = read_code_file(io.BytesIO(stream.getvalue()), layout=header.source.layout)
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
        try:
            file = read_code_file(io.BytesIO(data), layout="nhwc", max_bits=MAX_BITS)
        except CodesError as error:
            _check_line(error)
            return "refused"
        sequence = zlib.crc32(data) % 2 > 0
        packed = encode_source(file.codes, file.source, sequence=sequence).data
        container = read_container(io.BytesIO(packed))
        header = container.header
        assert (header.source, header.sequence) == (file.source, sequence)
        stream = io.BytesIO()
        write_code_file(stream, decode_container(container), header.source)
        again = read_code_file(io.BytesIO(stream.getvalue()), layout="nhwc")
        assert again.source == file.source
        assert (again.codes == file.codes).all()
        return "read"


TARGETS: dict[str, Callable[[bytes], str]] = {
    "container": check_container,
    "forged": check_forged,
    "model": check_model,
    "codes": check_codes,
}


def _decode(data: bytes, *, partial: bool = False, layers: int | None = None) -> Codes | None:
    """The codes, which must be the first layers of a golden container, or None if refused."""
    try:
        stream = io.BytesIO(data)
        container = read_container(stream, layers=layers, partial=partial, max_bits=MAX_BITS)
        codes = _decoded(container)[:layers]
    except (BitstreamError, CodesError, ModelError) as error:
        _check_line(error)
        return None
    assert any(
        codes.shape[1:] == one.shape[1:] and (codes == one[: len(codes)]).all()
        for one in golden_codes()
        if len(one) >= len(codes)
    ), "wrong bits"
    return codes


def _decoded(container: Container) -> Codes:
    header = container.header
    if header.model_id and not container.model:
        if header.model_id not in models():
            raise ModelError("no such model; none is looked for here")
        return decode_container(container, model=models()[header.model_id])
    return decode_container(container, model=model_to_decode(container))


def _check_line(error: NncodecError) -> None:
    assert str(error).isprintable(), "an error is one line"
    assert str(error), "an error says something"


@contextlib.contextmanager
def _nothing_else() -> Iterator[None]:
    """Makes warnings errors, and takes note of the time."""
    begin = time.process_time()  # another process may have the processor
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    taken = time.process_time() - begin
    assert taken < MOST_SECONDS, f"took {taken:.0f} seconds"
