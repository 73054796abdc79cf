"""FORMAT.md: its numbers are the package's, and its example is what the bytes are."""

import hashlib
import re
import zlib
from pathlib import Path

import constriction
import numpy as np
import numpy.typing as npt
import pytest

import nncodec
from nncodec.format import header, limits, source
from nncodec.model import fixed_point
from nncodec.model.adaptive.learning_rates import FULL_STEP, LARGEST_RATES
from nncodec.model.adaptive.stage import AdaptiveStage
from nncodec.model.adaptive.start import untrained
from nncodec.model.contexts import AROUND_TAPS, CHANNEL_TAPS, LAYER_TAPS
from nncodec.model.network.integer_network import tanh_table
from nncodec.model.network.taps import Taps
from nncodec.model.schedule import Schedule
from tests import (
    format_page,
    reference_decoder,
    reference_model_file,
    reference_numbers,
)
from tests.golden import ROOT
from tests.reference_decoder import RangeDecoder
from tests.reference_model import Prediction, ReferenceStage
from tests.samples import random_model

EXAMPLE = ROOT / "example"
BERNOULLI = constriction.stream.model.Bernoulli(perfect=False)
PAYLOAD = 31
"""Where the example's payload begins."""


def test_parameters_are_those_of_the_reference_and_of_the_package() -> None:
    printed = {name: int(value) for name, value, _ in format_page.table("| name | value | |")}
    found: dict[str, int] = {}
    for module in (reference_decoder, reference_model_file, reference_numbers):
        found |= {name: value for name, value in vars(module).items() if name in printed}
    assert found == printed
    in_package = {name: value for name, value in vars(limits).items() if name in printed}
    assert set(in_package) == {name for name in printed if name.startswith("MAX_")}
    in_package |= {"LOGIT_LIMIT": fixed_point.LOGIT_LIMIT, "FULL_STEP": FULL_STEP}
    assert in_package.items() <= printed.items()


def test_every_parameter_of_the_page_has_a_value() -> None:
    printed = {name for name, *_ in format_page.table("| name | value | |")}
    prose = re.sub(r"```.*?```", "", format_page.TEXT, flags=re.DOTALL)
    used = set(re.findall(r"\b[A-Z]+_[A-Z_]+\b|\bBLOCK\b|\bSURE\b", prose))
    assert used - {"NEAR_TAPS", "LAYER_TAPS", "AROUND_TAPS"} == printed


def test_sections_that_functions_cite_are_there() -> None:
    sections = set(re.findall(r"^## (\d+)\. ", format_page.TEXT, flags=re.MULTILINE))
    cited: set[str] = set()
    for path in Path(nncodec.__file__).parent.rglob("*.py"):
        cited |= set(
            re.findall(r"FORMAT\.md[^.]*?\bsections? (\d+)", path.read_text(encoding="utf-8"))
        )
    assert cited
    assert cited <= sections


def test_container_begins_as_printed() -> None:
    (magic,) = re.findall(r"magic: ((?:[0-9A-F]{2} ?){6})", format_page.TEXT)
    assert bytes.fromhex(magic) == header.MAGIC
    assert "| 1 | version: 1 |" in format_page.TEXT
    assert header.VERSION == 1


def test_sources_are_the_packages() -> None:
    dtypes = tuple(" ".join(format_page.block("dtypes")).split())
    assert dtypes == source.DTYPES == reference_decoder.DTYPES
    rows = {what.split(":")[0]: what for *_, what in format_page.table("| byte | bits | what |")}
    assert tuple(format_page.code(rows["form"])) == source.FORMATS == reference_decoder.FORMS
    assert tuple(format_page.code(rows["layout"])) == source.LAYOUTS == reference_decoder.LAYOUTS
    assert ("", *format_page.code(rows["name"])) == reference_decoder.NAMES
    for name, number in (("", 0), ("codes", 1), ("arr_0", 2), ("x", 3)):
        packed = source.pack_source(source.Source("npz", name=name))
        assert packed[1] >> 5 == number
    assert f"a varint, at most {limits.MAX_NAME_BYTES}," in format_page.TEXT


