"""Who may have to hear of an alert, and at what pace: routes, escalations and the receivers' habits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from watchdog.alerts import Flapping
from watchdog.model import Labels
from watchdog.muting import Maintenance
from watchdog.rules import ZERO
from watchdog.topology import Needs

REPEAT_INTERVAL = timedelta(hours=4)
"""How often one is reminded of what goes on (as Alertmanager's default)."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a new group is gathered, how often it may speak, and when it reminds (as in Alertmanager)."""

    group_wait: timedelta = ZERO
    group_interval: timedelta = ZERO
    repeat_interval: timedelta = REPEAT_INTERVAL


@dataclass(frozen=True, slots=True)
class Escalation:
    """Whom to tell as well of what nobody has acknowledged *after* a while."""

    after: timedelta
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """Alerts whose labels are among *match* go to the receivers *to*; the first that matches wins."""

    to: tuple[str, ...]
    match: Mapping[str, frozenset[str]] = field(default_factory=dict)
    go_on: bool = False
    pace: Pace = Pace()
    escalations: tuple[Escalation, ...] = ()

    def takes(self, labels: Labels) -> bool:
        """Say whether an alert with *labels* takes this route."""
        return all(labels.get(name) in allowed for name, allowed in self.match.items())


def routes_of(labels: Labels, routes: Iterable[Route]) -> Iterator[Route]:
    """Yield the routes an alert with *labels* takes."""
    for route in routes:
        if route.takes(labels):
            yield route
            if not route.go_on:
                return


@dataclass(frozen=True, slots=True)
class Habit:
    """
    How a kind of receiver wants to be told.

    *resend* is how often it must be told again that an alert goes on, since it forgets otherwise;
    such a receiver does its own grouping. *hears_acks* says that it can show an acknowledgement.
    """

    resend: timedelta | None = None
    hears_acks: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """What rules.yaml says about telling."""

    routes: tuple[Route, ...]
    needs: Needs
    receivers: Mapping[str, Habit]
    flapping: Flapping | None = None
    maintenance: tuple[Maintenance, ...] = ()

    @property
    def longest_wait(self) -> timedelta:
        """Return for how long a message may wait for its group at most."""
        return max((max(r.pace.group_wait, r.pace.group_interval) for r in self.routes), default=ZERO)
