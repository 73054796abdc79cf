"""Many files on the workers of a Dask cluster: as with --jobs, whatever happens to a worker."""

import os
import pathlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from nncodec.commands.dask_pool import DaskPool, _reason, _work
from nncodec.commands.main import main
from nncodec.commands.one_file import FileReport, Watch
from nncodec.commands.worker_pool import Job
from nncodec.errors import NncodecError
from nncodec.files.array_files import npy_bytes
from nncodec.files.model_files import list_models
from tests.command_line import COMMAND, Run, assert_refused, invoke, listing
from tests.samples import averaged_codes
from tests.test_cli_many import needs_proc, record, without_speed

distributed = pytest.importorskip("distributed")

# Those of distributed itself, when processes come and go.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SHAPE = (3, 1, 12, 10, 8)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two processes of a thread each."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(processes=True, **options) as cluster:
        yield cluster


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a folder with `codes/`: three files, and one that is none."""
    monkeypatch.chdir(tmp_path)
    os.mkdir("codes")
    for number, name in enumerate("abc"):
        np.save(f"codes/{name}.npy", averaged_codes(SHAPE, number))
    pathlib.Path("codes/bad.npy").write_bytes(b"hello")
    return invoke


INPUTS = ["codes/a.npy", "codes/bad.npy", "codes/b.npy", "codes/none.npy", "codes/c.npy"]


@pytest.mark.parametrize("form", [[], ["--json"], ["--quiet"]])
def test_everything_is_as_with_jobs(run: Run, cluster: Any, form: list[str]) -> None:
    address = cluster.scheduler_address
    results, folders = [], []
    for how in (["--jobs", "1"], ["--dask", address]):
        os.makedirs("packed/a.npy.nnb")  # in the way
        packed = run("compress", *INPUTS, "--output-dir", "packed", *how, *form)
        os.rmdir("packed/a.npy.nnb")
        assert packed.exit_code == 1
        run("compress", INPUTS[0], "packed/a.npy.nnb", "--quiet")
        outputs = [f"packed/{name}.npy.nnb" for name in "abc"]
        again = run("decompress", *outputs, "packed", "--output-dir", "again", *how, *form)
        printed = [packed.stdout, packed.stderr, again.stdout, again.stderr]
        results.append([*map(without_speed, printed), again.exit_code])
        folders.append(listing())
        shutil.rmtree("packed")
        shutil.rmtree("again")
    assert results[0] == results[1]
    assert folders[0] == folders[1]


def test_outputs_that_exist(run: Run, cluster: Any) -> None:
    os.mkdir("packed")
    pathlib.Path("packed/b.npy.nnb").write_bytes(b"precious")
    inputs = ["codes/a.npy", "codes/b.npy"]
    options = ["--output-dir", "packed", "--dask", cluster.scheduler_address]
    result = run("compress", *inputs, *options)
    assert result.exit_code == 1
    line = "packed/b.npy.nnb: exists already; add --force to replace it, or name another"
    assert result.stderr == f"nncodec: {line}\n"
    assert pathlib.Path("packed/b.npy.nnb").read_bytes() == b"precious"
    assert run("compress", *inputs, *options, "--force").exit_code == 0
    assert sorted(os.listdir("packed")) == ["a.npy.nnb", "b.npy.nnb"]
    assert pathlib.Path("packed/b.npy.nnb").read_bytes() != b"precious"


def test_an_output_that_appears_meanwhile(run: Run, cluster: Any) -> None:
    os.mkdir("packed")
    pool = DaskPool(cluster.scheduler_address, force=False)
    results: list[Any] = []
    pool.run(
        [Job("a", Staged(pool, 0), "a", "packed/a.bin")], lambda _, one: results.append(one), None
    )
    assert str(results[0]).startswith("packed/a.bin: exists already; ")
    assert pathlib.Path("packed/a.bin").read_bytes() == b"of another"
    assert os.listdir("packed") == ["a.bin"]


def write_one(watch: Watch) -> FileReport:
    raise AssertionError


class Staged:
    """A job during which another program writes the output."""

    def __init__(self, pool: DaskPool, index: int) -> None:
        self.staged = pool.place(index, "a", "packed/a.bin")[1]
        self.output = os.path.abspath("packed/a.bin")

    def __call__(self, watch: Watch) -> FileReport:
        pathlib.Path(self.staged).write_bytes(b"ours")
        pathlib.Path(self.output).write_bytes(b"of another")
        return FileReport({}, "")


def test_models_are_found_from_where_the_command_runs(run: Run, cluster: Any) -> None:
    (source,) = (found.path for found in list_models() if found.name == "synthetic")
    pathlib.Path("mine.safetensors").write_bytes(source.read_bytes())
    np.save("two.npy", averaged_codes((2, 1, 9, 9, 2), 0))
    options = ["--model", "mine.safetensors", "--output-dir", "packed"]
    result = run("compress", "two.npy", *options, "--dask", cluster.scheduler_address)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "model synthetic" in result.stdout


def test_one_bar_for_all_files(
    run: Run, cluster: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bars: list[Any] = []
    monkeypatch.setattr("nncodec.commands.many_files.files_bar", record(bars))
    inputs = [name for name in INPUTS if name[6:] in ("a.npy", "b.npy", "c.npy")]
    options = ["--output-dir", "packed", "--dask", cluster.scheduler_address]
    main(["compress", *inputs, *options], standalone_mode=False)
    assert bars == [[3, False], 2 * 3 * 2880]
    assert len(capsys.readouterr().out.splitlines()) == 4


# --- workers that end, and commands that are ended ---------------------------------------------

NAMES = [f"{number}.npy" for number in range(40)]


def start_long_work(address: str) -> "subprocess.Popen[bytes]":
    """Starts a command, and waits until a worker has written a file."""
    pathlib.Path("large.npy").write_bytes(npy_bytes(averaged_codes((8, 1, 24, 24, 16), 0)))
    for name in NAMES:
        os.link("large.npy", name)
    command = [*COMMAND, "compress", *NAMES, "--output-dir", "packed", "--dask", address]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while process.poll() is None and not list(pathlib.Path().glob("packed/.nncodec-*/*.nnb")):
        time.sleep(0.02)
    return process


@needs_proc
def test_a_worker_that_is_killed(run: Run, cluster: Any) -> None:
    process = start_long_work(cluster.scheduler_address)
    with distributed.Client(cluster.scheduler_address) as client:
        first, *_ = client.run(os.getpid).values()
    os.kill(first, signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stderr) == (0, b"")
    assert stdout.startswith(f"total of {len(NAMES)} files: ".encode())
    written = {path.name: path.read_bytes() for path in pathlib.Path("packed").iterdir()}
    assert sorted(written) == sorted(f"{number}.npy.nnb" for number in range(len(NAMES)))
    run("compress", NAMES[0], "alone.bin", "--quiet")
    assert set(written.values()) == {pathlib.Path("alone.bin").read_bytes()}
    with distributed.Client(cluster.scheduler_address) as client:
        client.wait_for_workers(2)


@needs_proc
@pytest.mark.parametrize(("number", "line"), [(signal.SIGINT, "interrupted"), (15, "terminated")])
def test_interrupted(run: Run, cluster: Any, number: int, line: str) -> None:
    process = start_long_work(cluster.scheduler_address)
    begin = time.monotonic()
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert stderr == f"nncodec: {line}\n".encode()
    assert process.returncode == 128 + number
    assert time.monotonic() - begin < 10
    time.sleep(1)
    written = [path.read_bytes() for path in pathlib.Path("packed").iterdir()]
    assert len(written) < len(NAMES)
    assert len(set(written)) <= 1
    with distributed.Client(cluster.scheduler_address) as client:  # and the workers are free
        assert client.submit(sum, [1, 2]).result(timeout=10) == 3


# --- what cannot be ----------------------------------------------------------------------------


def test_no_scheduler(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nncodec.commands.dask_pool._CONNECT_SECONDS", 0.5)
    for address in ("tcp://127.0.0.1:1", "nothing://here"):
        result = run("compress", "codes/a.npy", "--output-dir", "packed", "--dask", address)
        line = "no scheduler answers there; start one, or correct the address"
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == f"nncodec: --dask {address}: {line}\n"
        assert os.listdir("packed") == []


def test_without_dask(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nncodec.training.find_spec", lambda _: None)
    line = "--dask needs Dask, which is not installed; run: pip install distributed"
    args = ["compress", "codes/a.npy", "--output-dir", "packed", "--dask", "tcp://here:1"]
    assert_refused(run, args, line)


@pytest.mark.parametrize("command", ["compress", "decompress"])
@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["a", "b"], "--dask for one file; leave it out, or name more files"),
        (["a", "--output-dir", "c", "--jobs", "2"], "--jobs 2 with --dask, whose workers share"),
    ],
)
def test_wrong_usage(run: Run, command: str, args: list[str], line: str) -> None:
    result = run(command, *args, "--dask", "tcp://here:1")
    assert result.exit_code == 2
    assert line in result.stderr


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["compress", "a", "b", "--solid", "c"], "--dask is not for --solid, which makes one file"),
        (["decompress", "a", "b", "--only", "c"], "--dask is for many files, not for --only"),
    ],
)
def test_containers_of_many_are_made_and_read_here(run: Run, args: list[str], line: str) -> None:
    result = run(*args, "--dask", "tcp://here:1")
    assert result.exit_code == 2
    assert line in result.stderr


def test_inputs_go_when_their_outputs_are_there(run: Run, cluster: Any) -> None:
    address = cluster.scheduler_address
    codes = np.load("codes/a.npy")
    pathlib.Path("codes/b.npy.nnb").write_bytes(b"in the way")
    result = run("compress", "-r", "codes", "--rm", "--dask", address)  # beside the inputs
    assert result.exit_code == 1
    left = ["a.npy.nnb", "b.npy", "b.npy.nnb", "bad.npy", "c.npy.nnb"]
    assert sorted(os.listdir("codes")) == left
    assert pathlib.Path("codes/b.npy.nnb").read_bytes() == b"in the way"
    outputs = ["codes/a.npy.nnb", "codes/c.npy.nnb"]
    assert run("decompress", *outputs, "--rm", "--dask", address).exit_code == 0
    assert sorted(os.listdir("codes")) == ["a.npy", "b.npy", "b.npy.nnb", "bad.npy", "c.npy"]
    np.testing.assert_array_equal(np.load("codes/a.npy"), codes)


def test_containers_of_many_beside_others(run: Run, cluster: Any) -> None:
    run("compress", "codes/a.npy", "codes/b.npy", "--solid", "solid.nnb")
    run("compress", "codes/c.npy", "-o", "c.npy.nnb")
    options = ["--output-dir", "again", "--dask", cluster.scheduler_address]
    result = run("decompress", "solid.nnb", "c.npy.nnb", *options)
    assert (result.exit_code, result.stderr) == (0, "")
    assert sorted(os.listdir("again")) == ["a.npy", "b.npy", "c.npy"]


def test_a_worker_that_sees_other_folders(tmp_path: pathlib.Path) -> None:
    result = _work(Job("a.npy", write_one, "a", "b"), 0, "", str(tmp_path / "elsewhere"))
    assert isinstance(result, NncodecError)
    assert str(result).startswith("a.npy: the worker on ")
    assert str(result).endswith(f" does not see {tmp_path}/elsewhere; share it")


def test_reasons_of_dask_are_one_line() -> None:
    class KilledWorker(Exception):
        pass

    class CancelledError(Exception):
        pass

    assert _reason(KilledWorker()).startswith("its workers were killed, ")
    assert _reason(CancelledError()).startswith("the cluster was lost; ")
    line = "the cluster did not do it (ValueError: a); does it have this version of nncodec?"
    assert _reason(ValueError("a\nb")) == line
    assert _reason(ValueError()).startswith("the cluster did not do it (ValueError: ); ")
