"""A decoder written from FORMAT.md alone decodes what the package encodes, and the other way."""

import ast
import io
import itertools
import json
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import constriction
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from nncodec.coding.codec import decode_container, encode_source
from nncodec.coding.range_coder import payload
from nncodec.errors import NncodecError
from nncodec.files.extras import pack_extras, unpack_extras
from nncodec.files.model_files import list_models
from nncodec.format.code_tensor import split_absent
from nncodec.format.container import pack, read_container
from nncodec.format.fields import varint
from nncodec.format.groups import Segment
from nncodec.format.header import read_header
from nncodec.format.magic import MAGIC
from nncodec.format.members import Member
from nncodec.format.source import ArraySource, Source
from nncodec.model.adaptive.learning_rates import LARGEST_RATES
from nncodec.model.model import Model
from nncodec.model.packing import pack_embedded, pack_model, unpack_model
from tests import reference_decoder, reference_model_file
from tests.forged import plain_container, plain_header
from tests.golden import ROOT, arrays_of
from tests.golden.generate import CASES, film
from tests.reference_decoder import (
    Decoded,
    RangeDecoder,
    RangeEncoder,
    decode,
    decode_arrays,
    zeros,
)
from tests.reference_model import Prediction, ReferenceStage
from tests.reference_model_file import read_model
from tests.reference_numbers import AROUND_TAPS, BLOCK, CHANNEL_TAPS, FormatError
from tests.sample_networks import causal_network, random_network, small_network
from tests.samples import coded, plain_network, plain_start, random_model, random_start
from tests.sources import sources

Codes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.float64]
Shape = tuple[int, int, int, int, int]

BERNOULLI = constriction.stream.model.Bernoulli(perfect=False)
MANY = settings().max_examples


def assert_decoded(decoded: Decoded, codes: Codes, *, sequence: bool | None = None) -> None:
    assert decoded.shape == codes.shape
    assert sequence is None or decoded.sequence == sequence
    bits, coverage = split_absent(codes)
    assert decoded.bits == bits.ravel().tolist()
    if coverage is None:
        assert set(decoded.coverage) == {len(codes)}
    else:
        assert decoded.coverage == coverage.ravel().tolist()


# --- golden files ------------------------------------------------------------------------------


def model_of_golden(case: str) -> bytes | None:
    """The model file that a golden container needs beside it."""
    made = CASES[case]
    if made.shipped:
        (found,) = [model for model in list_models() if model.name == made.shipped]
        return found.path.read_bytes()
    if made.model and not made.embed:
        return (ROOT / case / "model.safetensors").read_bytes()
    return None


@pytest.mark.parametrize("case", CASES)
def test_golden_containers_decode(case: str) -> None:
    data = (ROOT / case / "bitstream.bin").read_bytes()
    members = decode_arrays(data, model=model_of_golden(case))
    facts = json.loads((ROOT / case / "header.json").read_text())
    members_ = facts["members"] or [{"source": facts["source"], "name": ""}]
    described = [(member, array) for member in members_ for array in member["source"]["arrays"]]
    for decoded, codes, (member, array) in zip(members, arrays_of(case), described, strict=True):
        assert_decoded(decoded, codes)
        assert decoded.sequence == facts["sequence"]
        array["form"], array["pair"] = array.pop("format"), bytes.fromhex(array.pop("patterns"))
        array.setdefault("coverage")
        assert decoded.source == array
        assert decoded.extras == bytes.fromhex(member["source"]["extras"])
        assert decoded.name == member["name"]


# --- the standard library ----------------------------------------------------------------------

MODULES = [path.stem for path in Path(__file__).parent.glob("reference_*.py")]

_ALONE = """
import sys
sys.path.insert(0, sys.argv[1])
from tests.reference_decoder import decode
decoded = decode(open(sys.argv[2], "rb").read())
assert not {"numpy", "constriction", "nncodec"} & set(sys.modules)
print(*decoded.bits, sep="")
"""


