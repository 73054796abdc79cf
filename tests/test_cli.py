"""The commands: what they write and print, and one line for everything that can go wrong."""

import errno
import io
import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import time
import zlib
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import pytest

import nncodec
from nncodec.coding.codec import decode_tensors
from nncodec.commands.main import main
from nncodec.errors import NncodecError
from nncodec.files import streams
from nncodec.format.fields import varint
from nncodec.format.magic import MAGIC
from nncodec.training.data import examples, synthetic
from tests.command_line import COMMAND, Run, arrays_of, assert_refused, invoke, listing, read
from tests.samples import averaged_codes

Array = npt.NDArray[Any]

SHAPE = (3, 1, 12, 10, 8)  # a layer of 960 bits: all three share a segment
LARGE_SHAPE = (3, 1, 24, 20, 8)  # a segment for each layer

needs_dev_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
needs_permissions = pytest.mark.skipif(os.geteuid() == 0, reason="root may do anything")


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in an empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)

    return invoke


def smooth(shape: tuple[int, ...] = SHAPE) -> npt.NDArray[np.uint8]:
    return averaged_codes(shape, seed=7)


def packed(array: Array, dtype: str = "int64") -> dict[str, Array]:
    return {"shape": np.array(array.shape, dtype), "codes": np.packbits(array)}


def npz(**arrays: Array) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def save(name: str, **arrays: Array) -> None:
    write(name, npz(**arrays))


def assert_same_arrays(actual: bytes, expected: bytes) -> None:
    ours, theirs = arrays_of(actual), arrays_of(expected)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name].dtype.str == theirs[name].dtype.str
        assert np.array_equal(ours[name], theirs[name])


def write(name: str, data: bytes) -> None:
    pathlib.Path(name).write_bytes(data)


@pytest.fixture
def container(run: Run) -> bytes:
    """A small one, `codes.bin`, beside its `codes.npz`."""
    save("codes.npz", **packed(smooth()))
    assert run("compress", "codes.npz", "codes.bin", "--quiet").exit_code == 0
    return read("codes.bin")


# --- round trips -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arrays",
    [
        packed(smooth()),
        packed(np.moveaxis(smooth(), -1, 2), ">i4"),
        packed(smooth()[0]),
        {"codes": smooth()},
        {"any name, é": smooth()[0, 0].astype("float16") * 2 - 1},
    ],
    ids=["nhwc", "nchw", "4 axes", "npz", "npz of -1, +1"],
)
def test_npz_round_trip(run: Run, arrays: dict[str, Array]) -> None:
    save("codes.npz", **arrays)
    assert run("compress", "codes.npz", "codes.bin").exit_code == 0
    assert run("decompress", "codes.bin", "again.npz").exit_code == 0
    assert_same_arrays(read("again.npz"), read("codes.npz"))


@pytest.mark.parametrize(
    ("array", "options", "layers"),
    [
        (smooth()[0, 0].astype(bool), [], 1),
        (smooth()[0, 0].astype("int16"), ["--layer-depth", "2", "--axes", "hwc"], 4),
        (smooth()[0].astype("float32") * 2 - 1, ["--layer-depth", "4", "--no-verify"], 2),
        (smooth().astype(">f8"), ["--axes", "lnchw", "--model", "adaptive"], 3),
    ],
    ids=["3 axes", "3 axes, cut", "4 axes, cut", "5 axes"],
)
def test_npy_round_trip(run: Run, array: Array, options: list[str], layers: int) -> None:
    np.save("codes.npy", array)
    result = run("compress", "codes.npy", "codes.bin", "--json", *options)
    assert json.loads(result.stdout)["shape"][0] == layers
    assert run("decompress", "codes.bin", "again.npy").exit_code == 0
    assert_same_arrays(read("again.npy"), read("codes.npy"))


def test_standard_streams(run: Run, container: bytes) -> None:
    compressed = run("compress", "-", "-", stdin=read("codes.npz"))
    assert compressed.stdout_bytes == container
    assert compressed.stderr.startswith("<stdin>: 2880 bits -> ")
    restored = run("decompress", "-", "-", stdin=container)
    assert_same_arrays(restored.stdout_bytes, read("codes.npz"))
    line = "<stdin>: 3 layers of 1 x 12 x 10 x 8 -> <stdout>, in "
    assert restored.stderr.startswith(line)
    assert restored.stderr.endswith(" Mbit/s\n")
    assert run("test", "-", stdin=container).stdout == "<stdin>: ok\n"
    assert run("info", "-", stdin=container).stdout.startswith("<stdin>: nncodec container")


def test_first_layers(run: Run, container: bytes) -> None:
    assert run("decompress", "codes.bin", "two.npz", "--layers", "2").exit_code == 0
    save("expected.npz", **packed(smooth()[:2]))
    assert_same_arrays(read("two.npz"), read("expected.npz"))
    result = run("compress", "codes.npz", "two.bin", "--layers", "2", "--json")
    assert json.loads(result.stdout)["input_bits"] == 2 * 960
    assert run("decompress", "two.bin", "again.npz").exit_code == 0
    assert_same_arrays(read("again.npz"), read("expected.npz"))


