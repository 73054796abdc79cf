"""Codes as people hold them: axes, values, tokens, files and tensors, there and back."""

import io
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

import nncodec
from nncodec.errors import BitstreamError, CodesError
from nncodec.files import code_choice
from nncodec.files.array_files import Npz
from nncodec.files.code_arrays import CodeArray, example_axes, take_array
from nncodec.files.code_files import MOST_NOTES, CodeFile, read_code_file, write_code_file
from nncodec.files.extras import pack_extras
from nncodec.files.tensor_files import file_bytes, read_tensors
from nncodec.format import limits
from nncodec.format.axes import LETTERS
from nncodec.format.source import DTYPES, ArraySource, Source
from tests.command_line import arrays_of
from tests.samples import averaged_codes

Array = npt.NDArray[Any]

NUMPY_DTYPES = [dtype for dtype in DTYPES if dtype != "bfloat16"]


def saved(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def read(data: bytes, **options: Any) -> CodeFile:
    return read_code_file(io.BytesIO(data), **options)


def written(file: CodeFile) -> bytes:
    out = io.BytesIO()
    write_code_file(out, file.codes, file.source)
    return out.getvalue()


def assert_same(actual: bytes, expected: bytes) -> None:
    ours, theirs = arrays_of(actual), arrays_of(expected)
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        assert_same_array(ours[name], array)


def assert_same_array(actual: Array, expected: Array) -> None:
    assert (actual.dtype.str, actual.shape) == (expected.dtype.str, expected.shape)
    assert actual.tobytes() == expected.tobytes()


# --- axes and values ---------------------------------------------------------------------------


@st.composite
def axes(draw: st.DrawFn, letters: str = LETTERS) -> str:
    some = draw(st.lists(st.sampled_from(letters), min_size=1, unique=True))
    return "".join(some)


@st.composite
def arrays(draw: st.DrawFn, count: int) -> Array:
    """An array of two values, whatever they are, or of one."""
    shape = [draw(st.integers(1, 4)) for _ in range(count)]
    bits = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 2, shape)
    dtype = np.dtype(draw(st.sampled_from(NUMPY_DTYPES)))
    numbers: st.SearchStrategy[Any]
    if dtype.kind == "f":
        width = {2: 16, 4: 32, 8: 64}[dtype.itemsize]
        numbers = st.floats(allow_nan=False, width=width)  # type: ignore[arg-type]
    elif dtype.kind == "b":
        numbers = st.booleans()
    else:
        limits_: Any = np.iinfo(dtype)
        numbers = st.integers(int(limits_.min), int(limits_.max))
    common = [(0, 1), (-1, 1), (0, 255), (-0.0, 0.0), (-0.25, 0.25), (1, 1)]
    fit = [pair for pair in common if dtype.kind == "f" or (dtype.kind == "i" and pair[1] < 100)]
    pair = draw(st.sampled_from(fit or [(0, 1)]) | st.tuples(numbers, numbers))
    array = np.array(pair, dtype=np.float64 if dtype.kind == "f" else dtype).astype(dtype)[bits]
    return np.asarray(array, order=draw(st.sampled_from(["C", "F"])))


@settings(max_examples=200)
@given(st.data())
def test_any_axes_of_any_two_values_come_back(data: st.DataObject) -> None:
    letters = data.draw(axes())
    array = data.draw(arrays(len(letters)))
    file = read(npy(array), axes=letters)
    assert_same(written(file), npy(array))
    size = dict.fromkeys(LETTERS, 1) | dict(zip(letters, array.shape, strict=True))
    batch = size["n"] * size["t"]
    assert file.codes.shape == (size["l"], batch, size["h"], size["w"], size["c"])
    assert file.sequence is (True if "t" in letters else None)
    if array.min() != array.max():  # the larger value is the 1
        ones = array == array.max()
        index = tuple(int(i) for i in np.argwhere(ones)[0])
        at = dict.fromkeys(LETTERS, 0) | dict(zip(letters, index, strict=True))
        assert file.codes[at["l"], at["n"] * size["t"] + at["t"], at["h"], at["w"], at["c"]] == 1
        assert file.codes.sum() == ones.sum()

    packed = nncodec.encode(array, "adaptive", axes=letters)
    assert_same_array(nncodec.decode(packed, like="array"), np.ascontiguousarray(array))
    assert (nncodec.decode(packed) == file.codes).all()
    assert nncodec.read_header(packed).sequence == ("t" in letters)


