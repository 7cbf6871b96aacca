"""The status page: is the pipeline working, since when not, who is the cause, and what is to be done."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from watchdog.alerts import failing
from watchdog.model import Reading, SignalKey
from watchdog.report import RANK, Snapshot, Status
from watchdog.sidecar import Sidecar
from watchdog.topology import Needs, affected, inverted
from watchdog.trends import STEP, Line
from watchdog.web.pages.alerting import blocks_of, counted
from watchdog.web.pages.cards import Figure, figures_of
from watchdog.web.pages.graph import graph_of
from watchdog.web.pages.headline import Headline, headline_of, not_looking
from watchdog.web.pages.live import Parts
from watchdog.web.pages.rendering import address, render
from watchdog.web.views import alert_view, receivers_json

ALL_CARDS = 12
"""Up to so many services each has a card; of more only those that are not fine."""
MOST_CARDS = 24
OPEN_ROWS = 60
"""So many services stand in an open list; more are folded."""
MOST_DRAWN = 24
"""Up to so many services are all drawn; of more only those that are broken or blocked, at most so many."""
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
COLUMNS = (
    ("last success", ("last success", "newest entry", "heartbeat")),
    ("in", ("offered", "read")),
    ("out", ("succeeded", "added")),
    ("waiting", ("waiting",)),
)
"""What a service shows where it has one line only: of each the first figure that it has."""
ROW_KINDS = frozenset({"executions", "stream", "heartbeat", "consumes"})
ROW_LINES = frozenset({"offered", "read", "succeeded", "added"})
"""The signals, and the curves, from which these figures come; with hundreds of services no more is asked."""


@dataclass(frozen=True, slots=True)
class Card:
    """One service as it stands: *since* when, *cause* if another one explains it, *why* in words."""

    name: str
    status: Status
    since: datetime | None
    cause: str
    why: str
    figures: tuple[Figure, ...]

    @property
    def id(self) -> str:
        """Return the id of its element."""
        return f"service-{address(self.name)}"

    @property
    def tall(self) -> list[Figure]:
        """Return the figures that have a line each: those that have a curve, or are not fine."""
        return [figure for figure in self.figures if figure.stands_out]

    @property
    def flat(self) -> list[Figure]:
        """Return the figures that share a line."""
        return [figure for figure in self.figures if not figure.stands_out]

    @property
    def columns(self) -> list[Figure | None]:
        """Return the figures that stand in its line of a table."""
        by_name = {figure.name: figure for figure in reversed(self.figures)}
        return [next((by_name[n] for n in names if n in by_name), None) for _, names in COLUMNS]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something is unknown, and of whom."""

    why: str
    services: tuple[str, ...]
    signals: int


