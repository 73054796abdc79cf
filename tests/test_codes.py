"""Code files: exact round trips, the choice of the axes, and a message for each refusal."""

import io
import pathlib
import re
import zipfile
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nncodec.errors import CodesError
from nncodec.files import axis_orders
from nncodec.files.axis_orders import (
    Order,
    choose_order,
    from_canonical,
    to_canonical,
)
from nncodec.files.code_files import read_code_file, write_code_file
from nncodec.format.axes import COMMON_AXES
from nncodec.format.code_tensor import pack_bits, unpack_bits, validate_codes
from nncodec.format.source import DTYPES, FORMATS, VALUES, ArraySource, Source
from tests.samples import averaged_codes
from tests.sources import source_of

Array = npt.NDArray[Any]

CODES = (np.arange(2 * 3 * 4 * 5 * 2) % 7 % 2).astype(np.uint8).reshape(2, 3, 4, 5, 2)


def npy(array: Any) -> io.BytesIO:
    stream = io.BytesIO()
    np.save(stream, array)
    return io.BytesIO(stream.getvalue())


def npz(**arrays: Any) -> io.BytesIO:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return io.BytesIO(stream.getvalue())


def raw_npy(descr: str, shape: tuple[int, ...], data: bytes = b"") -> bytes:
    """A .npy whose header may lie."""
    stream = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + data


def raw_zip(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return io.BytesIO(stream.getvalue())


def load(data: bytes) -> dict[str, Array]:
    loaded = np.load(io.BytesIO(data), allow_pickle=False)
    return {"": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)


def rewrite(stream: io.BytesIO, **options: Any) -> bytes:
    code_file = read_code_file(stream, **options)
    out = io.BytesIO()
    write_code_file(out, code_file.codes, code_file.source)
    return out.getvalue()


def assert_same_arrays(actual: bytes, expected: bytes) -> None:
    ours, theirs = load(actual), load(expected)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name].dtype.str == theirs[name].dtype.str
        assert ours[name].shape == theirs[name].shape
        assert ours[name].tobytes() == theirs[name].tobytes()


# --- the code tensor ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint16", "int64", ">f4", "float16", "longdouble"]
)
def test_validate_codes_takes_every_dtype(dtype: str) -> None:
    given_codes = np.asfortranarray(CODES.astype(dtype))
    result = validate_codes(given_codes)
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    assert np.array_equal(result, CODES)


def test_validate_codes_keeps_what_is_canonical() -> None:
    assert validate_codes(CODES) is CODES
    assert np.array_equal(validate_codes(CODES.tolist()), CODES)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (CODES[0], "the code tensor has 4 axes, a wrong number; it must have 5"),
        (CODES[:0], r"the code tensor \(0, 3, 4, 5, 2\) has an empty axis"),
        (
            CODES + 1,
            r"value 2 at index \(0, 0, 0, 0, 1\) of the code tensor; every value must be 0",
        ),
        (CODES.astype(float) / 2, r"value 0.5 at index \(0, 0, 0, 0, 1\)"),
        (np.where(CODES, np.nan, 0), r"value NaN at index \(0, 0, 0, 0, 1\)"),
        (CODES.astype(object), "has dtype object; convert it to uint8"),
        (CODES.astype(complex), "has dtype complex128; convert it to uint8"),
        ([[1], [1, 0]], "cannot be made an array"),
    ],
)
def test_validate_codes_refuses(array: Any, message: str) -> None:
    with pytest.raises(CodesError, match=message):
        validate_codes(array)


def test_packed_bits_are_c_order_highest_first() -> None:
    array = np.array([[[1, 0, 0, 0, 0, 0, 0, 1, 1]]], dtype=np.uint8)
    assert pack_bits(array) == b"\x81\x80"
    assert np.array_equal(unpack_bits(b"\x81\x80", (1, 1, 9)), array)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_pack_round_trip(shape: list[int], seed: int) -> None:
    array = np.random.default_rng(seed).integers(0, 2, shape, dtype=np.uint8)
    assert np.array_equal(unpack_bits(pack_bits(array), shape), array)


