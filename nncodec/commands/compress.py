"""The commands that compress and decompress code files."""

import json
import sys
from collections.abc import Sequence
from functools import partial

import click

from nncodec.coding.threads import thread_count
from nncodec.commands.many_files import convert_files
from nncodec.commands.one_file import Compression, Decompression, Reading, Watch
from nncodec.commands.options import (
    check_files,
    conversion_files,
    decoding_model_option,
    force_option,
    json_option,
    layers_option,
    max_bits_option,
    quiet_option,
    reading_options,
    threads_option,
)
from nncodec.commands.terminal import print_text, progress_bar
from nncodec.files.streams import STANDARD_STREAM


@click.command()
@conversion_files
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
    effort: str,
    sequence: bool | None,
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
    compression = Compression(
        reading=Reading(layout, layer_depth, layers, max_bits),
        model=model,
        effort=effort,
        sequence=sequence,
        embed_model=embed_model,
        verify=not no_verify,
        force=force,
        threads=thread_count(threads, jobs),
    )
    _convert(compression, files, output_dir, jobs, as_json, quiet)


@click.command()
@conversion_files
@layers_option
@decoding_model_option
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

    The arrays get the names, types, shapes and values that they had. Whether OUTPUT is a .npz or a
    .npy is as it was, too, and does not depend on its name.

    \b
    Example:
      nncodec decompress codes.bin again.npz
      nncodec decompress --layers 4 codes.bin first4.npz
      nncodec decompress packed/*.bin --output-dir again --jobs 4
    """
    decompression = Decompression(
        layers=layers,
        model=model,
        partial=partial,
        max_bits=max_bits,
        force=force,
        threads=thread_count(threads, jobs),
    )
    _convert(decompression, files, output_dir, jobs, as_json, quiet)


def _convert(
    conversion: Compression | Decompression,
    files: Sequence[str],
    output_dir: str | None,
    jobs: int,
    as_json: bool,
    quiet: bool,
) -> None:
    check_files(files, output_dir, jobs)
    if output_dir is not None:
        good = convert_files(conversion, files, output_dir, jobs=jobs, as_json=as_json, quiet=quiet)
        if not good:
            sys.exit(1)
        return
    input_, output = files
    watch = Watch(partial(progress_bar, quiet=quiet or as_json))
    report = conversion.convert(input_, output, watch)
    for warning in report.warnings:
        click.echo(f"nncodec: {warning}", err=True)
    where = sys.stderr if output == STANDARD_STREAM else sys.stdout
    if as_json:
        print_text(json.dumps(report.facts), where)
    elif not quiet:
        print_text("\n".join(filter(None, [report.line, report.table])), where)
