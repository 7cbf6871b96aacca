"""The four measurements; each runs both sides in turns or at once, and tells the same receiver."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.notify.child import BenchError
from bench.notify.ours import Tick, running_sidecar
from bench.notify.peer import alerts_of, ended, running_alertmanager
from bench.notify.receiver import Receiver, Told

THEIRS = "/theirs"
OURS = "/ours"
RECEIVERS = ("a", "b", "c")
NOTHING = (Told(),) * len(RECEIVERS)
PROMPT, MANY, SPARING = ("1s", 1.0), 1_000, ("10s", 10.0)
"""Alertmanager's group_interval in a flood, and from so many groups on: a shorter one keeps it too busy."""


# ---- one alert ---------------------------------------------------------------------------------


@dataclass(slots=True)
class Latencies:
    """Seconds until the receiver has it, of one alert after another; *ticks* are the sidecar's own."""

    services: int
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    ticks: list[float] = field(default_factory=list)


def measure_latency(directory: Path, receiver: Receiver, services: int, alerts: int) -> Latencies:
    """Have one alert after another begin, here and there in turns, each the first of its group."""
    found = Latencies(services)
    with (
        running_sidecar(directory, services, services, {"a": receiver.url(OURS)}) as ours,
        running_alertmanager(directory, {"a": receiver.url(THEIRS)}) as peer,
    ):
        for number in range(-1, alerts):  # the first of each makes its connection, and does not count
            flag = number % services
            tick = ours.tick(range(flag, flag + 1), is_set=True)
            our_way = receiver.wait({OURS: 1})[OURS].first_at - tick.began
            ours.idle()
            ours.tick(range(flag, flag + 1), is_set=False)
            receiver.wait({OURS: 2})
            ours.idle()
            began = peer.post(alerts_of(1, 1, f"{services}-{number}-"))
            their_way = receiver.wait({THEIRS: 1})[THEIRS].first_at - began
            receiver.clear()
            if number >= 0:
                found.ours.append(our_way)
                found.ticks.append(tick.wall)
                found.theirs.append(their_way)
    return found


# ---- many, one after another -------------------------------------------------------------------


@dataclass(slots=True)
class Rates:
    """Messages a second in each batch of *groups*, one message a group."""

    groups: int
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)


def measure_rate(directory: Path, receiver: Receiver, groups: int, batches: int) -> Rates:
    """Have so many groups begin at once, batch after batch, the next once all of the last were told."""
    found = Rates(groups)
    with (
        running_sidecar(directory, groups, groups, {"a": receiver.url(OURS)}) as ours,
        running_alertmanager(directory, {"a": receiver.url(THEIRS)}) as peer,
    ):
        for batch in range(batches):
            began = ours.tick(range(groups), is_set=True).began
            found.ours.append(groups / (each_alone(receiver, OURS, groups).last_at - began))
            ours.idle()
            ours.tick(range(groups), is_set=False)
            receiver.wait({OURS: 2 * groups})
            ours.idle()
            began = peer.post(alerts_of(groups, groups, f"{batch}-"))
            found.theirs.append(groups / (each_alone(receiver, THEIRS, groups).last_at - began))
            receiver.clear()
    return found


def each_alone(receiver: Receiver, path: str, groups: int) -> Told:
    """Return what *path* was told once it is all groups; BenchError if some shared a message."""
    told = receiver.wait({path: groups})[path]
    if told.messages != groups:
        raise BenchError(f"{path} was told of {groups} groups in {told.messages} messages")
    return told


# ---- all at once -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Flood:
    """What became of many alerts that began (or ended) at once, *told* to each receiver; memory in bytes."""

    who: str
    services: int
    what: str
    told: tuple[Told, ...]
    drained: float
    rest: int
    peak: int
    tick: Tick | None = None


