"""What of the sidecar's knowledge goes into the state file, and how it comes back."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from watchdog.alerts import Alert, State
from watchdog.model import Labels, SignalKey
from watchdog.records import (
    read_ack,
    read_alert,
    read_receipt,
    read_silence,
    write_ack,
    write_alert,
    write_receipt,
    write_silence,
)
from watchdog.signals.base import Signal
from watchdog.state import UNREADABLE, StateFile
from watchdog.telling import Receipt, Receipts, Ticket, Wishes

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Kept:
    """What outlives the process, besides what the outbox keeps."""

    alerts: Mapping[Labels, Alert]
    receipts: Receipts
    wishes: Wishes
    done: Mapping[str, datetime]
    """When each thing that comes again was last done."""
    found: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What was discovered, by the signal of who discovered it; the same object while nothing changes."""


class Keeper:
    """Stages what changed, so that a quiet tick writes nothing."""

    def __init__(self, state: StateFile) -> None:
        self._state = state
        self._renewals = state.renewals
        self._signals: dict[SignalKey, Signal[Any]] = {}
        self._memories: dict[SignalKey, Mapping[str, Any]] = {}
        self._unclaimed: dict[str, Any] | None = None
        self._kept = Kept({}, {}, Wishes(), {})

    def recall(self, signals: Iterable[Signal[Any]], receivers: Iterable[str], now: datetime) -> Kept:
        """
        Return what an earlier process kept, and give every signal its memory.

        What was told to receivers that are no more is forgotten. An alert that fired counts as
        true until now: nobody looked in between.
        """
        self._remember(signals)
        alerts = self._state.read("alerts", read_alert).values()
        told = self._state.read("receipts", read_receipt)
        receipts = {_ticket(key): receipt for key, receipt in told.items()}
        silences = self._state.read("silences", read_silence)
        acks = self._state.read("acks", read_ack)
        done = self._state.read("done", _read_moment)
        wishes = Wishes(silences, acks)
        kept = Kept({alert.labels: alert for alert in alerts}, receipts, wishes, done, self.found())
        self._kept = kept
        known = frozenset(receivers)
        return replace(
            kept,
            alerts={labels: _looked_at(alert, now) for labels, alert in kept.alerts.items()},
            receipts={ticket: r for ticket, r in receipts.items() if ticket[0] in known},
        )

    def found(self) -> dict[str, dict[str, Any]]:
        """Return what an earlier process had discovered."""
        found: dict[str, dict[str, Any]] = {}
        for key, record in self._state.book("discovered").items():
            scout, _, name = key.partition("\n")
            found.setdefault(scout, {})[name] = record["what"]
        return found

    def _remember(self, signals: Iterable[Signal[Any]]) -> None:
        if self._unclaimed is None:
            self._unclaimed = self._state.book("memory")
        bad = {}
        for signal in signals:
            self._signals[signal.key] = signal
            key = _memory_key(signal.key) if self._unclaimed else ""
            if key in self._unclaimed:
                memory = self._unclaimed.pop(key)
                try:
                    signal.remember(memory)
                except UNREADABLE as exc:
                    bad[key] = f"{type(exc).__name__}: {exc}"
                else:
                    self._memories[signal.key] = memory
        if bad:
            self._state.disown("memory", bad)

    def watch(self, signals: Iterable[Signal[Any]]) -> None:
        """Keep what *signals* remember as well, and give them what is known already."""
        self._remember(signals)

    def renew(self, signals: Iterable[Signal[Any]]) -> None:
        """Give each of *signals*, built anew, what the one before it remembered after its last look."""
        for signal in signals:
            self.part_with((signal.key,))
            self.watch((signal,))

    def part_with(self, keys: Iterable[SignalKey]) -> None:
        """Look at the signals of *keys* no more, and keep what they remember for when they are back."""
        if self._unclaimed is None:
            self._unclaimed = self._state.book("memory")
        for key in keys:
            self._signals.pop(key, None)
            if memory := self._memories.pop(key, None):
                self._unclaimed[_memory_key(key)] = memory

    def forget(self, keys: Iterable[SignalKey]) -> None:
        """Keep nothing of the signals of *keys* any more."""
        for key in keys:
            self._signals.pop(key, None)
            if self._memories.pop(key, None):
                self._state.stage("memory", _memory_key(key), None)

    def stage(self, now_kept: Kept, fresh: Iterable[SignalKey]) -> bool:
        """
        Stage what differs from what was staged before; only *fresh* signals may remember something new.

        Return whether everything was staged anew, because the file was set aside.
        """
        anew = self._renewals != self._state.renewals
        if anew:
            self._renewals = self._state.renewals
            self._memories.clear()
        before, self._kept = self._kept, now_kept
        alerts_before, alerts = _by_print(before.alerts), _by_print(now_kept.alerts)
        receipts_before, receipts = _by_key(before.receipts), _by_key(now_kept.receipts)
        wishes_before, wishes = before.wishes, now_kept.wishes
        self._book("alerts", alerts_before, alerts, write_alert, anew=anew, same=_same_bones)
        self._book("receipts", receipts_before, receipts, write_receipt, anew=anew)
        self._book("silences", wishes_before.silences, wishes.silences, write_silence, anew=anew)
        self._book("acks", wishes_before.acks, wishes.acks, write_ack, anew=anew)
        self._book("done", before.done, now_kept.done, _write_moment, anew=anew)
        if anew or before.found is not now_kept.found:
            self._book("discovered", _flat(before.found), _flat(now_kept.found), _write_found, anew=anew)
        for key in self._signals if anew else fresh:
            signal = self._signals.get(key)
            memory = signal.memory() if signal is not None else {}
            if self._memories.get(key, {}) != memory:
                self._state.stage("memory", _memory_key(key), memory or None)
                self._memories[key] = memory
        return anew

    def _book(
        self,
        book: str,
        before: Mapping[str, Item],
        after: Mapping[str, Item],
        write: Callable[[Item], dict[str, Any]],
        *,
        anew: bool,
        same: Callable[[Item, Item], bool] = operator.eq,
    ) -> None:
        for key, item in after.items():
            was = before.get(key)
            if anew or was is None or (was is not item and not same(was, item)):
                self._state.stage(book, key, write(item))
        for key in before.keys() - after.keys():
            self._state.stage(book, key, None)


