"""The commands that look at compressed files and at models, and write none."""

import json
import sys
from collections.abc import Sequence

import click

from nncodec.coding.codec import decode_container
from nncodec.coding.threads import Threads, thread_count
from nncodec.commands.options import (
    decoding_model_option,
    json_option,
    max_bits_option,
    threads_option,
)
from nncodec.commands.reports import container_facts, container_text, model_facts, model_table
from nncodec.commands.terminal import print_text, progress_bar
from nncodec.errors import NncodecError
from nncodec.files.model_choice import model_to_decode
from nncodec.files.model_files import list_models, name_of_model
from nncodec.files.streams import open_input
from nncodec.format.container import read_container
from nncodec.format.header import read_header


@click.command()
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


def _test_file(name: str, model_name: str | None, max_bits: int, threads: int) -> bool:
    try:
        with open_input(name) as (stream, label):
            container = read_container(stream, max_bits=max_bits)
            model = model_to_decode(container, model_name)
            with progress_bar(label, container.header.bits) as progress:
                decode_container(container, model=model, threads=Threads(threads, progress))
    except NncodecError as error:
        click.echo(f"nncodec: {error}", err=True)
        return False
    print_text(f"{label}: ok")
    return True
