"""What results say beside success: what was decided, what must never occur, of when the work is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase

from watchdog.entries import LONGEST_REASON, Entry, tidy_reason
from watchdog.model import Counted, Series, Value
from watchdog.signals.results import ExecutionsConfig
from watchdog.timestamps import parse_timestamp

Steps = dict[Series, list[tuple[datetime, float]]]


class Mix:
    """Counts decisions, results that must not be, and work that is old, as far as the file asks for it."""

    def __init__(self, config: ExecutionsConfig) -> None:
        """Look for what *config* names."""
        self._decision = config.decision
        self._listed = frozenset((config.decision and config.decision.of) or ())
        self._reason = config.reason
        self._never = config.never or ()
        self._timestamp = config.timestamp
        self._max_skew = config.max_skew.total_seconds()
        self._skew: float | None = None
        self._any = False  # whether there was a result at all
        self._told: dict[str, object] = {}

    def count(self, entries: Iterable[Entry], since: datetime, now: datetime) -> dict[Series, Counted]:
        """Return what the counters gained by *entries*."""
        steps: Steps = {(name, ""): [] for name in self._counters()}
        for entry in entries:
            for series in self._series_of(entry):
                steps.setdefault(series, []).append((min(entry.id.at, now), 1.0))
        return {series: Counted(since, tuple(found)) for series, found in steps.items()}

    def values(self) -> dict[str, Value]:
        """Return the measures that are not counted; without any result there is no skew to tell."""
        return {"skew": self._skew} if self._timestamp and self._any else {}

    def evidence(self) -> Mapping[str, object]:
        """Return what to show."""
        return self._told

    def _counters(self) -> Iterable[str]:
        if self._decision is not None:
            yield "decided"
            yield from (f"decided.{word}" for word in self._listed)
        if self._never:
            yield "forbidden"
        if self._timestamp:
            yield "old"

    def _series_of(self, entry: Entry) -> Iterable[Series]:
        """Yield the counters that *entry* moves."""
        decision = self._decided(entry)
        if decision is not None:
            yield "decided", ""
            yield "decision", decision
            if decision in self._listed:
                yield f"decided.{decision}", ""
        if self._never and self._is_forbidden(entry, decision):
            yield "forbidden", ""
        if self._timestamp and self._is_old(entry, self._timestamp):
            yield "old", ""

    def _decided(self, entry: Entry) -> str | None:
        found = entry.find(self._decision.field) if self._decision is not None else None
        return None if found is None else tidy_reason(found) or "(empty)"

    def _is_forbidden(self, entry: Entry, decision: str | None) -> bool:
        reason = entry.find(self._reason) if self._reason else None
        for said in (reason, decision):
            text = (said or "")[:LONGEST_REASON]
            if any(fnmatchcase(text, pattern) for pattern in self._never):
                self._told["last_forbidden"] = {"id": str(entry.id), "said": tidy_reason(text)}
                return True
        return False

    def _is_old(self, entry: Entry, timestamp: str) -> bool:
        """Say whether the work is older than it may be; a result without a time leaves the skew as it was."""
        self._any = True
        stated = parse_timestamp(entry.find(timestamp) or "")
        if stated is None:
            return False
        self._skew = (entry.id.at - stated).total_seconds()
        if self._skew <= self._max_skew:
            return False
        self._told["last_old"] = {"id": str(entry.id), timestamp: stated.isoformat()}
        return True
