"""Many files of a command: what their outputs are called, and one report of all."""

import functools
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn, Protocol

import click

from nncodec.commands.dask_pool import DaskPool
from nncodec.commands.one_file import FileReport, Watch
from nncodec.commands.output_names import claim
from nncodec.commands.outputs import Arguments, plan
from nncodec.commands.reports import speed_text, total_text, totals
from nncodec.commands.terminal import above_bars, files_bar, print_text
from nncodec.commands.worker_pool import Job, Result, run_jobs
from nncodec.errors import NncodecError
from nncodec.files.streams import file_label, naming
from nncodec.files.urls import is_url


class Conversion(Protocol):
    """A conversion of one file after the other, or of several side by side: it can be pickled."""

    counts: tuple[str, str]
    suffixes: ClassVar[tuple[str, ...]]

    @property
    def force(self) -> bool: ...

    @property
    def remove(self) -> bool: ...

    def name_output(self, input_: str) -> str: ...

    def convert(self, input_: str, output: str, watch: Watch) -> FileReport: ...


@dataclass(frozen=True)
class Printing:
    """What is printed of many files.

    Attributes:
        as_json: one JSON object instead of a line a file.
        quiet: errors and warnings only.
        verbose: the table of every file too.
    """

    as_json: bool = False
    quiet: bool = False
    verbose: bool = False


def convert_files(
    conversion: Conversion,
    arguments: Arguments,
    jobs: int,
    printing: Printing,
    dask: str | None = None,
) -> bool:
    """Converts files, and prints what came of each, in the order of the inputs.

    Args:
        conversion: what to do with a file.
        arguments: which files, and where the outputs go; their folders are made.
        jobs: how many files to work on at a time.
        printing: of what.
        dask: the address of a cluster that works on them instead.

    Returns:
        Whether all went well; what did not is on standard error, a line a file.

    Raises:
        NncodecError: nothing can be done: outputs are in each other's way, or there is no folder.
    """
    begin = time.perf_counter()
    cluster = None
    if dask is not None:
        cluster = DaskPool(dask, force=conversion.force, remove=conversion.remove)
    planned, outputs = _plan(conversion, arguments, cluster)
    if arguments.folder is not None and not is_url(arguments.folder):
        _make_folders(arguments.folder, outputs)
    as_json, quiet = printing.as_json, printing.quiet
    files: list[dict[str, Any]] = []

    def report(job: Job, result: Result) -> None:
        if isinstance(result, FileReport):
            output = file_label(outputs[len(files)])
            files.append({"file": job.label, "output": output, **result.facts})
            warnings, line, table = result.warnings, result.line, result.table
            warnings += () if quiet or as_json else result.notes
        else:
            files.append({"file": job.label, "error": str(result)})
            warnings, line, table = (str(result),), "", ""
        with above_bars():
            for warning in warnings:
                click.echo(f"nncodec: {warning}", err=True)
            if line and not quiet and not as_json:
                print_text("\n".join(filter(None, [line, table if printing.verbose else ""])))

    with files_bar(len(planned), quiet or as_json) as show:
        if cluster:
            cluster.run(planned, report, show)
        else:
            run_jobs(planned, jobs, report, show)
    done = [facts for facts in files if "error" not in facts]
    total = totals(done, conversion.counts)
    if as_json:
        print_text(json.dumps(total | {"files": files}))
    elif done and not quiet:
        text = total_text(total, len(done), len(files))
        print_text(text + speed_text(total, time.perf_counter() - begin))
    return len(done) == len(files)


def _make_folders(folder: str, outputs: Sequence[str]) -> None:
    with naming(file_label(folder)):
        if os.path.exists(folder) and not os.path.isdir(folder):
            raise NncodecError("is no folder; name another")
        os.makedirs(folder, exist_ok=True)
    for below in sorted({os.path.dirname(output) for output in outputs if output}):
        with naming(file_label(below)):
            os.makedirs(below, exist_ok=True)


def _plan(
    conversion: Conversion, arguments: Arguments, cluster: DaskPool | None
) -> tuple[list[Job], list[str]]:
    """Plans a job and an output for every input; where the output is unknown, the job only fails.

    Raises:
        NncodecError: outputs are in the way of each other, or of an input.
    """
    jobs, outputs, names = [], [], []
    working = cluster.for_workers(conversion) if cluster else conversion
    source_of: dict[str, str] = {}
    for name, output in plan(arguments, conversion.name_output):
        label = file_label(name)
        names.append(name)
        if isinstance(output, NncodecError):
            jobs.append(Job(label, functools.partial(_fail, str(output))))
            outputs.append("")
            continue
        paths = cluster.place(len(jobs), name, output) if cluster else (name, output)
        jobs.append(Job(label, functools.partial(working.convert, *paths), name, output))
        outputs.append(output)
        if both := claim(source_of, output, label):
            raise NncodecError(
                f"{file_label(output)}: is the output of both {both}; name a folder for each"
            )
    for name in names:
        if os.path.realpath(name) in source_of:
            line = "is an input, and would be an output; name another folder"
            raise NncodecError(f"{file_label(name)}: {line}")
    return jobs, outputs


def _fail(line: str, _: Watch) -> NoReturn:
    raise NncodecError(line)
