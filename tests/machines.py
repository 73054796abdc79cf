"""Whether every machine makes the same containers, and decodes them.

    python -m tests.machines             one line, to hold against that of another machine
    python -m tests.machines NAME...     the same of some containers, to find one that differs
    python -m tests.machines --matrix    a table: the line under every setting that this machine has

The containers are the golden ones, which are made anew and must be what they always were, and some
larger ones. Their codes are made from integers, so that every machine has the same to begin with.
"""

import argparse
import contextlib
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import llvmlite.binding
import numpy as np

import nncodec
from nncodec.format.code_tensor import mark_absent
from tests.golden import ROOT, arrays_of
from tests.golden.generate import CASES, encoded, film, is_golden, smooth

LARGE = {
    "image": (smooth, (16, 1, 32, 48, 32), "adaptive"),
    "image-kodak-rnn": (smooth, (16, 1, 32, 48, 32), "kodak-rnn"),
    "image-auto": (smooth, (16, 1, 32, 48, 32), "auto"),
    "images": (smooth, (4, 24, 16, 16, 8), "adaptive"),
    "film": (film, (4, 12, 16, 24, 16), "adaptive"),
    "depth": (smooth, (2, 1, 16, 16, 200), "adaptive"),
}
"""What makes codes, of which shape, and the models that code them."""

FEW = ("example", "network", "sequence-network", "synthetic")
"""A container with every part of the model, small enough to be made without compiling."""

ALL = (*CASES, *LARGE)

THREADS: int | None = None
"""How many work on a larger container."""

_CONV = "torch.nn.functional.conv2d(torch.ones(4, 16, 64, 64), torch.ones(16, 16, 3, 3))"
_LIBRARIES = ("numpy", "numba", "llvmlite", "constriction", "safetensors", "torch")
_FEATURES = llvmlite.binding.get_host_cpu_features()
_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMBA")


@dataclass(frozen=True)
class Setting:
    """What may differ from one machine to the next.

    Attributes:
        name: for people.
        environment: variables of the process.
        first: Python statements that it begins with.
        containers: names of those to make.
    """

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    first: str = ""
    containers: tuple[str, ...] = ALL


def settings() -> Iterator[Setting]:
    """Those that this machine has; the first is how it is."""
    yield Setting("as it is")
    for count in ("1", "2", "8"):
        variables = {f"{library}_NUM_THREADS": count for library in _THREADS}
        own = f"from tests import machines\nmachines.THREADS = {count}"
        yield Setting(f"threads: {count}", variables, own)
    yield Setting("memory is never zero", {"MALLOC_PERTURB_": "165"})
    yield Setting("not compiled", {"NUMBA_DISABLE_JIT": "1"}, containers=tuple(CASES))
    for level in ("0", "1"):
        yield Setting(f"compiled with -O{level}", {"NUMBA_OPT": level})
    yield from _processors()
    if find_spec("torch"):
        yield from _frameworks()


