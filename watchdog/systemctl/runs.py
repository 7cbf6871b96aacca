"""
How often a service was started again, and whether it ever gets anywhere.

A count in a window cannot tell a loop from bad luck: with RestartSec=10min a service that never starts is
restarted once in ten minutes. What tells a loop is that no run lasts. So the runs that systemd ended and
began again are counted in a row, and the row ends when a run gets further than those in it did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from watchdog.systemctl.show import NEVER, Properties, parse_span, parse_time

ENOUGH = 300.0
"""A run of so many seconds that ended well did its work: some services are made to end and begin anew."""

LASTING = 3600.0
"""A run of so many seconds has lasted, however it ended."""

ONLY_AFTER_FAILURE = ("on-failure", "on-abnormal", "on-abort", "on-watchdog")
START = ("ActiveEnterTimestamp", "InvocationID")


@dataclass(frozen=True, slots=True)
class Row:
    """Runs that failed one after the other: how many, and how many seconds the longest lasted."""

    runs: int = 0
    longest: float = 0.0

    def now(self, told: Properties, at: datetime) -> Row:
        """Return what is left of the row *at* a moment: nothing once the present run gets further."""
        began = _began(told)
        if not self.runs or told.get("ActiveState") != "active" or began is None:
            return self
        lasted = (at - began).total_seconds()
        return Row() if lasted > min(LASTING, max(ENOUGH, 2 * self.longest)) else self


def start_of(told: Properties) -> str:
    """
    Return a name for the unit's newest start, empty if none ever led to *active*.

    A oneshot job never gets there: it is not restarted but run again.
    """
    reached = told.get("ActiveEnterTimestamp", "")
    return "" if reached in NEVER else told.get("InvocationID") or reached


def with_start(told: Properties, before: Properties | None) -> Mapping[str, str]:
    """Return *told* with its start of *before* where systemd unloaded the unit and forgot it."""
    known = {name: (before or {}).get(name, "") for name in START} if not start_of(told) else {}
    return {**told, **known}


def restarts_between(before: Properties, after: Properties) -> int:
    """
    Return how often the unit was restarted between two answers, by systemd or by hand.

    Its first start is none, nor is one by its own timer or socket.
    """
    was, count = counted(before), counted(after)
    if count > was:
        return count - was
    starts = {start_of(before), start_of(after)} - {""}
    by_hand = len(starts) == 2 and not after.get("TriggeredBy")
    if count < was:  # reset, and counted anew since
        return count + by_hand
    restarting = before.get("SubState", "").startswith("auto-restart")
    return int(by_hand and not restarting)  # the counter moves first, the start follows


def counted(told: Properties) -> int:
    """Return how often systemd itself restarted it since somebody last started it."""
    text = told.get("NRestarts", "")
    return int(text) if text.isdecimal() else 0


def row_after(row: Row, before: Properties, after: Properties) -> Row:
    """
    Return the row of failed runs that *row* has become between two answers.

    A start by hand begins a new one: whoever repaired something starts it again.
    """
    was, count = counted(before), counted(after)
    gained = count - was
    if gained < 0 or (gained == 0 and restarts_between(before, after)):
        row, gained = Row(), max(0, count)
    if gained == 0:
        return row
    lasted = _lasted(before, after, gained)
    results = {told.get("Result", "success") for told in (before, after)}
    failed = after.get("Restart") in ONLY_AFTER_FAILURE or results != {"success"}
    if lasted >= (LASTING if failed else ENOUGH):
        return Row()
    return Row(row.runs + gained, max(row.longest, lasted))


def _lasted(before: Properties, after: Properties, gained: int) -> float:
    """Return how many seconds each of the *gained* runs lasted that ended between the two answers."""
    began, ended = _began(before), parse_time(before.get("ExecMainExitTimestamp", ""))
    if began is None:
        return 0.0
    if ended is not None and ended >= began and gained == 1:
        return (ended - began).total_seconds()
    next_began = _began(after)
    if next_began is None:
        return 0.0
    pause = parse_span(after.get("RestartUSec", "")) or 0.0
    return max(0.0, (next_began - began).total_seconds() / gained - pause)


def _began(told: Properties) -> datetime | None:
    return parse_time(told.get("ExecMainStartTimestamp", "")) or parse_time(
        told.get("ActiveEnterTimestamp", "")
    )
