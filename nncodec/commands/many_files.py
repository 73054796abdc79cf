"""Many files of a command: what their outputs are called, and one report of all."""

import functools
import json
import os
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol

import click

from nncodec.commands.one_file import FileReport, Watch
from nncodec.commands.reports import total_text, totals
from nncodec.commands.terminal import above_bars, files_bar, print_text
from nncodec.commands.worker_pool import Job, Result, run_jobs
from nncodec.errors import NncodecError
from nncodec.files.streams import file_label, naming


class Conversion(Protocol):
    """A conversion of one file after the other, or of several side by side: it can be pickled."""

    counts: tuple[str, str]

    def suffix(self, input_: str) -> str: ...

    def convert(self, input_: str, output: str, watch: Watch) -> FileReport: ...


def convert_files(
    conversion: Conversion,
    inputs: Sequence[str],
    folder: str,
    *,
    jobs: int = 1,
    as_json: bool = False,
    quiet: bool = False,
) -> bool:
    """Converts files into a folder, and prints what came of each, in the order of the inputs.

    Args:
        conversion: what to do with a file.
        inputs: paths.
        folder: of the outputs; it is made if there is none.
        jobs: how many files to work on at a time.
        as_json: print one JSON object instead of a line a file.
        quiet: print errors and warnings only.

    Returns:
        Whether all went well; what did not is on standard error, a line a file.

    Raises:
        NncodecError: nothing can be done: outputs are in each other's way, or there is no folder.
    """
    planned, outputs = _plan(conversion, inputs, folder)
    with naming(file_label(folder)):
        if os.path.exists(folder) and not os.path.isdir(folder):
            raise NncodecError("is no folder; name another")
        os.makedirs(folder, exist_ok=True)
    files: list[dict[str, Any]] = []

    def report(job: Job, result: Result) -> None:
        if isinstance(result, FileReport):
            output = file_label(outputs[len(files)])
            files.append({"file": job.label, "output": output, **result.facts})
            warnings, line = result.warnings, result.line
        else:
            files.append({"file": job.label, "error": str(result)})
            warnings, line = (str(result),), ""
        with above_bars():
            for warning in warnings:
                click.echo(f"nncodec: {warning}", err=True)
            if line and not quiet and not as_json:
                print_text(line)

    with files_bar(len(planned), quiet or as_json) as show:
        run_jobs(planned, jobs, report, show)
    done = [facts for facts in files if "error" not in facts]
    total = totals(done, conversion.counts)
    if as_json:
        print_text(json.dumps(total | {"files": files}))
    elif done and not quiet:
        print_text(total_text(total, len(done), len(files)))
    return len(done) == len(files)


def _plan(
    conversion: Conversion, inputs: Sequence[str], folder: str
) -> tuple[list[Job], list[str]]:
    """Plans a job and an output for every input; where the output is unknown, the job only fails.

    Raises:
        NncodecError: outputs are in the way of each other, or of an input.
    """
    jobs, outputs = [], []
    source_of: dict[str, str] = {}
    for name in inputs:
        label = file_label(name)
        try:
            output = _output(conversion, name, folder)
        except NncodecError as error:
            jobs.append(Job(label, functools.partial(_fail, str(error))))
            outputs.append("")
            continue
        jobs.append(Job(label, functools.partial(conversion.convert, name, output)))
        outputs.append(output)
        path = os.path.realpath(output)
        if path in source_of:
            both = f"{source_of[path]} and {label}"
            raise NncodecError(
                f"{file_label(output)}: is the output of both {both}; name a folder for each"
            )
        source_of[path] = label
    for name in inputs:
        if os.path.realpath(name) in source_of:
            line = "is an input, and would be an output; name another folder"
            raise NncodecError(f"{file_label(name)}: {line}")
    return jobs, outputs


def _output(conversion: Conversion, name: str, folder: str) -> str:
    if os.path.exists(name) and not os.path.isfile(name) and not os.path.isdir(name):
        raise NncodecError(
            f"{file_label(name)}: is no regular file; give it alone, with the name of its output"
        )
    stem = os.path.splitext(os.path.basename(name))[0]
    return os.path.join(folder, stem + conversion.suffix(name))


def _fail(line: str, _: Watch) -> NoReturn:
    raise NncodecError(line)
