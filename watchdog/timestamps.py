"""Timestamps as found on one bus: epoch in four units, ISO 8601 with and without an offset."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from watchdog.units import EPOCH

LATEST = datetime.max.replace(tzinfo=UTC)

EPOCH_UNITS = (
    (1e17, 1e9, "epoch_ns"),
    (1e14, 1e6, "epoch_us"),
    (1e11, 1e3, "epoch_ms"),
    (1e8, 1.0, "epoch_s"),
)
"""Numbers from *bound* up are taken in that unit; 1e8 s is March 1973, 1e11 ms as well."""
FORMATS = ("auto", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "iso", "text")


def parse_timestamp(text: str, form: str = "auto") -> datetime | None:
    """
    Return the moment *text* names in UTC, or None if it names none.

    *form* is one of `FORMATS`; ``auto`` tells the unit of a number by its size. ISO times without
    an offset are taken as UTC. ``text`` is never a timestamp. A number beyond the calendar in its
    declared unit (milliseconds where seconds were promised) is the calendar's end: far ahead, not nothing.
    """
    stripped = text.strip().strip('"')
    if form == "text" or not stripped:
        return None
    try:
        number = float(stripped)
    except ValueError:
        return _iso(stripped) if form in ("auto", "iso") else None
    if not math.isfinite(number) or form == "iso":
        return None
    for bound, scale, name in EPOCH_UNITS:
        if form == name or (form == "auto" and number >= bound):
            try:
                return EPOCH + timedelta(seconds=number / scale)
            except OverflowError:
                return LATEST if form == name and number > 0 else None
    return None


def _iso(text: str) -> datetime | None:
    if len(text) < 10 or not text[:4].isdigit():
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # the last hours of the year 9999 lie beyond the calendar elsewhere
        return None
