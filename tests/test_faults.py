"""What goes wrong while a command works: all is left, or nothing.

A process of its own has what is ended, or has a limit, or reads beside others; it takes a second.
"""

import contextlib
import os
import pathlib
import resource
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import nncodec
from nncodec.files.array_files import npy_bytes
from nncodec.files.model_files import FOLDERS_VARIABLE
from tests.command_line import COMMAND, invoke, listing, read
from tests.samples import averaged_codes

CODES = averaged_codes((3, 1, 24, 20, 8), seed=7)
OTHER_CODES = averaged_codes((3, 1, 24, 20, 8), seed=8)
CONTAINER = nncodec.encode(CODES, model="adaptive")
CODE_FILE = npy_bytes(CODES)  # as decompress writes it

needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="no /proc")
pytestmark = needs_proc


@pytest.fixture(autouse=True)
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)


def write(name: str, data: bytes) -> None:
    pathlib.Path(name).write_bytes(data)


def start(*args: str, command: list[str] = COMMAND) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*command, *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process: "subprocess.Popen[bytes]") -> tuple[int, bytes, bytes]:
    try:
        output, errors = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, output, errors


def run(*args: str) -> tuple[int, bytes, bytes]:
    """Runs a command in this process: its exit code, standard output, and standard error."""
    result = invoke(*args)
    return result.exit_code, result.stdout_bytes, result.stderr_bytes


