"""The command line: what all commands share. Each is loaded when it is called (`commands/table.py`)."""

from __future__ import annotations

from typing import Annotated

import typer

from watchdog import __version__
from watchdog.commands.table import Commands

app = typer.Typer(
    name="watchdog",
    cls=Commands,
    help="Tells within a minute that a pipeline has stopped working while every process still runs.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="print the version and end")] = False,
) -> None:
    if version:
        typer.echo(f"pipeline-watchdog {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    app()