@pytest.mark.parametrize(
    ("data", "shape", "message"),
    [
        (b"\x80", (3, 3), r"too short for shape \(3, 3\): 1 bytes, not 2; one of the two is wrong"),
        (b"\x80\0\0", (3, 3), "too long for shape"),
        (b"\x80\x01", (3, 3), "padding bits other than zero"),
        (b"", (0, 3), "the shape .* has an empty axis"),
        (b"\x80", (-1, -8), "the shape .* has a negative size"),
        (b"\x80", (1 << 40, 1 << 40), "above the limit"),
        (b"\x80", (), "has an empty axis"),
    ],
)
def test_unpack_bits_refuses(data: bytes, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(CodesError, match=message):
        unpack_bits(data, shape)


# --- round trips -------------------------------------------------------------------------------


AXES = ["hwc", "chw", "nhwc", "nchw", "lnhwc", "lnchw"]
"""What is found out."""


@st.composite
def files(draw: st.DrawFn) -> tuple[io.BytesIO, dict[str, Any], npt.NDArray[np.uint8]]:
    """A code file, the options to read it with, and the codes that are in it."""
    axes = draw(st.sampled_from(AXES))
    shape = [draw(st.integers(1, 4)) for _ in range(5)]
    if len(axes) == 3:
        shape[1] = 1
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    codes = (rng.random(shape) < draw(st.sampled_from([0.0, 0.5, 1.0]))).astype(np.uint8)

    # The definition of the axes, written out once more.
    array: Array = codes
    if len(axes) < 5:
        array = np.concatenate(list(codes), axis=-1)
    if len(axes) == 3:
        array = array[0]
    if axes.endswith("chw"):
        count = array.ndim
        array = array.transpose(*range(count - 3), count - 1, count - 3, count - 2)

    options: dict[str, Any] = {"axes": axes}
    if len(axes) < 5 or draw(st.booleans()):
        options["layer_depth"] = shape[4]
    format_ = draw(st.sampled_from(["npy", "npz", "packed"]))
    dtypes = [d for d in DTYPES if d != "bfloat16" and (format_ != "packed" or d[1] in "iu")]
    dtype = draw(st.sampled_from(dtypes))
    if format_ == "packed":
        sizes = np.array(array.shape, dtype=dtype)
        return npz(codes=np.packbits(array, axis=None), shape=sizes), options, codes
    if dtype[1] in "if" and draw(st.booleans()):
        array = array.astype(np.int8) * 2 - 1
    array = np.asarray(array, dtype=dtype, order=draw(st.sampled_from(["C", "F"])))
    return npy(array) if format_ == "npy" else npz(bits=array), options, codes


@settings(max_examples=300)
@given(files(), st.booleans())
def test_round_trip(
    case: tuple[io.BytesIO, dict[str, Any], npt.NDArray[np.uint8]], automatic: bool
) -> None:
    stream, options, codes = case
    if automatic:
        options = {"axes": "auto"}
    else:
        assert np.array_equal(read_code_file(stream, **options).codes, codes)
        stream.seek(0)
    assert_same_arrays(rewrite(stream, **options), stream.getvalue())


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("format_", ["npy", "packed"])
def test_first_layers_are_a_prefix_in_depth_or_layers(axes: str, format_: str) -> None:
    source = source_of(format_, axes, "|i1")
    codes = CODES[:, :1] if len(axes) == 3 else CODES
    out = io.BytesIO()
    write_code_file(out, codes[:1], source)
    arrays = load(out.getvalue())
    shape = arrays["shape"].tolist() if format_ == "packed" else list(arrays[""].shape)
    assert shape[axes.index("c")] == 2
    assert len(shape) == len(axes)
    if "l" in axes:
        assert shape[0] == 1
    again = read_code_file(io.BytesIO(out.getvalue()), axes=axes)
    assert np.array_equal(again.codes, codes[:1])


def test_a_tensor_becomes_a_canonical_npy() -> None:
    out = io.BytesIO()
    write_code_file(out, CODES.astype(bool), Source())
    assert_same_arrays(out.getvalue(), npy(CODES).getvalue())


def test_paths_streams_and_names(tmp_path: pathlib.Path) -> None:
    class Pipe(io.RawIOBase):
        """A stream that cannot seek and gives few bytes at a time."""

        def __init__(self, data: bytes) -> None:
            self.inner = io.BytesIO(data)

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            return self.inner.read(min(size, 100))

    path = tmp_path / "called.txt"  # content decides, not the suffix
    source = source_of("npz", "lnchw", ">f8", values="signed", name="ümlaut/b its")
    write_code_file(path, CODES, source)
    for file in (str(path), path, Pipe(path.read_bytes())):
        code_file = read_code_file(file, axes="lnchw")  # type: ignore[arg-type]
        assert np.array_equal(code_file.codes, CODES)
        assert code_file.source == source
    first = path.read_bytes()
    write_code_file(path, CODES, source)
    assert path.read_bytes() == first


def test_constant_arrays_keep_their_domain() -> None:
    for value, values in ((0, "binary"), (1, "binary"), (-1, "signed")):
        code_file = read_code_file(npy(np.full((2, 2, 2), value, dtype=np.int16)))
        assert code_file.source == source_of("npy", "hwc", "<i2", values=values)
        assert code_file.codes.max() == max(value, 0)


def test_header_versions_of_npy() -> None:
    for version in ((1, 0), (2, 0), (3, 0)):
        stream = io.BytesIO()
        stream.write(np.lib.format.magic(*version))
        body = raw_npy("|u1", (4, 5, 2), CODES[0, 0].tobytes())[8:]
        stream.write(body if version == (1, 0) else body[:2] + b"\0\0" + body[2:])
        codes = read_code_file(io.BytesIO(stream.getvalue()), axes="hwc").codes
        assert np.array_equal(codes[0, 0], CODES[0, 0])


def test_frozen_orders() -> None:
    # Containers store the index of these.
    assert FORMATS == ("npy", "npz", "packed", "tensor", "safetensors", "flat")
    assert VALUES == ("binary", "signed", "pair", "msb", "lsb")
    assert COMMON_AXES == ("lnhwc", "lnchw", "nhwc", "nchw", "hwc", "chw", "nc")
    assert " ".join(DTYPES) == (
        "|b1 |i1 |u1 <i2 <i4 <i8 <u2 <u4 <u8 <f2 <f4 <f8 >i2 >i4 >i8 >u2 >u4 >u8 >f2 >f4 >f8 "
        "bfloat16"
    )


# --- the axes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize(
    "shape", [(4, 1, 16, 24, 8), (1, 1, 24, 16, 24), (2, 1, 16, 24, 16), (8, 1, 10, 12, 3)]
)
def test_auto_finds_the_axes(axes: str, shape: tuple[int, int, int, int, int]) -> None:
    out = io.BytesIO()
    codes = averaged_codes(shape, seed=sum(shape), bias=1.0)  # channels, as encoders have them
    write_code_file(out, codes, source_of("npy", axes))
    assert read_code_file(io.BytesIO(out.getvalue())).source.first.axes == axes


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("axes", AXES[:4])
def test_auto_cuts_layers_as_they_will_be_coded(axes: str, seed: int) -> None:
    # As one layer of 64 channels at few positions, the wrong reading may be the cheaper one.
    codes = averaged_codes((4, 1, 16, 24, 16), seed, bias=1.0)
    array = from_canonical(codes, axes)
    orders = [Order(found) for found in AXES if len(found) == len(axes)]
    assert choose_order(array, orders, layer_depth=16)[0] == Order(axes)
    assert np.array_equal(to_canonical(array, axes, 16), codes)


