"""Options and arguments that several commands have."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import click

from nncodec.commands.outputs import Arguments
from nncodec.files.model_choice import AUTO, EFFORTS, STANDARD
from nncodec.files.streams import STANDARD_STREAM
from nncodec.files.values import MAX_TOKEN_BITS
from nncodec.format.limits import MAX_BITS
from nncodec.format.source import TOKENS
from nncodec.training.devices import DEVICES

Function = TypeVar("Function", bound=Callable[..., Any])


def _options(*options: Callable[[Function], Function]) -> Callable[[Function], Function]:
    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


force_option = click.option("-f", "--force", is_flag=True, help="Replace the output if it exists.")
quiet_option = click.option(
    "-q", "--quiet", is_flag=True, help="Print nothing but errors and warnings."
)
verbose_option = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Of many files, print the table of each; of more than 32, the line of each, too.",
)
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
    type=click.IntRange(min=1),
    default=MAX_BITS,
    show_default=True,
    metavar="N",
    help="Refuse files of more code bits before memory is taken for them.",
)
threads_option = click.option(
    "-T",
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


def _one_coverage(function: Function) -> Function:
    """Gives a command one argument `coverage` of both options: a name, False, or None."""

    @functools.wraps(function)
    def with_one(*, coverage: str | None, no_coverage: bool, **others: Any) -> Any:
        if no_coverage and coverage is not None:
            raise click.UsageError("give --coverage or --no-coverage, not both")
        return function(coverage=False if no_coverage else coverage, **others)

    return cast(Function, with_one)


coverage_options = _options(
    click.option(
        "--coverage",
        metavar="NAME",
        show_default="coverage, if there is one",
        help="The array of a .npz that says how many layers each position has; bits beyond are not "
        "coded.",
    ),
    click.option(
        "--no-coverage",
        is_flag=True,
        help="An array `coverage` is one like others: all positions have all layers.",
    ),
    _one_coverage,
)
axes_option = click.option(
    "--axes",
    default=AUTO,
    metavar="LETTERS",
    help="The axes of the codes, a letter each: l layer, n picture, t frame of a sequence, h row, "
    "w column, c bits of a position, as in lnhwc (TensorFlow), lnchw (PyTorch), thwc or nc; auto "
    "takes 3 to 5 axes as [l][n]hwc or [l][n]chw, whichever is cheaper.",
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
        help="What a network may cost for auto to take it: fast, none; standard, 2 to 2.5 times "
        "the time, to save 1 %; best, any time, to save a byte.",
    ),
    click.option(
        "--sequence/--no-sequence",
        default=None,
        show_default="found out",
        help="Whether the pictures of a batch are frames, each predicted from those before it.",
    ),
    axes_option,
    click.option(
        "--layer-depth",
        type=click.IntRange(min=1),
        metavar="N",
        help="Without an axis l: cut c into layers of N bits; otherwise it is one layer.",
    ),
    click.option(
        "--bits",
        type=click.IntRange(1, MAX_TOKEN_BITS),
        metavar="B",
        help="The codes are tokens, whole numbers of B bits, which are c.",
    ),
    click.option(
        "--bit-order",
        type=click.Choice([AUTO, *TOKENS]),
        default=AUTO,
        help="Which bit of a token comes first, the highest (msb) or the lowest (lsb); auto takes "
        "the cheaper one. Of packed codes, which bit of a byte; auto is msb, as numpy packs.",
    ),
    click.option(
        "--array",
        multiple=True,
        metavar="NAME",
        help="The array with the codes, if not `codes` or the only one that can be codes.",
    ),
    click.option(
        "--shape-array",
        multiple=True,
        metavar="NAME",
        help="The array with the shape of packed codes, if not `shape`.",
    ),
    layers_option,
    coverage_options,
    max_bits_option,
    threads_option,
)

conversion_files = _options(
    click.argument("files", metavar="INPUT [OUTPUT] | INPUT...", nargs=-1),
    click.option("-o", "--output", metavar="FILE", help="The output of the only INPUT."),
    click.option("-c", "--stdout", is_flag=True, help="The same as --output -: standard output."),
    click.option(
        "--output-dir",
        metavar="DIR",
        help="Put the outputs into DIR, in the folders in which the inputs are below their common "
        "one; every argument is an INPUT.",
    ),
    click.option("-r", "--recursive", is_flag=True, help="Take the files in folders, too."),
    click.option(
        "-j",
        "--jobs",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="N",
        help="How many files to work on at a time, each with its share of the processors.",
    ),
    click.option(
        "--rm", "remove", is_flag=True, help="Remove each input, once its output is whole."
    ),
    click.option(
        "--dask",
        metavar="ADDRESS",
        help="Of many files: have the workers of a Dask cluster do it, as in tcp://host:8786. "
        "They need nncodec, and must see the same folders, unless files are URLs.",
    ),
)


@dataclass(frozen=True)
class Given:
    """The values of `conversion_files` that say which files; the others say who works on them."""

    files: tuple[str, ...]
    output: str | None
    stdout: bool
    output_dir: str | None
    recursive: bool

    def arguments(self, suffixes: tuple[str, ...]) -> Arguments:
        """Gives the same for a command whose inputs are so named.

        Raises:
            click.UsageError: two outputs.
        """
        if self.stdout and self.output not in (None, STANDARD_STREAM):
            raise click.UsageError("--stdout and --output are two outputs; give one of them")
        output = STANDARD_STREAM if self.stdout else self.output
        return Arguments(self.files, output, self.output_dir, self.recursive, suffixes)


group_option = click.option(
    "--group",
    type=click.IntRange(min=0),
    metavar="N",
    help="Start learning anew every N pictures: each such group is decoded apart, by a thread of "
    "its own or alone, and is lost alone. 0: all pictures together. By default, with --solid as "
    "many as have 16,384 positions, which take 0 to 1 % more than all together; otherwise all.",
)
solid_option = click.option(
    "--solid",
    metavar="OUTPUT",
    help="Compress all arguments into the one file OUTPUT, where each learns from those before it.",
)
only_option = click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="Of a file that holds many, restore this one (may be given again).",
)


def check_solid(given: Given, jobs: int, remove: bool, dask: str | None) -> None:
    """Refuses arguments that are not those of `--solid`.

    Raises:
        click.UsageError: there are no inputs, or another output, jobs, or --rm are asked for, too.
    """
    if not given.files:
        raise click.UsageError("no inputs for --solid; name some")
    if given.output_dir is not None:
        raise click.UsageError("--solid makes one file, --output-dir many; leave one out")
    if given.output is not None or given.stdout:
        raise click.UsageError("--solid and --output are two outputs; leave one out")
    if jobs > 1:
        raise click.UsageError(
            f"--jobs {jobs} with --solid; leave it out, --threads share the work"
        )
    if dask is not None:
        raise click.UsageError("--dask is not for --solid, which makes one file; leave it out")
    if remove:
        raise click.UsageError("--rm is not for --solid; remove the inputs yourself")


def check_dask(dask: str | None, jobs: int) -> None:
    """Refuses jobs of this machine beside the workers of a cluster.

    Raises:
        click.UsageError: both are asked for.
    """
    if dask is not None and jobs > 1:
        raise click.UsageError(
            f"--jobs {jobs} with --dask, whose workers share the files; leave one out"
        )


def check_only(given: Given, only: Sequence[str]) -> tuple[str, str | None]:
    """Gives the input of `--only`, and the output if that is no folder.

    Raises:
        click.UsageError: there is not one input, or an output for each of several names.
    """
    arguments = given.arguments(("",))
    if given.output_dir is not None:
        if len(given.files) != 1:
            raise click.UsageError(f"--only for {len(given.files)} inputs; give one")
        return given.files[0], None
    files = (*given.files, arguments.output) if arguments.output else given.files
    if len(files) != 2 or len(only) > 1:
        raise click.UsageError("--only NAME needs INPUT and OUTPUT, or INPUT and --output-dir DIR")
    return files[0], files[1]
