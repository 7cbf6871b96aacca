"""`watchdog heartbeat`: an honest emergency heartbeat, marked, ended and reported."""

from __future__ import annotations

import asyncio
import signal
import socket
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from watchdog.clock import utc_now
from watchdog.commands.common import USAGE, author_or_self, duration_of
from watchdog.conditions import suggest
from watchdog.config import Config, load
from watchdog.errors import ConfigError, WatchdogError
from watchdog.redisurl import parse_redis_url
from watchdog.signals.heartbeat import HeartbeatConfig
from watchdog.standin import End, Plan, StandIn, describe
from watchdog.synthetic import LONGEST_TEXT, Form, Mark
from watchdog.terminal import DEFAULT_RULES, RulesOption, fail
from watchdog.units import plain, write_duration
from watchdog.writer import RedisWriter

LONGEST = timedelta(hours=24)
TTL, TIMEOUT = timedelta(seconds=30), timedelta(seconds=3)
EVERY, BEATS_A_LIFE = timedelta(seconds=5), 3


@dataclass(frozen=True, slots=True)
class Place:
    """Where the key is, and what the rules file says of its life."""

    url: str
    timeout: timedelta
    ttl: timedelta | None = None


def heartbeat_command(
    key: Annotated[str, typer.Argument(help="the key to keep alive")],
    *,
    until: Annotated[
        str, typer.Option("--until", help="for how long, e.g. 2h; at most 24h", show_default=False)
    ],
    reason: Annotated[str, typer.Option("--reason", help="why", show_default=False)],
    every: Annotated[
        str | None, typer.Option("--every", help="how often to beat (default: 5s)", show_default=False)
    ] = None,
    ttl: Annotated[
        str | None,
        typer.Option(
            "--ttl", help="how long a beat lives (default: as the rules say, or 30s)", show_default=False
        ),
    ] = None,
    form: Annotated[
        Form | None,
        typer.Option("--format", help="how to write the time (default: as the key had it, or epoch_s)"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="even if somebody else writes the key")] = False,
    rules: RulesOption = DEFAULT_RULES,
    server: Annotated[
        str | None, typer.Option("--server", help="which of `redis:`, if several", show_default=False)
    ] = None,
    redis: Annotated[
        str | None,
        typer.Option(
            "--redis", help="the URL, instead of the rules' (one without a password)", show_default=False
        ),
    ] = None,
    author: Annotated[
        str | None, typer.Option("--author", help="who (default: you)", show_default=False)
    ] = None,
) -> None:
    """
    Beat in the place of a service, for a time, and say so: SyntheticHeartbeat is reported meanwhile.

    Ends by itself when the time is over, when it is stopped, or when the service beats again; what it wrote
    expires. It works on nobody's behalf: what the service did is still undone.
    """
    length = duration_of(until, "--until")
    if not timedelta(0) < length <= LONGEST:
        raise fail(f'--until: "{until}" is not above 0s and at most {write_duration(LONGEST)}', USAGE)
    if not reason.strip():
        raise fail("--reason: say why, for whoever is woken by it", USAGE)
    place = place_of(key, rules, server, redis)
    life = duration_of(ttl, "--ttl") if ttl else place.ttl or TTL
    pause = duration_of(every, "--every") if every else min(EVERY, life / BEATS_A_LIFE)
    if not timedelta(0) < pause < life:
        raise fail(f"--every: a beat that lives {write_duration(life)} is renewed before that", USAGE)
    now = utc_now()
    by = f"{author_or_self(author) or 'somebody'}@{socket.gethostname()}"
    mark = Mark(reason.strip()[:LONGEST_TEXT], by, now, now + length)
    try:
        end = asyncio.run(stand_in(place, Plan(key, mark, pause, life, form, force)))
    except WatchdogError as exc:
        raise fail(plain(str(exc)), 1) from exc
    rest = f"; it expires within {write_duration(life)}" if end is End.STOPPED else ""
    typer.echo(plain(f"{key}: {end}{rest}"))


def place_of(key: str, rules: Path, server: str | None, url: str | None) -> Place:
    """Return where *key* is, at *url* or where the rules file has it; or end with the cure."""
    if url is not None:
        try:
            parse_redis_url(url)
        except ValueError as exc:
            raise fail(f"--redis: {exc}", USAGE) from exc
        return Place(url, TIMEOUT)
    try:
        config = load(rules)
    except ConfigError as exc:
        raise fail(f"{exc}\n(--redis needs no rules file)", USAGE) from exc
    declared = declared_at(config, key)
    name = server or (declared[0] if declared else next(iter(config.servers)))
    if name not in config.servers:
        raise fail(
            f'--server: no server of `redis:` is called "{name}" ({suggest(name, config.servers)})', USAGE
        )
    found = config.servers[name]
    return Place(found.url.get_secret_value(), found.timeout, declared[1] if declared else None)


def declared_at(config: Config, key: str) -> tuple[str, timedelta | None] | None:
    """Return the server of the heartbeat *key* and the life its service gives it, if it is declared."""
    for spec in config.signals:
        if isinstance(spec.config, HeartbeatConfig) and spec.config.key == key:
            return spec.server, spec.config.ttl
    return None


async def stand_in(place: Place, plan: Plan) -> End:
    """Carry out *plan* until it ends, or SIGINT or SIGTERM comes."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    writer = RedisWriter(place.url, place.timeout)
    say(describe(plan))
    try:
        return await StandIn(writer, plan, utc_now, say).run(stop)
    finally:
        await writer.close()


def say(text: str) -> None:
    """Tell whoever waits at the terminal."""
    typer.echo(plain(text), err=True)
