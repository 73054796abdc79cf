"""Which module may import which: arrows point one way, and containers know no numpy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nncodec

PACKAGE = Path(nncodec.__file__).parent

# Every module and what it may import beside the standard library and modules further up.
ROOMS: list[tuple[str, set[str]]] = [
    ("errors", set()),
    ("byte_fields", set()),
    ("source", set()),
    ("container", set()),
    ("tensors", {"numpy"}),
    ("array_files", {"numpy"}),
    ("compiled", {"numba"}),
    ("vectors", {"numba", "llvmlite"}),
    ("rows", {"numpy", "numba", "llvmlite"}),
    ("short_rows", {"numpy", "numba", "llvmlite"}),
    ("fixed_point", {"numpy"}),
    ("schedule", {"numpy"}),
    ("contexts", {"numpy"}),
    ("rates", {"numpy"}),
    ("adaptive_start", {"numpy"}),
    ("start", {"numpy"}),
    ("taps", {"numpy"}),
    ("integer_network", {"numpy"}),
    ("network_stage", {"numpy"}),
    ("learner_state", {"numpy"}),
    ("learners", {"numpy"}),
    ("mixer", {"numpy"}),
    ("adaptive", {"numpy"}),
    ("range_coder", {"numpy", "constriction"}),
    ("models", {"numpy"}),
    ("segments", {"numpy"}),
    ("pipeline", set()),
    ("traversal", set()),
    ("codec", {"numpy"}),
    ("layouts", {"numpy"}),
    ("codes", {"numpy"}),
    ("output_files", set()),
    ("model_files", {"numpy", "safetensors"}),
    ("model_choice", {"numpy"}),
    ("cores", set()),
    ("api", {"numpy"}),
    ("start_fitting", {"numpy"}),
    ("data.synthetic", {"numpy"}),
    ("data.tfrecord", {"numpy", "google", "google_crc32c"}),
    ("data.batches", {"numpy"}),
    ("training_configs", {"numpy"}),
    ("data.code_sets", {"numpy"}),
    ("networks.network", {"torch"}),
    ("networks.progressive", {"numpy", "torch"}),
    ("networks.grouped", {"numpy", "torch"}),
    ("networks.registry", set()),
    ("model_building", {"numpy"}),
    ("versions", set()),
    ("checkpoints", {"torch", "safetensors"}),
    ("networks.files", set()),
    ("processes", {"numpy", "torch"}),
    ("optimiser", {"torch"}),
    ("float_rates", {"numpy", "torch"}),
    ("training", {"numpy", "torch"}),
    ("reports", set()),
    ("terminal", {"click", "tqdm"}),
    ("options", {"click"}),
    ("file_coding", set()),
    ("worker_pool", set()),
    ("many_files", {"click"}),
    ("evaluate", {"click", "numpy"}),
    ("synthesize", {"click"}),
    ("training_reports", {"torch", "tqdm"}),
    ("train", {"click", "torch"}),
    ("cli", {"click"}),
]
_CODING = [room for room, _ in ROOMS[: 1 + [room for room, _ in ROOMS].index("codec")]]
NO_FILES = [room for room in _CODING if room not in ("array_files", "compiled")]
NO_FILES += [f"networks.{name}" for name in ("network", "progressive", "grouped", "registry")]


def source(module: str) -> str:
    return (PACKAGE / f"{module.replace('.', '/')}.py").read_text()


def imports(module: str) -> set[str]:
    tree = ast.parse(source(module))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module
            if node.module in ("nncodec", "nncodec.data", "nncodec.networks"):
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
            else:
                names.add(node.module)
    return names


def test_every_module_has_a_room() -> None:
    found = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    }
    assert found == {module for module, _ in ROOMS}


@pytest.mark.parametrize("module", [module for module, _ in ROOMS])
def test_imports_point_one_way(module: str) -> None:
    order = [room for room, _ in ROOMS]
    outside = dict(ROOMS)[module]
    for name in imports(module):
        top = name.split(".")[0]
        if top == "nncodec":
            inner = name.removeprefix("nncodec").lstrip(".")
            if inner and inner in order:
                assert order.index(inner) < order.index(module), f"{module} imports {inner}"
            else:
                assert module == "cli", f"{module} imports {name}"
        else:
            assert top in outside | sys.stdlib_module_names, f"{module} imports {name}"


@pytest.mark.parametrize("module", NO_FILES)
def test_models_and_coding_open_no_files(module: str) -> None:
    assert "open(" not in source(module).replace("_open(", "")
    assert not imports(module) & {"os", "pathlib", "tempfile", "nncodec.array_files"}


_IMPORT = """
import sys
import nncodec, nncodec.cli
heavy = {"torch", "matplotlib", "google"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""


def test_importing_the_package_prints_nothing_and_takes_no_framework() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", _IMPORT], capture_output=True)
    assert done.stdout == done.stderr == b""
    assert done.returncode == 0