def measure_floods(directory: Path, receiver: Receiver, alerts: int, services: int) -> Iterator[Flood]:
    """Have all alerts of so many services begin at once, then end at once; three receivers hear of it."""
    to = {side: {name: receiver.url(f"{side}/{name}") for name in RECEIVERS} for side in (OURS, THEIRS)}
    receiver.clear()
    with running_sidecar(directory, alerts, services, to[OURS]) as ours:
        before = NOTHING
        for number, what in enumerate(("begin", "end"), 1):
            rest = ours.forget_peak()
            tick = ours.tick(range(alerts), is_set=what == "begin")
            told = _told(receiver, OURS, number * alerts)
            ours.idle()
            drained = max(found.last_at for found in told) - tick.began
            yield Flood("watchdog", services, what, _more(told, before), drained, rest, ours.peak(), tick)
            before = told
    posted = alerts_of(alerts, services)
    pace, seconds = PROMPT if services < MANY else SPARING
    with running_alertmanager(directory, to[THEIRS], pace) as peer:
        before = NOTHING
        for number, what in enumerate(("begin", "end"), 1):
            rest = peer.forget_peak()
            began = peer.post(posted if what == "begin" else ended(posted))
            told = _told(receiver, THEIRS, number * alerts)
            drained = max(found.last_at for found in told) - began
            time.sleep(seconds + 0.5)  # a group that came in parts is told once more, whole
            told = _told(receiver, THEIRS, number * alerts)
            yield Flood("Alertmanager", services, what, _more(told, before), drained, rest, peer.peak())
            before = told


def _told(receiver: Receiver, side: str, alerts: int) -> tuple[Told, ...]:
    return tuple(receiver.wait({f"{side}/{name}": alerts for name in RECEIVERS}).values())


def _more(told: Sequence[Told], before: Sequence[Told]) -> tuple[Told, ...]:
    """Return what was *told* beyond what was told *before*."""
    return tuple(
        replace(
            now,
            messages=now.messages - then.messages,
            alerts=now.alerts - then.alerts,
            entries=now.entries - then.entries,
        )
        for now, then in zip(told, before, strict=True)
    )


# ---- after an outage ---------------------------------------------------------------------------

HOW = {"refused": 1, "503": 0}
"""How a receiver fails, and at which of the two ports."""
PACES = {"Alertmanager, group_interval 5m": "5m", "Alertmanager, group_interval 10s": "10s"}


@dataclass(frozen=True, slots=True)
class Recovery:
    """How long after the receiver's return everything that waited was there, and in how many messages."""

    who: str
    how: str
    seconds: float
    messages: int


def measure_outage(directory: Path, receiver: Receiver, seconds: float, groups: int) -> list[Recovery]:
    """Let all receivers fail for so long, and meanwhile one group after another begin, here and there."""

    def urls(side: str) -> dict[str, str]:
        return {f"to_{how}": receiver.url(f"/{side}/{how}", port) for how, port in HOW.items()}

    with ExitStack() as stack:
        ours = stack.enter_context(running_sidecar(directory, groups, groups, urls("watchdog")))
        peers = {
            who: stack.enter_context(running_alertmanager(directory, urls(pace), pace))
            for who, pace in PACES.items()
        }
        receiver.fail()
        began = time.monotonic()
        for group in range(groups):
            _sleep_until(began + seconds * group / groups)
            ours.tick(range(group, group + 1), is_set=True)
            for peer in peers.values():
                peer.post(alerts_of(1, 1, f"{group}-"))
        _sleep_until(began + seconds)
        back = receiver.recover()
        sides = {"watchdog": "watchdog", **PACES}
        told = receiver.wait({f"/{side}/{how}": groups for side in sides.values() for how in HOW})
        return [
            Recovery(who, how, found.last_at - back, found.messages)
            for who, side in sides.items()
            for how in HOW
            for found in [told[f"/{side}/{how}"]]
        ]


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


# ---- figures -----------------------------------------------------------------------------------


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest of *values* that at least so large a share of them does not exceed."""
    order = sorted(values)
    return order[max(0, -int(-share * len(order) // 1) - 1)]


def middle(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)
