"""Compiled functions: machine code is kept, and never outlives what it was made of."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest
from numba.core import caching

import nncodec
from nncodec.model.kernels.compilation import compiled

_SECONDS_AND_BYTES = """
import time
import numpy as np
import nncodec
codes = (np.random.default_rng(0).random((1, 1, 16, 16, 8)) < 0.1).astype(np.uint8)
begin = time.perf_counter()
data = nncodec.encode(codes, model="adaptive")
print(time.perf_counter() - begin, data.hex())
"""


def encoded_by(package: Path) -> tuple[float, str]:
    """The seconds that a new process takes to encode some codes, and what it makes of them."""
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    done = subprocess.run(
        [sys.executable, "-c", _SECONDS_AND_BYTES],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=package.parent,
    )
    seconds, data = done.stdout.split()
    return float(seconds), data


def test_machine_code_is_kept_until_a_module_changes(tmp_path: Path) -> None:
    package = tmp_path / "nncodec"
    shutil.copytree(
        Path(nncodec.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    first, data = encoded_by(package)
    again, same = encoded_by(package)
    assert again < first / 2
    assert same == data

    # A module of another folder, which holds none of the functions that are called.
    module = package / "model" / "adaptive" / "mixer.py"
    stat, text = module.stat(), module.read_text()
    module.write_text(text.replace("SURE, VERY_SURE = 205, 512", "SURE, VERY_SURE = 20, 30"))
    assert module.read_text() != text
    os.utime(module, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1000))
    assert encoded_by(package)[1] != data


def test_without_a_folder_to_keep_it_in_machine_code_is_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def double(number: int) -> int:
        return 2 * number

    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])
    with pytest.raises(RuntimeError, match="cannot cache"):
        numba.njit(cache=True)(double)
    assert compiled(double)(21) == 42