@pytest.mark.parametrize("module", MODULES)
def test_reference_imports_the_standard_library_alone(module: str) -> None:
    tree = ast.parse((Path(__file__).parent / f"{module}.py").read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.add(str(node.module))
    names -= {f"tests.{name}" for name in MODULES}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_reference_decodes_where_nothing_is_installed() -> None:
    root, case = Path(__file__).parent.parent, ROOT / "embedded"
    command = [sys.executable, "-I", "-S", "-c", _ALONE, str(root), str(case / "bitstream.bin")]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "".join(map(str, np.load(case / "codes.npy").ravel()))


# --- containers of any kind --------------------------------------------------------------------

seeds = st.integers(0, 2**32 - 1)


@st.composite
def shapes(draw: st.DrawFn, most_bits: int) -> Shape:
    if draw(st.integers(0, 9)) == 9:
        several_blocks = [(1, 1, 1, 1, 131), (2, 1, 1, 1, 65), (1, 2, 1, 1, 70), (1, 1, 2, 1, 65)]
        return draw(st.sampled_from(several_blocks))
    sizes = [draw(st.integers(1, most)) for most in (11, 20, 6, 7, 9)]
    for axis in draw(st.permutations(range(5))):
        sizes[axis] = max(1, min(sizes[axis], most_bits * sizes[axis] // int(np.prod(sizes))))
    layers, batch, height, width, channels = sizes
    return layers, batch, height, width, channels


@st.composite
def tensors(draw: st.DrawFn, most_bits: int = 160) -> Codes:
    """Code tensors that compress well, a little, or not at all."""
    sizes, random = draw(shapes(most_bits)), np.random.default_rng(draw(seeds))
    kind = draw(st.sampled_from(["random", "biased", "constant", "smooth", "film"]))
    if kind in ("smooth", "film"):
        noise = random.normal(size=sizes).cumsum(axis=2).cumsum(axis=3)
        return ((noise.cumsum(axis=1) if kind == "film" else noise) > 0).astype(np.uint8)
    ones = {"random": 0.5, "biased": 0.05, "constant": 0}[kind]
    return (random.random(sizes) < ones).astype(np.uint8) ^ np.uint8(draw(st.booleans()))


texts = st.text(st.characters(codec="utf-8"), max_size=8)


@st.composite
def models(draw: st.DrawFn, codes: Codes) -> Model | None:
    """Models for at least so many layers, of every kind."""
    kind = draw(st.sampled_from(["none", "start", "network", "any", "extreme"]))
    layers, channels, seed = codes.shape[0] + draw(st.integers(0, 2)), codes.shape[4], draw(seeds)
    if kind == "none":
        return None
    facts = {text: draw(texts) for text in draw(st.lists(texts, max_size=3))}
    if kind in ("start", "network"):
        model = random_model(layers, channels, seed, network=kind == "network")
        return replace(model, facts=facts)
    network = None
    if draw(st.booleans()):
        gain = draw(st.sampled_from([0.1, 1.0, 8.0]))
        network = random_network(layers, channels, seed, gain=gain)
    start = random_start(
        layers, channels, seed, with_network=network is not None, extreme=kind == "extreme"
    )
    return Model(start, network, facts)


def facts_of(source: ArraySource) -> dict[str, object]:
    return {
        "form": source.format,
        "axes": source.axes,
        "dtype": source.dtype,
        "values": source.values,
        "name": source.name,
        "pair": source.patterns,
        "shape_name": source.shape_name,
        "shape_dtype": source.shape_dtype,
        "frames": source.frames,
        "coverage": asdict(source.coverage) | {"axes": list(source.coverage.axes)}
        if source.coverage
        else None,
    }


@given(st.dictionaries(st.text("abcé", max_size=9), st.binary(max_size=200), min_size=1))
def test_reference_reads_the_extras(members: dict[str, bytes]) -> None:
    assert reference_decoder.read_extras(pack_extras(members)) == members
    assert unpack_extras(pack_extras(members)) == members


@settings(max_examples=3 * MANY)
@given(st.data())
def test_reference_decodes_what_the_package_encodes(data: st.DataObject) -> None:
    codes = data.draw(tensors())
    source, model = data.draw(sources(shape_of(codes))), data.draw(models(codes))
    embed = model is not None and data.draw(st.booleans())
    sequence = data.draw(st.booleans())
    embedded = pack_embedded(model) if model and embed else b""
    encoded = encode_source(codes, source, model=model, embedded=embedded, sequence=sequence)
    given_model = pack_model(model) if model and not embed else None
    decoded = decode(encoded.data, model=given_model)
    assert_decoded(decoded, codes, sequence=sequence)
    assert (decoded.source, decoded.extras) == (facts_of(source.first), source.extras)


def shape_of(codes: Codes) -> Shape:
    layers, batch, height, width, channels = codes.shape
    return layers, batch, height, width, channels


def reference_of(shape: Shape, model: Model | None, *, sequence: bool) -> ReferenceStage:
    start = plain_start(model.start) if model else None
    network = plain_network(model.network) if model else None
    return ReferenceStage(shape, start, network, sequence=sequence)


def container_of(
    codes: Codes, model: Model | None, parts: Sequence[tuple[int, bool]], *, sequence: bool
) -> bytes:
    """A container as the reference encodes it.

    Args:
        codes: what it holds.
        model: which predicts them.
        parts: of each segment, how many layers it has and whether it is stored.
        sequence: whether the pictures are frames.
    """
    shape = shape_of(codes)
    segment_of_layer = [number for number, (count, _) in enumerate(parts) for _ in range(count)]
    encoders = [RangeEncoder() for _ in parts]

    def encode(prediction: Prediction) -> int:
        value = int(codes[prediction.bit])
        encoders[segment_of_layer[prediction.bit[0]]].encode(value, prediction.frequency)
        return value

    reference_of(shape, model, sequence=sequence).run(encode)
    segments, payloads, end = [], [], 0
    for (count, stored), encoder in zip(parts, encoders, strict=True):
        begin, end = end, end + count
        packed = reference_decoder.pack(codes[begin:end].ravel().tolist())
        payload = packed if stored else encoder.finish()
        checksum = zlib.crc32(payload, zlib.crc32(packed))
        segments.append(Segment(count, stored, len(payload), checksum))
        payloads.append(payload)
    model_id = model.model_id if model else b""
    header = plain_header(shape, Source(), model_id, segments, sequence=sequence)
    return pack(plain_container(header, payloads))


@settings(max_examples=2 * MANY)
@given(st.data())
def test_both_decode_any_segments_of_the_reference_encoder(data: st.DataObject) -> None:
    codes = data.draw(tensors(120))
    model, parts, left = data.draw(models(codes)), [], len(codes)
    while left:
        count = data.draw(st.integers(1, left))
        parts.append((count, data.draw(st.booleans())))
        left -= count
    container = container_of(codes, model, parts, sequence=data.draw(st.booleans()))
    layers = data.draw(st.none() | st.integers(1, len(codes)))
    if layers:  # the bytes that they need
        header = read_header(io.BytesIO(container))
        ends = itertools.accumulate(count for count, _ in parts)
        missing = sum(
            segment.byte_length
            for segment, end in zip(header.segments, ends, strict=True)
            if end - segment.layers >= layers
        )
        container = container[: len(container) - missing]
    read = read_container(io.BytesIO(container), layers=layers)
    np.testing.assert_array_equal(decode_container(read, model=model)[:layers], codes[:layers])
    file = pack_model(model) if model else None
    assert_decoded(decode(container, model=file, layers=layers), codes[:layers])


# --- the model ---------------------------------------------------------------------------------


def in_form_of_a_start(reference: ReferenceStage, with_network: bool) -> dict[str, Numbers]:
    """What the reference has learned, as `AdaptiveStage.learned` says it."""
    layers, *_, channels = reference.shape
    block = reference.block
    weights = {name: np.array(numbers) for name, numbers in reference.learned().items()}
    lower = np.arange(block) < np.arange(channels)[:, None] % block

    def of_units(name: str, *sizes: int) -> npt.NDArray[np.int64]:
        return weights[name].reshape(layers, channels, *sizes)

    used = {"known": lower, "surprise": lower} | ({"beside": True} if channels > BLOCK else {})
    units = [of_units(name, block) * mask / (1 << 14) for name, mask in used.items()]
    units.append(of_units("before", block) / (1 << 14))
    singles = ("constant", "network") if with_network else ("constant",)
    units += [of_units(name, 1) / (1 << 24) for name in singles]
    still = [number for number, tap in enumerate(CHANNEL_TAPS) if not tap[0]]
    shared = [weights["near"].reshape(layers, -1)[:, still]]
    shared += [weights[name].reshape(layers, -1)[:, :6] for name in ("gates", "earlier")]
    inputs = 7 if with_network else 6
    return {
        "units": np.concatenate(units, axis=-1),
        "shared": np.hstack(shared) / (1 << 24),
        "around": of_units("around", len(AROUND_TAPS), block) / (1 << 14),
        "mixers": of_units("unit", 8)[..., :inputs] / (1 << 24),
        "sets": weights["set"].reshape(layers, -1, 8)[:, 0, :inputs] / (1 << 24),
    }


def assert_models_agree(
    shape: Shape,
    value_of: Callable[[Prediction], int],
    model: Model | None = None,
    *,
    sequence: bool = False,
) -> ReferenceStage:
    """Holds that both predict the same, and learn the same: what few frequencies would show."""
    reference = reference_of(shape, model, sequence=sequence)
    values, frequencies = [], []

    def note(prediction: Prediction) -> int:
        values.append(value_of(prediction))
        frequencies.append(prediction.frequency)
        return values[-1]

    reference.run(note)
    codes = np.array(values, dtype=np.uint8).reshape(shape)
    found, stage = coded(codes, model, sequence=sequence)
    assert found.ravel().tolist() == frequencies
    expected = in_form_of_a_start(reference, bool(model and model.network))
    for name, learned in stage.learned().items():
        np.testing.assert_array_equal(learned, expected.pop(name), name)
    assert not expected
    return reference


@settings(max_examples=2 * MANY)
@given(st.data(), st.booleans())
def test_models_predict_and_learn_the_same(data: st.DataObject, sequence: bool) -> None:
    codes = data.draw(tensors(300))
    model = data.draw(models(codes))

    def value_of(prediction: Prediction) -> int:
        return int(codes[prediction.bit])

    assert_models_agree(shape_of(codes), value_of, model, sequence=sequence)


@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, 12, 25, 2),  # positions of which the lower bits do not count
        (2, 43, 2, 3, 2),
        (2, 2, 1, 3, 64),  # a full block
        (2, 2, 1, 2, 70),  # two
        (1, 2, 1, 3, 131),  # three, the last one shorter
        (11, 2, 2, 3, 2),  # every tap, every start
    ],
)
@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("kind", ["untrained", "start", "network"])
def test_models_of_large_sizes_predict_and_learn_the_same(
    shape: Shape, sequence: bool, kind: str
) -> None:
    model, codes = None, film(*shape)
    if kind != "untrained":
        network = causal_network(shape[0], shape[4]) if kind == "network" else None
        start = random_start(shape[0], shape[4], 0, with_network=network is not None)
        model = Model(start, network)

    def value_of(prediction: Prediction) -> int:
        return int(codes[prediction.bit])

    assert_models_agree(shape, value_of, model, sequence=sequence)