@pytest.mark.parametrize("command", [["compress", "codes.npz"], ["decompress", "codes.bin"]])
def test_layers_out_of_range(run: Run, container: bytes, command: list[str]) -> None:
    line = f"{command[1]}: layers 4: the file has 3; ask for some of them"
    assert_refused(run, [*command, "new", "--layers", "4"], line)
    result = run(*command, "new", "--layers", "0")
    assert result.exit_code == 2
    assert "0 is not in the range x>=1" in result.stderr


@pytest.mark.parametrize(
    ("saved", "name", "refused"),
    [
        ("codes.npz", "again.npy", ".npy"),
        ("codes.npy", "again.NPZ", ".npz"),
        ("codes.npy", "again.safetensors", ".safetensors"),
        ("codes.npy", "again.nnb", ".nnb"),
        ("codes.npy", "again.bin", ".bin"),
        ("codes.npz", "again.png", ".png"),
        ("codes.npy", "again.NPY", None),
        ("codes.npz", "again", None),
        ("codes.npz", "-", None),
    ],
)
def test_a_name_that_is_not_of_what_is_written(
    run: Run, saved: str, name: str, refused: str | None
) -> None:
    save("codes.npz", **packed(smooth()))
    np.save("codes.npy", smooth())
    run("compress", saved, "codes.bin")
    if refused:
        kind = saved[-4:]
        line = (
            f"codes.bin: a {kind} file would be written, as the original was, and the name {name} "
            f"says {refused}; end it with {kind}"
        )
        assert_refused(run, ["decompress", "codes.bin", "-o", name, "--force"], line)
        return
    result = run("decompress", "--quiet", "codes.bin", name)
    assert (result.exit_code, result.stderr) == (0, "")
    written = result.stdout_bytes if name == "-" else read(name)
    assert_same_arrays(written, read(saved))


def test_names_of_outputs(run: Run) -> None:
    os.mkdir("deep")
    save("deep/codes.npz", **packed(smooth()))
    save("other.npz", **packed(smooth()))
    original = read("deep/codes.npz")
    assert run("compress", "deep/codes.npz").exit_code == 0
    assert run("compress", "-o", "deep/x", "deep/codes.npz").exit_code == 0
    assert run("compress", "deep/codes.npz", "-c").stdout_bytes == read("deep/x")
    assert read("deep/codes.npz.nnb") == read("deep/x")
    line = "deep/codes.npz: exists already; add --force to replace it, or name another"
    assert_refused(run, ["decompress", "deep/codes.npz.nnb"], line)
    os.unlink("deep/codes.npz")
    assert run("decompress", "deep/codes.npz.nnb").exit_code == 0
    assert run("decompress", "deep/x").exit_code == 0  # the suffix is that of what it was
    assert_same_arrays(read("deep/x.npz"), original)
    assert_same_arrays(read("deep/codes.npz"), original)
    # Two code files are two inputs, and so are two containers.
    result = run("compress", "deep/codes.npz", "other.npz", "-f")
    assert result.stdout.splitlines()[-1].startswith("total of 2 files: ")
    assert read("other.npz.nnb") == read("deep/x")
    assert run("decompress", "deep/codes.npz.nnb", "other.npz.nnb", "-f", "-q").exit_code == 0
    assert_same_arrays(read("other.npz"), original)


def test_inputs_are_removed_once_their_outputs_are_whole(run: Run) -> None:
    save("codes.npz", **packed(smooth()))
    original = read("codes.npz")
    assert run("compress", "--rm", "codes.npz").exit_code == 0
    assert list(listing()) == ["codes.npz.nnb"]
    write("codes.npz", b"")
    assert run("decompress", "--rm", "codes.npz.nnb").exit_code == 1
    assert list(listing()) == ["codes.npz", "codes.npz.nnb"]
    assert run("decompress", "--rm", "-f", "codes.npz.nnb").exit_code == 0
    assert list(listing()) == ["codes.npz"]
    assert_same_arrays(read("codes.npz"), original)
    line = "-: --rm needs files, and {} is none"
    assert_refused(run, ["compress", "--rm", "codes.npz", "-c"], line.format("the output"))
    assert_refused(run, ["compress", "--rm", "-", "x"], line.format("the input"), stdin=original)
    line = "/dev/null: --rm needs files, and the output is none"
    assert_refused(run, ["compress", "--rm", "codes.npz", "/dev/null"], line)
    result = run("compress", "--rm", "--no-verify", "codes.npz")
    assert result.exit_code == 2
    assert "--rm without a check may lose codes; leave --no-verify out" in result.stderr


def test_what_the_axes_were_is_said_and_noted(run: Run) -> None:
    np.save("noise.npy", np.random.default_rng(0).integers(0, 2, (1, 6, 9, 8)))
    result = run("compress", "noise.npy")
    found, other = ("nhwc", "nchw") if "(nhwc, " in result.stdout else ("nchw", "nhwc")
    assert result.stderr == (
        f"nncodec: noise.npy: the array is read as {found}; {other} is nearly as cheap: if it is "
        "that, say so by --axes\n"
    )
    assert run("compress", "noise.npy", "-f", "-q").output == ""
    assert run("compress", "noise.npy", "-f", "--axes", "nhwc").stderr == ""


