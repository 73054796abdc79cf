"""The commands that write synthetic codes."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click

from nncodec.coding.threads import Progress
from nncodec.commands.options import force_option, quiet_option
from nncodec.commands.terminal import progress_bar
from nncodec.files.axis_orders import to_canonical
from nncodec.files.code_files import write_code_file
from nncodec.files.streams import STANDARD_STREAM, naming, open_output, output_label
from nncodec.format.code_tensor import Codes
from nncodec.format.extent import Extent
from nncodec.format.limits import check_limits
from nncodec.format.source import ArraySource, Source
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


def _size_option(name: str, default: int) -> Callable[[Any], Any]:
    return click.option(
        f"--{name}", type=click.IntRange(min=1), default=default, show_default=True, metavar="N"
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
@_size_option("height", synthetic.SAMPLE_SHAPE[0])
@_size_option("width", synthetic.SAMPLE_SHAPE[1])
@_size_option("depth", synthetic.SAMPLE_SHAPE[2])
@_size_option("layer-depth", synthetic.SAMPLE_LAYER_DEPTH)
@_seed
@force_option
def sample(
    output: str, height: int, width: int, depth: int, layer_depth: int, seed: int, force: bool
) -> None:
    """Writes one sample, as the original image encoder writes its codes.

    FILE is a .npz of the packed codes and their shape: layers, 1, height, width, layer depth.

    \b
    Example:
      nncodec synthesize sample --output sample.npz
      nncodec compress sample.npz
    """
    if output != STANDARD_STREAM and not output.endswith(".npz"):
        raise click.BadParameter("must end with .npz", param_hint="--output")
    if depth % layer_depth:
        raise click.BadParameter(f"must divide the depth {depth}", param_hint="--layer-depth")
    with naming(output_label(output)):
        shape = (depth // layer_depth, 1, height, width, layer_depth)
        check_limits(Extent.of_shape(shape))
        codes = synthetic.generate_sample(shape=(height, width, depth), seed=seed)
    source = Source((ArraySource("packed", dtype="<i8"),))
    with open_output(output, force=force) as file:
        write_code_file(file, to_canonical(codes, "hwc", layer_depth), source)


def _counted(samples: Iterable[Codes], progress: Progress | None) -> Iterator[Codes]:
    for sample in samples:
        yield sample
        if progress:
            progress(sample.size)
