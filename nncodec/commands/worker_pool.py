"""Jobs, one after another in this process or side by side in worker processes.

Which process does a job shows nowhere: results come in the order of the jobs. Workers are new
processes (spawn), which inherit no state but the environment, and import no click. Interruptions do
not reach them, so that none prints of it; this process tells them to end. They end at once, but for
a file that is being written: it is finished first.

Threads in place of processes would do on two cores: they took 0.98 to 1.11 times as long. But the
compiled loop alone lets go of the interpreter, and 18 to 37 % of the time of a file hold it, so
that threads would gain nothing beyond 3 to 5 cores (benchmarks/README.md, "Many files").
"""

import contextlib
import functools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any

from nncodec.coding.threads import Progress
from nncodec.commands.one_file import FileReport, Watch
from nncodec.errors import NncodecError
from nncodec.files.streams import os_error_line

Result = FileReport | NncodecError
"""The outcome of a job; errors are one line that begins with the name of a file."""

ShowCounts = Callable[[Sequence[int], Sequence[int]], None]
"""Called with how many bits each file has, 0 where it is unknown, and how many are coded."""

_LOOK_SECONDS = 0.1
_PATIENCE_SECONDS = 5.0
"""How long a worker may take to finish a file."""


@dataclass(frozen=True)
class Job:
    """Something to do with a file.

    Attributes:
        label: the file's name, for messages.
        run: does it, and tells how far it is; it can be pickled.
        input, output: the paths of its file and of what it writes; empty where it writes nothing.
    """

    label: str
    run: Callable[[Watch], FileReport]
    input: str = ""
    output: str = ""


@dataclass(frozen=True)
class _Counts:
    """The arguments of `ShowCounts`: lists, or memory that processes share.

    A job writes to its own elements alone, so that no lock is needed, which a process that is
    killed might hold.
    """

    known: Any
    coded: Any


def run_jobs(
    jobs: Sequence[Job],
    workers: int,
    report: Callable[[Job, Result], None],
    show: ShowCounts | None,
) -> None:
    """Does jobs.

    Args:
        jobs: what to do.
        workers: how many processes work side by side. This process does a single job, or the jobs
            of a single worker.
        report: is called with every result in the order of the jobs, as soon as may be.
        show: is called now and then while there is work.

    Raises:
        NncodecError: no process can be started.
    """
    workers = min(workers, len(jobs))
    if workers > 1:
        _run_in_workers(jobs, workers, report, show)
        return
    counts = _Counts([0] * len(jobs), [0] * len(jobs)) if show else None
    refresh = functools.partial(show, counts.known, counts.coded) if show and counts else None
    for index, job in enumerate(jobs):
        report(job, attempt(job, Watch(functools.partial(_counted, counts, index, refresh))))


def _run_in_workers(
    jobs: Sequence[Job],
    workers: int,
    report: Callable[[Job, Result], None],
    show: ShowCounts | None,
) -> None:
    context = multiprocessing.get_context("spawn")
    counts = _Counts(context.RawArray("q", len(jobs)), context.RawArray("q", len(jobs)))
    others = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(workers, context, _start_worker, (counts if show else None,))
    try:
        futures = _submit(executor, jobs)
        for job, future in zip(jobs, futures, strict=True):
            while show:
                show(counts.known, counts.coded)
                if future.done():
                    break
                wait([future], _LOOK_SECONDS)
            report(job, _result(job, future))
    except BaseException:
        _end_workers(set(multiprocessing.active_children()) - others)
        executor.shutdown(cancel_futures=True)
        raise
    executor.shutdown()


def _submit(executor: ProcessPoolExecutor, jobs: Iterable[Job]) -> list[Future[Result]]:
    """Starts the workers, and gives them the jobs."""
    try:
        with _interruptions_held():
            return [executor.submit(_work, job, index) for index, job in enumerate(jobs)]
    except BrokenProcessPool as error:
        raise NncodecError("the processes of --jobs end early; use --jobs 1") from error
    except OSError as error:
        reason = os_error_line(error)
        raise NncodecError(f"no process can be started; use --jobs 1 ({reason})") from error


def _result(job: Job, future: Future[Result]) -> Result:
    try:
        return future.result()
    except BrokenProcessPool:
        why = "its process or one beside it was killed, maybe for want of memory"
        return NncodecError(f"{job.label}: {why}; use fewer --jobs")


def attempt(job: Job, watch: Watch) -> Result:
    """Does a job in this process."""
    try:
        return job.run(watch)
    except NncodecError as error:
        return error


@contextlib.contextmanager
def _counted(
    counts: _Counts | None, index: int, refresh: Callable[[], None] | None, _: str, bits: int
) -> Iterator[Progress | None]:
    """Fills in the counts of one job: the `coding` of its `Watch`."""
    if counts is None:
        yield None
        return
    counts.known[index] = bits

    def count(bits: int) -> None:
        counts.coded[index] += bits
        if refresh:
            refresh()

    yield count


@contextlib.contextmanager
def _interruptions_held() -> Iterator[None]:
    """Keeps an interruption for the end of a block; a process that starts in it gets none ever."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_workers(workers: Collection[BaseProcess]) -> None:
    for worker in workers:
        worker.terminate()
    end = time.monotonic() + _PATIENCE_SECONDS
    for worker in workers:
        worker.join(max(0.0, end - time.monotonic()))
        worker.kill()


# --- in a worker -------------------------------------------------------------------------------

_counts: _Counts | None = None


def _start_worker(counts: _Counts | None) -> None:
    global _counts
    _counts = counts
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process if its parent was killed: it would wait for jobs for ever."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _work(job: Job, index: int) -> Result:
    return attempt(job, Watch(functools.partial(_counted, _counts, index, None), _end_held))


@contextlib.contextmanager
def _end_held() -> Iterator[None]:
    """Keeps the end of this process for the end of a block."""
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if asked:
            os._exit(1)
