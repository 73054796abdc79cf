"""The commands: parse, call, print.

What is printed goes to standard output, or to standard error where the output itself goes there.
An error is one line on standard error, `nncodec: FILE: what is wrong; what to do`, and exit code 1;
2 is wrong usage, 130 an interruption.
"""

import io
import json
import sys
from collections.abc import Sequence

import click

import nncodec
from nncodec.codec import Encoded, Progress, decode_container, encode_source
from nncodec.codes import write_code_file
from nncodec.container import read_container, read_header
from nncodec.errors import NncodecError
from nncodec.evaluate import evaluate
from nncodec.model_choice import model_to_decode, model_to_encode, pack_embedded
from nncodec.model_files import list_models, name_of_model
from nncodec.models import Model
from nncodec.options import json_option, layers_option, read_codes, reading_options
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
    extent,
    model_facts,
    model_table,
    size_table,
)
from nncodec.synthesize import synthesize
from nncodec.tensors import Codes
from nncodec.terminal import Commands, force_option, print_text, progress_bar, quiet_option
from nncodec.train import train


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


_input = click.argument("input_", metavar="INPUT")
_output = click.argument("output", metavar="OUTPUT")
_decoding_model = click.option(
    "--model",
    metavar="MODEL",
    help="The model that the file needs: its name, or its file. It is found without, if it is in "
    "the file, ships with nncodec, or lies in a folder of NNCODEC_MODELS.",
)


@main.command()
@_input
@_output
@reading_options
@click.option("--embed-model", is_flag=True, help="Put the model into OUTPUT: it decodes alone.")
@click.option("--no-verify", is_flag=True, help="Do not decode the result and compare.")
@force_option
@json_option
@quiet_option
def compress(
    input_: str,
    output: str,
    model: str,
    layout: str,
    layer_depth: int | None,
    layers: int | None,
    embed_model: bool,
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
        codes, source = read_codes(stream, layout, layer_depth, layers)
        chosen = model_to_encode(model, codes, embed=embed_model)
        embedded = pack_embedded(chosen) if chosen and embed_model else b""
        work = codes.size * (1 if no_verify else 2)
        with progress_bar(label, work, quiet or as_json) as progress:
            encoded = encode_source(
                codes, source, model=chosen, embedded=embedded, progress=progress
            )
            if not no_verify:
                _verify(encoded, codes, chosen, progress)
    with open_output(output, force=force) as file:
        file.write(encoded.data)
    where = sys.stderr if output == STANDARD_STREAM else sys.stdout
    model_name = name_of_model(encoded.header.model_id)
    facts = container_facts(encoded.header, model_name, encoded.layers)
    if as_json:
        print_text(json.dumps(facts), where)
    elif not quiet:
        print_text(
            f"{label}: {codes.size} bits -> {len(encoded.data)} bytes, rate {facts['rate']:.4f} "
            f"({facts['layout']}, {extent(codes.shape)}, model {model_name})",
            where,
        )
        print_text(size_table(encoded), where)


@main.command()
@_input
@_output
@layers_option
@_decoding_model
@click.option("--partial", is_flag=True, help="Take the whole layers of a file that was cut off.")
@force_option
@quiet_option
def decompress(
    input_: str,
    output: str,
    layers: int | None,
    model: str | None,
    partial: bool,
    force: bool,
    quiet: bool,
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
        container = read_container(stream, layers=layers, partial=partial)
        header = container.header
        held = header.segment_layers()[len(container.payloads) - 1].stop
        found = model_to_decode(container, model)
        with progress_bar(label, held * header.bits_per_layer, quiet) as progress:
            codes = decode_container(container, model=found, progress=progress)[:layers]
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
@json_option
def info(file: str, as_json: bool) -> None:
    """Says what a compressed FILE holds, from its header alone.

    \b
    Example:
      nncodec info codes.bin
    """
    with open_input(file) as (stream, label):
        header = read_header(stream)
    model_name = name_of_model(header.model_id)
    if as_json:
        print_text(json.dumps(container_facts(header, model_name)))
    else:
        print_text(container_text(label, header, model_name))


@main.command()
@json_option
def models(as_json: bool) -> None:
    """Lists the models that ship and those in the folders of NNCODEC_MODELS.

    \b
    Example:
      nncodec models
    """
    found = model_facts(list_models())
    print_text(json.dumps(found) if as_json else model_table(found))


@main.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@_decoding_model
def test(files: Sequence[str], model: str | None) -> None:
    """Decodes each compressed FILE and checks it.

    Prints one line a file; the exit code is 1 if any is bad.

    \b
    Example:
      nncodec test *.bin
    """
    good = [_test_file(name, model) for name in files]
    if not all(good):
        sys.exit(1)


def _test_file(name: str, model: str | None) -> bool:
    try:
        with open_input(name) as (stream, label):
            container = read_container(stream)
            found = model_to_decode(container, model)
            with progress_bar(label, container.header.bits) as progress:
                decode_container(container, model=found, progress=progress)
    except NncodecError as error:
        click.echo(f"nncodec: {error}", err=True)
        return False
    print_text(f"{label}: ok")
    return True


def _verify(encoded: Encoded, codes: Codes, model: Model | None, progress: Progress | None) -> None:
    try:
        container = read_container(io.BytesIO(encoded.data))
        if container.model:
            model = model_to_decode(container)
        decoded = decode_container(container, model=model, progress=progress)
        same = container.header == encoded.header and bool((decoded == codes).all())
    except NncodecError:
        same = False
    if not same:
        raise NncodecError(
            "what was compressed does not decode to the same codes, and nothing was written; this "
            "is a defect of nncodec, please report it with the file"
        )


main.add_command(evaluate)
main.add_command(synthesize)
main.add_command(train)
