"""Renews what FORMAT.md has computed: python -m tests.golden.page

That is its tables of section 11, which are the package's, and its example in section 14, which is
the reference's. The tables go into tests/reference_numbers.py too. Before a version is published,
this makes everything anew that hangs on its numbers:

    python -m tests.golden.page && rm -r tests/golden/v1 && python -m tests.golden.generate
"""

import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tests.reference_numbers
from nncodec.model.adaptive.learning_rates import UNTRAINED
from nncodec.model.adaptive.untrained_weights import START_WEIGHTS
from tests import format_page
from tests.golden.generate import CASES
from tests.reference_decoder import RangeDecoder, RangeEncoder, pack
from tests.reference_model import Prediction, ReferenceStage, Shape

NUMBERS = Path(tests.reference_numbers.__file__)

LAYERS_OF_GROUPS = [0, 1, 2, 4, 8]
"""The first layer of each of the columns of `rates` and `half-lives`."""

EXPLAINED_BIT = 200


def tables() -> dict[str, list[str]]:
    """The blocks of section 11."""
    rates, half_lives = UNTRAINED.of_layers(LAYERS_OF_GROUPS[-1] + 1)
    weights: list[str] = []
    for row in START_WEIGHTS.tolist():
        weights += [""] * bool(weights)
        weights += [" ".join(map(str, row[:19])), " ".join(map(str, row[19:]))]
    return {
        "start-weights": weights,
        "rates": _columns(rates[LAYERS_OF_GROUPS].T.tolist(), 7),
        "half-lives": _columns(half_lives[LAYERS_OF_GROUPS].T.tolist(), 5),
    }


def _columns(rows: list[list[int]], width: int) -> list[str]:
    return [" ".join(f"{number:{width}}" for number in row) for row in rows]


def renew_tables() -> None:
    """Writes the tables to the page and to the reference."""
    page, numbers = format_page.PATH.read_text(), NUMBERS.read_text()
    for name, lines in tables().items():
        page = format_page.with_block(page, name, lines)
        constant = name.replace("-", "_").upper()
        text = "".join(f"{line}\n" for line in lines)
        numbers, count = re.subn(
            rf'^{constant} = """\n.*?^"""$',
            f'{constant} = """\n{text}"""',
            numbers,
            flags=re.DOTALL | re.MULTILINE,
        )
        if count != 1:
            raise ValueError(f"the reference has no {constant}")
        setattr(tests.reference_numbers, constant, f"\n{text}")
    format_page.PATH.write_text(page)
    NUMBERS.write_text(numbers)