def test_tables_are_those_of_the_recipes() -> None:
    frequencies, tanh = fixed_point.logistic_table().tolist(), tanh_table().tolist()
    assert frequencies == reference_numbers.frequencies()
    assert tanh == [reference_numbers.tanh_of(z) for z in range(-1024, 1025)]
    values = {f"F({z - 3072})": value for z, value in enumerate(frequencies)}
    values |= {f"T({z - 1024})": value for z, value in enumerate(tanh)}
    stored = {
        "F": np.array(frequencies, dtype="<i4").tobytes(),
        "T": np.array(tanh, dtype="i1").tobytes(),
    }
    for line in format_page.block("tables"):
        name, *_, printed = line.split()
        if name in stored:
            assert hashlib.sha256(stored.pop(name)).hexdigest() == printed
        else:
            assert values[name] == int(printed)
    assert not stored


def test_taps_are_the_packages() -> None:
    near = format_page.taps("near-taps")
    layer = near + format_page.taps("more-layer-taps")
    around = format_page.taps("around-taps")
    assert tuple(near) == CHANNEL_TAPS
    assert tuple(layer) == LAYER_TAPS
    assert tuple(around) == AROUND_TAPS
    assert near == reference_numbers.NEAR_TAPS
    assert layer == reference_numbers.LAYER_TAPS
    assert around == reference_numbers.AROUND_TAPS


@pytest.mark.parametrize("reach", [1, 2, 3])
@pytest.mark.parametrize("earlier_layers", [0, 1, 2, 5])
def test_taps_of_networks_are_the_packages(reach: int, earlier_layers: int) -> None:
    taps, found = Taps(reach, earlier_layers), reference_numbers.network_taps(reach, earlier_layers)
    assert found == taps.offsets
    assert reference_numbers.network_places(found) == taps.places


def test_untrained_model_is_the_packages() -> None:
    start = untrained(20, 5)
    groups = [0, 1, 2, 2, 3, 3, 3, 3, *[4] * 12]
    rates, half_lives = format_page.numbers("rates"), format_page.numbers("half-lives")
    weights = np.array(" ".join(format_page.block("start-weights")).split(), dtype=int)
    assert start.rates.tolist() == [[row[group] for row in rates] for group in groups]
    assert start.half_lives.tolist() == [[row[group] for row in half_lives] for group in groups]
    rows = weights.reshape(4, 31)[[0, 1, 2, *[3] * 17]] << 12 - 10
    for learner in (0, 1):
        np.testing.assert_array_equal(start.shared[:, learner], rows)
    assert (start.mixers[..., :2] << 24 - 16 == 1 << 23).all()
    others = (start.units, start.around, start.mixers[..., 2:], start.sets)
    assert not any(array.any() for array in others)
    plain = {name: array.tolist() for name, array in start.arrays().items()}
    assert reference_numbers.untrained(20, 5) == plain