def test_tokens(run: Run) -> None:
    np.save("tokens.npy", np.arange(600).reshape(20, 30))
    options = ["--axes", "hw", "--bits", "10", "--json"]
    facts = json.loads(run("compress", "tokens.npy", *options).stdout)
    assert facts["axes"] == "hw"
    assert facts["bit_order"] in ("msb", "lsb")
    assert facts["shape"] == [1, 1, 20, 30, 10]
    assert (
        f"dtype <i8, tokens, {facts['bit_order']}, axes hw\n"
        in run("info", "tokens.npy.nnb").stdout
    )
    assert run("decompress", "tokens.npy.nnb", "again.npy").exit_code == 0
    assert_same_arrays(read("again.npy"), read("tokens.npy"))


def test_partial(run: Run) -> None:
    save("codes.npz", **packed(smooth(LARGE_SHAPE)))
    facts = json.loads(run("compress", "codes.npz", "codes.bin", "--json").stdout)
    data = read("codes.bin")
    write("cut.bin", data[:-1])
    line = (
        "cut.bin: the file ends early, only 2 of its 3 layers are whole; "
        "--partial (in Python layers=2) gives what is whole, or get another copy"
    )
    assert_refused(run, ["decompress", "cut.bin", "cut.npz"], line)

    result = run("decompress", "cut.bin", "cut.npz", "--partial", "--quiet")
    assert (result.exit_code, result.stdout) == (0, "")
    whole = "the file ends early; 2 of 3 layers are whole, and written"
    assert result.stderr == f"nncodec: cut.bin: {whole}\n"
    save("expected.npz", **packed(smooth(LARGE_SHAPE)[:2]))
    assert_same_arrays(read("cut.npz"), read("expected.npz"))

    for options in (["--layers", "2"], ["--layers", "2", "--partial"]):  # nothing is missing
        result = run("decompress", "cut.bin", "cut.npz", "--force", "--quiet", *options)
        assert (result.exit_code, result.stderr) == (0, "")
    assert run("decompress", "codes.bin", "all.npz", "--partial", "--quiet").stderr == ""

    write("cut.bin", data[: len(data) - sum(layer["bytes"] for layer in facts["layers"]) + 3])
    line = "cut.bin: the file ends early, no layer is whole; get another copy"
    assert_refused(run, ["decompress", "cut.bin", "none.npz", "--partial"], line)


# --- what is printed ---------------------------------------------------------------------------


def test_compress_json(run: Run) -> None:
    save("codes.npz", **packed(np.moveaxis(smooth(LARGE_SHAPE), -1, 2)))
    result = run("compress", "codes.npz", "codes.bin", "--json")
    facts = json.loads(result.stdout)
    size = len(read("codes.bin"))
    assert list(facts) == [
        *("input_bits", "output_bytes", "rate", "model", "model_id", "model_bytes"),
        *("sequence", "ends_early", "memory_bound", "axes", "bit_order", "shape", "layers"),
    ]
    assert facts["input_bits"] == 3 * 24 * 20 * 8
    assert facts["output_bytes"] == size
    assert facts["rate"] == size * 8 / facts["input_bits"]
    assert (facts["model"], facts["model_id"], facts["model_bytes"]) == ("adaptive", None, 0)
    assert facts["sequence"] is False
    assert facts["axes"] == "lnchw"
    assert facts["shape"] == list(LARGE_SHAPE)
    assert [layer["layer"] for layer in facts["layers"]] == [0, 1, 2]
    for layer in facts["layers"]:
        assert list(layer) == ["layer", "bits", "bytes", "code_length", "stored"]
        assert layer["bits"] == 24 * 20 * 8
        assert layer["bytes"] * 8 == pytest.approx(layer["code_length"], abs=16)

    known = json.loads(run("info", "codes.bin", "--json").stdout)
    unknown = [layer | {"code_length": None} for layer in facts["layers"]]
    assert known == facts | {"layers": unknown}
    evaluated = json.loads(run("evaluate", "codes.npz", "--json").stdout)
    for ours, theirs in zip(evaluated["layers"], facts["layers"], strict=True):
        assert ours["code_length"] == pytest.approx(theirs["code_length"])


@pytest.mark.parametrize("option", [None, "--sequence", "--no-sequence"])
def test_a_sequence_is_found_out_or_asked_for(run: Run, option: str | None) -> None:
    frame = averaged_codes((2, 1, 12, 10, 8), seed=0)
    np.save("film.npy", np.repeat(frame, 6, axis=1))
    options = ["--axes", "lnhwc", *([option] if option else [])]
    sequence = option != "--no-sequence"
    result = run("compress", "film.npy", "film.bin", *options)
    assert ("x 12 x 10 x 8, a sequence, model" in result.stdout) == sequence
    facts = json.loads(run("compress", "film.npy", "new.bin", "--json", *options).stdout)
    assert read("new.bin") == read("film.bin")
    assert facts["sequence"] == sequence
    assert ("x bits), a sequence\n" in run("info", "film.bin").stdout) == sequence
    assert json.loads(run("info", "film.bin", "--json").stdout)["sequence"] == sequence
    assert (facts["rate"] < 0.2) == sequence
    evaluated = json.loads(run("evaluate", "film.npy", "--json", *options).stdout)
    for ours, theirs in zip(evaluated["layers"], facts["layers"], strict=True):
        assert ours["code_length"] == pytest.approx(theirs["code_length"])
    assert run("decompress", "film.bin", "again.npy").exit_code == 0
    assert_same_arrays(read("again.npy"), read("film.npy"))


