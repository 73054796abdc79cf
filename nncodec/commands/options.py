"""Options and arguments that several commands have."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from nncodec.commands.reports import counted
from nncodec.files.model_choice import AUTO, EFFORTS, STANDARD
from nncodec.files.streams import STANDARD_STREAM
from nncodec.format.limits import MAX_BITS
from nncodec.format.source import LAYOUTS
from nncodec.training.devices import DEVICES

Function = TypeVar("Function", bound=Callable[..., Any])


def _options(*options: Callable[[Function], Function]) -> Callable[[Function], Function]:
    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


force_option = click.option("--force", is_flag=True, help="Replace the output if it exists.")
quiet_option = click.option("--quiet", is_flag=True, help="Print nothing but errors and warnings.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
decoding_model_option = click.option(
    "--model",
    metavar="MODEL",
    help="The model that the file needs: its name, or its file. It is found without, if it is in "
    "the file, ships with nncodec, or lies in a folder of NNCODEC_MODELS.",
)
layers_option = click.option(
    "--layers", type=click.IntRange(min=1), metavar="N", help="Only the first N layers."
)
max_bits_option = click.option(
    "--max-bits",
    type=click.IntRange(1, MAX_BITS),
    default=MAX_BITS,
    show_default=True,
    metavar="N",
    help="Refuse files of more code bits before memory is taken for them.",
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(min=1),
    show_default="one for each processor",
    metavar="N",
    help="How many threads work on a file; what comes of it is the same.",
)
device_option = click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="Where a float network computes; auto is CUDA where there is any.",
)
reading_options = _options(
    click.option(
        "--model",
        default=AUTO,
        metavar="MODEL",
        help="auto, the cheapest that fits; adaptive, which learns from the codes alone; the name "
        "of a model (nncodec models lists them); or a model file.",
    ),
    click.option(
        "--effort",
        type=click.Choice(list(EFFORTS)),
        default=STANDARD,
        show_default=True,
        help="What a network may cost for auto to take it: fast, none; standard, about three times "
        "the time, to save 1 %; best, any time, to save a byte.",
    ),
    click.option(
        "--sequence/--no-sequence",
        default=None,
        show_default="found out",
        help="Whether the pictures of a batch are frames, each predicted from those before it.",
    ),
    click.option(
        "--layout",
        type=click.Choice(["auto", *LAYOUTS]),
        default="auto",
        help="Axis order of the codes: height, width, depth (nhwc, TensorFlow) or depth, height, "
        "width (nchw, PyTorch); auto takes the cheaper one.",
    ),
    click.option(
        "--layer-depth",
        type=click.IntRange(min=1),
        metavar="N",
        help="Cut the depth of 3 or 4 axes into layers of N bits; otherwise it is one layer.",
    ),
    layers_option,
    max_bits_option,
    threads_option,
)

conversion_files = _options(
    click.argument("files", metavar="INPUT OUTPUT | INPUT...", nargs=-1),
    click.option(
        "--output-dir",
        metavar="DIR",
        help="Take every argument as an INPUT; the outputs go into DIR under the same names, "
        "with the suffix of what they are.",
    ),
    click.option(
        "--jobs",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="N",
        help="With --output-dir: how many files to work on at a time, each with its share of the "
        "processors.",
    ),
)


def check_files(files: Sequence[str], output_dir: str | None, jobs: int) -> None:
    """Refuses arguments that are not those of `conversion_files`.

    Raises:
        click.UsageError: other than INPUT and OUTPUT, or several jobs for these; with a folder no
            files at all, or `-`.
    """
    if output_dir is None and len(files) != 2:
        raise click.UsageError(
            f"{counted(len(files), 'argument')}, not INPUT and OUTPUT; give these two, or any "
            "number of inputs and --output-dir DIR"
        )
    if output_dir is None and jobs > 1:
        raise click.UsageError(
            f"--jobs {jobs} for one file; leave it out, or give --output-dir DIR for many"
        )
    if output_dir is not None and not files:
        raise click.UsageError("no inputs for --output-dir; name some")
    if output_dir is not None and STANDARD_STREAM in files:
        raise click.UsageError("- is no input for --output-dir; name files, or give - and OUTPUT")
