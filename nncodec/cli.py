"""The commands: parse, call, print.

What is printed goes to standard output, or to standard error where the output itself goes there.
An error is one line on standard error, `nncodec: FILE: what is wrong; what to do`, and exit code 1;
2 is wrong usage, 130 an interruption.
"""

import io
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, TypeVar

import click

import nncodec
from nncodec.codec import (
    MODELS,
    Encoded,
    Progress,
    code_lengths,
    decode_payloads,
    encode_source,
)
from nncodec.codes import read_code_file, write_code_file
from nncodec.container import read_container, read_header
from nncodec.errors import CodesError, NncodecError
from nncodec.output_files import (
    STANDARD_STREAM,
    check_output,
    label_of,
    open_input,
    open_output,
)
from nncodec.reports import (
    container_facts,
    container_text,
    evaluation,
    evaluation_text,
    evaluations,
    extent,
    size_table,
)
from nncodec.source import LAYOUTS, Source
from nncodec.synthesize import synthesize
from nncodec.tensors import Codes
from nncodec.terminal import Commands, force_option, print_text, progress_bar, quiet_option

Function = TypeVar("Function", bound=Callable[..., Any])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(nncodec.__version__, prog_name="nncodec", message="%(prog)s %(version)s")
def main() -> None:
    """Compresses the binary codes that neural image encoders write, without loss.

    A code file is a .npz with `codes` (packed bits) and `shape`, or a .npy or .npz of one unpacked
    array of two values. In place of a file, - is standard input or output.

    \b
    Example:
      nncodec compress codes.npz codes.bin
      nncodec decompress codes.bin again.npz
    """


def _options(*options: Callable[[Function], Function]) -> Callable[[Function], Function]:
    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_input = click.argument("input_", metavar="INPUT")
