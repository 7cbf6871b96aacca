"""What the command line says of itself, as values: every command is loaded for that."""

from __future__ import annotations

import inspect
from typing import Any

import typer
from typer.main import get_command

from watchdog.commands.table import TABLE, Commands
from watchdog.manual import Command, Option

HELP = "--help"
IN_WORDS = (("<list[str]>", "<text>..."), ("<str>", "<text>"), ("<int>", "<number>"), ("<float>", "<number>"))
"""What Python's types are called where people read them."""


def described() -> tuple[Command, ...]:
    """Return all commands, in the order of the table."""
    holder = typer.Typer(cls=Commands)
    holder.callback()(lambda: None)
    root: Any = get_command(holder)
    above = root.make_context("watchdog", [], resilient_parsing=True)
    return tuple(_command(root.commands[name], above, f"watchdog {name}") for name in TABLE)


def _command(command: Any, above: Any, words: str) -> Command:
    context = type(above)(command, info_name=words.rpartition(" ")[2], parent=above)
    records = [(param, param.get_help_record(context)) for param in command.get_params(context)]
    arguments = tuple(
        _option(told) for param, told in records if told and param.param_type_name == "argument"
    )
    options = tuple(
        _option(told)
        for param, told in records
        if told and param.param_type_name == "option" and HELP not in param.opts
    )
    below = tuple(_command(each, context, f"{words} {name}") for name, each in _below(command).items())
    return Command(
        words,
        " ".join(command.collect_usage_pieces(context)),
        tuple(" ".join(part.split()) for part in inspect.cleandoc(command.help or "").split("\n\n") if part),
        arguments,
        options,
        (command.epilog or "").removeprefix("\b\n").removeprefix("Example: "),
        below,
    )


def _below(command: Any) -> dict[str, Any]:
    found: dict[str, Any] = getattr(command, "commands", {})
    return found


def _option(told: tuple[str, str]) -> Option:
    written, does = (" ".join(part.split()) for part in told)
    for type_, word in IN_WORDS:
        written = written.replace(type_, word)
    return Option(written, does)
