"""The commands that compress and decompress code files."""

import functools
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import click

from nncodec.coding.threads import thread_count
from nncodec.commands.many_files import Printing, Restoring, convert_files, restore_many
from nncodec.commands.one_file import Compression, Decompression, FileReport, Watch
from nncodec.commands.options import (
    Given,
    check_dask,
    check_only,
    check_solid,
    conversion_files,
    decoding_model_option,
    force_option,
    group_option,
    json_option,
    layers_option,
    max_bits_option,
    only_option,
    quiet_option,
    reading_options,
    solid_option,
    threads_option,
    verbose_option,
)
from nncodec.commands.outputs import Arguments, inputs_of
from nncodec.commands.reading import Reading
from nncodec.commands.reports import speed_text
from nncodec.commands.restore import extract, restore_one
from nncodec.commands.solid import compress_solid
from nncodec.commands.solid_hint import solid_hint
from nncodec.commands.terminal import print_text, progress_bar
from nncodec.files.coverage_arrays import CoverageName
from nncodec.files.streams import STANDARD_STREAM

_REMOVE_MANY = "--rm is not for containers of many files; remove them yourself"


@click.command()
@conversion_files
@solid_option
@group_option
@reading_options
@click.option("--embed-model", is_flag=True, help="Put the model into OUTPUT: it decodes alone.")
@click.option("--no-verify", is_flag=True, help="Do not decode the result and compare.")
@force_option
@json_option
@quiet_option
@verbose_option
def compress(
    files: tuple[str, ...],
    output: str | None,
    stdout: bool,
    output_dir: str | None,
    recursive: bool,
    jobs: int,
    remove: bool,
    dask: str | None,
    solid: str | None,
    group: int | None,
    model: str,
    effort: str,
    sequence: bool | None,
    axes: str,
    layer_depth: int | None,
    bits: int | None,
    bit_order: str,
    array: tuple[str, ...],
    shape_array: tuple[str, ...],
    layers: int | None,
    coverage: CoverageName,
    max_bits: int,
    threads: int | None,
    embed_model: bool,
    no_verify: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Compresses the code file INPUT into OUTPUT, each INPUT into INPUT.nnb, or all into one.

    Two arguments are INPUT and OUTPUT, unless the second is named like a code file (.npz, .npy,
    .safetensors): then both are inputs, as more are.

    Prints how many bytes every layer took, beside its theoretical size under the model (its code
    length, in bytes); of many files, one line each, of more than 32 their sums. Layers on which the
    model does not pay are stored.

    \b
    Example:
      nncodec compress codes.npz
      nncodec compress codes.npz -o codes.nnb
      nncodec compress codes/*.npz --output-dir packed -j 4
      nncodec compress codes/*.npz --solid all.nnb
    """
    compression = Compression(
        reading=Reading(
            axes, layer_depth, bits, bit_order, array, shape_array, layers, coverage, max_bits
        ),
        model=model,
        effort=effort,
        sequence=sequence,
        embed_model=embed_model,
        verify=not no_verify,
        force=force,
        remove=remove,
        threads=thread_count(threads, jobs) if dask is None else threads or 1,
        group=group,
    )
    if remove and no_verify:
        raise click.UsageError("--rm without a check may lose codes; leave --no-verify out")
    if remove and layers is not None:
        raise click.UsageError("--rm with --layers would lose the other layers; leave one out")
    given = Given(files, output, stdout, output_dir, recursive)
    printing = Printing(as_json, quiet, verbose)
    if solid is not None:
        check_solid(given, jobs, remove, dask)
        inputs = inputs_of(given.arguments(compression.suffixes))
        watch = Watch(functools.partial(progress_bar, quiet=quiet or as_json))
        _print(lambda: compress_solid(compression, inputs, solid, watch), solid, printing)
        return
    _convert(compression, given.arguments(compression.suffixes), jobs, dask, printing)
    if not (quiet or as_json or dask or remove):
        inputs = inputs_of(given.arguments(compression.suffixes))
        if hint := solid_hint(compression, inputs):
            click.echo(f"nncodec: {hint}", err=True)


@click.command()
@conversion_files
@only_option
@layers_option
@decoding_model_option
@click.option(
    "--partial",
    is_flag=True,
    help="Take the whole layers of a file that was cut off; of many files in one, the whole files.",
)
@max_bits_option
@threads_option
@force_option
@json_option
@quiet_option
@verbose_option
def decompress(
    files: tuple[str, ...],
    output: str | None,
    stdout: bool,
    output_dir: str | None,
    recursive: bool,
    jobs: int,
    remove: bool,
    dask: str | None,
    only: Sequence[str],
    layers: int | None,
    model: str | None,
    partial: bool,
    max_bits: int,
    threads: int | None,
    force: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Restores the code file OUTPUT from the compressed INPUT, or one from each INPUT.

    Without OUTPUT, it gets the name of INPUT without .nnb. Two arguments are INPUT and OUTPUT,
    unless the second ends with .nnb: then both are inputs, as more are. An INPUT that holds many
    files becomes a folder of that name; if it is named beside --output-dir, they go into DIR.

    The arrays get the names, types, shapes and values that they had, in a .npz, .npy or
    .safetensors, as it was.

    \b
    Example:
      nncodec decompress codes.npz.nnb
      nncodec decompress --layers 4 codes.npz.nnb first4.npz
      nncodec decompress packed/*.nnb --output-dir again -j 4
      nncodec decompress all.nnb --output-dir again --only kodim01.npz
    """
    if remove and (layers is not None or partial):
        raise click.UsageError(
            "--rm with --layers or --partial may lose the rest of a file; leave --rm out"
        )
    decompression = Decompression(
        layers=layers,
        model=model,
        partial=partial,
        max_bits=max_bits,
        force=force,
        remove=remove,
        threads=thread_count(threads, jobs) if dask is None else threads or 1,
    )
    given = Given(files, output, stdout, output_dir, recursive)
    printing = Printing(as_json, quiet, verbose)
    check_dask(dask, jobs)
    watch = Watch(functools.partial(progress_bar, quiet=quiet or as_json))
    if only and dask is not None:
        raise click.UsageError("--dask is for many files, not for --only; leave it out")
    if only:
        if remove:
            raise click.UsageError(_REMOVE_MANY)
        input_, target = check_only(given, only)
        if target is not None:
            restore = functools.partial(restore_one, decompression, input_, target, only[0], watch)
        else:
            below = output_dir or ""
            restore = functools.partial(extract, decompression, input_, below, only, watch)
        _print(restore, target or "", printing)
        return
    arguments = given.arguments(decompression.suffixes)
    single = arguments.single()
    many: dict[str, Restoring] = {}
    if single is None or single[1] is None:
        here = replace(decompression, threads=thread_count(threads, jobs))
        many = restore_many(here, arguments)
    if remove and many:
        raise click.UsageError(_REMOVE_MANY)
    if files[0] in many and len(files) == 1:
        _print(functools.partial(many[files[0]].run, watch), "", printing)
        return
    _convert(decompression, arguments, jobs, dask, printing, many)


def _convert(
    conversion: Compression | Decompression,
    arguments: Arguments,
    jobs: int,
    dask: str | None,
    printing: Printing,
    many: Mapping[str, Restoring] = MappingProxyType({}),
) -> None:
    check_dask(dask, jobs)
    single = arguments.single()
    if single is None:
        if not convert_files(conversion, arguments, jobs, printing, dask, many):
            sys.exit(1)
        return
    if jobs > 1:
        raise click.UsageError(f"--jobs {jobs} for one file; leave it out, or name more files")
    if dask is not None:
        raise click.UsageError("--dask for one file; leave it out, or name more files")
    input_, output = single
    if output is None:
        output = os.path.join(os.path.dirname(input_), conversion.name_output(input_))
    watch = Watch(functools.partial(progress_bar, quiet=printing.quiet or printing.as_json))
    _print(functools.partial(conversion.convert, input_, output, watch), output, printing)


def _print(convert: Callable[[], FileReport], output: str, printing: Printing) -> None:
    """Works on a file, or on files together, and prints what came of it."""
    quiet, as_json = printing.quiet, printing.as_json
    begin = time.perf_counter()
    report = convert()
    seconds = time.perf_counter() - begin
    for warning in (*report.warnings, *(() if quiet or as_json else report.notes)):
        click.echo(f"nncodec: {warning}", err=True)
    where = sys.stderr if output == STANDARD_STREAM else sys.stdout
    if as_json:
        print_text(json.dumps(report.facts), where)
    elif not quiet:
        line = report.line + speed_text(report.facts, seconds)
        print_text("\n".join(filter(None, [line, report.table])), where)
