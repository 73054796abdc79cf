"""The one place that says how functions are compiled to machine code.

Every bit takes hundreds of small sums before the next can be predicted, too few at a time for
whole-array operations to be fast. Compiled functions are loops over plain integers; they take and
return what they would without being compiled. The traversal is the one function that Python calls;
all others become part of it. Short ones are inlined before they are compiled. To copy long ones so
would take most of the compiler's time, so they are compiled first, and linked into their callers.

Compiled functions pass whole arrays and the index of a row: a view of a row, or an array that is
passed on, has a counter of references, which costs as much as a sum over a row.
"""

import contextlib
import os
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
from numba.core import event as untyped_event

event: Any = untyped_event
P = ParamSpec("P")
R = TypeVar("R")

_PACKAGE = Path(__file__).parents[2]

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
_LINKED: dict[str, Any] = {
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "forceinline": True,
}


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a function at its first call, and keeps the machine code for later processes."""
    config: Any = numba.config
    chosen = config.CACHE_DIR
    config.CACHE_DIR = _cache_folder(chosen)
    fast: Callable[P, R]
    try:
        fast = numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # no folder can be written: every process compiles for itself
        fast = numba.njit(**_OPTIONS)(function)
    finally:
        config.CACHE_DIR = chosen
    return fast


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Makes a function a part of the compiled functions that call it."""
    fast: Callable[P, R] = numba.njit(inline="always", **_OPTIONS)(function)
    return fast


def linked(function: Callable[P, R]) -> Callable[P, R]:
    """Makes a function a part of those that call it, as `inlined`, but once it is machine code."""
    fast: Callable[P, R] = numba.njit(**_LINKED, **_OPTIONS)(function)
    return fast


@contextlib.contextmanager
def telling(tell: Callable[[], object]) -> Iterator[None]:
    """Calls a function once, should something be compiled within the block."""
    listener = _Listener(tell)
    event.register("numba:compile", listener)
    try:
        yield
    finally:
        event.unregister("numba:compile", listener)


class _Listener(untyped_event.Listener):
    def __init__(self, tell: Callable[[], object]) -> None:
        self._tell, self._told = tell, False

    def on_start(self, _: Any) -> None:
        if not self._told:
            self._told = True
            self._tell()

    def on_end(self, _: Any) -> None:
        pass


def _cache_folder(chosen: str) -> str:
    """Where machine code is kept, by the state of all modules that it may have been made of.

    Numba itself looks at the one file that a function is in: after a change in another, it would
    go on running what was compiled before. Where the folder cannot be written, Numba uses another.
    """
    return os.path.join(chosen or _PACKAGE / "__pycache__", _state_of_modules())


@cache
def _state_of_modules() -> str:
    # Of the packages that have compiled functions. Relative paths: modules of two folders may have
    # the same name.
    paths = [path for folder in ("model", "coding") for path in (_PACKAGE / folder).rglob("*.py")]
    stats = [(path.relative_to(_PACKAGE).as_posix(), path.stat()) for path in sorted(paths)]
    state = repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])
    return f"{zlib.crc32(state.encode()):08x}"
