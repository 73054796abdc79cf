"""What a file may ask for: refused by its header, or decoded in no more memory than that says."""

import io
import json
import os
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nncodec
from nncodec.errors import BitstreamError, CodesError
from nncodec.format.container import ContainerReader, read_container
from nncodec.format.extent import Extent
from nncodec.format.groups import Group, Segment
from nncodec.format.header import Header, pack_header
from nncodec.format.limits import memory_bound, memory_of_header
from nncodec.format.source import Source
from tests.command_line import invoke
from tests.forged import Shape, framed_shape, plain_header
from tests.samples import averaged_codes

CODES = averaged_codes((3, 1, 24, 20, 8), seed=7)  # a segment for each layer
DATA = nncodec.encode(CODES, model="adaptive")


# --- refused by the header ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1 << 30, 1 << 30, 1), (1 << 60, 1, 1, 1, 1), (1, 1, 1, 1, 1 << 60), (1 << 12,) * 5],
    ids=str,
)
def test_a_tiny_file_that_claims_a_huge_tensor_is_refused_at_once(
    shape: Shape, tmp_path: Path
) -> None:
    data = framed_shape(shape)
    assert len(data) <= 48
    with pytest.raises(BitstreamError, match="is above the limit of 268435456 code bits; the file"):
        nncodec.decode(data)
    (tmp_path / "tiny.bin").write_bytes(data)
    for command in ("test", "info"):
        result = invoke(command, str(tmp_path / "tiny.bin"))
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.endswith("code bits; the file is damaged; get another copy\n")


