"""Positions that end early, from and to code files, by the commands."""

import json
import pathlib

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import Result

import nncodec
from nncodec.errors import CodesError
from nncodec.files.code_files import read_code_file, write_code_file
from nncodec.files.model_files import save_model
from nncodec.format.code_tensor import mark_absent
from nncodec.format.source import CoverageSource
from tests.command_line import invoke
from tests.samples import averaged_codes, random_model

Array = npt.NDArray[np.generic]

LAYERS, HEIGHT, WIDTH, DEPTH = 4, 24, 20, 16


def run(*args: str | pathlib.Path) -> Result:
    result = invoke(*map(str, args))
    assert result.exit_code == 0, result.stderr
    return result


def fails(*args: str | pathlib.Path) -> str:
    """The one line of a command that fails."""
    result = invoke(*map(str, args))
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    return line


def tensor(batch: int = 1) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    codes = averaged_codes((LAYERS, batch, HEIGHT, WIDTH, DEPTH), 1)
    picture, row, column = np.indices((batch, HEIGHT, WIDTH))
    coverage = (row + column + 5 * picture) % 15 // 3
    there = np.arange(LAYERS)[:, None, None, None] < coverage
    return codes * there[..., None].astype(np.uint8), coverage


def forms() -> dict[str, dict[str, Array]]:
    """Code files of every form that has room for a coverage."""
    codes, coverage = tensor()
    many, of_many = tensor(3)
    pytorch = codes.transpose(0, 1, 4, 2, 3)
    return {
        "packed": {
            "shape": np.array(pytorch.shape),
            "codes": np.packbits(pytorch),
            "coverage": coverage.astype(np.int16),
        },
        "unpacked": {"bits": many.astype(np.float32), "coverage": of_many},
        "signed": {"codes": many.astype(np.int8) * 2 - 1, "coverage": of_many.astype(">u4")},
        "without batch": {"codes": codes, "coverage": coverage[0].astype(np.uint8)},
    }


@pytest.mark.parametrize("form", forms())
def test_a_code_file_comes_back_with_its_coverage(form: str, tmp_path: pathlib.Path) -> None:
    arrays = forms()[form]
    axes = "lnchw" if form == "packed" else "lnhwc"
    np.savez(tmp_path / "codes.npz", **arrays)  # type: ignore[arg-type]
    packed, again = tmp_path / "codes.bin", tmp_path / "again.npz"
    report = json.loads(
        run("compress", "--json", "--axes", axes, tmp_path / "codes.npz", "-o", packed).stdout
    )
    size = int(arrays["coverage"].astype(int).sum()) * DEPTH
    assert report["input_bits"] == size
    assert report["rate"] == pytest.approx(8 * packed.stat().st_size / size)
    assert [layer["bits"] for layer in report["layers"]] == [
        int((arrays["coverage"].astype(int) > layer).sum()) * DEPTH for layer in range(LAYERS)
    ]
    run("test", packed)
    restored = json.loads(run("decompress", "--json", packed, again).stdout)
    assert (restored["input_bytes"], restored["output_bits"]) == (packed.stat().st_size, size)
    with np.load(again) as found:
        assert set(found.files) == set(arrays)
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)
    run("decompress", "--force", "--layers", "2", packed, again)
    with np.load(again) as found:
        np.testing.assert_array_equal(found["coverage"], np.minimum(arrays["coverage"], 2))
    assert nncodec.read_code_file(again, axes=axes).codes.shape[0] == 2


def save(path: pathlib.Path, **arrays: Array) -> pathlib.Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_info_says_what_the_header_knows(tmp_path: pathlib.Path) -> None:
    codes, coverage = tensor()
    path = save(tmp_path / "codes.npz", codes=codes[:3] * 0, coverage=np.clip(coverage, 1, 2))
    run("compress", "--axes", "lnhwc", path, tmp_path / "codes.bin")
    text = run("info", tmp_path / "codes.bin").stdout
    mean = np.clip(coverage, 1, 2).mean()
    assert f"positions end early: each has 1 to 2 layers, in the mean {mean:.2f}\n" in text
    assert "'codes', dtype |u1, axes lnhwc, coverage 'coverage'\n" in text
    facts = json.loads(run("info", "--json", tmp_path / "codes.bin").stdout)
    assert facts["ends_early"]
    assert facts["input_bits"] == np.clip(coverage, 1, 2).sum() * DEPTH