_output = click.argument("output", metavar="OUTPUT")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_layers = click.option(
    "--layers", type=click.IntRange(min=1), metavar="N", help="Only the first N layers."
)
_reading = _options(
    click.option(
        "--model",
        type=click.Choice(MODELS),
        default="auto",
        help="auto, the cheapest, or adaptive, which learns from the codes alone.",
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
    _layers,
)


@main.command()
@_input
@_output
@_reading
@click.option("--no-verify", is_flag=True, help="Do not decode the result and compare.")
@force_option
@_as_json
@quiet_option
def compress(
    input_: str,
    output: str,
    model: str,
    layout: str,
    layer_depth: int | None,
    layers: int | None,
    no_verify: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compresses the code file INPUT into OUTPUT.

    Prints how many bytes every layer took, beside its theoretical size under the model (its code
    length, in bytes). Layers on which the model does not pay are stored.

    \b
    Example:
      nncodec compress codes.npz codes.bin
    """
    check_output(output, force=force, source=input_)
    with open_input(input_) as (stream, label):
        codes, source = _read_codes(stream, layout, layer_depth, layers)
        work = codes.size * (1 if no_verify else 2)
        with progress_bar(label, work, quiet or as_json) as progress:
            encoded = encode_source(codes, source, model=model, progress=progress)
            if not no_verify:
                _verify(encoded, codes, progress)
    with open_output(output, force=force) as file:
        file.write(encoded.data)
    where = sys.stderr if output == STANDARD_STREAM else sys.stdout
    facts = container_facts(encoded.header, encoded.layers)
    if as_json:
        print_text(json.dumps(facts), where)
    elif not quiet:
        print_text(
            f"{label}: {codes.size} bits -> {len(encoded.data)} bytes, rate {facts['rate']:.4f} "
            f"({facts['layout']}, {extent(codes.shape)})",
            where,
        )
        print_text(size_table(encoded), where)


@main.command()
@_input
@_output
@_layers
@click.option("--partial", is_flag=True, help="Take the whole layers of a file that was cut off.")
@force_option
@quiet_option
def decompress(
    input_: str, output: str, layers: int | None, partial: bool, force: bool, quiet: bool
) -> None:
    """Restores the code file OUTPUT from the compressed INPUT.

    The arrays get the names, types, shapes and values that they had.

    \b
    Example:
      nncodec decompress codes.bin again.npz
      nncodec decompress --layers 4 codes.bin first4.npz
    """
    check_output(output, force=force, source=input_)
    with open_input(input_) as (stream, label):
        header, payloads = read_container(stream, layers=layers, partial=partial)
        held = header.segment_layers()[len(payloads) - 1].stop
        with progress_bar(label, held * header.bits_per_layer, quiet) as progress:
            codes = decode_payloads(header, payloads, progress=progress)[:layers]
        content = io.BytesIO()
        write_code_file(content, codes, header.source)
    with open_output(output, force=force) as file:
        file.write(content.getbuffer())
    wanted = layers or header.layers
    if len(codes) < wanted:
        note = f"the file ends early; {len(codes)} of {wanted} layers are whole, and written"
        click.echo(f"nncodec: {label}: {note}", err=True)
    if not quiet:
        where = sys.stderr if output == STANDARD_STREAM else sys.stdout
        print_text(f"{label}: {extent(codes.shape)} -> {label_of(output)}", where)


@main.command()
@click.argument("file", metavar="FILE")
@_as_json
def info(file: str, as_json: bool) -> None:
    """Says what a compressed FILE holds, from its header alone.

    \b
    Example:
      nncodec info codes.bin
    """
    with open_input(file) as (stream, label):
        header = read_header(stream)
    if as_json:
        print_text(json.dumps(container_facts(header)))
    else:
        print_text(container_text(label, header))


@main.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
def test(files: Sequence[str]) -> None:
    """Decodes each compressed FILE and checks it.

    Prints one line a file; the exit code is 1 if any is bad.

    \b
    Example:
      nncodec test *.bin
    """
    good = [_test_file(name) for name in files]
    if not all(good):
        sys.exit(1)


@main.command()
@click.argument("files", metavar="CODES...", nargs=-1, required=True)
@_reading
@_as_json
def evaluate(
    files: Sequence[str],
    model: str,
    layout: str,
    layer_depth: int | None,
    layers: int | None,
    as_json: bool,
) -> None:
    """Measures the theoretical size of the code files CODES.

    Writes no file. Prints the code length of every layer in bits, its rate, and the rate of all
    layers up to it; for several files their means too.

    \b
    Example:
      nncodec evaluate --layers 4 codes/*.npz
    """
    results = []
    for name in files:
        with open_input(name) as (stream, label):
            codes, source = _read_codes(stream, layout, layer_depth, layers)
            with progress_bar(label, codes.size, as_json) as progress:
                lengths = code_lengths(codes, model=model, progress=progress)
        facts = {"file": label, "layout": source.layout, "shape": list(codes.shape)}
        results.append(facts | evaluation([codes[0].size] * len(codes), lengths.tolist()))
        if not as_json:
            print_text(evaluation_text(label, results[-1]))
    if len(files) > 1:
        whole = evaluations(results)
        if not as_json:
            print_text(evaluation_text(f"mean of {len(files)} files", whole["mean"]))
    if as_json:
        print_text(json.dumps(whole if len(files) > 1 else results[0]))


def _test_file(name: str) -> bool:
    try:
        with open_input(name) as (stream, label):
            header, payloads = read_container(stream)
            with progress_bar(label, header.bits) as progress:
                decode_payloads(header, payloads, progress=progress)
    except NncodecError as error:
        click.echo(f"nncodec: {error}", err=True)
        return False
    print_text(f"{label}: ok")
    return True


def _read_codes(
    stream: BinaryIO, layout: str, layer_depth: int | None, layers: int | None
) -> tuple[Codes, Source]:
    code_file = read_code_file(stream, layout=layout, layer_depth=layer_depth)
    held = len(code_file.codes)
    if layers is not None and layers > held:
        raise CodesError(f"layers {layers}: the file has {held}; ask for some of them")
    return code_file.codes[:layers], code_file.source


def _verify(encoded: Encoded, codes: Codes, progress: Progress | None) -> None:
    try:
        header, payloads = read_container(io.BytesIO(encoded.data))
        decoded = decode_payloads(header, payloads, progress=progress)
        same = header == encoded.header and bool((decoded == codes).all())
    except NncodecError:
        same = False
    if not same:
        raise NncodecError(
            "what was compressed does not decode to the same codes, and nothing was written; this "
            "is a defect of nncodec, please report it with the file"
        )


main.add_command(synthesize)
