"""The start of the process: the first tenths of a second, in which the other modules are imported.

Nothing else is imported here, so that Ctrl-C is answered by one line from the very beginning.
"""

import os
import signal
from typing import NoReturn


def main() -> None:
    """Runs the command line."""
    ignored = signal.getsignal(signal.SIGINT) != signal.default_int_handler
    if not ignored:  # as by a shell that runs it in the background
        signal.signal(signal.SIGINT, _end)
    from nncodec.commands.main import main as run

    if not ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run(prog_name="nncodec")


def _end(*_: object) -> NoReturn:
    """Ends at once: nothing has been begun, and imports that are interrupted say so at length."""
    os.write(2, b"nncodec: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    main()
