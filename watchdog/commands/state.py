"""`watchdog state`: what is in the state file, a copy of it, and the way back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from watchdog.clock import utc_now
from watchdog.commands.common import Form, FormOption
from watchdog.errors import ConfigError, StateError
from watchdog.holdings import Holdings, back_up, examine, restore
from watchdog.remote import state_of
from watchdog.terminal import DEFAULT_RULES, RulesOption, fail
from watchdog.units import Unit, show_number

BROKEN = 1
StateOption = Annotated[
    Path | None,
    typer.Option("--state", help="the state file (default: as `state` in the rules)", show_default=False),
]

state_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@state_app.command("check", epilog="Example: watchdog state check --rules /etc/pipeline-watchdog/rules.yaml")
def check_command(
    rules: RulesOption = DEFAULT_RULES, state: StateOption = None, form: FormOption = Form.TABLE
) -> None:
    """
    Say whether the state file is sound, and what is in it; the sidecar may be running.

    Exit status: 0 sound, 1 broken or not to be read.
    """
    path = _path(rules, state)
    try:
        found = examine(path)
    except StateError as exc:
        raise fail(str(exc), BROKEN) from exc
    typer.echo(json.dumps(asdict(found), indent=1) if form is Form.JSON else "\n".join(_described(found)))
    if found.problems:
        raise typer.Exit(BROKEN)


@state_app.command("backup", epilog="Example: watchdog state backup /var/backups/watchdog")
def backup_command(
    to: Annotated[Path, typer.Argument(help="the copy to make, or a folder for it; nothing is overwritten")],
    rules: RulesOption = DEFAULT_RULES,
    state: StateOption = None,
) -> None:
    """Copy the state file, as it is at one moment; the sidecar may be running. Prints the copy's name."""
    path = _path(rules, state)
    name = f"{Path(path).name}-{utc_now():%Y%m%dT%H%M%SZ}"
    try:
        copy = back_up(path, str(to / name if to.is_dir() else to))
    except StateError as exc:
        raise fail(str(exc), BROKEN) from exc
    typer.echo(copy.path)


@state_app.command(
    "restore", epilog="Example: watchdog state restore /var/lib/pipeline-watchdog/watchdog.db.v3"
)
def restore_command(
    copy: Annotated[Path, typer.Argument(help="a copy that `watchdog state backup` or an upgrade made")],
    rules: RulesOption = DEFAULT_RULES,
    state: StateOption = None,
) -> None:
    """Put a copy in the place of the state file, which is set aside; the sidecar must be stopped."""
    path = _path(rules, state)
    try:
        aside = restore(str(copy), path, utc_now())
    except StateError as exc:
        raise fail(str(exc), BROKEN) from exc
    typer.echo(f"{path}: restored from {copy}" + (f"; what was there is {aside}" if aside else ""))


def _path(rules: Path, state: Path | None) -> str:
    """Return where the state file is, as *state* or else the rules say."""
    if state is not None:
        return str(state)
    try:
        path = state_of(rules, os.environ)
    except ConfigError as exc:
        raise fail(f"{exc}\n(--state needs no rules file)", BROKEN) from exc
    if path in (None, ":memory:"):
        raise fail(f"{rules} keeps no state (`state` is null or :memory:)", BROKEN)
    return str(path)


def _described(found: Holdings) -> Iterator[str]:
    size, log = (show_number(float(size), Unit.BYTES) for size in (found.size, found.log_size))
    verdict = "broken" if found.problems else "sound"
    yield f"{found.path}: {verdict}, version {found.version}, {size} and {log} of log"
    yield from (f"  problem: {problem}" for problem in found.problems)
    for name, count in (*found.books.items(), *found.logs.items()):
        yield f"  {name:<12}{count:>9,}"
    for name, bytes_ in found.beside.items():
        yield f"  beside it: {name}, {show_number(float(bytes_), Unit.BYTES)}"
