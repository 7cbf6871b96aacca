"""The page of one service: how it stands and why, what it needs, every measure, and what happened."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from watchdog.alerts import failing
from watchdog.conditions import suggest
from watchdog.muting import Silence
from watchdog.notifications import Notice
from watchdog.report import OF_SEVERITY, RANK, SignalReport, Snapshot, Status, worst
from watchdog.sidecar import Sidecar
from watchdog.topology import Needs, affected, inverted, upstream
from watchdog.web.pages.alerting import MOST_ALERTS, Entry, best_first, entry_of
from watchdog.web.pages.cards import moment_of
from watchdog.web.pages.days import Day, days_of
from watchdog.web.pages.graph import Graph, graph_of
from watchdog.web.pages.headline import VERDICTS, Success, not_looking
from watchdog.web.pages.live import Live, Parts
from watchdog.web.pages.overview import why_unknown
from watchdog.web.pages.rendering import REFRESH, SOON, address, environment, page, render, templates_read
from watchdog.web.pages.signals import SignalCard, signal_card
from watchdog.web.pages.strip import Strip, strip_of
from watchdog.web.views import alert_view

DAY = timedelta(days=1)
FORTNIGHT = timedelta(days=14)
MOST_SIGNALS = 30
"""So many signals are shown whole, the worst; one service may have thousands that were discovered."""
MOST_NAMED = 300
"""So many more are named."""
EVENTS = 200
"""So many events are shown, the newest."""

# ---- what is shown -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Headline:
    """How the service stands: since when (None: as long as anybody looked), why, and what follows from it."""

    name: str
    status: Status
    words: str
    since: datetime | None
    looked_since: datetime
    why: str
    cause: str | None = None
    blocks: tuple[str, ...] = ()
    success: Success | None = None
    stale: bool = False

    @property
    def spoken(self) -> str:
        """Return what a screen reader is told when it changes; figures that count on are not in it."""
        cause = f", cause: {self.cause}" if self.cause else ""
        return f"{self.name}: {self.words}{cause}"


@dataclass(frozen=True, slots=True)
class Page:
    """All of it."""

    headline: Headline
    graph: Graph | None
    needs: tuple[tuple[str, Status | None], ...]
    needed_by: tuple[tuple[str, Status | None], ...]
    alerts: tuple[Entry, ...]
    ended: tuple[Entry, ...]
    silences: tuple[tuple[Silence, bool], ...]
    strips: tuple[Strip, ...]
    more_alerts: int
    signals: tuple[SignalCard, ...]
    named: tuple[tuple[Status, str, str], ...]
    more_signals: int
    days: tuple[Day, ...]
    earlier: int
    commands: tuple[str, ...]


def page_of(sidecar: Sidecar, latest: Snapshot, name: str, now: datetime) -> Page:
    """Return what the page of the service *name* shows of *latest* at *now*."""
    needs, services = sidecar.config.policy.needs, latest.services
    needed_by = inverted(needs)
    notices = best_first([notice for notice in latest.notices if notice.alert.service == name])
    view = alert_view(sidecar, now)
    entries = [entry_of(notice, view) for notice in notices[:MOST_ALERTS]]
    reports = _worst_first(latest, name)
    named = reports[MOST_SIGNALS:][:MOST_NAMED]
    graph = _around(name, needs, needed_by, services, failing(sidecar.alerts))
    events = sidecar.timeline.of(name)
    return Page(
        _headline(sidecar, latest, name, notices, graph)
        if sidecar.fitness.fresh(now)
        else _not_looking(sidecar, name),
        graph,
        tuple((other, services.get(other)) for other in needs.get(name, ())),
        tuple((other, services.get(other)) for other in needed_by.get(name, ())),
        tuple(entry for entry in entries if not entry.notice.resolved),
        tuple(entry for entry in entries if entry.notice.resolved),
        tuple(_silences(sidecar.wishes.silences.values(), name, notices, now)),
        tuple(
            strip_of(sidecar.timeline.spans(name, now - span, now), now - span, now)
            for span in (DAY, FORTNIGHT)
        ),
        len(notices) - len(entries),
        tuple(signal_card(report, sidecar, latest.at) for report in reports[:MOST_SIGNALS]),
        tuple((r.status, r.reading.signal.kind, " ".join(r.reading.signal.labels.values())) for r in named),
        max(0, len(reports) - MOST_SIGNALS - len(named)),
        tuple(days_of(events[:EVENTS])),
        max(0, len(events) - EVENTS),
        (f"watchdog silence add {shlex.quote(f'service={name}')} --for 2h --comment 'why'",),
    )


def status_of(latest: Snapshot, name: str) -> Status | None:
    """Return how the service *name* stands, the watchdog's own included; None if there is none."""
    reports = latest.of_service(name)
    if name in latest.services or not reports:
        return latest.services.get(name)
    return worst(report.status for report in reports)


def _worst_first(latest: Snapshot, name: str) -> list[SignalReport]:
    """Return the signals of *name*, those first with which something is wrong, then in the file's order."""
    return sorted(latest.of_service(name), key=lambda report: RANK[report.status])


