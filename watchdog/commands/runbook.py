"""`watchdog runbook`: what to do about an alert, where there is no browser."""

from __future__ import annotations

import re
import sys
from typing import Annotated

import typer
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Markdown
from rich.text import Text

from watchdog.commands import completing
from watchdog.commands.common import USAGE, TokenOption, UrlOption, sidecar
from watchdog.conditions import suggest
from watchdog.remote import Remote, RemoteError
from watchdog.runbooks import INDEX, in_a_sentence, places, read_index, read_runbook, runbook_names
from watchdog.terminal import DEFAULT_RULES, RulesOption, fail
from watchdog.units import plain

LINK = re.compile(r"\[([^]]+)\]\((?!https?:)[^)]*\)")
"""A link to another page of ours: in a terminal its text is its name."""


class Copyable(CodeBlock):
    """A block of lines for a shell, each in one piece: the terminal may break it, a copy of it may not."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines as they are."""
        yield Text(str(self.text).rstrip(), style="cyan", no_wrap=True, overflow="ignore")


class Runbook(Markdown):
    """A runbook for a terminal."""

    elements = {**Markdown.elements, "fence": Copyable}  # noqa: RUF012  as rich declares it


def runbook_command(
    name: Annotated[
        str | None,
        typer.Argument(
            help="the alert's name (default: list all)",
            show_default=False,
            autocompletion=completing.runbooks,
        ),
    ] = None,
    *,
    service: Annotated[
        str | None,
        typer.Option("--service", help="whose alert: the running sidecar fills in its places first"),
    ] = None,
    rules: RulesOption = DEFAULT_RULES,
    url: UrlOption = None,
    token_file: TokenOption = None,
) -> None:
    """
    Print what an alert means, how to confirm, what it usually was, how to fix and how to silence it.

    README is the page before all others: how to use them. Without --service nobody is asked.
    """
    if name is None:
        width = max(map(len, runbook_names()))
        for each in runbook_names():
            typer.echo(f"{each:<{width}}  {in_a_sentence(read_runbook(each) or '')}")
        return
    found, text = _find(name)
    failed = None
    if service is not None:
        try:
            with sidecar(rules, url, token_file) as remote:
                _print_places(remote, found, service)
        except typer.Exit as exc:  # whoever asks in a bad hour wants the text all the same
            failed = exc
    if sys.stdout.isatty():
        Console().print(Runbook(LINK.sub(r"\1", text)), crop=False)
    else:
        typer.echo(text.rstrip())
    if failed is not None:
        raise failed


def _print_places(remote: Remote, name: str, service: str) -> None:
    """Print the lines that put the places of the open alerts called *name* where the commands look."""
    body = remote.get("/api/v1/alerts", alertname=[name], service=[service])
    found = [alert["labels"] for alert in body["alerts"] if alert["state"] != "resolved"]
    if not found:
        raise RemoteError(f"{service} has no open alert {name} (`watchdog alerts` lists them)", USAGE)
    for labels in found:
        typer.echo("\n".join([*map(plain, places(labels)), ""]))


def _find(name: str) -> tuple[str, str]:
    """Return the runbook that *name* means, whatever its case, and its text; or end with the cure."""
    if name == INDEX:
        return name, read_index()
    found = {each.lower(): each for each in runbook_names()}.get(name.lower(), name)
    text = read_runbook(found)
    if text is None:
        cure = suggest(name, runbook_names())
        hint = cure if cure.startswith("did you mean") else "`watchdog runbook` lists them"
        raise fail(f'there is no runbook "{plain(name)}" ({hint})', USAGE)
    return found, text
