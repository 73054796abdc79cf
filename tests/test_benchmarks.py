"""The benchmarks as a user runs them, on tiny code files: JSON, tables, figures, errors."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.bench_coverage import LEFT, MAPS, coverage_of
from benchmarks.bench_order import rate
from benchmarks.bench_steps import PARTS
from benchmarks.fit_start import final_weights
from nncodec.coding.codec import encode_source
from nncodec.files.code_files import read_code_file
from nncodec.files.model_files import save_model
from nncodec.format.source import Source
from nncodec.model.adaptive.start import untrained
from nncodec.model.adaptive.untrained_weights import START_WEIGHTS
from nncodec.model.model import Model
from nncodec.training.networks.files import save_network
from nncodec.training.networks.registry import make_network
from nncodec.training.start_fitting import beside_network
from tests.samples import averaged_codes, random_model

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PEERS = {"zlib", "bz2", "lzma"}
WAYS = ("encode", "decode")
TABLES = ("bench_rate.py", "bench_speed.py", "bench_steps.py", "bench_order.py", "bench_groups.py")


def run(
    script: str, *arguments: str | Path, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


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
    return report("bench_rate.py", *files, "--axes", "lnhwc")


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
        assert layer["code_length"] <= layer["bytes"] * 8 + 16  # by chance, a number is rounder


def test_rate_of_first_layers_is_that_of_a_file_of_them(
    files: list[Path], rates: dict[str, Any]
) -> None:
    for path, measured in zip(files, rates["files"], strict=True):
        file = read_code_file(path, axes="lnhwc")
        assert [one["layers"] for one in measured["rates"]] == [1, 2, 4, len(file.codes)]
        for one in measured["rates"]:
            data = encode_source(file.codes[: one["layers"]], file.source).data
            assert one["bytes"] == len(data)


def test_chunks_are_what_a_store_holds(files: list[Path]) -> None:
    pytest.importorskip("zarr")
    models = ["--model", "adaptive", "--model", "auto"]
    results = report("bench_chunks.py", files[0], files[0], "--axes", "lnhwc", *models)
    names = [row["name"] for row in results["chunks"]]
    assert names == ["a picture", "1/4 of a picture", "1/16 of a picture"]
    codes = read_code_file(files[0], axes="lnhwc").codes
    whole, *parts = results["chunks"]
    assert whole["bits"] == codes.size
    alone = encode_source(codes, Source()).data
    assert whole["rates"]["adaptive"] == pytest.approx(len(alone) * 8 / codes.size, rel=0.02)
    for row in parts:
        assert row["rates"]["adaptive"] > whole["rates"]["adaptive"]
    assert 0 < whole["share"]["adaptive"] < 0.3


def test_rate_means_are_of_the_files_that_have_the_layers(rates: dict[str, Any]) -> None:
    large, small = (file["rates"] for file in rates["files"])
    means = {one["layers"]: one for one in rates["mean"]["rates"]}
    assert {layers: one["files"] for layers, one in means.items()} == {1: 2, 2: 2, 4: 2, 5: 1, 6: 1}
    assert means[1]["nncodec"] == pytest.approx((large[0]["nncodec"] + small[0]["nncodec"]) / 2)
    assert means[5]["peers"] == large[-1]["peers"]
    assert [layer["files"] for layer in rates["mean"]["layers"]] == [2, 2, 2, 2, 2, 1]


FLAT_CHECKOUT = {
    "__init__.py": """
import io, numpy as np
def encode(codes, model, threads):
    file = io.BytesIO()
    np.save(file, codes)
    return file.getvalue()
def decode(data, model, threads):
    return np.load(io.BytesIO(data))
