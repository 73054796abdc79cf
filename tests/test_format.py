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
from nncodec.format import header, limits, magic, source
from nncodec.format.axes import COMMON_AXES
from nncodec.format.source_fields import pack_source
from nncodec.model import contexts, coverage, fixed_point, schedule
from nncodec.model.adaptive import learner, mixer, weights
from nncodec.model.adaptive.learning_rates import LARGEST_RATES
from nncodec.model.adaptive.start import LARGEST_MIXER_WEIGHT, LARGEST_WEIGHT, untrained
from nncodec.model.network import operations
from tests import (
    format_page,
    reference_decoder,
    reference_model_file,
    reference_network_rules,
    reference_numbers,
)
from tests.golden import ROOT, page
from tests.sample_networks import causal_network
from tests.samples import coded, random_model
from tests.sources import source_of

EXAMPLE = ROOT / "example"
BERNOULLI = constriction.stream.model.Bernoulli(perfect=False)


def test_parameters_are_those_of_the_reference_and_of_the_package() -> None:
    printed = {name: int(value) for name, value, _ in format_page.table("| name | value | |")}
    found: dict[str, int] = {}
    references = (reference_decoder, reference_model_file, reference_numbers)
    for module in (*references, reference_network_rules):
        found |= {name: value for name, value in vars(module).items() if name in printed}
    assert found == printed
    in_package: dict[str, int] = {}
    for module in (limits, fixed_point, schedule, contexts, coverage, learner, weights):
        in_package |= {name: value for name, value in vars(module).items() if name in printed}
    assert in_package.items() <= printed.items()
    assert set(printed) == set(in_package)


def test_every_parameter_of_the_page_has_a_value() -> None:
    printed = {name for name, *_ in format_page.table("| name | value | |")}
    prose = re.sub(r"```.*?```", "", format_page.TEXT, flags=re.DOTALL)
    used = set(re.findall(r"\b[A-Z]+_[A-Z_]+\b|\bBLOCK\b|\bDOUBT\b|\bHANDOVER\b", prose))
    lists = {"CHANNEL_TAPS", "AROUND_TAPS", "AROUND_STEPS", "MOTION_TAPS", "FRAME_TENTHS"}
    lists |= {"DECISION_TAPS", "DECISION_START"}
    assert used - lists == printed


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
    (begin,) = re.findall(r"magic: ((?:[0-9A-F]{2} ?){6})", format_page.TEXT)
    assert bytes.fromhex(begin) == magic.MAGIC
    assert "| 1 | version: 1 |" in format_page.TEXT
    assert header.VERSION == 1


def test_sources_are_the_packages() -> None:
    dtypes = tuple(" ".join(format_page.block("dtypes")).split())
    assert dtypes == source.DTYPES == reference_decoder.DTYPES
    rows = {what.split(":")[0]: what for *_, what in format_page.table("| byte | bits | what |")}
    assert tuple(format_page.code(rows["form"])) == source.FORMATS == reference_decoder.FORMS
    assert tuple(format_page.code(rows["axes"])) == COMMON_AXES == reference_decoder.AXES
    assert tuple(format_page.code(rows["values"])) == source.VALUES == reference_decoder.VALUES
    assert ("", *format_page.code(rows["name"])) == reference_decoder.NAMES
    for name, number in (("", 0), ("codes", 1), ("arr_0", 2), ("x", 3)):
        packed = pack_source(source_of("npz", name=name))
        assert packed[0] >> 6 == number
    assert f"at most {limits.MAX_NAME_BYTES}, and so many bytes of UTF-8" in format_page.TEXT


def test_tables_are_those_of_the_recipes() -> None:
    frequencies = fixed_point.logistic_table().tolist()
    assert frequencies == reference_numbers.frequencies()
    values = {f"F({z - 3072})": value for z, value in enumerate(frequencies)}
    stored = np.array(frequencies, dtype="<i4").tobytes()
    (_, _, printed), *lines = [line.split() for line in format_page.block("tables")]
    assert hashlib.sha256(stored).hexdigest() == printed
    for name, value in lines:
        assert values[name] == int(value)


def test_tanh_is_that_of_real_numbers_but_for_the_rounding_of_f() -> None:
    z = np.arange(-2000, 2001)
    found = np.array([reference_numbers.tanh_of(value) for value in z.tolist()])
    assert abs(found - 65536 * np.tanh(z / 256)).max() < 2
    np.testing.assert_array_equal(found, -found[::-1])
    assert (np.diff(found) >= 0).all()


