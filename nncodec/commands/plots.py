"""Pictures of what `evaluate` and `info` print; in no other command is matplotlib imported."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nncodec.commands.reports import rate_of
from nncodec.commands.spending import Spent
from nncodec.errors import NncodecError
from nncodec.files.streams import check_output, file_label, naming, open_output
from nncodec.training import require_packages

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
MOST_MAPS = 4
"""At most so many layers have a map unless they are named."""

_OWN, _THEORY = "#1f5fa8", "#e0822c"
_PEERS = ("#7a7a7a", "#9c9c9c", "#bdbdbd")
_MARKS = ("s", "^", "D")
_MAP_COLOURS = "inferno"
_DOTS = 150  # per inch


@dataclass(frozen=True)
class Where:
    """What a plot shows of a picture, and the file that it goes into.

    Attributes:
        plot: the path of the file to write.
        layers: which have a map.
        picture: the path of the photograph that the codes are of, drawn beside the maps; or None.
        force: whether an existing file may be replaced.
    """

    plot: str
    layers: Sequence[int]
    picture: str | None
    force: bool


def check_plot(plot: str, *, force: bool) -> None:
    """Refuses a plot that cannot be drawn or written, before the work for it is done.

    Raises:
        NncodecError: matplotlib is missing, or the file is in the way or of no known kind.
    """
    require_packages("--plot", matplotlib="matplotlib")
    if os.path.splitext(plot)[1].lower() not in FORMATS:
        known = ", ".join(FORMATS)
        raise NncodecError(f"{file_label(plot)}: is no kind of picture known here; use {known}")
    check_output(plot, force=force)


def maps_of(layers: int, asked: Sequence[int]) -> list[int]:
    """Chooses the layers that get a map: those that were asked for, or some from first to last.

    Raises:
        NncodecError: there is no such layer.
    """
    for layer in asked:
        if layer >= layers:
            raise NncodecError(f"--map-layer {layer}: the layers are 0 to {layers - 1}; name these")
    if asked:
        return list(dict.fromkeys(asked))
    some = np.geomspace(1, layers, MOST_MAPS).round().astype(int) - 1  # the first ones differ most
    return list(dict.fromkeys(some.tolist()))


def plot_spent(
    title: str, spent: Spent, peers: Mapping[str, Sequence[float]], where: Where
) -> None:
    """Draws the rate of every layer, and below it where the bits of some layers are spent.

    Args:
        title: of the picture: the file, its model and so on.
        spent: what a code file takes.
        peers: what other compressors take for each code bit, of every layer, by their names.
        where: what is shown, and where it goes.

    Raises:
        NncodecError: the photograph cannot be read, or the plot not be written.
    """
    from matplotlib.figure import Figure

    layers, positions = where.layers, spent.positions
    photo = None if where.picture is None else _read_photo(where.picture)
    height, width = positions.shape[1:]
    tiles = len(layers) + (photo is not None)
    in_a_row = tiles <= (5 if height > width else 4)
    columns = tiles if in_a_row else 3 if tiles in (5, 6, 9) else 4
    rows = -(-tiles // columns)
    # Maps of extreme forms, as of vectors, are stretched.
    tile_height = float(np.clip(9.0 / columns * height / width, 0.6, 4.5)) + 0.45
    figure = Figure((10, 3.6 + rows * tile_height), layout="constrained")
    parts = figure.subfigures(2, 1, height_ratios=[3.6, rows * tile_height], squeeze=False)
    upper, lower = parts[:, 0]
    _draw_rates(upper.subplots(), spent, peers)
    upper.suptitle(title, fontsize=10)
    grid = lower.subplots(rows, columns, squeeze=False)
    axes = list(grid.flat)
    for spare in axes[tiles:]:
        spare.axis("off")
    if photo is not None:
        axes[0].imshow(photo, aspect="auto")
        axes[0].set_title("the picture", fontsize=10)
        axes[0].set_axis_off()
    most = float(np.percentile(positions[list(layers)], 99.5))
    for layer, ax in zip(layers, axes[tiles - len(layers) :], strict=False):
        image = ax.imshow(
            positions[layer],
            cmap=_MAP_COLOURS,
            vmin=0,
            vmax=max(most, 1e-3),
            interpolation="nearest",
            aspect="auto",
        )
        total = float(positions[layer].sum()) / 8
        ax.set_title(f"layer {layer}: {total:,.0f} bytes", fontsize=10)
        ax.set_xticks([])
        ax.set_yticks([])
    lower.colorbar(
        image,
        ax=axes,
        label=f"bits spent at a position\n({spent.layer_depth} code bits)",
        aspect=max(8, 6 * rows * tile_height),
        extend="max",
        extendfrac=0.03,
        pad=0.01,
    )
    _save(figure, where.plot, force=where.force)


def plot_containers(
    containers: Sequence[tuple[str, dict[str, Any]]], plot: str, *, force: bool
) -> None:
    """Draws what each layer of some containers takes: its rate, or bytes where bits are unknown.

    Args:
        containers: the name of each, and the facts that `info --json` prints.
        plot: the path of the picture to write.
        force: whether an existing file may be replaced.

    Raises:
        NncodecError: it cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    rows = [facts["layers"] for _, facts in containers]
    known = all(row["bits"] is not None for layers in rows for row in layers)
    what = "bits on disk for each code bit" if known else "bytes on disk"
    heights = [
        [rate_of(8 * row["bytes"], row["bits"]) if known else row["bytes"] for row in layers]
        for layers in rows
    ]
    figure = Figure((8, 4.2), layout="constrained")
    ax = figure.subplots()
    if len(containers) == 1:
        ((label, facts),) = containers
        layers = facts["layers"]
        bars = ax.bar([row["layer"] for row in layers], heights[0], color=_OWN, width=0.75)
        if len(layers) <= 16:
            texts = [f"{row['bytes']:,}" for row in layers]
            ax.bar_label(bars, texts, padding=2, fontsize=8)
        ax.set_title(
            f"{label}: {facts['input_bits']:,} bits in {facts['output_bytes']:,} bytes, "
            f"rate {facts['rate']:.4f}, model {facts['model']}",
            fontsize=10,
        )
        ax.set_ylim(0, max(1.05, 1.1 * max(heights[0])))
        ax.set_ylabel(f"{what}\n(above the bars: bytes)" if known else what)
    else:
        for (label, facts), sizes in zip(containers, heights, strict=True):
            ax.plot(sizes, marker="o", markersize=4, label=f"{label} ({facts['rate']:.3f})")
        ax.set_ylim(bottom=0)
        ax.set_ylabel(what)
        if len(containers) <= 12:
            ax.legend(fontsize=8, frameon=False)
    if known:
        ax.axhline(1, color="black", linewidth=0.8, linestyle=":")
    ax.set_xlabel("layer")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _tidy(ax)
    _save(figure, plot, force=force)


