"""What Redis and its other clients feel of being looked at, and what a Redis that is slow feels of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import redis

from bench.notify.child import BenchError
from bench.poll.measures import Plan, begun, in_a_row
from bench.poll.neighbour import NAME, Felt, running_neighbour
from bench.poll.ours import Ours, running_sidecar
from bench.poll.peer import Exporter, running_exporter
from bench.poll.process import sockets_to
from bench.poll.streams import BENCH, World, rules_text, running_world

EVERY = 5.0
SLOW_US = 5_000
"""From so many microseconds on a command counts as slow."""
NOT_OURS = frozenset({BENCH, NAME, "redis_exporter"})
"""How the other clients call themselves."""

# ---- other clients -----------------------------------------------------------------------------


@dataclass(slots=True)
class Feelings:
    """How long another client's commands took while somebody looked so often, in seconds."""

    who: str
    ping: list[float] = field(default_factory=list)
    xadd: list[float] = field(default_factory=list)
    looks: int = 0


@dataclass(frozen=True, slots=True)
class Slowest:
    """A command of ours, and for how many seconds Redis was busy with it."""

    command: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Hurt:
    """What looking did to others: what they *felt*, our slowest commands, and how many were *slow*."""

    streams: int
    felt: list[Feelings]
    first: Slowest
    steady: Slowest
    slow: int


def measure_hurt(plan: Plan, streams: int, seconds: float) -> Hurt:
    """Have another client live for so many *seconds* beside nobody, us and the exporter, in turns."""
    with running_world(streams) as world, running_exporter(world.server.url, streams) as peer:
        log_commands(world, 0)
        with begun(replace(plan, warm=0), world, world.server.url) as ours:
            first = slowest(world)
            log_commands(world, SLOW_US)
            in_a_row(world, ours, plan.warm, moving=True)
            slow = len(our_commands(world))
            log_commands(world, 0)
            in_a_row(world, ours, 1, moving=True)
            steady = slowest(world)
            log_commands(world, SLOW_US)
            looks = ways_to_look(ours, peer)
            felt = {who: Feelings(who) for who in looks}
            for _ in range(plan.runs):
                for who, look in looks.items():
                    _feel(world, seconds, look, felt[who])
            ours.tick()
            ours.check(world.moved)
            return Hurt(streams, list(felt.values()), first, steady, slow + len(our_commands(world)))


def ways_to_look(ours: Ours, peer: Exporter) -> dict[str, Callable[[float], int]]:
    """Return who looks how: a function that does so for so many seconds and returns how often it did."""

    def nobody(seconds: float) -> int:
        time.sleep(seconds)
        return 0

    def ticking(pause: float) -> Callable[[float], int]:
        def tick(seconds: float) -> int:
            ours.keep_ticking(pause)
            time.sleep(seconds)
            return ours.halt().ticks

        return tick

    def scrape(seconds: float) -> int:
        looks, until = 0, time.monotonic() + seconds
        while time.monotonic() < until:
            peer.scrape()
            looks += 1
        return looks

    return {
        "nobody looks": nobody,
        "watchdog: a tick every 5 s": ticking(EVERY),
        "watchdog: tick after tick": ticking(0.0),
        "redis_exporter: scrape after scrape": scrape,
    }


def _feel(world: World, seconds: float, look: Callable[[float], int], into: Feelings) -> None:
    felt: list[Felt] = []
    with running_neighbour(world, seconds, felt):
        into.looks += look(seconds)
    (found,) = felt
    into.ping += found.ping
    into.xadd += found.xadd


def log_commands(world: World, from_us: int) -> None:
    """Have Redis log every command that takes it so many microseconds, and forget what it logged before."""
    world.client.config_set("slowlog-log-slower-than", from_us)
    world.client.config_set("slowlog-max-len", 1_000_000)
    world.client.slowlog_reset()


def our_commands(world: World) -> list[Slowest]:
    """Return what Redis has logged of ours."""
    logged: Any = world.client.slowlog_get(-1)
    return [
        Slowest(b" ".join(one["command"].split()[:2]).decode(), one["duration"] / 1e6)
        for one in logged
        if one["client_name"].decode() not in NOT_OURS
    ]


