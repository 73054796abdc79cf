"""The command that measures codes, the original's inference: theory, and no bitstream."""

import json
import os
from collections.abc import Callable, Sequence
from functools import partial

import click
import numpy as np
import numpy.typing as npt

from nncodec.coding.codec import code_lengths
from nncodec.coding.threads import Threads, thread_count
from nncodec.commands.evaluation_reports import evaluation, evaluation_text, evaluations
from nncodec.commands.options import device_option, json_option, reading_options
from nncodec.commands.peers import peer_rates
from nncodec.commands.plots import Where, check_plot, maps_of, plot_spent
from nncodec.commands.reading import Reading
from nncodec.commands.reports import extent
from nncodec.commands.spending import measure_spent
from nncodec.commands.terminal import print_text, progress_bar
from nncodec.files.coverage_arrays import CoverageName
from nncodec.files.model_choice import AUTO, STANDARD, choose_predictor
from nncodec.files.model_files import ADAPTIVE, name_of_model
from nncodec.files.streams import open_input
from nncodec.format.code_tensor import ABSENT, Codes
from nncodec.training import require_packages


@click.command()
@click.argument("files", metavar="CODES...", nargs=-1, required=True)
@click.option(
    "--network",
    metavar="FILE",
    help="A float network, which nncodec train leaves in network.safetensors, in place of a model.",
)
@click.option(
    "--plot",
    metavar="PICTURE",
    help="Draw it into a .png, .svg or .pdf: what every layer takes, on disk, in theory, and by "
    "other compressors; and where in the picture the bits are spent. For one code file.",
)
@click.option(
    "--map-layer",
    "map_layers",
    type=click.IntRange(min=0),
    multiple=True,
    metavar="N",
    help="With --plot: a layer to map, from 0; may be repeated. Otherwise some of them.",
)
@click.option(
    "--picture",
    metavar="FILE",
    help="With --plot: what the codes are of, to stand beside the maps.",
)
@click.option("--force", is_flag=True, help="Replace PICTURE if it exists.")
@device_option
@reading_options
@json_option
def evaluate(
    files: Sequence[str],
    network: str | None,
    plot: str | None,
    map_layers: tuple[int, ...],
    picture: str | None,
    force: bool,
    device: str,
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
    as_json: bool,
) -> None:
    """Measures the theoretical size of the code files CODES.

    Prints the code length of every layer in bits, its rate, and the rate of all layers up to it;
    for several files their means too. Writes no file but the PICTURE of --plot.

    \b
    Example:
      nncodec evaluate --layers 4 codes/*.npz
      nncodec evaluate --plot spent.png --picture photo.jpg codes.npz
    """
    if device == "cuda" and not network:
        raise click.UsageError("--device cuda is for --network; models compute on processors")
    if network and (model, effort) != (AUTO, STANDARD):
        raise click.UsageError("--network stands in place of a model; leave --model and --effort")
    _check_plot(plot, files, network, map_layers, picture, force)
    reading = Reading(
        axes, layer_depth, bits, bit_order, array, shape_array, layers, coverage, max_bits
    )
    results, threads = [], thread_count(threads)
    measure_network = _network_measure(network, device) if network else None
    for name in files:
        with open_input(name) as (stream, label):
            file = reading.read(stream)
            codes = file.marked
            with progress_bar(label, codes.size, as_json) as progress:
                chosen = choose_predictor(
                    codes,
                    ADAPTIVE if network else model,
                    file.sequence if sequence is None else sequence,
                    effort=effort,
                    threads=threads,
                )
                if measure_network:
                    model_name, lengths = network, measure_network(codes, chosen.sequence)
                else:
                    for warning in chosen.warnings:
                        click.echo(f"nncodec: {warning}", err=True)
                    model_name = name_of_model(chosen.model.model_id if chosen.model else b"")
                    working = Threads(threads, progress)
                    if plot:
                        spent = measure_spent(codes, chosen, working)
                        lengths = spent.code_lengths
                    else:
                        lengths = code_lengths(
                            codes,
                            model=chosen.model,
                            sequence=chosen.sequence,
                            threads=working,
                        )
        bits_of_layers = np.count_nonzero(codes != ABSENT, axis=(1, 2, 3, 4)).tolist()
        results.append(
            {"file": label, "axes": file.source.first.array_axes, "shape": list(codes.shape)}
            | {"model": model_name, **evaluation(bits_of_layers, lengths.tolist())}
        )
        if not as_json:
            print_text(evaluation_text(label, results[-1]))
        if plot:
            title = f"{os.path.basename(label)}: {extent(codes.shape)}, model {model_name}"
            where = Where(plot, maps_of(len(codes), map_layers), picture, force)
            plot_spent(title, spent, peer_rates(file.codes, bits_of_layers), where)
    if len(files) == 1:
        summary = results[0]
    else:
        summary = evaluations(results)
        if not as_json:
            print_text(evaluation_text(f"mean of {len(files)} files", summary["mean"]))
    if as_json:
        print_text(json.dumps(summary))


def _check_plot(
    plot: str | None,
    files: Sequence[str],
    network: str | None,
    map_layers: Sequence[int],
    picture: str | None,
    force: bool,
) -> None:
    """Refuses what `--plot` does not go with, before any work."""
    if plot is None:
        if map_layers or picture or force:
            raise click.UsageError(
                "--map-layer, --picture and --force go with --plot; give that too"
            )
        return
    if len(files) > 1:
        raise click.UsageError(f"--plot draws one code file, not {len(files)}; name one")
    if network:
        raise click.UsageError("--plot draws what a container takes; give --model, not --network")
    check_plot(plot, force=force)


def _network_measure(network: str, device: str) -> Callable[[Codes, bool], npt.NDArray[np.float64]]:
    """Reads a float network, and gives the function that measures codes, or frames, under it."""
    require_packages("--network", torch="PyTorch", pydantic="pydantic")
    from nncodec.training.code_length import code_lengths_of_network
    from nncodec.training.devices import find_device
    from nncodec.training.networks.files import load_network

    return partial(code_lengths_of_network, load_network(network).to(find_device(device)))