def test_zeros_of_both_signs_are_two_values() -> None:
    array = np.where(np.arange(24).reshape(2, 3, 4) % 5 < 2, -0.0, 0.0)
    file = read(npy(array), axes="hwc")
    assert (file.codes[0, 0] == ~np.signbit(array)).all()
    array[0, 0, 0] = 1
    with pytest.raises(CodesError, match=r"more than two values, 1.0 at .*, -0.0 at .*, 0.0 at"):
        read(npy(array))


@pytest.mark.parametrize("layer_depth", [1, 2, 3, 6])
@pytest.mark.parametrize("letters", ["chw", "wcn", "c", "tcnw"])
def test_depth_is_cut_into_layers_wherever_it_is(letters: str, layer_depth: int) -> None:
    random = np.random.default_rng(0)
    array = random.integers(0, 2, [6 if letter == "c" else 4 for letter in letters])
    file = read(npy(array), axes=letters, layer_depth=layer_depth)
    assert file.codes.shape[::4] == (6 // layer_depth, layer_depth)
    assert_same(written(file), npy(array))
    first = io.BytesIO()
    write_code_file(first, file.codes[:1], file.source)
    expected = array.take(range(layer_depth), letters.index("c"))
    assert_same(first.getvalue(), npy(np.ascontiguousarray(expected)))


def test_notes_on_many_arrays_are_counted() -> None:
    noise = np.random.default_rng(0).integers(0, 2, (1, 6, 9, 8), dtype=np.uint8)
    arrays = {f"a{number}": noise for number in range(MOST_NOTES + 1)}
    notes = read(saved(**arrays)).notes
    arrays.popitem()
    few = read(saved(**arrays)).notes
    assert len(few) == MOST_NOTES
    assert notes == (f"{few[0]} (and {MOST_NOTES} arrays more have such a note)",)


def test_a_note_where_another_order_is_nearly_as_cheap() -> None:
    noise = np.random.default_rng(0).integers(0, 2, (1, 6, 9, 8), dtype=np.uint8)
    note = "the array is read as nhwc; nchw is nearly as cheap: if it is that, say so by --axes"
    other = "the array is read as nchw; nhwc is nearly as cheap: if it is that, say so by --axes"
    assert read(npy(noise)).notes in ((note,), (other,))
    assert read(npy(noise), axes="nhwc").notes == ()
    assert read(npy(np.zeros((1, 1, 1, 1)))).notes == ()
    clear = averaged_codes((1, 1, 16, 24, 24), seed=0, bias=1.0)[0]
    assert read(npy(clear)).notes == ()


# --- tokens ------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(st.data())
def test_tokens_come_back(data: st.DataObject) -> None:
    letters = data.draw(axes("lnthw"))
    kind = data.draw(st.sampled_from([d for d in NUMPY_DTYPES if d[1] in "iu"]))
    dtype = np.dtype(kind)
    bits = data.draw(st.integers(1, 8 * dtype.itemsize - (dtype.kind == "i")))
    shape = [data.draw(st.integers(1, 3)) for _ in letters]
    numbers = st.lists(
        st.integers(0, 2**bits - 1), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))
    )
    values = data.draw(numbers)
    array = np.array(values, dtype=dtype.newbyteorder("=")).reshape(shape).astype(dtype)
    order = data.draw(st.sampled_from(["msb", "lsb"]))
    options: dict[str, Any] = {"axes": letters, "bits": bits, "bit_order": order}
    file = read(npy(array), **options)
    assert_same(written(file), npy(array))
    assert file.codes.shape[4] == bits
    if "".join(sorted(letters, key=LETTERS.index)) == letters:
        places = [place if order == "lsb" else bits - 1 - place for place in range(bits)]
        expected = [value >> place & 1 for value in values for place in places]
        assert file.codes.ravel().tolist() == expected
    packed = nncodec.encode(array, "adaptive", **options)
    assert_same_array(nncodec.decode(packed, like="array"), array)