def _processors() -> Iterator[Setting]:
    """Older ones of the same kind, and another mode of this one."""
    yield Setting("compiled for any processor", {"NUMBA_CPU_NAME": "generic"})
    for feature, processor in (
        ("sse4.2", "x86-64-v2"),
        ("avx2", "x86-64-v3"),
        ("avx512bw", "skylake-avx512"),
    ):
        if _FEATURES.get(feature):
            # Without the second, Numba adds all that this processor has.
            variables = {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": ""}
            yield Setting(f"compiled for {processor}", variables)
    config: Any = np.show_config(mode="dicts")
    beyond = " ".join(config["SIMD Extensions"].get("found", []))
    yield Setting("NumPy for any processor", {"NPY_DISABLE_CPU_FEATURES": beyond})
    if (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        upward = "import ctypes\nassert not ctypes.CDLL(None).fesetround(0x800)"
        yield Setting("floats are rounded upwards", first=upward)


def _frameworks() -> Iterator[Setting]:
    """What PyTorch may have been told, and has done, in the same process."""
    for feature, of_torch, of_onednn in (
        ("sse4.1", "default", "SSE41"),
        ("avx2", "avx2", "AVX2"),
        ("avx512bw", "avx512", "AVX512_CORE"),
    ):
        if _FEATURES.get(feature):
            yield _torch(f"ATEN_CPU_CAPABILITY={of_torch}", {"ATEN_CPU_CAPABILITY": of_torch})
            yield _torch(f"ONEDNN_MAX_CPU_ISA={of_onednn}", {"ONEDNN_MAX_CPU_ISA": of_onednn})
    yield _torch("denormals are flushed", first="assert torch.set_flush_denormal(True)")
    yield _torch("float64 by default", first="torch.set_default_dtype(torch.float64)")
    for mode in (True, False):
        call = f"torch.use_deterministic_algorithms({mode})"
        yield _torch(f"deterministic: {mode}", first=call)
    yield _torch("threads: 8", first="torch.set_num_threads(8)")
    if shutil.which("nvidia-smi"):
        yield _torch("on a GPU", first="torch.set_default_device('cuda')")


def _torch(name: str, environment: Mapping[str, str] | None = None, first: str = "") -> Setting:
    return Setting(f"torch, {name}", environment or {}, f"import torch\n{first}\n{_CONV}\n")


@functools.cache
def digest(names: tuple[str, ...]) -> str:
    """SHA-256 of containers, each of which is decoded too, and of their names."""
    total = hashlib.sha256()
    for name in names:
        data = _golden(name) if name in CASES else _large(name)
        total.update(f"{name} {len(data)}\n".encode() + data)
    return total.hexdigest()


def _golden(name: str) -> bytes:
    folder = ROOT / name
    kept = (folder / "bitstream.bin").read_bytes()
    if not is_golden(name, encoded(name).data):
        raise AssertionError(f"the encoder writes another container of the golden case {name}")
    beside = CASES[name].model and not CASES[name].embed
    model = folder / "model.safetensors" if beside else None
    found = nncodec.decode_many_covered(kept, model=model)
    for covered, codes in zip(found, arrays_of(name), strict=True):
        np.testing.assert_array_equal(mark_absent(*covered), codes)
    return kept


def _large(name: str) -> bytes:
    make, shape, model = LARGE[name]
    codes = make(*shape)
    sequence = True if make is film else None
    data = nncodec.encode(codes, model=model, sequence=sequence, threads=THREADS)
    np.testing.assert_array_equal(nncodec.decode(data, threads=THREADS), codes)
    return data


def digest_under(setting: Setting) -> str:
    """The digest that a new process makes under a setting, or the last line of its error."""
    # Numba keeps machine code by processor, but not by how much it was told to optimise.
    with tempfile.TemporaryDirectory() as folder:
        apart = {"NUMBA_CACHE_DIR": folder} if "NUMBA_OPT" in setting.environment else {}
        script = f"{setting.first}\nfrom tests import machines\nmachines.main()"
        done = subprocess.run(
            # Numba warns of code that it cannot keep, NumPy of features that it cannot disable.
            [sys.executable, "-W", "ignore", "-c", script, *setting.containers],
            cwd=Path(__file__).parents[1],
            env={**os.environ, **setting.environment, **apart},
            capture_output=True,
            text=True,
        )
    if done.returncode:
        return (done.stderr.splitlines() or [f"exit code {done.returncode}"])[-1]
    return done.stdout.split()[0]


def differing(chosen: Iterable[Setting]) -> list[str]:
    """Prints a table of settings; gives the names of those whose digest is not this process's."""
    found = []
    print("| setting | containers | seconds |\n|---|---|---|")
    for setting in chosen:
        begin = time.perf_counter()
        made = digest_under(setting)
        seconds = time.perf_counter() - begin
        same = made == digest(setting.containers)
        print(f"| {setting.name} | {'equal' if same else made} | {seconds:.1f} |", flush=True)
        found += [] if same else [setting.name]
    return found


def machine() -> str:
    """What this one is."""
    facts = [f"{platform.system()} {platform.machine()} {llvmlite.binding.get_host_cpu_name()}"]
    facts.append(f"Python {platform.python_version()}")
    for library in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            facts.append(f"{library} {version(library)}")
    return ", ".join(facts)


def main() -> None:
    """Prints what was asked for; the exit code is 1 if a setting makes other containers."""
    parser = argparse.ArgumentParser(prog="python -m tests.machines")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}")
    parser.add_argument("--matrix", action="store_true", help="try all settings")
    arguments = parser.parse_args()
    names = tuple(arguments.names) or ALL
    if unknown := set(names) - set(ALL):
        parser.error(f"there is no container {', '.join(sorted(unknown))}")
    print(f"{digest(names)}  {machine()}", flush=True)
    if arguments.matrix and differing(settings()):
        sys.exit(1)


if __name__ == "__main__":
    main()
