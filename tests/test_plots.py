"""What is drawn: every number, in a picture that can be read, or one line that says why not."""

import json
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from nncodec.coding.codec import code_lengths, encode_source
from nncodec.coding.threads import ONE_THREAD
from nncodec.commands import plots
from nncodec.commands.peers import peer_rates
from nncodec.commands.plots import maps_of
from nncodec.commands.spending import measure_spent
from nncodec.errors import NncodecError
from nncodec.files.model_choice import Predictor
from nncodec.format.source import Source
from nncodec.training.curve_picture import POINTS, Point, draw_curve, keeping_curve
from tests.command_line import Run, assert_refused, invoke
from tests.samples import averaged_codes

matplotlib = pytest.importorskip("matplotlib")

CODES = averaged_codes((4, 2, 12, 20, 16), 5)
PNG = b"\x89PNG\r\n"


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a folder with a code file, and a container of it."""
    monkeypatch.chdir(tmp_path)
    np.save("codes.npy", CODES)
    invoke("compress", "--quiet", "--model", "adaptive", "codes.npy", "codes.nnb")
    return invoke


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that are saved meanwhile."""
    figures = []
    save = plots._save

    def keep(figure: Any, plot: str, *, force: bool) -> None:
        figures.append(figure)
        save(figure, plot, force=force)

    monkeypatch.setattr(plots, "_save", keep)
    return figures


def lines(ax: Any) -> dict[str, list[float]]:
    return {line.get_label(): list(line.get_ydata()) for line in ax.lines}


def test_what_is_spent_is_what_a_container_has() -> None:
    spent = measure_spent(CODES, Predictor(None, False), ONE_THREAD)
    encoded = encode_source(CODES, Source())
    bits = CODES[0].size
    np.testing.assert_allclose(spent.code_lengths, code_lengths(CODES))
    assert spent.theory_rates == [layer.code_length / bits for layer in encoded.layers]
    assert spent.disk_rates == [layer.bytes * 8 / bits for layer in encoded.layers]
    alone = measure_spent(CODES[:, :1], Predictor(None, False), ONE_THREAD)
    sums = alone.positions.sum(axis=(1, 2))
    np.testing.assert_allclose(sums, alone.code_lengths, rtol=1e-5)
    # The first picture of two is coded before the second.
    np.testing.assert_array_equal(spent.positions, alone.positions)
    assert spent.layer_depth == 16


BITS = [CODES[0].size] * len(CODES)


def test_peers_have_every_layer() -> None:
    rates = peer_rates(CODES, BITS)
    assert "xz -9e" in rates
    assert all(len(rate) == len(CODES) for rate in rates.values())
    constant = peer_rates(np.zeros_like(CODES), BITS)
    assert all(max(rate) < 0.2 for rate in constant.values())
    by_channel = np.broadcast_to(np.arange(16) % 3 == 0, CODES.shape).astype(np.uint8)
    assert all(max(rate) < 0.2 for rate in peer_rates(by_channel, BITS).values())


