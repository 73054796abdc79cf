"""The curves of a training in TensorBoard, where that is installed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nncodec.training.trainer import Update

_STEPS = 10  # from one point of a curve to the next


@contextlib.contextmanager
def drawing_curves(folder: str, step: int) -> Iterator[Callable[[Update], object]]:
    """Draws the curves of a training, for the length of a block.

    Args:
        folder: where TensorBoard's files go.
        step: how many steps there were before; curves of later ones are dropped.

    Yields:
        A function to call after every step.
    """
    if not find_spec("tensorboard"):
        yield lambda update: None
        return
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(folder, purge_step=step + 1)

    def draw(update: Update) -> None:
        if update.validation or update.step % _STEPS == 0:
            for name, value in _scalars(update).items():
                writer.add_scalar(name, value, update.step)

    try:
        yield draw
    finally:
        writer.close()


def _scalars(update: Update) -> dict[str, float]:
    scalars = {"learning_rate": update.learning_rate}
    for name, rates in (("training", update.training), ("validation", update.validation)):
        if rates:
            scalars[f"rate/{name}"] = rates.total
            for layer, rate in enumerate(rates.layers):
                scalars[f"rate_of_layer_{layer:02}/{name}"] = rate
    return scalars