def test_lists_are_the_packages() -> None:
    channel, around = format_page.taps("channel-taps"), format_page.taps("around-taps")
    motion, (tenths,) = format_page.taps("motion-taps"), format_page.numbers("frame-tenths")
    assert tuple(channel) == contexts.CHANNEL_TAPS
    assert tuple(around) == contexts.AROUND_TAPS
    assert tuple(motion) == contexts.MOTION_TAPS
    assert tuple(tenths) == mixer.FRAME_TENTHS
    assert channel == reference_numbers.CHANNEL_TAPS
    assert channel[:8] == reference_numbers.PAIRS
    assert around == reference_numbers.AROUND_TAPS
    steps = [step for row in format_page.numbers("around-steps") for step in row]
    assert tuple(steps) == contexts.AROUND_STEPS
    assert steps == reference_numbers.AROUND_STEPS
    assert len(steps) == len(around)
    assert motion == reference_numbers.MOTION_TAPS
    assert tuple(tenths) == reference_numbers.FRAME_TENTHS
    decision, (start,) = format_page.taps("decision-taps"), format_page.numbers("decision-start")
    assert decision == reference_numbers.DECISION_TAPS
    assert tuple(decision) == coverage.DECISION_TAPS
    assert tuple(start) == coverage.DECISION_START == reference_numbers.DECISION_START


def test_operations_are_the_packages() -> None:
    """By the text that a model file would hold."""
    (rules,) = re.findall(
        r"    sum\(weights, o\) = .*?\nAn operation is", format_page.TEXT, re.DOTALL
    )
    network = causal_network(2, 3)
    for form in network.sizes()["operations"]:
        kind = form.pop("operation")
        (named,) = re.findall(rf"^    {kind}  \((.*?)\)", rules, re.MULTILINE)
        assert format_page.code(named) == list(form)
        assert set(form) == set(reference_network_rules.VALUES[kind])
    (lines,) = re.findall(r"by `activation`:((?:.*\n){3})", rules)
    names = [line.split()[0] for line in lines.splitlines()]
    assert tuple(names) == operations.ACTIVATIONS
    assert tuple(re.findall(r'"(\w+)"', rules)) == operations.STEPS


def test_tables_are_the_packages() -> None:
    for name, lines in page.tables().items():
        assert format_page.block(name) == lines
        copied = getattr(reference_numbers, name.replace("-", "_").upper())
        assert copied.splitlines() == ["", *lines]


def test_untrained_model_is_the_packages() -> None:
    start = untrained(20, 5)
    groups = [0, 1, 2, 2, 3, 3, 3, 3, *[4] * 12]
    rates, half_lives = format_page.numbers("rates"), format_page.numbers("half-lives")
    shared = np.array(" ".join(format_page.block("start-weights")).split(), dtype=int)
    assert start.rates.tolist() == [[row[group] for row in rates] for group in groups]
    assert start.half_lives.tolist() == [[row[group] for row in half_lives] for group in groups]
    rows = shared.reshape(4, 31)[[0, 1, 2, *[3] * 17]]
    np.testing.assert_array_equal(start.shared, rows)
    assert (start.mixers[..., 0] << 8 == 1 << 24).all()
    others = (start.units, start.around, start.mixers[..., 1:], start.sets)
    assert not any(array.any() for array in others)
    plain = {name: array.tolist() for name, array in start.arrays().items()}
    assert reference_numbers.untrained(20, 5) == plain


