"""Commands whose errors are one line."""

from __future__ import annotations

from typing import Any

import click

from nncodec import NncodecError


class OneLineCommand(click.Command):
    """A command that says in one line what NncodecError says."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except NncodecError as error:
            raise click.ClickException(str(error)) from error