def test_rates_of_peers_are_of_the_bits_that_there_are() -> None:
    all_bits, half = peer_rates(CODES, BITS), peer_rates(CODES, [count // 2 for count in BITS])
    assert half == {name: [2 * rate for rate in rates] for name, rates in all_bits.items()}
    assert set(peer_rates(CODES, [0] * len(CODES))["xz -9e"]) == {0}


def test_evaluate_divides_all_by_the_bits_that_there_are(run: Run, drawn: list[Any]) -> None:
    coverage = np.arange(20) % 4 + 1
    there = np.arange(4)[:, None, None, None] < np.broadcast_to(coverage, CODES.shape[1:4])
    codes = CODES * there[..., None].astype(np.uint8)
    np.savez("codes.npz", codes=codes, coverage=np.broadcast_to(coverage, CODES.shape[1:4]))
    result = run("evaluate", "--axes", "lnhwc", "--json", "--plot", "spent.png", "codes.npz")
    layers = json.loads(result.stdout)["layers"]
    bits = [row["bits"] for row in layers]
    assert bits == [CODES[0].size * (4 - layer) // 4 for layer in range(4)]
    shown = lines(drawn[0].axes[0])
    np.testing.assert_allclose(shown["its theory"], [row["rate"] for row in layers])
    assert {name: shown[name] for name in peer_rates(codes, bits)} == peer_rates(codes, bits)


def test_peers_are_spared_what_takes_them_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nncodec.commands.peers.MOST_BITS", CODES.size - 1)
    assert peer_rates(CODES, BITS) == {}


def test_evaluate_draws_every_number(run: Run, drawn: list[Any]) -> None:
    arguments = ["--model", "adaptive", "--json", "codes.npy"]
    plain = run("evaluate", *arguments)
    result = run("evaluate", "--plot", "spent.png", *arguments)
    assert (result.exit_code, result.stdout) == (0, plain.stdout)
    assert pathlib.Path("spent.png").read_bytes().startswith(PNG)
    (figure,) = drawn
    rates, *maps = figure.axes
    shown = lines(rates)
    layers = json.loads(plain.stdout)["layers"]
    np.testing.assert_allclose(shown["its theory"], [row["rate"] for row in layers])
    spent = measure_spent(CODES, Predictor(None, False), ONE_THREAD)
    assert shown["nncodec, on disk"] == spent.disk_rates
    assert set(peer_rates(CODES, BITS)) < set(shown)
    assert rates.get_xlabel() == "layer"
    assert rates.get_ylabel() == "bits out for each code bit"
    images = [ax.images[0] for ax in maps if ax.images]
    assert [ax.get_title().split(":")[0] for ax in maps if ax.images] == [
        *("layer 0", "layer 1", "layer 2", "layer 3")
    ]
    for layer, image in enumerate(images):
        np.testing.assert_array_equal(image.get_array(), spent.positions[layer])
    assert len({image.get_clim() for image in images}) == 1  # the colours can be compared
    assert maps[-1].get_ylabel() == "bits spent at a position\n(16 code bits)"


def test_a_photograph_stands_beside_the_chosen_layers(run: Run, drawn: list[Any]) -> None:
    from matplotlib.image import imsave

    photo = np.random.default_rng(0).random((24, 40, 3))
    imsave("photo.png", photo)
    chosen = ["--map-layer", "3", "--map-layer", "1"]
    result = run("evaluate", "codes.npy", "--plot", "a.svg", "--picture", "photo.png", *chosen)
    assert result.exit_code == 0, result.stderr
    titles = [ax.get_title().split(":")[0] for ax in drawn[0].axes if ax.images]
    assert titles == ["the picture", "layer 3", "layer 1"]
    assert b"<svg" in pathlib.Path("a.svg").read_bytes()


@pytest.mark.parametrize("shape", [(1, 1, 300, 1, 12), (3, 1, 1, 1, 5), (17, 3, 2, 90, 1)])
def test_tensors_of_any_form_can_be_drawn(run: Run, shape: Sequence[int]) -> None:
    np.save("codes.npy", averaged_codes(tuple(shape), 1))
    result = run("evaluate", "codes.npy", "--plot", "spent.pdf")
    assert result.exit_code == 0, result.stderr
    assert pathlib.Path("spent.pdf").read_bytes().startswith(b"%PDF")


def test_maps_are_of_first_layers_most() -> None:
    assert [maps_of(layers, []) for layers in (1, 2, 8, 16)] == [
        *([0], [0, 1], [0, 1, 3, 7], [0, 2, 5, 15])
    ]
    assert maps_of(5, [4, 0, 4]) == [4, 0]
    with pytest.raises(NncodecError, match="--map-layer 5: the layers are 0 to 4; name these"):
        maps_of(5, [5])


def test_info_draws_every_number(run: Run, drawn: list[Any]) -> None:
    plain = run("info", "codes.nnb")
    result = run("info", "codes.nnb", "--plot", "layers.png")
    assert (result.exit_code, result.stdout) == (0, plain.stdout)
    facts = json.loads(run("info", "codes.nnb", "--json").stdout)
    (ax,) = drawn[0].axes
    heights = [bar.get_height() for bar in ax.patches]
    assert heights == [row["bytes"] * 8 / row["bits"] for row in facts["layers"]]
    assert {f"{row['bytes']:,}" for row in facts["layers"]} <= {
        text.get_text() for text in ax.texts
    }
    assert f"{facts['output_bytes']:,} bytes" in ax.get_title()


def test_info_draws_bytes_where_bits_are_unknown(
    run: Run, drawn: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nncodec.coding.segments.ENDING_SEGMENT_BITS", 1 << 10)
    coverage = np.broadcast_to(np.arange(20) % 4 + 1, CODES.shape[1:4])
    codes = CODES * (np.arange(4)[:, None, None, None] < coverage)[..., None].astype(np.uint8)
    np.savez("codes.npz", codes=codes, coverage=coverage)
    run("compress", "--axes", "lnhwc", "codes.npz", "early.nnb")
    facts = json.loads(run("info", "early.nnb", "--json").stdout)
    sizes = [row["bytes"] for row in facts["layers"]]
    assert None in [row["bits"] for row in facts["layers"]]
    assert run("info", "early.nnb", "--plot", "one.png").exit_code == 0
    assert run("info", "early.nnb", "codes.nnb", "--plot", "two.png").exit_code == 0
    one, two = drawn[0].axes[0], drawn[1].axes[0]
    assert [bar.get_height() for bar in one.patches] == sizes
    assert f"early.nnb ({facts['rate']:.3f})" in lines(two)
    assert next(iter(lines(two).values())) == sizes
    assert one.get_ylabel() == two.get_ylabel() == "bytes on disk"


def test_several_containers_are_lines(tmp_path: pathlib.Path, drawn: list[Any], run: Run) -> None:
    facts = json.loads(run("info", "codes.nnb", "--json").stdout)
    pathlib.Path("b.nnb").write_bytes(pathlib.Path("codes.nnb").read_bytes())
    plain = run("info", "codes.nnb", "b.nnb")
    result = run("info", "codes.nnb", "b.nnb", "--plot", "both.png")
    assert (result.exit_code, result.stdout) == (0, plain.stdout)
    assert [name for name in lines(drawn[0].axes[0]) if ".nnb" in name] == [
        f"{name} ({facts['rate']:.3f})" for name in ("codes.nnb", "b.nnb")
    ]


# --- what cannot be drawn ----------------------------------------------------------------------


@pytest.mark.parametrize("command", [["evaluate", "codes.npy"], ["info", "codes.nnb"]])
def test_what_is_in_the_way(run: Run, command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pathlib.Path("there.png").write_bytes(b"mine")
    line = "there.png: exists already; add --force to replace it, or name another"
    assert_refused(run, [*command, "--plot", "there.png"], line)
    assert run(*command, "--plot", "there.png", "--force").exit_code == 0
    line = "plot.gif: is no kind of picture known here; use .png, .svg, .pdf"
    assert_refused(run, [*command, "--plot", "plot.gif"], line)
    monkeypatch.setattr("nncodec.training.find_spec", lambda _: None)
    line = "--plot needs matplotlib, which is not installed; run: pip install matplotlib"
    assert_refused(run, [*command, "--plot", "plot.png"], line)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--plot", "p.png", "codes.npy", "codes.npy"], "--plot draws one code file, not 2"),
        (["--plot", "p.png", "--network", "n", "codes.npy"], "give --model, not --network"),
        (["--map-layer", "1", "codes.npy"], "go with --plot; give that too"),
        (["--picture", "p.jpg", "codes.npy"], "go with --plot; give that too"),
        (["--force", "codes.npy"], "go with --plot; give that too"),
    ],
)
def test_options_that_do_not_go_together(run: Run, arguments: list[str], line: str) -> None:
    result = run("evaluate", *arguments)
    assert result.exit_code == 2
    assert line in result.stderr
    assert not os.path.exists("p.png")


def test_info_replaces_no_picture_where_it_draws_none(run: Run) -> None:
    result = run("info", "codes.nnb", "--force")
    assert result.exit_code == 2
    assert "--force goes with --plot; give that too" in result.stderr


def test_a_photograph_that_is_none(run: Run) -> None:
    command = ["evaluate", "codes.npy", "--json", "--plot", "p.png", "--picture"]
    result = run(*command, "codes.npy")
    assert result.stderr == (
        "nncodec: codes.npy: is no picture that can be read; give a PNG or a JPEG\n"
    )
    result = run(*command, "none.png")
    assert result.stderr == "nncodec: none.png: no such file or folder; check the name\n"
    assert not os.path.exists("p.png")


# --- the curve of a training -------------------------------------------------------------------


class Rates:
    def __init__(self, total: float, layers: list[float]) -> None:
        self.total, self.layers = total, layers


class Update:
    def __init__(self, step: int, validation: bool = True) -> None:
        self.step = step
        self.training = Rates(1 - step / 100, [0.5, 0.75])
        self.validation = Rates(0.9 - step / 100, [0.25, 0.5]) if validation else None


def test_a_curve_goes_on_where_it_was(tmp_path: pathlib.Path) -> None:
    folder = str(tmp_path)
    with keeping_curve(folder, 0, 2) as keep:
        for step in range(1, 7):
            keep(Update(step, step % 2 == 0))  # type: ignore[arg-type]
    assert (tmp_path / "curve.png").read_bytes().startswith(PNG)
    with keeping_curve(folder, 4, 2) as keep:  # the last checkpoint was that of step 4
        keep(Update(5, False))  # type: ignore[arg-type]
        keep(Update(6, True))  # type: ignore[arg-type]
    rows = (tmp_path / POINTS).read_text().splitlines()
    assert rows == [
        "step,training,validation,layer_0,layer_1",
        "2,0.985,0.88,0.25,0.5",
        "4,0.965,0.86,0.25,0.5",
        "6,0.945,0.84,0.25,0.5",
    ]
    (tmp_path / POINTS).write_text("damaged\n1,2\n")
    with keeping_curve(folder, 4, 2) as keep:
        keep(Update(6))  # type: ignore[arg-type]
    assert len((tmp_path / POINTS).read_text().splitlines()) == 2


def test_an_interrupted_training_leaves_its_curve(tmp_path: pathlib.Path) -> None:
    def interrupted() -> None:
        with keeping_curve(str(tmp_path), 0, 1) as keep:
            keep(Update(1))  # type: ignore[arg-type]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sorted(os.listdir(tmp_path)) == ["curve.csv", "curve.png"]


def test_without_matplotlib_there_are_the_points(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nncodec.training.curve_picture.find_spec", lambda _: None)
    with keeping_curve(str(tmp_path), 0, 1) as keep:
        keep(Update(1))  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == ["curve.csv"]


def test_a_curve_has_every_point() -> None:
    points = [Point(step, 1.0 / step, 1.1 / step, [0.2, 0.4, 0.6][:step]) for step in (1, 2, 3)]
    whole, by_layer = draw_curve(points).axes
    shown = lines(whole)
    assert shown["training"] == [point.training for point in points]
    assert shown["validation"] == [point.validation for point in points]
    assert any(re.fullmatch(r"best: 0\.3667 at step 3", name) for name in shown)
    assert lines(by_layer) == {
        **{"layer 0": [0.2] * 3, "layer 1": [0.4] * 2, "layer 2": [0.6]},
    }
    assert whole.get_xlabel() == by_layer.get_xlabel() == "step"
    unvalidated = [Point(1, 0.5, None, [0.5])]
    assert list(lines(draw_curve(unvalidated).axes[0])) == ["training"]
