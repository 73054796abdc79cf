"""Running the commands inside the test process, in the current folder."""

import io
import pathlib
import sys
from typing import Any, Protocol

import click
import numpy as np
import numpy.typing as npt
from click.testing import CliRunner, Result

from nncodec.commands.main import main

COMMAND = [
    sys.executable,
    "-c",
    "from nncodec.commands.main import main; main(prog_name='nncodec')",
]
"""The same in a process of its own."""


class Run(Protocol):
    def __call__(self, *args: str, stdin: bytes = b"") -> Result: ...


def invoke(*args: str, stdin: bytes = b"", group: click.Group = main) -> Result:
    """Runs a command; what is no exit of its own passes on."""
    result = CliRunner().invoke(group, args, input=stdin, prog_name="nncodec")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def read(name: str) -> bytes:
    return pathlib.Path(name).read_bytes()


def arrays_of(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a `.npz` by their names, or of a `.npy` by none."""
    loaded = np.load(io.BytesIO(data), allow_pickle=False)
    return {"": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)


def listing() -> dict[str, bytes | None]:
    """What the folder and those in it hold: nothing may be new, gone or changed."""
    found = sorted(pathlib.Path().rglob("*"))
    return {str(path): path.read_bytes() if path.is_file() else None for path in found}


def assert_refused(run: Run, args: list[str], line: str, stdin: bytes = b"") -> None:
    """Refused in one line before any work: not even a folder is made."""
    before = listing()
    result = run(*args, stdin=stdin)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"nncodec: {line}\n"
    assert listing() == before