@pytest.mark.parametrize("channels", [3, 64, 70, 131])
@pytest.mark.parametrize("network", [False, True])
def test_arrays_of_a_model_are_as_printed(channels: int, network: bool) -> None:
    model = random_model(2, channels, network=network)
    blocks = -(-channels // 64)
    sizes = {"L": 2, "D": channels, "B": -(-channels // blocks), "M": 6 + network}

    def shape_of(formula: str, sizes: dict[str, int]) -> tuple[int, ...]:
        formula = formula.replace("(+ 1 with a network)", f"+ {int(network)}")
        formula = formula.replace("(+ B if D > BLOCK)", "+ B" if channels > 64 else "")
        shape: tuple[int, ...] = eval(f"({formula})", {}, sizes)
        return shape

    printed = {}
    for name, kind, shape, _ in format_page.table("| array | type | shape | values |"):
        printed[name.strip("`")] = f"int{kind[1:]}", shape_of(shape, sizes)
    if model.network:
        inputs = {0: channels, 1: 2 + channels}
        for number, one in enumerate(model.network.operations):
            own = sizes | {"I": inputs[number], "S": 1 + number, "T": 1 + number, "O": 2, "U": 1}
            of = ""
            for first, names, kind, shape in format_page.table("| of | array | type | shape |"):
                of = first.strip("`") or of
                for name in format_page.code(names) if of == one.kind else []:
                    form = f"int{kind[1:]}", shape_of(shape, own)
                    printed[f"network.{number}.{name}"] = form
    assert printed == {
        name: (str(array.dtype), array.shape) for name, array in model.arrays().items()
    }


def test_limits_of_a_start_are_the_packages() -> None:
    rows = format_page.table("| array | type | shape | values |")
    values = {name.strip("`"): what for name, *_, what in rows}
    assert values["start.units"].startswith(f"-{LARGEST_WEIGHT} ... {LARGEST_WEIGHT}, 14 ")
    assert weights.UNIT_BITS == 14
    mixed = f"-{LARGEST_MIXER_WEIGHT} ... {LARGEST_MIXER_WEIGHT}, 16 fractional bits"
    assert values["start.mixers"] == mixed


def test_kinds_of_rates_are_the_packages() -> None:
    table = format_page.table("| kind | weights | largest rate | half-life |")
    largest = [power.split("^") for *_, power, _ in table]
    assert [int(kind) for kind, *_ in table] == [*range(10)]
    assert [int(base) ** int(exponent) for base, exponent in largest] == LARGEST_RATES.tolist()
    assert tuple(LARGEST_RATES.tolist()) == reference_numbers.LARGEST_RATES
    lives = [int(life) for *_, life in table]
    assert tuple(lives) == reference_numbers.HALF_LIFE_OF_KIND


# --- the example -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data() -> bytes:
    fields = [line[:18] for line in format_page.block("example")]
    return bytes.fromhex(" ".join(fields))


@pytest.fixture(scope="module")
def codes() -> npt.NDArray[np.uint8]:
    lines = format_page.block("example-bits")
    bits = [int(bit) for line in lines for bit in "".join(line.split()[6:])]
    return np.array(bits, dtype=np.uint8).reshape(2, 3, 3, 4, 3)


def test_example_is_the_golden_file(data: bytes, codes: npt.NDArray[np.uint8]) -> None:
    assert data == (EXAMPLE / "bitstream.bin").read_bytes()
    np.testing.assert_array_equal(codes, np.load(EXAMPLE / "codes.npy"))
    np.testing.assert_array_equal(nncodec.decode(data), codes)


def test_example_is_what_the_reference_makes() -> None:
    for name, lines in page.example_blocks().items():
        assert format_page.block(name) == lines, name


def test_example_has_the_header_that_is_explained(
    data: bytes, codes: npt.NDArray[np.uint8]
) -> None:
    header = nncodec.read_header(data)
    assert header.shape == codes.shape
    assert header.sequence
    assert header.source == source_of("npz", "nchw", "|i1", values="signed", name="bits")
    (segment,) = header.segments
    payload = data[-segment.byte_length :]
    assert (segment.layers, segment.stored) == (2, False)
    packed, checksum, continued = (
        line.split()[-1] for line in format_page.block("example-checksum")
    )
    assert packed == np.packbits(codes).tobytes().hex()
    assert int(checksum, 16) == zlib.crc32(bytes.fromhex(packed))
    assert int(continued, 16) == zlib.crc32(payload, int(checksum, 16)) == segment.checksum


def test_example_has_the_frequencies_and_weights_that_are_printed(
    codes: npt.NDArray[np.uint8],
) -> None:
    frequencies, stage = coded(codes, sequence=True)
    printed = [f for row in format_page.numbers("example-frequencies") for f in row]
    assert frequencies.ravel().tolist() == printed
    # The sets and the weights of frames are no part of what is learned for a start.
    learned = {name: array.sum() for name, array in stage.learned().items()}
    lines = [line.split() for line in format_page.block("example-weights")]
    sums = {name: int(value) for name, value in lines}
    saturated = (sums["known"] + sums["surprise"] + sums["before"]) / (1 << 14)
    assert learned["units"] == saturated + sums["constant"] / (1 << 24)
    assert learned["around"] == sums["around"] / (1 << 14)


def test_example_is_decoded_as_constriction_does(data: bytes, codes: npt.NDArray[np.uint8]) -> None:
    """The numbers of its range coder are those of the page; it keeps where the range begins too."""
    frequencies = [f for row in format_page.numbers("example-frequencies") for f in row]
    encoder = constriction.stream.queue.RangeEncoder()
    _, *lines = [line.split() for line in format_page.block("example-trace")]
    traced = {int(number): rest for number, *rest in lines}
    ranges: list[str] = []
    for value, expected in zip(codes.ravel().tolist(), frequencies, strict=True):
        ranges.append(f"{encoder.pos()[1][1]:016x}")
        probability = np.array([expected / 65536])
        encoder.encode(np.array([value], dtype=np.int32), BERNOULLI, probability)
    assert len(traced) > 16
    for number, (index, *_, frequency, bit, size, _) in traced.items():
        place = tuple(map(int, index.split(",")))
        assert np.ravel_multi_index(place, codes.shape) == number
        assert (int(frequency), int(bit)) == (frequencies[number], codes[place])
        assert size == ranges[number]
    payload = data[-nncodec.read_header(data).segments[0].byte_length :]
    words = np.frombuffer(payload + bytes(-len(payload) % 4), dtype=">u4").astype(np.uint32)
    decoder = constriction.stream.queue.RangeDecoder(words)
    bits = decoder.decode(BERNOULLI, np.array(frequencies) / 65536)
    np.testing.assert_array_equal(bits, codes.ravel())
