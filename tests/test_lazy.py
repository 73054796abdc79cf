"""Containers that are opened, and read as far as they are asked for."""

import io
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nncodec
from nncodec.coding import group_decoder, range_coder, traversal
from nncodec.coding.codec import decode_parts
from nncodec.coding.threads import Threads
from nncodec.errors import BitstreamError
from nncodec.format import limits
from nncodec.format.container import ContainerReader
from tests.command_line import invoke
from tests.samples import averaged_codes

SHAPE = (6, 1, 16, 24, 8)  # a segment for each layer
CODES = averaged_codes(SHAPE, 1)
DATA = nncodec.encode(CODES, "adaptive")
HEADER = nncodec.read_header(DATA)
START = len(DATA) - sum(HEADER.layer_bytes())
"""Where the first payload begins."""


class CountingStream(io.RawIOBase):
    """A stream that cannot seek, and counts what was read of it."""

    def __init__(self, data: bytes) -> None:
        self.taken = 0
        self._data = data

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        assert size >= 0
        piece = self._data[self.taken : self.taken + size]
        self.taken += len(piece)
        return piece


def end_of(layers: int) -> int:
    return START + sum(HEADER.layer_bytes()[:layers])


def test_opening_reads_the_header_and_says_what_it_has() -> None:
    stream = CountingStream(DATA)
    with nncodec.open(stream) as f:  # type: ignore[arg-type]
        assert stream.taken == START
        assert (f.shape, f.layer_count, f.layer_bytes) == (SHAPE, 6, HEADER.layer_bytes())
        assert (f.model, f.sequence, f.metadata) == ("adaptive", False, HEADER.source)
        assert f.header == HEADER
    assert not stream.closed  # whoever opened it closes it


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_every_number_of_layers_reads_no_byte_behind_them(asked: list[int]) -> None:
    stream = CountingStream(DATA)
    f = nncodec.open(stream, threads=1)  # type: ignore[arg-type]
    for number, layers in enumerate(asked):
        np.testing.assert_array_equal(f.decode(layers), CODES[:layers])
        assert stream.taken == end_of(max(asked[: number + 1]))


@given(
    shape=st.tuples(*(st.integers(1, most) for most in (5, 2, 6, 6, 9))),
    random=st.booleans(),
    threads=st.integers(1, 3),
    data=st.data(),
)
def test_layers_are_those_of_the_tensor(
    shape: tuple[int, ...], random: bool, threads: int, data: st.DataObject
) -> None:
    codes = np.zeros(shape, dtype=np.uint8)
    if random:
        codes = np.random.default_rng(0).integers(2, size=shape, dtype=np.uint8)
    layers = data.draw(st.none() | st.integers(1, shape[0]))
    with nncodec.open(nncodec.encode(codes, "adaptive"), threads=threads) as f:
        given_ = list(f.layers(layers))
        np.testing.assert_array_equal(np.stack(given_), codes[:layers])
        np.testing.assert_array_equal(f.decode(), codes)


