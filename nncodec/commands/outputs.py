"""Which files a command takes, and what their outputs are called."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import click

from nncodec.errors import NncodecError
from nncodec.files.streams import STANDARD_STREAM, file_label, naming
from nncodec.files.urls import is_url

_FOLDER = "is a directory; name a file in it, or add -r for all"


@dataclass(frozen=True)
class Arguments:
    """What `compress` or `decompress` is given.

    Attributes:
        files: the arguments.
        output: the only output, or None.
        folder: of the outputs, or None.
        recursive: whether folders among the arguments stand for the files in them.
        suffixes: what the names of inputs end with.
    """

    files: tuple[str, ...]
    output: str | None
    folder: str | None
    recursive: bool
    suffixes: tuple[str, ...]

    def single(self) -> tuple[str, str | None] | None:
        """Gives the input and the output, if there is one of each; None for the latter to name it.

        Raises:
            click.UsageError: these are no such arguments.
            NncodecError: the input is a folder.
        """
        files, output = self.files, self.output
        if not files:
            raise click.UsageError("no files; name INPUT and OUTPUT, or some inputs")
        if output is not None and self.folder is not None:
            raise click.UsageError("--output and --output-dir are two places; give one of them")
        if output is not None and len(files) > 1:
            raise click.UsageError(
                f"{len(files)} inputs for one --output; give --output-dir DIR for many"
            )
        if STANDARD_STREAM in files[1:] or (STANDARD_STREAM in files and self.folder is not None):
            both = len(files) == 2 and self.folder is None
            if not both:
                raise click.UsageError("- is no input beside others or for a folder; name files")
        if self.folder is not None or self.recursive:
            return None
        second = files[1] if len(files) == 2 else None
        if second is not None and not second.lower().endswith(self.suffixes):
            output = second
        elif len(files) > 1:
            return None
        elif files[0] == STANDARD_STREAM:
            output = STANDARD_STREAM
        _refuse_folder(files[0])
        return files[0], output


def plan(
    arguments: Arguments, name_output: Callable[[str], str]
) -> Iterator[tuple[str, str | NncodecError]]:
    """Lists the inputs of many files, each with its output, or why it has none.

    Args:
        arguments: what was given.
        name_output: gives the name of an output, without its folder, by the path of the input.
    """
    inputs = list(_inputs(arguments))
    roots = {url: [where for name, where in inputs if is_url(name) == url] for url in (False, True)}
    common = {url: os.path.commonpath(some) for url, some in roots.items() if some}
    for name, _ in inputs:
        label = file_label(name)
        if not os.path.isfile(name) and os.path.exists(name):
            line = "is no regular file; give it alone, with the name of its output"
            yield name, NncodecError(f"{label}: {_FOLDER if os.path.isdir(name) else line}")
            continue
        folder = os.path.dirname(name)
        if arguments.folder is not None:
            where = os.path.dirname(os.path.abspath(name))
            folder = _below(arguments.folder, os.path.relpath(where, common[is_url(name)]))
        try:
            yield name, os.path.join(folder, name_output(name))
        except NncodecError as error:
            yield name, error


def _below(folder: str, path: str) -> str:
    """Gives a folder in a folder, by its path in it."""
    if path == os.curdir:
        return folder
    joined = os.path.join(folder, path)
    return joined if is_url(folder) else os.path.normpath(joined)


def inputs_of(arguments: Arguments) -> list[str]:
    """Lists the inputs.

    Raises:
        NncodecError: one is a folder.
    """
    names = [name for name, _ in _inputs(arguments)]
    for name in names:
        _refuse_folder(name)
    return names


def _refuse_folder(name: str) -> None:
    if os.path.isdir(name):
        raise NncodecError(f"{file_label(name)}: {_FOLDER}")


def _inputs(arguments: Arguments) -> Iterator[tuple[str, str]]:
    """Lists the inputs, each with the folder that counts for their common root.

    That of a URL is no folder, but what it has in common with others is found the same way.
    """
    for name in arguments.files:
        if not (arguments.recursive and os.path.isdir(name)):
            yield name, os.path.dirname(os.path.abspath(name))
            continue
        with naming(file_label(name)):
            found = sorted(_walk(name, arguments.suffixes))
        if not found:
            raise NncodecError(
                f"{file_label(name)}: no file in it ends with {', '.join(arguments.suffixes)}; "
                "name another folder"
            )
        for path in found:
            yield path, os.path.abspath(name)


def _walk(folder: str, suffixes: Sequence[str]) -> Iterator[str]:
    def fail(error: OSError) -> None:
        raise error

    for where, _, names in os.walk(folder, onerror=fail):
        for name in names:
            if name.lower().endswith(tuple(suffixes)) and not name.startswith("."):
                yield os.path.join(where, name)