def test_info_gives_no_rates_of_bits_that_are_unknown(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nncodec.coding.segments.ENDING_SEGMENT_BITS", 1 << 10)
    codes, coverage = tensor(2)
    coverage = np.clip(coverage, 1, None)
    path = save(tmp_path / "codes.npz", codes=codes, coverage=coverage)
    packed, options = tmp_path / "codes.bin", ("--force", "--axes", "lnhwc", "--embed-model")
    save_model(random_model(LAYERS, DEPTH), tmp_path / "model.safetensors")
    run("compress", *options, "--model", tmp_path / "model.safetensors", path, packed)
    facts, size = json.loads(run("info", "--json", packed).stdout), packed.stat().st_size
    first = coverage.size * DEPTH
    assert [layer["bits"] for layer in facts["layers"]] == [first, None, None, None]
    text = run("info", packed).stdout
    assert "; which layer has how many bits is not stored\n" in text
    rows = {row[0]: row[1:] for row in map(str.split, text.splitlines()[-7:])}
    layers = [rows[str(layer)] for layer in range(LAYERS)]
    assert [row[0] for row in layers] == [str(first), "?", "?", "?"]
    assert [row[2] == "?" for row in layers] == [False, True, True, True]
    model, header = int(rows["model"][0]), int(rows["header"][0])
    assert sum(int(row[1]) for row in layers) + model + header == size
    assert rows["total"] == [
        *(str(coverage.sum() * DEPTH), str(size), f"{8 * size / (coverage.sum() * DEPTH):.4f}")
    ]


def test_info_knows_the_bits_of_the_last_layers_together(tmp_path: pathlib.Path) -> None:
    codes, coverage = tensor()
    path = save(tmp_path / "codes.npz", codes=codes, coverage=coverage)
    run("compress", "--axes", "lnhwc", path, tmp_path / "codes.bin")
    text = run("info", tmp_path / "codes.bin").stdout
    assert "?" not in text
    (row,) = [line.split() for line in text.splitlines() if line.split()[0] == "0-3"]
    assert row[1] == str(coverage.sum() * DEPTH)


def test_layers_share_the_bytes_of_a_segment_by_theory(tmp_path: pathlib.Path) -> None:
    codes, coverage = tensor()
    path = save(tmp_path / "codes.npz", codes=codes, coverage=coverage)
    report = run("compress", "--json", "--axes", "lnhwc", path, "-o", tmp_path / "codes.bin")
    facts = json.loads(report.stdout)
    (segment,) = nncodec.read_header((tmp_path / "codes.bin").read_bytes()).segments
    layers = facts["layers"]
    assert sum(layer["bytes"] for layer in layers) == segment.byte_length
    assert len({layer["code_length"] // 100 for layer in layers}) == LAYERS
    for layer in layers:
        assert layer["bytes"] == pytest.approx(layer["code_length"] / 8, abs=2)


def test_stored_layers_share_the_bytes_of_a_segment_by_their_bits(tmp_path: pathlib.Path) -> None:
    codes = np.random.default_rng(0).integers(0, 2, (3, 1, 8, 8, 8), np.uint8)
    np.save(tmp_path / "codes.npy", codes)
    report = run("compress", "--json", tmp_path / "codes.npy", "-o", tmp_path / "codes.bin")
    layers = json.loads(report.stdout)["layers"]
    assert [(layer["bytes"], layer["stored"]) for layer in layers] == [(64, True)] * 3


def test_evaluate_gives_rates_of_the_bits_that_there_are(tmp_path: pathlib.Path) -> None:
    codes, coverage = tensor()
    path = save(tmp_path / "codes.npz", codes=codes, depth=coverage[0])
    facts = json.loads(
        run("evaluate", "--json", "--axes", "lnhwc", "--coverage", "depth", path).stdout
    )
    marked = mark_absent(codes, coverage)
    assert facts["input_bits"] == coverage.sum() * DEPTH
    assert facts["rate"] == pytest.approx(facts["code_length"] / facts["input_bits"])
    read = read_code_file(path, axes="lnhwc", coverage="depth")
    np.testing.assert_array_equal(read.marked, marked)
    assert read.source.first.coverage == CoverageSource("<i8", (False, True, True), "depth")


def test_a_coverage_of_nothing_compresses(tmp_path: pathlib.Path) -> None:
    codes, coverage = tensor()
    path = save(tmp_path / "codes.npz", codes=0 * codes, coverage=0 * coverage)
    run("compress", "--axes", "lnhwc", path, tmp_path / "codes.bin")
    run("info", tmp_path / "codes.bin")
    run("decompress", tmp_path / "codes.bin", tmp_path / "again.npz")
    with np.load(tmp_path / "again.npz") as found:
        assert not found["coverage"].any()
    run("evaluate", "--axes", "lnhwc", path)


def test_a_file_that_was_cut_off_has_the_coverage_of_its_layers(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nncodec.coding.segments.ENDING_SEGMENT_BITS", 1 << 10)
    codes, coverage = tensor()
    path = save(tmp_path / "codes.npz", codes=codes, coverage=coverage)
    run("compress", "--axes", "lnhwc", path, tmp_path / "codes.bin")
    data = (tmp_path / "codes.bin").read_bytes()
    (tmp_path / "cut.bin").write_bytes(data[:-1])
    run("decompress", "--partial", tmp_path / "cut.bin", tmp_path / "again.npz")
    with np.load(tmp_path / "again.npz") as found:
        whole = len(found["codes"])
        assert 0 < whole < LAYERS
        np.testing.assert_array_equal(found["coverage"], np.minimum(coverage, whole))


def test_a_container_without_room_for_a_coverage_is_told_of(tmp_path: pathlib.Path) -> None:
    codes, coverage = tensor()
    (tmp_path / "codes.bin").write_bytes(nncodec.encode(codes, coverage=coverage))
    result = run("decompress", tmp_path / "codes.bin", tmp_path / "again.npy")
    assert "positions end early, and no array of the original says where; bits beyond" in (
        result.stderr
    )
    np.testing.assert_array_equal(np.load(tmp_path / "again.npy"), codes)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"coverage": np.ones((3, 5))}, "the coverage 'coverage' has dtype float64; save whole"),
        (
            {"coverage": np.ones((3, 5), int)},
            "'coverage' has the shape (3, 5), the codes, read as lnhwc, have (1",
        ),
        ({"coverage": np.full((24, 20), 5)}, "value 5 at index (0, 0, 0) of the coverage; every"),
        ({"coverage": np.full((24, 20), -1)}, "value -1 at index (0, 0, 0) of the coverage;"),
        ({"coverage": np.zeros((24, 20), int)}, "is 1, beyond the coverage of its position; set "),
    ],
)
def test_coverages_that_are_none_are_refused(
    arrays: dict[str, Array], message: str, tmp_path: pathlib.Path
) -> None:
    codes = averaged_codes((LAYERS, 1, HEIGHT, WIDTH, DEPTH), 1)
    path = save(tmp_path / "codes.npz", codes=codes, **arrays)
    line = fails("compress", "--axes", "lnhwc", path, tmp_path / "codes.bin")
    assert message in line
    assert line.endswith("; if it is none, give --no-coverage")
    assert not (tmp_path / "codes.bin").exists()
    named = fails("compress", "--axes", "lnhwc", "--coverage", "coverage", path, "-c")
    assert message in named
    assert "--no-coverage" not in named


