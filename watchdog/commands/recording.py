"""`watchdog record` and `watchdog replay`: keep what is seen, and tell what other rules would have said."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from watchdog import __version__
from watchdog.clock import utc_now
from watchdog.commands.common import USAGE, duration_of, load_or_exit
from watchdog.config import Config
from watchdog.errors import RecordingError
from watchdog.fields import SMALLEST
from watchdog.recording import Tick
from watchdog.retelling import Retelling, Story, Window, begin_story, live
from watchdog.sidecar import Sidecar
from watchdog.tape import Tape, read_ticks
from watchdog.terminal import DEFAULT_RULES, RulesOption, fail, structured_logs
from watchdog.units import Unit, parse_number

UNMET = 1
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="the recording", show_default=False)]


def record_command(
    file: FileArgument,
    rules: RulesOption = DEFAULT_RULES,
    span: Annotated[
        str | None, typer.Option("--for", help="end after so long, such as 1h", show_default=False)
    ] = None,
    max_size: Annotated[
        str, typer.Option("--max-size", help="so large FILE may grow; then the oldest is dropped")
    ] = "64MiB",
) -> None:
    """
    Look as the sidecar does, tell nobody, and keep what is seen for `watchdog replay`.

    It ends after --for, or with Ctrl-C; a FILE that is there already goes on.
    """
    config = load_or_exit(rules, USAGE)
    length = None if span is None else duration_of(span, "--for")
    try:
        most = int(parse_number(max_size, Unit.BYTES))
    except ValueError as exc:
        raise fail(f"--max-size: {exc}", USAGE) from exc
    if most < SMALLEST:
        raise fail(f'--max-size: "{max_size}" is too small (give at least 1MiB)', USAGE)
    structured_logs("error")
    try:
        tape = Tape(str(file), most, __version__)
    except RecordingError as exc:
        raise fail(str(exc), USAGE) from exc
    looks = asyncio.run(_record(mute(config), tape, length))
    typer.echo(f"{looks} looks in {file}, {file.stat().st_size:,} bytes", err=True)


def mute(config: Config) -> Config:
    """Return *config* as of a sidecar that looks, and neither tells nor keeps anything."""
    policy = replace(config.policy, routes=(), receivers={})
    return replace(
        config, state=None, receivers={}, policy=policy, reports=(), ping=None, heartbeat=None, pair=None
    )


async def _record(config: Config, tape: Tape, length: timedelta | None) -> int:
    """Record until it is time, or until told to stop; return how often it was looked."""
    sidecar, stop = Sidecar(config, utc_now, tape=tape), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sidecar.start()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), None if length is None else length.total_seconds())
    await sidecar.stop()
    return sidecar.pulse.ticks


class Format(StrEnum):
    """The forms of a replay."""

    TEXT = "text"
    JSON = "json"


SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since", help="tell from this time on (UTC), such as 2026-02-19T01:00", show_default=False
    ),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", help="replay up to this time (UTC)", show_default=False)
]


def replay_command(
    file: FileArgument,
    *,
    rules: RulesOption = DEFAULT_RULES,
    against: Annotated[
        Path | None,
        typer.Option("--against", help="other rules: tell what differs from those", show_default=False),
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    expect: Annotated[
        list[str] | None,
        typer.Option("--expect", help="an alert that must have fired, or exit with 1", show_default=False),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="how to print it")] = Format.TEXT,
) -> None:
    """
    Tell what these rules would have said of what was recorded: what fired when, and who was told.

    Exit status: 0, 1 if an alert of --expect did not fire, 2 if a file cannot be used.
    """
    stories = [begin_story(load_or_exit(path, USAGE)) for path in (rules, *([against] if against else []))]
    begin, end = _moment_of(since, "--since"), _moment_of(until, "--until")
    for name in expect or ():
        if not any(rule.alert == name for rule in stories[0].config.binder.rules):
            raise fail(f'--expect: {rules} has no rule "{name}"', USAGE)
    try:
        for tick in _ticks(file, end):
            for story in stories:
                live(story, tick)
    except RecordingError as exc:
        raise fail(f"{file} {exc}", USAGE) from exc
    if stories[0].begin is None or stories[0].end is None:
        raise fail(f"{file} holds nothing up to then", USAGE)
    for story in stories:
        story.replay.end()
    window = Window(max(begin or stories[0].begin, stories[0].begin), end or stories[0].end)
    told = Retelling(stories[0], window, stories[1] if against else None)
    typer.echo(told.as_text() if form is Format.TEXT else told.as_json(), nl=False)
    missed = [name for name in expect or () if not _fired(name, stories[0], window)]
    for name in missed:
        typer.echo(f"{name} did not fire", err=True)
    if missed:
        raise typer.Exit(UNMET)


def _fired(name: str, story: Story, window: Window) -> bool:
    return any(firing.labels["alertname"] == name for firing in window.firings(story.fired))


def _ticks(path: Path, until: datetime | None) -> Iterator[Tick]:
    try:
        with path.open("rb") as file:
            for tick in read_ticks(file):
                if until is not None and tick.at > until:
                    return
                yield tick
    except OSError as exc:
        raise RecordingError(f"cannot be read: {exc.strerror}") from exc


def _moment_of(text: str | None, option: str) -> datetime | None:
    """Return the moment an option holds; without a zone it is UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise fail(f'{option}: "{text}" is not a time (write 2026-02-19T01:00)', USAGE) from exc
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
