"""
What one wants to know first of a snapshot: does it work, since when not, why, and how each service stands.

Made of the snapshot as the API and `audit --format json` have it (SPEC §4), so that a look from
afar and one from here say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from watchdog.gauges import Body, Figure, figures, largest, why_unseen
from watchdog.report import RANK, Status
from watchdog.units import first_of, show_duration

WORDS = {
    Status.CRITICAL: "NOT WORKING",
    Status.UNKNOWN: "UNKNOWN",
    Status.WARNING: "WORKING, WITH WARNINGS",
    Status.OK: "WORKING",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One service: how it stands, the figures there are of it, and what is wrong with it in words."""

    service: str
    status: Status
    figures: Mapping[str, Figure]
    why: str


@dataclass(frozen=True, slots=True)
class Told:
    """An alert with those that it explains."""

    alert: Body
    symptoms: tuple[Body, ...] = ()


@dataclass(frozen=True, slots=True)
class Unseen:
    """What could not be told, and of which services."""

    why: str
    services: tuple[str, ...]
    signals: int


@dataclass(frozen=True, slots=True)
class Glance:
    """All of it; *lasted* is for how many seconds it has not worked, where that is known."""

    at: str
    status: Status
    sentence: str
    lasted: Figure | None
    affects: tuple[str, ...]
    told: tuple[Told, ...]
    ended: tuple[Body, ...]
    unseen: tuple[Unseen, ...]
    rows: tuple[Row, ...]

    def row(self, service: str) -> Row | None:
        """Return the row of *service*, if there is such a service."""
        return next((row for row in self.rows if row.service == service), None)

    @property
    def headline(self) -> str:
        """Return in one line whether it works, since when not, and why."""
        is_new = self.lasted is None or (self.lasted.number or 0) < 1  # an audit sees it for the first time
        lasted = "" if self.lasted is None or is_new else f" for {_spoken(self.lasted)}"
        blocked = f" (blocks {', '.join(self.affects)})" if self.affects else ""
        return f"{WORDS[self.status]}{lasted}: {self.sentence}{blocked}"

    @property
    def counts(self) -> str:
        """Return how many services stand how, the worst first."""
        standing = [row.status for row in self.rows]
        parts = [f"{standing.count(status)} {status}" for status in Status if status in standing]
        return f"{len(standing)} service{'s' if len(standing) != 1 else ''}: {', '.join(parts)}"


def glance(body: Body, alerts: Sequence[Body] | None = None, since: str | None = None) -> Glance:
    """
    Return what the snapshot *body* says.

    *alerts* are its alerts where more is known of them; *since* is when it came to stand as it stands.
    """
    known = body["alerts"] if alerts is None else alerts
    active = [alert for alert in known if alert["state"] != "resolved"]
    unseen = tuple(_unseen(body))
    rows = tuple(_rows(body, active))
    status = Status(body["status"])
    lead = _lead(status, active)
    return Glance(
        at=body["at"],
        status=status,
        sentence=lead["summary"] if lead else _sentence(status, rows, unseen),
        lasted=_lasted(lead, rows, body["at"]) if lead else _standing(since, body["at"]),
        affects=tuple(lead["affects"]) if lead else (),
        told=tuple(_folded(active)),
        ended=tuple(alert for alert in known if alert["state"] == "resolved"),
        unseen=unseen,
        rows=rows,
    )


def age(moment: str, now: str) -> str:
    """Return how long before *now* a *moment* was, both as in RFC 3339."""
    return show_duration(round(seconds_between(moment, now)))


def seconds_between(moment: str, now: str) -> float:
    """Return how many seconds a *moment* was before *now*, none if it was not."""
    lasted = datetime.fromisoformat(now) - datetime.fromisoformat(moment)
    return max(0.0, lasted.total_seconds())


# ---- the sentence ------------------------------------------------------------------------------


def _lead(status: Status, active: Iterable[Body]) -> Body | None:
    """Return the alert that says why *status* is what it is: one that no other explains, if there is."""
    meant = [alert for alert in active if alert["labels"]["severity"] == status]
    return min(meant, key=lambda alert: (alert["cause"] is not None, -len(alert["affects"])), default=None)