@pytest.mark.parametrize("seed", range(4))
def test_a_coverage_says_which_axes_are_rows_and_columns(seed: int, tmp_path: pathlib.Path) -> None:
    random = np.random.default_rng(seed)
    codes = random.integers(0, 2, (3, 1, 4, 4, 2), np.uint8)
    path = save(tmp_path / "codes.npz", codes=codes, coverage=np.full((4, 4), 3))
    assert "nearly as cheap" not in run("compress", path, tmp_path / "codes.bin").stderr
    assert nncodec.read_header((tmp_path / "codes.bin").read_bytes()).source.first.axes == "lnhwc"
    flipped = codes.transpose(0, 1, 4, 2, 3)
    path = save(
        path, codes=np.packbits(flipped), shape=np.array(flipped.shape), coverage=np.full((4, 4), 3)
    )
    assert read_code_file(path).source.first.axes == "lnchw"
    path = save(path, codes=codes, coverage=np.full((4, 5), 3))
    line = fails("compress", path, "-c")
    assert "(batch, height, width); save a number of layers for each, or name other axes" in line


@pytest.mark.parametrize("other", [np.linspace(0, 1, 5), np.full((HEIGHT, WIDTH), LAYERS - 1)])
def test_an_array_called_coverage_need_not_be_one(other: Array, tmp_path: pathlib.Path) -> None:
    codes = averaged_codes((LAYERS, 1, HEIGHT, WIDTH, DEPTH), 1)
    path = save(tmp_path / "codes.npz", codes=codes, coverage=other)
    file = read_code_file(path, axes="lnhwc", coverage=False)
    assert file.coverage is None
    np.testing.assert_array_equal(file.codes, codes)
    run("evaluate", "--axes", "lnhwc", "--no-coverage", path)
    run("compress", "--axes", "lnhwc", "--no-coverage", path, tmp_path / "codes.bin")
    run("decompress", tmp_path / "codes.bin", tmp_path / "again.npz")
    with np.load(tmp_path / "again.npz") as found:
        np.testing.assert_array_equal(found["codes"], codes)
        np.testing.assert_array_equal(found["coverage"], other)


