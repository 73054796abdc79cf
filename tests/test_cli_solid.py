"""Many files in one: `compress --solid`, and what gives them back, all or some or what is whole."""

import dataclasses
import io
import json
import ntpath
import os
import pathlib

import numpy as np
import pytest

import nncodec
from nncodec.coding.many import decode_members
from nncodec.commands import held_files, solid
from nncodec.commands.member_reports import lost_text, member_bytes
from nncodec.files.array_files import npy_bytes, npz_bytes
from tests.command_line import Run, assert_refused, invoke, listing, read
from tests.samples import averaged_codes

SIZES = {"a.npz": (12, 10), "b.npy": (10, 12), "sub/c.npz": (5, 7), "sub/deep/d.npz": (12, 10)}
"""Rows and columns of the files, in one order."""


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a folder with `codes/`: files of several forms, of several sizes."""
    monkeypatch.chdir(tmp_path)
    os.makedirs("codes/sub/deep")
    for seed, (name, (height, width)) in enumerate(SIZES.items()):
        codes = averaged_codes((2, 1, height, width, 8), seed)
        data = npz_bytes({"bits": codes.astype("float32") * 2 - 1})
        if name == "a.npz":
            shape = np.array(codes.shape)
            data = npz_bytes({"shape": shape, "codes": np.packbits(codes)})
        elif name == "b.npy":
            data = npy_bytes(codes.astype(bool))
        pathlib.Path("codes", name).write_bytes(data)
    return invoke


INPUTS = [f"codes/{name}" for name in SIZES]
LAYOUT = ["--axes", "lnhwc"]


def assert_restored(folder: str, names: list[str] | None = None) -> None:
    """A folder holds these files as they were, and no others."""
    names = list(SIZES) if names is None else names
    found = {path.relative_to(folder).as_posix() for path in pathlib.Path(folder).rglob("*.np?")}
    assert found == set(names)
    for name in names:
        assert read(f"{folder}/{name}") == read(f"codes/{name}")


@pytest.mark.parametrize("group", [[], ["--group", "0"], ["--group", "1"], ["--group", "3"]])
def test_files_come_back(run: Run, group: list[str]) -> None:
    result = run("compress", *INPUTS, "--solid", "all.bin", *group, *LAYOUT)
    assert (result.exit_code, result.stderr) == (0, "")
    groups = {"1": "4 groups", "3": "2 groups"}.get(group[-1] if group else "", "1 group")
    size = len(read("all.bin"))
    line = f"all.bin: 4 files of 6320 bits -> {size} bytes, rate {size * 8 / 6320:.4f} ({groups}, "
    assert result.stdout.splitlines()[0].rsplit(" in ")[0] + " in" == f"{line}model adaptive), in"
    result = run("decompress", "all.bin", "--output-dir", "out")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("all.bin: 4 files -> out, in ")
    assert_restored("out")
    assert run("test", "all.bin").stdout == "all.bin: ok\n"


@pytest.mark.parametrize(("group", "files"), [(0, "0"), (1, "0, 1"), (2, "2"), (3, "3")])
def test_files_that_have_pictures_in_a_group(group: int, files: str) -> None:
    arrays = [averaged_codes((1, count, 2, 2, 3), count) for count in (3, 1, 2, 1)]
    header = nncodec.read_header(nncodec.encode_many(arrays, group=2))
    text = lost_text(header, ["0", "1", "2", "3"], [group], 4)
    assert text.startswith(f"group {group} is damaged: {files} cannot be restored; decompress -")


def test_some_of_the_files_come_back(run: Run) -> None:
    run("compress", *INPUTS, "--solid", "all.bin", "--group", "2", *LAYOUT)
    only = ["--only", "sub/c.npz", "--only", "b.npy"]
    result = run("decompress", "all.bin", "--output-dir", "out", *only)
    assert result.stdout.startswith("all.bin: 2 files -> out, in ")
    assert_restored("out", ["b.npy", "sub/c.npz"])
    result = run("decompress", "all.bin", "one.npz", "--only", "sub/deep/d.npz")
    assert result.stdout.startswith("all.bin: sub/deep/d.npz -> one.npz, in ")
    assert read("one.npz") == read("codes/sub/deep/d.npz")
    run("decompress", "all.bin", "--layers", "1", "first.npz", "--only", "a.npz")
    first = nncodec.read_code_file("first.npz", axes="lnhwc").codes
    assert (first == nncodec.read_code_file("codes/a.npz", axes="lnhwc").codes[:1]).all()


def test_what_a_container_holds_is_listed(run: Run) -> None:
    run("compress", *INPUTS, "--solid", "all.bin", "--group", "3", *LAYOUT)
    lines = run("info", "all.bin").stdout.splitlines()
    assert lines[1:3] == [
        "  holds   4 files, 4 pictures",
        "  groups  2, of 3 pictures at most; each is decoded apart",
    ]
    listed = {line.split()[0]: line.split()[1:] for line in lines[6:-1]}
    for name, (height, width) in SIZES.items():
        assert " ".join(listed[name][:9]) == f"2 x 1 x {height} x {width} x 8"
    facts = json.loads(run("info", "all.bin", "--json").stdout)
    assert facts["groups"] == [3, 1]
    assert [member["name"] for member in facts["members"]] == list(SIZES)
    header = nncodec.read_header(read("all.bin"))
    sizes = member_bytes(header)
    assert sum(sizes[:3]) == pytest.approx(header.groups[0].byte_length)
    assert sizes[3] == header.groups[1].byte_length
    assert sizes[0] / sizes[2] == pytest.approx(12 * 10 / (5 * 7))


def test_arrays_without_names_are_numbered(run: Run) -> None:
    arrays = [averaged_codes((2, 1, 5, 6, 8), seed) for seed in range(11)]
    pathlib.Path("arrays.bin").write_bytes(nncodec.encode_many(arrays))
    assert run("decompress", "arrays.bin", "--output-dir", "out").exit_code == 0
    assert sorted(os.listdir("out")) == [f"arrays-{number:02}.npy" for number in range(11)]
    for number, codes in enumerate(arrays):
        assert (np.load(f"out/arrays-{number:02}.npy") == codes).all()
    assert "arrays-03.npy  2 x 1 x 5 x 6 x 8" in run("info", "arrays.bin").stdout
    run("decompress", "arrays.bin", "--only", "arrays-03.npy", "one.npy")
    assert read("one.npy") == read("out/arrays-03.npy")


def test_others_are_restored_beside(run: Run) -> None:
    run("compress", *INPUTS[:2], "--solid", "all.bin", *LAYOUT)
    run("compress", INPUTS[2], "c.bin", *LAYOUT)
    result = run("decompress", "c.bin", "all.bin", "--output-dir", "out")
    assert (result.exit_code, result.stderr) == (0, "")
    assert sorted(os.listdir("out")) == ["a.npz", "b.npy", "c.npz"]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_container_becomes_a_folder_of_its_name(run: Run, jobs: str) -> None:
    os.makedirs("packed/deep")
    run("compress", *INPUTS, "--solid", "packed/deep/all.nnb", *LAYOUT)
    run("compress", INPUTS[0], "packed/a.npz.nnb", *LAYOUT)
    run("compress", *INPUTS[:2], "--solid", "packed/some.nnb", *LAYOUT)
    result = run("decompress", "-r", "packed", "--output-dir", "out", "--jobs", jobs)
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.split(", in ")[0] for line in result.stdout.splitlines()][1:3] == [
        "packed/deep/all.nnb: 4 files -> out/deep/all",
        "packed/some.nnb: 2 files -> out/some",
    ]
    assert result.stdout.splitlines()[3].startswith("total of 3 files: ")
    assert_restored("out/deep/all")
    assert_restored("out/some", list(SIZES)[:2])
    assert read("out/a.npz") == read("codes/a.npz")
    result = run("decompress", "-r", "packed", "--json")  # beside them
    facts = json.loads(result.stdout)
    assert [one["output"] for one in facts["files"]] == [
        *("packed/a.npz", "packed/deep/all", "packed/some")
    ]
    assert facts["output_bits"] == sum(one["output_bits"] for one in facts["files"])
    assert_restored("packed/deep/all")
    result = run("decompress", "packed/some.nnb", "--force")
    assert result.stdout.startswith("packed/some.nnb: 2 files -> packed/some, in ")
    assert_restored("packed/some", list(SIZES)[:2])
    result = run("decompress", "-r", "packed", "--rm")
    assert "--rm is not for containers of many files; remove" in result.stderr


def test_bytes_are_those_that_files_come_from(run: Run) -> None:
    run("compress", *INPUTS, "--solid", "x.nnb", *LAYOUT)
    run("compress", *INPUTS, "--solid", "y.nnb", "--group", "1", *LAYOUT)
    facts = json.loads(run("decompress", "x.nnb", "--json").stdout)
    assert facts["input_bytes"] == len(read("x.nnb"))
    facts = json.loads(run("decompress", "x.nnb", "--json", "--force", "--layers", "1").stdout)
    last = nncodec.read_header(read("x.nnb")).segments[-1]
    assert facts["input_bytes"] == len(read("x.nnb")) - last.byte_length
    facts = json.loads(run("decompress", "y.nnb", "--json", "--only", "b.npy", "one.npy").stdout)
    groups = nncodec.read_header(read("y.nnb")).groups
    number = list(SIZES).index("b.npy")
    others = [group.byte_length for group in groups[:number] + groups[number + 1 :]]
    assert facts["input_bytes"] == len(read("y.nnb")) - sum(others)
    assert facts["output_bits"] == np.load("one.npy").size
    both = json.loads(run("decompress", "x.nnb", "y.nnb", "--json", "-f", "--layers", "1").stdout)
    assert both["rate"] < 2


def test_a_damaged_container_does_not_stop_the_others(run: Run) -> None:
    run("compress", *INPUTS, "--solid", "x.nnb", *LAYOUT)
    run("compress", *INPUTS, "--solid", "y.nnb", *LAYOUT)
    pathlib.Path("x.nnb").write_bytes(read("x.nnb")[:-1])
    result = run("decompress", "x.nnb", "y.nnb")
    assert result.exit_code == 1
    assert result.stderr.startswith("nncodec: x.nnb: the file ends early, only 1 of its 2 layers ")
    assert_restored("y")
    result = run("decompress", "x.nnb", "--partial", "--json")
    line = "the file ends early; 1 of 2 layers are whole, and written"
    assert (result.exit_code, result.stderr) == (0, f"nncodec: x.nnb: {line}\n")
    facts = json.loads(result.stdout)
    assert (facts["missing_layers"], facts["lost"], facts["output_bits"]) == (1, [], 6320 // 2)
    assert np.load("x/b.npy").shape[0] == 1
    damaged = bytearray(read("y.nnb"))
    damaged[-1] ^= 1
    pathlib.Path("y.nnb").write_bytes(damaged)
    result = run("decompress", "y.nnb", "--output-dir", "z")
    assert result.stderr.endswith("; get another copy\n")
    assert "--partial" not in result.stderr
    args = ["decompress", "y.nnb", "--output-dir", "z", "--partial"]
    assert_refused(run, args, "y.nnb: no file is whole; get another copy")


def test_damage_leaves_the_other_files(run: Run) -> None:
    run("compress", *INPUTS, "--solid", "all.bin", "--group", "1", *LAYOUT)
    data = bytearray(read("all.bin"))
    lengths = [group.byte_length for group in nncodec.read_header(bytes(data)).groups]
    data[-sum(lengths[1:]) + 5] ^= 16  # of the second
    pathlib.Path("bad.bin").write_bytes(data)
    result = run("decompress", "bad.bin", "--output-dir", "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("nncodec: bad.bin: b.npy: ")
    line = "; --partial restores the other files; add --force for those that are written already\n"
    assert result.stderr.endswith(line)
    result = run("decompress", "bad.bin", "--output-dir", "out", "--only", "b.npy")
    assert (result.exit_code, result.stderr.count("--")) == (1, 0)
    args = ["decompress", "bad.bin", "--output-dir", "few", "--only", "b.npy", "--partial"]
    assert_refused(run, args, "bad.bin: b.npy cannot be restored; get another copy")
    result = run("decompress", "bad.bin", "--output-dir", "some", "--partial")
    assert result.exit_code == 0
    assert result.stdout.startswith("bad.bin: 3 files -> some, in ")
    line = "nncodec: bad.bin: b.npy cannot be restored; get another copy for it\n"
    assert result.stderr == line
    assert_restored("some", [name for name in SIZES if name != "b.npy"])
    result = run("test", "bad.bin", "all.bin", "--json")
    assert [one["ok"] for one in json.loads(result.stdout)["files"]] == [False, True]
    others = "cannot be restored; decompress --partial restores the others, or get another copy"
    line = f"nncodec: bad.bin: group 1 is damaged: b.npy {others}\n"
    assert (result.exit_code, result.stderr) == (1, line)
    pathlib.Path("cut.bin").write_bytes(data[: -sum(lengths[2:])])
    result = run("decompress", "cut.bin", "--output-dir", "few", "--partial", "--json")
    facts = json.loads(result.stdout)
    assert (facts["files"], facts["lost"]) == (["a.npz"], list(SIZES)[1:])
    args = ["decompress", "cut.bin", "--output-dir", "none", "--only", "sub/c.npz", "--partial"]
    assert_refused(run, args, "cut.bin: sub/c.npz cannot be restored; get another copy")
    assert "b.npy, sub/c.npz, sub/deep/d.npz cannot be restored; get another" in result.stderr
    result = run("test", "cut.bin")
    some = "group 1 is damaged and the file ends early, only 2 of its 4 groups are whole"
    assert result.stderr == f"nncodec: cut.bin: {some}: {', '.join(list(SIZES)[1:])} {others}\n"
    data[-sum(lengths) + 5] ^= 16
    pathlib.Path("cut.bin").write_bytes(data[: -sum(lengths[2:])])
    result = run("test", "cut.bin")
    assert "groups 0, 1 are damaged and the file ends early, only 2 of its" in result.stderr
    assert result.stderr.endswith(" groups are whole; no file is whole, get another copy\n")
    result = run("decompress", "bad.bin", "one.npy", "--only", "b.npy")
    assert result.exit_code == 1
    assert not os.path.exists("one.npy")


def test_what_follows_a_container_is_left_out_where_that_is_asked_for(run: Run) -> None:
    run("compress", *INPUTS, "--solid", "all.bin", "--group", "2", *LAYOUT)
    pathlib.Path("more.bin").write_bytes(read("all.bin") + b"x")
    args = ["decompress", "more.bin", "--output-dir", "out"]
    result = run(*args)
    assert result.exit_code == 1
    assert "more.bin: at least one byte follows the last payload; " in result.stderr
    assert result.stderr.endswith("; all files are written\n")
    result = run(*args, "--partial", "--force")
    line = "more.bin: at least one byte follows the last payload, and was left out"
    assert (result.exit_code, result.stderr) == (0, f"nncodec: {line}\n")
    assert_restored("out")
    run("compress", INPUTS[1], "one.bin", *LAYOUT)
    pathlib.Path("more.bin").write_bytes(read("one.bin") + b"x")
    assert run("decompress", "more.bin", "one.npy").exit_code == 1
    result = run("decompress", "more.bin", "one.npy", "--partial")
    assert (result.exit_code, result.stderr) == (0, f"nncodec: {line}\n")
    assert read("one.npy") == read(INPUTS[1])
    pathlib.Path("more.bin").write_bytes(read("all.bin") + b"x")
    for more in (["--only", "b.npy"], ["--layers", "1"]):
        assert run(*args, "--partial", "--force", *more).stderr == ""


def test_one_file_comes_back_as_far_as_it_is_whole(run: Run) -> None:
    run("compress", *INPUTS, "--solid", "all.bin", *LAYOUT)
    pathlib.Path("cut.bin").write_bytes(read("all.bin")[:-1])
    args = ["decompress", "cut.bin", "one.npy", "--only", "b.npy"]
    assert "--partial (in Python layers=1) gives what is whole" in run(*args).stderr
    result = run(*args, "--partial", "--json")
    line = "nncodec: cut.bin: the file ends early; 1 of 2 layers are whole, and written\n"
    assert (result.exit_code, result.stderr) == (0, line)
    assert json.loads(result.stdout)["missing_layers"] == 1
    assert (np.load("one.npy") == np.load("codes/b.npy")[:1]).all()
    run("compress", *INPUTS, "--solid", "all.bin", "--group", "1", "--force", *LAYOUT)
    data = bytearray(read("all.bin"))
    pathlib.Path("cut.bin").write_bytes(data[:-1])
    data[-1] ^= 1
    pathlib.Path("bad.bin").write_bytes(data)
    name = "sub/deep/d.npz"
    line = f"cut.bin: the file ends early, {name} is not whole; get another copy"
    for more in ([], ["--partial"]):
        assert_refused(run, ["decompress", "cut.bin", "d.npz", "--only", name, *more], line)
    args = ["decompress", "bad.bin", "d.npz", "--only", name, "--partial"]
    assert_refused(run, args, f"bad.bin: {name} is damaged; get another copy")


def test_nothing_is_overwritten(run: Run) -> None:
    run("compress", *INPUTS, "--solid", "all.bin", *LAYOUT)
    os.makedirs("out/sub")
    pathlib.Path("out/sub/c.npz").write_bytes(b"mine")
    line = "exists already; add --force to replace it, or name another"
    assert_refused(run, ["decompress", "all.bin", "--output-dir", "out"], f"out/sub/c.npz: {line}")
    assert_refused(run, ["compress", *INPUTS, "--solid", "all.bin"], f"all.bin: {line}")
    assert run("decompress", "all.bin", "--output-dir", "out", "--force").exit_code == 0
    assert_restored("out")
    line = f"{INPUTS[1]}: is the input itself; name another output"
    assert_refused(run, ["compress", *INPUTS, "--solid", INPUTS[1], "--force"], line)


def test_a_file_where_a_folder_is_needed(run: Run) -> None:
    os.mkdir("out")
    pathlib.Path("out/sub").write_bytes(b"mine")
    run("compress", *INPUTS, "--solid", "all.bin", *LAYOUT)
    args = ["decompress", "all.bin", "--output-dir", "out", "--force"]
    assert_refused(run, args, "out/sub: is no folder; name another by --output-dir")
    args = ["compress", "-r", "codes", "--output-dir", "out", "--force"]
    assert_refused(run, args, "out/sub: is no folder; name another")


def test_what_is_refused(run: Run) -> None:
    np.save("other.npy", averaged_codes((2, 1, 5, 6, 9), 0))
    args = ["compress", *INPUTS, "other.npy", "--solid", "all.bin", *LAYOUT]
    line = (
        "other.npy: read as lnhwc, has 2 layers of 9 bits, codes/sub/c.npz 2 of 8; put it into "
        "another container"
    )
    assert_refused(run, args, line)
    args = ["compress", INPUTS[0], "./" + INPUTS[0], "--solid", "all.bin"]
    assert_refused(run, args, "./codes/a.npz: is given twice; leave one out")
    args = ["compress", INPUTS[0], "-", "--solid", "all.bin"]
    assert_refused(run, args, "<stdin>: has no name in a container of many; name files")
    pathlib.Path("back\\slash.npy").write_bytes(read("codes/b.npy"))
    args = ["compress", INPUTS[0], "back\\slash.npy", "--solid", "all.bin"]
    assert_refused(run, args, "back\\slash.npy: no member can have this name; rename it")
    run("compress", *INPUTS, "--solid", "all.bin", *LAYOUT)
    run("compress", INPUTS[0], "one.bin")
    line = "all.bin: holds 4 files; give --output-dir DIR, or --only NAME and OUTPUT"
    assert_refused(run, ["decompress", "all.bin", "x.npz"], line)
    line = "all.bin: holds no file 'c.npz'; nncodec info lists those that it holds"
    assert_refused(run, ["decompress", "all.bin", "x.npz", "--only", "c.npz"], line)
    assert_refused(run, ["decompress", "all.bin", "--output-dir", "x", "--only", "c.npz"], line)
    line = "one.bin: holds one file, which comes back as a whole; leave --only out"
    assert_refused(run, ["decompress", "one.bin", "x.npz", "--only", "c.npz"], line)
    assert_refused(run, ["decompress", "one.bin", "--output-dir", "x", "--only", "c.npz"], line)
    line = "one.bin: is no folder; name another by --output-dir"
    assert_refused(run, ["decompress", "all.bin", "--output-dir", "one.bin"], line)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["compress", "--solid", "x"], "no inputs for --solid; name some"),
        (
            ["compress", "a", "--solid", "x", "--output-dir", "y"],
            "--solid makes one file, --output",
        ),
        (["compress", "a", "--solid", "x", "--jobs", "2"], "--jobs 2 with --solid; leave it out"),
        (["decompress", "a", "--only", "x"], "--only NAME needs INPUT and OUTPUT, or INPUT and --"),
        (
            ["decompress", "a", "b", "--only", "x", "--only", "y"],
            "--only NAME needs INPUT and OUTP",
        ),
        (["decompress", "a", "b", "--output-dir", "c", "--only", "x"], "--only for 2 inputs; give"),
        (["compress", "a", "--rm", "--layers", "1"], "--rm with --layers would lose the other lay"),
        (["decompress", "a", "--rm", "--layers", "1"], "--rm with --layers or --partial may lose"),
        (["decompress", "a", "--rm", "--partial"], "--rm with --layers or --partial may lose the"),
        (["decompress", "a", "b", "--rm", "--only", "x"], "--rm is not for containers of many fil"),
    ],
)
def test_arguments_that_do_not_go_together(run: Run, args: list[str], message: str) -> None:
    before = listing()
    result = run(*args)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert listing() == before


def test_files_of_other_axes_go_together(run: Run) -> None:
    """What the axes of one are is no reason to refuse others, where nobody named them."""
    arrays = {
        "picture.npy": averaged_codes((1, 1, 9, 7, 8), 0)[0, 0],
        "batch.npy": averaged_codes((1, 3, 9, 7, 8), 1)[0],
        "layer.npy": averaged_codes((1, 1, 5, 7, 8), 2),
    }
    for name, array in arrays.items():
        np.save(name, array)
    for names in (list(arrays), list(arrays)[::-1]):
        result = run("compress", *names, "--solid", "all.nnb", "--force")
        assert result.exit_code == 0
        assert run("decompress", "all.nnb", "--output-dir", "out", "--force").exit_code == 0
        for name, array in arrays.items():
            assert (np.load(f"out/{name}") == array).all()
    np.save("vectors.npy", averaged_codes((1, 1, 5, 7, 8), 2)[0, 0, 0])
    np.save("layers.npy", averaged_codes((2, 1, 5, 7, 8), 2))
    args = ["compress", "--solid", "more.nnb", "picture.npy", "batch.npy"]
    line = "vectors.npy: the array has 2 axes; 3 to 5 are known without a name, others by --axes: "
    result = run(*args, "vectors.npy")
    assert result.stderr.startswith(f"nncodec: {line}")
    line = (
        "layers.npy: read as lnhwc, has 2 layers of 8 bits, batch.npy 1 of 8; put it into another"
    )
    assert run(*args, "layers.npy").stderr.startswith(f"nncodec: {line}")
    line = "picture.npy: the array has 3 axes, and axes nhwc name 4; name each by a letter: l laye"
    assert run(*args, "--axes", "nhwc").stderr.startswith(f"nncodec: {line}")


def test_names_lead_nowhere_else() -> None:
    for name in ("c:x", "a/c:x", "a\\x"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "path", ntpath)
            with pytest.raises(
                nncodec.NncodecError, match="is no name of a file here; use another"
            ):
                held_files.output_below("folder", name)


def test_what_decodes_to_other_codes_is_not_written(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        solid,
        "decode_members",
        lambda *a, **k: ((n, [1 - one for one in some]) for n, some in decode_members(*a, **k)),
    )
    line = "what was compressed does not decode to the same codes, and nothing was written; if no "
    result = run("compress", *INPUTS, "--solid", "all.bin", *LAYOUT)
    assert (result.exit_code, result.stdout) == (1, "")
    assert line in result.stderr
    assert not os.path.exists("all.bin")
    assert run("compress", *INPUTS, "--solid", "all.bin", "--no-verify").exit_code == 0


def test_containers_do_not_replace_each_other_nor_themselves(run: Run) -> None:
    run("compress", *INPUTS[:2], "--solid", "one.nnb", *LAYOUT)
    run("compress", *INPUTS[:2], "--solid", "two.nnb", *LAYOUT)
    line = "out/a.npz: is the output of both one.nnb and two.nnb; name a folder for each"
    assert_refused(run, ["decompress", "one.nnb", "two.nnb", "--output-dir", "out"], line)
    run("compress", INPUTS[0], "a.npz.nnb", *LAYOUT)
    line = "out/a.npz: is the output of both one.nnb and a.npz.nnb; name a folder for each"
    args = ["decompress", "one.nnb", "a.npz.nnb", "--output-dir", "out", "--force"]
    assert_refused(run, args, line)
    os.mkdir("y")
    for name in ("m.nnb", "z.npz"):
        pathlib.Path("y", name).write_bytes(read(INPUTS[0]))
    run("compress", "y/m.nnb", "y/z.npz", "--solid", "m.nnb", *LAYOUT)
    line = "./m.nnb: is the input itself; name another output"
    assert_refused(run, ["decompress", "m.nnb", "--output-dir", ".", "--force"], line)


def test_a_member_is_no_folder_of_another(run: Run) -> None:
    header = nncodec.read_header(nncodec.encode_many([np.ones((1, 1, 2, 2, 3), np.uint8)] * 2))
    for names in (("a", "a/b"), ("a/b/c", "a/b")):
        members = [
            dataclasses.replace(member, name=name)
            for member, name in zip(header.members, names, strict=True)
        ]
        with pytest.raises(nncodec.CodesError, match="is a file, and the folder of"):
            dataclasses.replace(header, members=tuple(members))


def test_scales_of_one_picture_are_read_alike(run: Run) -> None:
    random = np.random.default_rng(0)
    arrays = {
        f"scale{size}": (random.random((size, size, 16)) < 0.2).astype(np.uint8)
        for size in (1, 2, 4, 8, 16)
    }
    pathlib.Path("scales.npz").write_bytes(npz_bytes(arrays))
    assert run("compress", "scales.npz").exit_code == 0
    listed = run("info", "scales.npz.nnb").stdout
    assert "  holds   5 arrays of one file, 5 pictures\n" in listed
    assert [line.split()[:10] for line in listed.splitlines()[7:-1]] == [
        [name, *f"1 x 1 x {size} x {size} x 16".split()]
        for name, size in zip(arrays, (1, 2, 4, 8, 16), strict=True)
    ]
    args = ["decompress", "scales.npz.nnb", "--only", "scale1", "x.npz"]
    line = "scales.npz.nnb: holds one file, which comes back as a whole; leave --only out"
    assert_refused(run, args, line)
    assert run("decompress", "scales.npz.nnb", "again.npz").exit_code == 0
    again = np.load(io.BytesIO(read("again.npz")))
    assert all((again[name] == codes).all() for name, codes in arrays.items())


def test_a_file_of_several_arrays_comes_back(run: Run) -> None:
    arrays = {f"scale{size}": averaged_codes((2, 1, size, size, 8), size) for size in (1, 2, 4, 8)}
    arrays["quality"] = np.array([3, 5])
    pathlib.Path("scales.npz").write_bytes(npz_bytes(arrays))
    names = [flag for name in list(arrays)[:4] for flag in ("--array", name)]
    assert run("compress", "scales.npz", *names, *LAYOUT).exit_code == 0
    assert run("test", "scales.npz.nnb").stdout == "scales.npz.nnb: ok\n"
    assert "scale4  2 x 1 x 4 x 4 x 8" in run("info", "scales.npz.nnb").stdout
    run("compress", "scales.npz", *names, "--solid", "solid.nnb", *LAYOUT)
    assert "scales.npz: scale4  2 x 1 x 4 x 4 x 8" in run("info", "solid.nnb").stdout
    result = run("decompress", "scales.npz.nnb", "-o", "again.npz")
    assert (result.exit_code, result.stderr) == (0, "")
    again = np.load(io.BytesIO(read("again.npz")))
    assert set(again.files) == set(arrays)
    assert all((again[name] == codes).all() for name, codes in arrays.items())
    more = ["codes/a.npz", "scales.npz", "--solid", "both.nnb", "--array", "scale4"]
    assert run("compress", *more, *LAYOUT).exit_code == 1  # not in both
    found = nncodec.decode_many(read("scales.npz.nnb"))
    assert [codes.shape[2] for codes in found] == [1, 2, 4, 8]


def test_a_batch_may_be_in_groups(run: Run) -> None:
    codes = averaged_codes((2, 7, 9, 8, 16), 0)
    np.save("batch.npy", codes)
    run("compress", "batch.npy", "batch.bin", "--group", "3", *LAYOUT)
    data = read("batch.bin")
    assert [group.pictures for group in nncodec.read_header(data).groups] == [3, 3, 1]
    assert (nncodec.decode(data) == codes).all()
    assert (nncodec.decode(data, layers=1) == codes[:1]).all()
    pathlib.Path("cut.bin").write_bytes(data[:-1])
    result = run("decompress", "cut.bin", "some.npy", "--partial")
    line = "nncodec: cut.bin: the file ends early; 6 of 7 pictures are whole, and written\n"
    assert (result.exit_code, result.stderr) == (0, line)
    assert (np.load("some.npy") == codes[:, :6]).all()
    facts = json.loads(run("decompress", "cut.bin", "more.npy", "--partial", "--json").stdout)
    assert (facts["missing_layers"], facts["missing_pictures"]) == (0, 1)


def test_many_small_files_apart_are_told_of_solid(run: Run) -> None:
    os.mkdir("small")
    codes = averaged_codes((1, 12, 8, 8, 18), 0, bias=1.5)
    for number in range(12):
        np.save(f"small/{number}.npy", codes[:, [number]])
    inputs = [f"small/{number}.npy" for number in range(12)]
    result = run("compress", *inputs, "--output-dir", "packed", *LAYOUT)
    assert result.exit_code == 0
    assert result.stderr.startswith("nncodec: together in one file these would take about ")
    assert result.stderr.endswith(" % less: compress --solid OUTPUT\n")
    percent = int(result.stderr.split("about ")[1].split(" %")[0])
    apart = sum(os.path.getsize(f"packed/{name}") for name in os.listdir("packed"))
    run("compress", *inputs, "--solid", "all.bin", *LAYOUT)
    assert 100 * (1 - len(read("all.bin")) / apart) == pytest.approx(percent, abs=5)
    for args in (["--quiet"], ["--json"]):
        result = run("compress", *inputs, "--output-dir", "packed", "--force", *args)
        assert result.stderr == ""
    few = run("compress", *inputs[:7], "--output-dir", "packed", "--force", *LAYOUT)
    assert few.stderr == ""
