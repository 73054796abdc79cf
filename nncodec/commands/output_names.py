"""What code files and containers are called. No click is needed here."""

import os

from nncodec.errors import NncodecError
from nncodec.files.streams import STANDARD_STREAM, file_label, naming
from nncodec.files.urls import is_url

SUFFIX = ".nnb"
"""What the names of containers end with."""
CODE_SUFFIXES = (".npz", ".npy", ".safetensors")
"""What the names of code files end with."""


def container_name(code_file: str) -> str:
    """Gives the name of the container of a code file, without its folder."""
    return os.path.basename(code_file) + SUFFIX


def code_file_name(container: str, suffix: str) -> str:
    """Gives the name of the code file of a container, without its folder.

    Args:
        container: its path.
        suffix: what the name of such a code file ends with.
    """
    stem = folder_name(container)
    return stem if stem.lower().endswith(suffix) else stem + suffix


def folder_name(container: str) -> str:
    """Gives the name of the folder of the files of a container, without the folder that is in."""
    name = os.path.basename(container)
    return name.removesuffix(SUFFIX) if name.endswith(SUFFIX) else os.path.splitext(name)[0]


def check_suffix(output: str, suffix: str) -> None:
    """Refuses a name that says another kind of file than what is written.

    Raises:
        NncodecError: it does.
    """
    other = os.path.splitext(output)[1].lower()
    if other not in ("", suffix):
        raise NncodecError(
            f"a {suffix} file would be written, as the original was, and the name "
            f"{file_label(output)} says {other}; end it with {suffix}"
        )


def check_folder(folder: str, remedy: str) -> None:
    """Refuses a folder that cannot be made, since it, or one that it lies in, is something else.

    Raises:
        NncodecError: it begins with the name of what is none, and ends with what to do.
    """
    while folder and not os.path.lexists(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise NncodecError(f"{file_label(folder)}: is no folder; {remedy}")


def removable(input_: str, output: str) -> None:
    """Refuses what --rm cannot do, before the work.

    Raises:
        NncodecError: the input, or the output, is no file that stays.
    """
    for name, what in ((input_, "the input"), (output, "the output")):
        other = os.path.exists(name) and not os.path.isfile(name)
        if name == STANDARD_STREAM or other or (name == input_ and is_url(name)):
            raise NncodecError(f"{file_label(name)}: --rm needs files, and {what} is none")


def remove_input(name: str, asked: bool) -> None:
    """Removes an input whose output is whole, if that was asked for.

    Raises:
        NncodecError: it cannot be removed.
    """
    if asked:
        with naming(file_label(name)):
            os.unlink(name)


def claim(source_of: dict[str, str], output: str, label: str) -> str | None:
    """Notes whose an output is, or says who both would write it.

    Args:
        source_of: the label of the input of every output so far, by where that lies.
        output: another.
        label: of its input.
    """
    path = os.path.realpath(output)
    if path in source_of:
        return f"{source_of[path]} and {label}"
    source_of[path] = label
    return None