@pytest.fixture
def several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little there is to do, threads share it."""
    monkeypatch.setattr(limits, "THREAD_BITS", 1)


@pytest.mark.usefixtures("several_threads")
@pytest.mark.parametrize("threads", [1, 2])
def test_layers_are_out_while_the_stream_blocks(threads: int) -> None:
    ends = os.pipe()
    with os.fdopen(ends[0], "rb") as reading, os.fdopen(ends[1], "wb", 0) as writing:
        writing.write(DATA[: end_of(2) + 3])
        layers = nncodec.open(reading, threads=threads).layers()
        for expected in CODES[:2]:  # and the pipe is neither written to nor closed
            np.testing.assert_array_equal(next(layers), expected)
        writing.write(DATA[end_of(2) + 3 :])
        for expected in CODES[2:]:
            np.testing.assert_array_equal(next(layers), expected)
        assert next(layers, None) is None


def test_who_stops_early_spares_the_rest() -> None:
    stream = CountingStream(DATA)
    f = nncodec.open(stream, threads=1)  # type: ignore[arg-type]
    for layer in f.layers():
        np.testing.assert_array_equal(layer, CODES[0])
        time.sleep(0.3)  # the decoder goes on, but not to the end
        break
    assert stream.taken <= end_of(3)
    np.testing.assert_array_equal(f.decode(), CODES)  # and what was read is not lost


@given(layers=st.none() | st.integers(1, 6), threads=st.integers(1, 3))
def test_pictures_in_several_groups(layers: int | None, threads: int) -> None:
    codes = averaged_codes((6, 5, 16, 24, 8), 2)
    data = nncodec.encode_many([codes], "adaptive", group=2)
    header = nncodec.read_header(data)
    assert len(header.groups) == 3
    stream = CountingStream(data)
    with nncodec.open(stream, threads=threads) as f:  # type: ignore[arg-type]
        assert f.shape == codes.shape
        np.testing.assert_array_equal(f.decode(layers), codes[:layers])
        after = 6 if layers is None else layers  # what is behind the last byte that is needed
        rest = sum(segment.byte_length for segment in header.groups[2].segments[after:])
        assert stream.taken == len(data) - rest
        np.testing.assert_array_equal(np.stack(list(f.layers(layers))), codes[:layers])
        np.testing.assert_array_equal(f.decode(), codes)


def test_groups_that_are_cut_off() -> None:
    codes = averaged_codes((2, 5, 16, 24, 8), 2)
    data = nncodec.encode_many([codes], "adaptive", group=2)
    last = nncodec.read_header(data).groups[2].byte_length
    line = "the file ends early, only 2 of its 3 groups are whole; "
    with pytest.raises(nncodec.TruncatedError, match=line):
        nncodec.open(data[:-1]).decode()
    with pytest.raises(nncodec.TruncatedError, match=line):
        list(nncodec.open(data[:-last]).layers())
    with pytest.raises(nncodec.TruncatedError, match="no group is whole; get another copy"):
        nncodec.open(data[: len(data) // 5]).decode(1)


def test_where_positions_end_is_given() -> None:
    coverage = np.indices((1, 16, 24))[1:].sum(axis=0) // 6
    codes = CODES * (np.arange(6)[:, None, None, None] < coverage)[..., None].astype(np.uint8)
    with nncodec.open(nncodec.encode(codes, "adaptive", coverage=coverage)) as f:
        for layers in (1, 3, 6):
            found = f.decode_covered(layers)
            np.testing.assert_array_equal(found.codes, codes[:layers])
            np.testing.assert_array_equal(found.coverage, np.minimum(coverage, layers))
            np.testing.assert_array_equal(f.decode(layers), codes[:layers])
        assert f.decode_covered(like="array").codes.shape == codes.shape
    with nncodec.open(DATA) as f:
        assert (f.decode_covered().coverage == 6).all()


@pytest.mark.parametrize("other", [CODES, averaged_codes((6, 2, 5, 7, 8), 3)])
def test_several_arrays_are_not_opened(other: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / "all.nnb"
    path.write_bytes(nncodec.encode_many([CODES, other], "adaptive"))
    with pytest.raises(nncodec.CodesError) as caught:
        nncodec.open(path)
    line = f"{path}: the container holds 2 arrays; use decode_many, with only=[k] for some"
    assert str(caught.value) == line


def test_arrays_as_they_were() -> None:
    signs = np.moveaxis(CODES[0] * 2.0 - 1, -1, 1).astype("float32")
    with nncodec.open(nncodec.encode(signs, "adaptive", axes="nchw")) as f:
        again = f.decode(like="array")
        assert again.dtype == signs.dtype
        np.testing.assert_array_equal(again, signs)
        with pytest.raises(nncodec.CodesError, match="like 'list' is unknown; choose"):
            f.decode(like="list")


def test_layers_are_decoded_while_others_are_given() -> None:
    f = nncodec.open(DATA, threads=1)
    others = f.layers(3)
    for layer, bits in enumerate(f.layers()):
        np.testing.assert_array_equal(bits, CODES[layer])
        np.testing.assert_array_equal(f.decode(1), CODES[:1])
        if layer < 3:
            np.testing.assert_array_equal(next(others), CODES[layer])


def test_threads_share_a_file() -> None:
    f = nncodec.open(CountingStream(DATA), threads=1)  # type: ignore[arg-type]
    decoded: dict[int, npt.NDArray[np.uint8]] = {}

    def work(layers: int) -> None:
        decoded[layers] = f.decode(layers)

    threads = [threading.Thread(target=work, args=(layers,)) for layers in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for layers, codes in decoded.items():
        np.testing.assert_array_equal(codes, CODES[:layers])


def test_a_file_that_grows(tmp_path: Path) -> None:
    path = tmp_path / "codes.bin"
    path.write_bytes(DATA[: end_of(3) + 1])
    with nncodec.open(path) as f:
        out: list[npt.NDArray[np.uint8]] = []
        with pytest.raises(nncodec.TruncatedError) as raised:
            out.extend(f.layers())
        assert str(raised.value).startswith(f"{path}: the file ends early, only 3 of its 6 layers")
        assert raised.value.whole_layers == 3
        np.testing.assert_array_equal(f.decode(3), CODES[:3])
        path.write_bytes(DATA)
        np.testing.assert_array_equal(f.decode(), CODES)


def test_damage_shows_behind_the_layers_before_it() -> None:
    damaged = bytearray(DATA)
    damaged[end_of(3) + 5] ^= 16
    layers = nncodec.open(bytes(damaged)).layers()
    for expected in CODES[:3]:
        np.testing.assert_array_equal(next(layers), expected)
    with pytest.raises(nncodec.BitstreamError, match="damaged"):
        next(layers)


@pytest.mark.usefixtures("several_threads")
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_layers_before_the_end_of_a_file_are_given(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traversal, "CALL_BITS", 1)  # a layer takes many calls
    monkeypatch.setattr(traversal, "LEAST_CALL_BITS", 1)
    for whole in (2, 4) * 5:
        given_: list[npt.NDArray[np.uint8]] = []
        with pytest.raises(nncodec.TruncatedError, match=f"only {whole} of its 6 layers"):
            given_.extend(nncodec.open(DATA[: end_of(whole) + 1], threads=threads).layers())
        np.testing.assert_array_equal(np.stack(given_), CODES[:whole])


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_groups_before_a_damaged_one_are_given(threads: int) -> None:
    codes = averaged_codes((2, 5, 16, 24, 8), 2)
    data = nncodec.encode_many([codes], "adaptive", group=1)
    header = nncodec.read_header(data)
    last = sum(group.byte_length for group in header.groups[3:])
    damaged = bytearray(data)
    damaged[len(data) - last + 5] ^= 16
    for broken, error in ((data[: 1 - last], nncodec.TruncatedError), (damaged, BitstreamError)):
        numbers: list[int] = []
        parts = ContainerReader(io.BytesIO(broken)).parts()
        decoded = decode_parts(header, parts, threads=Threads(threads))
        with pytest.raises(error):
            numbers.extend(number for number, _ in decoded)
        assert numbers == [0, 1, 2]


def test_a_model_in_the_file(tmp_path: Path) -> None:
    codes = averaged_codes((3, 1, 16, 24, 2), 2)
    path = tmp_path / "codes.bin"
    path.write_bytes(nncodec.encode(codes, "synthetic", embed_model=True))
    with nncodec.open(path) as f:
        assert f.model == "synthetic"
        np.testing.assert_array_equal(f.decode(2), codes[:2])


# --- where the file is -------------------------------------------------------------------------


def test_urls_fetch_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/codes.bin", DATA)
    fetched: list[int] = []

    class Remote(fsspec.spec.AbstractBufferedFile):  # type: ignore[name-defined,misc]
        """A file as on an object store: every range is a request."""

        def _fetch_range(self, start: int, end: int) -> bytes:
            fetched.append(end - start)
            return DATA[start:end]

    def remote(self: Any, path: str, mode: str = "rb", **options: Any) -> Any:
        return Remote(self, path, mode, size=len(DATA), **options)

    with nncodec.open("memory://bucket/codes.bin") as f:
        np.testing.assert_array_equal(f.decode(), CODES)
    monkeypatch.setattr(type(memory), "_open", remote)
    with nncodec.open("memory://bucket/codes.bin") as f:
        assert len(fetched) == 1
        np.testing.assert_array_equal(f.decode(1), CODES[:1])
    assert sum(fetched) <= max(end_of(1), 1024) + 1024
    assert len(fetched) <= 3


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("missing.bin", "missing.bin: no such file or folder; check the name"),
        ("memory://bucket/none.bin", "memory://bucket/none.bin: "),
        ("nothing://codes.bin", "nothing://codes.bin: Protocol not known: nothing; check the URL"),
        ("file:///codes.bin", "file:///codes.bin: is on this machine; give its path, /..."),
        (b"", "the file is empty; give a file that nncodec compress wrote"),
        ("a\0b", "'a\\x00b': is no name of a file; check the name"),
        (io.StringIO("text"), 'a stream of text holds no container; open it with "rb"'),
        (3, "a int is no file; give a path, a URL, a binary stream or bytes"),
    ],
)
def test_what_is_no_container(file: Any, line: str) -> None:
    with pytest.raises(nncodec.NncodecError) as raised:
        nncodec.open(file)
    assert str(raised.value).startswith(line)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("own", [True, False])
def test_a_closed_file_is_not_decoded(own: bool, tmp_path: Path) -> None:
    path = tmp_path / "codes.bin"
    path.write_bytes(DATA)
    line = "the file was closed; open it again"
    with path.open("rb") as stream, nncodec.open(path if own else stream) as f:
        begun = f.layers(1)
        np.testing.assert_array_equal(next(begun), CODES[0])
    with pytest.raises(nncodec.NncodecError, match=line):
        f.decode()
    with pytest.raises(nncodec.NncodecError, match=line):
        next(f.layers())


def test_bytes_that_lie_apart_are_taken() -> None:
    apart = memoryview(b"".join(bytes([one, 0]) for one in DATA))[::2]
    np.testing.assert_array_equal(nncodec.decode(apart), CODES)
    np.testing.assert_array_equal(nncodec.open(apart).decode(), CODES)


def test_commands_take_urls(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    np.save(tmp_path / "codes.npy", CODES)
    url, source = f"memory://{tmp_path.name}/out.bin", str(tmp_path / "codes.npy")
    assert invoke("compress", source, url, "--model", "adaptive").exit_code == 0
    packed = memory.cat_file(f"/{tmp_path.name}/out.bin")
    again = str(tmp_path / "again.npy")
    assert invoke("decompress", url, again).exit_code == 0
    np.testing.assert_array_equal(np.load(again), CODES)
    assert invoke("info", url).stdout.startswith(f"{url}: nncodec container")
    result = invoke("compress", source, url)
    line = f"{url}: exists already; add --force to replace it, or name another"
    assert (result.exit_code, result.stderr) == (1, f"nncodec: {line}\n")
    assert memory.cat_file(f"/{tmp_path.name}/out.bin") == packed
    assert invoke("compress", source, url, "--force").exit_code == 0
    folder = f"memory://{tmp_path.name}/many"
    below = tmp_path / "below"
    below.mkdir()
    np.save(below / "codes.npy", CODES)
    files = [source, again, str(below / "codes.npy")]
    assert invoke("compress", *files, "--output-dir", folder).exit_code == 0
    names = ["again.npy.nnb", "below/codes.npy.nnb", "codes.npy.nnb"]
    assert sorted(memory.find(f"/{tmp_path.name}/many")) == [
        f"/{tmp_path.name}/many/{name}" for name in names
    ]
    urls = [f"{folder}/{name}" for name in names]
    assert invoke("decompress", *urls, "--output-dir", str(tmp_path / "here")).exit_code == 0
    for name in names:
        path = tmp_path / "here" / name.removesuffix(".nnb")
        np.testing.assert_array_equal(np.load(path), CODES)
    assert invoke("decompress", urls[0]).exit_code == 0  # beside it, where it is
    assert memory.exists(f"/{tmp_path.name}/many/again.npy")
    result = invoke("decompress", urls[1], "--rm", "--force")
    line = f"{urls[1]}: --rm needs files, and the input is none"
    assert (result.exit_code, result.stderr) == (1, f"nncodec: {line}\n")
    solid = f"memory://{tmp_path.name}/solid.nnb"
    assert invoke("compress", *files, "--solid", solid).exit_code == 0
    assert invoke("decompress", solid, "--output-dir", f"{folder}/again").exit_code == 0
    assert len(memory.find(f"/{tmp_path.name}/many/again")) == 3
    one = str(tmp_path / "one.npy")
    assert invoke("decompress", solid, one, "--only", "below/codes.npy").exit_code == 0
    np.testing.assert_array_equal(np.load(one), CODES)
    result = invoke("decompress", f"{folder}/none.bin", str(tmp_path / "none.npy"))
    assert result.stderr == f"nncodec: {folder}/none.bin: no such file or folder; check the name\n"


def test_urls_without_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nncodec.files.urls.find_spec", lambda _: None)
    line = "s3://bucket/codes.bin: a URL needs fsspec, which is not installed; run: pip install"
    with pytest.raises(nncodec.NncodecError, match=line):
        nncodec.open("s3://bucket/codes.bin")


def test_layers_that_are_not_there() -> None:
    with nncodec.open(DATA, max_bits=2 * CODES[0].size) as f:
        with pytest.raises(nncodec.CodesError, match="layers 7: the file has 6"):
            f.decode(7)
        with pytest.raises(nncodec.CodesError, match="is above the limit of 6144 code bits"):
            f.decode()
        np.testing.assert_array_equal(f.decode(2), CODES[:2])


def test_opening_takes_no_time(tmp_path: Path) -> None:
    path = tmp_path / "codes.bin"
    path.write_bytes(DATA)
    times = []
    for _ in range(20):
        began = time.perf_counter()
        nncodec.open(path).close()
        times.append(time.perf_counter() - began)
    assert min(times) < 0.005


def test_payloads_are_asked_for_when_their_turn_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    original = range_coder.give_payload

    def give(coders: Any, segment: int, payload: bytes | None) -> None:
        events.append(f"give {segment}")
        original(coders, segment, payload)

    monkeypatch.setattr(group_decoder, "give_payload", give)
    with nncodec.open(DATA, threads=1) as f:
        for number, _ in enumerate(f.layers()):
            assert events[: number + 1] == [f"give {before}" for before in range(number + 1)]
            assert len(events) <= number + 4