@given(
    shape=st.lists(st.integers(1, 90), min_size=3, max_size=5),
    unit=st.integers(1, 12),
    order=st.permutations([-3, -2, -1]),
)
def test_auto_tries_about_as_many_bits_of_all_axes(
    shape: list[int], unit: int, order: list[int]
) -> None:
    shape[-1] *= unit
    shape[-3] *= unit
    array = np.broadcast_to(np.uint8(0), shape)
    sample = axis_orders._sample(array, unit)
    assert sample.shape[-1] % unit == sample.shape[-3] % unit == 0
    if unit == 1:
        assert sample.size <= 1.1 * axis_orders._SAMPLE_BITS
        assert sample.size == array.size or 2 * sample.size > axis_orders._SAMPLE_BITS
        turned = axis_orders._sample(array.transpose(*range(array.ndim - 3), *order), unit)
        # Axes of equal lengths may change places.
        assert sorted(turned.shape[-3:]) == sorted(sample.shape[-3:])


def test_auto_looks_at_the_first_layers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = np.random.default_rng(0).integers(0, 2, (3, 2, 16, 16, 16), dtype=np.uint8)
    codes[0, :1] = averaged_codes((1, 1, 16, 16, 16), seed=0)
    monkeypatch.setattr("nncodec.files.axis_orders._SAMPLE_BITS", 5000)
    assert read_code_file(npy(np.moveaxis(codes, -1, -3))).source.first.axes == "lnchw"


