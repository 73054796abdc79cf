"""Threads work on every step of every segment once, and on none before its turn."""

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nncodec
from nncodec.coding import segments, traversal
from nncodec.coding.codec import encode_source, traverse_known
from nncodec.coding.segments import CodedSegment
from nncodec.coding.threads import (
    ONE_THREAD,
    Progress,
    Threads,
    Worker,
    each_side_by_side,
    map_side_by_side,
    run,
    thread_count,
)
from nncodec.errors import BitstreamError
from nncodec.format import limits
from nncodec.format.extent import Extent
from nncodec.format.limits import most_threads
from nncodec.format.source import Source
from tests.command_line import invoke
from tests.sample_networks import causal_network, lagging_network, random_network
from tests.samples import averaged_codes, random_start

MANY = (2, 3, 8)
"""Numbers of threads."""


@pytest.fixture
def small_tasks() -> Iterator[None]:
    """However little there is to do, threads share it, step by step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "THREAD_BITS", 1)
        patch.setattr(traversal, "CALL_BITS", 1)
        patch.setattr(traversal, "LEAST_CALL_BITS", 1)
        yield


class Log:
    """Workers that note what they do, and find out whether it was their turn."""

    def __init__(self, steps: list[range], seed: int) -> None:
        self.steps = steps
        self.passed = [one.start for one in steps]
        self.busy = [False] * len(steps)
        self.finished: list[int] = []
        self.bits = 0
        self._random = np.random.default_rng(seed)
        self._lock = threading.Lock()

    def work(self, segment: int, begin: int, end: int) -> tuple[int, int]:
        with self._lock:
            assert not self.busy[segment]
            self.busy[segment] = True
            assert begin == self.passed[segment] < end <= self.steps[segment].stop
            if segment and self.passed[segment - 1] < self.steps[segment - 1].stop:
                assert end <= self.passed[segment - 1]
            step = int(self._random.integers(begin + 1, end, endpoint=True))
            bits = int(self._random.integers(10))
        for _ in range(bits):
            time.sleep(0)  # lets others go first
        with self._lock:
            self.passed[segment] = step
            self.busy[segment] = False
            self.bits += bits
            if step == self.steps[segment].stop:
                self.finished.append(segment)
        return step, bits


@st.composite
def steps_of_segments(draw: st.DrawFn) -> list[range]:
    """Steps of segments, none of which begins or ends before one that is before it."""
    pairs = draw(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
    begins, ends = (np.cumsum(numbers).tolist() for numbers in zip(*pairs, strict=True))
    return [range(begin, max(begin, end) + 10) for begin, end in zip(begins, ends, strict=True)]


@given(steps_of_segments(), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_every_step_is_worked_on_once_and_in_its_turn(
    steps: list[range], threads: int, seed: int
) -> None:
    log = Log(steps, seed)
    reports: list[int] = []
    run(steps, [log.work] * threads, reports.append)
    assert log.passed == [one.stop for one in steps]
    assert log.finished == list(range(len(steps)))
    assert not any(log.busy)
    assert sum(reports) == log.bits
    assert 0 not in reports


@pytest.mark.parametrize("failing", [0, 1])
def test_what_a_worker_raises_ends_all(failing: int) -> None:
    def work(segment: int, begin: int, end: int) -> tuple[int, int]:
        if segment == failing:
            raise BitstreamError("broken")
        return begin + 1, 1

    before = threading.enumerate()
    with pytest.raises(BitstreamError, match="broken"):
        run([range(100), range(10, 110)], [work, work, work])
    assert threading.enumerate() == before


@given(steps_of_segments(), st.integers(1, 5), st.integers(0, 2**32 - 1), st.data())
def test_segments_before_one_that_fails_come_to_their_end(
    steps: list[range], threads: int, seed: int, data: st.DataObject
) -> None:
    numbers = st.sets(st.integers(0, len(steps) - 1), min_size=1, max_size=3)
    log, failing = Log(steps, seed), data.draw(numbers)

    def work(segment: int, begin: int, end: int) -> tuple[int, int]:
        if segment in failing:
            raise BitstreamError(f"segment {segment}")
        return log.work(segment, begin, end)

    reports: list[int] = []
    with pytest.raises(BitstreamError, match=f"^segment {min(failing)}$"):
        run(steps, [work] * threads, reports.append)
    assert log.finished == list(range(min(failing)))


def test_what_the_report_raises_ends_all() -> None:
    def report(bits: int) -> None:
        raise KeyboardInterrupt

    def work(segment: int, begin: int, end: int) -> tuple[int, int]:
        return begin + 1, 1

    before = threading.enumerate()
    with pytest.raises(KeyboardInterrupt):
        run([range(1000), range(10, 1010)], [work, work], report)
    assert threading.enumerate() == before


@pytest.mark.parametrize("threads", [1, *MANY])
def test_items_are_shared(threads: int) -> None:
    seen: list[int] = []

    def double(item: int) -> int:
        seen.append(item)
        if item < 0:
            raise BitstreamError("negative")
        return 2 * item

    assert map_side_by_side(double, range(50), threads) == list(range(0, 100, 2))
    assert sorted(seen) == list(range(50))
    assert map_side_by_side(double, [7], threads) == [14]
    given_: list[int] = []
    with pytest.raises(BitstreamError, match="negative"):
        given_.extend(each_side_by_side(double, [1, 2, -1, 3, -2], threads))
    assert given_ == [2, 4]


def test_where_no_thread_can_be_started_one_does_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    steps = [range(9), range(3, 12), range(3, 12)]
    log = Log(steps, 0)
    run(steps, [log.work] * 3)
    assert log.finished == [0, 1, 2]
    assert map_side_by_side(str, [1, 2, 3], 3) == ["1", "2", "3"]


def test_threads_are_as_many_as_processors_and_never_none() -> None:
    every = thread_count(None)
    assert every >= 1
    assert thread_count(None, every) == 1
    assert thread_count(None, 10 * every) == 1
    assert thread_count(7, 3) == 7
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        nncodec.encode(np.zeros((1, 1, 1, 1, 1)), threads=0)
    with pytest.raises(ValueError, match="threads must be at least 1, not -1"):
        nncodec.decode(b"", threads=-1)


def test_threads_are_as_many_as_there_is_work_for() -> None:
    assert most_threads(Extent.of_shape((16, 1, 32, 48, 32))) == 12  # by its bits
    assert most_threads(Extent.of_shape((16, 1, 135, 240, 32))) == 16  # a layer each
    assert most_threads(Extent.of_shape((16, 1, 3, 1 << 12, 32))) == 3  # a row behind each other
    assert most_threads(Extent.of_shape((16, 2, 3, 1 << 12, 32))) == 6  # also in the next picture
    assert most_threads(Extent.of_shape((16, 1, 1, 1 << 15, 32))) == 16  # a row is a position
    assert most_threads(Extent.of_shape((16, 1, 1, 1, 1 << 10))) == 1
    assert most_threads(Extent.of_shape((1, 1, 1, 1, 1))) == 1


# --- the codec ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_tasks")
@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize(
    "shape",
    [(9, 1, 9, 12, 4), (3, 2, 20, 30, 8), (5, 3, 7, 8, 70), (12, 1, 1, 90, 16), (6, 5, 4, 1, 9)],
)
def test_any_number_of_threads_makes_and_reads_the_same(
    shape: tuple[int, ...], sequence: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BITS", 300)
    codes = averaged_codes(shape, seed=0)
    start = random_start(shape[0], shape[4], seed=0, with_network=True)
    networks = [causal_network(shape[0], shape[4], rows=rows) for rows in (1, 3)]
    networks.append(lagging_network(shape[0], shape[4]))
    choices: list[str | nncodec.Model] = ["adaptive"]
    choices += [nncodec.Model(start, network) for network in networks]
    for choice in choices:
        data = nncodec.encode(codes, model=choice, sequence=sequence, threads=1)
        assert len(nncodec.read_header(data).segments) > 1
        for threads in MANY:
            again = nncodec.encode(codes, model=choice, sequence=sequence, threads=threads)
            assert again == data
            decoded = nncodec.decode(data, model=choice, threads=threads)
            np.testing.assert_array_equal(decoded, codes)


@pytest.mark.usefixtures("small_tasks")
@given(st.tuples(*(st.integers(1, most) for most in (5, 3, 9, 6, 5))), st.data())
def test_networks_say_the_same_to_encoders_and_decoders(
    shape: tuple[int, ...], data: st.DataObject
) -> None:
    """Whose segments are stored, too; by layers of their own, or in bits that nothing predicts."""
    seed, sequence = data.draw(st.integers(0, 2**32 - 1)), data.draw(st.booleans())
    layers, channels = shape[0] + data.draw(st.integers(0, 1)), shape[4]
    start = random_start(layers, channels, seed, with_network=True)
    model = nncodec.Model(start, random_network(layers, channels, seed))
    codes = averaged_codes(shape, seed=0)
    noisy = np.array(data.draw(st.lists(st.booleans(), min_size=shape[0], max_size=shape[0])))
    codes[noisy] = np.random.default_rng(seed).integers(0, 2, codes[noisy].shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "SEGMENT_BITS", data.draw(st.integers(1, 200)))
        encoded = nncodec.encode(codes, model=model, sequence=sequence, threads=3)
        for threads in (1, *MANY):
            decoded = nncodec.decode(encoded, model=model, threads=threads)
            np.testing.assert_array_equal(decoded, codes)


@given(
    st.tuples(*(st.integers(1, most) for most in (6, 3, 5, 6, 5))),
    st.integers(1, 200),
    st.integers(1, 200),
    st.booleans(),
    st.integers(1, 5),
)
def test_how_much_a_call_and_a_segment_have_decides_no_frequency(
    shape: tuple[int, ...], call_bits: int, segment_bits: int, sequence: bool, threads: int
) -> None:
    codes = averaged_codes(shape, seed=0)

    def frequencies(threads: Threads) -> list[int]:
        found: list[int] = []
        traverse_known(
            codes,
            None,
            lambda segment: found.extend(segment.frequencies.ravel().tolist()),
            sequence=sequence,
            threads=threads,
        )
        return found

    whole = frequencies(ONE_THREAD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "THREAD_BITS", 1)
        patch.setattr(traversal, "CALL_BITS", call_bits)
        patch.setattr(traversal, "LEAST_CALL_BITS", 1)
        patch.setattr(segments, "SEGMENT_BITS", segment_bits)
        assert frequencies(Threads(threads)) == whole
        data = encode_source(codes, Source(), sequence=sequence, threads=Threads(threads)).data
        np.testing.assert_array_equal(nncodec.decode(data, threads=threads), codes)


@pytest.mark.usefixtures("small_tasks")
@pytest.mark.parametrize("threads", [1, *MANY])
def test_segments_are_finished_in_their_order(threads: int) -> None:
    codes = averaged_codes((12, 1, 16, 16, 16), seed=0)
    numbers: list[int] = []
    lengths: list[int] = []

    def note(segment: CodedSegment) -> None:
        numbers.append(next(i for i in range(12) if (codes[i] == segment.codes[0]).all()))
        assert segment.frequencies.shape == segment.codes.shape
        assert segment.frequencies.min() >= 1
        lengths.append(len(segment.codes))

    traverse_known(codes, None, note, threads=Threads(threads))
    assert numbers == list(range(12))
    assert lengths == [1] * 12


@pytest.mark.usefixtures("small_tasks")
@pytest.mark.parametrize("threads", [1, *MANY])
def test_the_first_damaged_layer_is_named(threads: int) -> None:
    codes = averaged_codes((8, 1, 16, 16, 16), seed=0)
    data = nncodec.encode(codes, model="adaptive")
    header = nncodec.read_header(data)
    begin = len(data) - sum(segment.byte_length for segment in header.segments[3:])
    for at in (begin, begin + 100, len(data) - 20):
        damaged = bytearray(data)
        damaged[at] ^= 0x55
        layer = 7 if at > begin + 100 else 3
        message = f"the checksum of layer {layer} is wrong|a payload is damaged"
        with pytest.raises(BitstreamError, match=message):
            nncodec.decode(bytes(damaged), threads=threads)
    both = bytearray(data)
    both[begin + 8] ^= 1
    both[-20] ^= 1
    with pytest.raises(BitstreamError, match="the checksum of layer 3 is wrong"):
        nncodec.decode(bytes(both), threads=threads)


@pytest.mark.usefixtures("small_tasks")
def test_threads_report_all_bits_from_the_first_one() -> None:
    codes = averaged_codes((8, 1, 16, 16, 16), seed=0)
    counts: list[int] = []

    def report(bits: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        counts.append(bits)

    encode_source(codes, Source(), threads=Threads(4, report))
    assert sum(counts) == codes.size


def test_commands_take_a_number_of_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("codes.npy", averaged_codes((4, 1, 24, 24, 32), seed=0))
    counts: set[int] = set()

    def watched(steps: Sequence[range], workers: Sequence[Worker], progress: Progress) -> None:
        counts.add(len(workers))
        run(steps, workers, progress)

    monkeypatch.setattr(limits, "THREAD_BITS", 1)
    monkeypatch.setattr(traversal, "run", watched)
    for threads in ("1", "3"):
        name, more = f"{threads}.bin", ("--threads", threads)
        for args in (
            ("compress", "--model", "adaptive", "codes.npy", name),
            ("decompress", "--force", name, "again.npy"),
            ("test", name),
            ("evaluate", "codes.npy"),
        ):
            counts.clear()
            assert invoke(*args, *more).exit_code == 0
            assert max(counts) == int(threads)  # a choice of a model or of axes takes one
        assert Path("again.npy").read_bytes() == Path("codes.npy").read_bytes()
    assert Path("3.bin").read_bytes() == Path("1.bin").read_bytes()
    for args in (("compress", "codes.npy"), ("decompress", "1.bin")):
        counts.clear()
        many = ("--output-dir", "many", "--jobs", "100", "--force")
        assert invoke(*args, *many).exit_code == 0
        assert counts == {1}
