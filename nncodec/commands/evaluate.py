"""The command that measures codes, the original's inference: theory, and no bitstream."""

import json
from collections.abc import Callable, Sequence
from functools import partial

import click
import numpy as np
import numpy.typing as npt

from nncodec.coding.codec import code_lengths
from nncodec.coding.threads import Threads, thread_count
from nncodec.commands.one_file import Reading
from nncodec.commands.options import device_option, json_option, reading_options
from nncodec.commands.reports import evaluation, evaluation_text, evaluations
from nncodec.commands.terminal import print_text, progress_bar
from nncodec.files.model_choice import choose_predictor
from nncodec.files.model_files import name_of_model
from nncodec.files.streams import open_input
from nncodec.format.code_tensor import Codes
from nncodec.training import require_packages


@click.command()
@click.argument("files", metavar="CODES...", nargs=-1, required=True)
@click.option(
    "--network",
    metavar="FILE",
    help="A float network, which nncodec train leaves in network.safetensors, in place of a model.",
)
@device_option
@reading_options
@json_option
def evaluate(
    files: Sequence[str],
    network: str | None,
    device: str,
    model: str,
    effort: str,
    sequence: bool | None,
    layout: str,
    layer_depth: int | None,
    layers: int | None,
    max_bits: int,
    threads: int | None,
    as_json: bool,
) -> None:
    """Measures the theoretical size of the code files CODES.

    Writes no file. Prints the code length of every layer in bits, its rate, and the rate of all
    layers up to it; for several files their means too.

    \b
    Example:
      nncodec evaluate --layers 4 codes/*.npz
    """
    if device == "cuda" and not network:
        raise click.UsageError("--device cuda is for --network; models compute on processors")
    reading = Reading(layout, layer_depth, layers, max_bits)
    results, threads = [], thread_count(threads)
    measure_network = _network_measure(network, device) if network else None
    for name in files:
        with open_input(name) as (stream, label):
            file = reading.read(stream)
            codes = file.codes
            with progress_bar(label, codes.size, as_json) as progress:
                if measure_network:
                    model_name, lengths = network, measure_network(codes)
                else:
                    chosen = choose_predictor(
                        codes, model, sequence, effort=effort, threads=threads
                    )
                    model_name = name_of_model(chosen.model.model_id if chosen.model else b"")
                    lengths = code_lengths(
                        codes,
                        model=chosen.model,
                        sequence=chosen.sequence,
                        threads=Threads(threads, progress),
                    )
        bits = [codes[0].size] * len(codes)
        results.append(
            {"file": label, "layout": file.source.layout, "shape": list(codes.shape)}
            | {"model": model_name, **evaluation(bits, lengths.tolist())}
        )
        if not as_json:
            print_text(evaluation_text(label, results[-1]))
    if len(files) == 1:
        summary = results[0]
    else:
        summary = evaluations(results)
        if not as_json:
            print_text(evaluation_text(f"mean of {len(files)} files", summary["mean"]))
    if as_json:
        print_text(json.dumps(summary))


def _network_measure(network: str, device: str) -> Callable[[Codes], npt.NDArray[np.float64]]:
    """Reads a float network, and gives the function that measures codes under it."""
    require_packages("--network", torch="PyTorch", pydantic="pydantic")
    from nncodec.training.code_length import code_lengths_of_network
    from nncodec.training.devices import find_device
    from nncodec.training.networks.files import load_network

    return partial(code_lengths_of_network, load_network(network).to(find_device(device)))
