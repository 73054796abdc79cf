"""What nncodec/format/FORMAT.md prints, taken apart: its tables and its blocks."""

import re
from collections.abc import Sequence
from pathlib import Path

import nncodec

PATH = Path(nncodec.__file__).parent / "format" / "FORMAT.md"
TEXT = PATH.read_text(encoding="utf-8")


def block(name: str) -> list[str]:
    """The lines of the block of this name."""
    (lines,) = re.findall(rf"^```{name}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    return str(lines).splitlines()


def with_block(text: str, name: str, lines: Sequence[str]) -> str:
    """A page's text with other lines in the block of this name."""
    before, begin, rest = text.partition(f"\n```{name}\n")
    _, end, after = rest.partition("```\n")
    if not end:
        raise ValueError(f"there is no block {name}")
    return before + begin + "".join(f"{line}\n" for line in lines) + end + after


def numbers(name: str) -> list[list[int]]:
    """Those of a block, by line."""
    return [[int(number) for number in line.split()] for line in block(name)]


def table(head: str) -> list[list[str]]:
    """The cells of the tables under such a head, without it."""
    rows: list[list[str]] = []
    for begin in re.finditer(rf"^{re.escape(head)}\n\|[-|]+\n", TEXT, re.MULTILINE):
        for line in TEXT[begin.end() :].splitlines():
            if not line.startswith("|"):
                break
            cells = re.split(r"(?<!\\)\|", line)[1:-1]
            rows.append([cell.strip() for cell in cells])
    return rows


def taps(name: str) -> list[tuple[int, ...]]:
    """Those of a block."""
    found = re.findall(r"\(([-\d, ]+)\)", "\n".join(block(name)))
    return [tuple(map(int, tap.split(", "))) for tap in found]


def code(*cells: str) -> list[str]:
    """What the cells have in backquotes."""
    return [word for cell in cells for word in re.findall(r"`([^`]*)`", cell)]
