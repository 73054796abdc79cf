"""Writes the golden files that are missing: python -m tests.golden.generate

Files that exist stay as they are: a version that was published never changes. To make a case anew
before its version is published, delete its folder first.
"""

import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np
import numpy.typing as npt

from nncodec.codec import Encoded, encode_source
from nncodec.container import Header, read_container
from nncodec.model_choice import pack_embedded
from nncodec.model_files import read_model, save_model
from nncodec.models import Model
from nncodec.source import Source
from tests.golden import ROOT
from tests.samples import random_model

Codes = npt.NDArray[np.uint8]


def smooth(*shape: int) -> Codes:
    """Codes whose neighbours agree, from integers alone, so that every machine makes the same."""
    *_, height, width, depth = shape
    layer, image, row, column, channel = np.indices(shape)
    wave = (channel * 7 + layer * 5 + image * 3 + 11) * (row + 2) // 3 + column * (channel + 3)
    grain = (row * 31 + column * 17 + channel * 13 + layer * 7 + image * 5) * 2654435761 % 997
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


@dataclass(frozen=True)
class Case:
    """What a golden folder is made from.

    Attributes:
        codes: makes the code tensor.
        source: what the code file was.
        model: makes the model, if there is one; what lies in the folder counts afterwards.
        embed: whether the container holds the model too.
    """

    codes: Callable[[], Codes]
    source: Source = field(default_factory=Source)
    model: Callable[[], Model] | None = None
    embed: bool = False


CASES = {
    "tensor": Case(lambda: smooth(3, 1, 12, 10, 8)),
    "packed-nhwc": Case(lambda: smooth(4, 1, 9, 14, 32), Source("packed", dtype="<i8")),
    "packed-nchw": Case(lambda: smooth(4, 1, 9, 14, 32), Source("packed", "nchw", dtype="<i8")),
    "npy-float-signed": Case(
        lambda: smooth(2, 1, 7, 9, 6),
        Source("npy", "nchw", 3, ">f4", signed=True),
    ),
    "npz-named": Case(lambda: smooth(1, 3, 7, 9, 6), Source("npz", "nhwc", 4, "|b1", name="bits")),
    "batch": Case(lambda: smooth(2, 5, 20, 16, 8)),
    "one-segment": Case(lambda: smooth(8, 1, 6, 7, 2)),
    "stored": Case(lambda: noise(1, 1, 8, 8, 8)),
    "partly-stored": Case(partly_noise),
    "constant": Case(lambda: np.ones((2, 1, 16, 16, 8), dtype=np.uint8)),
    "deep": Case(lambda: smooth(2, 1, 5, 6, 100)),
    "one-column": Case(lambda: smooth(2, 1, 40, 1, 4)),
    "one-bit": Case(lambda: smooth(1, 1, 1, 1, 1)),
    "start": Case(lambda: smooth(2, 1, 12, 10, 8), model=lambda: random_model(3, 8, network=False)),
    "network": Case(lambda: smooth(3, 2, 9, 14, 8), model=lambda: random_model(4, 8)),
    "embedded": Case(lambda: smooth(2, 1, 7, 9, 5), model=lambda: random_model(2, 5), embed=True),
}


def encoded(name: str) -> Encoded:
    """What the encoder makes of a case today, with the model in its folder."""
    case = CASES[name]
    model = read_model(ROOT / name / "model.safetensors") if case.model else None
    embedded = b""
    container = ROOT / name / "bitstream.bin"
    if case.embed and container.exists():
        # How zlib packs is its own affair, and differs by version.
        embedded = read_container(io.BytesIO(container.read_bytes())).model
    elif case.embed and model:
        embedded = pack_embedded(model)
    return encode_source(case.codes(), case.source, model=model, embedded=embedded)


def header_facts(header: Header) -> dict[str, object]:
    """What header.json holds."""
    facts = asdict(header)
    facts["model_id"] = header.model_id.hex()
    return json.loads(json.dumps(facts))  # type: ignore[no-any-return]


def main() -> None:
    """Writes every case that has no folder yet."""
    for name, case in CASES.items():
        folder = ROOT / name
        if folder.exists():
            continue
        folder.mkdir(parents=True)
        if case.model:
            save_model(case.model(), folder / "model.safetensors")
        made = encoded(name)
        np.save(folder / "codes.npy", case.codes())
        (folder / "bitstream.bin").write_bytes(made.data)
        facts = json.dumps(header_facts(made.header), indent=1)
        (folder / "header.json").write_text(facts + "\n")


if __name__ == "__main__":
    main()
