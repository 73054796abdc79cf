"""The benchmarks as a user runs them, on tiny code files: JSON, tables, figures, errors."""

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.floor import multiply_accumulates
from benchmarks.raster import RasterModel, crop, decode_raster, encode_raster
from nncodec.coding.codec import encode_source
from nncodec.files.code_files import read_code_file
from nncodec.files.model_files import save_model
from nncodec.model.adaptive.stage import AdaptiveStage
from nncodec.model.adaptive.start import untrained
from nncodec.model.model import Model
from nncodec.model.schedule import Schedule
from tests.samples import random_network

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PEERS = {"zlib", "bz2", "lzma"}
WAYS = ("encode", "decode")


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def report(script: str, *arguments: str | Path) -> dict[str, Any]:
    """The results that a benchmark prints as JSON."""
    done = run(script, *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    printed = json.loads(done.stdout)
    assert set(printed) == {"name", "description", "results"}
    assert printed["name"] == f"nncodec {script.removesuffix('.py')}"
    results: dict[str, Any] = printed["results"]
    machine = results["environment"]
    assert machine["cpu"]
    assert machine["threads"] == 1
    assert {"nncodec", "numpy", "constriction", "zlib"} <= set(machine["versions"])
    assert set(results.get("peers", PEERS)) >= PEERS
    return results


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One file whose layers are a segment each, one whose layers share segments."""
    folder = tmp_path_factory.mktemp("codes")
    random = np.random.default_rng(0)
    paths = []
    for name, shape in (("large", (5, 1, 12, 16, 16)), ("small", (6, 1, 7, 9, 13))):
        rows = random.integers(0, 2, (*shape[:3], 1, shape[4]), dtype=np.uint8)
        codes = np.where(random.random(shape) < 0.8, rows, 1 - rows)
        codes[-1] = random.integers(0, 2, shape[1:])  # costs its bits: stored
        paths.append(folder / f"{name}.npy")
        np.save(paths[-1], codes)
    return paths


@pytest.fixture(scope="module")
def rates(files: list[Path]) -> dict[str, Any]:
    return report("bench_rate.py", *files, "--layout", "nhwc")


def test_rate_compares_theory_and_disk(rates: dict[str, Any]) -> None:
    for file in rates["files"]:
        assert file["code_length"] <= file["bytes"] * 8
        assert file["bytes"] <= file["allowed_bytes"]
        payloads = sum(layer["bytes"] for layer in file["layers"])
        assert payloads + file["header_bytes"] == file["bytes"]
        assert file["rates"][-1]["bytes"] == file["bytes"]
        for one in file["rates"]:
            assert one["theory"] <= one["nncodec"]
            assert set(one["peers"]) == set(one["orders"]) == set(rates["peers"])
    large = rates["files"][0]
    assert any(layer["stored"] for layer in large["layers"])
    for layer in large["layers"]:
        assert layer["code_length"] <= layer["bytes"] * 8


def test_rate_of_first_layers_is_that_of_a_file_of_them(
    files: list[Path], rates: dict[str, Any]
) -> None:
    for path, measured in zip(files, rates["files"], strict=True):
        file = read_code_file(path, layout="nhwc")
        assert [one["layers"] for one in measured["rates"]] == [1, 2, 4, len(file.codes)]
        for one in measured["rates"]:
            data = encode_source(file.codes[: one["layers"]], file.source).data
            assert one["bytes"] == len(data)


def test_rate_means_are_of_the_files_that_have_the_layers(rates: dict[str, Any]) -> None:
    large, small = (file["rates"] for file in rates["files"])
    means = {one["layers"]: one for one in rates["mean"]["rates"]}
    assert {layers: one["files"] for layers, one in means.items()} == {1: 2, 2: 2, 4: 2, 5: 1, 6: 1}
    assert means[1]["nncodec"] == pytest.approx((large[0]["nncodec"] + small[0]["nncodec"]) / 2)
    assert means[5]["peers"] == large[-1]["peers"]
    assert [layer["files"] for layer in rates["mean"]["layers"]] == [2, 2, 2, 2, 2, 1]


@pytest.fixture(scope="module")
def speed(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """With a network, so that the model has all its parts."""
    model = tmp_path_factory.mktemp("model") / "model.safetensors"
    network = random_network(6, 13, seed=0)
    save_model(Model(untrained(6, 13, with_network=True), network), model)
    options = ("--layout", "nhwc", "--repeat", "2", "--model", model)
    return report("bench_speed.py", files[1], *options)


def test_speed_is_of_every_codec(speed: dict[str, Any]) -> None:
    assert speed["environment"]["seed"] == 0
    speeds = speed["bits_per_second"]
    others = {"range coder alone", "raster order, numpy", *speed["peers"]}
    assert set(speeds) == {"nncodec", *others}
    assert all(speeds[name][way] > 0 for name in speeds for way in WAYS)
    assert speeds["raster order, numpy"]["decode"] < speeds["nncodec"]["decode"]
    (file,) = speed["files"]
    assert 0 < file["raster_bits"] <= file["bits"]
    for name in ("nncodec", "raster order, numpy"):
        assert len(file["speeds"][name]["decode"]["seconds"]) == speed["repeat"] == 2


def test_speed_splits_the_time(speed: dict[str, Any]) -> None:
    (file,) = speed["files"]
    for way in WAYS:
        stages = file["stages"][way]
        assert {"model: network", "model: learners learn", "coder"} < set(stages)
        assert {"container", "order and set-up"} < set(stages)
        assert "traversal" not in stages
        assert min(stages.values()) >= 0
        assert sum(stages.values()) == pytest.approx(file["seconds"][way], rel=0.01)


def test_speed_floor_is_below_the_measured_time(speed: dict[str, Any]) -> None:
    assert min(speed["multiply_accumulates_per_second"].values()) > 0
    for way in WAYS:
        floor = speed["nanoseconds_per_bit"][way]
        assert 0 < floor["range coder"] < floor["floor"] < floor["nncodec"]
        assert floor["nncodec"] == pytest.approx(1e9 / speed["bits_per_second"]["nncodec"][way])
        assert floor["nncodec / floor"] == pytest.approx(floor["nncodec"] / floor["floor"])


def test_multiply_accumulates_are_those_of_the_weights() -> None:
    shape = (3, 1, 4, 5, 8)
    start = untrained(3, 8)
    each = 2 * start.units.shape[-1] + start.shared[0].size + start.mixers.shape[-1]
    around = 8 * (4 + 8 + 9) / 3  # those of the neighbours' channels, in layers 0, 1 and 2
    assert multiply_accumulates(shape, None) == pytest.approx(2 * (each + around))


def test_raster_order_comes_back() -> None:
    random = np.random.default_rng(0)
    codes = (random.random((3, 2, 9, 8, 5)) < 0.2).astype(np.uint8)
    corner = crop(codes, 200)
    assert corner.shape == (3, 1, 4, 3, 5)
    payload = encode_raster(corner)
    assert np.array_equal(decode_raster(payload, corner.shape), corner)
    assert len(payload) * 8 < corner.size


@pytest.mark.parametrize("shape", [(9, 1, 1, 1, 7), (3, 1, 1, 20, 1), (3, 1, 17, 1, 1)])
def test_raster_order_is_the_same_model(shape: tuple[int, int, int, int, int]) -> None:
    """Where a wavefront gives a bit no more and no less to see: one position, or one channel."""
    random = np.random.default_rng(1)
    codes = (random.random(math.prod(shape)) < 0.3).astype(np.uint8)
    schedule, raster = Schedule(*shape), RasterModel(shape)
    order, stage = schedule.order(), AdaptiveStage(schedule)
    expected = np.empty(len(codes), dtype=np.int32)
    first = 0
    for part in schedule.parts():
        frequencies = stage.frequencies(*part)
        where = order[first : first + len(frequencies)]
        expected[where] = frequencies
        stage.learn(codes[where])
        first += len(frequencies)
    places = itertools.product(range(shape[0]), range(math.prod(shape[1:4])), range(shape[4]))
    for place, bit, frequency in zip(places, codes.tolist(), expected.tolist(), strict=True):
        assert raster.predict(*place) == frequency
        raster.learn(bit)


def test_steps_end_with_the_whole_stage_and_the_models(files: list[Path], tmp_path: Path) -> None:
    model = Model(untrained(6, 13))
    save_model(model, tmp_path / "model.safetensors")
    options = ("--layout", "nhwc", "--model", tmp_path / "model.safetensors")
    results = report("bench_steps.py", files[1], *options)
    *_, whole, again = results["steps"]
    assert len(results["steps"]) == 7
    assert whole["rates"] == again["rates"]
    codes = read_code_file(files[1], layout="nhwc")
    data = encode_source(codes.codes, codes.source, model=model).data
    assert whole["rates"]["6"] == len(data) * 8 / codes.codes.size
    weights = [step["weights"] for step in results["steps"][:-1]]
    assert weights == sorted(set(weights))


@pytest.mark.parametrize("script", ["bench_rate.py", "bench_speed.py"])
def test_table_and_figure(script: str, files: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figure = tmp_path / "figure.png"
    repeat = ("--repeat", "1") if script == "bench_speed.py" else ()
    done = run(script, files[1], "--layout", "nhwc", "--plot", figure, *repeat)
    assert (done.returncode, done.stderr) == (0, "")
    assert "nncodec" in done.stdout
    assert "brotli" in done.stdout or "lzma" in done.stdout
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("script", ["bench_rate.py", "bench_speed.py", "bench_steps.py"])
def test_errors_are_one_line(script: str, tmp_path: Path) -> None:
    done = run(script, tmp_path / "missing.npy")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("script", ["bench_rate.py", "bench_speed.py"])
def test_a_figure_without_matplotlib_is_refused_at_once(script: str, files: list[Path]) -> None:
    hidden = f"import sys, runpy; sys.modules['matplotlib'] = None; sys.argv = {[script]!r}"
    hidden += f" + ['--plot', 'figure.png', {str(files[1])!r}]; "
    hidden += f"runpy.run_path({str(BENCHMARKS / script)!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", hidden], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: --plot needs matplotlib; pip install matplotlib\n"
