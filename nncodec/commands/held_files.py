"""The files of a container of many: what they are called, and where they go, below a folder."""

import os
from collections.abc import Sequence

from nncodec.commands.output_names import check_folder
from nncodec.errors import NncodecError
from nncodec.files.streams import STANDARD_STREAM, check_output, file_label, open_input
from nncodec.files.urls import is_url
from nncodec.format.header import Header, read_header


def names_of(header: Header, path: str) -> list[str]:
    """What the files of a container are called; those without names by their numbers.

    Args:
        header: of the container; where it holds one file, that has no name in it.
        path: of the container.
    """
    if not header.holds_files:
        return []
    stem = os.path.splitext(os.path.basename(path))[0]
    digits = len(str(len(header.members) - 1))
    return [
        member.name or f"{stem}-{number:0{digits}}{member.source.suffix}"
        for number, member in enumerate(header.members)
    ]


def header_of_many(path: str) -> Header | None:
    """Reads the header of a container of many files; None of a file that is anything else."""
    if path == STANDARD_STREAM or not (is_url(path) or os.path.isfile(path)):
        return None
    try:
        with open_input(path) as (stream, _):
            header = read_header(stream)
    except NncodecError:
        return None
    return header if header.holds_files else None


def numbers_of(names: Sequence[str], only: Sequence[str], label: str) -> list[int]:
    """The numbers of the files that are wanted, in the order of the container.

    Raises:
        NncodecError: there is none of such a name.
    """
    if not names:
        raise NncodecError(
            f"{label}: holds one file, which comes back as a whole; leave --only out"
        )
    numbers = {name: number for number, name in enumerate(names)}
    for name in only:
        if name not in numbers:
            raise NncodecError(
                f"{label}: holds no file {name!a}; nncodec info lists those that it holds"
            )
    return sorted({numbers[name] for name in only}) if only else list(range(len(names)))


def output_below(folder: str, name: str) -> str:
    """Where a file goes, below a folder, whatever its name would mean on this system."""
    parts = name.split("/")
    if any(os.path.splitdrive(part)[0] or os.path.basename(part) != part for part in parts):
        raise NncodecError(f"{file_label(name)}: is no name of a file here; use another system")
    return os.path.join(folder, *parts)


def check_below(output: str, *, force: bool, source: str) -> None:
    """Refuses what cannot be written, before the work for it is done."""
    folder = os.path.dirname(output)
    if not is_url(output):
        check_folder(folder, "name another by --output-dir")
    if os.path.isdir(folder):
        check_output(output, force=force, source=source)
