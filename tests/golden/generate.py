"""Writes the golden files that are missing: python -m tests.golden.generate

Names of cases may follow, if only those shall be made. Files that exist stay as they are: a version
that was published never changes. To make a case anew before its version is published, delete its
folder first. What FORMAT.md has computed, `python -m tests.golden.page` renews, before that.
"""

import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import numpy.typing as npt

from nncodec.coding.codec import Encoded, encode_source
from nncodec.coding.many import Coding, encode_members
from nncodec.files.extras import pack_extras
from nncodec.files.model_files import load_model, read_model, save_model
from nncodec.format.code_tensor import mark_absent
from nncodec.format.container import read_container
from nncodec.format.header import Header
from nncodec.format.members import Member
from nncodec.format.source import ArraySource, CoverageSource, Source
from nncodec.model.adaptive.start import untrained
from nncodec.model.model import Model
from nncodec.model.packing import pack_embedded
from nncodec.training.data import synthetic
from tests.golden import ROOT
from tests.reference_model import Prediction, ReferenceStage
from tests.sample_networks import causal_network, small_network
from tests.samples import plain_network, plain_start, random_model, random_start
from tests.sources import source_of

Codes = npt.NDArray[np.uint8]

COVERAGE_OF_ONE = CoverageSource("<i4", (False, True, True))
"""The coverage of one picture, without its axis."""


