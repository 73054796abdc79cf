"""The commands: parse, call, print.

What is printed goes to standard output, or to standard error where the output itself goes there.
An error is one line on standard error, `nncodec: FILE: what is wrong; what to do`, and exit code 1;
2 is wrong usage, 130 an interruption.
"""

import json
import sys
from collections.abc import Sequence
from functools import partial

import click

import nncodec
from nncodec.coding.codec import decode_container
from nncodec.coding.threads import thread_count
from nncodec.commands.evaluate import evaluate
from nncodec.commands.many_files import code_files
from nncodec.commands.one_file import Compression, Decompression, Watch
from nncodec.commands.options import (
    check_files,
    coding_files,
    force_option,
    json_option,
    layers_option,
    max_bits_option,
    quiet_option,
    reading_options,
    threads_option,
)
from nncodec.commands.reports import container_facts, container_text, model_facts, model_table
from nncodec.commands.synthesize import synthesize
from nncodec.commands.terminal import Commands, print_text, progress_bar
from nncodec.commands.train import train
from nncodec.errors import NncodecError
from nncodec.files.model_choice import model_to_decode
from nncodec.files.model_files import list_models, name_of_model
from nncodec.files.streams import STANDARD_STREAM, open_input
from nncodec.format.container import read_container
from nncodec.format.header import read_header


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


_decoding_model = click.option(
    "--model",
    metavar="MODEL",
    help="The model that the file needs: its name, or its file. It is found without, if it is in "
    "the file, ships with nncodec, or lies in a folder of NNCODEC_MODELS.",
)


@main.command()
@coding_files
@reading_options
@click.option("--embed-model", is_flag=True, help="Put the model into OUTPUT: it decodes alone.")
@click.option("--no-verify", is_flag=True, help="Do not decode the result and compare.")
@force_option
@json_option
@quiet_option
def compress(
    files: Sequence[str],
    output_dir: str | None,
    jobs: int,
    model: str,
    layout: str,
    layer_depth: int | None,
    layers: int | None,
    max_bits: int,
    threads: int | None,
    embed_model: bool,
    no_verify: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compresses the code file INPUT into OUTPUT, or each INPUT into a file in DIR.

    Prints how many bytes every layer took, beside its theoretical size under the model (its code
    length, in bytes); of many files, one line each. Layers on which the model does not pay are
    stored.

    \b
    Example:
      nncodec compress codes.npz codes.bin
      nncodec compress codes/*.npz --output-dir packed --jobs 4
    """
    coding = Compression(
        model,
        layout,
        layer_depth,
        layers,
        max_bits,
        embed_model,
        not no_verify,
        force,
        thread_count(threads, jobs),
    )
    _code(coding, files, output_dir, jobs, as_json, quiet)


@main.command()
@coding_files
@layers_option
@_decoding_model
@click.option("--partial", is_flag=True, help="Take the whole layers of a file that was cut off.")
@max_bits_option
@threads_option
@force_option
@json_option
@quiet_option
def decompress(
    files: Sequence[str],
    output_dir: str | None,
    jobs: int,
    layers: int | None,
    model: str | None,
    partial: bool,
    max_bits: int,
    threads: int | None,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Restores the code file OUTPUT from the compressed INPUT, or one in DIR from each INPUT.

    The arrays get the names, types, shapes and values that they had.

    \b
    Example:
      nncodec decompress codes.bin again.npz
      nncodec decompress --layers 4 codes.bin first4.npz
      nncodec decompress packed/*.bin --output-dir again --jobs 4
    """
    count = thread_count(threads, jobs)
    coding = Decompression(layers, model, partial, max_bits, force, count)
    _code(coding, files, output_dir, jobs, as_json, quiet)


def _code(
    coding: Compression | Decompression,
    files: Sequence[str],
    output_dir: str | None,
    jobs: int,
    as_json: bool,
    quiet: bool,
) -> None:
    check_files(files, output_dir)
    if output_dir is not None:
        if not code_files(coding, files, output_dir, processes=jobs, as_json=as_json, quiet=quiet):
            sys.exit(1)
        return
    input_, output = files
    watch = Watch(partial(progress_bar, quiet=quiet or as_json))
    done = coding.code_file(input_, output, watch)
    if done.note:
        click.echo(f"nncodec: {done.note}", err=True)
    where = sys.stderr if output == STANDARD_STREAM else sys.stdout
    if as_json:
        print_text(json.dumps(done.facts), where)
    elif not quiet:
        print_text("\n".join(filter(None, [done.line, done.table])), where)


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
@max_bits_option
@threads_option
def test(files: Sequence[str], model: str | None, max_bits: int, threads: int | None) -> None:
    """Decodes each compressed FILE and checks it.

    Prints one line a file; the exit code is 1 if any is bad.

    \b
    Example:
      nncodec test *.bin
    """
    count = thread_count(threads)
    good = [_test_file(name, model, max_bits, count) for name in files]
    if not all(good):
        sys.exit(1)


def _test_file(name: str, model: str | None, max_bits: int, threads: int) -> bool:
    try:
        with open_input(name) as (stream, label):
            container = read_container(stream, max_bits=max_bits)
            found = model_to_decode(container, model)
            with progress_bar(label, container.header.bits) as progress:
                decode_container(container, model=found, threads=threads, progress=progress)
    except NncodecError as error:
        click.echo(f"nncodec: {error}", err=True)
        return False
    print_text(f"{label}: ok")
    return True


main.add_command(evaluate)
main.add_command(synthesize)
main.add_command(train)