def test_max_bits_counts_what_would_be_decoded() -> None:
    bits = CODES.size
    np.testing.assert_array_equal(nncodec.decode(DATA, max_bits=bits), CODES)
    line = (
        f"a code tensor (3, 1, 24, 20, 8) is above the limit of {bits - 1} code bits; "
        "raise --max-bits if you trust it"
    )
    with pytest.raises(CodesError) as caught:
        nncodec.decode(DATA, max_bits=bits - 1)
    assert str(caught.value) == line
    first = nncodec.decode(DATA, layers=1, max_bits=bits // 3)
    np.testing.assert_array_equal(first, CODES[:1])
    with pytest.raises(CodesError, match=r"\(1, 1, 24, 20, 8\) is above the limit of 3839 code b"):
        nncodec.decode(DATA, layers=1, max_bits=bits // 3 - 1)


def test_above_max_bits_nothing_behind_the_header_is_read() -> None:
    head = pack_header(nncodec.read_header(DATA))
    stream = io.BytesIO(DATA)
    with pytest.raises(CodesError, match="raise --max-bits"):
        read_container(stream, max_bits=100)
    assert stream.tell() == len(head)


@pytest.mark.parametrize("command", ["compress", "evaluate", "decompress", "test"])
def test_max_bits_of_the_commands(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("codes.bin").write_bytes(DATA)
    np.save("codes.npy", CODES)
    name = "codes.npy" if command in ("compress", "evaluate") else "codes.bin"
    outputs = ["new"] if "compress" in command else []
    result = invoke(command, name, *outputs, "--max-bits", str(CODES.size - 1))
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"nncodec: {name}: ")
    assert line.endswith(
        "(3, 1, 24, 20, 8) is above the limit of 11519 code bits; raise --max-bits if you trust it"
    )
    assert not Path("new").exists()
    assert invoke(command, name, *outputs, "--max-bits", str(CODES.size)).exit_code == 0
    assert invoke(command, name, *outputs, "--max-bits", "0").exit_code == 2


def test_max_bits_is_of_all_groups_that_become_one_array(tmp_path: Path) -> None:
    """Some bytes for each of many groups would take as much memory as each is allowed."""
    checksum = zlib.crc32(bytes(512 * 512 // 8))
    group = Group(1, (Segment(layers=1, stored=False, byte_length=0, checksum=checksum),))
    header = Header(Extent.of_shape((1, 64, 512, 512, 1)), Source(), b"", (group,) * 64)
    data, bits = pack_header(header), 1 << 18
    line = (
        f"a code tensor (1, 64, 512, 512, 1) in groups is above the limit of {64 * bits - 1} code "
        "bits; raise --max-bits if you trust it"
    )
    with pytest.raises(CodesError) as caught:
        nncodec.decode(data, max_bits=64 * bits - 1)
    assert str(caught.value) == line
    with nncodec.open(data, max_bits=64 * bits - 1) as lazy:
        with pytest.raises(CodesError, match=r"in groups is above the limit"):
            lazy.decode()
        with pytest.raises(CodesError, match=r"in groups is above the limit"):
            next(lazy.layers())
    path = tmp_path / "codes.bin"
    path.write_bytes(data)
    result = invoke(
        "decompress", str(path), str(tmp_path / "new.npy"), "--max-bits", str(64 * bits - 1)
    )
    assert (result.exit_code, result.stderr) == (1, f"nncodec: {path}: {line}\n")
    # Group by group it is of each; and the memory of all is counted where they come together.
    assert list(ContainerReader(io.BytesIO(data), max_bits=bits).parts())
    one = nncodec.decode(
        pack_header(replace(header, extent=Extent.of_shape((1, 1, 512, 512, 1)), groups=(group,)))
    )
    assert one.size == bits
    assert header.memory_bound > 64 * bits + memory_bound(Extent.of_shape((1, 1, 512, 512, 1)))


def test_max_bits_holds_for_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("large.bin").write_bytes(DATA)
    Path("small.bin").write_bytes(nncodec.encode(CODES[:1], model="adaptive"))
    options = ["--output-dir", "out", "--max-bits", str(CODES[:1].size), "--jobs", "1"]
    result = invoke("decompress", "large.bin", "small.bin", *options)
    assert result.exit_code == 1
    assert "nncodec: large.bin: a code tensor (3, 1, 24, 20, 8) is above the" in result.stderr
    assert [path.name for path in Path("out").iterdir()] == ["small.npy"]


# --- memory ------------------------------------------------------------------------------------

# Whatever costs most for its size: bits, positions, margins, units, segments, payloads.
ADVERSARIAL: list[tuple[Shape, int, str]] = [
    ((8, 1, 64, 64, 32), 1, "largest"),
    ((1, 1 << 18, 1, 1, 1), 1, "smallest"),
    ((1, 1 << 15, 1, 1, 64), 1, "largest"),
    ((1, 1, 1 << 17, 1, 1), 1, "largest"),
    ((1, 1, 512, 512, 1), 1, "largest"),
    ((1, 1, 1 << 12, 1, 64), 1, "smallest"),
    ((1 << 14, 1, 1, 1, 1), 1, "largest"),
    ((1, 1, 1, 1, 1 << 14), 1, "smallest"),
    ((256, 1, 1, 1, 64), 1, "stored"),
    ((8, 1024, 2, 2, 16), 3, "stored"),
    ((64, 16, 24, 24, 2), 1, "largest"),  # as many threads as there may be
    ((9, 1 << 12, 9, 9, 1), 1, "largest"),
]

_DECODE = """
import json
import resource
import sys
import zlib
from dataclasses import replace
import threading

import nncodec
from tests.forged import forged

def used():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()

threading.stack_size(1 << 18)  # what threads reserve, and never use, would count
nncodec.decode(nncodec.encode([[[[[1, 0]]]]], model="adaptive"))
for shape, layers, payload in json.loads(sys.argv[1]):
    data = forged(tuple(shape), layers, payload, sequence=sys.argv[3] == "True")
    bound = nncodec.read_header(data).memory_bound
    # All of this program's own memory is there already: what is left is for the tensor alone.
    limit = used() + int((bound - (384 << 20)) * float(sys.argv[2]))
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    try:
        nncodec.decode(data, threads=64)
    except nncodec.BitstreamError as error:
        assert "checksum of layer" in str(error), error
    except MemoryError:
        print("too little for", shape)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""

needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc")


def decode_within(
    share: float, cases: list[tuple[Shape, int, str]], *, sequence: bool = False
) -> list[str]:
    """Decodes containers in a process whose memory ends at a share of what their headers say."""
    arguments = [json.dumps(cases), str(share), str(sequence)]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _DECODE, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@needs_proc
@pytest.mark.parametrize("sequence", [False, True])
def test_no_more_memory_than_the_header_says(sequence: bool) -> None:
    assert decode_within(1.0, ADVERSARIAL, sequence=sequence) == []


@needs_proc
def test_with_less_memory_the_largest_fail_in_good_order() -> None:
    """So that the test above can fail, too."""
    cases = [case for case in ADVERSARIAL if np.prod(case[0]) >= 1 << 20]
    assert decode_within(0.06, cases) == [f"too little for {list(case[0])}" for case in cases]


@needs_proc
def test_groups_take_no_more_memory_than_the_header_says() -> None:
    """Of pictures without any layer, each a byte of the header."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _DECODE_GROUPS],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},
    )
    assert (done.returncode, done.stderr) == (0, "")


_DECODE_GROUPS = """
import resource
import nncodec
from nncodec.format.fields import varint
from tests.forged import framed

def used():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()

def without_codes(groups):
    body = bytes([80, 1]) + varint(groups) + bytes([1, 1, 1, 3, 2])
    return framed(body + varint(groups) + bytes([1]) + bytes([1]) * groups)

nncodec.decode(without_codes(2))
data = without_codes(30_000)
limit = used() + nncodec.read_header(data).memory_bound - (384 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
assert not nncodec.decode(data, threads=1).any()
"""


@needs_proc
def test_a_model_takes_no_more_memory_than_the_header_says() -> None:
    """Nearly as many planes as there may be, at many positions, in a file of some kilobytes."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _DECODE_MODEL],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).parent.parent,
    )
    assert (done.returncode, done.stderr) == (0, "")


_DECODE_MODEL = """
import resource
from dataclasses import replace
import numpy as np
import nncodec
from tests.sample_networks import NetworkMaker
from tests.samples import random_model

def used():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()

model = random_model(1, 4)
maker = NetworkMaker(1, 4, 0, gain=0)
maker.lstm(maker.convolve(1024), "layers")
maker.convolve(1024)
maker.convolve(1024)
model = replace(model, network=maker.head(units=0))
codes = np.zeros((1, 1, 128, 128, 4), dtype=np.uint8)
data = nncodec.encode(codes, model=model, embed_model=True)
nncodec.decode(nncodec.encode(codes[..., :1, :1, :], model=model), model=model)
header = nncodec.read_header(data)
limit = used() + header.memory_bound - (384 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
assert (nncodec.decode(data) == codes).all()
assert header.memory_bound < 1 << 30
"""


def test_the_bound_grows_with_everything_that_takes_memory() -> None:
    plain = (2, 3, 4, 5, 6)
    for axis in range(5):
        larger = tuple(size + (index == axis) for index, size in enumerate(plain))
        assert memory_bound(Extent.of_shape(larger)) > memory_bound(Extent.of_shape(plain))
    assert memory_of_header(1, 1, 1) == 0
    for more in ((2, 1, 1), (1, 2, 1), (1, 1, 2)):
        assert memory_of_header(*more) > 200
    segments = (Segment(1, True, 1, 7),)
    header = plain_header((1,) * 5, Source(), b"modelid8", segments)
    embedding = plain_header((1,) * 5, Source(), b"modelid8", segments, embedded_bytes=1000)
    assert embedding.memory_bound > header.memory_bound + 1000
    bound = memory_bound(Extent.of_shape(CODES.shape)) + memory_of_header(1, 1, 3)
    assert invoke_info(DATA)["memory_bound"] == bound


def invoke_info(data: bytes) -> dict[str, object]:
    facts: dict[str, object] = json.loads(invoke("info", "-", "--json", stdin=data).stdout)
    return facts
