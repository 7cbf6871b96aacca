"""What is told though nothing is wrong: reports when they are due, and tests of the whole way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog

from watchdog.alerts import Alerts
from watchdog.audience import Report
from watchdog.bulletin import LATE, WEEK, bulletin, reports_due
from watchdog.clock import Clock
from watchdog.errors import StateError
from watchdog.notifications import Notification
from watchdog.report import Snapshot
from watchdog.state import StateFile
from watchdog.telling import Receipts

SELF_TEST = timedelta(seconds=15)
"""How long the alert of a self-test fires, at least one tick."""
SELF_TESTED = "self_test delivered"
FIRST_LOOKS = timedelta(minutes=1)
"""So long a report waits for signals that were never seen yet."""
MOST_TOLD = 5_000
"""So many records of the delivery log a weekly audit reads."""
log = structlog.get_logger()


class Duties:
    """Knows when each thing that comes again was last *done*."""

    def __init__(
        self, reports: Iterable[Report], done: Mapping[str, datetime], state: StateFile, clock: Clock
    ) -> None:
        """Take up what an earlier process had *done*; what is new counts from now on."""
        self._state = state
        self._clock = clock
        self._began = clock()
        self._testing_until: datetime | None = None
        self.reports: tuple[Report, ...] = ()
        self.done: Mapping[str, datetime] = done
        self.change(reports)

    def change(self, reports: Iterable[Report]) -> None:
        """Tell *reports* from now on; what is new counts from now on."""
        now = self._clock()
        self.reports = tuple(reports)
        kept = {name: at for name, at in self.done.items() if name == SELF_TESTED}
        self.done = {report.name: self.done.get(report.name, now) for report in self.reports} | kept

    def test(self, now: datetime, every: timedelta) -> None:
        """Have the alert `SelfTest` fire from the next tick on, for a while."""
        self._testing_until = now + max(SELF_TEST, 2 * every)

    def testing(self, now: datetime) -> bool:
        """Say whether a self-test is on its way."""
        return self._testing_until is not None and now < self._testing_until

    def due(
        self,
        latest: Snapshot,
        now: datetime,
        every: timedelta,
        alerts: Alerts,
        receipts: Receipts,
        *,
        unseen: bool,
    ) -> tuple[Notification, ...] | None:
        """
        Return the reports whose time has come, and note which self-test has come through; None for no news.

        What is still *unseen* is waited for, though not for long.
        """
        messages: list[Notification] = []
        done = {**self.done, **self._self_tested(alerts, receipts)}
        waits = unseen and now - self._began < FIRST_LOOKS
        for report, moment in () if waits else reports_due(self.reports, self.done, now):
            done[report.name] = now
            if now - moment > LATE:
                continue
            if report.what == "self_test":
                self.test(now, every)
            else:
                told = self._delivered(since=now - WEEK, limit=MOST_TOLD)
                messages += bulletin(report, latest, moment, told)
        if done == self.done:
            return None
        self.done = done
        return tuple(messages)

    def _self_tested(self, alerts: Alerts, receipts: Receipts) -> dict[str, datetime]:
        """Return when a self-test that is on its way had reached everybody who is told of it."""
        test = next((labels for labels in alerts if labels["alertname"] == "SelfTest"), None)
        began = alerts[test].fired_at if test is not None else None
        if test is None or began is None or self.done.get(SELF_TESTED, began - SELF_TEST) >= began:
            return {}
        mark = test.fingerprint
        told = {name for (name, of), r in receipts.items() if of == mark and r.fired_at == began}
        sent = self._delivered(fingerprint=mark, since=began)
        return {SELF_TESTED: self._clock()} if told and told <= {str(r["receiver"]) for r in sent} else {}

    def _delivered(self, **which: Any) -> list[Mapping[str, Any]]:
        """Return what was sent; nothing is known of it while the file cannot be read."""
        try:
            return self._state.deliveries(outcome="sent", **which)
        except StateError as exc:
            log.error("deliveries_not_read", why=str(exc))
            return []
