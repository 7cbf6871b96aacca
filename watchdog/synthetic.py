"""
Emergency heartbeats: the mark beside a key that says whose beats it holds, and how a beat is written.

Whoever keeps another's heartbeat alive by hand puts a mark beside it that says so and dies with it.
What reads the heartbeat reads the mark, too, and so nobody takes an emergency for health.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from watchdog.timestamps import EPOCH_UNITS, parse_timestamp
from watchdog.units import EPOCH, rfc3339

MARK_SUFFIX = ":synthetic"
LONGEST_TEXT = 200


class Form(StrEnum):
    """The ways in which a heartbeat is written that can be imitated."""

    EPOCH_S = "epoch_s"
    EPOCH_FLOAT = "epoch_float"
    EPOCH_MS = "epoch_ms"
    EPOCH_US = "epoch_us"
    EPOCH_NS = "epoch_ns"
    ISO = "iso"


def mark_key(key: str) -> str:
    """Return the key beside *key* that says whether its beats are synthetic."""
    return key + MARK_SUFFIX


def form_of(written: str) -> Form:
    """Return how the heartbeat *written* by its service looks; ValueError if that is no bare time."""
    text = written.strip()
    if parse_timestamp(text) is None:
        raise ValueError("what the key holds is no time that could be written anew")
    try:
        number = float(text)
    except ValueError:
        return Form.ISO
    unit = next(name for bound, _, name in EPOCH_UNITS if number >= bound)
    return Form.EPOCH_FLOAT if unit == "epoch_s" and not text.isdecimal() else Form(unit)


def write_beat(form: Form, now: datetime) -> str:
    """Return the beat of *now* as a service would write it."""
    if form is Form.ISO:
        return now.isoformat()
    since = now - EPOCH
    if form is Form.EPOCH_FLOAT:
        return f"{since.total_seconds():.6f}"
    whole_us = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    if form is Form.EPOCH_NS:
        return str(whole_us * 1000)
    return str(whole_us // {Form.EPOCH_S: 1_000_000, Form.EPOCH_MS: 1000, Form.EPOCH_US: 1}[form])


@dataclass(frozen=True, slots=True)
class Mark:
    """Who keeps a heartbeat alive, why, since when and until when."""

    reason: str
    by: str
    since: datetime
    until: datetime

    def text(self) -> str:
        """Return the mark as it stands beside the key."""
        told = {
            "reason": self.reason,
            "by": self.by,
            "since": rfc3339(self.since),
            "until": rfc3339(self.until),
        }
        return json.dumps(told, ensure_ascii=False)


def read_mark(text: str) -> dict[str, str]:
    """
    Return what a mark says by the names of `Mark`; of one that cannot be read only that there is one.

    Anybody may have written it: no text in it is longer than `LONGEST_TEXT`.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return {"mark": text[:LONGEST_TEXT]}
    names = ("reason", "by", "since", "until")
    return {name: str(found[name])[:LONGEST_TEXT] for name in names if found.get(name) is not None}


def is_over(mark: dict[str, str], now: datetime) -> bool:
    """Say whether the mark itself says that it has ended; one that does not say has not."""
    until = parse_timestamp(mark.get("until", ""))
    return until is not None and until <= now
