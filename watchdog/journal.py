"""What became of messages (counted, logged and kept), and what later ones are attached to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field

import structlog

from watchdog.clock import Clock
from watchdog.notifications import Notice, Notification, Reason
from watchdog.state import RETRIED, StateFile
from watchdog.telling import Ticket

OUTCOMES = ("sent", RETRIED, "refused", "expired", "dropped")
LOSSES = frozenset({"refused", "expired", "dropped"})
"""The outcomes after which a message is not sent again although nobody took it."""
MOST_NAMES = 20
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Journal:
    """Writes down what became of messages."""

    state: StateFile
    clock: Clock
    outcomes: Counter[Ticket] = field(default_factory=Counter)
    """How often each outcome came, by receiver; those of receivers that are no more are not counted."""

    def count_for(self, receivers: Iterable[str]) -> None:
        """Begin to count for *receivers*, at zero."""
        for receiver in receivers:
            for outcome in OUTCOMES:
                self.outcomes[receiver, outcome] = 0

    def record(self, message: Notification, outcome: str, **more: object) -> None:
        """Have it counted, logged and kept what became of *message*."""
        now = self.clock()
        if (message.receiver, outcome) in self.outcomes:
            self.outcomes[message.receiver, outcome] += 1
        news = [notice for notice in message.notices if notice.reason]
        record = {
            "at": now.isoformat(),
            "receiver": message.receiver,
            "outcome": outcome,
            "key": message.key,
            "decided_at": message.at.isoformat(),
            "merged": message.merged,
            "reasons": sorted({str(notice.reason) for notice in news}),
            **more,
            "names": [f"{notice.alert.name}/{notice.alert.service}" for notice in news[:MOST_NAMES]],
            "count": len(news),
        }
        (log.warning if outcome in LOSSES else log.info)("notification", **record)
        marks = [notice.alert.labels.fingerprint for notice in news]
        self.state.log_delivery(now, message.receiver, outcome, message.key, {**record, "alerts": marks})


class Threads:
    """What receivers gave for later messages about the same alerts to be attached to."""

    def __init__(self, state: StateFile, receivers: Container[str]) -> None:
        """Take up what an earlier process knew, but for receivers that are no more."""
        self._state = state
        self._known = state.read("threads", lambda record: str(record["thread"]))
        self.keep_for(receivers)

    def keep_for(self, receivers: Container[str]) -> None:
        """Forget what *receivers* gave that are none any more: only these are."""
        for key in [key for key in self._known if key.rpartition(" ")[0] not in receivers]:
            del self._known[key]
            self._state.stage("threads", key, None)

    def of(self, message: Notification) -> str | None:
        """Return what to attach *message* to: the first that is known of its alerts, or None."""
        known = (self._known.get(_key(message, notice)) for notice in message.notices)
        return next((thread for thread in known if thread), None)

    def tie(self, message: Notification, thread: str | None) -> None:
        """
        Attach what will be said of those alerts of *message* that go on to *thread*.

        It takes the place of the one that was offered, if the receiver began another: that is gone.
        """
        offered = self.of(message)
        for notice in message.firing if thread else ():
            key = _key(message, notice)
            known = self._known.get(key)
            if notice.reason in (Reason.REPORT, Reason.TEST) or known not in (None, offered):
                continue
            if known != thread:
                self._known[key] = str(thread)
                self._state.stage("threads", key, {"thread": thread})

    def forget(self, message: Notification) -> None:
        """Forget what belonged to the alerts that ended in *message*."""
        for notice in message.resolved:
            if self._known.pop(_key(message, notice), None) is not None:
                self._state.stage("threads", _key(message, notice), None)

    def keep_all(self) -> None:
        """Stage all anew, for a file that was set aside."""
        for key, thread in self._known.items():
            self._state.stage("threads", key, {"thread": thread})


def _key(message: Notification, notice: Notice) -> str:
    return f"{message.receiver} {notice.alert.labels.fingerprint}"
