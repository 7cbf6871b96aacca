"""What rules.yaml says about telling: routes, escalations, maintenance windows and reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from watchdog.alerts import Flapping
from watchdog.conditions import suggest
from watchdog.muting import Maintenance
from watchdog.notifiers.base import Notifier
from watchdog.problems import Findings
from watchdog.routing import Escalation, Pace, Policy, Route
from watchdog.rules import Severity
from watchdog.schedule import Schedule

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What is told again and again though nothing is wrong: *what* to whom, and when."""

    what: str
    to: tuple[str, ...]
    schedule: Schedule

    @property
    def name(self) -> str:
        """Return what tells it from other reports."""
        return f"{self.what} {self.schedule.cron} {self.schedule.time_zone} {' '.join(self.to)}"


@dataclass(frozen=True, slots=True)
class Audience:
    """Reads these parts of a file whose shape is right; what is wrong goes into *findings*."""

    model: Any
    findings: Findings
    broken: frozenset[Path]
    known: Mapping[str, Sequence[str]]
    """The labels one may match, and the values an alert can have for them."""
    receivers: Sequence[str]

    def policy(self, notifiers: Mapping[str, Notifier], warnings: list[str]) -> Policy:
        """Return who is told what; *warnings* gets what is no error."""
        if not self.receivers:
            warnings.append("no receivers: alerts are shown and exported, but nobody is told")
        telling = self.model.notifications
        flapping = telling.flapping
        policy = Policy(
            self._routes(),
            {name: service.needs for name, service in self.model.services.items()},
            {name: notifier.habit for name, notifier in notifiers.items()},
            flapping and Flapping(flapping.times, flapping.within, flapping.steady),
            tuple(self._maintenance()),
        )
        told = {name for route in policy.routes for name in route.to}
        told |= {name for route in policy.routes for e in route.escalations for name in e.to}
        told |= {name for report in self.model.reports for name in report.to}
        warnings += [
            f'receiver "{name}" is not used by any route' for name in self.receivers if name not in told
        ]
        return policy

    def _routes(self) -> tuple[Route, ...]:
        routes: list[Route] = []
        caught_by: int | None = None
        for i, model in enumerate(self.model.routes):
            path = ("routes", i)
            if path in self.broken:
                continue
            if caught_by is not None:
                self.findings.add(
                    path, f"is never reached: route {caught_by + 1} takes everything", "move it up"
                )
            self._check_receivers(model.to, (*path, "to"))
            for j, escalation in enumerate(model.escalate):
                self._check_receivers(escalation.to, (*path, "escalate", j, "to"))
            match = self._match(model, path)
            if not match and not model.go_on and caught_by is None:
                caught_by = i
            escalations = tuple(Escalation(e.after, e.to) for e in model.escalate)
            routes.append(Route(model.to, match, model.go_on, self._pace(model), escalations))
        if not routes and self.receivers and not self.model.routes:
            return (Route(tuple(self.receivers), pace=self._pace(None)),)
        return tuple(routes)

    def _pace(self, route: Any) -> Pace:
        """Return the pace of *route*: its own where it says so, else that of all."""

        def pace(name: str) -> timedelta:
            own: timedelta | None = getattr(route, name, None)
            everybodys: timedelta = getattr(self.model.notifications, name)
            return everybodys if own is None else own

        return Pace(pace("group_wait"), pace("group_interval"), pace("repeat_interval"))

    def _maintenance(self) -> Iterator[Maintenance]:
        for i, model in enumerate(self.model.maintenance):
            path = ("maintenance", i)
            if path not in self.broken:
                yield Maintenance(model.schedule, model.for_, self._match(model, path), model.reason)

    def reports(self) -> Iterator[Report]:
        """Yield the reports."""
        for i, model in enumerate(self.model.reports):
            path = ("reports", i)
            if path not in self.broken:
                self._check_receivers(model.to, (*path, "to"))
                yield Report(model.what, model.to, model.schedule)

    def _match(self, model: Any, path: Path) -> dict[str, frozenset[str]]:
        match: dict[str, frozenset[str]] = {}
        for label, allowed in self.known.items():
            wanted = getattr(model, label)
            if wanted is None:
                continue
            match[label] = frozenset(wanted)
            for name in wanted:
                if name not in allowed:
                    self.findings.add(
                        (*path, label), f'no alert has {label} "{name}"', suggest(name, allowed)
                    )
        return match

    def _check_receivers(self, names: Sequence[str], path: Path) -> None:
        for j, name in enumerate(names):
            if name not in self.receivers:
                cure = f"defined: {', '.join(sorted(self.receivers)) or 'none'}"
                self.findings.add((*path, j), f'receiver "{name}" is not defined', cure)


def labels_known(services: Sequence[str], rules: Sequence[str]) -> dict[str, Sequence[str]]:
    """Return the labels a route or window may match, each with the values there can be."""
    return {"severity": [str(s) for s in Severity], "service": services, "alertname": rules}