def test_auto_is_lossless_where_nothing_tells() -> None:
    assert read_code_file(npy(np.ones((1, 1, 1)))).source.first.axes == "hwc"
    for array in (np.zeros((4, 6, 8)), np.ones((1, 1, 9, 9, 1)), np.eye(7)[None]):
        code_file = read_code_file(npy(array))
        out = io.BytesIO()
        write_code_file(out, code_file.codes, code_file.source)
        np.testing.assert_array_equal(np.load(io.BytesIO(out.getvalue())), array)


def test_layer_depth_can_settle_the_axes() -> None:
    array = np.zeros((2, 1, 3, 4, 5), dtype=bool)
    assert read_code_file(npy(array), layer_depth=3).source.first.axes == "lnchw"
    assert read_code_file(npy(array), layer_depth=5).source.first.axes == "lnhwc"
    assert read_code_file(npy(array[0]), layer_depth=3).codes.shape == (1, 1, 4, 5, 3)


# --- refusals ----------------------------------------------------------------------------------

SMALL = CODES[0, 0]  # 4 x 5 x 2: five bytes when packed
PACKED = np.packbits(SMALL, axis=None)
OBJECTS = np.array([[["a", 1]]], dtype=object)
BOMB = raw_npy("|u1", (1 << 20, 1 << 20, 1 << 20))


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (io.BytesIO(), "<stream>: the file is empty; give a .npy, .npz or .safetensors file of"),
        (io.BytesIO(b"some text\n"), "neither a .npy, a .npz nor a .safetensors file; save codes"),
        (
            npy(SMALL[0]),
            "the array has 2 axes; 3 to 5 are known without a name, others by --axes: l",
        ),
        (npy(CODES[None]), "the array has 6 axes; 3 to 5 are known without a name"),
        (npy(SMALL[:0]), r"the array \(0, 5, 2\) has an empty axis; there are no codes in it"),
        (
            npy(SMALL + 2 * SMALL[::-1]),
            r"the array holds more than two values, .* if these are tokens, .* give --bits 2$",
        ),
        (
            npy(SMALL - 0.5 * SMALL[::-1]),
            r"more than two values, .*; codes have two: binarise them first$",
        ),
        (npy(np.where(SMALL, np.nan, 1)), r"value NaN at index \(0, 0, 1\) of the array; codes"),
        (
            npy(np.where(np.arange(40).reshape(4, 5, 2) == 3, np.int8(-1), SMALL.astype(np.int8))),
            r"0 at \(0, 0, 0\), 1 at \(0, 0, 1\), -1 at \(0, 1, 1\); 0 is what sign gives of 0",
        ),
        (npy(SMALL.astype(complex)), "the array has the unsupported dtype <c16; convert"),
        (npy(SMALL.astype("U1")), "unsupported dtype <U1; convert it to uint8"),
        (npy(SMALL.astype([("x", "u1")])), "unsupported dtype \\|V1; convert it to uint8"),
        (npy(SMALL.astype(np.longdouble)), "unsupported dtype .*; convert it to float64"),
        (io.BytesIO(raw_npy("|u1", (-1, -1, 2), b"\0\0")), "has a negative size"),
        (io.BytesIO(raw_npy("|u1", (1, 1, 3), b"\0\0")), "needs 3 bytes and 2 are there"),
        (io.BytesIO(raw_npy("|u1", (1, 1, 1), b"\0\0")), "needs 1 bytes and 2 are there"),
        (io.BytesIO(BOMB), "needs 1152921504606846976 bytes and 0 are there; the file is damaged"),
        (io.BytesIO(b"\x93NUMPY\x01\x00"), "the header of the array is damaged or truncated"),
        (io.BytesIO(b"\x93NUMPY\x01\x00\x04\x00((((("), "the header of the array is damaged"),
        (io.BytesIO(b"\x93NUMPY\x09\x00\x04\x00{}  "), r"damaged .*\(9, 0\)|.npy version \(9, 0\)"),
        (npz(), "the .npz holds no arrays; save codes in it, with numpy.savez"),
        (
            npz(a=np.arange(3), b=np.arange(4)),
            "the .npz holds 'a', 'b', none of which can be codes; name one by --array to hear why",
        ),
        (npz(**{f"a{i}": i for i in range(20)}), "'a7' and 12 more, none of which can be codes"),
        (npz(codes=PACKED), "array 'codes' has 1 axis; 3 to 5 are known without a name"),
        (npz(codes=PACKED, shape=[[4, 5, 2]]), r"'shape', has dtype int64 and the shape \(1, 3\)"),
        (npz(codes=PACKED.astype("i4"), shape=[4, 5, 2]), "'codes' has dtype int32; pack bits"),
        (npz(codes=PACKED, shape=[4.0, 5, 2]), "'shape', has dtype float64 and the shape"),
        (npz(codes=PACKED, shape=[20, 2]), "'codes' of the shape has 2 axes; 3 to 5 are known"),
        (npz(codes=PACKED, shape=[4, 5, 3]), "too short for shape .*: 5 bytes, not 8"),
        (npz(codes=PACKED, shape=[4, 4, 2]), "too long for shape .*: 5 bytes, not 4"),
        (npz(codes=PACKED | 1, shape=[3, 13, 1]), "padding bits other than zero"),
        (npz(codes=PACKED, shape=[-4, -5, 2]), "has a negative size"),
        (npz(codes=PACKED, shape=[4, 0, 2]), "has an empty axis"),
        (npz(codes=PACKED, shape=[1 << 32] * 3), "above the limit of 268435456 code bits"),
        (
            npz(codes=PACKED, shape=OBJECTS[0, 0]),
            "'shape', holds Python objects, .* save it as numpy",
        ),
        (npz(codes=SMALL, x=OBJECTS), "array 'x' holds Python objects, .*; leave it out"),
        (npz(codes=OBJECTS), "array 'codes' holds Python objects, which are never unpickled"),
        (npy(OBJECTS), "the array holds Python objects, which are never unpickled; save uint8"),
        (raw_zip({"note": b"hello"}), "holds what is no array, 'note'; leave it out"),
        (raw_zip({"x" * 300 + ".npy": npy(SMALL).getvalue()}), "name is above 255 bytes"),
        (raw_zip({"x.npy": BOMB}), "bytes and 0 are there; the file is damaged or truncated"),
        (raw_zip({"x.npy": b""}), "the header of array 'x' is damaged or truncated"),
        (
            raw_zip({"x.npy": npy(SMALL).getvalue()}, zipfile.ZIP_BZIP2),
            "compressed by another method than deflate; use numpy.savez",
        ),
    ],
)
def test_file_refused(stream: io.BytesIO, message: str) -> None:
    stream.seek(0)
    with pytest.raises(CodesError, match=message) as caught:
        read_code_file(stream)
    assert str(caught.value).isprintable()


