"""`watchdog`: the sidecar itself; always there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from watchdog.model import Labels, Measure, Reading, SignalKey, Value, seconds, value
from watchdog.signals.base import Signal, SignalConfig


class WatchdogConfig(SignalConfig):
    """`watchdog` has no keys of its own."""

    def labels(self) -> Labels:
        """Return none: there is one."""
        return Labels()

    def offered(self) -> Mapping[str, Measure]:
        """Return every measure; `set_aside` applies once it happened."""
        return Watchdog.MEASURES


class Watchdog(Signal[WatchdogConfig]):
    """Tells what ails the watchdog itself; the sidecar says so."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "unsaved": seconds("Time for which the state file could not be written", grows=True),
        "set_aside": seconds("Time since the state file was unreadable and was set aside", grows=True),
        "self_test": value("1 while a self-test is on its way"),
        "config_rejected": value("1 while the rules file is another one than in force, and cannot be used"),
    }
    Config = WatchdogConfig


def reading(
    key: SignalKey,
    now: datetime,
    *,
    unsaved_since: datetime | None,
    set_aside_at: datetime | None,
    set_aside: str | None,
    self_test: bool,
    problems: Sequence[str] = (),
) -> Reading:
    """Return what the sidecar knows of itself at *now*."""
    unsaved = 0.0 if unsaved_since is None else max(0.0, (now - unsaved_since).total_seconds())
    values: dict[str, Value] = {
        "unsaved": unsaved,
        "self_test": float(self_test),
        "config_rejected": float(bool(problems)),
    }
    if set_aside_at is not None:
        values["set_aside"] = max(0.0, (now - set_aside_at).total_seconds())
    evidence: dict[str, object] = {"set_aside": set_aside} if set_aside else {}
    if problems:
        evidence["problems"] = list(problems)
    return Reading(key, now, values, evidence=evidence)
