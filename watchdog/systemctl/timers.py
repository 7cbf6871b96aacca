"""When a timer is to trigger, by its own schedule or by what the file expects of it, and when it did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from watchdog.model import AtLeast, Value
from watchdog.systemctl.show import Properties, parse_span, parse_time

PROPERTIES = "LastTriggerUSec,NextElapseUSecRealtime,NextElapseUSecMonotonic,AccuracyUSec"


@dataclass(frozen=True, slots=True)
class Moments:
    """The moment a timer last triggered, when it was started, and when it is to trigger next."""

    triggered: datetime | None
    began: datetime | None
    next: datetime | None

    @property
    def period(self) -> timedelta | None:
        """Return the time its schedule leaves between the last trigger, or its start, and the next."""
        since = self.triggered or self.began
        return self.next - since if self.next and since and self.next > since else None


def moments_of(told: Properties, now: datetime, uptime: float) -> Moments:
    """Read the moments; *uptime* is what the monotonic clock shows at *now*."""
    coming = [parse_time(told.get("NextElapseUSecRealtime", ""))]
    span = parse_span(told.get("NextElapseUSecMonotonic", ""))
    if span:
        coming.append(now + timedelta(seconds=span - uptime))
    return Moments(
        parse_time(told.get("LastTriggerUSec", "")),
        parse_time(told.get("ActiveEnterTimestamp", "")),
        min((moment for moment in coming if moment is not None), default=None),
    )


def timing(
    told: Properties, at: Moments, expected: timedelta | None, period: timedelta | None, now: datetime
) -> dict[str, Value]:
    """
    Return the measures of a timer; *period* is what its schedule last showed.

    One that never triggered since it became active is at least that late.
    """
    scheduled = _scheduled(told, at, expected)
    values: dict[str, Value] = {} if scheduled is None else {"scheduled": scheduled}
    if at.next is not None and told.get("SubState") == "waiting":
        slack = timedelta(seconds=parse_span(told.get("AccuracyUSec", "")) or 0.0)
        values["overdue"] = max(0.0, (now - at.next - slack).total_seconds())
    moment = at.triggered or at.began
    if moment is None:  # of one that is off it is known that it never did
        return values if told.get("ActiveState") == "inactive" else values | {"last_trigger": None}
    ago = max(0.0, (now - moment).total_seconds())
    values["last_trigger"] = ago if at.triggered else AtLeast(ago)
    if expected is not None:
        late = ago / expected.total_seconds()
        values["late"] = late if at.triggered else AtLeast(late)
    elif period is not None:
        values["late"] = ago / period.total_seconds()
    return values


def _scheduled(told: Properties, at: Moments, expected: timedelta | None) -> float | None:
    """Say whether a next trigger is set; None where none has to be: its only one was, or it is off."""
    if told.get("ActiveState") == "active":
        if at.next is not None or told.get("SubState") == "running":
            return 1.0
        done = at.triggered is not None and (at.began is None or at.triggered >= at.began)
        return None if done else 0.0
    switched_off = not told.get("UnitFileState", "").startswith("enabled")
    return 0.0 if switched_off and expected is not None and told.get("ActiveState") == "inactive" else None
