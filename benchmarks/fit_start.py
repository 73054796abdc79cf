"""Fits the weights from which the adaptive stage starts, and writes untrained_weights.py.

    python benchmarks/fit_start.py --encoder 'codes/rnn/*.npz' --encoder 'codes/conv/*.npz'

The adaptive stage runs over every file; what the layers' weights have become at the end is averaged
over the files of an encoder, then over the encoders, so that no encoder is favoured. Channels have
no common meaning, so their own weights start from zero.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # to run as a file

import glob
import textwrap

import click
import numpy as np
import numpy.typing as npt

from nncodec.coding.codec import traverse_known
from nncodec.files.code_files import read_code_file
from nncodec.model.adaptive import untrained_weights
from nncodec.model.adaptive.start import LARGEST_WEIGHT
from nncodec.model.adaptive.untrained_weights import START_BITS, START_WEIGHTS

_PAGE = '''\
"""The layers' weights that an untrained adaptive stage starts from, by benchmarks/fit_start.py.

Every row is a layer, the last one all later layers; the columns are those of `Start.shared`. They
say what codes of several encoders have in common: neighbours tend to agree, the more so the more
the rest of their bits does.
"""

import numpy as np

START_BITS = {bits}  # fractional bits
# A number a line would be a hundred lines.
# fmt: off
START_WEIGHTS = np.array(
    [
{rows}
    ],
    dtype=np.int64,
)
# fmt: on
'''


def page(weights: npt.NDArray[np.int64]) -> str:
    """The module that holds some weights."""
    rows = [textwrap.fill(f"[{', '.join(map(str, row))}],", 92) for row in weights.tolist()]
    return _PAGE.format(bits=START_BITS, rows=textwrap.indent("\n".join(rows), " " * 8))


def final_weights(path: str) -> npt.NDArray[np.float64]:
    """The weights at the end of a file, in the form of START_WEIGHTS, of weight 1.0.

    Layers that the file has not, and what lies outside of its tensor, keep the weights of now.
    """
    learned = traverse_known(read_code_file(path).codes).learned()["shared"]
    weights = START_WEIGHTS / (1 << START_BITS)
    rows = len(weights) - 1
    some = learned[:rows]
    weights[: len(some)] = some
    if len(learned) > rows:
        weights[rows] = learned[rows:].mean(axis=0)
    return weights


@click.command()
@click.option("--encoder", multiple=True, required=True, help="Glob of one encoder's code files.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=untrained_weights.__file__,
    help="The module to write; that of this nncodec by default.",
)
def main(encoder: tuple[str, ...], output: Path) -> None:
    """Fits the start of the adaptive stage to the code files of several encoders."""
    encoders = []
    for pattern in encoder:
        paths = sorted(glob.glob(pattern))
        if not paths:
            raise click.ClickException(f"no file is {pattern}; quote the glob of an encoder")
        encoders.append(np.mean([final_weights(path) for path in paths], axis=0))
    weights = np.round(np.mean(encoders, axis=0) * (1 << START_BITS)).astype(np.int64)
    output.write_text(page(np.clip(weights, -LARGEST_WEIGHT, LARGEST_WEIGHT)), encoding="utf-8")
    click.echo(f"wrote {output}")


if __name__ == "__main__":
    main()
