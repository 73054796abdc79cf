"""Many files in one command: the same bytes and lines from any number of processes."""

import contextlib
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import click
import numpy as np
import pytest
from click.testing import Result
from tqdm import tqdm

from nncodec.commands.main import main
from nncodec.commands.many_files import MOST_LINES
from nncodec.commands.one_file import FileReport, Watch
from nncodec.commands.terminal import files_bar
from nncodec.commands.worker_pool import Job, run_jobs
from nncodec.errors import NncodecError
from nncodec.files.array_files import npy_bytes, npz_bytes
from tests.command_line import COMMAND, Run, arrays_of, assert_refused, invoke, listing, read
from tests.samples import averaged_codes

SHAPE = (3, 1, 12, 10, 8)
LARGE_SHAPE = (3, 1, 24, 20, 8)  # a segment for each layer

# Every process takes a second to start: what has to do with none is tested with one job.
JOBS = pytest.mark.parametrize("jobs", [["--jobs", "1"], ["--jobs", "2"]], ids=lambda it: it[1])

needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="no /proc")


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a folder with `codes/`: a packed .npz, a .npy, and an unpacked .npz."""
    monkeypatch.chdir(tmp_path)
    os.mkdir("codes")
    first, second, third = (averaged_codes(SHAPE, seed) for seed in range(3))
    packed = {"shape": np.array(SHAPE), "codes": np.packbits(first)}
    write("codes/a.npz", npz_bytes(packed))
    write("codes/b.npy", npy_bytes(second[0, 0].astype("float32") * 2 - 1))
    write("codes/c.npz", npz_bytes({"bits": third}))

    return invoke


INPUTS = ["codes/a.npz", "codes/b.npy", "codes/c.npz"]
OUTPUTS = ["packed/a.npz.nnb", "packed/b.npy.nnb", "packed/c.npz.nnb"]
AGAIN = ["again/a.npz", "again/b.npy", "again/c.npz"]


def write(name: str, data: bytes) -> None:
    pathlib.Path(name).write_bytes(data)


def without_speed(text: str) -> str:
    """The same without how fast it was, which is in every closing line."""
    return re.sub(r", in \d+\.\d\d s, \d+\.\d\d Mbit/s(?=\n|$)", "", text)


def assert_ok(result: Result) -> None:
    assert (result.exit_code, result.stderr) == (0, "")


# --- what is written and printed ---------------------------------------------------------------


@JOBS
def test_round_trip_as_of_single_files(run: Run, jobs: list[str]) -> None:
    lines, sizes = [], []
    for number, name in enumerate(INPUTS):
        lines.append(without_speed(run("compress", name, f"{number}.bin").stdout.splitlines()[0]))
        sizes.append(len(read(f"{number}.bin")))
    result = run("compress", *INPUTS, "--output-dir", "packed", *jobs)
    assert_ok(result)
    bits, size = 2880 + 960 + 2880, sum(sizes)
    total = f"total of 3 files: {bits} bits -> {size} bytes, rate {size * 8 / bits:.4f}"
    assert without_speed(result.stdout).splitlines() == [*lines, total]
    assert [read(name) for name in OUTPUTS] == [read(f"{number}.bin") for number in range(3)]

    lines = []
    for number, (name, again) in enumerate(zip(OUTPUTS, AGAIN, strict=True)):
        lines.append(without_speed(run("decompress", name, f"{number}").stdout.strip()))
        lines[-1] = lines[-1].removesuffix(f" {number}") + f" {again}"
    result = run("decompress", *OUTPUTS, "--output-dir", "again", *jobs)
    assert_ok(result)
    total = f"total of 3 files: {size} bytes -> {bits} bits, rate {size * 8 / bits:.4f}"
    assert without_speed(result.stdout).splitlines() == [*lines, total]
    assert [read(name) for name in AGAIN] == [read(f"{number}") for number in range(3)]
    for ours, theirs in zip(AGAIN, INPUTS, strict=True):
        actual, expected = arrays_of(read(ours)), arrays_of(read(theirs))
        assert actual.keys() == expected.keys()
        for key in actual:
            assert actual[key].dtype == expected[key].dtype
            np.testing.assert_array_equal(actual[key], expected[key])
    assert sorted(os.listdir("packed") + os.listdir("again")) == [
        *("a.npz", "a.npz.nnb", "b.npy", "b.npy.nnb", "c.npz", "c.npz.nnb")
    ]


def test_a_bad_file_does_not_stop_the_others(run: Run) -> None:
    write("codes/b.npy", b"hello")
    inputs = [*INPUTS[:2], "codes/missing.npz", INPUTS[2]]
    result = run("compress", *inputs, "--output-dir", "packed")
    assert result.exit_code == 1
    bad, missing = result.stderr.splitlines()
    assert bad.startswith("nncodec: codes/b.npy: neither a .npy, a .npz nor a .safetensors file; ")
    assert missing == "nncodec: codes/missing.npz: no such file or folder; check the name"
    first, second, total = result.stdout.splitlines()
    assert first.startswith("codes/a.npz: 2880 bits -> ")
    assert second.startswith("codes/c.npz: 2880 bits -> ")
    assert total.startswith("total of 2 of 4 files: 5760 bits -> ")
    assert sorted(os.listdir("packed")) == ["a.npz.nnb", "c.npz.nnb"]

    damaged = bytearray(read("packed/a.npz.nnb"))
    damaged[-1] ^= 1
    write("packed/b.npy.nnb", bytes(damaged))
    write("packed/d.bin", b"hello")  # shows before the work, but is printed in its place
    inputs = ["packed/a.npz.nnb", "packed/b.npy.nnb", "packed/d.bin", "packed/c.npz.nnb"]
    result = run("decompress", *inputs, "--output-dir", "again")
    assert result.exit_code == 1
    bad, none = result.stderr.splitlines()
    assert bad.startswith("nncodec: packed/b.npy.nnb: the checksum of ")
    assert none.startswith("nncodec: packed/d.bin: the file is no container; ")
    assert sorted(os.listdir("again")) == ["a.npz", "c.npz"]
    assert len(result.stdout.splitlines()) == 3


@JOBS
def test_json(run: Run, jobs: list[str]) -> None:
    single = json.loads(run("compress", "codes/c.npz", "c.bin", "--json", "--layers", "2").stdout)
    options = ["--output-dir", "packed", "--json", "--layers", "2", *jobs]
    result = run("compress", *INPUTS, *options)
    assert result.exit_code == 1  # the second has one layer
    line = "codes/b.npy: layers 2: the file has 1; ask for some of them"
    assert result.stderr == f"nncodec: {line}\n"
    facts = json.loads(result.stdout)
    assert list(facts) == ["input_bits", "output_bytes", "rate", "files"]
    first, second, third = facts["files"]
    assert (first["file"], first["input_bits"]) == ("codes/a.npz", 1920)
    assert second == {"file": "codes/b.npy", "error": line}
    assert third == {"file": "codes/c.npz", "output": "packed/c.npz.nnb", **single}
    assert facts["input_bits"] == 2 * 1920
    assert facts["output_bytes"] == first["output_bytes"] + third["output_bytes"]
    assert facts["rate"] == facts["output_bytes"] * 8 / facts["input_bits"]

    write("packed/b.npy.nnb", b"hello")  # shows before the work, but is printed in its place
    result = run("decompress", *OUTPUTS, "--output-dir", "again", "--json", *jobs)
    assert result.exit_code == 1
    line = "packed/b.npy.nnb: the file is no container; give a file that nncodec compress wrote"
    assert result.stderr == f"nncodec: {line}\n"
    facts = json.loads(result.stdout)
    assert list(facts) == ["input_bytes", "output_bits", "rate", "files"]
    assert facts["files"][1] == {"file": "packed/b.npy.nnb", "error": line}
    assert facts["output_bits"] == 2 * 1920
    assert facts["input_bytes"] == sum(len(read(name)) for name in OUTPUTS[::2])
    single = json.loads(run("decompress", "packed/c.npz.nnb", "c.npz", "--json").stdout)
    assert list(single) == [
        "input_bytes",
        "output_bits",
        "axes",
        "bit_order",
        "shape",
        "missing_layers",
        "missing_pictures",
    ]
    assert (single["shape"], single["missing_layers"]) == ([2, *SHAPE[1:]], 0)
    assert single["missing_pictures"] == 0
    assert facts["files"][2] == {"file": "packed/c.npz.nnb", "output": "again/c.npz", **single}


def test_json_of_failures_alone(run: Run) -> None:
    result = run("compress", "missing", "--output-dir", "packed", "--json")
    line = "missing: no such file or folder; check the name"
    assert json.loads(result.stdout) == {
        **{"input_bits": 0, "output_bytes": 0, "rate": None},
        "files": [{"file": "missing", "error": line}],
    }
    result = run("compress", "missing", "--output-dir", "packed")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"nncodec: {line}\n")


def test_quiet_and_a_single_input(run: Run) -> None:
    result = run("compress", "codes/a.npz", "--output-dir", "deep/er", "--quiet")
    assert_ok(result)
    assert result.stdout == ""
    assert os.listdir("deep/er") == ["a.npz.nnb"]
    result = run("decompress", "deep/er/a.npz.nnb", "--output-dir", ".")
    assert result.stdout.splitlines()[1].startswith("total of 1 file: ")
    assert os.path.exists("a.npz")


@JOBS
def test_options_hold_for_every_file(run: Run, jobs: list[str]) -> None:
    options = ["--axes", "chw", "--layer-depth", "5", "--model", "adaptive", "--no-verify"]
    for name in ("x", "y"):
        write(f"{name}.npy", npy_bytes(averaged_codes((10, 12, 8), 1)))
    run("compress", "x.npy", "single.bin", *options)
    result = run("compress", "x.npy", "y.npy", "--output-dir", "packed", *options, *jobs)
    assert_ok(result)
    assert read("packed/x.npy.nnb") == read("packed/y.npy.nnb") == read("single.bin")

    write("codes/a.npz", npz_bytes({"bits": averaged_codes(LARGE_SHAPE, 0)}))
    run("compress", "codes/a.npz", "whole.bin", "--quiet")
    write("cut.bin", read("whole.bin")[:-1])
    files = ["cut.bin", "packed/x.npy.nnb", "whole.bin"]
    result = run("decompress", *files, "--output-dir", "again", "--partial", *jobs)
    assert result.exit_code == 0
    note = "the file ends early; 2 of 3 layers are whole, and written"
    assert result.stderr == f"nncodec: cut.bin: {note}\n"
    assert len(np.load("again/cut.npz")["bits"]) == 2
    result = run("decompress", *files, "--output-dir", "again", "--layers", "1", "--force")
    assert_ok(result)
    assert len(np.load("again/whole.npz")["bits"]) == 1


def test_folders_stay_as_they_are_below_the_common_one(run: Run) -> None:
    os.makedirs("codes/deep/er")
    write("codes/deep/a.npz", read("codes/a.npz"))
    write("codes/deep/er/b.npy", read("codes/b.npy"))
    write("codes/deep/notes.txt", b"")
    write("codes/deep/.hidden.npy", b"")
    names = ["a.npz", "b.npy", "c.npz", "deep/a.npz", "deep/er/b.npy"]
    result = run("compress", "-r", "codes", "--output-dir", "packed", "-v")
    assert_ok(result)
    assert result.stdout.count("header") == 5  # the table of each
    assert sorted(listing_of("packed")) == [f"{name}.nnb" for name in names]
    assert_ok(run("decompress", "-r", "packed", "--output-dir", "again"))
    assert sorted(listing_of("again")) == names
    some = ["codes/deep/a.npz", "codes/deep/er/b.npy"]
    assert_ok(run("compress", *some, "--output-dir", "some"))
    assert sorted(listing_of("some")) == ["a.npz.nnb", "er/b.npy.nnb"]
    assert_ok(run("compress", "-r", "codes", "--rm", "--jobs", "2"))  # beside their inputs
    left = {*(f"{name}.nnb" for name in names), "deep/notes.txt", "deep/.hidden.npy"}
    assert set(listing_of("codes")) == left
    os.mkdir("empty")
    line = "empty: no file in it ends with .npz, .npy, .safetensors; name another folder"
    assert_refused(run, ["compress", "-r", "empty"], line)


def listing_of(folder: str) -> list[str]:
    paths = pathlib.Path(folder).rglob("*")
    return [str(path.relative_to(folder)) for path in paths if path.is_file()]


def test_outputs_that_exist(run: Run) -> None:
    os.mkdir("packed")
    write("packed/b.npy.nnb", b"precious")
    result = run("compress", *INPUTS, "--output-dir", "packed")
    assert result.exit_code == 1
    line = "packed/b.npy.nnb: exists already; add --force to replace it, or name another"
    assert result.stderr == f"nncodec: {line}\n"
    assert read("packed/b.npy.nnb") == b"precious"
    assert sorted(os.listdir("packed")) == ["a.npz.nnb", "b.npy.nnb", "c.npz.nnb"]
    assert_ok(run("compress", *INPUTS, "--output-dir", "packed", "--force"))
    assert read("packed/b.npy.nnb") != b"precious"


# --- refusals before the work ------------------------------------------------------------------


def test_two_inputs_of_one_output(run: Run) -> None:
    line = "packed/a.npz.nnb: is the output of both {} and {}; name a folder for each"
    for second in ("codes/a.npz", "./codes/../codes/a.npz"):
        args = ["compress", "codes/a.npz", "codes/b.npy", second, "--output-dir", "packed"]
        assert_refused(run, args, line.format("codes/a.npz", second))
    run("compress", "codes/a.npz", "x.npz.nnb")
    run("compress", "codes/c.npz", "x.bin")
    args = ["decompress", "x.npz.nnb", "x.bin", "--output-dir", "again"]
    line = "again/x.npz: is the output of both x.npz.nnb and x.bin; name a folder for each"
    assert_refused(run, args, line)
    run("compress", "codes/b.npy", "x.bin", "--force")
    assert_ok(run(*args))  # the formats differ
    assert sorted(os.listdir("again")) == ["x.npy", "x.npz"]


def test_an_output_that_is_an_input(run: Run) -> None:
    run("compress", "codes/a.npz", "-o", "x.npy")
    run("compress", "codes/b.npy", "-o", "x.npz")
    args = ["decompress", "x.npy", "x.npz", "--output-dir", ".", "--force"]
    line = "x.npy: is an input, and would be an output; name another folder"
    assert_refused(run, args, line)


def test_folders_that_cannot_be(run: Run) -> None:
    line = "codes/a.npz: is no folder; name another"
    assert_refused(run, ["compress", *INPUTS, "--output-dir", "codes/a.npz"], line)
    assert_refused(run, ["compress", *INPUTS, "--output-dir", "codes/a.npz/deep"], line)
    line = "'': no such file or folder; check the name"
    assert_refused(run, ["compress", *INPUTS, "--output-dir", ""], line)


FOLDER = "is a directory; name a file in it, or add -r for all"


def test_folders_need_an_option(run: Run) -> None:
    assert_refused(run, ["compress", "codes"], f"codes: {FOLDER}")
    assert_refused(run, ["compress", "codes", "packed.nnb"], f"codes: {FOLDER}")
    assert_refused(run, ["compress", "codes", "--solid", "all.nnb"], f"codes: {FOLDER}")
    assert_refused(run, ["decompress", "codes"], f"codes: {FOLDER}")


@JOBS
def test_of_hundreds_of_files_each_has_no_line(run: Run, jobs: list[str]) -> None:
    names = [f"codes/{number:03}.npy" for number in range(MOST_LINES + 1)]
    for number, name in enumerate(names):
        write(name, npy_bytes(averaged_codes((1, 1, 2, 3, 4), number)))
    args = ["--output-dir", "packed", "--axes", "lnhwc", *jobs]
    few = run("compress", *names[1:], *args)
    assert [line.split(":")[0] for line in few.stdout.splitlines()] == [
        *names[1:],
        f"total of {MOST_LINES} files",
    ]
    write(names[5], b"hello")
    many = run("compress", *names, *args, "--force")
    assert many.stdout.startswith(f"total of {MOST_LINES} of {MOST_LINES + 1} files: ")
    assert many.stdout.count("\n") == 1
    assert many.stderr.splitlines()[0].startswith(f"nncodec: {names[5]}: neither a .npy, ")
    told = run("compress", *names, *args, "--force", "-v")
    assert told.stdout.count("header") == told.stdout.count("(lnhwc, ") == MOST_LINES


def test_notes_on_many_files_are_counted(run: Run) -> None:
    names = [f"codes/{number:03}.npy" for number in range(MOST_LINES + 1)]
    for name in names[1:]:
        write(name, npy_bytes(np.random.default_rng(0).integers(0, 2, (8, 8, 8), np.uint8)))
    write(names[0], npy_bytes(averaged_codes((1, 1, 2, 3, 4), 3)))
    few = run("compress", *names[1:], "--output-dir", "packed")
    notes = few.stderr.count("nearly as cheap")
    assert notes == MOST_LINES
    many = run("compress", *names, "--output-dir", "packed", "--force")
    line = f"nncodec: {notes} of {notes + 1} files have notes on how they were read; see -v\n"
    assert many.stderr.startswith(line)
    told = run("compress", *names, "--output-dir", "packed", "--force", "-v")
    assert told.stderr.count("nearly as cheap") == notes


def test_inputs_that_are_no_regular_files(run: Run) -> None:
    os.mkfifo("pipe")  # opening it would wait for ever
    for command, name in (("compress", INPUTS[0]), ("decompress", "a.bin")):
        run("compress", INPUTS[0], "a.bin")
        result = run(command, "pipe", "codes", name, "--output-dir", f"{command}-out")
        assert result.exit_code == 1
        pipe, folder = result.stderr.splitlines()
        remedy = "give it alone, with the name of its output"
        assert pipe == f"nncodec: pipe: is no regular file; {remedy}"
        assert folder == f"nncodec: codes: {FOLDER}"
        assert len(os.listdir(f"{command}-out")) == 1


@pytest.mark.parametrize("command", ["compress", "decompress"])
@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "no files; name INPUT and OUTPUT, or some inputs"),
        (["a", "b", "--jobs", "3"], "--jobs 3 for one file; leave it out, or name more files"),
        (["--output-dir", "packed"], "no files; name INPUT and OUTPUT, or some inputs"),
        (["a", "-", "--output-dir", "packed"], "- is no input beside others or for a folder; name"),
        (["a", "b", "-"], "- is no input beside others or for a folder; name files"),
        (["a", "b", "-o", "c"], "2 inputs for one --output; give --output-dir DIR for many"),
        (["a", "-o", "c", "-c"], "--stdout and --output are two outputs; give one of them"),
        (["a", "-o", "c", "--output-dir", "d"], "--output and --output-dir are two places; give"),
        (["a", "b", "--output-dir", "packed", "--jobs", "0"], "0 is not in the range x>=1"),
    ],
    ids=str,
)
def test_wrong_usage(run: Run, command: str, args: list[str], message: str) -> None:
    before = listing()
    result = run(command, *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert listing() == before


# --- processes ---------------------------------------------------------------------------------


def fail(watch: Watch) -> FileReport:
    raise NncodecError("bad: is bad; be good")


def count(watch: Watch) -> FileReport:
    with watch.coding("count", 10) as progress:
        assert progress
        for _ in range(10):
            progress(1)
    return FileReport({"torch": "torch" in sys.modules, "process": os.getpid()}, "")


def be_killed(watch: Watch) -> FileReport:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.parametrize("processes", [1, 2])
def test_jobs(processes: int) -> None:
    told: list[Any] = []
    shown: list[tuple[list[int], list[int]]] = []

    def show(known: Sequence[int], coded: Sequence[int]) -> None:
        shown.append((list(known), list(coded)))

    jobs = [Job("1", count), Job("bad", fail), Job("2", count)]
    run_jobs(jobs, processes, lambda job, result: told.append((job, result)), show)
    assert [job for job, _ in told] == jobs
    first, bad, second = (result for _, result in told)
    assert isinstance(bad, NncodecError)
    assert str(bad) == "bad: is bad; be good"
    assert shown[-1] == ([10, 0, 10], [10, 0, 10])
    assert (first.facts["process"] == os.getpid()) == (processes == 1)
    if processes > 1:
        assert not first.facts["torch"]
        assert not second.facts["torch"]


def test_a_worker_that_is_killed() -> None:
    told: list[str] = []
    jobs = [Job("a", be_killed), Job("b", be_killed)]
    run_jobs(jobs, 2, lambda job, result: told.append(str(result)), None)
    why = "its process or one beside it was killed, maybe for want of memory; use fewer --jobs"
    assert told == [f"a: {why}", f"b: {why}"]


@JOBS
def test_one_bar_for_all_files(
    run: Run, jobs: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bars: list[Any] = []
    monkeypatch.setattr("nncodec.commands.many_files.files_bar", record(bars))
    main(["compress", *INPUTS, "--output-dir", "packed", *jobs], standalone_mode=False)
    assert bars == [[3, False], 2 * (2880 + 960 + 2880)]
    assert len(capsys.readouterr().out.splitlines()) == 4


def record(bars: list[Any]) -> Any:
    """A `files_bar` that keeps what it was told."""

    @contextlib.contextmanager
    def bar(files: int, quiet: bool) -> Any:
        last: list[int] = []
        yield lambda known, coded: last.append(sum(coded))
        bars.extend([[files, quiet], last[-1]])

    return bar


def test_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with files_bar(4, quiet=True) as show:
        assert show is None
    with files_bar(4) as show:
        assert show
        (bar,) = tqdm._instances  # type: ignore[attr-defined]
        show([0, 0, 0, 0], [0, 0, 0, 0])
        assert [bar.total, bar.n] == [None, 0]
        show([100, 300, 0, 0], [100, 7, 0, 0])
        assert [bar.total, bar.n] == [800, 107]
        show([100, 300, 100, 200], [100, 300, 100, 200])
        assert [bar.total, bar.n] == [700, 700]


NAMES = [f"{number}.npy" for number in range(60)]


def start_long_work(*options: str) -> "subprocess.Popen[bytes]":
    """Starts a command in a group of its own, and waits until it has written a file."""
    write("large.npy", npy_bytes(averaged_codes((8, 1, 24, 24, 16), 0)))
    for name in NAMES:
        os.link("large.npy", name)
    process = subprocess.Popen(
        [*COMMAND, "compress", *NAMES, "--output-dir", "packed", "--quiet", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    while process.poll() is None and not list(pathlib.Path().glob("packed/*.nnb")):
        time.sleep(0.02)
    return process


def living(group: int) -> list[str]:
    """The processes of a group, but those that only wait to be counted out by their parent."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            text = path.read_text()
            state, _, its_group = text.rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append(text)
    return found