def test_other_arrays_stay_beside_a_coverage(tmp_path: pathlib.Path) -> None:
    codes, coverage = tensor()
    path = save(tmp_path / "codes.npz", codes=codes, coverage=coverage, scale=np.ones(3))
    run("compress", "--axes", "lnhwc", path, tmp_path / "codes.bin")
    run("decompress", tmp_path / "codes.bin", tmp_path / "again.npz")
    with np.load(tmp_path / "again.npz") as found:
        assert set(found.files) == {"codes", "coverage", "scale"}
        np.testing.assert_array_equal(found["coverage"], coverage)
        np.testing.assert_array_equal(found["scale"], np.ones(3))


def test_a_coverage_of_several_arrays_is_refused(tmp_path: pathlib.Path) -> None:
    codes, coverage = tensor()
    path = save(tmp_path / "codes.npz", low=codes, high=codes, coverage=coverage)
    line = fails("compress", path, tmp_path / "codes.bin")
    assert "the file has a coverage 'coverage', and 2 code arrays, 'low', 'high'; name" in line
    run("compress", "--axes", "lnhwc", "--array", "low", path, tmp_path / "codes.bin")
    run("decompress", tmp_path / "codes.bin", tmp_path / "again.npz")
    with np.load(tmp_path / "again.npz") as found:
        np.testing.assert_array_equal(found["high"], codes)
        np.testing.assert_array_equal(found["coverage"], coverage)


def test_objects_are_no_coverage(tmp_path: pathlib.Path) -> None:
    codes, coverage = tensor()
    path = save(tmp_path / "codes.npz", codes=codes, coverage=coverage.astype(object))
    assert "the coverage 'coverage' has dtype object; save" in fails("compress", path, "-c")


def test_files_of_a_container_keep_their_coverages(tmp_path: pathlib.Path) -> None:
    paths = []
    for number in range(3):
        codes, coverage = tensor(1 + number)
        arrays = {"codes": codes} | ({"coverage": coverage} if number else {})
        paths.append(save(tmp_path / f"{number}.npz", **arrays))
    (tmp_path / "again").mkdir()
    solid = tmp_path / "all.nnb"
    run("compress", "--axes", "lnhwc", "--solid", solid, *paths)
    assert "positions end early: each has 0 to" in run("info", solid).stdout
    result = run("decompress", solid, "--json", "--output-dir", tmp_path / "again")
    assert result.stderr == ""
    facts, restored = (json.loads(one.stdout) for one in (run("info", "--json", solid), result))
    assert restored["output_bits"] == facts["input_bits"]
    assert restored["input_bytes"] == facts["output_bytes"]
    for path in paths:
        with np.load(path) as given, np.load(tmp_path / "again" / path.name) as found:
            assert set(found.files) == set(given.files)
            for name in given.files:
                np.testing.assert_array_equal(found[name], given[name])


def test_info_counts_the_bits_of_files_where_they_are_known(tmp_path: pathlib.Path) -> None:
    codes, coverage = tensor()
    (whole, _), first, second = tensor(), tmp_path / "first.npz", tmp_path / "second.npz"
    save(first, codes=codes, coverage=coverage)
    save(second, codes=whole)
    sizes = [int(coverage.sum()) * DEPTH, whole.size]
    solid = tmp_path / "all.nnb"
    options = ("--force", "--axes", "lnhwc", "--solid", solid, first, second)
    run("compress", "--group", "1", *options)
    members = json.loads(run("info", "--json", solid).stdout)["members"]
    assert [member["input_bits"] for member in members] == sizes
    for member in members:
        assert member["rate"] == pytest.approx(
            8 * member["output_bytes"] / member["input_bits"], rel=1e-3
        )
    assert "?" not in run("info", solid).stdout
    run("compress", "--group", "2", *options)
    facts = json.loads(run("info", "--json", solid).stdout)
    assert facts["input_bits"] == sum(sizes)
    assert [member["input_bits"] for member in facts["members"]] == [None, None]
    assert [member["rate"] for member in facts["members"]] == [None, None]
    text = run("info", solid).stdout
    assert "is not stored where positions end early" in text
    assert text.count("?") == 4


