"""Figures of what was seen, as people read them, and thresholds made of them."""

from __future__ import annotations

from datetime import datetime, timedelta

from watchdog.firstlook.seen import GroupSeen, StreamSeen
from watchdog.units import show_duration, write_duration

NICE = (
    *(5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900, 1200, 1800, 2700),
    *(
        3600,
        5400,
        7200,
        10800,
        14400,
        21600,
        28800,
        43200,
        64800,
        86400,
        129600,
        172800,
        259200,
        432000,
        604800,
    ),
)
SLACK = 2.0
"""A life that was seen to be 29 s is one of 30 s, and not one of 45 s for being a little over 30 s."""


def count_of(number: int, what: str) -> str:
    """Return how many of *what* there are: ``1 consumer``, ``1,204 entries``."""
    word, of, rest = what.partition(" of ")
    plural = f"{word[:-1]}ies" if word.endswith("ry") else f"{word}s"
    return f"{number:,} {word if number == 1 else plural}{of}{rest}"


def nice_above(span: timedelta, slack: float = 0.0) -> timedelta:
    """Return the next round duration that is not below *span*, *slack* seconds aside."""
    seconds = span.total_seconds() - slack
    return timedelta(seconds=next((n for n in NICE if n >= seconds), -(-seconds // 86400) * 86400))


def duration(span: timedelta) -> str:
    """Return *span* as rules.yaml writes it."""
    return write_duration(span)


def said(span: timedelta) -> str:
    """Return *span* as people say it."""
    return show_duration(span.total_seconds())


def traffic(stream: StreamSeen) -> str:
    """Say what came lately: ``902 entries in 15m, longest gap 5.1s``."""
    read, length = len(stream.entries), stream.facts.length
    if not length:
        return "empty"
    if not read:
        return f"{count_of(length, 'entry')}, which could not be read"
    newest = (
        f"the newest {read:,} of {count_of(length, 'entry')}" if read < length else count_of(length, "entry")
    )
    if read == 1:
        return newest
    return f"{newest} in {said(stream.span)}, longest gap {said(stream.longest_gap)}"


def silence(stream: StreamSeen, now: datetime) -> timedelta:
    """Return for how long nothing has been added to *stream*."""
    last = stream.facts.last
    return max(timedelta(0), now - last.at) if last is not None else timedelta(0)


def work(group: GroupSeen) -> str:
    """Say how a group stood: ``1 consumer, nothing waits``."""
    waits = group.facts.lag
    parts = [count_of(len(group.consumers), "consumer") if group.consumers else "no consumer seen"]
    parts.append("nothing waits" if waits == 0 else f"{waits:,} wait" if waits else "what waits is not told")
    if group.facts.pending:
        parts.append(f"{group.facts.pending:,} unacknowledged")
    return ", ".join(parts)
