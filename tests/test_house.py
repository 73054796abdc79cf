"""Which package may import which: arrows point one way, and containers know no numpy."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import nncodec

PACKAGE = Path(nncodec.__file__).parent

# A row a package, or a module that stands alone: its floor, and what it may import beside the
# standard library and packages of lower floors. Within a package, imports only have no circle.
HOUSE: dict[str, tuple[int, set[str]]] = {
    "errors": (0, set()),
    "format": (1, {"numpy"}),
    "model.kernels": (2, {"numpy", "numba", "llvmlite"}),
    "model.schedule": (3, {"numpy"}),
    "model.fixed_point": (3, {"numpy"}),
    "model.contexts": (4, {"numpy"}),
    "model.coverage": (5, {"numpy"}),
    "model.network": (6, {"numpy"}),
    "model.adaptive": (7, {"numpy"}),
    "model.model": (8, {"numpy"}),
    "model.packing": (9, {"numpy", "safetensors"}),
    "coding": (10, {"numpy", "constriction"}),
    "files": (11, {"numpy", "safetensors", "fsspec", "torch"}),
    "api": (12, {"numpy"}),
    "many": (13, {"numpy"}),
    "lazy": (13, set()),
    "chunks": (13, {"numpy"}),
    "zarr": (14, {"zarr"}),
    "numcodecs": (14, {"numpy", "numcodecs"}),
    "training": (
        12,
        {"numpy", "pydantic", "torch", "safetensors", "google", "google_crc32c", "matplotlib"},
    ),
    "commands": (13, {"numpy", "click", "tqdm", "matplotlib", "distributed"}),
    "__main__": (14, set()),
}
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path != PACKAGE / "__init__.py"
}
PARENTS = {"model"}
"""Packages of packages: their own `__init__` imports nothing."""

NO_NUMPY = [name for name in MODULES if name.startswith("format.") and name != "format.code_tensor"]
NO_FILES = [
    name
    for name in MODULES
    if name.split(".")[0] in ("format", "model", "coding") and name != "model.kernels.compilation"
]
NO_FILES += [name for name in MODULES if name.startswith("training.networks.")]
NO_FILES.remove("training.networks.files")


def source(module: str) -> str:
    return MODULES[module].read_text(encoding="utf-8")


def room_of(module: str) -> str | None:
    """The row of a module, or of the package that it is in."""
    return next((row for row in HOUSE if f"{module}.".startswith(f"{row}.")), None)


def imports(module: str) -> Iterator[str]:
    """The modules that a module imports, in full, with those that it imports where it uses them."""
    for node in ast.walk(ast.parse(source(module))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner.removeprefix("nncodec.") in MODULES else node.module


def inner_imports(module: str) -> set[str]:
    return {
        name.removeprefix("nncodec.") for name in imports(module) if name.startswith("nncodec.")
    }


def test_every_module_has_a_room() -> None:
    assert {room_of(module) for module in MODULES if module not in PARENTS} == set(HOUSE)
    assert not any(inner_imports(module) for module in PARENTS)


@pytest.mark.parametrize("room", HOUSE)
def test_imports_point_one_way(room: str) -> None:
    floor, outside = HOUSE[room]
    for module in MODULES:
        if room_of(module) != room:
            continue
        for name in imports(module):
            if name.split(".")[0] != "nncodec":
                allowed = outside | sys.stdlib_module_names
                assert name.split(".")[0] in allowed, f"{module} imports {name}"
            elif name == "nncodec":
                assert module == "commands.main", f"{module} imports {name}"
            else:
                other = room_of(name.removeprefix("nncodec."))
                assert other, f"{module} imports {name}"
                assert other == room or HOUSE[other][0] < floor, f"{module} imports {name}"


def test_no_import_comes_back() -> None:
    TopologicalSorter({module: inner_imports(module) for module in MODULES}).prepare()


@pytest.mark.parametrize("package", [name for name in MODULES if (PACKAGE / name).is_dir()])
def test_every_package_says_what_it_is(package: str) -> None:
    said = ast.get_docstring(ast.parse(source(package)))
    assert said
    assert "May import" in said


@pytest.mark.parametrize("module", MODULES)
def test_modules_are_read_in_one_sitting(module: str) -> None:
    assert len(source(module).splitlines()) <= 300


@pytest.mark.parametrize("module", NO_NUMPY)
def test_containers_know_no_numpy(module: str) -> None:
    assert "numpy" not in {name.split(".")[0] for name in imports(module)}


@pytest.mark.parametrize("module", NO_FILES)
def test_models_and_coding_open_no_files(module: str) -> None:
    assert "open(" not in source(module)
    opening = {"os", "pathlib", "tempfile"}
    if module == "coding.threads":  # which counts processors
        opening.remove("os")
    assert not set(imports(module)) & opening


_IMPORT = """
import sys
import nncodec, nncodec.commands.main
heavy = {"torch", "matplotlib", "google", "pydantic"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""


def test_worker_processes_need_no_click() -> None:
    modules = "nncodec.commands.worker_pool, nncodec.commands.restore"
    code = f"import sys, {modules}; sys.exit('click' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_package_prints_nothing_and_takes_no_framework() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", _IMPORT], capture_output=True)
    assert done.stdout == done.stderr == b""
    assert done.returncode == 0