def _flat(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {
        f"{scout}\n{name}": record for scout, records in found.items() for name, record in records.items()
    }


def _by_print(alerts: Mapping[Labels, Alert]) -> dict[str, Alert]:
    return {labels.fingerprint: alert for labels, alert in alerts.items()}


def _same_bones(one: Alert, other: Alert) -> bool:
    """Say whether only figures and words differ, which come anew with every look."""
    return _bones(one) == _bones(other)


def _bones(alert: Alert) -> tuple[object, ...]:
    """Return what changes whenever something of an alert does that must not be lost."""
    return alert.state, alert.active_since, alert.fired_at, alert.resolved_at


def _looked_at(alert: Alert, now: datetime) -> Alert:
    return replace(alert, last_true=now) if alert.state is State.FIRING else alert


def _write_moment(moment: datetime) -> dict[str, Any]:
    return {"at": moment.isoformat()}


def _write_found(what: Any) -> dict[str, Any]:
    return {"what": what}


def _read_moment(record: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(record["at"])


def _by_key(receipts: Receipts) -> dict[str, Receipt]:
    return {f"{fingerprint} {receiver}": receipt for (receiver, fingerprint), receipt in receipts.items()}


def _ticket(text: str) -> Ticket:
    fingerprint, _, receiver = text.partition(" ")
    return receiver, fingerprint


def _memory_key(key: SignalKey) -> str:
    labels = json.dumps(dict(key.labels), sort_keys=True, separators=(",", ":"))
    return json.dumps([key.service, key.kind, labels], separators=(",", ":"), ensure_ascii=False)
