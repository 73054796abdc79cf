"""Trains the encoder and the decoder on a folder of photographs.

    python examples/photo/train_photo.py --photos photos/train --validation photos/validation \\
        --minutes 50 --output trained-photo

A step takes random pieces of photographs, flipped and at several scales. The loss is the mean over
all eight qualities of the squared error in decibels, plus what the bits cost: beside the encoder a
small network learns to predict them, and where they cost more than --rates says, the encoder is
made to write bits that can be predicted. What that network learned is thrown away; nncodec has its
own.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # to run as a file

import click
import torch
from torch import Tensor

from examples.photo.bit_predictor import BitPredictor
from examples.photo.network import BLOCK, LAYERS, PhotoNetwork, load_network, pad, save_network
from examples.photo.one_line import OneLineCommand
from examples.photo.pictures import list_photographs, read_picture
from examples.photo.pieces import Photographs
from examples.photo.transform_start import start_as_transform
from nncodec.commands.options import device_option
from nncodec.files.streams import file_label, naming
from nncodec.training.devices import find_device

SHOWN = (1, 2, 4, 8)
"""The numbers of layers whose decibels are printed."""
START_PIECES = 256
FLOOR = 1e-4  # added to squared errors: pieces above 40 dB need not become better
SLOPES = (2.5, 1.8, 1.3, 1.0, 0.8, 0.7, 0.6, 0.5)
"""What a layer of full price is worth at each quality, in decibels, roughly."""
FREE_SHARE, PRICE_GAIN, MAX_PRICE = 0.1, 60.0, 3.0
"""Bits cost nothing in the first part of a training; then their price rises and falls with what
they cost above --rates, so fast and so far."""


@dataclass(frozen=True)
class Options:
    """What the command is told; its options say what each is."""

    photos: Path
    validation: Path
    output: Path
    minutes: float
    steps: int
    device: str
    bf16: bool
    batch: int
    crop: int
    learning_rate: float
    rates: tuple[float, float]
    seed: int
    log_seconds: float


class Training:
    """One training: networks, and what their losses are made of."""

    def __init__(self, options: Options) -> None:
        self.device: str = options.device
        self.bf16: bool = options.bf16
        layout = torch.channels_last if self.device == "cuda" else torch.contiguous_format
        self.network = PhotoNetwork().to(self.device, memory_format=layout)  # type: ignore[call-overload]
        self.predictor = BitPredictor().to(self.device)
        weights = [*self.network.parameters(), *self.predictor.parameters()]
        self.optimiser = torch.optim.Adam(
            weights, lr=options.learning_rate, fused=self.device == "cuda"
        )
        self.limits = torch.tensor(options.rates, device=self.device)
        self.prices = torch.zeros(2, device=self.device)
        # A layer is part of its own quality and of all better ones.
        self.worth = torch.tensor(SLOPES, device=self.device).flip(0).cumsum(0).flip(0) / LAYERS

    def mixed(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.bf16)

    def step(self, pieces: Tensor, learning_rate: float, passed: float) -> tuple[Tensor, Tensor]:
        """One step.

        Args:
            pieces: of photographs, as many as a multiple of LAYERS.
            learning_rate: of this step.
            passed: the share of the training since the step before; 0 while bits cost nothing.

        Returns:
            The decibels [layers] and rates [layers] of the pieces.
        """
        with self.mixed():
            latent = self.network.analyse(pieces)
        layers, states = self.network.binarise(latent.float())
        rates = self.predictor(torch.cat(layers, dim=1))
        # Two qualities of each piece, so that all eight have the same share of the batch.
        order = torch.arange(len(pieces), device=self.device)
        last, which = order.repeat(2) % LAYERS, torch.cat((order, order.roll(LAYERS // 2)))
        chosen = torch.stack(states)[last, which]
        with self.mixed():
            decoded = self.network.synthesise(chosen, last)
        errors = (decoded.float() - pieces[which]).square().mean(dim=(1, 2, 3))
        decibels = 10 * torch.log10(errors + FLOOR)
        # A trace of a price, for what predicts the bits always learns.
        costs = self.prices[0] * rates[0] + ((self.prices[1] * self.worth + 0.01) * rates).sum()
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(decibels.mean() + costs)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        above = torch.stack((rates[0], rates.mean())).detach() - self.limits
        self.prices = (self.prices + PRICE_GAIN * passed * above).clamp(0, MAX_PRICE)
        return -decibels.detach().view(-1, LAYERS).mean(dim=0), rates.detach()


def learning_rates(highest: float, minutes: float, steps: int) -> Iterator[tuple[float, float]]:
    """Gives what `Training.step` takes, step by step, until time or steps are up."""
    start = time.monotonic()
    before, step = 0.0, 0
    while True:
        share = step / steps if steps else (time.monotonic() - start) / (60 * minutes)
        if share >= 1:
            return
        warm = min(1.0, share / 0.02 + 0.01)
        falling = 0.005 + 0.995 * 0.5 * (1 + math.cos(math.pi * share))
        yield highest * warm * falling, share - before if share > FREE_SHARE else 0.0
        before, step = share, step + 1


@torch.inference_mode()
def validate(training: Training, network: PhotoNetwork, folder: Path) -> dict[str, list[float]]:
    """Mean PSNR after SHOWN layers and the rate of every layer, over whole photographs."""
    decibels, rates = [], []
    for path in list_photographs(folder):
        pixels = torch.from_numpy(read_picture(path)).to(training.device)
        pixels = pixels.permute(2, 0, 1)[None].float() / 255
        height, width = pixels.shape[-2:]
        layers, states = network.binarise(network.analyse(pad(pixels)))
        rates.append(training.predictor(torch.cat(layers, dim=1)))
        last = torch.tensor(SHOWN, device=training.device) - 1
        decoded = network.synthesise(torch.cat([states[one - 1] for one in SHOWN]), last)
        decoded = (decoded[..., :height, :width] * 255).round().clamp(0, 255) / 255
        decibels.append(-10 * torch.log10((decoded - pixels).square().mean(dim=(1, 2, 3))))
    return {
        "psnr": [round(one, 3) for one in torch.stack(decibels).mean(dim=0).tolist()],
        "rate": [round(one, 4) for one in torch.stack(rates).mean(dim=0).tolist()],
    }


class Log:
    """Prints a line about the last steps, every few seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.start = self.shown = time.monotonic()
        self.steps = self.recent = 0
        self.sums = torch.zeros(2, LAYERS)

    @property
    def passed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    def add(self, figures: tuple[Tensor, Tensor], prices: Tensor, learning_rate: float) -> None:
        """Takes what `Training.step` gave, and what it used."""
        self.sums = self.sums.to(prices.device) + torch.stack(figures)
        self.steps, self.recent = self.steps + 1, self.recent + 1
        if time.monotonic() - self.shown < self.seconds:
            return
        decibels, rates = (self.sums / self.recent).tolist()
        first, every = prices.tolist()
        shown = " ".join(f"{decibels[layers - 1]:.2f}" for layers in SHOWN)
        line = (
            f"{self.passed:.0f} s, step {self.steps}: dB {shown}, rate {rates[0]:.3f} "
            f"{sum(rates) / LAYERS:.3f}, price {first:.2f} {every:.2f}, "
            f"learning rate {learning_rate:.1e}"
        )
        print(line, flush=True)
        self.sums, self.recent, self.shown = self.sums * 0, 0, time.monotonic()