def test_zip_bombs_are_refused_before_memory_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(raw_zip({"x.npy": raw_npy("|u1", (1, 1, 1000), b"\0" * 1000)}).getvalue())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (1 << 31).to_bytes(4, "little")
    with pytest.raises(CodesError, match=r"claims 2147483648 bytes, more than its .* can"):
        read_code_file(io.BytesIO(data))

    # A stream that goes on and on behind an honest header is not followed.
    sizes = []
    inflate = zlib.decompressobj

    class Counting:
        def __init__(self, wbits: int) -> None:
            self.inner = inflate(wbits)

        def decompress(self, chunk: bytes, limit: int = 0) -> bytes:
            result = self.inner.decompress(chunk, limit)
            sizes.append(len(result))
            return result

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    good = raw_npy("|u1", (1, 1, 100_000), b"\0" * 100_000)
    data = bytearray(raw_zip({"x.npy": good + b"\0" * (1 << 26)}).getvalue())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = len(good).to_bytes(4, "little")
    monkeypatch.setattr("zlib.decompressobj", Counting)
    with pytest.raises(CodesError, match=r"the .npz is damaged or truncated \(Bad CRC-32"):
        read_code_file(io.BytesIO(data))
    assert sum(sizes) < 1 << 20


@pytest.mark.parametrize("kind", ["npy", "npz", "packed"])
def test_code_bits_above_a_limit(kind: str) -> None:
    codes = np.zeros((2, 3, 4), dtype=np.float64)
    stream = io.BytesIO()
    write_code_file(stream, codes.reshape(1, 1, 2, 3, 4), small_source(kind))
    data = stream.getvalue()
    assert read_code_file(io.BytesIO(data), max_bits=24).codes.size == 24
    with pytest.raises(
        CodesError, match=r" \(2, 3, 4\) is above the limit of 23 code bits; raise --max-bits if"
    ):
        read_code_file(io.BytesIO(data), max_bits=23)