def test_info_knows_layers_that_share_a_segment(run: Run, container: bytes) -> None:
    made = json.loads(run("compress", "codes.npz", "new.bin", "--json").stdout)["layers"]
    known = json.loads(run("info", "new.bin", "--json").stdout)["layers"]
    assert sum(layer["bytes"] for layer in known) == sum(layer["bytes"] for layer in made)


def test_compress_summary(run: Run) -> None:
    codes = smooth(LARGE_SHAPE)
    codes[2] = np.random.default_rng(0).integers(0, 2, codes[2].shape)
    save("codes.npz", **packed(codes))
    result = run("compress", "codes.npz", "codes.bin", "--axes", "lnhwc")
    title, head, *rows = result.stdout.splitlines()
    size = len(read("codes.bin"))
    line = (
        f"codes.npz: 11520 bits -> {size} bytes, rate {size * 8 / 11520:.4f} "
        "(lnhwc, 3 layers of 1 x 24 x 20 x 8, model adaptive)"
    )
    assert re.fullmatch(re.escape(line) + r", in \d+\.\d\d s, \d+\.\d\d Mbit/s", title)
    assert head.split() == ["layer", "bits", "bytes", "theory", "rate"]
    cells = [row.split() for row in rows]
    assert [row[0] for row in cells] == ["0", "1", "2", "header", "total"]
    assert cells[2][1:3] + cells[2][4:] == ["3840", "480", "1.0000", "stored"]
    assert sum(int(row[2]) for row in cells[:3]) + int(cells[3][1]) == size
    assert cells[4][1:3] == ["11520", str(size)]
    assert float(cells[4][3]) == pytest.approx(sum(float(row[3]) for row in cells[:3]), abs=0.3)


@pytest.mark.parametrize("command", [["compress", "codes.npz"], ["decompress", "codes.bin"]])
def test_quiet(run: Run, container: bytes, command: list[str]) -> None:
    result = run(*command, "new", "--quiet")
    assert (result.exit_code, result.output) == (0, "")


def test_info(run: Run) -> None:
    save("codes.npz", bits=smooth(LARGE_SHAPE).astype("<f4") * 2 - 1)
    run("compress", "codes.npz", "codes.bin")
    text = run("info", "codes.bin").stdout
    assert "codes.bin: nncodec container, version 1\n" in text
    assert "3 layers of 1 x 24 x 20 x 8 (batch x height x width x bits)" in text
    assert " MB to decode\n" in text
    assert ".npz, array 'bits', dtype <f4 over -1, +1, axes lnhwc\n" in text
    head, *rows = [line.split() for line in text.splitlines()[-6:]]
    assert head == ["layers", "bits", "bytes", "rate"]
    assert [row[0] for row in rows] == ["0", "1", "2", "header", "total"]
    size = len(read("codes.bin"))
    assert sum(int(row[2]) for row in rows[:3]) + int(rows[3][1]) == size
    assert rows[4][1:] == ["11520", str(size), f"{8 * size / 11520:.4f}"]


def test_info_reads_the_header_alone(run: Run, container: bytes) -> None:
    whole = run("info", "codes.bin", "--json")
    assert whole.stderr == ""
    cut = container[: len(container) - 200]
    write("codes.bin", cut)
    result = run("info", "codes.bin", "--json")
    assert (result.exit_code, result.stdout) == (0, whole.stdout)
    assert result.stderr == (
        f"nncodec: codes.bin: the file ends early, it has {len(cut)} of its {len(container)} "
        "bytes; decompress --partial gives what is whole, or get another copy\n"
    )
    assert run("info", "-", stdin=cut).stderr == ""  # how much will come is not known


def test_test_goes_on_after_a_bad_file(run: Run, container: bytes) -> None:
    write("bad.bin", container[:-1] + bytes([container[-1] ^ 1]))
    result = run("test", "codes.bin", "bad.bin", "missing.bin", "codes.bin")
    assert result.exit_code == 1
    assert result.stdout == "codes.bin: ok\ncodes.bin: ok\n"
    bad, missing = result.stderr.splitlines()
    assert bad.startswith("nncodec: bad.bin: the checksum of layers 0 to 2 is wrong; ")
    assert missing == "nncodec: missing.bin: no such file or folder; check the name"
    assert run("test", "codes.bin").exit_code == 0
    facts = json.loads(run("test", "codes.bin", "bad.bin", "--json").stdout)
    assert (facts["ok"], facts["bad"]) == (False, 1)
    assert facts["files"][0] == {"file": "codes.bin", "ok": True}
    assert facts["files"][1] == {"file": "bad.bin", "ok": False, "error": bad[9:]}
    assert json.loads(run("test", "codes.bin", "--json").stdout)["ok"]