class Overview:
    """Draws the status page of *sidecar*; what shows the same as before is not written anew."""

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar
        self._written: dict[str, tuple[object, str]] = {}
        self._lines: dict[tuple[SignalKey, str], Line | None] = {}
        self._step = 0
        self.first = not_looking(None)

    def draw(self, now: datetime, only: Status | None = None) -> Parts:
        """Return the page in parts, with services that stand as *only* says."""
        latest = self._sidecar.latest
        assert latest is not None
        troubles = self._troubles(latest)
        standing = latest.services
        shown = [name for name in sorted(standing, key=_rank(standing)) if only in (None, standing[name])]
        ill = [name for name in shown if standing[name] is not Status.OK][:MOST_CARDS]
        split = len(shown) if len(shown) <= ALL_CARDS else len(ill)
        cards = self._cards(latest, troubles, shown, split)
        tall, flat = cards[:split], cards[split:]
        self.first = self._headline(latest, troubles, now)
        blocks, more = blocks_of(latest.notices, alert_view(self._sidecar, now))
        html = {
            "headline": self._write("headline", self.first),
            "graph": self._write("graph", self._graph(latest), "_graph_part.html"),
            "alerts-head": self._write("alerts-head", (counted(latest.notices), more)),
            **{block.id: self._write(block.id, block, "_alert.html") for block in blocks},
            "services-head": self._write("services-head", (_counts(standing), len(flat), only)),
            **{card.id: self._write(card.id, card, "_card.html") for card in tall},
            **{card.id: self._write(f"row-{card.id}", card, "_row.html") for card in flat},
            "ended": self._write("ended", [n for n in latest.notices if n.resolved]),
            "unknown": self._write("unknown", troubles),
            "wishes": self._write("wishes", self._wishes(now)),
            "receivers": self._write("receivers", receivers_json(self._sidecar)),
            "itself": self._write("itself", self._itself(latest)),
        }
        self._written = {id_: self._written[id_] for id_ in self._written if id_.removeprefix("row-") in html}
        lists = {
            "alerts": [block.id for block in blocks],
            "cards": [card.id for card in tall],
            "rows": [card.id for card in flat],
        }
        return Parts(html, lists)

    def _write(self, id_: str, shown: Any, template: str = "") -> str:
        """Return the part *id_*, written only if *shown* is not what it showed before."""
        known = self._written.get(id_)
        if known is not None and known[0] == shown:
            return known[1]
        html = render(template or f"_{id_.replace('-', '_')}.html", {"shown": shown})
        self._written[id_] = shown, html
        return html

    # ---- what is shown ---------------------------------------------------------------------------

    def _headline(self, latest: Snapshot, troubles: Sequence[Trouble], now: datetime) -> Headline:
        sidecar = self._sidecar
        if not sidecar.fitness.fresh(now):
            return not_looking(sidecar.pulse.last_tick)
        changed, started = sidecar.timeline.since(), sidecar.pulse.started_at
        needs = sidecar.config.policy.needs
        return headline_of(latest, needs, changed, started, [trouble.why for trouble in troubles])

    def _graph(self, latest: Snapshot) -> object:
        """Return the drawing and what is left out; nothing where nobody needs anybody."""
        needs, ill = self._sidecar.config.policy.needs, failing(self._sidecar.alerts)
        linked = {name for who, needed in needs.items() if needed for name in (who, *needed)}
        shown = linked if len(linked) <= MOST_DRAWN else set(_concerned(latest.services, needs, ill))
        if not shown:
            return None
        services = {name: status for name, status in latest.services.items() if name in shown}
        among = {name: [other for other in needs.get(name, ()) if other in shown] for name in services}
        drawn = graph_of(services, among, ill)
        # who stands alone stands among the services below
        return (replace(drawn, apart=()), len(linked) - len(drawn.nodes)) if drawn.nodes else None

    def _cards(
        self, latest: Snapshot, troubles: Sequence[Trouble], names: Sequence[str], split: int
    ) -> list[Card]:
        """Return the services *names*; those from *split* on have one line only."""
        reasons: dict[str, str] = {}
        causes: dict[str, str] = {}
        for notice in latest.notices:
            if not notice.resolved:
                reasons.setdefault(notice.alert.service, notice.alert.summary)
                causes[notice.alert.service] = notice.cause or ""
        for trouble in troubles:
            for service in trouble.services:
                reasons.setdefault(service, trouble.why)
        step = int(latest.at.timestamp() // STEP.total_seconds())
        if step != self._step:
            self._step = step
            self._lines.clear()
        return [
            self._card(latest, name, causes.get(name, ""), reasons.get(name, ""), flat=i >= split)
            for i, name in enumerate(names)
        ]

    def _card(self, latest: Snapshot, name: str, cause: str, why: str, *, flat: bool) -> Card:
        status, reports = latest.services[name], latest.of_service(name)
        if flat:
            reports = [report for report in reports if report.reading.signal.kind in ROW_KINDS]
        figures = figures_of(reports, self._row_line if flat else self._line, latest.at)
        if status is Status.OK:
            return Card(name, status, None, cause, "", figures)
        return Card(name, status, self._sidecar.timeline.since(name), cause, why, figures)

    def _row_line(self, key: SignalKey, measure: str) -> Line | None:
        """Return a curve from which a figure of a row comes; the row itself shows none."""
        return self._line(key, measure) if measure in ROW_LINES else None

    def _line(self, key: SignalKey, measure: str) -> Line | None:
        """Return a curve; they have new points once a step."""
        wanted = key, measure
        if wanted not in self._lines:
            self._lines[wanted] = self._sidecar.trends.line(key, measure)
        return self._lines[wanted]

    def _troubles(self, latest: Snapshot) -> list[Trouble]:
        """Return what is unknown by its reason: a server that is away is one, whatever is read from it."""
        history = self._sidecar.history
        found: dict[str, list[str]] = {}
        for key in history.unknown:
            found.setdefault(why_unknown(history.latest[key]), []).append(key.service)
        for key in self._sidecar.fleet.figures:
            if key not in latest.signals:
                found.setdefault("not looked at yet", []).append(key.service)
        for service, watched in self._sidecar.fleet.services.items():
            if not watched:
                found.setdefault("nothing is looked at (give it a signal in rules.yaml)", []).append(service)
        return [Trouble(why, tuple(dict.fromkeys(who)), len(who)) for why, who in found.items()]

    def _wishes(self, now: datetime) -> Mapping[str, Any]:
        sidecar = self._sidecar
        silences = [s for s in sidecar.wishes.silences.values() if s.ends_at > now]
        windows = [window for window in sidecar.config.policy.maintenance if window.active(now)]
        ahead = {silence.id for silence in silences if silence.starts_at > now}
        silences.sort(key=lambda silence: silence.ends_at)
        return {"silences": silences, "windows": windows, "ahead": ahead}

    def _itself(self, latest: Snapshot) -> Mapping[str, Any]:
        """Return how the watchdog fares, in figures that rest while it is well."""
        sidecar = self._sidecar
        pulse = sidecar.pulse
        waiting = sum(sidecar.outbox.depth(name) for name in sidecar.config.receivers)
        return {
            "why": sidecar.fitness.why_not_ready(sidecar.clock()),
            "every": sidecar.config.every,
            "started": pulse.started_at,
            "slowest": _rounded(pulse.slowest_tick_seconds),
            "failed": pulse.failed_ticks,
            "waiting": waiting,
            "signals": len(sidecar.fleet.signals),
            "services": len(latest.services),
            "file": sidecar.config.path,
            "loading": sidecar.loading,
            "shard": sidecar.config.shard,
            "discovers": bool(sidecar.config.discover),
            "elsewhere": len(sidecar.config.elsewhere),
        }


def _concerned(services: Mapping[str, Status], needs: Needs, ill: Collection[str]) -> Iterator[str]:
    """Yield the first services that are not fine, each after what blocks it and before what it blocks."""
    needed_by, found = inverted(needs), dict[str, None]()
    for name in sorted(services, key=lambda name: (name not in ill, RANK[services[name]])):
        if services[name] is not Status.OK or name in ill:
            found |= dict.fromkeys([name, *(affected(name, needed_by) if name in ill else ())])
        if len(found) >= MOST_DRAWN:
            break
    yield from list(found)[:MOST_DRAWN]


def _rounded(seconds: float) -> timedelta:
    """Return *seconds* upwards to one of few steps, so that it does not change all the time."""
    return timedelta(seconds=next((step for step in STEPS if seconds <= step), round(seconds + 0.5)))


def _rank(standing: Mapping[str, Status]) -> Callable[[str], int]:
    """Return the order of services: the worst first, otherwise as in the file."""
    return lambda name: RANK[standing[name]]


def _counts(standing: Mapping[str, Status]) -> tuple[tuple[Status, int], ...]:
    found = list(standing.values())
    return tuple((status, found.count(status)) for status in Status if status in found)


def why_unknown(reading: Reading) -> str:
    """Say in one sentence why a signal is unknown."""
    missing = [*reading.gaps, *(name for name, held in reading.values.items() if held is None)]
    what = f"no value of {', '.join(missing)}" if missing else "nothing is told"
    return reading.trouble or f"{reading.signal.kind}: {what}"
