"""Many files of a command: what their outputs are called, and one report of all."""

import functools
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn, Protocol

import click

from nncodec.commands.dask_pool import DaskPool
from nncodec.commands.held_files import header_of_many, names_of, output_below
from nncodec.commands.one_file import Decompression, FileReport, Watch
from nncodec.commands.output_names import check_folder, claim, folder_name
from nncodec.commands.outputs import Arguments, plan
from nncodec.commands.reports import counted, speed_text, total_text, totals
from nncodec.commands.restore import extract
from nncodec.commands.terminal import above_bars, files_bar, print_text
from nncodec.commands.worker_pool import Job, Result, run_jobs
from nncodec.errors import NncodecError
from nncodec.files.streams import file_label, naming
from nncodec.files.urls import is_url

MOST_LINES = 32
"""Of more files, there is no line for each that went well."""


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
        verbose: the line of every file, however many there are, and its table.
    """

    as_json: bool = False
    quiet: bool = False
    verbose: bool = False


@dataclass(frozen=True)
class Restoring:
    """What restores a container of many files.

    Attributes:
        folder: below which its files go.
        outputs: their paths.
        run: restores them, as `extract` does; it can be pickled.
    """

    folder: str
    outputs: tuple[str, ...]
    run: Callable[[Watch], FileReport]


def restore_many(decompression: Decompression, arguments: Arguments) -> dict[str, Restoring]:
    """Finds the containers of many files among the inputs.

    A container that is named goes into the folder for outputs. Without such a folder, or found by
    `-r`, it becomes a folder that is called as it is, without the suffix, where its output would
    lie.

    Args:
        decompression: what the options say.
        arguments: the inputs, and where outputs go.

    Raises:
        NncodecError: of one line that begins with the name of a container: a file in it has a name
            that cannot be here.
    """
    found: dict[str, Restoring] = {}
    for name, output in plan(arguments, folder_name):
        if isinstance(output, NncodecError) or (header := header_of_many(name)) is None:
            continue
        folder = output
        if arguments.folder is not None and name in arguments.files:
            folder = arguments.folder
        outputs = tuple(output_below(folder, one) for one in names_of(header, name))
        run = functools.partial(extract, decompression, name, folder, ())
        found[name] = Restoring(folder, outputs, run)
    return found


def convert_files(
    conversion: Conversion,
    arguments: Arguments,
    jobs: int,
    printing: Printing,
    dask: str | None = None,
    many: Mapping[str, Restoring] = MappingProxyType({}),
) -> bool:
    """Converts files, and prints what came of each, in the order of the inputs.

    Args:
        conversion: what to do with a file.
        arguments: which files, and where the outputs go; their folders are made.
        jobs: how many files to work on at a time.
        printing: of what.
        dask: the address of a cluster that works on them instead.
        many: the inputs that are containers of many files, which this machine restores.

    Returns:
        Whether all went well; what did not is on standard error, a line a file.

    Raises:
        NncodecError: nothing can be done: outputs are in each other's way, or there is no folder.
    """
    begin = time.perf_counter()
    cluster = None
    if dask is not None:
        cluster = DaskPool(dask, force=conversion.force, remove=conversion.remove)
    planned, outputs = _plan(conversion, arguments, cluster, many)
    if arguments.folder is not None and not is_url(arguments.folder):
        _make_folders(arguments.folder, outputs)
    as_json, quiet = printing.as_json, printing.quiet
    brief = len(planned) > MOST_LINES and not printing.verbose
    files: list[dict[str, Any]] = []
    noted = 0

    def report(job: Job, result: Result) -> None:
        if isinstance(result, FileReport):
            output = file_label(outputs[len(files)])
            files.append({"file": job.label, "output": output, **result.facts})
            warnings, line, table = result.warnings, result.line, result.table
            warnings += () if quiet or as_json or brief else result.notes
            nonlocal noted
            noted += bool(result.notes)
        else:
            files.append({"file": job.label, "error": str(result)})
            warnings, line, table = (str(result),), "", ""
        with above_bars():
            for warning in warnings:
                click.echo(f"nncodec: {warning}", err=True)
            if line and not (quiet or as_json or brief):
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
        if brief and noted:
            of = "has a note" if noted == 1 else "have notes"
            line = f"{noted} of {counted(len(files), 'file')} {of} on how they were read; see -v"
            click.echo(f"nncodec: {line}", err=True)
        text = total_text(total, len(done), len(files))
        print_text(text + speed_text(total, time.perf_counter() - begin))
    return len(done) == len(files)


def _make_folders(folder: str, outputs: Sequence[str]) -> None:
    folders = [folder, *sorted(set(map(os.path.dirname, outputs)) - {"", folder})]
    for below in folders:
        check_folder(below, "name another")
    for below in folders:
        with naming(file_label(below)):
            os.makedirs(below, exist_ok=True)


def _plan(
    conversion: Conversion,
    arguments: Arguments,
    cluster: DaskPool | None,
    many: Mapping[str, Restoring],
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
        written: Sequence[str] = [output]
        if name in many:
            jobs.append(Job(label, many[name].run))  # no output: not for a cluster
            outputs.append(many[name].folder)
            written = many[name].outputs
        else:
            paths = cluster.place(len(jobs), name, output) if cluster else (name, output)
            jobs.append(Job(label, functools.partial(working.convert, *paths), name, output))
            outputs.append(output)
        for one in written:
            if both := claim(source_of, one, label):
                line = f"is the output of both {both}; name a folder for each"
                raise NncodecError(f"{file_label(one)}: {line}")
    for name in names:
        if os.path.realpath(name) in source_of:
            line = "is an input, and would be an output; name another folder"
            raise NncodecError(f"{file_label(name)}: {line}")
    return jobs, outputs


def _fail(line: str, _: Watch) -> NoReturn:
    raise NncodecError(line)