def small_source(kind: str) -> Source:
    if kind == "packed":
        return source_of("packed", "hwc", "<i8")
    return source_of(kind, "hwc", "<f8")


def test_bytes_above_what_the_code_bits_can_take() -> None:
    class Endless(io.RawIOBase):
        count = 0

        def read(self, size: int = -1) -> bytes:
            assert 0 < size <= 1 << 20
            self.count += size
            return bytes(size)

    endless = Endless()
    with pytest.raises(
        CodesError, match="is above the limit of 1049376 bytes, for 100 code bits; raise --max-bit"
    ):
        read_code_file(endless, max_bits=100)  # type: ignore[arg-type]
    assert endless.count <= 2 << 20


def test_paths_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(CodesError, match=r"none.npz: no such file; check its name"):
        read_code_file(tmp_path / "none.npz")
    with pytest.raises(CodesError, match="is a directory; name a code file in it"):
        read_code_file(tmp_path)
    with pytest.raises(CodesError, match=r"'a\\x00b': cannot be read: embedded null byte"):
        read_code_file("a\0b")
    (tmp_path / "text\n.npz").write_text("text")
    with pytest.raises(CodesError, match=r"text\\n.npz': neither") as caught:
        read_code_file(tmp_path / "text\n.npz")
    assert str(caught.value).isprintable()
    with pytest.raises(CodesError, match="cannot be written: No such file or directory"):
        write_code_file(tmp_path / "none" / "x.npy", CODES, Source())


def test_options_refused() -> None:
    for axes in ("", "hwx", "HWC", "auto "):
        with pytest.raises(CodesError, match=f"axes '{axes}' are not named by letters of lnthwc: "):
            read_code_file(npy(SMALL), axes=axes)
    with pytest.raises(CodesError, match="axes 'hwcw' have a letter twice; name each axis once"):
        read_code_file(npy(SMALL), axes="hwcw")
    with pytest.raises(CodesError, match="the array has 3 axes, and axes nhwc name 4; name each"):
        read_code_file(npy(SMALL), axes="nhwc")
    with pytest.raises(CodesError, match="layer_depth 0 is not positive"):
        read_code_file(npy(SMALL), layer_depth=0)
    with pytest.raises(CodesError, match="layer_depth 3 does not divide the depth 2, read as hwc"):
        read_code_file(npy(SMALL), axes="hwc", layer_depth=3)
    with pytest.raises(
        CodesError, match="layer_depth 1 is not the 2 bits of a layer, read as lnhwc"
    ):
        read_code_file(npy(CODES), axes="lnhwc", layer_depth=1)


@pytest.mark.parametrize(
    ("array", "line"),
    [
        (
            SMALL,
            "layer_depth 7 does not divide the depth 2, read as hwc, nor the depth 4, read as chw; "
            "give a divisor of the depth",
        ),
        (
            CODES,
            "layer_depth 7 is not the 2 bits of a layer, read as lnhwc, nor the 4 bits of a layer, "
            "read as lnchw; leave it out for arrays with layers",
        ),
    ],
)
def test_layer_depth_that_fits_no_axes(array: Array, line: str) -> None:
    with pytest.raises(CodesError, match=re.escape(line) + "$"):
        read_code_file(npy(array), layer_depth=7)


def test_writing_refused() -> None:
    out = io.BytesIO()
    with pytest.raises(CodesError, match=r"\(2, 3, 4, 5, 2\) cannot be an array of the axes hwc"):
        write_code_file(out, CODES, source_of("npy", "hwc"))
    with pytest.raises(CodesError, match=r"shape \(1, 200, 1\) does not fit its dtype \|i1"):
        write_code_file(out, np.ones((1, 1, 1, 200, 1)), source_of("packed", "hwc", "|i1"))
    with pytest.raises(CodesError, match="value 2 at index"):
        write_code_file(out, CODES + 1, Source())
    assert out.getvalue() == b""