@pytest.mark.parametrize("channels", [3, 70, 131])
@pytest.mark.parametrize("network", [False, True])
def test_arrays_of_a_model_are_as_printed(channels: int, network: bool) -> None:
    model = random_model(2, channels, network=network)
    rows = format_page.table("| array | type | shape | values |")
    if model.network:
        rows += format_page.table("| array | type | shape | fractional bits |")
    blocks = -(-channels // 64)
    sizes = {"L": 2, "D": channels, "B": -(-channels // blocks), "M": 6 + network, "more": network}
    if model.network:
        sizes |= {"U": model.network.hidden, "I": len(model.network.weights)}
    printed = {}
    for name, kind, shape, _ in rows:
        formula = shape.replace("(+ 1 with a network)", "+ more")
        printed[name.strip("`")] = f"int{kind[1:]}", eval(f"({formula})", {}, sizes)
    assert printed == {
        name: (str(array.dtype), array.shape) for name, array in model.arrays().items()
    }


def test_largest_rates_are_the_packages() -> None:
    largest: dict[int, int] = {}
    for kinds, _, power, _ in format_page.table("| kind | weights | largest rate | half-life |"):
        base, exponent = power.split("^")
        largest |= {int(kind): int(base) ** int(exponent) for kind in kinds.split(",")}
    assert [largest[kind] for kind in range(19)] == LARGEST_RATES.tolist()


# --- the example -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data() -> bytes:
    return bytes.fromhex(" ".join(format_page.block("example")))


@pytest.fixture(scope="module")
def codes() -> npt.NDArray[np.uint8]:
    lines = format_page.block("example-bits")
    bits = [int(bit) for line in lines for bit in "".join(line.split()[4:])]
    return np.array(bits, dtype=np.uint8).reshape(2, 1, 4, 6, 3)


def test_example_is_the_golden_file(data: bytes, codes: npt.NDArray[np.uint8]) -> None:
    assert data == (EXAMPLE / "bitstream.bin").read_bytes()
    np.testing.assert_array_equal(codes, np.load(EXAMPLE / "codes.npy"))
    np.testing.assert_array_equal(nncodec.decode(data), codes)


def test_example_is_explained_byte_by_byte(data: bytes, codes: npt.NDArray[np.uint8]) -> None:
    rows = [row for row in format_page.table("| bytes | what |") if row[0].startswith("`")]
    assert bytes.fromhex("".join(format_page.code(*[row[0] for row in rows]))) == data
    words = np.frombuffer(data[PAYLOAD:], dtype="<u4").tolist()
    assert rows[-1][1] == f"the payload: the words {', '.join(f'{word:08X}' for word in words)}"
    header = nncodec.read_header(data)
    assert header.shape == codes.shape
    assert header.source == source.Source("npz", "nchw", 3, "|i1", True, "bits")
    (segment,) = header.segments
    assert (segment.layers, segment.stored, segment.byte_length) == (2, False, 12)
    packed = np.packbits(codes).tobytes()
    checksum = zlib.crc32(packed)
    assert f"they are `{packed.hex()}`" in format_page.TEXT
    assert f"{checksum:08X}; continued over the payload" in format_page.TEXT
    assert zlib.crc32(data[PAYLOAD:], checksum) == segment.checksum
    assert f"| its checksum, {segment.checksum:08X} |" in format_page.TEXT


def test_example_has_the_frequencies_and_weights_that_are_printed(
    codes: npt.NDArray[np.uint8],
) -> None:
    schedule = Schedule(2, 1, 4, 6, 3)
    stage, bits, end = AdaptiveStage(schedule), codes.ravel()[schedule.order()], 0
    frequencies: list[int] = []
    for part in schedule.parts():
        frequencies += stage.frequencies(*part).tolist()
        begin, end = end, len(frequencies)
        stage.learn(bits[begin:end])
    assert frequencies == [f for row in format_page.numbers("example-frequencies") for f in row]
    assert f"there are {schedule.step_count} steps" in format_page.TEXT
    sums = {name: int((array * (1 << 24)).sum()) for name, array in stage.learned().items()}
    printed = (line.split() for line in format_page.block("example-weights"))
    assert sums == {name: int(value) for name, value in printed}


def test_example_is_decoded_as_printed(data: bytes, codes: npt.NDArray[np.uint8]) -> None:
    stage, decoder = ReferenceStage((2, 1, 4, 6, 3)), RangeDecoder(data[PAYLOAD:])
    encoder = constriction.stream.queue.RangeEncoder()
    lines: list[list[str]] = []
    predictions: list[Prediction] = []
    for step, places in enumerate(stage.steps):
        stage.frequencies(places)
        bits = []
        for prediction in stage.asked:
            state = [decoder.lower, decoder.range, decoder.point]
            assert list(encoder.pos()[1]) == state[:2]
            bit = decoder.decode(prediction.frequency)
            assert bit == codes[prediction.bit]
            frequency = np.array([prediction.frequency / 65536])
            encoder.encode(np.array([bit], dtype=np.int32), BERNOULLI, frequency)
            seen = [*prediction.z, prediction.mixed, prediction.frequency, bit]
            index = ",".join(map(str, prediction.bit))
            lines.append([str(len(lines)), str(step), index, *map(str, seen)])
            lines[-1] += [f"{number:016x}" for number in state]
            bits.append(bit)
            predictions.append(prediction)
        stage.learn(bits)
    assert encoder.get_compressed().astype("<u4").tobytes() == data[PAYLOAD:]

    _, *printed = [line.split() for line in format_page.block("example-trace")]
    assert printed == [lines[int(line[0])] for line in printed]
    assert len(printed) > 16
    (number,) = re.findall(r"What bit (\d+) sees", format_page.TEXT)
    shown = predictions[int(number)]
    inputs = shown.inputs[0]
    kinds = ("known", "surprise", "before", "near", "layer", "gates")
    expected = [["index", *shown.bit]]
    expected += [[kind, *inputs[kind]] for kind in kinds]
    expected += [["around", *signs] for signs in shown.around]
    expected += [["x", *shown.x], ["sets", *shown.sets]]
    expected += [["mixed", shown.mixed], ["frequency", shown.frequency]]
    texts = [[str(word) for word in line] for line in expected]
    assert [line.split() for line in format_page.block("example-bit")] == texts
