"""Fits the weights from which the adaptive stage starts, and writes untrained_weights.py.

    python benchmarks/fit_start.py --encoder 'codes/rnn/*.npz' --encoder 'codes/conv/*.npz'

The adaptive stage runs over every file; what the layers' weights have become at the end is averaged
over the files of an encoder, then over the encoders, so that no encoder is favoured. Channels have
no common meaning, so their own weights start from zero.
"""

import glob
import textwrap
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from nncodec.coding.codec import traverse_known
from nncodec.files.code_files import read_code_file
from nncodec.model.adaptive import untrained_weights
from nncodec.model.adaptive.untrained_weights import START_BITS, START_WEIGHTS

_PAGE = '''"""The layers' weights from which the adaptive stage starts, by benchmarks/fit_start.py.

Every row is a layer, the last one all later layers; the columns are LAYER_TAPS, then the gates of
contexts.py. They say what codes of several encoders have in common: neighbours tend to agree, the
more so the more the rest of their bits does.
"""

import numpy as np

START_BITS = {bits}  # fractional bits
# fmt: off
START_WEIGHTS = np.array(
    [
{rows}
    ],
    dtype=np.int64,
)
# fmt: on
'''


def final_weights(path: str) -> npt.NDArray[np.float64]:
    """The weights at the end of a file: [rows of START_WEIGHTS, inputs], of weight 1.0."""
    codes = read_code_file(path).codes
    weights = traverse_known(codes).learned()["shared"].mean(axis=1)
    rows = len(START_WEIGHTS)
    last = weights[rows - 1 :].mean(axis=0) if len(weights) >= rows else np.nan
    return np.concatenate([weights[: rows - 1], [last * np.ones(weights.shape[1])]])


@click.command()
@click.option("--encoder", multiple=True, required=True, help="Glob of one encoder's code files.")
def main(encoder: tuple[str, ...]) -> None:
    """Fits the start of the adaptive stage to the code files of several encoders."""
    encoders = [
        np.mean([final_weights(path) for path in sorted(glob.glob(pattern))], axis=0)
        for pattern in encoder
    ]
    table = np.round(np.mean(encoders, axis=0) * (1 << START_BITS)).astype(int)
    rows = [textwrap.fill(f"[{', '.join(map(str, row))}],", 92) for row in table]
    page = _PAGE.format(bits=START_BITS, rows=textwrap.indent("\n".join(rows), " " * 8))
    path = Path(untrained_weights.__file__)
    path.write_text(page, encoding="utf-8")
    click.echo(f"wrote {path}")


if __name__ == "__main__":
    main()