""",
    "codec.py": "code_lengths = lambda codes, model: codes.sum()",
    "container.py": "from types import SimpleNamespace\n"
    "read_container = lambda file: SimpleNamespace(header=None)",
    "model_choice.py": "model_to_decode = lambda container, model: None",
}
"""An nncodec whose modules lie flat, and which knows no sequences."""


@pytest.fixture(scope="module")
def speed(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """With a network, so that the model has all its parts; against another checkout."""
    folder = tmp_path_factory.mktemp("other")
    save_model(random_model(6, 13), folder / "model.safetensors")
    (folder / "nncodec").mkdir()
    for name, text in FLAT_CHECKOUT.items():
        (folder / "nncodec" / name).write_text(text)
    options = ("--axes", "lnhwc", "--repeat", "2", "--threads", "2", "--against", folder)
    model = folder / "model.safetensors"
    return report("bench_speed.py", files[1], *options, "--grids", "--model", model)


def test_speed_is_of_every_codec(speed: dict[str, Any]) -> None:
    times = speed["nanoseconds_per_bit"]
    assert set(times) == {"nncodec", "nncodec, 2 threads", *speed["peers"]}
    assert all(times[name][way] > 0 for name in times for way in WAYS)
    (file,) = speed["files"]
    assert len(file["seconds"]["nncodec"]["decode"]) == speed["repeat"] == 2
    assert file["sequence"] is False


def test_speed_splits_the_time(speed: dict[str, Any]) -> None:
    assert min(speed["products_per_second"].values()) > 0
    parts = speed["parts"]
    for way in WAYS:
        assert parts["all of it"][way] == speed["nanoseconds_per_bit"]["nncodec"][way]
        both = parts["multiply-accumulates"][way] + parts["range coder"][way]
        assert 0 < both == parts["floor: these, range coder"][way]
        for part in ("predict and learn", "choose or find the model", "checksums", "container"):
            assert parts[part][way] > 0
    assert set(parts["code lengths"]) == {"encode"}


def test_speed_is_compared_with_another_checkout(speed: dict[str, Any]) -> None:
    compared = speed["compared"]
    cases = ["1 x 1", "2 x 2", "4 x 4"]  # of 7 rows
    operations = [*WAYS, "code lengths"]
    expected = {(case, operation, 1) for case in cases for operation in operations}
    expected |= {(case, way, 2) for case in cases for way in WAYS}
    assert {(one["case"], one["operation"], one["threads"]) for one in compared} == expected
    assert len(compared) == len(expected)
    assert all(min(one["old"], one["new"], one["ratio"]) > 0 for one in compared)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--grids"], "Error: --grids needs --against FOLDER"),
        (["--against", "."], "Error: --against: . holds no nncodec; give a checkout of it"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    options: list[str], message: str, files: list[Path], tmp_path: Path
) -> None:
    done = run("bench_speed.py", files[1], *options, folder=tmp_path)
    assert (done.returncode != 0, done.stdout) == (True, "")
    assert done.stderr.splitlines()[-1] == message


def test_steps_end_with_the_whole_stage_and_the_models(files: list[Path], tmp_path: Path) -> None:
    model = Model(untrained(6, 13))
    save_model(model, tmp_path / "model.safetensors")
    options = ("--axes", "lnhwc", "--model", tmp_path / "model.safetensors")
    steps = report("bench_steps.py", files[1], *options)["steps"]
    first, again = steps[: len(PARTS) + 1], steps[-1]
    assert [step["name"].startswith("all but ") for step in steps].count(True) == len(PARTS)
    assert len(steps) == 2 * len(PARTS) + 2
    assert first[-1]["rates"] == again["rates"]
    codes = read_code_file(files[1], axes="lnhwc")
    data = encode_source(codes.codes, codes.source, model=model).data
    assert first[-1]["rates"]["6"] == len(data) * 8 / codes.codes.size
    for key in ("weights", "products"):
        numbers = [step[key] for step in first]
        assert numbers == sorted(set(numbers))
    assert first[-1]["products"] == again["products"]


def test_networks_are_measured_in_floats_and_in_integers(tmp_path: Path) -> None:
    codes = averaged_codes((3, 1, 8, 9, 4), seed=0)
    np.save(tmp_path / "codes.npy", codes)
    network = make_network("shallow", {"layer_depth": 4, "layer_count": 3}, seed=0)
    save_network(network, str(tmp_path / "network.safetensors"))
    integers = network.quantise()
    model = Model(beside_network(untrained(3, 4)), integers, {"model": "shallow"})
    save_model(model, tmp_path / "model.safetensors")
    results = report("bench_networks.py", "--trained", tmp_path, tmp_path / "codes.npy")
    plain, trained = results["networks"]
    assert trained["float"] == pytest.approx(trained["integer"], rel=0.003)
    assert len(trained["float"]) == len(plain["disk"]) == 3  # of one, two and three layers
    for one in (plain, trained):
        assert all(theory < disk for theory, disk in zip(one["theory"], one["disk"], strict=True))
        assert min(one["ns"]) > 0
    assert plain["disk"][-1] == rate(codes, "adaptive", sequence=False)
    assert trained["products"] == integers.products()


def test_order_is_of_the_same_bits_elsewhere(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = averaged_codes((2, 1, 8, 9, 6), seed=0)
    codes = np.concatenate([frame ^ (random.random(frame.shape) < 0.05) for _ in range(6)], axis=1)
    np.save(tmp_path / "video.npy", codes)
    np.save(tmp_path / "picture.npy", frame)
    paths = (tmp_path / "video.npy", tmp_path / "picture.npy")
    results = report("bench_order.py", *paths, "--axes", "lnhwc", "--vectors", "300")
    assert {name: one["files"] for name, one in results["grids"].items()} == {
        f"{count} x {count}": 2 for count in (1, 2, 4, 8)
    }
    assert results["grids"]["1 x 1"]["sequence"] < results["grids"]["1 x 1"]["batch"]
    vectors = results["vectors"]["300"]
    assert set(vectors) == {"files", "batch", "picture", "row", "sequence", "entropy"}
    assert vectors["entropy"] < vectors["batch"] < 1
    frames = results["frames"]["6"]
    assert frames["files"] == 1
    assert frames["sequence"] < frames["XORed"] < frames["batch"]
    assert frames["sequence"] == rate(codes, "adaptive", sequence=True)


def test_groups_are_of_the_same_pictures(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.npy" for number in range(3)]
    for number, path in enumerate(paths):
        np.save(path, averaged_codes((2, 1, 8, 9 + 4 * number, 6), seed=number))
    arguments = ("--axes", "lnhwc", "--model", "adaptive", "--layers", "1", "--layers", "2")
    for crop, pictures in ((None, 3), (4, 18)):
        more = () if crop is None else ("--crop", str(crop))
        results = report("bench_groups.py", *paths, *arguments, *more)
        assert [one["layers"] for one in results["layers"]] == [1, 2]
        for one in results["layers"]:
            assert one["pictures"] == pictures
            groups = {group["group"]: group for group in one["together"]}
            assert groups[1]["groups"] == pictures
            assert groups[None]["rate"] == groups[0]["rate"] < one["apart"]


def test_coverages_leave_a_part_of_the_bits(tmp_path: Path) -> None:
    path = tmp_path / "codes.npy"
    codes = averaged_codes((4, 2, 20, 24, 8), seed=0)
    np.save(path, codes)
    arguments = (path, "--axes", "lnhwc", "--model", "adaptive", "--repeat", "1")
    found = report("bench_coverage.py", *arguments)["coverages"]
    assert len(found) == len(LEFT) * len(MAPS)
    for one in found:
        assert one["expected"] > 0
        parts = one["decisions"] + one["bits"] + one["rest"]
        assert one["more"] == pytest.approx(parts)
    for kind in MAPS:
        for part in LEFT:
            coverage = coverage_of(codes[:, 0], part, kind)
            assert coverage.mean() == pytest.approx(part * len(codes), rel=0.1)
            assert set(np.unique(coverage)) <= ({0, 4} if kind == "regions" else set(range(5)))


def test_the_start_is_fitted_to_encoders(files: list[Path], tmp_path: Path) -> None:
    encoders = [argument for file in files for argument in ("--encoder", file)]
    done = run("fit_start.py", *encoders, "--output", tmp_path / "weights.py")
    assert (done.returncode, done.stderr) == (0, "")
    fitted = runpy.run_path(str(tmp_path / "weights.py"))
    weights = fitted["START_WEIGHTS"]
    assert (weights.shape, weights.dtype) == (START_WEIGHTS.shape, START_WEIGHTS.dtype)
    assert (weights != START_WEIGHTS).any(axis=1).all()
    first = np.mean([final_weights(str(file))[0] for file in files], axis=0)
    assert np.array_equal(weights[0], np.round(first * (1 << fitted["START_BITS"])))


def test_the_start_is_not_fitted_to_nothing(tmp_path: Path) -> None:
    done = run("fit_start.py", "--encoder", tmp_path / "*.npz", "--output", tmp_path / "weights.py")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: no file is ")
    assert not (tmp_path / "weights.py").exists()


def test_synthetic_codes_cost_more_than_their_entropy() -> None:
    results = report("bench_synthetic.py", "--model", "adaptive", "--count", "1")
    (model,) = results["models"]
    assert results["entropy"] < model["theory"] < model["actual"] < 1


@pytest.mark.parametrize("script", TABLES)
def test_tables(script: str, files: list[Path]) -> None:
    done = run(script, files[1], "--axes", "lnhwc")
    assert (done.returncode, done.stderr) == (0, "")
    assert "nncodec" in done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) > 10
    assert lines == [line.rstrip() for line in lines]


@pytest.mark.parametrize("script", TABLES)
def test_errors_are_one_line(script: str, tmp_path: Path) -> None:
    done = run(script, tmp_path / "missing.npy")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1


def test_figure(files: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figure = tmp_path / "figure.png"
    done = run("bench_rate.py", files[1], "--axes", "lnhwc", "--plot", figure)
    assert (done.returncode, done.stderr) == (0, "")
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_a_figure_without_matplotlib_is_refused_at_once(files: list[Path]) -> None:
    script = "bench_rate.py"
    hidden = f"import sys, runpy; sys.modules['matplotlib'] = None; sys.argv = {[script]!r}"
    hidden += f" + ['--plot', 'figure.png', {str(files[1])!r}]; "
    hidden += f"runpy.run_path({str(BENCHMARKS / script)!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", hidden], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: --plot needs matplotlib; pip install matplotlib\n"
