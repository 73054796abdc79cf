"""The commands that write synthetic codes."""

import math
from collections.abc import Iterable, Iterator

import click

from nncodec.coding.threads import Progress
from nncodec.commands.options import force_option, quiet_option
from nncodec.commands.terminal import progress_bar
from nncodec.files.array_files import npy_bytes, npz_bytes
from nncodec.files.streams import STANDARD_STREAM, open_output, output_label
from nncodec.format.code_tensor import Codes
from nncodec.training.data import synthetic
from nncodec.training.data.examples import write_samples

_output_option = click.option("--output", required=True, metavar="FILE", help="The file to write.")
_seed = click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    metavar="S",
    help="Of the random numbers: the same seed gives the same codes.",
)


@click.group()
def synthesize() -> None:
    """Writes synthetic codes of known entropy: 0.72193 bits a bit."""


@synthesize.command()
@_output_option
@click.option(
    "--count",
    type=click.IntRange(min=1),
    required=True,
    metavar="N",
    help="How many samples to write.",
)
@_seed
@force_option
@quiet_option
def dataset(output: str, count: int, seed: int, force: bool, quiet: bool) -> None:
    """Writes a TFRecord file of N samples of 35 x 48 x 8 (height x width x depth).

    \b
    Example:
      nncodec synthesize dataset --output train.tfrecord --count 20000
    """
    samples = synthetic.generate(count, seed=seed)
    bits = math.prod(synthetic.DATASET_SHAPE)
    with (
        open_output(output, force=force) as file,
        progress_bar(output_label(output), count * bits, quiet) as progress,
    ):
        write_samples(file, _counted(samples, progress))


@synthesize.command()
@_output_option
@_seed
@force_option
def sample(output: str, seed: int, force: bool) -> None:
    """Writes one sample of 31 x 36 x 8 (height x width x depth), layers of 2 bits, unpacked.

    FILE ends with .npy or .npz.

    \b
    Example:
      nncodec synthesize sample --output sample.npy
      nncodec compress --layer-depth 2 sample.npy sample.bin
    """
    if output != STANDARD_STREAM and not output.endswith((".npy", ".npz")):
        raise click.BadParameter("must end with .npy or .npz", param_hint="--output")
    codes = synthetic.generate_sample(seed=seed)
    with open_output(output, force=force) as file:
        file.write(npz_bytes({"codes": codes}) if output.endswith("z") else npy_bytes(codes))


def _counted(samples: Iterable[Codes], progress: Progress | None) -> Iterator[Codes]:
    for sample in samples:
        yield sample
        if progress:
            progress(sample.size)
