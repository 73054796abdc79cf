"""The commands that look at compressed files and at models, and write none."""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from nncodec.coding.codec import decode_parts
from nncodec.coding.threads import Threads, thread_count
from nncodec.commands.held_files import names_of
from nncodec.commands.member_reports import lost_text, member_facts, members_text
from nncodec.commands.options import (
    decoding_model_option,
    json_option,
    max_bits_option,
    quiet_option,
    threads_option,
)
from nncodec.commands.plots import check_plot, plot_containers
from nncodec.commands.reports import (
    container_facts,
    container_text,
    containers_facts,
    containers_table,
    model_facts,
    model_table,
)
from nncodec.commands.terminal import print_text, progress_bar
from nncodec.errors import BitstreamError, NncodecError
from nncodec.files.model_choice import model_to_decode
from nncodec.files.model_files import list_models, name_of_model
from nncodec.files.streams import STANDARD_STREAM, file_label, open_input
from nncodec.files.urls import is_url
from nncodec.format.container import ContainerReader, packed_bytes
from nncodec.format.header import Header, read_header
from nncodec.model.model import Model


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--plot", metavar="PICTURE", help="Draw what every layer takes into a .png, .svg or .pdf, too."
)
@click.option("-f", "--force", is_flag=True, help="Replace PICTURE if it exists.")
@json_option
def info(files: Sequence[str], plot: str | None, force: bool, as_json: bool) -> None:
    """Says what each compressed FILE holds, from its header alone; of several, in one table.

    \b
    Example:
      nncodec info codes.npz.nnb
      nncodec info packed/*.nnb
      nncodec info --plot layers.png codes.npz.nnb
    """
    if plot:
        check_plot(plot, force=force)
    elif force:
        raise click.UsageError("--force goes with --plot; give that too")
    headers: list[tuple[str, Header, str]] = []
    failed: list[dict[str, str]] = []
    for name in files:
        try:
            with open_input(name) as (stream, label):
                header = read_header(stream)
            headers.append((label, header, name_of_model(header.model_id)))
            if cut := _cut_off(name, header):
                click.echo(f"nncodec: {label}: {cut}", err=True)
        except NncodecError as error:  # noqa: PERF203
            click.echo(f"nncodec: {error}", err=True)
            failed.append({"file": file_label(name), "error": str(error)})
    if plot and headers:
        drawn = [(label, container_facts(header, model)) for label, header, model in headers]
        plot_containers(drawn, plot, force=force)
    if len(files) == 1 and headers:
        label, header, model = headers[0]
        if as_json:
            more = member_facts(header) if header.members else {}
            print_text(json.dumps(container_facts(header, model) | more))
        elif header.members:
            print_text(members_text(label, header, model, names_of(header, files[0])))
        else:
            print_text(container_text(label, header, model))
    elif as_json and len(files) > 1:
        print_text(json.dumps(containers_facts(headers, failed)))
    elif headers:
        print_text(containers_table(headers))
    if failed:
        sys.exit(1)


def _cut_off(name: str, header: Header) -> str:
    """Says that a file is shorter than its header has it, if its length is known."""
    if name == STANDARD_STREAM or is_url(name) or not os.path.isfile(name):
        return ""
    there, size = os.path.getsize(name), packed_bytes(header)
    if there >= size:
        return ""
    return (
        f"the file ends early, it has {there} of its {size} bytes; decompress --partial gives what "
        "is whole, or get another copy"
    )


@click.command()
@json_option
def models(as_json: bool) -> None:
    """Lists the models that ship and those in the folders of NNCODEC_MODELS.

    \b
    Example:
      nncodec models
    """
    facts = model_facts(list_models())
    print_text(json.dumps(facts) if as_json else model_table(facts))


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@decoding_model_option
@max_bits_option
@threads_option
@json_option
@quiet_option
def test(
    files: Sequence[str],
    model: str | None,
    max_bits: int,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Decodes each compressed FILE and checks it.

    Prints one line a file; the exit code is 1 if any is bad.

    \b
    Example:
      nncodec test *.nnb
    """
    count = thread_count(threads)
    results: list[dict[str, Any]] = []
    for name in files:
        error = _test_file(name, model, max_bits, count)
        label = "<stdin>" if name == STANDARD_STREAM else file_label(name)
        results.append({"file": label, "ok": error is None})
        if error is not None:
            results[-1]["error"] = str(error)
            click.echo(f"nncodec: {error}", err=True)
        elif not (as_json or quiet):
            print_text(f"{label}: ok")
    bad = sum(not result["ok"] for result in results)
    if as_json:
        print_text(json.dumps({"ok": not bad, "bad": bad, "files": results}))
    if bad:
        sys.exit(1)


def _test_file(
    name: str, model_name: str | None, max_bits: int, threads: int
) -> NncodecError | None:
    try:
        with open_input(name) as (stream, label):
            reader = ContainerReader(stream, max_bits=max_bits)
            model = model_to_decode(reader, model_name)
            names = names_of(reader.header, name)
            with progress_bar(label, reader.header.bits) as progress:
                _test_groups(reader, names, model, Threads(threads, progress))
    except NncodecError as error:
        return error
    return None


def _test_groups(
    reader: ContainerReader, names: Sequence[str], model: Model | None, threads: Threads
) -> None:
    """Decodes all groups; where some files may be whole, those that are not are named."""
    header = reader.header
    partial = header.holds_files and len(header.groups) > 1
    parts = reader.parts(partial=partial)
    damaged, there = [], 0
    for group, codes in decode_parts(header, parts, model=model, partial=partial, threads=threads):
        there = group + 1
        if codes is None:
            damaged.append(group)
    if damaged or there < len(header.groups):
        raise BitstreamError(lost_text(header, names, damaged, there))
