"""
What people say to alerts: silences, acknowledgements and maintenance windows.

All of them hold back notifications, never evaluation and never the end of what was announced.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache

from watchdog.alerts import Alert
from watchdog.model import Labels
from watchdog.schedule import Schedule

KEEP_EXPIRED = timedelta(days=5)
"""How long a silence that ended can still be looked up (as Alertmanager's ``data.retention``)."""
_MATCHER = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)


@lru_cache(maxsize=1_024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label, as in Alertmanager: ``=``, ``!=``, ``=~`` or ``!~``; absent is empty."""

    name: str
    op: str
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether *labels* satisfy it; a pattern must match the whole value."""
        found = labels.get(self.name, "")
        if self.op in ("=", "!="):
            return (found == self.value) is (self.op == "=")
        return (_pattern(self.value).fullmatch(found) is not None) is (self.op == "=~")

    def __str__(self) -> str:
        return f'{self.name}{self.op}"{self.value}"'


def parse_matcher(text: str) -> Matcher:
    """Read ``service=execution`` or ``alertname=~"Heart.*"``; raise ValueError with the cure otherwise."""
    match = _MATCHER.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is not a matcher (write service=execution or alertname=~"Heart.*")')
    name, op, value = match.groups()
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    return checked_matcher(Matcher(name, op, value))


def checked_matcher(matcher: Matcher) -> Matcher:
    """Return *matcher*; raise ValueError if its pattern cannot be read."""
    if matcher.op in ("=~", "!~"):
        try:
            _pattern(matcher.value)
        except (re.error, OverflowError, RecursionError) as exc:
            raise ValueError(f'"{matcher.value}" is not a regular expression: {exc}') from exc
    return matcher


@dataclass(frozen=True, slots=True)
class Silence:
    """
    Somebody's wish not to hear of alerts until an end, and why.

    With *until_resolved* it ends early, once nothing of what it held back fires any more;
    *matched* remembers that something did.
    """

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str
    until_resolved: bool = False
    matched: bool = False

    def active(self, now: datetime) -> bool:
        """Say whether it holds at *now*."""
        return self.starts_at <= now < self.ends_at

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether an alert with *labels* is meant."""
        return all(matcher.matches(labels) for matcher in self.matchers)


@dataclass(frozen=True, slots=True)
class Ack:
    """Somebody has seen this firing of an alert: no reminders, no escalation, until it fires anew."""

    fingerprint: str
    fired_at: datetime
    at: datetime
    by: str
    comment: str = ""

    def holds(self, alert: Alert) -> bool:
        """Say whether it is about the present firing of *alert*."""
        return alert.firing and alert.fired_at == self.fired_at


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A window that comes again: from each moment of *schedule* on, for *length*."""

    schedule: Schedule
    length: timedelta
    match: Mapping[str, frozenset[str]]
    reason: str = ""

    def active(self, now: datetime) -> bool:
        """Say whether *now* lies in a window."""
        began = self.schedule.last(now)
        return began is not None and now < began + self.length

    def matches(self, labels: Labels) -> bool:
        """Say whether an alert with *labels* is meant."""
        return all(labels.get(name) in allowed for name, allowed in self.match.items())


def silenced(silences: Iterable[Silence], everything: Collection[Labels], now: datetime) -> set[Labels]:
    """
    Return those label sets of *everything* that some silence holds back at *now*.

    Where a silence names a label's value, only those that have it are looked at: there can be ten
    thousand alerts, and a silence for each of a hundred services.
    """
    found: set[Labels] = set()
    by_value: dict[str, dict[str, list[Labels]]] = {}
    for silence in silences:
        if not silence.active(now):
            continue
        candidates: Collection[Labels] = everything
        exact = next((m for m in silence.matchers if m.op == "=" and m.value), None)
        if exact is not None:
            if exact.name not in by_value:
                by_value[exact.name] = _by_value(everything, exact.name)
            candidates = by_value[exact.name].get(exact.value, ())
        found.update(labels for labels in candidates if silence.matches(labels))
    return found


def _by_value(everything: Iterable[Labels], name: str) -> dict[str, list[Labels]]:
    found: dict[str, list[Labels]] = {}
    for labels in everything:
        if name in labels:
            found.setdefault(labels[name], []).append(labels)
    return found


def settle(silences: Mapping[str, Silence], alerts: Iterable[Alert], now: datetime) -> dict[str, Silence]:
    """Return *silences* as they are at *now*: some end with their alerts, those of long ago are gone."""
    after = {id_: s for id_, s in silences.items() if now - s.ends_at < KEEP_EXPIRED}
    waiting = {id_: s for id_, s in after.items() if s.until_resolved and s.active(now)}
    if waiting:
        firing = [alert.labels for alert in alerts if alert.firing]
        for id_, silence in waiting.items():
            hit = any(silence.matches(labels) for labels in firing)
            if hit and not silence.matched:
                after[id_] = replace(silence, matched=True)
            elif silence.matched and not hit:
                after[id_] = replace(silence, ends_at=now)
    return after


def settle_acks(acks: Mapping[str, Ack], alerts: Iterable[Alert]) -> dict[str, Ack]:
    """Return those of *acks* (by fingerprint) whose firing goes on."""
    if not acks:
        return {}
    by_print = {alert.labels.fingerprint: alert for alert in alerts}
    return {mark: ack for mark, ack in acks.items() if mark in by_print and ack.holds(by_print[mark])}