def test_info_of_several_files(run: Run, container: bytes) -> None:
    np.save("film.npy", smooth()[:, 0])
    run("compress", "film.npy", "film.bin", "--axes", "thwc", "-q")
    result = run("info", "codes.bin", "missing", "film.bin")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    head, first, second, total = result.stdout.splitlines()
    assert head.split() == ["file", "codes", "axes", "model", "bits", "bytes", "rate"]
    assert first.split()[0] == "codes.bin"
    assert "thwc" in second.split()
    size = len(container) + len(read("film.bin"))
    assert total.split() == ["total", "of", "2", "files", "5760", str(size), f"{size / 720:.4f}"]
    facts = json.loads(run("info", "codes.bin", "missing", "film.bin", "--json").stdout)
    assert facts["output_bytes"] == size
    assert [file["file"] for file in facts["files"]] == ["codes.bin", "film.bin", "missing"]
    assert (
        facts["files"][0].items() >= json.loads(run("info", "codes.bin", "--json").stdout).items()
    )


def test_evaluate(run: Run) -> None:
    np.save("a.npy", smooth())
    np.save("b.npy", 1 - smooth()[:2])
    one = json.loads(run("evaluate", "a.npy", "--json").stdout)
    assert list(one) == [
        *("file", "axes", "shape", "model", "input_bits", "code_length", "rate", "layers")
    ]
    assert (one["file"], one["model"], one["input_bits"]) == ("a.npy", "adaptive", 2880)
    assert one["code_length"] == pytest.approx(sum(row["code_length"] for row in one["layers"]))
    assert one["rate"] == pytest.approx(one["code_length"] / 2880)
    assert one["layers"][-1]["rate_so_far"] == pytest.approx(one["rate"])
    assert {"layer", "bits", "bytes", "code_length", "stored"} <= one["layers"][0].keys()

    both = json.loads(run("evaluate", "a.npy", "b.npy", "--json").stdout)
    first, second = both["files"]
    assert first == one
    assert both["input_bits"] == 2880 + 1920
    assert both["code_length"] == pytest.approx(first["code_length"] + second["code_length"])
    assert both["rate"] == pytest.approx(both["code_length"] / both["input_bits"])
    assert both["mean"]["rate"] == pytest.approx((first["rate"] + second["rate"]) / 2)
    so_far = [[row["rate_so_far"] for row in file["layers"]] for file in (first, second)]
    mean_so_far = [row["rate_so_far"] for row in both["mean"]["layers"]]
    assert mean_so_far[:2] == pytest.approx(np.mean([so_far[0][:2], so_far[1]], axis=0))
    assert mean_so_far[2] == so_far[0][2]  # of the one file that has a third layer
    assert [row["bits"] for row in both["layers"]] == [1920, 1920, 960]

    text = run("evaluate", "a.npy", "b.npy", "--layers", "1").stdout.splitlines()
    assert text[0].startswith("a.npy: 960 bits, code length ")
    assert text[1].split("  ")[-1] == "rate so far"
    assert text[3].startswith("b.npy: 960 bits, code length ")
    assert text[6].startswith("mean of 2 files: rate ")
    assert listing().keys() == {"a.npy", "b.npy"}


def test_progress_is_told_of_every_bit(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    total = []

    class Bar:
        def __init__(self, **options: Any) -> None:
            total.append(options["total"])

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, bits: int) -> None:
            steps.append(bits)

    monkeypatch.setattr("tqdm.tqdm", Bar)
    np.save("codes.npy", smooth())
    run("compress", "codes.npy", "a.bin")
    assert not steps  # no terminal
    monkeypatch.setattr(sys, "stderr", Terminal())
    main(["compress", "codes.npy", "b.bin"], standalone_mode=False)
    assert total == [2 * 2880]
    assert sum(steps) == 2 * 2880
    main(["compress", "codes.npy", "c.bin", "--quiet"], standalone_mode=False)
    main(["compress", "codes.npy", "d.bin", "--json"], standalone_mode=False)
    assert len(total) == 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


# --- synthetic codes ---------------------------------------------------------------------------


def test_synthesize_dataset(run: Run) -> None:
    args = ["synthesize", "dataset", "--output", "d.tfrecord", "--count", "3", "--seed", "5"]
    assert run(*args).exit_code == 0
    samples = list(examples.read_samples("d.tfrecord"))
    assert np.array_equal(samples, list(synthetic.generate(3, seed=5)))
    assert_refused(
        run, args, "d.tfrecord: exists already; add --force to replace it, or name another"
    )
    assert run(*args[:-1], "6", "--force").exit_code == 0
    assert next(examples.read_samples("d.tfrecord")).shape == (35, 48, 8)