def assert_nothing_is_left_of(process: "subprocess.Popen[bytes]") -> None:
    """No process, and no file but whole ones."""
    end = time.monotonic() + 5
    while alive := living(process.pid):
        assert time.monotonic() < end, alive
        time.sleep(0.05)
    written = [path.read_bytes() for path in pathlib.Path("packed").iterdir()]
    assert 0 < len(written) < len(NAMES)
    assert len(set(written)) == 1


@needs_proc
@pytest.mark.parametrize("group", [True, False], ids=["terminal", "kill"])
@JOBS
def test_interrupted(run: Run, jobs: list[str], group: bool) -> None:
    process = start_long_work(*jobs)
    begin = time.monotonic()
    if group:  # as Ctrl-C on a terminal
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    assert process.communicate() == (b"", b"nncodec: interrupted\n")
    assert time.monotonic() - begin < 5
    assert process.returncode == 130
    assert_nothing_is_left_of(process)


@needs_proc
def test_workers_end_with_a_process_that_is_killed(run: Run) -> None:
    process = start_long_work("--jobs", "2")
    process.kill()
    process.communicate()
    assert_nothing_is_left_of(process)


def test_help_says_how(run: Run) -> None:
    assert isinstance(main, click.Group)
    for command in ("compress", "decompress"):
        assert f"{command} [OPTIONS] INPUT [OUTPUT] | INPUT...\n" in run(command, "-h").stdout