def _headline(
    sidecar: Sidecar, latest: Snapshot, name: str, notices: Sequence[Notice], graph: Graph | None
) -> Headline:
    status = status_of(latest, name) or Status.UNKNOWN
    leading = [n.alert for n in notices if not n.resolved and OF_SEVERITY[n.alert.severity] is status]
    unseen = [r for r in latest.of_service(name) if r.status is Status.UNKNOWN]
    why = leading[0].summary if leading else ""
    if status is Status.UNKNOWN:
        why = next((why_unknown(r.reading) for r in unseen), "nothing of it is looked at")
    node = next((node for node in graph.nodes if node.name == name), None) if graph else None
    blocks = [other.name for other in graph.nodes if other.blocked_by == name] if graph else []
    blocked = node is not None and node.blocked_by is not None and status in (Status.OK, Status.WARNING)
    return Headline(
        name,
        status,
        VERDICTS[status] + (", but blocked" if blocked else ""),
        sidecar.timeline.since(name),
        sidecar.pulse.started_at,
        why,
        node.blocked_by if node else None,
        tuple(blocks),
        _success(latest, name),
    )


def _success(latest: Snapshot, name: str) -> Success | None:
    """Return when the service *name* last did its work, None if that is not looked at."""
    found = [r for r in latest.of_service(name) if r.reading.signal.kind == "executions"]
    if not found or found[0].reading.trouble is not None:
        return None
    since, at_least = moment_of(found[0].reading.values.get("age"), latest.at)
    return Success(name, since, at_least)


def _not_looking(sidecar: Sidecar, name: str) -> Headline:
    """Return what is told while there are no looks."""
    told = not_looking(sidecar.pulse.last_tick)
    started = sidecar.pulse.started_at
    return Headline(name, told.status, told.verdict, told.since, started, told.sentence, stale=True)


def _around(
    name: str, needs: Needs, needed_by: Needs, services: Mapping[str, Status], ill: frozenset[str]
) -> Graph | None:
    """Return the graph of what *name* needs and who needs it, directly or not; None if it stands alone."""
    related = {*upstream(name, needs), *affected(name, needed_by)}
    if not related:
        return None
    near = {name, *related}
    return graph_of(
        {other: status for other, status in services.items() if other in near},
        {other: needed for other, needed in needs.items() if other in {name, *upstream(name, needs)}}
        | {other: [n for n in needs.get(other, ()) if n in near] for other in affected(name, needed_by)},
        ill,
    )


# ---- alerts and silences -----------------------------------------------------------------------


def _silences(
    silences: Iterable[Silence], name: str, notices: Sequence[Notice], now: datetime
) -> Iterator[tuple[Silence, bool]]:
    """Yield the silences that hold back something of *name*, or name it; and whether they hold already."""
    for silence in silences:
        named = [matcher for matcher in silence.matchers if matcher.name == "service"]
        meant = bool(named) and all(matcher.matches({"service": name}) for matcher in named)
        hits = any(silence.matches(n.alert.labels) for n in notices if not n.resolved)
        if now < silence.ends_at and (meant or hits):
            yield silence, silence.active(now)


# ---- the page ----------------------------------------------------------------------------------


def parts_of(found: Page) -> Parts:
    """Return the page *found* in parts, each by the id of its element."""
    name = found.headline.name
    html = {
        "headline": _written("headline", found.headline),
        "around": _written("around", found.graph, name, found.needs, found.needed_by),
        "alerts": str(_macros().alerts(found)),
        "strips": str(_macros().strips(found.strips)),
        "silences": str(_macros().silences(found)),
        "more-signals": str(_macros().more_signals(found)),
        "timeline": _written("timeline", found.days, found.earlier),
    }
    signals = {card.id: str(_macros().signal(card)) for card in found.signals}
    return Parts(html | signals, {"signals": tuple(signals)})


def _macros() -> Any:
    return environment().get_template("_service.html").module


@lru_cache(maxsize=128)
def _written(part: str, *shown: object) -> str:
    """Return *part* as HTML; what shows the same as at the look before is not written anew."""
    return str(getattr(_macros(), part)(*shown))


def service_routes(sidecar: Sidecar, live: Live) -> list[Route]:
    """Return the route of the services' pages."""

    async def service(request: Request) -> Response:
        await templates_read()
        name, now = request.path_params["name"], sidecar.clock()
        latest, fresh = sidecar.latest, sidecar.fitness.fresh(now)
        frame = {"now": now, "status": Status.UNKNOWN, "stale": False, "live": "", "seen": "", "refresh": 0}
        if latest is None:
            return page(render("starting.html", {**frame, "refresh": SOON}), now, 503)
        status = status_of(latest, name)
        if status is None:
            shard, number = sidecar.config.shard, sidecar.config.elsewhere.get(name)
            cure = suggest(name, latest.services)
            if shard is not None and number is not None:
                cure = f"shard {number} of {shard.of} watches it"
            return page(render("service_missing.html", {**frame, "name": name, "cure": cure}), now, 404)
        path = f"/services/{address(name)}"
        board = live.board(path, lambda now: parts_of(_page_now(sidecar, name, now)))
        shown = {
            "name": name,
            "status": status if fresh else Status.UNKNOWN,
            "words": VERDICTS[status] if fresh else "Unknown",
            "grafana": sidecar.config.links.dashboard(name),
            "parts": board.parts.html,
            "signals": board.parts.lists["signals"],
            "live": path,
            "seen": board.mark,
            "refresh": REFRESH,
            "stale": not fresh,
        }
        return page(render("service.html", {**frame, **shown}), now)

    return [Route("/services/{name:path}", service)]


def _page_now(sidecar: Sidecar, name: str, now: datetime) -> Page:
    assert sidecar.latest is not None, "a page is first drawn for who asked after a look"
    return page_of(sidecar, sidecar.latest, name, now)