def test_members_without_room_for_a_coverage_are_told_of(tmp_path: pathlib.Path) -> None:
    codes, coverage = tensor()
    solid = tmp_path / "all.nnb"
    solid.write_bytes(nncodec.encode_many([codes, codes], coverages=[None, coverage]))
    result = run("decompress", solid, "--output-dir", tmp_path)
    assert "all.nnb: all-1.npy: positions end early, and no array of the" in result.stderr
    solid.write_bytes(nncodec.encode_many([codes] * 8, coverages=[None, *[coverage] * 7]))
    result = run("decompress", "--force", solid, "--output-dir", tmp_path)
    names = ", ".join(f"all-{number}.npy" for number in range(1, 6))
    assert f"all.nnb: {names} and 2 more: positions end early" in result.stderr


def test_a_coverage_that_is_not_there_is_refused(tmp_path: pathlib.Path) -> None:
    codes, _ = tensor()
    path = save(tmp_path / "codes.npz", codes=codes)
    line = fails("compress", "--coverage", "depth", path, tmp_path / "codes.bin")
    assert "there is no coverage 'depth' in it; that is an array of a .npz file" in line
    both = invoke("compress", "--coverage", "depth", "--no-coverage", str(path))
    assert (both.exit_code, both.stdout) == (2, "")
    assert "give --coverage or --no-coverage, not both" in both.stderr
    np.save(tmp_path / "codes.npy", codes)
    line = fails("compress", "--coverage", "depth", tmp_path / "codes.npy", tmp_path / "codes.bin")
    assert "there is no coverage 'depth' in it; that is an array of a .npz file" in line


def test_codes_are_not_their_own_coverage(tmp_path: pathlib.Path) -> None:
    codes, coverage = tensor()
    path = save(tmp_path / "codes.npz", codes=codes, coverage=coverage)
    line = fails("compress", "--array", "codes", "--coverage", "codes", path, "-c")
    assert line.endswith(
        ": array 'codes' is named as the coverage, and by --array or --shape-array; name another"
    )
    path = save(tmp_path / "codes.npz", coverage=codes)
    line = fails("compress", "--coverage", "coverage", path, "-c")
    assert ": the .npz holds no array but the coverage 'coverage'; if it is codes, leave" in line
    run("compress", path, tmp_path / "codes.bin")


def test_a_coverage_that_does_not_fit_its_type_is_not_written(tmp_path: pathlib.Path) -> None:
    codes, coverage = tensor()
    path = save(tmp_path / "codes.npz", codes=codes * 0, coverage=coverage > 0)
    file = read_code_file(path, axes="lnhwc")
    with pytest.raises(CodesError, match="a coverage of 4 layers does not fit its dtype bool"):
        write_code_file(tmp_path / "again.npz", file.codes, file.source, np.full(coverage.shape, 4))
    assert not (tmp_path / "again.npz").exists()


def test_a_file_that_had_a_coverage_is_not_written_without(tmp_path: pathlib.Path) -> None:
    codes, coverage = tensor()
    path, again = save(tmp_path / "codes.npz", codes=codes, coverage=coverage), tmp_path / "a.npz"
    file = read_code_file(path, axes="lnhwc")
    line = "the original had a coverage 'coverage', and none is given; give coverage=, that of "
    with pytest.raises(CodesError, match=line):
        write_code_file(again, file.codes, file.source)
    assert not again.exists()
    write_code_file(again, file.codes, file.source, file.coverage)
    np.testing.assert_array_equal(np.load(again)["coverage"], coverage)


def test_training_reads_the_coverage_of_its_files(tmp_path: pathlib.Path) -> None:
    from nncodec.training.data.code_reading import CodeReader, Layers

    codes, coverage = tensor(2)
    path = save(tmp_path / "codes.npz", codes=codes, coverage=coverage)
    (piece,) = CodeReader("lnhwc", Layers()).read(str(path))
    np.testing.assert_array_equal(piece.codes.images(0, 2), mark_absent(codes, coverage))