@pytest.mark.parametrize(
    "fields",
    [
        {"format": "csv"},
        {"format": "npy", "dtype": "<f16"},
        {"format": "npy", "values": "ternary"},
        {"format": "npy", "values": "signed"},
        {"format": "npy", "name": "x"},
        {"format": "tensor", "name": "x"},
        {"format": "packed", "dtype": "<f4"},
        {"format": "packed", "dtype": "<i8", "values": "signed"},
        {"format": "packed", "dtype": "<i8", "name": "x"},
        {"format": "packed", "dtype": "<i8", "name": "x", "shape_name": "x"},
        {"format": "packed", "dtype": "<i8", "name": "codes", "shape_name": "shape"},
        {"format": "npz", "shape_name": "x"},
        {"format": "flat"},
        {"format": "flat", "shape_dtype": "<f4"},
        {"format": "npy", "shape_dtype": "<i4"},
        {"format": "npy", "values": "pair"},
        {"format": "npy", "values": "pair", "patterns": b"abc"},
        {"format": "npy", "patterns": b"ab"},
        {"format": "npy", "values": "msb", "dtype": "<f4"},
        {"format": "npy", "values": "msb", "axes": "nchw"},
        {"format": "npy", "dtype": "bfloat16"},
        {"format": "safetensors", "dtype": ">f4"},
        {"format": "npy", "axes": "nthwc"},
        {"format": "npy", "frames": 2},
        {"format": "npz", "name": "x" * 256},
        {"format": "npz", "name": "x\0y"},
        {"format": "npz", "name": "\ud800"},
    ],
)
def test_source_refuses_what_contradicts(fields: dict[str, Any]) -> None:
    with pytest.raises(CodesError, match=r"no code file can be described by ArraySource\("):
        ArraySource(**fields)


@pytest.mark.parametrize(
    ("arrays", "extras"),
    [
        ((), b""),
        ((ArraySource("npy"), ArraySource("npy")), b""),
        ((ArraySource("npy"),), b"x"),
        ((ArraySource("npz", name="x"), ArraySource("safetensors", name="y")), b""),
        ((ArraySource("npz", name="x"), ArraySource("npz", name="x")), b""),
        ((ArraySource("npz", name="shape"), ArraySource("packed", dtype="<i8")), b""),
        ((ArraySource("npz"),), bytes((1 << 19) + 1)),
    ],
)
def test_files_that_cannot_be(arrays: tuple[ArraySource, ...], extras: bytes) -> None:
    with pytest.raises(CodesError, match="no code file can hold these arrays"):
        Source(arrays, extras)


# --- damage ------------------------------------------------------------------------------------

INTACT = {
    "packed": npz(codes=np.packbits(CODES, axis=None), shape=np.array(CODES.shape)).getvalue(),
    "npz": npz(bits=CODES.astype(">i4") * 2 - 1).getvalue(),
    "npy": npy(CODES.astype(np.float32)).getvalue(),
}


@pytest.mark.parametrize("kind", INTACT)
def test_every_truncation_is_refused(kind: str) -> None:
    data = INTACT[kind]
    for size in range(len(data)):
        with pytest.raises(CodesError):
            read_code_file(io.BytesIO(data[:size]))


@pytest.mark.parametrize("kind", INTACT)
def test_changed_bytes_load_or_are_refused(kind: str) -> None:
    rng = np.random.default_rng(7)
    for trial in range(1500):
        data = bytearray(INTACT[kind])
        for _ in range(1 + trial % 3):
            data[rng.integers(len(data))] = rng.integers(256)
        try:
            code_file = read_code_file(io.BytesIO(data))
        except CodesError as error:
            assert str(error).isprintable()  # noqa: PT017
        else:
            write_code_file(io.BytesIO(), code_file.codes, code_file.source)


@given(st.binary(max_size=64), st.sampled_from([b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00"]))
def test_any_bytes_load_or_are_refused(tail: bytes, magic: bytes) -> None:
    with pytest.raises(CodesError):
        read_code_file(io.BytesIO(magic + tail))