def smooth(*shape: int) -> Codes:
    """Codes whose neighbours agree, from integers alone, so that every machine makes the same."""
    *_, height, width, depth = shape
    layer, picture, row, column, channel = np.indices(shape)
    wave = (channel * 7 + layer * 5 + picture * 3 + 11) * (row + 2) // 3 + column * (channel + 3)
    grain = (row * 31 + column * 17 + channel * 13 + layer * 7 + picture * 5) * 2654435761 % 997
    period = 2 * (height + width + depth)
    return np.asarray((wave % period < period // 2) ^ (grain < 60), dtype=np.uint8)


def noise(*shape: int) -> Codes:
    """Incompressible codes, by a linear congruence."""
    state, bits = 12345, []
    for _ in range(int(np.prod(shape))):
        state = (state * 1103515245 + 12345) % (1 << 31)
        bits.append(state >> 30)
    return np.array(bits, dtype=np.uint8).reshape(shape)


def partly_noise() -> Codes:
    return np.concatenate([smooth(1, 1, 16, 16, 16), noise(1, 1, 16, 16, 16)])


def film(*shape: int) -> Codes:
    """Frames that resemble those before, the less the later, until the scene changes."""
    frame = np.arange(shape[1])
    scenes = smooth(*shape)[:, frame - frame % 4]
    grain = np.stack([np.roll(noise(*shape), shift) for shift in range(4)])
    flipped = [grain.min(axis=0), grain[:3].min(axis=0), grain[:2].min(axis=0), 1 - grain[0]]
    for number, flips in enumerate(flipped):
        scenes[:, number::4] ^= flips[:, number::4]
    return scenes


def ramp(*shape: int) -> Codes:
    """Codes with a straight edge that moves, few enough for a page."""
    layer, picture, row, column, channel = np.indices(shape)
    return np.asarray(column + 2 * channel > row + 2 * layer + picture + 1, dtype=np.uint8)


def synthetic_sample() -> Codes:
    """A small sample of the synthetic codes, in layers of 2 bits."""
    sample = synthetic.generate_sample(shape=(16, 20, 8))
    layers = np.moveaxis(sample.reshape(1, 16, 20, 4, 2), 3, 0)
    return np.ascontiguousarray(layers)


def ending(codes: Codes, *, least: int = 0, most: int | None = None) -> Codes:
    """Codes of which positions end early: at a slant, with some that differ."""
    layers, pictures, height, width, _ = codes.shape
    picture, row, column = np.indices((pictures, height, width))
    span = (layers if most is None else most) - least + 1
    slant = (2 * row + column + 3 * picture) * span // (2 * height + width + 3 * pictures)
    differ = (5 * row + 3 * column + picture) % 7 == 0
    return mark_absent(codes, least + np.where(differ, span - 1 - slant, slant))


def limits() -> Model:
    """A model whose weights are at their limits, so that much is clamped."""
    start = random_start(2, 6, 0, with_network=True, extreme=True)
    return Model(start, causal_network(2, 6, gain=8))


def expected(model: Model, *shape: int, sequence: bool = False) -> Codes:
    """Codes that a model finds likely, but for one in 41."""
    layers, pictures, height, width, channels = shape
    start, network = plain_start(model.start), plain_network(model.network)
    sizes = (layers, pictures, height, width, channels)
    bits: list[int] = []

    def likely(prediction: Prediction) -> int:
        bits.append(int(prediction.frequency >= 1 << 15) ^ int(len(bits) % 41 == 0))
        return bits[-1]

    ReferenceStage(sizes, start, network, sequence=sequence).run(likely)
    return np.array(bits, dtype=np.uint8).reshape(shape)


def deep_model() -> Model:
    """A model of two blocks, the last of them shorter."""
    plain = random_model(2, 67, network=False)
    start = untrained(2, 67, with_network=True)
    units = start.units.copy()
    units[..., :-1] = plain.start.units
    return Model(replace(start, units=units), small_network(2, 67, gain=0.1))


def network_model() -> Model:
    """A model with operations of every kind, which see all that they may."""
    return replace(random_model(4, 8), network=causal_network(4, 8, gain=0.5))


@dataclass(frozen=True)
class Case:
    """What a golden folder is made from.

    Attributes:
        codes: makes the code tensor.
        sequence: whether its pictures are frames.
        source: what the code file was.
        model: makes the model, if there is one; what lies in the folder counts afterwards.
        embed: whether the container holds the model too.
        shipped: the name of a model that ships, if it is one: the folder has no copy of it.
        more: makes the tensors that follow, each a member of its own; none of a plain container.
        names: of all members, if they have any.
        group: how many pictures are coded together.
        one_file: whether all tensors are of one member.
    """

    codes: Callable[[], Codes]
    sequence: bool = False
    source: Source = field(default_factory=Source)
    model: Callable[[], Model] | None = None
    embed: bool = False
    shipped: str = ""
    more: Callable[[], list[Codes]] = list
    names: tuple[str, ...] = ()
    group: int = 0
    one_file: bool = False

    def arrays(self) -> list[Codes]:
        """All tensors."""
        return [self.codes(), *self.more()]

    def members(self) -> list[Member]:
        """What the container says of each."""
        arrays = self.arrays()
        if self.one_file:
            return [Member(tuple(codes.shape[1] for codes in arrays), self.source)]
        names = self.names or ("",) * len(arrays)
        sources = [self.source, *[Source()] * (len(arrays) - 1)]
        return [
            Member((codes.shape[1],), source, name)
            for codes, source, name in zip(arrays, sources, names, strict=True)
        ]


CASES = {
    "tensor": Case(lambda: smooth(3, 1, 12, 10, 8)),
    "packed-nhwc": Case(lambda: smooth(4, 1, 9, 14, 32), source=source_of("packed", dtype="<i8")),
    "packed-nchw": Case(
        lambda: smooth(4, 1, 9, 14, 32), source=source_of("packed", "lnchw", "<i8")
    ),
    "packed-named": Case(
        lambda: smooth(2, 1, 7, 9, 6),
        source=Source(
            (ArraySource("packed", "lchw", ">u2", "lsb", name="bits", shape_name="size of bits"),),
            pack_extras({"quality": b"no matter what"}),
        ),
    ),
    "npy-float-signed": Case(
        lambda: smooth(2, 1, 7, 9, 6), source=source_of("npy", "chw", ">f4", values="signed")
    ),
    "npz-named": Case(
        lambda: smooth(1, 3, 7, 9, 6), source=source_of("npz", "nhwc", "|b1", name="bits")
    ),
    "npz-codes": Case(
        lambda: smooth(3, 2, 6, 8, 5),
        source=source_of("npz", "nchw", ">f8", values="signed", name="codes"),
    ),
    "npz-arr_0": Case(
        lambda: smooth(2, 1, 7, 9, 6), source=source_of("npz", dtype="<u2", name="arr_0")
    ),
    "npz-without-name": Case(lambda: smooth(2, 1, 7, 9, 6), source=source_of("npz", "hwc", ">i8")),
    "flat-pair": Case(
        lambda: smooth(2, 3, 4, 5, 6),
        source=source_of(
            "flat", "nhwc", "<f2", values="pair", patterns=b"\0\x80\0\0", shape_dtype="<i4"
        ),
    ),
    "tensor-frames": Case(
        lambda: smooth(1, 6, 5, 4, 3),
        source=Source((ArraySource("tensor", "tcnwh", "bfloat16", "signed", frames=2),)),
    ),
    "safetensors-tokens": Case(
        lambda: smooth(3, 9, 1, 1, 10),
        source=source_of("safetensors", "tlc", "<i2", values="lsb", name="tokens"),
    ),
    "npy-vectors": Case(
        lambda: smooth(1, 30, 1, 1, 12), source=source_of("npy", "nc", "<u8", values="msb")
    ),
    "batch": Case(lambda: smooth(2, 5, 20, 16, 8)),
    "many-pictures": Case(lambda: smooth(2, 90, 2, 3, 4)),
    "one-segment": Case(lambda: smooth(8, 1, 6, 7, 2)),
    "uneven-segments": Case(lambda: smooth(11, 1, 5, 8, 10)),
    "stored": Case(lambda: noise(1, 1, 8, 8, 8)),
    "stored-layers": Case(lambda: noise(3, 1, 4, 5, 6)),
    "partly-stored": Case(partly_noise),
    "constant": Case(lambda: np.ones((2, 1, 16, 16, 8), dtype=np.uint8)),
    "deep": Case(lambda: smooth(2, 1, 5, 6, 100)),
    "three-blocks": Case(lambda: smooth(2, 1, 3, 4, 130)),
    "one-column": Case(lambda: smooth(2, 1, 40, 1, 4)),
    "one-channel": Case(lambda: smooth(4, 1, 24, 32, 1)),
    "one-position": Case(lambda: smooth(12, 1, 1, 1, 24)),
    "one-bit": Case(lambda: smooth(1, 1, 1, 1, 1)),
    "start": Case(lambda: smooth(2, 1, 12, 10, 8), model=lambda: random_model(3, 8, network=False)),
    "network": Case(lambda: smooth(3, 2, 9, 14, 8), model=network_model),
    "deep-network": Case(lambda: smooth(2, 1, 4, 6, 67), model=deep_model),
    "limits": Case(lambda: expected(limits(), 2, 6, 9, 8, 6), model=limits),
    "embedded": Case(lambda: smooth(2, 1, 7, 9, 5), model=lambda: random_model(2, 5), embed=True),
    "embedded-start": Case(
        lambda: smooth(3, 1, 9, 12, 8), model=lambda: random_model(3, 8, network=False), embed=True
    ),
    "sequence": Case(lambda: film(3, 9, 7, 8, 12), sequence=True),
    "sequence-start": Case(
        lambda: film(2, 5, 6, 8, 8), sequence=True, model=lambda: random_model(3, 8, network=False)
    ),
    "sequence-network": Case(lambda: film(3, 5, 6, 8, 8), sequence=True, model=network_model),
    "sequence-embedded": Case(
        lambda: film(2, 5, 6, 8, 5), sequence=True, model=lambda: random_model(2, 5), embed=True
    ),
    "sequence-limits": Case(
        lambda: expected(limits(), 2, 6, 9, 8, 6, sequence=True), sequence=True, model=limits
    ),
    "deep-sequence": Case(lambda: film(2, 6, 2, 3, 70), sequence=True),
    # The one that FORMAT.md explains byte by byte.
    "example": Case(
        lambda: ramp(2, 3, 3, 4, 3),
        sequence=True,
        source=source_of("npz", "nchw", "|i1", values="signed", name="bits"),
    ),
    "sizes": Case(
        lambda: smooth(3, 2, 5, 7, 8),
        more=lambda: [smooth(3, 1, 6, 3, 8), smooth(3, 3, 2, 9, 8), smooth(3, 2, 2, 9, 8)],
    ),
    "groups": Case(
        lambda: smooth(4, 1, 9, 8, 16),
        more=lambda: [smooth(4, pictures, 9, 8, 16) for pictures in (1, 5, 2)],
        source=source_of("npz", "nchw", "|i1", values="signed", name="bits"),
        names=("a/first.npz", "a/b/second.npy", "third", "\u00fc.npy"),
        group=3,
    ),
    "scales": Case(
        lambda: smooth(2, 1, 1, 1, 8),
        more=lambda: [smooth(2, 1, 2, 2, 8), smooth(2, 1, 4, 4, 8), smooth(2, 2, 4, 4, 8)],
        source=Source(
            tuple(
                ArraySource("npz", axes, "|i1", "signed", name=name)
                for axes, name in (("lc", "1"), ("lhwc", "2"), ("lchw", "4"), ("lnhwc", "two"))
            ),
            pack_extras({"quality": b"no matter what"}),
        ),
        one_file=True,
    ),
    "groups-of-sizes": Case(
        lambda: film(2, 4, 6, 5, 12),
        more=lambda: [film(2, 2, 6, 5, 12), film(2, 6, 3, 7, 12), film(2, 1, 6, 5, 12)],
        sequence=True,
        group=5,
    ),
    "sizes-network": Case(
        lambda: film(3, 3, 6, 9, 8),
        more=lambda: [film(3, 2, 9, 4, 8), film(3, 2, 2, 7, 8), film(3, 3, 5, 9, 8)],
        sequence=True,
        model=network_model,
    ),
    "early": Case(lambda: ending(smooth(5, 2, 12, 10, 8), most=4)),
    "early-after-some": Case(
        lambda: ending(smooth(4, 1, 11, 9, 24), least=2),
        source=Source((ArraySource("packed", dtype="<i8", coverage=COVERAGE_OF_ONE),)),
    ),
    "early-stored": Case(lambda: ending(noise(3, 1, 130, 100, 1), least=1)),
    "early-handover": Case(lambda: ending(smooth(3, 1, 80, 60, 2))),
    "early-everywhere": Case(
        lambda: ending(smooth(6, 1, 7, 5, 12), least=2, most=2),
        source=Source((ArraySource("npz", name="bits", coverage=CoverageSource(name="depth")),)),
    ),
    "early-nothing": Case(lambda: ending(smooth(3, 1, 4, 5, 6), most=0)),
    "early-deep": Case(lambda: ending(smooth(3, 1, 5, 6, 67))),
    "early-network": Case(lambda: ending(smooth(3, 2, 9, 14, 8)), model=network_model),
    "early-sequence": Case(lambda: ending(film(3, 6, 7, 8, 8)), sequence=True),
    "early-sequence-network": Case(
        lambda: ending(film(3, 5, 6, 8, 8)), sequence=True, model=network_model
    ),
    "early-groups": Case(
        lambda: ending(smooth(3, 2, 9, 8, 8)),
        more=lambda: [
            smooth(3, 2, 5, 8, 8),
            ending(smooth(3, 2, 5, 4, 8), most=0),
            ending(smooth(3, 2, 5, 4, 8), least=2),
        ],
        group=2,
    ),
    "kodak-rnn": Case(lambda: smooth(4, 1, 7, 9, 32), shipped="kodak-rnn"),
    "progressive8x32": Case(lambda: smooth(5, 1, 7, 9, 32), shipped="progressive8x32"),
    "synthetic": Case(synthetic_sample, shipped="synthetic"),
}


def encoded(name: str) -> Encoded:
    """What the encoder makes of a case today, with the model in its folder."""
    case = CASES[name]
    model = load_model(case.shipped) if case.shipped else None
    if case.model:
        model = read_model(ROOT / name / "model.safetensors")
    embedded = b""
    container = ROOT / name / "bitstream.bin"
    if case.embed and container.exists():
        # How zlib packs is its own affair, and differs by version.
        embedded = read_container(io.BytesIO(container.read_bytes())).model
    elif case.embed and model:
        embedded = pack_embedded(model)
    if case.more is not list:
        coding = Coding(model, embedded, case.sequence, case.group)
        arrays = case.arrays()
        parts = [arrays] if case.one_file else [[codes] for codes in arrays]
        return encode_members(zip(case.members(), parts, strict=True), coding)
    return encode_source(
        case.codes(), case.source, model=model, embedded=embedded, sequence=case.sequence
    )


def is_golden(name: str, data: bytes) -> bool:
    """Whether a container is that of a case, whatever zlib made of its members."""
    kept = (ROOT / name / "bitstream.bin").read_bytes()
    if CASES[name].more is list:
        return data == kept
    return read_container(io.BytesIO(data)) == read_container(io.BytesIO(kept))


def header_facts(header: Header) -> dict[str, object]:
    """What header.json holds."""
    facts = asdict(header)
    facts["model_id"] = header.model_id.hex()
    # What most cases have not:
    for group in facts["groups"]:
        if group["decisions"] is None:
            del group["decisions"]
        if not group["held"]:
            del group["held"]
    for one in (facts, *facts["members"]):
        for array in one["source"]["arrays"]:
            if array["coverage"] is None:
                del array["coverage"]
    return json.loads(json.dumps(facts, default=bytes.hex))  # type: ignore[no-any-return]


def main(names: Sequence[str]) -> None:
    """Writes the cases that have no folder yet, or those of them that are named."""
    for name in names or CASES:
        case, folder = CASES[name], ROOT / name
        if folder.exists():
            continue
        if case.model:
            folder.mkdir(parents=True)
            save_model(case.model(), folder / "model.safetensors")
        made = encoded(name)
        folder.mkdir(parents=True, exist_ok=True)
        if case.more is list:
            np.save(folder / "codes.npy", case.codes())
        else:
            np.savez(folder / "codes.npz", *case.arrays())
        (folder / "bitstream.bin").write_bytes(made.data)
        facts = json.dumps(header_facts(made.header), indent=1)
        (folder / "header.json").write_text(facts + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
