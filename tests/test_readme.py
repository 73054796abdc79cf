"""What the documentation shows runs as it is written."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import nncodec.api
from nncodec.commands.main import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", blocks("python"))
def test_python_blocks_run(block: str) -> None:
    exec(compile(block, "README.md", "exec"), {})


def test_nncodec_commands_run_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    commands = [command.rpartition("&& ")[2] for command in commands]
    assert sum(command.startswith("nncodec ") for command in commands) > 8
    for command in commands:
        if command.startswith("nncodec "):
            result = CliRunner().invoke(main, command.split()[1:])
            assert result.exit_code == 0, f"{command}: {result.output}"
        elif command.startswith("head "):
            subprocess.run(["bash", "-c", command], check=True)


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_examples_run(example: Path, tmp_path: Path) -> None:
    file = ROOT / "examples" / "codes.npz"
    if example.name == "03_toy_encoder.py":
        file = tmp_path / "toy.npz"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example), str(file)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_examples_in_docstrings_run() -> None:
    results = doctest.testmod(nncodec.api)
    assert results.attempted > 1
    assert not results.failed


def test_every_command_is_in_the_readme() -> None:
    assert isinstance(main, click.Group)
    for name in main.commands:
        assert f"nncodec {name}" in README


def test_the_table_in_the_readme_is_what_compress_prints(tmp_path: Path) -> None:
    codes, output = str(ROOT / "examples" / "codes.npz"), str(tmp_path / "codes.bin")
    printed = CliRunner().invoke(main, ["compress", codes, output]).stdout
    table = re.search(r"^    examples/codes\.npz: .*?\n\n", README, re.DOTALL | re.MULTILINE)
    assert table
    for line in table[0].splitlines():
        shown = line.removeprefix("    ").replace("examples/codes.npz: ", "")
        assert shown.strip() == "..." or shown in printed
