"""The pages: what they show runs as it is written, and what they name is there."""

import doctest
import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import nncodec.api
import nncodec.lazy
from nncodec.commands.main import main

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "nncodec/README.md",
    "nncodec/format/FORMAT.md",
    "examples/README.md",
    "examples/photo/README.md",
    "benchmarks/README.md",
    "tests/README.md",
    ".github/CONTRIBUTING.md",
)
EXECUTED = (
    "README.md",
    "examples/README.md",
    "examples/photo/README.md",
    "benchmarks/README.md",
    ".github/CONTRIBUTING.md",
)
"""The pages whose `sh` blocks `.ci/run` executes; all others show commands without running them."""
MANUAL = "examples/README.md"
TWO_SCREENS = 110
"""Lines of a page."""


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text(page), re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[str]:
    """Lists the lines of the `sh` blocks of a page."""
    return [line for block in blocks(page, "sh") for line in block.splitlines()]


def shown_commands(page: str) -> Iterator[list[str]]:
    """Gives the words of every command that a page shows, executed or not."""
    shown = commands(page) + re.findall(r"^ {4,}(\S.*)$", text(page), re.MULTILINE)
    for line in shown:
        for command in re.split(r" && | \| ", line):
            if re.match(r"(\w+=\S+ )*(nncodec|python|pytest|torchrun) ", command):
                words = shlex.split(command)
                while "=" in words[0]:
                    del words[0]
                if words[0] == "torchrun":
                    del words[: words.index("nncodec")]
                yield words


