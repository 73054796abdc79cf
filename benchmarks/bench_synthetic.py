"""How near to the entropy of the synthetic codes the models come.

    python benchmarks/bench_synthetic.py
    python benchmarks/bench_synthetic.py --model synthetic --network progressive/network.safetensors

Fresh samples of 35 x 48 x 8 are coded as one file: bits on disk per code bit, beside the code
length and the entropy, below which no model can go. Float networks (network.safetensors of a
training) write no file; of them it gives the code length.
"""

import os
import sys
from pathlib import Path

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # to run as a file

from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks.common import describe, environment, print_json, require_same, table
from nncodec import NncodecError, decode, encode
from nncodec.coding.codec import code_lengths
from nncodec.files.model_choice import choose_predictor
from nncodec.training.data import synthetic

LAYER_DEPTH = synthetic.SAMPLE_LAYER_DEPTH
NETWORK_SAMPLES = 16  # at once


def draw(count: int, seed: int) -> npt.NDArray[np.uint8]:
    """Samples as codes: uint8 {0, 1}, [layers, batch, height, width, layer_depth]."""
    samples = np.stack(list(synthetic.generate(count, seed=seed)))
    layers = samples.reshape(*samples.shape[:3], -1, LAYER_DEPTH)
    return np.ascontiguousarray(np.moveaxis(layers, 3, 0))


def measure_model(name: str, codes: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Codes the samples and decodes them again."""
    model = choose_predictor(codes, name, sequence=False).model
    data = encode(codes, model=model or name, sequence=False)
    require_same(name, decode(data, model=model), codes)
    length = float(code_lengths(codes, model=model).sum())
    return {"model": name, "theory": length / codes.size, "actual": len(data) * 8 / codes.size}


def measure_network(path: str, codes: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """The code length of the samples under a float network."""
    import torch

    from nncodec.training.networks.files import load_network

    network = load_network(path)
    samples = np.moveaxis(codes, 0, 3).reshape(*codes.shape[1:4], -1)
    signs = torch.from_numpy(samples).float() * 2 - 1
    with torch.no_grad():
        starts = range(0, len(signs), NETWORK_SAMPLES)
        some = [signs[start : start + NETWORK_SAMPLES] for start in starts]
        lengths = [float(network.code_length(batch).sum()) for batch in some]
    name = f"{type(network).__name__.lower()}, float"
    return {"model": name, "theory": sum(lengths) / codes.size, "actual": None}


@click.command()
@click.option("--model", multiple=True, default=("synthetic", "adaptive"), show_default=True)
@click.option("--network", multiple=True, metavar="FILE", help="A float network, too.")
@click.option("--count", type=click.IntRange(1), default=200, show_default=True)
@click.option("--seed", type=int, default=20161122, show_default=True, help="Of the samples.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, no tables.")
def main(
    model: tuple[str, ...], network: tuple[str, ...], count: int, seed: int, as_json: bool
) -> None:
    """Measures models on fresh synthetic codes."""
    codes = draw(count, seed)
    try:
        results = [measure_model(name, codes) for name in model]
        results += [measure_network(path, codes) for path in network]
    except NncodecError as error:
        raise click.ClickException(str(error)) from error
    where, floor = environment(seed), synthetic.ENTROPY_FLOOR
    if as_json:
        found = {"environment": where, "samples": count, "entropy": floor, "models": results}
        print_json("nncodec bench_synthetic", "Bits per synthetic code bit", found)
        return
    rows = [
        [
            one["model"],
            f"{one['theory']:.5f}",
            f"{one['actual']:.5f}" if one["actual"] else "",
            f"{(one['actual'] or one['theory']) / floor - 1:+.2%}",
        ]
        for one in results
    ]
    rows.append(["entropy", f"{floor:.5f}", "", ""])
    click.echo(f"{describe(where)}\n\n{count} samples in one file, bits per code bit")
    click.echo(table(("model", "theory", "actual", "above entropy"), rows))


if __name__ == "__main__":
    main()
