"""Jobs on the workers of a Dask cluster, as worker_pool.py does them on this machine.

Workers write into a folder beside each output, and this process gives what is whole its name. So a
job that is done again, because the worker that had it was killed, finds nothing in its way, and
nothing half-written is left. Where the folder is gone, workers stop. What a URL names is written
there at once.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from nncodec.coding.threads import Progress
from nncodec.commands.one_file import Watch
from nncodec.commands.output_names import removable, remove_input
from nncodec.commands.worker_pool import Job, Result, ShowCounts, attempt
from nncodec.errors import NncodecError
from nncodec.files.model_files import is_path
from nncodec.files.streams import check_output, file_label, naming, output_label, publish
from nncodec.files.urls import is_url
from nncodec.training import require_packages

_CONNECT_SECONDS = 10
_LOOK_SECONDS = 0.1
_TELL_SECONDS = 0.2
"""How often a worker tells how far a file is, and looks whether that is still wanted."""


class DaskPool:
    """The workers of a cluster, which see the same folders as this process."""

    def __init__(self, address: str, *, force: bool, remove: bool = False) -> None:
        """Prepares.

        Args:
            address: of the scheduler.
            force: whether an existing output may be replaced.
            remove: whether to remove each input, once its output has its name.

        Raises:
            NncodecError: Dask is not installed.
        """
        require_packages("--dask", distributed="Dask")
        self._address, self._force, self._remove = address, force, remove
        self._hidden = f".nncodec-{secrets.token_hex(8)}.tmp"

    def for_workers(self, conversion: Any) -> Any:
        """Gives what workers do in place of a conversion: they are elsewhere, and may do it twice.

        Args:
            conversion: a dataclass with `model`, a name or a path, `force` and `remove`.
        """
        model = conversion.model
        if model and is_path(model):
            model = os.path.abspath(model)
        return replace(conversion, model=model, force=True, remove=False)

    def place(self, index: int, input_: str, output: str) -> tuple[str, str]:
        """Gives the input and the output that a worker is told in place of a job's."""
        source = input_ if is_url(input_) else os.path.abspath(input_)
        if is_url(output):
            return source, output
        folder, name = os.path.split(os.path.abspath(output))
        return source, os.path.join(folder, self._hidden, f"{index}-{name}")

    def run(
        self, jobs: Sequence[Job], report: Callable[[Job, Result], None], show: ShowCounts | None
    ) -> None:
        """Does jobs; arguments as for `run_jobs`.

        Raises:
            NncodecError: the cluster cannot be reached.
        """
        known, coded = [0] * len(jobs), [0] * len(jobs)

        def tell(event: tuple[Any, tuple[int, int, int]]) -> None:
            index, known[index], coded[index] = event[1]

        with _connected(self._address) as client, self._staged(jobs):
            topic = self._hidden if show else ""
            if show:
                client.subscribe_topic(topic, tell)
            begun = [self._begin(client, job, index, topic) for index, job in enumerate(jobs)]
            for index, (job, future) in enumerate(zip(jobs, begun, strict=True)):
                while show:
                    show(known, coded)
                    if isinstance(future, Result) or future.done():
                        break
                    time.sleep(_LOOK_SECONDS)
                report(job, self._end(job, index, future))
            if show:
                show(known, coded)  # what was told last

    def _begin(self, client: Any, job: Job, index: int, topic: str) -> Any:
        """Gives a job to the cluster: a future, or the outcome if it is known beforehand."""
        if not job.output:
            return attempt(job, Watch(lambda label, bits: contextlib.nullcontext()))
        try:
            with naming(output_label(job.output)):
                check_output(job.output, force=self._force, source=job.input)
            if self._remove:
                removable(job.input, job.output)
        except NncodecError as error:
            return error
        work: Any = functools.partial(_work, job, index, topic, self._staging_of(job))
        return client.submit(work, key=f"{self._hidden}-{index}", pure=False)

    def _end(self, job: Job, index: int, future: Any) -> Result:
        """Waits for the outcome of a job, and gives what it has written its name."""
        if isinstance(future, Result):
            return future
        input_, staged = self.place(index, job.input, job.output)
        names = {file_label(staged): file_label(job.output), file_label(input_): job.label}
        try:
            result: Result = future.result()
        except Exception as error:  # of Dask: nncodec's own are results
            return NncodecError(f"{job.label}: {_reason(error)}")
        if isinstance(result, NncodecError):
            return NncodecError(_renamed(str(result), names))
        try:
            if not is_url(job.output):
                with naming(output_label(job.output)):
                    publish(staged, job.output, force=self._force)
            remove_input(job.input, self._remove)
        except NncodecError as error:
            return error
        return replace(
            result,
            line=_renamed(result.line, names),
            warnings=tuple(_renamed(warning, names) for warning in result.warnings),
            notes=tuple(_renamed(note, names) for note in result.notes),
        )

    def _staging_of(self, job: Job) -> str:
        """The folder into which a worker writes; empty where it needs none."""
        if not job.output or is_url(job.output):
            return ""
        return os.path.join(os.path.dirname(os.path.abspath(job.output)), self._hidden)

    @contextlib.contextmanager
    def _staged(self, jobs: Sequence[Job]) -> Iterator[None]:
        """Has the folders into which workers write, for the length of a block."""
        folders = {self._staging_of(job) for job in jobs} - {""}
        try:
            for folder in sorted(folders):
                with naming(file_label(os.path.dirname(folder))):
                    os.mkdir(folder)
            yield
        finally:
            for folder in folders:
                while os.path.isdir(folder):  # a worker may write into it in this very moment
                    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    import distributed

    for name in ("distributed", *logging.root.manager.loggerDict):  # errors are told in one line
        if name.startswith("distributed"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    make_client: Any = distributed.Client
    try:
        client = make_client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        line = f"--dask {address}: no scheduler answers there; start one, or correct the address"
        raise NncodecError(line) from error
    with client:
        yield client


def _reason(error: Exception) -> str:
    kind = type(error).__name__
    if kind == "KilledWorker":
        return "its workers were killed, maybe for want of memory; give them more, or fewer threads"
    if kind in ("CancelledError", "CommClosedError", "FutureCancelledError"):
        return "the cluster was lost; look at the log of its scheduler"
    first, *_ = str(error).splitlines() or [""]
    return f"the cluster did not do it ({kind}: {first}); does it have this version of nncodec?"


def _renamed(text: str, names: dict[str, str]) -> str:
    for there, here in names.items():
        text = text.replace(there, here)
    return text


# --- on a worker -------------------------------------------------------------------------------


def _work(job: Job, index: int, topic: str, staging: str) -> Result:
    if staging and not os.path.isdir(staging):
        host = socket.gethostname()
        return NncodecError(f"{job.label}: the worker on {host} does not see {staging}; share it")
    return attempt(job, Watch(functools.partial(_told, index, topic, staging)))


@contextlib.contextmanager
def _told(index: int, topic: str, staging: str, _: str, bits: int) -> Iterator[Progress]:
    """Tells now and then how far a file is: the `coding` of its `Watch`."""
    from distributed import get_worker

    worker, done, told = get_worker(), 0, 0.0

    def tell(*, at_once: bool) -> None:
        nonlocal told
        if at_once or time.monotonic() - told > _TELL_SECONDS:
            told = time.monotonic()
            if staging and not os.path.isdir(staging):
                raise NncodecError("nobody waits for this file any more")
            if topic:
                worker.log_event(topic, (index, bits, done))

    def count(more: int) -> None:
        nonlocal done
        done += more
        tell(at_once=False)

    tell(at_once=True)
    yield count
    tell(at_once=True)
