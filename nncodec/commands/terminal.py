"""The terminal of a command: lines, progress bars, errors in one line, and requests to end."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, TextIO

import click

from nncodec.coding.threads import Progress
from nncodec.errors import NncodecError
from nncodec.files.streams import os_error_line
from nncodec.model.kernels.compilation import telling


class Terminated(KeyboardInterrupt):
    """Another process, or the end of the session, asks this one to end: as Ctrl-C would.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Commands(click.Group):
    """A group of commands whose errors are one line each, and which clean up before they end."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        with _one_line_errors(), _signals_interrupt(), telling(_tell_of_compiling):
            return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _one_line_errors():  # here too: click itself would answer an interruption
            return super().invoke(ctx)


def _tell_of_compiling() -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        with above_bars():
            click.echo("nncodec: compiling for this processor, once: takes some seconds", err=True)


def print_text(text: str, where: TextIO | None = None) -> None:
    """Prints to standard output, or elsewhere; what the encoding lacks is escaped."""
    where = where or sys.stdout
    encoding = getattr(where, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding), where)


@contextlib.contextmanager
def progress_bar(label: str, bits: int, quiet: bool = False) -> Iterator[Progress | None]:
    """Shows a bar where someone may look at it; gives what to tell the progress to."""
    with _bar(label, bits, quiet) as bar:
        yield None if bar is None else bar.update


@contextlib.contextmanager
def files_bar(
    files: int, quiet: bool = False
) -> Iterator[Callable[[Sequence[int], Sequence[int]], None] | None]:
    """Shows one bar for many files, where `progress_bar` would; gives what to tell the counts to.

    The counts are how many bits each file has, 0 where that is unknown, and how many are coded. A
    file of which the bits are unknown counts as the mean of the others.
    """
    with _bar(f"{files} files", None, quiet) as bar:
        if bar is None:
            yield None
            return

        def show(known: Sequence[int], coded: Sequence[int]) -> None:
            begun = [bits for bits in known if bits]
            if begun:
                bar.total = sum(begun) * files // len(begun)
            bar.update(sum(coded) - bar.n)

        yield show


@contextlib.contextmanager
def above_bars() -> Iterator[None]:
    """Takes bars away while a block prints."""
    if "tqdm" not in sys.modules:  # nothing shows one
        yield
        return
    from tqdm import tqdm

    with tqdm.external_write_mode():
        yield


@contextlib.contextmanager
def _bar(label: str, bits: int | None, quiet: bool) -> Iterator[Any]:
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm  # not for the quick commands

    with tqdm(total=bits, desc=label, unit="bit", unit_scale=True, leave=False, delay=0.2) as bar:
        yield bar


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Makes requests to end exceptions: Python would end at once, and files be left behind."""
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():  # no other can be interrupted
        numbers = []
    # A signal that is ignored, as by nohup, stays so.
    taken = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]

    def interrupt(number: int, _: object) -> NoReturn:
        signal.signal(number, signal.SIG_DFL)  # whoever asks twice does not want to wait
        raise Terminated(number)

    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except NncodecError as error:
        _fail(str(error), 1)
    except MemoryError:
        _fail("not enough memory; close other programs or use a larger machine", 1)
    except Terminated as error:
        _fail("terminated", 128 + error.number)
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