def _lasted(lead: Body, rows: Iterable[Row], now: str) -> Figure:
    """Return for how long it has been so: since the last success there, if that is longer ago."""
    hit = {lead["labels"]["service"], *lead["affects"]}
    broken = (
        row.figures.get("success") for row in rows if row.service in hit and row.status is Status.CRITICAL
    )
    known = Figure(seconds_between(lead["since"], now))
    return (
        largest([known, *(found for found in broken if found is not None and found.number is not None)])
        or known
    )


def _standing(since: str | None, now: str) -> Figure | None:
    return None if since is None else Figure(seconds_between(since, now))


def _spoken(lasted: Figure) -> str:
    return ("at least " if lasted.at_least else "") + show_duration(round(lasted.number or 0))


def _sentence(status: Status, rows: Sequence[Row], unseen: Sequence[Unseen]) -> str:
    """Say in words why it is so, where no alert does."""
    if status is Status.UNKNOWN and unseen:
        names = {service for one in unseen for service in one.services}
        return f"{first_of(sorted(names), 3)} cannot be told: {unseen[0].why}"
    if status is Status.UNKNOWN:
        return f"nothing is known of {first_of([r.service for r in rows if r.status is status], 3)}"
    ages = [(row.figures["success"].number, row.service) for row in rows if "success" in row.figures]
    seen = [(number, who) for number, who in ages if number is not None]
    if len(seen) > 1:
        who = ", ".join(name for _, name in seen) if len(seen) <= 3 else f"{len(seen)} services"
        return f"{who} succeeded in the last {show_duration(round(max(seen)[0]))}"
    if seen:
        return f"last success {show_duration(round(seen[0][0]))} ago ({seen[0][1]})"
    return "nothing is wrong" if not ages else "nothing is wrong; no success is known"


# ---- alerts and what is not known --------------------------------------------------------------


def _folded(active: Sequence[Body]) -> Iterator[Told]:
    """Yield the alerts in their order, symptoms under the first alert of the service that explains them."""
    roots: dict[str, Body] = {}
    for alert in active:
        if alert["cause"] is None:
            roots.setdefault(alert["labels"]["service"], alert)
    under: dict[str, list[Body]] = {}
    for alert in active:
        if alert["cause"] in roots:
            under.setdefault(alert["cause"], []).append(alert)
    for alert in active:
        service = alert["labels"]["service"]
        if alert["cause"] not in roots:
            yield Told(alert, tuple(under.get(service, ())) if roots.get(service) is alert else ())


def _unseen(body: Body) -> Iterator[Unseen]:
    """Yield what is unknown by its reason: a server that is away is one, whatever is read from it."""
    found: dict[str, list[str]] = {}
    for service, standing in body["services"].items():
        for signal in standing["signals"]:
            if signal["status"] == Status.UNKNOWN:
                found.setdefault(why_unseen(signal), []).append(service)
        if not standing["signals"]:
            found.setdefault("nothing is looked at (give it a signal in rules.yaml)", []).append(service)
    for why, services in found.items():
        yield Unseen(why, tuple(dict.fromkeys(services)), len(services))


# ---- services ----------------------------------------------------------------------------------


def _rows(body: Body, active: Sequence[Body]) -> Iterator[Row]:
    """Yield a row a service, the worst first, otherwise in the file's order."""
    reasons: dict[str, str] = {}
    for alert in active:
        cause = f" (cause: {alert['cause']})" if alert["cause"] else ""
        reasons.setdefault(alert["labels"]["service"], alert["summary"] + cause)
    standing = sorted(body["services"].items(), key=lambda item: RANK[Status(item[1]["status"])])
    for service, found in standing:
        signals = found["signals"]
        unknown = next((why_unseen(s) for s in signals if s["status"] == Status.UNKNOWN), "")
        yield Row(service, Status(found["status"]), figures(signals), reasons.get(service) or unknown)
