"""The benchmarks as a user runs them, on tiny code files: JSON, tables, figures, errors."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nncodec.codec import encode_source
from nncodec.codes import read_code_file
from nncodec.model_files import save_model
from nncodec.models import Model
from nncodec.start import untrained

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PEERS = {"zlib", "bz2", "lzma"}


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


def test_speed_splits_the_time(files: list[Path]) -> None:
    results = report("bench_speed.py", files[1], "--layout", "nhwc", "--repeat", "2")
    assert results["environment"]["seed"] == 0
    speeds = results["bits_per_second"]
    assert set(speeds) == {"nncodec", "constriction alone", *results["peers"]}
    assert all(speed[way] > 0 for speed in speeds.values() for way in ("encode", "decode"))
    (file,) = results["files"]
    assert len(file["speeds"]["nncodec"]["decode"]["seconds"]) == results["repeat"] == 2
    for way in ("encode", "decode"):
        stages = file["stages"][way]
        assert {"model: predict", "model: learn", "range coder", "container"} < set(stages)
        assert min(stages.values()) >= 0
        assert sum(stages.values()) > 0


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
    done = run(script, files[1], "--layout", "nhwc", "--plot", figure)
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