def anchors(page: str) -> set[str]:
    """Lists the names under which the headings of a page can be linked to."""
    headings = re.findall(r"^#+ (.*)$", text(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def unknown_options(words: list[str], command: click.Command) -> set[str]:
    known = {
        option
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    return {word for word in words if word.startswith("--")} - known - {"--help"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, in which there are the examples and nothing else."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("page", "block"), [(page, block) for page in PAGES for block in blocks(page, "python")]
)
def test_python_blocks_run(page: str, block: str) -> None:
    exec(compile(block, page, "exec"), {})


@pytest.mark.parametrize("page", ["README.md", MANUAL])
def test_nncodec_commands_run_as_written(page: str, folder: Path) -> None:
    """All but those that train or need what is trained, and pipes, which `.ci/run` executes."""
    done = 0
    for line in commands(page):
        command = line.rpartition("&& ")[2]
        if re.search(r"trained/|\btrain\b|train\.tfrecord|alone\.nnb| [<|] ", command):
            continue
        if command.startswith("nncodec "):
            result = CliRunner().invoke(main, shlex.split(command)[1:])
            assert result.exit_code == 0, f"{command}: {result.output}"
            done += 1
        elif command.startswith("head "):
            subprocess.run(["bash", "-c", command], check=True)
        elif "05_sequence" in command:
            run_example(ROOT / "examples" / "05_sequence.py", folder / "frames.npy")
        elif "06_tokens" in command:
            run_example(ROOT / "examples" / "06_tokens.py", folder / "tokens.npy")
        elif "07_coverage" in command:
            run_example(ROOT / "examples" / "07_coverage.py", folder / "covered.npz")
    assert done > 3


def run_example(example: Path, file: Path) -> str:
    command = [sys.executable, "-W", "error", str(example), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_examples_run(example: Path, tmp_path: Path) -> None:
    file = ROOT / "examples" / "codes.npz"
    if example.name == "03_toy_encoder.py":
        file = tmp_path / "toy.npz"
    elif example.name == "05_sequence.py":
        file = tmp_path / "frames.npy"
    elif example.name == "06_tokens.py":
        file = tmp_path / "tokens.npy"
    elif example.name == "07_coverage.py":
        file = tmp_path / "covered.npz"
    assert run_example(example, file)


def test_every_example_is_in_the_manual() -> None:
    for example in (ROOT / "examples").glob("*.py"):
        assert f"python examples/{example.name}" in text(MANUAL)


def test_examples_in_docstrings_run() -> None:
    for module in (nncodec.api, nncodec.lazy):
        results = doctest.testmod(module)
        assert results.attempted > 1
        assert not results.failed


def test_every_command_is_in_the_manual() -> None:
    assert isinstance(main, click.Group)
    for name in main.commands:
        assert f"nncodec {name}" in text(MANUAL)


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_pages_show_are_there(page: str) -> None:
    for words in shown_commands(page):
        line = " ".join(words)
        command: click.Command = main
        if words[0] == "nncodec":
            while isinstance(command, click.Group) and words[1:] and words[1] in command.commands:
                command = command.commands[words.pop(1)]
            assert command is not main, line
            assert not unknown_options(words, command), line
        elif words[:2] == ["python", "-m"]:
            assert find_spec(words[2]), line
        elif words[0] == "python":
            assert (ROOT / words[1]).is_file(), line
            if words[1].startswith("benchmarks/"):
                module = importlib.import_module(words[1].removesuffix(".py").replace("/", "."))
                assert not unknown_options(words, module.main), line
        else:
            paths = [word.partition("::")[0] for word in words[1:] if word.startswith("tests/")]
            assert all((ROOT / path).exists() for path in paths), line


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), f"{page} links to {target}"
        if anchor:
            assert anchor in anchors(str(path.resolve().relative_to(ROOT))), target


def test_every_page_can_be_reached_from_the_first() -> None:
    linked = re.findall(r"\]\(([^)#\s]+\.md)\)", text("README.md"))
    assert {"README.md", *linked} == set(PAGES)


def test_the_first_page_is_two_screens() -> None:
    assert len(text("README.md").splitlines()) <= TWO_SCREENS


def test_the_table_in_the_manual_is_what_compress_prints(tmp_path: Path) -> None:
    codes, output = str(ROOT / "examples" / "codes.npz"), str(tmp_path / "codes.bin")
    printed = CliRunner().invoke(main, ["compress", codes, output]).stdout
    table = re.search(r"^    examples/codes\.npz: .*?\n\n", text(MANUAL), re.DOTALL | re.MULTILINE)
    assert table
    for line in table[0].splitlines():
        shown = line.removeprefix("    ").replace("examples/codes.npz: ", "")
        shown = shown.partition(", in ")[0]  # seconds
        assert shown.strip() == "..." or shown in printed


def test_the_tree_of_the_architecture_has_every_module() -> None:
    (block,) = blocks("nncodec/README.md", "tree")
    found: set[str] = set()
    folders: list[str] = []
    for line in block.splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        folders = [*folders[:depth], name]
        assert len(line.split()) > 1 or name.endswith("/"), f"{name}: nothing is said of it"
        found.add("".join(folders))
    package = ROOT / "nncodec"
    modules = [*package.rglob("*.py"), *(package / "format").glob("*.md")]
    there = {path.relative_to(ROOT).as_posix() for path in modules}
    there -= {path for path in there if path.count("/") > 1 and path.endswith("__init__.py")}
    assert {path for path in found if not path.endswith("/")} == there
    assert all((ROOT / path).is_dir() for path in found if path.endswith("/"))


def test_every_test_is_on_its_page() -> None:
    tests = ROOT / "tests"
    named = set(re.findall(r"`((?:fuzz/)?test_\w+\.py)`", text("tests/README.md")))
    assert named == {path.relative_to(tests).as_posix() for path in tests.rglob("test_*.py")}


def test_every_benchmark_is_on_its_page() -> None:
    scripts = [*(ROOT / "benchmarks").glob("bench_*.py"), ROOT / "benchmarks" / "fit_start.py"]
    named = set(re.findall(r"\[`(\w+\.py)`\]", text("benchmarks/README.md")))
    assert named == {path.name for path in scripts}


def test_continuous_integration_runs_these_pages() -> None:
    (pages,) = re.findall(r"^pages=\((.*)\)$", text(".ci/run"), re.MULTILINE)
    assert tuple(pages.split()) == EXECUTED
    assert {page for page in PAGES if blocks(page, "sh")} == set(EXECUTED)


def test_hooks_are_the_linters_of_continuous_integration() -> None:
    hooks = re.findall(r"^ +entry: (.*)$", text(".pre-commit-config.yaml"), re.MULTILINE)
    linters = commands(".github/CONTRIBUTING.md")
    assert hooks == [linter.removesuffix(" --check") for linter in linters]
