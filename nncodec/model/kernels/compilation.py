"""The one place that says how functions are compiled to machine code.

A step of the traversal has a few hundred bits, too few for whole-array operations to be fast, and
every one of them takes hundreds of small sums. Compiled functions are loops over plain integers;
they take and return what they would without being compiled.

They pass whole arrays and the index of a row, and loop over all bits of a step: a view of a row, or
an array that is passed on, has a counter of references, which costs as much as a sum over a row.
"""

import os
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")

_PACKAGE = Path(__file__).parents[2]

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
# What Python would need to call a function takes longer to compile than most of them.
_INLINED = {
    **_OPTIONS,
    "forceinline": True,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
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
    """Compiles a small function into the compiled functions that call it; Python cannot."""
    fast: Callable[P, R] = numba.njit(**_INLINED)(function)
    return fast


def _cache_folder(chosen: str) -> str:
    """Where machine code is kept, by the state of all modules that it may have been made of.

    Numba itself looks at the one file that a function is in: after a change in another, it would
    go on running what was compiled before. Where the folder cannot be written, Numba uses another.
    """
    return os.path.join(chosen or _PACKAGE / "__pycache__", _state_of_modules())


@cache
def _state_of_modules() -> str:
    # Relative paths: modules of two folders may have the same name.
    paths = [(path.relative_to(_PACKAGE).as_posix(), path) for path in _PACKAGE.rglob("*.py")]
    stats = [(name, path.stat()) for name, path in sorted(paths)]
    state = repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])
    return f"{zlib.crc32(state.encode()):08x}"
