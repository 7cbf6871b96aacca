"""The command line: what all commands share. Each is loaded when it is called (`commands/table.py`)."""

from __future__ import annotations

import atexit
import os
from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import completion_init, get_completion_script  # type: ignore[attr-defined]

from watchdog import __version__
from watchdog.commands.table import Commands
from watchdog.garbage import collect_seldom, keep_for_good
from watchdog.later import without_plugins

app = typer.Typer(
    name="watchdog",
    cls=Commands,
    help="Tells within a minute that a pipeline has stopped working while every process still runs.",
    epilog="\b\nYour own pipeline: watchdog init redis://127.0.0.1:6379/0",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


NAME = "watchdog"
COMPLETING = "_WATCHDOG_COMPLETE"
"""The environment variable with which a shell asks what may stand next."""


class Shell(StrEnum):
    """The shells that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="print the version and end")] = False,
    shell: Annotated[
        Shell | None,
        typer.Option("--show-completion", help="print what lets this shell complete, and end"),
    ] = None,
) -> None:
    if shell is not None:
        typer.echo(get_completion_script(prog_name=NAME, complete_var=COMPLETING, shell=shell))
        raise typer.Exit
    if version:
        typer.echo(f"pipeline-watchdog {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    without_plugins()
    collect_seldom()
    atexit.register(keep_for_good)  # or Python goes over all there is at the end, a tenth of a command's time
    if COMPLETING in os.environ:
        completion_init()
    app(prog_name=NAME)
