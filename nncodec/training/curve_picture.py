"""The curves of a training as a picture, `curve.png`, beside its checkpoints.

Its points are kept in `curve.csv`, so that a training that goes on draws what was before, too.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from nncodec.files.streams import naming, open_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nncodec.training.trainer import Update

POINTS, PICTURE = "curve.csv", "curve.png"

_SECONDS = 20.0
"""So long nothing is drawn again; drawing takes half a second."""
_TITLES = ("step", "training", "validation")


@dataclass(frozen=True)
class Point:
    """What an evaluation has come to.

    Attributes:
        step: steps so far.
        training: the mean rate of the steps since the point before.
        validation: the rate of the validation codes; None where there are none.
        layers: the rate of each layer, of the validation codes if there are any.
    """

    step: int
    training: float
    validation: float | None
    layers: Sequence[float]


@contextlib.contextmanager
def keeping_curve(folder: str, step: int, every: int) -> Iterator[Callable[[Update], object]]:
    """Draws the curve of a training into its folder, for the length of a block.

    The picture needs matplotlib; without it, only the points are kept.

    Args:
        folder: of the training.
        step: how many steps there were before; points of later ones are dropped.
        every: steps from one evaluation to the next.

    Yields:
        A function to call after every step.
    """
    path, picture = os.path.join(folder, POINTS), os.path.join(folder, PICTURE)
    points = [point for point in _read(path) if point.step <= step]
    rates: list[float] = []
    drawn = time.monotonic()

    def save() -> None:
        nonlocal drawn
        if find_spec("matplotlib") and points:
            content = io.BytesIO()
            draw_curve(points).savefig(content, format="png", dpi=120)
            with naming(picture), open_whole(picture, force=True) as file:
                file.write(content.getbuffer())
        drawn = time.monotonic()

    def keep(update: Update) -> None:
        rates.append(update.training.total)
        if not update.validation and update.step % every:
            return
        measured = update.validation or update.training
        validation = update.validation.total if update.validation else None
        mean = sum(rates) / len(rates)
        points.append(Point(update.step, mean, validation, list(measured.layers)))
        rates.clear()
        with naming(path), open_whole(path, force=True) as file:
            file.write(_written(points).encode())
        if time.monotonic() - drawn > _SECONDS:
            save()

    try:
        yield keep
    finally:
        save()


def draw_curve(points: Sequence[Point]) -> Figure:
    """Draws rates by steps: of all layers on the left, of each of them on the right."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure((10, 4), layout="constrained")
    whole, by_layer = figure.subplots(1, 2, width_ratios=[1, 1.15])
    steps = [point.step for point in points]
    mark = "o" if len(points) < 4 else ""
    whole.plot(
        steps, [point.training for point in points], color="#9c9c9c", marker=mark, label="training"
    )
    validated = [(point.step, point.validation) for point in points if point.validation is not None]
    if validated:
        whole.plot(*zip(*validated, strict=True), color="#1f5fa8", marker=mark, label="validation")
        step, best = min(validated, key=lambda one: one[1])
        whole.plot(step, best, "o", color="#e0822c", label=f"best: {best:.4f} at step {step:,}")
    whole.set_title("all layers", fontsize=10)
    whole.set_ylabel("bits for each code bit")
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.15)}
    whole.legend(frameon=False, fontsize=8, ncols=3, **below)
    layers = max(len(point.layers) for point in points)
    for layer in range(layers):
        shown = [(point.step, point.layers[layer]) for point in points if layer < len(point.layers)]
        colour = colormaps["viridis"](0.9 * layer / max(1, layers - 1))
        name = f"layer {layer}" if layer % (1 + layers // 12) == 0 else None
        by_layer.plot(*zip(*shown, strict=True), color=colour, marker=mark, label=name)
    of = "validation" if validated else "training"
    by_layer.set_title(f"each layer, of the {of} codes", fontsize=10)
    # From the lowest line to the highest, mostly the order of the layers.
    by_layer.legend(
        frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), reverse=True
    )
    for ax in (whole, by_layer):
        ax.set_xlabel("step")
        ax.grid(color="#dddddd", linewidth=0.6)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
    return figure


def _written(points: Sequence[Point]) -> str:
    """The points as text: step, rates, and a column for each layer."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    most = max(len(point.layers) for point in points)
    writer.writerow([*_TITLES, *(f"layer_{layer}" for layer in range(most))])
    for point in points:
        rates = [point.training, point.validation, *point.layers]
        writer.writerow([point.step, *("" if rate is None else f"{rate:.6g}" for rate in rates)])
    return text.getvalue()


def _read(path: str) -> list[Point]:
    """Reads points; what is no file of these counts for nothing: it is only to look at."""
    points: list[Point] = []
    try:
        with open(path, encoding="utf-8", newline="") as file:
            for row in list(csv.reader(file))[1:]:
                step, training, validation, *layers = row
                rate = float(validation) if validation else None
                rates = [float(layer) for layer in layers if layer]
                points.append(Point(int(step), float(training), rate, rates))
    except (OSError, ValueError, csv.Error):
        pass
    return points
