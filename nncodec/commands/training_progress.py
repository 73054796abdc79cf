"""Shows a training: by bars on a terminal, or by lines where there is none."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO

from nncodec.coding.threads import Progress
from nncodec.commands.terminal import above_bars, print_text, progress_bar

if TYPE_CHECKING:
    from nncodec.training.configs import TrainingConfig
    from nncodec.training.trainer import Update

SECONDS = 25.0
"""So long nothing is printed at most, as far as there is something to say."""

_FORGETTING = 0.02  # of the mean of training rates, in a step


class TrainingProgress:
    """What is seen of a training, from its first minute on.

    A terminal has a bar for each part of the work, and a line of what each has come to. Where one
    of the two streams is none, as in a log, lines say in between how far it is.
    """

    def __init__(self, quiet: bool) -> None:
        """Begins to count the time.

        Args:
            quiet: whether to show nothing.
        """
        self._quiet = quiet
        self._bar = not quiet and _is_terminal(sys.stderr)
        self._lines = not quiet and not (self._bar and _is_terminal(sys.stdout))
        self._said = time.monotonic()

    def say(self, text: str) -> None:
        """Prints a line."""
        self._said = time.monotonic()
        if not self._quiet:
            with above_bars():
                print_text(text)
                sys.stdout.flush()  # a log is read while it is written

    @contextlib.contextmanager
    def bits(self, label: str, bits: int = 0) -> Iterator[Progress | None]:
        """Shows a part of the work that passes bits, for the length of a block.

        Args:
            label: what it is.
            bits: how many there are; 0 where that is unknown.

        Yields:
            What to tell the progress to.
        """
        began, done = time.monotonic(), 0

        def tell(more: int) -> None:
            nonlocal done
            done += more
            if bar:
                bar(more)
            if self._lines and self._due():
                share = f"{min(1.0, done / bits):.0%}, " if bits else ""
                seconds = time.monotonic() - began
                left = f", {_left(seconds, done, bits)}" if bits else ""
                self.say(f"{label}: {share}{_speed(done, seconds)}{left}")

        with progress_bar(label, bits, self._quiet) as bar:
            yield tell if bar or self._lines else None

    @contextlib.contextmanager
    def steps(self, config: TrainingConfig, step: int) -> Iterator[Callable[[Update], None]]:
        """Shows the steps of a training, for the length of a block.

        Args:
            config: of the training.
            step: how many steps there were before.

        Yields:
            A function to call after every step.
        """
        from tqdm import tqdm  # not for the quick commands

        began, first, bits = time.monotonic(), step, 0
        weight = mean = 0.0
        best = ""
        with tqdm(
            desc="training",
            unit="step",
            initial=step,
            total=config.steps,
            leave=False,
            disable=not self._bar,
        ) as bar:

            def show(update: Update) -> None:
                nonlocal bits, weight, mean, best
                bits += update.bits
                weight += _FORGETTING * (1 - weight)
                mean += _FORGETTING * (update.training.total - mean)
                if update.validation:
                    best = f", validation {update.validation.total:.4f} (best {update.best:.4f})"
                seconds = time.monotonic() - began
                rates = f"rate {mean / weight:.4f}{best}"
                bar.set_postfix_str(f"{rates}, {_speed(bits, seconds)}", False)
                bar.update()
                at_evaluation = update.validation or update.step % config.steps_per_evaluation == 0
                if self._lines and (at_evaluation or self._due()):
                    done = update.step - first
                    left = _left(seconds, done, config.steps - first)
                    text = f"step {update.step} of {config.steps}: {rates}"
                    if at_evaluation:
                        text += f", layers {_text((update.validation or update.training).layers)}"
                    self.say(f"{text}, {_speed(bits, seconds)}, {left}")

            yield show

    def _due(self) -> bool:
        return time.monotonic() - self._said >= SECONDS


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _speed(bits: int, seconds: float) -> str:
    return f"{bits / max(seconds, 1e-3) / 1e6:.2f} million bits a second"


def _left(seconds: float, done: int, total: int) -> str:
    """Says how much time is left, if all goes on as it began."""
    left = max(0, total - done) * seconds / max(1, done)
    return f"{left / 60:.0f} min left" if left >= 90 else f"{left:.0f} s left"


def _text(rates: list[float]) -> str:
    return " ".join(f"{rate:.3f}" for rate in rates)