def contrary(prediction: Prediction) -> int:
    """Bits that push weights as far as they go, now one way, now the other."""
    layer, picture, _, column, channel = prediction.bit
    odd = (picture + column) % 2
    return [
        0,
        1,
        (odd + channel + layer) % 2,
        (column + channel // 2 + layer) % 2,
        odd if channel == 4 else 1,  # the others agree with the neighbours
        odd if layer else 1,
    ][picture // 8 % 6]


SATURATED = (-32768, 32767)
CLAMPED = (-4 << 24, 4 << 24)


@pytest.mark.parametrize(
    ("kinds", "names", "limits", "films"),
    [
        ((0,), ("known",), SATURATED, [(1, 32)]),
        ((1,), ("surprise",), SATURATED, [(1, 32)]),
        ((2,), ("before",), SATURATED, [(1, 32)]),
        ((3,), ("constant",), CLAMPED, [(1, 8), (2, 48)]),
        ((4,), ("network",), CLAMPED, [(2, 48)]),
        ((5,), ("near",), CLAMPED, [(1, 32)]),
        ((6,), ("gates", "earlier"), CLAMPED, [(2, 96), (4, 96)]),
        ((7,), ("around", "motion"), SATURATED, [(1, 32)]),
        ((8, 9), ("unit", "set"), (-8 << 24, 8 << 24), [(1, 32)]),
    ],
)
def test_models_learn_the_same_up_to_the_limits(
    kinds: tuple[int, ...],
    names: tuple[str, ...],
    limits: tuple[int, int],
    films: list[tuple[int, int]],
) -> None:
    """Some kinds alone learn, and the other weights are so large that the errors stay."""
    found: dict[str, list[int]] = {name: [] for name in names}
    for seed, frames in films:
        start = random_start(2, 5, seed, with_network=True, extreme=True)
        rates = np.zeros_like(start.rates)
        rates[:, kinds] = LARGEST_RATES[list(kinds)]
        model = Model(replace(start, rates=rates), small_network(2, 5, seed, gain=8))
        reference = assert_models_agree((2, frames, 1, 3, 5), contrary, model, sequence=True)
        learned = reference.learned()
        for name in names:
            found[name] += learned[name]
    for name, weights in found.items():
        assert (min(weights), max(weights)) == limits, name


# --- what is refused ---------------------------------------------------------------------------


def refused(read: Callable[[], object], kind: type[Exception]) -> bool:
    try:
        read()
    except kind:
        return True
    return False


def test_no_changed_bit_of_a_container_passes() -> None:
    data = bytearray((ROOT / "example" / "bitstream.bin").read_bytes())
    for bit in range(8 * len(data)):
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            decode(bytes(data))
        data[bit // 8] ^= 1 << bit % 8
    for cut in range(len(data)):
        with pytest.raises(FormatError):
            decode(bytes(data[:cut]))
    with pytest.raises(FormatError, match="goes on"):
        decode(bytes(data) + b"\0")


@st.composite
def changed_bodies(draw: st.DrawFn) -> bytes:
    """The beginning of a container whose checksum is right, with some bytes of the body changed."""
    cases = ["example", "npz-codes", "partly-stored", "embedded", "constant", "early"]
    cases += ["early-stored", "early-nothing", "early-everywhere"]
    data = (ROOT / draw(st.sampled_from(cases)) / "bitstream.bin").read_bytes()
    body = bytearray(data[8 : 8 + data[7]])
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(body) - 1))
        body[at : at + draw(st.integers(0, 1))] = draw(st.binary(min_size=0, max_size=2))
    framed = MAGIC + b"\1" + varint(len(body)) + bytes(body)
    return framed + zlib.crc32(framed).to_bytes(4, "little")


def assert_headers_agree(data: bytes) -> None:
    if refused(lambda: read_header(io.BytesIO(data)), NncodecError):
        with pytest.raises(FormatError):
            reference_decoder.read_header(data)
        return
    header, found = read_header(io.BytesIO(data)), reference_decoder.read_header(data)
    extent = header.extent
    assert (found.layers, found.channels) == (extent.layers, extent.channels)
    sizes = [run[1:] for run in extent.runs for _ in range(run.pictures)]
    assert found.pictures == sizes
    assert (found.model_id, found.embedded_bytes) == (header.model_id, header.embedded_bytes)
    assert found.sequence == header.sequence
    members = header.members or [Member((extent.pictures,), header.source)]
    for here, there in zip(found.members, members, strict=True):
        assert (tuple(here.pictures), here.name) == (there.pictures, there.name)
        assert here.source.records == [facts_of(array) for array in there.source.arrays]
        assert here.source.extras == there.source.extras
    fields = ("layers", "stored", "byte_length", "checksum")
    for (count, segments, decided, total), group in zip(found.groups, header.groups, strict=True):
        assert (count, total) == (group.pictures, group.held)
        assert decided == (group.decisions if group.decisions is None else [*group.decisions])
        for one, other in zip(segments, group.segments, strict=True):
            assert [getattr(one, name) for name in fields] == [
                getattr(other, name) for name in fields
            ]


@settings(max_examples=20 * MANY)
@given(changed_bodies())
def test_headers_that_the_package_refuses_and_others(data: bytes) -> None:
    assert_headers_agree(data)


@pytest.mark.parametrize(
    ("shape", "length", "taken"),
    [
        ((16, 1, 1, 1 << 20, 16), 512, True),  # MAX_BITS
        ((17, 1, 1, 1 << 20, 16), 1 << 20, False),
        ((2, 1, 1, 1, 1 << 13), 1 << 12, True),  # MAX_UNITS
        ((2, 1, 1, 1, (1 << 13) + 1), 1 << 12, False),
        ((1, 2, 1 << 10, 1 << 11, 1), 1 << 12, True),  # MAX_POSITIONS
        ((1, 2, 1 << 10, (1 << 11) + 1, 1), 1 << 12, False),
        ((1, 1, 1, 3, 5), 4 * 15 + 16, True),  # the longest payload
        ((1, 1, 1, 3, 5), 4 * 15 + 17, False),
        ((1, 1, 1, 3, 5), 18, True),
        ((1, 1, 1 << 10, 1 << 10, 4), 0, True),  # the shortest
        ((9, 1, 1 << 9, 1 << 10, 1), 0, False),
        ((9, 1, 1 << 9, 1 << 10, 1), 1, True),
    ],
)
def test_sizes_at_the_limits(shape: Shape, length: int, taken: bool) -> None:
    tensor = b"\x03\x02"
    body = b"\0" + b"".join(map(varint, shape)) + tensor
    body += varint(2 * shape[0]) + varint(length) + bytes(4)
    framed = MAGIC + b"\1" + varint(len(body)) + body
    data = framed + zlib.crc32(framed).to_bytes(4, "little")
    assert_headers_agree(data)
    assert refused(lambda: read_header(io.BytesIO(data)), NncodecError) == (not taken)


@pytest.mark.parametrize("more", [0, 1])
def test_most_groups(more: int) -> None:
    """Of pictures without any layer, each a byte of the header."""
    groups = reference_decoder.MAX_GROUPS + more
    body = b"\x50\1" + varint(groups) + b"\1\1\1\3\2" + varint(groups) + b"\1" + b"\1" * groups
    framed = MAGIC + b"\1" + varint(len(body)) + body
    data = framed + zlib.crc32(framed).to_bytes(4, "little")
    if not more:
        assert_headers_agree(data)
        return
    with pytest.raises(FormatError, match="too many groups"):
        reference_decoder.read_header(data)
    with pytest.raises(NncodecError, match="131073 groups are above the limit of 131072"):
        read_header(io.BytesIO(data))


@pytest.mark.parametrize("more", [0, 1])
def test_longest_body(more: int) -> None:
    bodies = reference_decoder.MAX_BODY_BYTES + more
    framed = MAGIC + b"\1" + varint(bodies) + bytes(bodies)
    data = framed + zlib.crc32(framed).to_bytes(4, "little")
    with pytest.raises(FormatError, match="too long" if more else "an axis is empty"):
        reference_decoder.read_header(data)
    with pytest.raises(NncodecError, match="above the limit" if more else "."):
        read_header(io.BytesIO(data))


def model_file(
    arrays: Mapping[str, npt.NDArray[np.integer]], network: str = "", facts: str = "{}"
) -> bytes:
    """A model file of any arrays, whose checksum and id are right."""
    kinds = {"int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64"}
    forms = {name: (kinds[str(array.dtype)], list(array.shape)) for name, array in arrays.items()}
    stored = {name: array.tobytes() for name, array in arrays.items()}
    model_id = reference_model_file.id_of(network, forms, stored).hex()
    named = {"nncodec": "1", "network": network, "facts": facts}
    named["model_id"] = model_id
    checksum = zlib.crc32("\0".join(named.values()).encode())
    return save(dict(arrays), metadata={**named, "checksum": f"{checksum:08x}"})


def assert_both_take_or_refuse(data: bytes) -> None:
    if refused(lambda: unpack_model(data), NncodecError):
        with pytest.raises(FormatError):
            read_model(data)
    else:
        assert read_model(data)[2] == unpack_model(data).model_id


EDGES = [0, *(1 << bits for bits in (0, 14, 18, 19, 20, 22, 30, 61))]
NUMBERS = sorted({sign * edge + more for sign in (-1, 1) for edge in EDGES for more in (-1, 0, 1)})
"""Limits of numbers in models, and what is next to them."""


def numbers_of(dtype: npt.DTypeLike) -> list[int]:
    limits = np.iinfo(dtype)
    some = [number for number in NUMBERS if limits.min <= number <= limits.max]
    return [int(limits.min), *some, int(limits.max)]


@pytest.mark.parametrize(
    "name", ["units", "shared", "around", "mixers", "sets", "rates", "half_lives"]
)
def test_starts_that_the_package_refuses_and_others(name: str) -> None:
    arrays = {
        key: array.copy() for key, array in random_model(1, 2, network=False).arrays().items()
    }
    flat = arrays[f"start.{name}"].reshape(-1)
    for at in range(len(flat) if name in ("rates", "half_lives") else 1):
        before = flat[at]
        for number in numbers_of(flat.dtype):
            flat[at] = number
            assert_both_take_or_refuse(model_file(arrays))
        flat[at] = before


@st.composite
def changed_networks(draw: st.DrawFn) -> bytes:
    """Models with a network of which one number is another."""
    made = [random_network(2, 3, draw(st.integers(0, 99)), gain=0.1), causal_network(2, 5)]
    network = draw(st.sampled_from(made))
    model = replace(random_model(2, network.channels), network=network)
    arrays = {key: array.copy() for key, array in model.arrays().items()}
    sizes = network.sizes()
    if draw(st.booleans()):
        names = [name for name in arrays if name.startswith("network.") and arrays[name].size]
        flat = arrays[draw(st.sampled_from(names))].reshape(-1)
        numbers = st.sampled_from(numbers_of(flat.dtype))
        flat[draw(st.integers(0, len(flat) - 1))] = draw(numbers)
    else:
        change_a_value(sizes, draw)
    return model_file(arrays, json.dumps(sizes, separators=(",", ":"), sort_keys=True))


def change_a_value(value: Any, draw: st.DrawFn) -> None:
    """Changes one of the values in lists and objects."""
    keys = sorted(value) if isinstance(value, dict) else range(len(value))
    key = draw(st.sampled_from(keys))
    if isinstance(value[key], dict | list) and value[key] and draw(st.integers(0, 9)):
        change_a_value(value[key], draw)
    elif type(value[key]) is int and draw(st.integers(0, 9)):
        value[key] += draw(st.integers(-4, 4) | st.sampled_from([-(10**20), 10**20]))
    else:
        words = ["convolve", "lstm", "head", "rows", "layers", "linear", "relu", "tanh", ""]
        value[key] = draw(st.sampled_from([*words, 0, 1, True, False, 1.0, None, [], {}]))


@settings(max_examples=8 * MANY)
@given(changed_networks())
def test_networks_that_the_package_refuses_and_others(data: bytes) -> None:
    assert_both_take_or_refuse(data)


def test_another_model_is_refused() -> None:
    data = (ROOT / "network" / "bitstream.bin").read_bytes()
    with pytest.raises(FormatError, match="needs model"):
        decode(data)
    with pytest.raises(FormatError, match="not the model"):
        decode(data, model=pack_model(random_model(4, 8, seed=1)))


# --- the range coder ---------------------------------------------------------------------------

Message = tuple[list[int], list[int]]
"""Bits and their frequencies."""


def encoded(message: Message) -> tuple[bytes, bytes]:
    """What the reference makes of a message, and what constriction does."""
    ours, theirs = RangeEncoder(), constriction.stream.queue.RangeEncoder()
    for bit, frequency in zip(*message, strict=True):
        ours.encode(bit, frequency)
    bits = np.array(message[0], dtype=np.int32)
    theirs.encode(bits, BERNOULLI, np.array(message[1], dtype=np.float64) / 65536)
    return ours.finish(), theirs.get_compressed().astype(">u4").tobytes()


def decoded(payload: bytes, frequencies: Sequence[int]) -> list[int]:
    decoder = RangeDecoder(payload)
    return [decoder.decode(frequency) for frequency in frequencies]


def test_every_frequency_divides_the_range_as_constriction_does() -> None:
    scale = ((1 << 64) - 1) >> 24
    for frequency in range(1, 65536):
        first_one = zeros(frequency) * scale
        for point, bit in ((first_one - 1, 0), (first_one, 1)):
            words = np.array([point >> 32, point & 0xFFFFFFFF], dtype=np.uint32)
            theirs = constriction.stream.queue.RangeDecoder(words)
            assert theirs.decode(BERNOULLI, np.array([frequency / 65536]))[0] == bit
            assert decoded(words.astype(">u4").tobytes(), [frequency]) == [bit]


words_of_payloads = st.integers(0, 2**32 - 1) | st.sampled_from([0, 2**32 - 1])


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Bits as likely as their frequencies say, more so, or less so."""
    random = np.random.default_rng(draw(seeds))
    size = draw(st.integers(0, 300))
    extreme = draw(st.sampled_from([None, [1, 65535], [1], [65535], [32767, 32768, 32769]]))
    frequencies = random.choice(extreme, size) if extreme else random.integers(1, 65536, size)
    bits = {
        "as predicted": frequencies > random.integers(0, 65536, size),
        "random": random.integers(0, 2, size) > 0,
        "likely": frequencies >= 32768,
        "unlikely": frequencies < 32768,
    }[draw(st.sampled_from(["as predicted", "random", "likely", "unlikely"]))]
    return bits.astype(int).tolist(), frequencies.tolist()


@settings(max_examples=4 * MANY)
@given(messages())
def test_range_coder_is_constrictions(message: Message) -> None:
    ours, theirs = encoded(message)
    # All but the last words, and no more of these.
    assert ours[:-8] == theirs[: len(ours[:-8])]
    assert len(ours) <= len(theirs)
    assert decoded(ours, message[1]) == decoded(theirs, message[1]) == message[0]
    bits, frequencies = (
        np.array(part, dtype=kind)
        for part, kind in zip(message, (np.uint8, np.uint16), strict=True)
    )
    assert ours == payload(bits, frequencies)


@settings(max_examples=2 * MANY)
@given(
    st.lists(st.integers(0, 2**32 - 1) | st.sampled_from([0, 2**32 - 1]), max_size=6), messages()
)
def test_range_decoder_reads_what_constrictions_reads(words: list[int], message: Message) -> None:
    """Whatever the words, and however few."""
    theirs = constriction.stream.queue.RangeDecoder(np.array(words, dtype=np.uint32))
    payload = np.array(words, dtype=">u4").tobytes()
    try:
        expected = theirs.decode(BERNOULLI, np.array(message[1], dtype=np.float64) / 65536)
    except AssertionError:
        with pytest.raises(FormatError, match="a payload is damaged"):
            decoded(payload, message[1])
    else:
        assert decoded(payload, message[1]) == expected.tolist()


@pytest.mark.parametrize("carry", [False, True])
def test_range_encoder_carries_through_many_words(carry: bool) -> None:
    # The bits that lead to a number just below 2^63 / 2^64, or just above, leave open for words
    # whether the first one is 7FFFFFFF or 80000000; the encoder first writes the former.
    words = [1 << 31, 0, 0, 0, 0, 1 << 31] if carry else [(1 << 31) - 1, *[(1 << 32) - 1] * 4]
    frequencies = [30001 + 7 * number for number in range(185)]
    bits = decoded(np.array(words, dtype=">u4").tobytes(), frequencies)
    ours, _ = encoded((bits, frequencies))
    assert ours == payload(np.array(bits, np.uint8), np.array(frequencies, np.uint16))
    assert ours.ljust(16, b"\0").startswith(np.array(words[:4], dtype=">u4").tobytes())
    assert decoded(ours, frequencies) == bits