# --- the example -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """A bit of the example as it is decoded.

    Attributes:
        prediction: what it sees, and how it is predicted.
        value: of the bit.
        range, offset: of the range decoder, before it.
    """

    prediction: Prediction
    value: int
    range: int
    offset: int


class Example:
    """The container that section 14 explains, as the reference encodes and decodes it.

    Attributes:
        shape: of its bits.
        values: they, in tensor order.
        payload: of its one segment.
        steps: its bits as they are decoded.
        learned: the weights after the last of them, by name.
    """

    def __init__(self) -> None:
        codes = CASES["example"].codes()
        layers, pictures, rows, columns, channels = codes.shape
        self.shape: Shape = (layers, pictures, rows, columns, channels)
        self.values: list[int] = codes.ravel().tolist()
        encoder, known = RangeEncoder(), iter(self.values)

        def encode(prediction: Prediction) -> int:
            value = next(known)
            encoder.encode(value, prediction.frequency)
            return value

        self._run(encode)
        self.payload = encoder.finish()
        decoder = RangeDecoder(self.payload)
        self.steps: list[Step] = []

        def decode(prediction: Prediction) -> int:
            state = decoder.range, decoder.offset
            value = decoder.decode(prediction.frequency)
            self.steps.append(Step(prediction, value, *state))
            return value

        self.learned = self._run(decode)

    def _run(self, value_of: Callable[[Prediction], int]) -> dict[str, list[int]]:
        stage = ReferenceStage(self.shape, sequence=True)
        stage.run(value_of)
        return stage.learned()


def example_blocks() -> dict[str, list[str]]:
    """The blocks of section 14."""
    example = Example()
    return {
        "example": list(_bytes_of(example)),
        "example-bits": list(_bits(example)),
        "example-checksum": _checksum(example),
        "example-trace": list(_trace(example)),
        "example-frequencies": list(_frequencies(example)),
        "example-bit": list(_one_bit(example)),
        "example-weights": [f"{name} {sum(w)}" for name, w in example.learned.items()],
    }


def _bytes_of(example: Example) -> Iterator[str]:
    """All bytes of the container, those that belong together in a line, with what they mean."""
    layers, pictures, rows, columns, channels = example.shape
    packed, payload = pack(example.values), example.payload
    checksum = zlib.crc32(payload, zlib.crc32(packed))
    words = [payload[at : at + 4] for at in range(0, len(payload), 4)]
    body = [
        (b"\x04", "flags: a sequence; no model id, no embedded model"),
        (
            bytes(example.shape),
            f"{layers} layers, {pictures} pictures, {rows} rows, {columns} columns, "
            f"{channels} channels",
        ),
        (b"\xd9", "npz (1), axes nchw (+ 3 * 8), another name (+ 3 * 64)"),
        (b"\x21", "dtype 1, |i1; signed (+ 1 * 32)"),
        (b"\x04bits", "4 bytes: bits"),
        (b"\x04", "a segment of 2 layers, coded: 2 * 2 + 0"),
        (bytes([len(payload)]), f"its payload has {len(payload)} bytes"),
        (checksum.to_bytes(4, "little"), f"its checksum, {checksum:08X}"),
    ]
    length = sum(len(data) for data, _ in body)
    fields = [
        (b"\x8eNNC\r\n", "magic"),
        (b"\x01", "version 1"),
        (bytes([length]), f"the body has {length} bytes"),
        *body,
    ]
    framed = b"".join(data for data, _ in fields)
    fields += [
        (
            zlib.crc32(framed).to_bytes(4, "little"),
            f"CRC-32 of the {len(framed)} bytes before",
        ),
        *(
            (word, f"the payload: the word {word.hex()}" if not at else word.ljust(4, b"\0").hex())
            for at, word in enumerate(words)
        ),
    ]
    for data, meaning in fields:
        yield f"{data.hex(' '):18} {meaning}"


def _bits(example: Example) -> Iterator[str]:
    """A line for each row, a group for each position."""
    layers, pictures, rows, columns, channels = example.shape
    bits = iter(example.values)
    for line in range(layers * pictures * rows):
        layer, picture, row = line // rows // pictures, line // rows % pictures, line % rows
        groups = ["".join(str(next(bits)) for _ in range(channels)) for _ in range(columns)]
        yield f"layer {layer} picture {picture} row {row}   {' '.join(groups)}"


def _checksum(example: Example) -> list[str]:
    packed = pack(example.values)
    checksum = zlib.crc32(packed)
    continued = zlib.crc32(example.payload, checksum)
    return [
        f"packed                      {packed.hex()}",
        f"CRC-32                      {checksum:08X}",
        f"continued over the payload  {continued:08X}",
    ]


def _trace(example: Example) -> Iterator[str]:
    yield "  n index          z mixed frequency bit range            offset"
    ranges = [step.range for step in example.steps]
    word_taken = next(n for n, size in enumerate(ranges) if n and size > ranges[n - 1])
    for number in (*range(20), *range(word_taken - 3, word_taken + 3)):
        step = example.steps[number]
        prediction = step.prediction
        index = ",".join(map(str, prediction.bit))
        yield (
            f"{number:3} {index} {prediction.z:6} {prediction.mixed:5} {prediction.frequency:9} "
            f"{step.value:3} {step.range:016x} {step.offset:016x}"
        )


def _frequencies(example: Example) -> Iterator[str]:
    frequencies = [step.prediction.frequency for step in example.steps]
    for at in range(0, len(frequencies), 16):
        yield " ".join(f"{frequency:5}" for frequency in frequencies[at : at + 16])


def _one_bit(example: Example) -> Iterator[str]:
    """What a bit sees, by the names of the page."""
    step = example.steps[EXPLAINED_BIT]
    prediction = step.prediction
    yield _line("index", list(prediction.bit))
    for name in ("known", "surprise", "before"):
        yield _line(name, getattr(prediction, name))
    for name in ("around", "motion"):
        for signs in getattr(prediction, name):
            yield _line(name, signs)
    names = ["near", "agreement", "earlier_agreement", "trust", "gate", "earlier_gate"]
    for name in [*names, "gates", "earlier"]:
        yield _line(name, getattr(prediction, name))
    for name, number in prediction.sums.items():
        yield _line(name, number)
    for name in ("z", "x", "chosen", "mixed", "frequency"):
        yield _line(name, getattr(prediction, name))
    yield _line("bit", step.value)
    yield _line("error", prediction.error)
    yield _line("mixed_error", prediction.mixed_error)
    yield _line("R", prediction.rates)


def _line(name: str, numbers: Sequence[int] | int) -> str:
    listed = [numbers] if isinstance(numbers, int) else numbers
    return f"{name:17} {' '.join(map(str, listed))}".rstrip()


def main() -> None:
    """Renews the tables, then the example, which they decide."""
    renew_tables()
    page = format_page.PATH.read_text()
    for name, lines in example_blocks().items():
        page = format_page.with_block(page, name, lines)
    format_page.PATH.write_text(page)


if __name__ == "__main__":
    main()