@pytest.mark.parametrize("order", ["msb", "lsb"])
def test_tokens_take_no_more_than_their_bits_as_an_array(order: str) -> None:
    bits = averaged_codes((1, 1, 24, 24, 18), seed=0)[0, 0]
    weights = 1 << np.arange(18)[:: -1 if order == "msb" else 1]
    tokens = (bits * weights).sum(axis=-1)
    assert tokens.dtype == np.int64
    as_tokens = nncodec.encode(tokens, axes="hw", bits=18, bit_order=order)
    assert len(as_tokens) <= len(nncodec.encode(bits, axes="hwc"))
    assert (nncodec.decode(as_tokens) == bits).all()


def test_the_cheaper_order_of_bits_is_found_and_said() -> None:
    # Every bit follows from the ones above it, and none from those below.
    random = np.random.default_rng(0)
    bits = np.zeros((40, 40, 8), dtype=np.int64)
    bits[..., 0] = random.integers(0, 2, (40, 40))
    for place in range(1, 8):
        bits[..., place] = bits[..., place - 1] & random.integers(0, 2, (40, 40))
    for order in ("msb", "lsb"):
        weights = 1 << np.arange(8)[:: -1 if order == "msb" else 1]
        found = nncodec.encode((bits * weights).sum(axis=-1), axes="hw", bits=8)
        header = nncodec.read_header(found)
        assert header.source.first.values in ("msb", "lsb")
        best = min(
            len(nncodec.encode((bits * weights).sum(axis=-1), axes="hw", bits=8, bit_order=one))
            for one in ("msb", "lsb")
        )
        assert len(found) <= 1.01 * best


def test_bits_that_never_change_cost_nearly_nothing() -> None:
    tokens = np.random.default_rng(0).integers(0, 1 << 9, (40, 50))
    plain = nncodec.encode(tokens, axes="hw", bits=9)
    constant = 21 * tokens.size
    assert len(nncodec.encode(tokens, axes="hw", bits=30)) < len(plain) + 0.03 * constant / 8


TOKENS = np.arange(12).reshape(3, 4)


@pytest.mark.parametrize(
    ("array", "options", "line"),
    [
        (
            TOKENS,
            {"bits": 3},
            "value 11 at index (2, 3) of the array has 4 bits, not 3; give --bit",
        ),
        (
            TOKENS - 1,
            {"bits": 4},
            "value -1 at index (0, 0) of the array; tokens are whole numbers",
        ),
        (TOKENS / 2, {"bits": 4}, "the array has dtype float64; tokens are integers: convert it"),
        (
            TOKENS.astype("u1"),
            {"bits": 9},
            "bits 9 of the array: its dtype |u1 has 8; give as many",
        ),
        (TOKENS, {"bits": 0}, "bits 0 of a token; give 1 to 64"),
        (TOKENS, {"bits": 65}, "bits 65 of a token; give 1 to 64"),
        (TOKENS, {"bits": 4, "axes": "hc"}, "axes hc of tokens: the bits of a number are c; name "),
        (
            TOKENS,
            {"bits": 4, "layer_depth": 2},
            "layer_depth 2 of tokens of 4 bits: a number is on",
        ),
        (TOKENS, {"bits": 4, "bit_order": "big"}, "unknown bit order 'big'; choose auto, msb or l"),
        (
            TOKENS,
            {},
            "the array has 2 axes; 3 to 5 are known without a name, others by --axes: l la",
        ),
        (
            TOKENS[0],
            {"bits": 4},
            "the array has 1 axis; 2 to 4 are known without a name, others by --axes: l layer, n "
            "picture, t frame, h, w (as in t)",
        ),
        (
            TOKENS[0].reshape((1,) * 5 + TOKENS[0].shape),
            {"bits": 4},
            "the array has 6 axes; at most 5 of tokens can be named, reshape it",
        ),
        (
            TOKENS,
            {"bits": 4, "axes": "nhw"},
            "the array has 2 axes, and axes nhw name 3; name each by a letter: l layer, n picture, "
            "t frame, h, w (as in hw)",
        ),
        (
            TOKENS,
            {"axes": "hw"},
            "more than two values, 0 at (0, 0), 1 at (0, 1), 2 at (0, 2); if ",
        ),
    ],
)
def test_tokens_refused(array: Array, options: dict[str, Any], line: str) -> None:
    with pytest.raises(CodesError, match=re.escape(line)):
        read(npy(array), **options)
    with pytest.raises(CodesError, match=re.escape(line)):
        nncodec.encode(array, **{"axes": "auto", **options})