def test_synthesize_sample(run: Run) -> None:
    assert run("synthesize", "sample", "--output", "sample.npz", "--seed", "3").exit_code == 0
    arrays = arrays_of(read("sample.npz"))
    shape = arrays["shape"].tolist()
    assert shape == [4, 1, 31, 36, 2]
    codes = np.unpackbits(arrays["codes"], count=8928).reshape(shape)
    expected = synthetic.generate_sample(seed=3)
    assert np.array_equal(np.concatenate(codes[:, 0], axis=-1), expected)
    facts = json.loads(run("compress", "--json", "sample.npz").stdout)
    assert (facts["model"], facts["axes"], facts["shape"]) == ("synthetic", "lnhwc", shape)
    assert run("synthesize", "sample", "--output", "first.npz").exit_code == 0
    assert json.loads(run("compress", "--json", "first.npz").stdout)["output_bytes"] <= 850

    sizes = ["--height", "5", "--width", "7", "--depth", "9", "--layer-depth", "3"]
    assert run("synthesize", "sample", "--output", "other.npz", *sizes).exit_code == 0
    assert arrays_of(read("other.npz"))["shape"].tolist() == [3, 1, 5, 7, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "sample.npy"], "must end with .npz"),
        (["--output", "x.npz", "--layer-depth", "3"], "must divide the depth 8"),
        (["--output", "x.npz", "--height", "0"], "0 is not in the range x>=1"),
    ],
)
def test_synthesize_sample_says_what_cannot_be(run: Run, options: list[str], message: str) -> None:
    result = run("synthesize", "sample", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    line = "x.npz: shape (4, 1, 99999, 99999, 2) is above the limit of 268435456 code bits"
    sizes = ["--height", "99999", "--width", "99999"]
    assert_refused(run, ["synthesize", "sample", "--output", "x.npz", *sizes], line)


# --- bad input ---------------------------------------------------------------------------------


def npy(array: Array, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def with_value(value: float) -> bytes:
    array = smooth()[0, 0].astype(np.float32)
    array[1, 2, 3] = value
    return npy(array)


GOOD = npz(**packed(smooth()))
DAMAGED = GOOD[: len(GOOD) // 2] + b"????" + GOOD[len(GOOD) // 2 + 4 :]
OBJECTS = npy(np.array([[[None]]]), allow_pickle=True)
SHORT = npz(shape=np.array(SHAPE), codes=np.packbits(smooth())[:-1])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty; give a .npy, .npz or .safetensors file of codes"),
        (b"hello\n", "neither a .npy, a .npz nor a .safetensors file; save codes with"),
        (MAGIC + b"\1", "the file is a container, not a code file; use nncodec decompress on it"),
        (DAMAGED, "is damaged or truncated ("),
        (GOOD[:-30], "the .npz is damaged or truncated ("),
        (SHORT, "packed codes are too short for shape (3, 1, 12, 10, 8): 359 bytes, not 360"),
        (
            with_value(2),
            "two values, 0.0 at (0, 0, 0), 1.0 at (0, 0, 1), 2.0 at (1, 2, 3); ",
        ),
        (
            with_value(np.nan),
            "two values, 0.0 at (0, 0, 0), 1.0 at (0, 0, 1), NaN at (1, 2, 3); ",
        ),
        (OBJECTS, "the array holds Python objects, which are never unpickled; save uint8"),
        (
            npy(smooth()[None]),
            "the array has 6 axes; 3 to 5 are known without a name, others by --axes: ",
        ),
    ],
    ids=["empty", "text", "container", "damaged", "cut", "short", "two", "nan", "objects", "axes"],
)
@pytest.mark.parametrize("command", ["compress", "evaluate"])
def test_bad_code_file(run: Run, command: str, data: bytes, message: str) -> None:
    write("codes", data)
    write("old.bin", b"precious")
    before = listing()
    output = {"compress": ["old.bin", "--force"], "evaluate": []}[command]
    result = run(command, "codes", *output)
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("nncodec: codes: ")
    assert message in line
    assert listing() == before


def test_layer_depth_that_does_not_divide(run: Run) -> None:
    np.save("codes.npy", smooth()[0, 0])
    line = (
        "codes.npy: layer_depth 7 does not divide the depth 8, read as hwc, nor the depth 12, "
        "read as chw; give a divisor of the depth"
    )
    assert_refused(run, ["compress", "codes.npy", "codes.bin", "--layer-depth", "7"], line)


@pytest.mark.parametrize(
    "command", [["compress"], ["decompress"], ["info"], ["test"], ["evaluate"]], ids=str
)
def test_inputs_that_are_no_files(run: Run, command: list[str]) -> None:
    os.mkdir("folder")
    output = ["new"] if "compress" in command[0] else []
    line = "missing: no such file or folder; check the name"
    assert_refused(run, [*command, "missing", *output], line)
    line = "folder: is a directory; name a file in it"
    line += ", or add -r for all" if output else ""
    assert_refused(run, [*command, "folder", *output], line)


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.2, 0.4])
def test_interrupted_at_the_start(run: Run, seconds: float) -> None:
    start = "from nncodec.commands.start import main; print(flush=True); main()"
    process = subprocess.Popen(
        [sys.executable, "-c", start, "test", "-"], stdin=-1, stdout=-1, stderr=-1
    )
    assert process.stdout
    process.stdout.readline()  # before that, it is Python that starts
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    assert process.communicate() == (b"", b"nncodec: interrupted\n")
    assert process.returncode == 130


@needs_permissions
def test_unreadable_and_unwritable(run: Run, container: bytes) -> None:
    os.chmod("codes.bin", 0)
    line = "codes.bin: permission denied; check its permissions and its folder's"
    assert_refused(run, ["info", "codes.bin"], line)
    os.mkdir("folder", 0o500)
    line = "folder/new: its folder is not writable; change that or name another"
    assert_refused(run, ["compress", "codes.npz", "folder/new"], line)


def header(body: bytes, version: int = 1) -> bytes:
    framed = MAGIC + bytes([version]) + varint(len(body)) + body
    return framed + zlib.crc32(framed).to_bytes(4, "little")


