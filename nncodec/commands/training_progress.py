"""Shows a training: by a bar on a terminal, or by lines."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO

from nncodec.commands.terminal import print_text

if TYPE_CHECKING:
    from nncodec.training.configs import TrainingConfig
    from nncodec.training.trainer import Update


@contextlib.contextmanager
def showing_training(
    config: TrainingConfig, step: int, quiet: bool
) -> Iterator[Callable[[Update], None]]:
    """Shows a training by a bar on a terminal, or by lines where there is none.

    Args:
        config: of the training.
        step: how many steps there were before.
        quiet: whether to show nothing.

    Yields:
        A function to call after every step.
    """
    from tqdm import tqdm  # not for the quick commands

    with_bar = not quiet and _is_terminal(sys.stderr)
    with_lines = not quiet and not (with_bar and _is_terminal(sys.stdout))
    with tqdm(
        desc="training",
        unit="step",
        initial=step,
        total=config.steps,
        leave=False,
        disable=not with_bar,
    ) as bar:
        best = ""

        def show(update: Update) -> None:
            nonlocal best
            if update.best is not None:
                best = f" (best {update.best:.4f})"
            rates = update.training
            bar.set_postfix_str(f"{rates.total:.4f}{best}, layers {_text(rates.layers)}", False)
            bar.update()
            at_evaluation = update.validation or update.step % config.steps_per_evaluation == 0
            if at_evaluation and with_lines:
                print_text(_line(update))

        yield show


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


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
