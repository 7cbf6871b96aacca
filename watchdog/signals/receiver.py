"""`receiver`: how a receiver takes what it is told; one for each, always there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from watchdog.model import Counted, Labels, Measure, Reading, SignalKey, counter, seconds, value
from watchdog.signals.base import Signal, SignalConfig


class ReceiverConfig(SignalConfig):
    """`receiver` has no keys of its own: the receivers are the file's `receivers:`."""

    def labels(self) -> Labels:
        """Return none: the receiver's name is put there for it."""
        return Labels()

    def offered(self) -> Mapping[str, Measure]:
        """Return every measure."""
        return Receiver.MEASURES


class Receiver(Signal[ReceiverConfig]):
    """Tells whether a receiver takes its messages; the outbox says so."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "failing": seconds("Time since it last took a message, while it takes none", grows=True),
        "refused": counter("Messages it refused for good"),
        "waiting": value("Messages that wait for it"),
        "oldest": seconds("Age of the oldest message that waits", grows=True),
    }
    Config = ReceiverConfig


def reading(
    key: SignalKey,
    now: datetime,
    *,
    since: datetime,
    failing_since: datetime | None,
    why: str,
    refusals: tuple[datetime, ...],
    waiting: int,
    oldest: datetime | None,
) -> Reading:
    """Return what is known of a receiver at *now*, having counted its refusals *since* a moment."""
    values = {
        "failing": _age(failing_since, now),
        "waiting": float(waiting),
        "oldest": _age(oldest, now),
    }
    refused = Counted(since, tuple((at, 1.0) for at in refusals))
    return Reading(key, now, values, {("refused", ""): refused}, evidence={"error": why} if why else {})


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