ABSURD = b"".join([varint(0), *[varint(1 << 40)] * 5, bytes(2)])

BIG = b"".join([varint(0), *map(varint, (1, 1, 1 << 12, 1 << 12, 1 << 10)), bytes(2)])
BIG += varint(1 << 1) + varint(8) + bytes(4)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty; give a file that nncodec compress wrote"),
        (b"hello\n", "the file is no container; give a file that nncodec compress wrote"),
        (GOOD, "the file is a code file, not a container; use nncodec compress on it"),
        (header(b"", 2), "the file is of version 2, not 1; it was written by a newer version;"),
        (header(ABSURD), "the file is damaged; get another copy"),
        (header(BIG), "above the limit of 268435456 code bits; the file is"),
        (MAGIC + b"\x01\x05", "the file ends early, no layer is whole; get another copy"),
    ],
    ids=["empty", "text", "code file", "newer", "absurd", "too big", "cut"],
)
@pytest.mark.parametrize("command", ["decompress", "info", "test"])
def test_bad_container(run: Run, command: str, data: bytes, message: str) -> None:
    write("codes.bin", data)
    write("old.npz", b"precious")
    before = listing()
    output = ["old.npz", "--force"] if command == "decompress" else []
    result = run(command, "codes.bin", *output)
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("nncodec: codes.bin: ")
    assert message in line
    assert listing() == before


def test_bytes_appended(run: Run, container: bytes) -> None:
    write("codes.bin", container + b"\0")
    line = (
        "codes.bin: at least one byte follows the last payload; "
        "the file is damaged; get another copy"
    )
    assert_refused(run, ["decompress", "codes.bin", "new.npz"], line)


def test_a_flipped_bit_anywhere(run: Run, container: bytes) -> None:
    before = listing()
    for index in range(0, len(container), 1 + len(container) // 100):
        damaged = bytearray(container)
        damaged[index] ^= 1 << index % 8
        result = run("decompress", "-", "new.npz", stdin=bytes(damaged))
        assert (result.exit_code, result.stdout) == (1, "")
        (line,) = result.stderr.splitlines()
        assert line.startswith("nncodec: <stdin>: ")
    assert listing() == before


def test_not_enough_memory(run: Run, container: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("nncodec.commands.one_file.decode_tensors", fail)
    line = "codes.bin: not enough memory for it; use a larger machine"
    assert_refused(run, ["decompress", "codes.bin", "new.npz"], line)


# --- outputs -----------------------------------------------------------------------------------

TWO_WAYS = pytest.mark.parametrize(
    "command", [["compress", "codes.npz"], ["decompress", "codes.bin"]], ids=lambda it: it[0]
)


@TWO_WAYS
def test_output_exists(run: Run, container: bytes, command: list[str]) -> None:
    write("old", b"precious")
    line = "old: exists already; add --force to replace it, or name another"
    assert_refused(run, [*command, "old"], line)
    assert run(*command, "old", "--force", "--quiet").exit_code == 0
    assert read("old") != b"precious"
    assert listing().keys() == {"codes.npz", "codes.bin", "old"}


@TWO_WAYS
@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("no/new", "no/new: its folder does not exist; make it or name another"),
        ("folder", "folder: is a directory; name a file in it"),
        ("new/", "new/: is a directory; name a file in it"),
        ("", "'': is a directory; name a file in it"),
    ],
)
def test_outputs_that_cannot_be(
    run: Run, container: bytes, command: list[str], output: str, line: str
) -> None:
    os.mkdir("folder")
    assert_refused(run, [*command, output, "--force"], line)


@TWO_WAYS
@pytest.mark.parametrize("name", ["{}", "./{}", "link"])
def test_output_is_the_input(run: Run, container: bytes, command: list[str], name: str) -> None:
    os.symlink(command[1], "link")
    output = name.format(command[1])
    line = f"{output}: is the input itself; name another output"
    assert_refused(run, [*command, "-o", output, "--force"], line)