def _draw_rates(ax: Axes, spent: Spent, peers: Mapping[str, Sequence[float]]) -> None:
    from matplotlib.ticker import MaxNLocator

    layers = range(len(spent.disk_rates))
    ax.axhline(1, color="black", linewidth=0.8, linestyle=":", label="the packed bits")
    for (name, rates), colour, mark in zip(peers.items(), _PEERS, _MARKS, strict=False):
        ax.plot(layers, rates, color=colour, marker=mark, markersize=4, linewidth=1.2, label=name)
    ax.plot(
        layers, spent.disk_rates, color=_OWN, marker="o", linewidth=2.2, label="nncodec, on disk"
    )
    ax.plot(
        layers,
        spent.theory_rates,
        color=_THEORY,
        linestyle="--",
        marker=".",
        linewidth=1.2,
        label="its theory",
    )
    ax.set_xlabel("layer")
    ax.set_ylabel("bits out for each code bit")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    shown = [*spent.disk_rates, *spent.theory_rates, 1.0]
    shown += [min(rate, 1.25) for rates in peers.values() for rate in rates]
    ax.set_ylim(0, 1.08 * max(shown))
    ax.set_xlim(-0.5, len(layers) - 0.5)
    _tidy(ax)
    ax.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _tidy(ax: Axes) -> None:
    ax.grid(axis="y", color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def _read_photo(path: str) -> npt.NDArray[Any]:
    from matplotlib.image import imread

    with naming(file_label(path)):
        try:
            return np.asarray(imread(path))
        except (ValueError, SyntaxError) as error:
            raise NncodecError("is no picture that can be read; give a PNG or a JPEG") from error
        except OSError as error:
            if error.errno is None:  # Pillow's, of a file that is none of its kinds
                line = "is no picture that can be read; give a PNG or a JPEG"
                raise NncodecError(line) from error
            raise


def _save(figure: Figure, plot: str, *, force: bool) -> None:
    content = io.BytesIO()
    form = os.path.splitext(plot)[1].lower().removeprefix(".")
    figure.savefig(content, format=form, dpi=_DOTS)
    with open_output(plot, force=force) as file:
        file.write(content.getbuffer())
