"""What is seen of a training: a bar or lines, and TensorBoard's curves."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, TextIO

from nncodec.commands.terminal import print_text
from nncodec.training.configs import TrainingConfig

if TYPE_CHECKING:
    from nncodec.training.trainer import Update

_SCALAR_STEPS = 10  # from one point of TensorBoard's curves to the next


@contextlib.contextmanager
def watching(
    config: TrainingConfig, step: int, train_dir: str, quiet: bool
) -> Iterator[Callable[[Update], None]]:
    """Shows a training by a bar on a terminal, by lines where there is none, and in TensorBoard."""
    from tqdm import tqdm

    with_bar = not quiet and _is_terminal(sys.stderr)
    with_lines = not quiet and not (with_bar and _is_terminal(sys.stdout))
    with contextlib.ExitStack() as stack:
        bar = tqdm(
            desc="training",
            unit="step",
            initial=step,
            total=config.steps,
            leave=False,
            disable=not with_bar,
        )
        stack.enter_context(bar)
        writer = None
        if find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            writer = SummaryWriter(train_dir, purge_step=step + 1)
            stack.callback(writer.close)

        best = ""

        def watch(update: Update) -> None:
            nonlocal best
            if update.best is not None:
                best = f" (best {update.best:.4f})"
            rates = update.training
            bar.set_postfix_str(f"{rates.total:.4f}{best}, layers {_text(rates.layers)}", False)
            bar.update()
            if writer and (update.validation or update.step % _SCALAR_STEPS == 0):
                for name, value in _scalars(update).items():
                    writer.add_scalar(name, value, update.step)
            at_evaluation = update.validation or update.step % config.steps_per_evaluation == 0
            if at_evaluation and with_lines:
                print_text(_line(update))

        yield watch


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _scalars(update: Update) -> dict[str, float]:
    scalars = {"learning_rate": update.learning_rate}
    for name, rates in (("training", update.training), ("validation", update.validation)):
        if rates:
            scalars[f"rate/{name}"] = rates.total
            for layer, rate in enumerate(rates.layers):
                scalars[f"rate_of_layer_{layer:02}/{name}"] = rate
    return scalars


def _line(update: Update) -> str:
    text = f"step {update.step}: rate {update.training.total:.4f}"
    if not update.validation:
        return f"{text}, layers {_text(update.training.layers)}"
    return (
        f"{text}, validation {update.validation.total:.4f} (best {update.best:.4f}), "
        f"layers {_text(update.validation.layers)}"
    )


def _text(rates: list[float]) -> str:
    return " ".join(f"{rate:.3f}" for rate in rates)
