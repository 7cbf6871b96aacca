"""What the demo reports: what was broken, what should have been said, and what was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from watchdog.demo.faults import Fault
from watchdog.demo.inbox import Inbox
from watchdog.units import rfc3339


@dataclass(slots=True)
class Report:
    """What was broken, what should have been said, and what was."""

    faults: Sequence[Fault]
    broken_at: datetime | None = None
    fired: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    @property
    def expected(self) -> set[tuple[str, str]]:
        """Return the alerts that have to come."""
        return {alert for fault in self.faults for alert in fault.expected}

    @property
    def unexpected(self) -> list[tuple[str, str]]:
        """Return the alerts that came and mean nothing."""
        possible = self.expected | {alert for fault in self.faults for alert in fault.possible}
        return sorted(alert for alert in self.fired if alert not in possible)

    @property
    def ok(self) -> bool:
        """Say whether exactly what was expected was said."""
        return not self.unexpected and self.expected <= set(self.fired)

    def as_json(self, inbox: Inbox) -> dict[str, Any]:
        """Return the report as SPEC §4 writes it."""
        names = list(dict.fromkeys(name for fault in self.faults for name, _ in fault.expected))
        return {
            "fault": ",".join(fault.id for fault in self.faults) or None,
            "broken_at": self.broken_at and rfc3339(self.broken_at),
            "expected": names,
            "detected": [self._detected(alert, inbox) for alert in self.fired],
            "unexpected": [{"alertname": name, "service": service} for name, service in self.unexpected],
            "ok": self.ok,
        }

    def _detected(self, alert: tuple[str, str], inbox: Inbox) -> dict[str, Any]:
        """Return one alert; a symptom held back by its cause has no notification of its own."""
        found = self.fired[alert]
        told = inbox.arrived.get((*alert, "firing"))
        return {
            "alertname": alert[0],
            "service": alert[1],
            "cause": found["cause"],
            "after_seconds": self._after(found["at"]),
            "notified_after_seconds": self._after(told) if told else None,
        }

    def _after(self, at: datetime) -> float | None:
        return round((at - self.broken_at).total_seconds(), 1) if self.broken_at else None