def test_the_output_is_checked_before_the_work(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # Opening the input would be the first step of the work.
    monkeypatch.setattr("nncodec.commands.one_file.open_input", None)
    write("old", b"")
    for command in ("compress", "decompress"):
        line = "old: exists already; add --force to replace it, or name another"
        assert_refused(run, [command, "input", "old"], line)


@TWO_WAYS
def test_full_disk(
    run: Run, container: bytes, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write("old", b"precious")
    monkeypatch.setattr(os, "fsync", fail)
    line = "the disk is full; free some space"
    assert_refused(run, [*command, "new"], f"new: {line}")
    assert_refused(run, [*command, "old", "--force"], f"old: {line}")


@needs_dev_full
@TWO_WAYS
def test_full_device(run: Run, container: bytes, command: list[str]) -> None:
    line = "/dev/full: the disk is full; free some space"
    assert_refused(run, [*command, "/dev/full"], line)


def test_interrupted_while_writing(
    run: Run, container: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    before = listing()
    result = run("compress", "codes.npz", "new")
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == "nncodec: interrupted\n"
    assert listing() == before


def test_a_wrong_container_is_never_written(
    run: Run, container: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "nncodec.commands.one_file.decode_tensors",
        lambda *args, **options: [1 - codes for codes in decode_tensors(*args, **options)],
    )
    line = (
        "codes.npz: what was compressed does not decode to the same codes, and nothing was "
        "written; this is a defect of nncodec, please report it with the file"
    )
    assert_refused(run, ["compress", "codes.npz", "new.bin"], line)
    assert run("compress", "codes.npz", "new.bin", "--no-verify").exit_code == 0


@pytest.mark.parametrize("disk", ["links", "no links"])
def test_an_output_that_appears_meanwhile_is_kept(
    run: Run, monkeypatch: pytest.MonkeyPatch, disk: str
) -> None:
    if disk == "no links":
        monkeypatch.setattr(os, "link", refuse_link)
    with pytest.raises(NncodecError, match=r"^new: exists already; "):
        write_while_another_does("new")
    assert listing() == {"new": b"theirs"}
    with streams.open_output("other", force=False) as file:
        file.write(b"ours")
        assert not os.path.exists("other")
    assert listing() == {"new": b"theirs", "other": b"ours"}


def write_while_another_does(name: str) -> None:
    with streams.open_output(name, force=False) as file:
        file.write(b"ours")
        write(name, b"theirs")


def refuse_link(*_: str) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_outputs_are_new_files_like_any_other(run: Run) -> None:
    old = os.umask(0o027)
    try:
        with streams.open_output("new", force=False) as file:
            file.write(b"1")
    finally:
        os.umask(old)
    assert os.stat("new").st_mode & 0o777 == 0o640
    os.symlink("new", "link")
    with streams.open_output("link", force=True) as file:
        file.write(b"2")
    assert os.path.islink("link")
    assert read("new") == b"2"


# --- help --------------------------------------------------------------------------------------

COMMANDS: dict[str, list[str]] = {
    "compress": [
        *(
            "--model",
            "--axes",
            "--layer-depth",
            "--bits",
            "--bit-order",
            "--array",
            "--shape-array",
        ),
        *("--layers", "--max-bits", "--embed-model"),
        *("--no-verify", "--output", "--stdout", "--output-dir", "--recursive", "--jobs", "--rm"),
        *("--force", "--json", "--quiet", "--verbose"),
    ],
    "decompress": [
        *("--layers", "--model", "--partial", "--max-bits", "--output-dir", "--jobs"),
        *("--force", "--json", "--quiet"),
    ],
    "info": ["--json"],
    "test": ["--model", "--max-bits", "--json"],
    "models": ["--json"],
    "evaluate": ["--model", "--axes", "--layer-depth", "--layers", "--max-bits", "--json"],
    "synthesize dataset": ["--output", "--count", "--seed", "--force"],
    "synthesize sample": ["--output", "--seed", "--force"],
}


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(run: Run, flag: str) -> None:
    text = run(flag).stdout
    for command, options in COMMANDS.items():
        assert f"\n  {command.split()[0]} " in text
        page = run(*command.split(), flag)
        assert page.exit_code == 0
        assert f"Example:\n    nncodec {command}" in page.stdout
        assert all(re.search(f"[ ,] {option} ", page.stdout) for option in options)
    assert isinstance(main, click.Group)
    assert set(main.commands) == {command.split()[0] for command in COMMANDS} | {"train"}


def test_version(run: Run) -> None:
    assert run("--version").stdout == f"nncodec {nncodec.__version__}\n"


@pytest.mark.parametrize("args", [[], ["compress"], ["nothing"], ["test"], ["models", "all"]])
def test_wrong_usage(run: Run, args: list[str]) -> None:
    assert run(*args).exit_code == 2


# --- real processes ----------------------------------------------------------------------------


def test_pipes(run: Run, container: bytes) -> None:
    with open("codes.npz", "rb") as stream:
        compressed = subprocess.run(
            [*COMMAND, "compress", "-", "-", "--quiet"], stdin=stream, capture_output=True
        )
    assert (compressed.returncode, compressed.stdout, compressed.stderr) == (0, container, b"")
    restored = subprocess.run(
        [*COMMAND, "decompress", "-", "-", "--quiet"], input=container, capture_output=True
    )
    assert restored.stderr == b""
    assert_same_arrays(restored.stdout, read("codes.npz"))


@needs_dev_full
@pytest.mark.parametrize(
    "args", [["info", "codes.bin"], ["--help"], ["compress", "codes.npz", "-"]], ids=str
)
def test_standard_output_is_full(run: Run, container: bytes, args: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*COMMAND, *args], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr == b"nncodec: <stdout>: the disk is full; free some space\n"


@pytest.mark.parametrize("args", [["info", "codes.bin"], ["compress", "codes.npz", "-"]], ids=str)
def test_nobody_reads_standard_output(run: Run, container: bytes, args: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*COMMAND, *args, "--json"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"Broken" not in done.stderr


def test_no_binary_on_a_terminal(run: Run, container: bytes) -> None:
    master, terminal = pty.openpty()
    done = subprocess.run(
        [*COMMAND, "compress", "codes.npz", "-"], stdout=terminal, stderr=subprocess.PIPE
    )
    os.close(terminal)
    os.close(master)
    assert done.returncode == 1
    assert done.stderr == b"nncodec: <stdout>: is a terminal; redirect it or name a file\n"
