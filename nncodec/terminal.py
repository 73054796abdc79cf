"""What a terminal sees of a command: lines, progress bars, and errors in one line."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, NoReturn, TextIO

import click

from nncodec.codec import Progress
from nncodec.errors import NncodecError
from nncodec.output_files import os_error_line

force_option = click.option("--force", is_flag=True, help="Replace the output if it exists.")
quiet_option = click.option("--quiet", is_flag=True, help="Print nothing but errors and warnings.")


class Commands(click.Group):
    """A group of commands whose errors are one line each."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        with _one_line_errors():
            return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _one_line_errors():  # here too: click itself would answer an interruption
            return super().invoke(ctx)


def print_text(text: str, where: TextIO | None = None) -> None:
    """Prints to standard output, or elsewhere, what its encoding lacks as escapes."""
    where = where or sys.stdout
    encoding = getattr(where, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding), where)


@contextlib.contextmanager
def progress_bar(label: str, bits: int, quiet: bool = False) -> Iterator[Progress | None]:
    """Shows a bar where someone may look at it; gives what to tell the progress to."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm  # not for the quick commands

    with tqdm(total=bits, desc=label, unit="bit", unit_scale=True, leave=False, delay=0.2) as bar:
        yield bar.update


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except NncodecError as error:
        _fail(str(error), 1)
    except MemoryError:
        _fail("not enough memory; close other programs or use a larger machine", 1)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except BrokenPipeError:  # whoever reads the output has seen enough
        _fail("", 1)
    except OSError as error:  # of files, all are named already; of what is printed, not
        _fail(f"<stdout>: {os_error_line(error)}", 1)


def _fail(line: str, code: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except (OSError, AttributeError):
        # It cannot be written, and Python would complain again when it ends.
        with contextlib.suppress(OSError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if line:
        with contextlib.suppress(OSError):
            click.echo(f"nncodec: {line}", err=True)
    sys.exit(code)
