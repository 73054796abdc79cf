"""Tests depend on nothing that their process inherits; Hypothesis has profiles.

HYPOTHESIS_PROFILE is default, ci or expensive.
"""

import atexit
import os
import shutil
import signal
import tempfile
import time

from hypothesis import settings

# What the machine needs, and what chooses how tests are run. Everything else that a shell exports
# (a locale, a time zone, options of Python, folders of models, ranks of torchrun) is left out.
_KEPT = (
    *("COV", "CUDA", "DYLD_", "HYPOTHESIS_", "LD_", "NUMBA_", "NVIDIA_", "PATH", "PYTEST_"),
    *("PYTHONHOME", "PYTHONPATH", "SYSTEM", "TEMP", "TMP", "VIRTUAL_ENV"),
)
_SET = {"COLUMNS": "80", "LC_ALL": "C.UTF-8", "LINES": "24", "TZ": "UTC"}
# Before numpy and PyTorch start theirs: tests are small operations, in processes side by side.
_SET |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def _leave_environment() -> None:
    home = os.environ.get("HOME", "")
    if "PYTEST_XDIST_WORKER" not in os.environ:  # all workers have the home of their parent
        home = tempfile.mkdtemp(prefix="nncodec-home-")
        atexit.register(shutil.rmtree, home, ignore_errors=True)
    for name in [name for name in os.environ if not name.startswith(_KEPT)]:
        del os.environ[name]
    os.environ.update(_SET, HOME=home)
    if hasattr(time, "tzset"):
        time.tzset()
    os.umask(0o022)


def _leave_signals() -> None:
    """Has processes of the tests ignore no signal, even if this process does, and block none.

    A shell has what it runs in the background ignore interruptions, and nohup has it ignore the end
    of the session. Handled signals are those that processes do not inherit.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
    of_python = {"SIGPIPE", "SIGXFSZ"}  # which Python itself ignores, and gives back to processes
    for number in signal.valid_signals():
        name = number.name if isinstance(number, signal.Signals) else ""
        if name not in of_python and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGINT, signal.default_int_handler)


_leave_environment()
_leave_signals()

settings.register_profile("default", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=100, derandomize=True)
settings.register_profile("expensive", deadline=None, max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