def run_on_disk(size: int, *args: str) -> tuple[int, bytes, bytes]:
    """The same in a process that can write so many bytes to a file, as on a disk that is full."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    done = subprocess.run(
        [*COMMAND, *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        preexec_fn=limit,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


# --- killed ------------------------------------------------------------------------------------


def written_so_far(process: "subprocess.Popen[bytes]") -> int:
    """How many bytes a process has written to a file in the current folder that is not whole."""
    here = os.getcwd() + os.sep
    for link in pathlib.Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed, or the process has ended
            target = os.readlink(link)
            if target.startswith(here) and target.endswith(".tmp"):
                return link.stat().st_size
    return 0


def start_writing() -> "subprocess.Popen[bytes]":
    """Starts a command that writes for many seconds, and waits until it does."""
    options = ["--output", "new", "--count", "100000", "--force"]
    process = start("synthesize", "dataset", *options)
    while process.poll() is None and not written_so_far(process):
        time.sleep(0.02)
    return process


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGINT, 130, b"nncodec: interrupted\n"),
        (signal.SIGTERM, 143, b"nncodec: terminated\n"),
        (signal.SIGHUP, 129, b"nncodec: terminated\n"),
        (signal.SIGKILL, -9, b""),
    ],
    ids=["interrupted", "terminated", "hung up", "killed"],
)
def test_ended_while_writing(number: signal.Signals, code: int, line: bytes) -> None:
    write("new", b"precious")
    process = start_writing()
    process.send_signal(number)
    assert finish(process) == (code, b"", line)
    left = listing()
    assert left.pop("new") == b"precious"
    if number == signal.SIGKILL:
        (name,) = left
        assert name.startswith(".nncodec-")
        assert name.endswith(".tmp")
    else:
        assert not left


def test_killed_at_any_moment() -> None:
    write("codes.bin", CONTAINER)
    begin = time.monotonic()
    assert finish(start("decompress", "codes.bin", "new"))[0] == 0
    whole = time.monotonic() - begin
    assert read("new") == CODE_FILE
    for moment in (0.7, 0.85, 0.9, 0.95):
        os.unlink("new")
        process = start("decompress", "codes.bin", "new", "--quiet")
        time.sleep(moment * whole)
        process.kill()
        finish(process)
        found = listing()
        for name in [name for name in found if name.startswith(".nncodec-")]:
            os.unlink(name)
            del found[name]
        nothing = {"codes.bin": CONTAINER}
        assert found in (nothing, nothing | {"new": CODE_FILE})
        write("new", b"")


def test_ended_while_reading() -> None:
    os.mkfifo("pipe")
    process = start("compress", "pipe", "new")
    with open("pipe", "wb") as pipe:
        pipe.write(CODE_FILE[:1000])
        pipe.flush()
        time.sleep(1)  # until it waits for more: Python looks at signals before it waits, not then
        process.terminate()
        assert finish(process) == (143, b"", b"nncodec: terminated\n")
    assert listing().keys() == {"pipe"}


def test_a_request_to_end_that_is_ignored_stays_so() -> None:
    """As after nohup."""
    write("codes.bin", CONTAINER)
    ignoring = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    ignoring += "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    command = [sys.executable, "-c", ignoring, *COMMAND[1:]]
    os.mkfifo("pipe")
    process = start("decompress", "pipe", "new", "--quiet", command=command)
    with open("pipe", "wb") as pipe:
        process.send_signal(signal.SIGHUP)
        pipe.write(CONTAINER)
    assert finish(process) == (0, b"", b"")
    assert read("new") == CODE_FILE


# --- disks -------------------------------------------------------------------------------------

TWO_WAYS = pytest.mark.parametrize("command", ["compress", "decompress"])


def give_inputs() -> dict[str, str]:
    write("codes.npy", CODE_FILE)
    write("codes.bin", CONTAINER)
    return {"compress": "codes.npy", "decompress": "codes.bin"}


@TWO_WAYS
def test_a_disk_that_is_full_in_the_middle_of_a_file(command: str) -> None:
    name = give_inputs()[command]
    write("old", b"precious")
    before = listing()
    line = "it is too large for its disk or for ulimit -f; raise the limit"
    for output, options in (("new", []), ("old", ["--force"])):
        code, printed, errors = run_on_disk(500, command, name, output, *options)
        assert (code, printed) == (1, b"")
        assert errors.decode() == f"nncodec: {output}: {line}\n"
        assert listing() == before


# --- inputs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["compress", "evaluate", "decompress", "info", "test"])
def test_inputs_that_cannot_be_read(command: str) -> None:
    os.symlink("/proc/self/mem", "broken")  # whoever reads it gets an error of the disk
    os.symlink("nowhere", "dangling")
    os.symlink("loop", "loop")
    before = sorted(os.listdir())
    outputs = ["new"] if "compress" in command else []
    code, printed, errors = run(command, "broken", *outputs)
    assert (code, printed) == (1, b"")
    (line,) = errors.decode().splitlines()
    assert line.startswith("nncodec: broken: ")
    assert "Input/output error; check " in line
    for name, reason in (
        ("dangling", "no such file or folder; check the name"),
        ("loop", "Too many levels of symbolic links; check the file and its disk"),
    ):
        result = invoke(command, name, *outputs)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == f"nncodec: {name}: {reason}\n"
    assert sorted(os.listdir()) == before


def changing(first: bytes, then: bytes, *args: str) -> tuple[int, bytes, bytes]:
    """Runs a command on a file whose second part is written once the first has been read."""
    os.mkfifo("changing")

    def write_both() -> None:
        with contextlib.suppress(BrokenPipeError), open("changing", "wb") as pipe:
            pipe.write(first)
            pipe.flush()
            time.sleep(0.1)
            pipe.write(then)

    writer = threading.Thread(target=write_both, daemon=True)
    writer.start()
    done = run(*args)
    writer.join(60)
    assert not writer.is_alive()
    os.unlink("changing")
    return done


def test_containers_that_change_while_they_are_read() -> None:
    half = len(CONTAINER) // 2
    first, then = CONTAINER[:half], CONTAINER[half:]
    changed = nncodec.encode(OTHER_CODES, model="adaptive")[half:]
    args = ("decompress", "changing", "new", "--quiet")
    for end, message in (
        (b"", b"the file ends early, only 1 of its 3 layers are whole; "),
        (then[:-1], b"the file ends early, only 2 of its 3 layers are whole; "),
        (then + b"\0", b"at least one byte follows the last payload; "),
        (changed[: len(then)].ljust(len(then), b"\0"), b"the checksum of layer 1 is wrong; "),
    ):
        code, printed, errors = changing(first, end, *args)
        assert (code, printed) == (1, b"")
        assert errors.startswith(b"nncodec: changing: " + message)
        assert listing() == {}
    assert changing(first, then, *args) == (0, b"", b"")
    assert listing() == {"new": CODE_FILE}


def test_code_files_that_change_while_they_are_read() -> None:
    half = len(CODE_FILE) // 2
    for end in (b"", CODE_FILE[half:-1], CODE_FILE[half:] + b"\0"):
        code, printed, errors = changing(CODE_FILE[:half], end, "compress", "changing", "new")
        assert (code, printed) == (1, b"")
        assert errors.startswith(b"nncodec: changing: the array of shape (3, 1, 24, 20, 8) needs ")
        assert listing() == {}


# --- models ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["missing", "file", "loop"])
def test_a_model_folder_that_cannot_be_read(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    give_inputs()
    if kind == "file":
        write("models", b"")
    if kind == "loop":
        os.symlink("models", "models")
    monkeypatch.setenv(FOLDERS_VARIABLE, "models")
    before = listing()
    for args in (["compress", "codes.npy", "new"], ["models"]):
        code, printed, errors = run(*args)
        assert (code, printed) == (1, b"")
        (line,) = errors.decode().splitlines()
        assert line.removeprefix("nncodec: codes.npy: ").startswith(
            ("nncodec: models: ", "models: ")
        )
        assert line.endswith(f"; correct {FOLDERS_VARIABLE}, which names it")
    assert listing() == before
    assert invoke("test", "codes.bin").exit_code == 0  # which needs none
    assert invoke("compress", "codes.npy", "new", "--model", "adaptive").exit_code == 0


def test_models_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    give_inputs()
    os.mkdir("models")
    os.mkfifo("models/pipe.safetensors")
    os.symlink("/proc/self/mem", "models/broken.safetensors")
    os.mkdir("models/folder.safetensors")
    monkeypatch.setenv(FOLDERS_VARIABLE, "models")
    assert run("compress", "codes.npy", "new", "--quiet") == (0, b"", b"")
    code, printed, errors = run("compress", "codes.npy", "other", "--model", "broken")
    assert (code, printed) == (1, b"")
    line = b"models/broken.safetensors: Input/output error; give a model file that can be read\n"
    assert errors.endswith(line)
    code, printed, _ = run("models")
    assert code == 0
    assert printed.count(b"damaged") == 3


# --- outputs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@TWO_WAYS
def test_a_reader_that_has_seen_enough(
    command: str, unbuffered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `nncodec decompress codes.bin - | head -c 10`, of more than a pipe holds."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    codes = np.random.default_rng(0).integers(0, 2, (2, 1, 100, 100, 32), dtype=np.uint8)
    if command == "compress":
        write("input", npy_bytes(codes))
    else:
        write("input", nncodec.encode(codes, model="adaptive"))
    with start(command, "input", "-", "--quiet") as process:
        assert process.stdout
        assert process.stderr
        assert len(process.stdout.read(10)) == 10
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1


def compress_both(*options: str) -> list[tuple[int, bytes, bytes]]:
    """Runs two processes that have seen that their one output is free before they go on."""
    names = ("first", "second")
    for name in names:
        os.mkfifo(name)
    both = [start("compress", name, "new", "--quiet", *options) for name in names]
    with open("first", "wb") as first, open("second", "wb") as second:
        # A pipe opens when the other side opens it, too: behind its look at the output.
        for pipe, codes in ((first, CODES), (second, OTHER_CODES)):
            pipe.write(npy_bytes(codes))
    for name in names:
        os.unlink(name)
    return sorted(finish(process) for process in both)


def assert_one_is_whole() -> None:
    assert listing().keys() == {"new"}
    decoded = nncodec.decode(read("new"))
    assert any(np.array_equal(decoded, codes) for codes in (CODES, OTHER_CODES))


def test_two_processes_of_one_output() -> None:
    line = b"nncodec: new: exists already; add --force to replace it, or name another\n"
    assert compress_both() == [(0, b"", b""), (1, b"", line)]
    assert_one_is_whole()


def test_two_processes_that_replace_one_output() -> None:
    write("new", b"old")
    assert compress_both("--force") == [(0, b"", b"")] * 2
    assert_one_is_whole()