# --- .npz --------------------------------------------------------------------------------------

CODES = averaged_codes((2, 1, 5, 7, 6), seed=0)
OTHERS: dict[str, Any] = {
    "quality": np.float32(0.5),
    "size": np.array([640, 480]),
    "name": np.array("kodim04"),
    "table": np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
    "nothing": np.zeros((0, 3)),
}


@pytest.mark.parametrize("little", [False, True])
@pytest.mark.parametrize("names", [("codes", "shape"), ("bits", "size of bits"), ("bits", "shape")])
def test_packed_codes_beside_other_arrays(names: tuple[str, str], little: bool) -> None:
    packed = np.packbits(CODES, bitorder="little" if little else "big")
    data = saved(**{names[0]: packed, names[1]: np.array(CODES.shape, "u2")}, **OTHERS)
    options: dict[str, Any] = {"bit_order": "lsb"} if little else {}
    if names[0] != "codes":
        options |= {"array": names[0]}
    if names[1] != "shape":
        options |= {"shape_array": names[1]}
    file = read(data, axes="lnhwc", **options)
    assert (file.codes == CODES).all()
    assert_same(written(file), data)


def test_packed_codes_of_another_size_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(codes=np.zeros(1 << 20, np.uint8), shape=np.array([3, 4, 5]))
    read_member = Npz.member

    def member(self: Npz, name: str) -> bytes:
        assert name != "codes"
        return read_member(self, name)

    monkeypatch.setattr(Npz, "member", member)
    with pytest.raises(CodesError, match=r"too long for shape \(3, 4, 5\): 1048576 bytes, not 8;"):
        read(data)


@pytest.mark.parametrize("values", [(0, 1), (-0.5, 0.5)])
def test_codes_that_are_flat_or_of_their_shape(values: tuple[float, float]) -> None:
    array = np.array(values)[CODES]
    for codes in (array.ravel(), array):
        data = saved(codes=codes, shape=np.array(CODES.shape), **OTHERS)
        file = read(data, axes="lnhwc")
        assert (file.codes == CODES).all()
        assert_same(written(file), data)
    single = saved(codes=np.array([values[1]], dtype=float), shape=np.array([1, 1, 1]))
    assert read(single).codes.shape == (1, 1, 1, 1, 1)
    assert_same(written(read(single)), single)
    token = saved(codes=np.array([5], dtype=np.uint8), shape=np.array([1, 1]))
    assert read(token, bits=3).codes.ravel().tolist() == [1, 0, 1]
    assert read(saved(codes=np.packbits([1]), shape=np.array([1, 1, 1]))).codes.all()
    tokens = np.arange(12)
    data = saved(codes=tokens, shape=np.array([3, 4]))
    file = read(data, bits=5)
    assert file.codes.shape == (1, 1, 3, 4, 5)
    assert_same(written(file), data)


