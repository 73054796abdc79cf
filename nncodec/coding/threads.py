"""Segments that threads work on side by side, each behind the one before it.

A bit sees of the layers before its own nothing that the schedule has at a later step (schedule.py),
and of the layers behind it nothing at all. So a segment can be worked on up to any step that the
segment before it has passed, and how far that one is ahead cannot be seen. Who works on what, and
when, changes no bit:

    segment 0   ━━━━━━━━━━━━━━━━━━━━━━━━━       first thread
    segment 1      ━━━━━━━━━━━━━━━━━━━━━━━━━    second thread
    segment 2                               ━━  first thread, which takes the first that may go on
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from nncodec.format.limits import whole_number

Worker = Callable[[int, int, int], tuple[int, int]]
"""Works on a segment, from one step to before another or less far; gives the step that is next, and
how many bits that were."""

Item = TypeVar("Item")
Result = TypeVar("Result")

Progress = Callable[[int], object]
"""Called again and again with the number of bits that were coded since."""


@dataclass(frozen=True)
class Threads:
    """Who works.

    Attributes:
        count: how many threads at most.
        progress: is told of the bits as they are done, in the thread that asked for the work.
    """

    count: int = 1
    progress: Progress | None = None


ONE_THREAD = Threads()


def run(
    steps: Sequence[range], workers: Sequence[Worker], progress: Progress | None = None
) -> None:
    """Works on all segments.

    Args:
        steps: of every segment; none begins or ends before one that is before it.
        workers: each is called in a thread of its own, the first in this one, for one segment at
            a time; what it leaves of that another may continue.
        progress: is told of the bits, in this thread.

    Raises:
        Exception: what a worker raised for the first segment that failed, when those before it are
            at their end and the others have stopped; or what `progress` raised, at once.
    """
    pipeline = _Pipeline(steps)
    reports = [progress] + [None] * (len(workers) - 1)
    _side_by_side([partial(pipeline.work, *one) for one in zip(workers, reports, strict=True)])
    pipeline.raise_failure()


def map_side_by_side(
    function: Callable[[Item], Result], items: Sequence[Item], threads: int
) -> list[Result]:
    """What a function makes of each of some items, which so many threads share.

    Raises:
        Exception: what the function raised for the first item that it failed for.
    """
    return list(each_side_by_side(function, items, threads))


def each_side_by_side(
    function: Callable[[Item], Result], items: Sequence[Item], threads: int
) -> Iterator[Result]:
    """Gives what `map_side_by_side` does; before an error, what the items before it came to."""
    results: dict[int, Result] = {}
    failures: dict[int, Exception] = {}
    numbers = iter(range(len(items)))  # of those that nobody has begun

    def work() -> None:
        for number in numbers:
            try:
                results[number] = function(items[number])
            except Exception as error:
                failures[number] = error
            if failures:  # all before it are done, or another thread is at them
                return

    _side_by_side([work] * min(threads, len(items)))
    for number in range(min(failures, default=len(items))):
        yield results[number]
    if failures:
        raise failures[min(failures)]


def _side_by_side(calls: Sequence[Callable[[], None]]) -> None:
    """Makes the first call in this thread, and the others in as many more as can be started.

    What any of them raises is raised when all have ended.
    """
    first, *others = calls
    with ThreadPoolExecutor(len(calls)) as executor:
        futures: list[Future[None]] = []
        with contextlib.suppress(RuntimeError):  # no more can be started: fewer do it all
            futures.extend(executor.submit(other) for other in others)
        first()
    for future in futures:
        future.result()


class _Pipeline:
    """How far segments are, and which of them can go on."""

    def __init__(self, steps: Sequence[range]) -> None:
        self._steps = steps
        self._next = [one.start for one in steps]  # steps that are not done
        self._resting = [True] * len(steps)  # no thread works on it
        self._finished = 0  # how many are at their end: the first ones
        self._bits = 0  # that were not reported
        self._wanted = len(steps)  # the first ones, before one that has failed
        self._failure: Exception | None = None  # of that one
        self._broken = False  # all are to stop
        self._changed = threading.Condition()

    def work(self, worker: Worker, progress: Progress | None) -> None:
        """Works for as long as there is something to do, and waits where there is not yet."""
        try:
            goes_on = True
            while goes_on:
                goes_on, task, bits = self._take(reports=progress is not None)
                if progress and bits:
                    progress(bits)
                if task:
                    self._do(task, worker)
        except BaseException:
            with self._changed:
                self._broken = True
                self._changed.notify_all()
            raise

    def raise_failure(self) -> None:
        """Raises what the first segment that failed has raised, if one has."""
        if self._failure:
            raise self._failure

    def _do(self, task: tuple[int, int, int], worker: Worker) -> None:
        """Works on a segment; where it fails, those before it go on, and no other."""
        try:
            done = worker(*task)
        except Exception as error:
            with self._changed:
                if task[0] < self._wanted:
                    self._wanted, self._failure = task[0], error
                self._changed.notify_all()
        else:
            self._put(task[0], *done)

    def _take(self, *, reports: bool) -> tuple[bool, tuple[int, int, int] | None, int]:
        """Waits until there is something to do, or to report.

        Returns:
            Whether the work goes on; a segment and its steps, from one to before another, if there
            is one; how many bits there are to report.
        """
        with self._changed:
            while True:
                goes_on = self._finished < self._wanted and not self._broken
                task = self._find() if goes_on else None
                if task or not goes_on or (reports and self._bits):
                    break
                self._changed.wait()
            if task:
                self._resting[task[0]] = False
            bits = self._bits
            if reports:
                self._bits = 0
            return goes_on, task, bits

    def _find(self) -> tuple[int, int, int] | None:
        # The first: those behind it wait for it, and a thread mostly goes on where it was.
        for segment in range(self._finished, self._wanted):
            begin, end = self._next[segment], self._steps[segment].stop
            if segment > self._finished:
                end = min(end, self._next[segment - 1])
            if begin < end and self._resting[segment]:
                return segment, begin, end
            if begin == self._steps[segment].start:  # so are all behind it
                break
        return None

    def _put(self, segment: int, step: int, bits: int) -> None:
        """Keeps how far a segment has come."""
        with self._changed:
            self._next[segment] = step
            self._resting[segment] = True
            self._bits += bits
            if step == self._steps[segment].stop:  # no other can be at its end before
                self._finished += 1
            self._changed.notify_all()


def thread_count(threads: int | None, processes: int = 1) -> int:
    """How many threads may work side by side.

    Args:
        threads: as asked for; None for as many as there are processors for each process.
        processes: that work at the same time.

    Raises:
        CodesError: it is no number.
        ValueError: less than one.
    """
    if threads is None:
        affinity = getattr(os, "sched_getaffinity", None)  # not on every system
        cores = len(affinity(0)) if affinity else os.cpu_count() or 1
        return max(1, cores // processes)
    count = whole_number(threads, "threads")
    if count < 1:
        raise ValueError(f"threads must be at least 1, not {count}")
    return count
