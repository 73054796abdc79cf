"""Compiled functions: machine code is kept, and never outlives what it was made of."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba.core import caching

import nncodec
from nncodec.coding import traversal
from nncodec.model.kernels.compilation import compiled, telling
from tests.golden import ROOT
from tests.samples import random_model

config: Any = numba.config
needs_numba = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")

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


@needs_numba
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
    module = package / "model" / "adaptive" / "learner.py"
    stat, text = module.stat(), module.read_text()
    module.write_text(text.replace("MIXER_CONSTANT = 77", "MIXER_CONSTANT = 7700"))
    assert module.read_text() != text
    os.utime(module, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1000))
    assert encoded_by(package)[1] != data


@needs_numba
@pytest.mark.parametrize("sequence", [False, True])
def test_whatever_is_coded_is_coded_by_the_same_machine_code(sequence: bool) -> None:
    """An array of another type would have all compiled once more, for many seconds."""
    for shape in ((2, 3, 4, 5, 6), (1, 1, 1, 1, 1), (2, 1, 1, 1, 70), (1, 2, 1, 3, 131)):
        codes = np.zeros(shape, dtype=np.uint8)
        locked = np.broadcast_to(np.uint8(1), shape)
        for network in (False, True):
            model = random_model(shape[0] + 1, shape[4], network=network)
            for given, choice in ((codes, "adaptive"), (codes, model), (locked, "adaptive")):
                data = nncodec.encode(given, model=choice, sequence=sequence, threads=2)
                np.testing.assert_array_equal(nncodec.decode(data, model=choice), given)
                part = nncodec.decode(data, model=choice, layers=1)
                np.testing.assert_array_equal(part, given[:1])
    loop: Any = traversal._code_positions
    # With a network, and without; whatever else ran in this process, the same where positions end.
    assert len([types for types in loop.signatures if str(types[2]) == "none"]) == 2
    assert len(loop.signatures) <= 4


_DECODE = """
import sys
from pathlib import Path
import numpy as np
import nncodec
for case in map(Path, sys.argv[1:]):
    data = (case / "bitstream.bin").read_bytes()
    decoded = nncodec.decode(data, model=case / "model.safetensors", threads=1)
    np.testing.assert_array_equal(decoded, np.load(case / "codes.npy"))
"""


def test_networks_say_the_same_where_nothing_is_compiled() -> None:
    cases = [str(ROOT / case) for case in ("sequence-network", "limits")]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", _DECODE, *cases]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_numba
def test_whoever_waits_for_the_compiler_is_told_once() -> None:
    def double(number: int) -> int:
        return 2 * number

    told: list[str] = []
    fast: Any = numba.njit(double)
    with telling(lambda: told.append("compiling")):
        assert not told
        assert fast(21) == 42
        assert told == ["compiling"]
        assert fast(2.5) == 5.0
    assert told == ["compiling"]
    with telling(lambda: told.append("never")):
        assert fast(22) == 44  # by what is there
    another: Any = numba.njit(double)
    assert another(1) == 2  # nobody asked
    assert told == ["compiling"]


@needs_numba
def test_without_a_folder_to_keep_it_in_machine_code_is_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def double(number: int) -> int:
        return 2 * number

    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])
    with pytest.raises(RuntimeError, match="cannot cache"):
        numba.njit(cache=True)(double)
    assert compiled(double)(21) == 42
