"""What the commands that ask the running sidecar have in common."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watchdog.config import Config, load
from watchdog.errors import ConfigError
from watchdog.later import later
from watchdog.notifiers import NOTIFIERS
from watchdog.signals import SIGNALS
from watchdog.terminal import fail
from watchdog.units import parse_duration, plain

if TYPE_CHECKING:
    from watchdog import remote
    from watchdog.remote import Remote
else:  # not every command asks the sidecar
    remote = later("watchdog.remote")

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url", help="where the sidecar is (default: as `listen` in the rules)", envvar="WATCHDOG_URL"
    ),
]
TokenOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        help="a file with the API token (default: WATCHDOG_TOKEN, then api.tokens, then <state>.token)",
        show_default=False,
    ),
]
USAGE = 2


class Form(StrEnum):
    """The forms of an answer."""

    TABLE = "table"
    JSON = "json"


FormOption = Annotated[Form, typer.Option("--format", help="how to print it")]


@contextlib.contextmanager
def sidecar(rules: Path, url: str | None, token_file: Path | None) -> Iterator[Remote]:
    """Give the running sidecar, and end with one sentence if it cannot be asked or says no."""
    try:
        with remote.Remote(remote.find_sidecar(rules, url, token_file, os.environ)) as found:
            yield found
    except remote.RemoteError as exc:
        raise fail(str(exc), exc.status) from exc
    except ConfigError as exc:
        raise fail(f"{exc}\n(--url and WATCHDOG_TOKEN need no rules file)", remote.UNREACHABLE) from exc


def show(body: Any, form: Form, as_table: Callable[[Any], str]) -> None:
    """Print an answer."""
    typer.echo(json.dumps(body, indent=1) if form is Form.JSON else as_table(body))


def duration_of(text: str, option: str) -> timedelta:
    """Return the duration an option holds, or end with the cure."""
    try:
        return parse_duration(text)
    except ValueError as exc:
        raise fail(f"{option}: {exc}", USAGE) from exc


def author_or_self(author: str | None) -> str | None:
    """Return who says it: the *author*, or the user of this process if it has a name."""
    if author is not None:
        return author
    with contextlib.suppress(OSError, KeyError):  # in a container a user may have no name
        return getpass.getuser()
    return None


def load_or_exit(rules: Path, status: int) -> Config:
    """Return the configuration, or end with every problem of the file and *status*."""
    try:
        return load(rules)
    except ConfigError as exc:
        raise fail(str(exc), status) from exc


def adopt_all() -> None:
    """Take in all that other packages bring, and say which of it cannot be used."""
    for said in (*SIGNALS.adopt_all(), *NOTIFIERS.adopt_all()):
        typer.echo(plain(f"left out: {said}"), err=True)
