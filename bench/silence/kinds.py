"""Pipelines of several kinds, as the moments at which they succeed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from random import Random
from zoneinfo import ZoneInfo

BEGIN = datetime(2026, 2, 16, tzinfo=UTC).timestamp()
"""A Monday, six weeks before clocks in Europe change."""
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
PLACE = ZoneInfo("Europe/Berlin")

Life = Iterator[float]


@dataclass(frozen=True)
class Kind:
    """One way of working: when it succeeds, and whether it is a stream of events without any rhythm."""

    name: str
    lives: Callable[[Random], Life]
    event_driven: bool = False


def every(seconds: float, jitter: float = 0.3) -> Callable[[Random], Life]:
    """Succeed every so many *seconds*, more or less."""

    def lives(random: Random) -> Life:
        at = BEGIN
        while True:
            at += seconds * random.uniform(1 - jitter, 1 + jitter)
            yield at

    return lives


def at_random(seconds: float) -> Callable[[Random], Life]:
    """Succeed at random, with so many *seconds* between on average."""

    def lives(random: Random) -> Life:
        at = BEGIN
        while True:
            at += random.expovariate(1 / seconds)
            yield at

    return lives


def in_bursts(random: Random) -> Life:
    """Succeed every 10 s, and once an hour fifty times within a second."""
    for at in every(10)(random):
        yield at
        if random.random() < 1 / 360:
            yield from (at + i / 50 for i in range(50))


def open_at(moment: float) -> bool:
    """Say whether offices are open: Monday to Friday, 9 to 17 by the clock on the wall."""
    local = datetime.fromtimestamp(moment, PLACE)
    return local.weekday() < 5 and 9 <= local.hour < 17


def in_business_hours(random: Random) -> Life:
    """Succeed every 2 minutes while offices are open."""
    return filter(open_at, every(2 * MINUTE)(random))


def at_random_in_business_hours(random: Random) -> Life:
    """Succeed at random while offices are open, every 2 minutes on average."""
    return filter(open_at, at_random(2 * MINUTE)(random))


def with_quiet_weekends(random: Random) -> Life:
    """Succeed every 2 minutes, at weekends every half an hour."""
    last = 0.0
    for at in every(2 * MINUTE)(random):
        weekend = datetime.fromtimestamp(at, PLACE).weekday() >= 5
        if not weekend or at - last > random.uniform(20, 40) * MINUTE:
            last = at
            yield at


def twice_a_day(random: Random) -> Life:
    """Succeed about 9:00 and about 16:00 by the clock on the wall."""
    day = datetime.fromtimestamp(BEGIN, PLACE).replace(hour=0)
    while True:
        for hour in (9, 16):
            yield day.replace(hour=hour).timestamp() + random.gauss(0, 5 * MINUTE)
        day += timedelta(days=1)


def on_events(random: Random) -> Life:
    """Be silent for days, then do a few or many things within the hour."""
    at = BEGIN
    while True:
        at += random.expovariate(1 / (5 * DAY))
        for _ in range(random.randint(1, 30)):
            at += random.expovariate(1 / (2 * MINUTE))
            yield at


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("every 2 min", every(2 * MINUTE)),
        Kind("every 10 s, bursts", in_bursts),
        Kind("twice a day", twice_a_day),
        Kind("every 2 min in business hours", in_business_hours),
        Kind("every 2 min, quiet weekends", with_quiet_weekends),
        Kind("random, 2 min", at_random(2 * MINUTE)),
        Kind("random, 2 min, in business hours", at_random_in_business_hours),
        Kind("random, 30 min", at_random(30 * MINUTE)),
        Kind("random, 6 h", at_random(6 * HOUR)),
        Kind("event-driven", on_events, event_driven=True),
    )
}


def healthy(kind: Kind, random: Random, until: float) -> Iterator[float]:
    """Yield when it succeeds up to *until*; once a week it is deployed and does nothing for some minutes."""
    deploy, pause = BEGIN, 0.0
    for at in takewhile(lambda at: at < until, kind.lives(random)):
        if at > deploy + pause:
            deploy, pause = at + random.uniform(5, 9) * DAY, random.uniform(2, 8) * MINUTE
        if not deploy < at < deploy + pause:
            yield at