def slowest(world: World) -> Slowest:
    """Return the slowest of our commands that Redis has logged; BenchError if it logged none."""
    found = our_commands(world)
    if not found:
        raise BenchError("Redis has logged no command of ours")
    return max(found, key=lambda one: one.seconds)


# ---- a Redis that does not keep up -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Patience:
    """
    What waited at a Redis that was not able to answer.

    *connections* and *waiting* (bytes) are the most at one time. *ticks* and *commands* are those from the
    beginning until all was seen again, *a_tick* the commands of a usual tick.
    """

    how: str
    seconds: float
    ticks: int
    connections: int
    waiting: int
    commands: int
    a_tick: int
    back_after: float


def measure_patience(
    plan: Plan, streams: int, seconds: float, every: str, timeout: str
) -> Iterator[Patience]:
    """Have Redis stop, and be busy for a second again and again, while the sidecar runs by its own clock."""
    with running_world(streams, "--enable-debug-command", "yes") as world:
        rules = plan.directory / f"rules-{len(list(plan.directory.iterdir()))}.yaml"
        text = rules_text(world.server.url, world.names, plan.form, f"every: {every}", timeout=timeout)
        rules.write_text(text)
        with (
            redis.Redis.from_url(world.server.url, socket_timeout=None) as other,
            running_sidecar(rules, streams) as ours,
        ):
            other.ping()
            own = frozenset(sockets_to(world.server.port))
            ours.load()
            ours.build(patient=False)
            ours.start()
            for how, trouble in TROUBLES.items():
                _until_whole(ours)
                away = threading.Thread(target=trouble, args=(world, other, seconds))
                yield _patience(how, away, own, world, ours)
            ours.stop()


def stopped(world: World, _other: redis.Redis, seconds: float) -> None:
    """Stop the server for so long."""
    os.kill(world.server.process.pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        os.kill(world.server.process.pid, signal.SIGCONT)


def busy(_world: World, other: redis.Redis, seconds: float) -> None:
    """Keep the server busy: between two seconds of it others have their turn."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        other.execute_command("DEBUG", "SLEEP", 1)  # type: ignore[no-untyped-call]


TROUBLES: dict[str, Callable[[World, redis.Redis, float], None]] = {
    "stopped": stopped,
    "busy, a second at a time": busy,
}


def _patience(how: str, away: threading.Thread, own: frozenset[str], world: World, ours: Ours) -> Patience:
    """Let the server be *away*, and see what waits there meanwhile, in connections that are not our *own*."""
    _next_tick(ours)
    a_tick = -_commands(world)
    _next_tick(ours)
    before, ticks, began = _commands(world), ours.state()["ticks"], time.monotonic()
    connections, waiting = 0, 0
    away.start()
    while away.is_alive():
        there = [unread for peer, unread in sockets_to(world.server.port).items() if peer not in own]
        connections, waiting = max(connections, len(there)), max(waiting, sum(there))
        away.join(0.02)
    back = time.monotonic()
    _next_tick(ours)
    _until_whole(ours)
    back_after = time.monotonic() - back
    ticks = ours.state()["ticks"] - ticks
    commands = _commands(world) - before
    return Patience(how, back - began, ticks, connections, waiting, commands, a_tick + before, back_after)


def _commands(world: World) -> int:
    info: Any = world.client.info("stats")
    return int(info["total_commands_processed"])


def _next_tick(ours: Ours) -> None:
    ticks = ours.state()["ticks"]
    _until(lambda: ours.state()["ticks"] > ticks)


def _until_whole(ours: Ours) -> None:
    _until(lambda: ours.state()["whole"])


def _until(reached: Callable[[], bool], within: float = 120.0) -> None:
    deadline = time.monotonic() + within
    while not reached():
        if time.monotonic() > deadline:
            raise BenchError("the sidecar does not see everything")
        time.sleep(0.05)