def test_the_only_array_that_can_be_codes_is_found() -> None:
    data = saved(latent=CODES * 2.0 - 1, **OTHERS)
    file = read(data, axes="lnhwc")
    assert (file.codes == CODES).all()
    assert file.source.first.name == "latent"
    assert_same(written(file), data)
    named = saved(latent=CODES, codes=np.zeros(3), mask=CODES)
    assert (read(named, axes="lnhwc", array="latent").codes == CODES).all()


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
@pytest.mark.parametrize("array", [None, ("a", "b", "c")])
def test_the_limit_of_bits_is_of_all_arrays(
    kind: str, array: tuple[str, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = dict.fromkeys("abc", np.zeros((1, 1, 10, 10, 9), dtype=np.uint8))
    data = saved(**arrays) if kind == "npz" else safetensors.numpy.save(arrays)
    file = read(data, axes="lnhwc", array=array, max_bits=2700)
    assert sum(codes.size for codes in file.pictures) == 2700
    taken: list[str] = []

    def take(*given: Any) -> CodeArray:
        taken.append(given[3])
        return take_array(*given)

    monkeypatch.setattr(code_choice, "take_array", take)
    message = "a file of 1800 bits in its first 2 code arrays is above the limit of 1799 code bits"
    with pytest.raises(CodesError, match=f"{message}; raise --max-bits if you trust it"):
        read(data, axes="lnhwc", array=array, max_bits=1799)
    assert len(taken) == 2  # the third is not read


def test_several_code_arrays_are_pictures() -> None:
    other = 1 - CODES[:, :, :2]
    file = read(saved(a=CODES, b=other, x=np.arange(3)), axes="lnhwc")
    assert [codes.shape for codes in file.pictures] == [CODES.shape, other.shape]
    assert [array.name for array in file.source.arrays] == ["a", "b"]
    out = io.BytesIO()
    write_code_file(out, file.pictures, file.source)
    assert_same(out.getvalue(), saved(a=CODES, b=other, x=np.arange(3)))
    with pytest.raises(CodesError, match="the file has 2 code arrays, 'a', 'b'; name one of them"):
        _ = file.codes


BIG = np.random.default_rng(0).integers(0, 255, 600_000, dtype=np.uint8)


@pytest.mark.parametrize(
    ("arrays_", "options", "line"),
    [
        ({"a": CODES}, {"array": "b"}, "the .npz has no array 'b', but 'a'; name one of these"),
        (
            {"a": CODES},
            {"shape_array": "s"},
            "the .npz has no array 's', but 'a'; name one of thes",
        ),
        (
            {"a": CODES, "b": CODES},
            {"array": ("a", "b"), "shape_array": "a"},
            "--shape-array is needed once for each --array; give as many",
        ),
        (
            {"codes": np.packbits(CODES), "shape": CODES.shape},
            {"bits": 4},
            "packed array 'codes' holds bits, no tokens; leave --bits out",
        ),
        (
            {"codes": np.packbits(CODES[..., :3]), "shape": CODES[..., :3].shape},
            {"bit_order": "lsb"},
            "packed codes have padding bits other than zero after the last bit",
        ),
        ({"codes": CODES, "x": BIG}, {}, "the arrays beside the codes take 600"),
        (
            {"codes": CODES, "x": np.zeros(1 << 24)},
            {},
            "the arrays beside the codes are above the limit of 16777216 bytes; keep them in anoth",
        ),
    ],
)
def test_npz_refused(arrays_: dict[str, Any], options: dict[str, Any], line: str) -> None:
    with pytest.raises(CodesError, match=re.escape(line)):
        read(saved(**arrays_), **options)


# --- .safetensors ------------------------------------------------------------------------------


def test_safetensors_come_back_with_all_that_is_in_them() -> None:
    others = {"mean": np.zeros(3, np.float32), "flags": np.ones((2, 2), bool)}
    data = safetensors.numpy.save({"latent": CODES * np.float16(0.25), **others}, {"who": "me"})
    file = read(data, axes="lnhwc")
    assert (file.codes == CODES).all()
    back = written(file)
    assert {name: array.tobytes() for name, array in safetensors.numpy.load(back).items()} == {
        name: array.tobytes() for name, array in safetensors.numpy.load(data).items()
    }
    assert read_tensors(back).metadata == {"who": "me"}
    alone = safetensors.numpy.save({"x": CODES})
    assert read_tensors(written(read(alone))).tensors == read_tensors(alone).tensors


@given(st.data())
def test_bfloat16_of_safetensors(data: st.DataObject) -> None:
    patterns = data.draw(st.sampled_from([(0xBF80, 0x3F80), (0, 0x3F80), (0xBE71, 0x3E71), (0, 1)]))
    bits = np.random.default_rng(data.draw(st.integers(0, 9))).integers(0, 2, (3, 4, 5))
    array = np.array(patterns, dtype="<u2")[bits]
    tensor = {"dtype": "BF16", "shape": list(array.shape), "data": array.tobytes()}
    file = read(file_bytes({"z": tensor}, {}), axes="chw")
    assert (file.codes[0, 0] == np.moveaxis(bits, 0, -1)).all()
    assert read_tensors(written(file)).tensors == {
        "z": {**tensor, "data": bytearray(tensor["data"])}
    }


TENSOR = {"dtype": "U8", "shape": [1], "data": b"1"}


def test_safetensors_refused() -> None:
    good = safetensors.numpy.save({"a": CODES, "b": np.arange(3)})
    for name, options, line in (
        (
            "array",
            {"array": "c"},
            "the .safetensors has no array 'c', but 'a', 'b'; name one of th",
        ),
        (
            "shape",
            {"shape_array": "b"},
            "the shape of a tensor is its own; leave --shape-array out",
        ),
        ("axes", {"axes": "lnhw"}, "none of which can be codes; name one by --array to hear why"),
        ("named", {"array": "b"}, "tensor 'b' has 1 axis; 3 to 5 are known without a name"),
    ):
        with pytest.raises(CodesError, match=re.escape(line)):
            read(good, **options)
        assert name
    with pytest.raises(CodesError, match="is damaged or truncated; get another copy"):
        read(good[:-1])
    with pytest.raises(CodesError, match="holds no tensors; save codes in it"):
        read(file_bytes({}, {"a": "b"}))
    long = (limits.MAX_HEADER_BYTES + 1).to_bytes(8, "little") + b"{" * (
        limits.MAX_HEADER_BYTES + 9
    )
    with pytest.raises(
        CodesError, match="has a header of 1048577 bytes, above the limit of 104857"
    ):
        read(long)
    complex_ = {"z": {"dtype": "C64", "shape": [1, 1, 1], "data": bytes(8)}}
    with pytest.raises(CodesError, match="tensor 'z' has the unsupported dtype C64; convert it"):
        read(file_bytes(complex_, {}))


@pytest.mark.parametrize(
    ("format_", "extras"),
    [
        ("npz", {"codes": b""}),
        ("safetensors", {"x": b""}),
        ("safetensors", {"": file_bytes({"codes": TENSOR}, {})}),
        ("safetensors", {"": b"\x02\0\0\0\0\0\0\0{x"}),
    ],
)
def test_extras_that_no_file_has(format_: str, extras: dict[str, bytes]) -> None:
    source = Source((ArraySource(format_, name="codes"),), pack_extras(extras))
    with pytest.raises(CodesError, match=r"beside the codes ha(ve|s)|is damaged or truncated"):
        write_code_file(io.BytesIO(), CODES, source)
    for packed in (b"x" * 9, pack_extras({"a": b"b"}) + b"x", pack_extras({"a": b"b"})[:-1]):
        with pytest.raises(
            BitstreamError,
            match=r"what is beside the codes (cannot be unpacked|does not end where it should); ",
        ):
            write_code_file(io.BytesIO(), CODES, Source((ArraySource("npz"),), packed))


# --- what is no code file ----------------------------------------------------------------------


def zipped(name: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, b"x")
    return stream.getvalue()


NOISE = np.random.default_rng(0).integers(0, 2, (1, 1, 50, 50, 8), dtype=np.uint8)


def text_mode(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (
            zipped("archive/data.pkl"),
            "a PyTorch file (.pt), a Python pickle, which could run any pro",
        ),
        (
            b"\x80\x04\x95",
            "the file is a Python pickle, which could run any program and is never re",
        ),
        (b"\x1f\x8b\x08\0", "the file is packed by gzip; unpack it first (gunzip)"),
        (b"BZh9", "the file is packed by bzip2; unpack it first (bunzip2)"),
        (b"\xfd7zXZ\0", "the file is packed by xz; unpack it first (unxz)"),
        (b"\x28\xb5\x2f\xfd\0", "the file is packed by zstd; unpack it first (unzstd)"),
        (b"\x89HDF\r\n", "the file is HDF5, which is not read; save with numpy.savez, or as .safe"),
        (
            b"\xef\xbf\xbdNUMPY",
            "the .npy is damaged: its line ends were changed as if it were text",
        ),
        (
            text_mode(npy(CODES)),
            "the .npy is damaged: its line ends were changed as if it were tex",
        ),
        (text_mode(saved(codes=NOISE)), "the .npz is damaged: its line ends were changed as if it"),
        (b"\x8eNNC\r\n", "the file is a container, not a code file; use nncodec decompress on it"),
    ],
)
def test_what_is_no_code_file(data: bytes, line: str) -> None:
    with pytest.raises(CodesError, match=re.escape(line)) as caught:
        read(data)
    assert str(caught.value).isprintable()


def test_options_that_a_npy_has_not() -> None:
    with pytest.raises(
        CodesError, match=r"a .npy has one array, without a name; leave --array out"
    ):
        read(npy(CODES), array="x")


# --- limits, in the array's own axes -----------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "options", "line"),
    [
        (
            (1000, 8, 6, 8, 8),
            {"axes": "nlhwc"},
            r"the array \(1000, 8, 6, 8, 8\) is above the limit of 268435 code bits; split the batc"
            r"h, 87 pictures a file at most",
        ),
        (
            (700, 600, 2),
            {"axes": "hwc"},
            "above the limit of 268435 code bits; one picture is too large: cut it into several",
        ),
        ((40, 9000), {"axes": "nh", "bits": 1}, "268435 code bits; split the batch, 29 pictures a"),
    ],
)
def test_bits_above_the_limit_are_told_with_the_pictures_that_fit(
    shape: tuple[int, ...],
    options: dict[str, Any],
    line: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("code_arrays", "array_files"):
        monkeypatch.setattr(f"nncodec.files.{module}.MAX_BITS", 268435, raising=False)
    with pytest.raises(CodesError, match=line):
        read(npy(np.zeros(shape, np.uint8)), max_bits=268435, **options)


def test_units_and_positions_above_the_limit() -> None:
    with pytest.raises(
        CodesError, match=r"the array \(chw, .* above the limit of 16384 bits at a position; take"
    ):
        read(npy(np.zeros((20000, 1, 1), np.uint8)), axes="chw")
    with pytest.raises(
        CodesError, match="above the limit of 4194304 positions; split the batch, 4194 pictures a"
    ):
        read(npy(np.zeros((5000, 1000), np.uint8)), axes="nw")


# --- Python ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64", "int8", "bool"])
@pytest.mark.parametrize("gradient", [False, True])
def test_pytorch_tensors(dtype: str, gradient: bool) -> None:
    torch = pytest.importorskip("torch")
    kind = getattr(torch, dtype)
    codes = torch.from_numpy(np.moveaxis(CODES, -1, 2).copy()).to(kind)
    if dtype != "bool":
        codes = codes * 2 - 1
    if gradient and not dtype.startswith(("int", "bool")):
        codes.requires_grad_()
    data = nncodec.encode(codes, axes="lnchw")
    assert (nncodec.decode(data) == CODES).all()
    back = nncodec.decode(data, like="torch")
    assert back.dtype == kind
    assert torch.equal(back, codes.detach())
    array = nncodec.decode(data, like="array")
    expected = codes.detach().view(torch.int16) if dtype == "bfloat16" else codes.detach()
    assert array.tobytes() == expected.numpy().tobytes()


def test_the_directory_of_a_zip_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    class Counted(zipfile.ZipFile):
        def __init__(self, file: Any, *rest: Any) -> None:
            opened.append(file)
            super().__init__(file, *rest)

    data = saved(**{f"a{number}": CODES for number in range(5)}, other=np.arange(3))
    monkeypatch.setattr(zipfile, "ZipFile", Counted)
    assert len(read_code_file(io.BytesIO(data)).pictures) == 5
    assert len(opened) == 1


def test_a_tensor_is_given_where_pytorch_was_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = nncodec.encode(CODES)
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    with pytest.raises(CodesError, match="needs PyTorch; install torch"):
        nncodec.decode(data, like="torch")
    (tmp_path / "torch.py").write_text("def from_numpy(array): return array, 'a tensor'")
    monkeypatch.syspath_prepend(tmp_path)
    del sys.modules["torch"]
    array, what = nncodec.decode(data, like="torch")
    assert what == "a tensor"
    assert (array == CODES).all()


@pytest.mark.parametrize(
    ("codes", "line"),
    [
        (None, "codes are of type NoneType; give a numpy array or a PyTorch tensor"),
        ("codes.npz", "codes are of type str; give a numpy array or a PyTorch tensor"),
        (b"bytes", "codes are of type bytes; give a numpy array or a PyTorch tensor"),
        ([[1], [1, 0]], "codes of type list cannot be made an array (setting an array element"),
        (object(), "codes of type object are an array of objects; give a numpy array or a PyTor"),
        (
            np.zeros((1, 1, 1, 1, 1), complex),
            "the array has the unsupported dtype <c16; convert it",
        ),
        (
            np.zeros((2, 2)),
            'the array has 2 axes, and axes lnhwc name 5; give axes=..., as in "nc"',
        ),
        (
            np.zeros((2, 2, 2, 2)),
            "the array has 4 axes, and axes lnhwc name 5; "
            'give axes=..., as in "nhwc", or axes="auto"',
        ),
        (
            np.zeros(2),
            'the array has 1 axis, and axes lnhwc name 5; give axes=..., as in "c"',
        ),
        (
            np.zeros((2,) * 7),
            "the array has 7 axes, and axes lnhwc name 5; reshape it to 6 at most",
        ),
        # What other axes would not mend comes before them.
        (np.zeros((2, 2), complex), "the array has the unsupported dtype <c16; convert it"),
        (np.zeros((0, 2)), "the array (0, 2) has an empty axis; there are no codes in it"),
        (np.array([0, np.nan]), "value NaN at index (1,) of the array; codes have two values that"),
        (
            np.ma.masked_equal(np.eye(2), 1),
            "codes are masked in part; fill them, as by codes.filled(0)",
        ),
    ],
)
def test_what_is_no_array_of_codes(codes: Any, line: str) -> None:
    with pytest.raises(CodesError, match=re.escape(line)):
        nncodec.encode(codes)


@pytest.mark.parametrize(("bits", "most"), [(None, 6), (1, 5)])
def test_axes_that_are_named_as_examples_are_taken(bits: int | None, most: int) -> None:
    for count in range(1, most + 1):
        array = (np.arange(2**count) % 2).reshape((2,) * count)
        axes = example_axes(count, tokens=bool(bits))
        data = nncodec.encode(array, "adaptive", axes=axes, bits=bits)
        assert (nncodec.decode(data, like="array") == array).all()
        with pytest.raises(CodesError, match=re.escape(f"(as in {axes})")):
            nncodec.encode(array, axes="lnthw"[: count % 5 + 1], bits=bits)


def test_an_array_with_a_mask_of_nothing_is_taken() -> None:
    codes = np.ma.masked_equal(np.eye(4), 3)
    assert (nncodec.decode(nncodec.encode(codes, axes="hw"), like="array") == np.eye(4)).all()


def test_what_is_no_container() -> None:
    data = nncodec.encode(CODES)
    for wrong in (None, "codes.nnb", 3, CODES.tolist()):
        with pytest.raises(
            BitstreamError, match=r"a container of type \w+ is no bytes; read the fi"
        ):
            nncodec.decode(wrong)  # type: ignore[arg-type]
    assert (nncodec.decode(bytearray(data)) == CODES).all()
    assert (nncodec.decode(np.frombuffer(data, np.uint8)) == CODES).all()  # type: ignore[arg-type]
    with pytest.raises(CodesError, match="like 'numpy' is unknown; choose codes, array, torch"):
        nncodec.decode(data, like="numpy")