def train(options: Options) -> None:
    """Trains, and writes weights.safetensors, every minute too, and report.json."""
    torch.manual_seed(options.seed)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    photos = Photographs(options.photos, options.crop, options.device)
    print(f"{len(photos.sizes)} pictures, {photos.pixels.numel():,} bytes", flush=True)
    with naming(file_label(options.output)):
        options.output.mkdir(parents=True, exist_ok=True)
    weights = options.output / "weights.safetensors"
    training = Training(options)
    start_as_transform(training.network, photos.batch(START_PIECES))
    log, saved = Log(options.log_seconds), 0.0
    schedule = learning_rates(options.learning_rate, options.minutes, options.steps)
    for learning_rate, passed in schedule:
        figures = training.step(photos.batch(LAYERS * options.batch), learning_rate, passed)
        log.add(figures, training.prices, learning_rate)
        if log.passed - saved > 60:
            save_network(training.network, weights)
            saved = log.passed
    seconds = round(log.passed, 1)
    save_network(training.network, weights)
    validation = validate(training, load_network(weights, options.device), options.validation)
    report = {"steps": log.steps, "seconds": seconds, **validation}
    (options.output / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report), flush=True)


def _check_crop(context: click.Context, option: click.Parameter, crop: int) -> int:
    if crop % BLOCK:
        raise click.BadParameter(f"{crop} is no multiple of {BLOCK}; give one")
    return crop


@click.command(cls=OneLineCommand)
@click.option("--photos", type=Path, required=True, help="A folder, to train on.")
@click.option("--validation", type=Path, required=True, help="A folder, to measure with.")
@click.option("--output", type=Path, required=True, help="A folder for what comes of it.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), default=50)
@click.option("--steps", type=click.IntRange(min=0), default=0, help="In place of minutes.")
@device_option
@click.option("--bf16", is_flag=True, help="Mixed precision.")
@click.option(
    "--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Times 8 pieces."
)
@click.option(
    "--crop",
    type=click.IntRange(min=32),
    default=96,
    show_default=True,
    callback=_check_crop,
    help="Pixels of a piece along each side.",
)
@click.option("--learning-rate", type=float, default=1e-3, show_default=True)
@click.option(
    "--rates",
    type=(float, float),
    default=(0.62, 0.74),
    show_default=True,
    help="What a code bit of the first layer, and of all, may cost before it has a price.",
)
@click.option("--seed", type=int, default=0)
@click.option("--log-seconds", type=float, default=10, show_default=True)
def main(**options: Any) -> None:
    """Trains the encoder and the decoder, and writes OUTPUT/weights.safetensors."""
    options["device"] = find_device(options["device"]).type
    train(Options(**options))


if __name__ == "__main__":
    main()
