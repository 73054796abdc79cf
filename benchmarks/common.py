"""What the benchmarks share: options, reading files, the machine, tables, JSON, figures."""

import functools
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from nncodec.errors import NncodecError
from nncodec.files.code_files import CodeFile, read_code_file
from nncodec.format.code_tensor import Codes

PACKAGES = ("nncodec", "numpy", "numba", "constriction", "zstandard", "brotli")


def _check_plot(_context: object, _option: object, path: Path | None) -> Path | None:
    if path is None:
        return None
    if importlib.util.find_spec("matplotlib") is None:
        raise click.ClickException("--plot needs matplotlib; pip install matplotlib")
    if not path.parent.is_dir():
        raise click.ClickException(f"--plot: there is no folder {path.parent}; make it first")
    return path


_FILES = (
    click.argument("files", nargs=-1, required=True),
    click.option("--axes", default="auto", show_default=True, help="auto, or as in lnhwc."),
    click.option("--layer-depth", type=click.IntRange(1), help="Bits of a layer, where unknown."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object, no tables."),
)
model_option = click.option(
    "--model", default="auto", show_default=True, help="Model that nncodec uses."
)
sequence_option = click.option(
    "--sequence/--no-sequence",
    default=None,
    show_default="found out",
    help="Whether the pictures of a batch are frames.",
)
plot_option = click.option(
    "--plot",
    "plot_path",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_check_plot,
    help="Write a PNG too.",
)


def reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command code files, as `read_files` gives them, --json, and errors of one line."""

    @functools.wraps(command)
    def guarded(files: Sequence[str], axes: str, layer_depth: int | None, **options: Any) -> None:
        try:
            command(files=read_files(files, axes, layer_depth), **options)
        except NncodecError as error:
            raise click.ClickException(str(error)) from error

    for option in reversed(_FILES):
        guarded = option(guarded)
    return guarded


def read_files(
    files: Sequence[str], axes: str, layer_depth: int | None
) -> Iterator[tuple[str, CodeFile]]:
    """Reads code files one by one, with a progress bar on a terminal; gives their names too."""
    for file in tqdm(files, disable=None, unit="file"):
        yield file, read_code_file(file, axes=axes, layer_depth=layer_depth)


def require_same(name: str, decoded: Codes, codes: Codes) -> None:
    """Refuses a round trip that did not give the codes back."""
    if not np.array_equal(decoded, codes):
        raise click.ClickException(f"{name}: the decoded codes are not the codes")


def environment(seed: int | None) -> dict[str, Any]:
    """What a result depends on beside the files.

    Args:
        seed: of the benchmark's random numbers, None where it uses none.
    """
    versions = {}
    for package in PACKAGES:
        if importlib.util.find_spec(package):
            versions[package] = importlib.metadata.version(package)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": int(os.environ["OMP_NUM_THREADS"]),
        "seed": seed,
        "versions": {**versions, "zlib": zlib.ZLIB_RUNTIME_VERSION},
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def describe(environment: dict[str, Any]) -> str:
    """The environment as two lines for people."""
    versions = ", ".join(f"{name} {number}" for name, number in environment["versions"].items())
    seed = "" if environment["seed"] is None else f", seed {environment['seed']}"
    return (
        f"{environment['cpu']}, {environment['cores']} cores, "
        f"{environment['threads']} thread{seed}\nPython {environment['python']}, {versions}"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines of columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def print_json(name: str, description: str, results: dict[str, Any]) -> None:
    """Prints the one object that --json promises."""
    report = {"name": name, "description": description, "results": results}
    click.echo(json.dumps(report, indent=2))


def new_figure(width: float, height: float) -> Any:
    """A matplotlib figure that needs no display; matplotlib is imported only here."""
    figure = importlib.import_module("matplotlib.figure")
    return figure.Figure(figsize=(width, height), dpi=120, layout="constrained")


def save_figure(figure: Any, path: Path) -> None:
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from error
