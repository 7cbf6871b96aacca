"""The alerts as a page shows them: causes first, what follows from them folded under them, and what to do."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from watchdog.builtin import RUNBOOKS
from watchdog.notifications import Notice
from watchdog.notifiers.text import EVIDENCE_LENGTH, LOOK, clip, telling, worded
from watchdog.report import OF_SEVERITY, Status
from watchdog.rules import Severity
from watchdog.runbooks import runbook_names
from watchdog.web.views import AlertView, ShownAlert

CULPRIT = "culprit"
"""The evidence that says what is to be mended."""
MOST_LINES = 8
"""So many lines of a list are shown."""
MOST_ALERTS = 30
MOST_SYMPTOMS = 20


@dataclass(frozen=True, slots=True)
class Proof:
    """The evidence by name, each in as many lines as it has parts; *look* are commands that show more."""

    told: tuple[tuple[str, tuple[str, ...]], ...]
    look: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """
    An alert with what people said to it, who was told, its evidence and what to do.

    *runbook* is the one that comes with the program, *advice* what the rule itself names instead.
    """

    notice: Notice
    shown: ShownAlert
    proof: Proof
    runbook: str
    advice: str
    commands: tuple[str, ...]

    @property
    def sign(self) -> str:
        """Return under which sign it stands."""
        status = OF_SEVERITY[self.notice.alert.severity]
        return "info" if status is Status.OK else str(status)


@dataclass(frozen=True, slots=True)
class Block:
    """What stands together: an alert that no other explains, and the symptoms of its service's fault."""

    entry: Entry
    symptoms: tuple[Notice, ...] = ()
    more: int = 0

    @property
    def id(self) -> str:
        """Return the id of its element."""
        return f"alert-{self.entry.notice.alert.labels.fingerprint}"


def entry_of(notice: Notice, view: AlertView) -> Entry:
    """Return *notice* as a page shows it."""
    alert = notice.alert
    return Entry(
        notice,
        view.show(notice),
        proof_of(telling(alert.evidence), alert.evidence.get(LOOK)),
        alert.name if alert.name in runbook_names() else "",
        "" if alert.runbook == f"{RUNBOOKS}/{alert.name}.md" else alert.runbook,
        tuple(commands_of(notice)),
    )


def proof_of(evidence: Mapping[str, object], look: object) -> Proof:
    """Return *evidence* in words, a line each part of it, and the commands of *look*."""
    told = tuple((name.replace("_", " "), _lines(found)) for name, found in evidence.items() if name != LOOK)
    return Proof(told, tuple(str(look).split("; ")) if look else ())


def _lines(found: object) -> tuple[str, ...]:
    parts = list(found) if isinstance(found, list | tuple) else [found]
    lines = [clip(worded(part), EVIDENCE_LENGTH) for part in parts[:MOST_LINES]]
    return (*lines, f"… and {len(parts) - MOST_LINES} more") if len(parts) > MOST_LINES else tuple(lines)


def told_best(notice: Notice) -> bool:
    """Say whether it names what is to be mended."""
    return CULPRIT in notice.alert.evidence


def commands_of(notice: Notice) -> Iterator[str]:
    """Yield what one can type, ready to be copied, whatever is in the names."""
    alert = notice.alert
    name, service = shlex.quote(alert.name), shlex.quote(alert.service)
    yield f"watchdog explain {name} --service {service}"
    if alert.firing:
        yield f"watchdog ack {name} --service {service} --comment 'looking at it'"
    matchers = " ".join(shlex.quote(f"{label}={alert.labels[label]}") for label in ("alertname", "service"))
    yield f"watchdog silence add {matchers} --for 2h --comment 'why'"


def blocks_of(notices: Sequence[Notice], view: AlertView) -> tuple[list[Block], int]:
    """Return the alerts that go on, symptoms under the first of their cause, and how many are left out."""
    active = best_first([notice for notice in notices if not notice.resolved])
    roots: dict[str, Notice] = {}
    for notice in active:
        if notice.cause is None and notice.alert.severity is Severity.CRITICAL:
            roots.setdefault(notice.alert.service, notice)
    under: dict[str, list[Notice]] = {}
    for notice in active:
        if notice.cause in roots:
            under.setdefault(notice.cause or "", []).append(notice)
    alone = [notice for notice in active if notice.cause not in roots]
    found = []
    for notice in alone[:MOST_ALERTS]:
        root = roots.get(notice.alert.service) is notice
        symptoms = under.get(notice.alert.service, []) if root else []
        more = max(0, len(symptoms) - MOST_SYMPTOMS)
        found.append(Block(entry_of(notice, view), tuple(symptoms[:MOST_SYMPTOMS]), more))
    return found, max(0, len(alone) - MOST_ALERTS)


def best_first(notices: Sequence[Notice]) -> list[Notice]:
    """Return *notices* as they are, but of a service's equally severe ones first that which says most."""
    places: dict[tuple[str, Severity], int] = {}
    for i, notice in enumerate(notices):
        places.setdefault((notice.alert.service, notice.alert.severity), i)
    return sorted(notices, key=lambda n: (places[n.alert.service, n.alert.severity], not told_best(n)))


def counted(notices: Iterable[Notice]) -> str:
    """Return in words how many alerts there are, by how much they matter."""
    found = [notice.alert.severity for notice in notices if not notice.resolved]
    return ", ".join(f"{found.count(s)} {s}" for s in Severity if s in found)
