"""How the sidecar itself is doing: what it counts, and what it logs of its own decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from watchdog.alerts import Alert
from watchdog.history import History
from watchdog.model import Labels
from watchdog.notifications import Reason
from watchdog.telling import Decision, Ticket
from watchdog.vigil import Signs

MOST_LOGGED = 20
"""So many fingerprints stand in one line of the log."""
log = structlog.get_logger()


@dataclass(slots=True)
class Pulse:
    """How the sidecar itself is doing."""

    started_at: datetime
    ticks: int = 0
    failed_ticks: int = 0
    last_tick: datetime | None = None
    tick_seconds: float = 0.0
    slowest_tick_seconds: float = 0.0
    spent_seconds: float = 0.0
    collect_failures: dict[tuple[str, str], int] = field(default_factory=dict)
    state_failures: int = 0
    decisions: Counter[tuple[str, str]] = field(default_factory=Counter)
    signs: Signs = field(default_factory=Counter)
    exported: Counter[str] = field(default_factory=Counter)  # traces, by what became of them

    def note_tick(self, now: datetime, took: float) -> None:
        """Count a tick of *now* that went well, and *took* so many seconds."""
        self.ticks += 1
        self.last_tick = now
        self.tick_seconds = took
        self.spent_seconds += took
        self.slowest_tick_seconds = max(took, self.slowest_tick_seconds)

    def note_unknown(self, history: History) -> None:
        """Count every signal that has no answer at this tick."""
        for key in history.unknown:
            reading = history.latest[key]
            if reading.trouble is not None:
                reason = "source_down" if reading.down else "no_answer"
                ticket = (reading.signal.kind, reason)
                self.collect_failures[ticket] = self.collect_failures.get(ticket, 0) + 1

    def note_reasons(self, decision: Decision, before: Mapping[Ticket, Reason]) -> None:
        """Count and log every decision that is not the one of the tick *before*."""
        changed: dict[tuple[str, str], list[str]] = {}
        for (name, fingerprint), reason in decision.reasons.items():
            if before.get((name, fingerprint)) is not reason:
                changed.setdefault((name, str(reason)), []).append(fingerprint)
        for (name, why), marks in changed.items():
            self.decisions[name, why] += len(marks)
            log.info("decision", receiver=name, reason=why, count=len(marks), alerts=marks[:MOST_LOGGED])
        for message in decision.notifications:
            if message.waits is not None:
                self.decisions[message.receiver, str(message.waits)] += 1
                until = message.due.isoformat()
                log.info("decision", receiver=message.receiver, reason=str(message.waits), until=until)


def log_changes(before: Mapping[Labels, Alert], after: Mapping[Labels, Alert]) -> None:
    """Log every alert that is not in the state it was in."""
    for labels, alert in after.items():
        was = before.get(labels)
        if was is None or was.state is not alert.state:
            log.info(
                "alert",
                state=str(alert.state),
                was=str(was.state) if was else "inactive",
                **labels,
                summary=alert.summary,
                **({"ended": alert.ended} if alert.ended else {}),
            )
