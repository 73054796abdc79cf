"""Many files of a command: what their outputs are called, and one report of all."""

import functools
import json
import os
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol

import click

from nncodec.commands.one_file import Done, Watch
from nncodec.commands.reports import total_text, totals
from nncodec.commands.terminal import above_bars, files_bar, print_text
from nncodec.commands.worker_pool import Job, Result, run_jobs
from nncodec.errors import NncodecError
from nncodec.files.streams import file_label, naming


class Coding(Protocol):
    """What is done with every file; can be pickled."""

    counts: tuple[str, str]

    def suffix(self, input_: str) -> str: ...

    def code_file(self, input_: str, output: str, watch: Watch) -> Done: ...


def code_files(
    coding: Coding,
    inputs: Sequence[str],
    folder: str,
    *,
    processes: int = 1,
    as_json: bool = False,
    quiet: bool = False,
) -> bool:
    """Codes every file into a folder, and prints what came of it, in the order of the inputs.

    Args:
        coding: what to do with a file.
        inputs: paths.
        folder: of the outputs; it is made if there is none.
        processes: how many work side by side.
        as_json: print one JSON object instead of a line a file.
        quiet: print errors and warnings only.

    Returns:
        Whether all went well; what did not is on standard error, a line a file.

    Raises:
        NncodecError: nothing can be done: outputs are in each other's way, or there is no folder.
    """
    jobs, outputs = _plan(coding, inputs, folder)
    with naming(file_label(folder)):
        if os.path.exists(folder) and not os.path.isdir(folder):
            raise NncodecError("is no folder; name another")
        os.makedirs(folder, exist_ok=True)
    files: list[dict[str, Any]] = []

    def tell(job: Job, result: Result) -> None:
        if isinstance(result, Done):
            output = file_label(outputs[len(files)])
            files.append({"file": job.label, "output": output, **result.facts})
            warning, line = result.note, result.line
        else:
            files.append({"file": job.label, "error": str(result)})
            warning, line = str(result), ""
        with above_bars():
            if warning:
                click.echo(f"nncodec: {warning}", err=True)
            if line and not quiet and not as_json:
                print_text(line)

    with files_bar(len(jobs), quiet or as_json) as show:
        run_jobs(jobs, processes, tell, show)
    done = [facts for facts in files if "error" not in facts]
    whole = totals(done, coding.counts)
    if as_json:
        print_text(json.dumps(whole | {"files": files}))
    elif done and not quiet:
        print_text(total_text(whole, len(done), len(files)))
    return len(done) == len(files)


def _plan(coding: Coding, inputs: Sequence[str], folder: str) -> tuple[list[Job], list[str]]:
    """A job and an output for every input; a job that only fails where the output is unknown."""
    jobs, outputs = [], []
    source_of: dict[str, str] = {}
    for name in inputs:
        label = file_label(name)
        try:
            output = _output(coding, name, folder)
        except NncodecError as error:
            jobs.append(Job(label, functools.partial(_fail, str(error))))
            outputs.append("")
            continue
        jobs.append(Job(label, functools.partial(coding.code_file, name, output)))
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


def _output(coding: Coding, name: str, folder: str) -> str:
    if os.path.exists(name) and not os.path.isfile(name) and not os.path.isdir(name):
        raise NncodecError(
            f"{file_label(name)}: is no regular file; give it alone, with the name of its output"
        )
    stem = os.path.splitext(os.path.basename(name))[0]
    return os.path.join(folder, stem + coding.suffix(name))


def _fail(line: str, _: Watch) -> NoReturn:
    raise NncodecError(line)
