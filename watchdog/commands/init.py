"""`watchdog init`: looks at a Redis once and writes a first rules.yaml."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from watchdog.clock import utc_now
from watchdog.commands.common import USAGE
from watchdog.errors import CollectError
from watchdog.firstlook.draft import draft
from watchdog.firstlook.families import namespace
from watchdog.firstlook.figures import count_of
from watchdog.firstlook.guesses import Guesses, guess
from watchdog.firstlook.here import with_this_machine
from watchdog.firstlook.seen import Seen
from watchdog.firstlook.server import FirstLook
from watchdog.progress import progress
from watchdog.redisurl import parse_redis_url
from watchdog.terminal import DEFAULT_RULES, fail
from watchdog.units import plain
from watchdog.wire import open_wire

UNUSABLE = 3
STDOUT = Path("-")
SHOWN = 8


def init_command(
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="redis://host:6379/0, or any other that `redis:` takes",
            envvar="REDIS_URL",
            show_envvar=True,
        ),
    ],
    *,
    out: Annotated[
        Path,
        typer.Option("--out", "--rules", help="the file to write; - is standard output", show_default=True),
    ] = DEFAULT_RULES,
    force: Annotated[bool, typer.Option("--force", help="overwrite the file if it is there")] = False,
    match: Annotated[
        str,
        typer.Option(
            "--match",
            metavar="PATTERN",
            help="look only at keys that fit, such as 'quantum:*'",
            show_default=False,
        ),
    ] = "",
    unit: Annotated[
        list[str] | None,
        typer.Option(
            "--unit",
            metavar="PATTERN...",
            help="systemd units as well, such as 'quantum-*'",
            show_default=False,
        ),
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option(
            "--log",
            metavar="PATTERN...",
            help="log files as well, such as '/var/log/quantum/*.log'",
            show_default=False,
        ),
    ] = None,
) -> None:
    """
    Look at a Redis once, change nothing, write a first rules.yaml; each guess says what it rests on.

    Exit status: 0, 2 if the file is there already, 3 if there is no answer or nothing to watch.
    """
    if out != STDOUT and not force and _holds_something(out):
        raise fail(
            f"{plain(str(out))} is there already (--out OTHER.yaml writes another, --force overwrites it)",
            USAGE,
        )
    try:
        server = parse_redis_url(url)
    except ValueError as exc:
        raise fail(f"URL: {exc}", USAGE) from exc
    now = utc_now()
    try:
        with progress(f"looking at {server.place}"):
            seen = asyncio.run(look(url, match))
    except CollectError as exc:
        raise fail(
            f"{plain(str(exc))} (is the URL right, its password included? nothing was written)", UNUSABLE
        ) from exc
    seen = with_this_machine(seen, unit or (), log or (), frozenset({socket.gethostname()}))
    text, found = first_file(seen, url, now)
    if not found.services and not found.families:
        raise fail(_nothing(seen, match), UNUSABLE)
    if out == STDOUT:
        typer.echo(text, nl=False)
    else:
        _write(out, text)
    typer.echo(summary(seen, found, out, holds_secret(url)), err=True)


async def look(url: str, match: str = "") -> Seen:
    """Return what is seen of the Redis at *url*; CollectError if it cannot be looked at."""
    wire = open_wire(url)
    try:
        return await FirstLook(wire, match).look()
    finally:
        await wire.close()


def first_file(seen: Seen, url: str, now: datetime) -> tuple[str, Guesses]:
    """Return the text of the file that *seen* makes, and the guesses in it."""
    found = guess(seen, now)
    shown = None if holds_secret(url) else url
    return draft(found, seen, shown, namespace([stream.key for stream in seen.streams]), now), found


def holds_secret(url: str) -> bool:
    """Say whether *url* names a user or a password."""
    server = parse_redis_url(url)
    return bool(server.login or server.sentinel_login or (server.tls and server.tls.key_password))


def _holds_something(out: Path) -> bool:
    """Say whether to write *out* would lose something; a shell's `> rules.yaml` has just made it, empty."""
    return out.exists() and not (out.is_file() and out.stat().st_size == 0)


def _write(out: Path, text: str) -> None:
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise fail(
            f"{plain(str(out))} cannot be written: {exc.strerror} (--out names another place)", USAGE
        ) from exc


def _nothing(seen: Seen, match: str) -> str:
    fits = f" that fits {plain(match)}" if match else ""
    cure = "start the pipeline first, or name another database or --match; nothing was written"
    if not seen.keys and not match:
        return f"Redis at {seen.place} is empty in this database ({cure})"
    what = count_of(seen.keys, "key")
    return f"Redis at {seen.place} has {what}, but no stream and no heartbeat{fits} ({cure})"


def summary(seen: Seen, found: Guesses, out: Path, secret: bool) -> str:
    """Say what was found, what was guessed, what was left out and what to do next."""
    groups = sum(len(stream.groups) for stream in seen.streams)
    file = plain("standard output" if out == STDOUT else str(out))
    needs = sum(len(service.needs) for service in found.services)
    looked = {
        "stream": len(seen.streams),
        "consumer group": groups,
        "heartbeat key": len(seen.heartbeats),
        "flag": len(seen.flags),
        "unit": len(seen.units),
        "log": len(seen.logs),
    }
    guessed = {
        "need": needs,
        "group": found.count("consumes"),
        "heartbeat": found.count("heartbeat"),
        "stream of results": found.count("executions"),
        "pattern of many streams": len(found.families),
    }
    lines = [f"{'seen':8} {_counted(looked)}"]
    lines.append(f"{'guessed':8} {count_of(len(found.services), 'service')} with {_counted(guessed)}")
    lines += [f"left out {remark}" for remark in found.left_out[:SHOWN]]
    if len(found.left_out) > SHOWN:
        lines.append(f"left out {len(found.left_out) - SHOWN} more: see the end of the file")
    lines.append(f"written  {file}; nobody is told until `receivers` is filled in")
    if secret and "REDIS_URL" not in os.environ:
        lines.append("next     export REDIS_URL=…   the URL holds a secret and was not written down")
    rules = "" if out == DEFAULT_RULES else f" --rules {file if out != STDOUT else 'FILE'}"
    lines += [f"next     watchdog {command}{rules}" for command in ("check", "audit", "run")]
    return "\n".join(map(plain, lines))


def _counted(found: Mapping[str, int]) -> str:
    """Return how many there are of each of what was *found* at all."""
    return ", ".join(count_of(number, what) for what, number in found.items() if number) or "nothing else"
