"""Durations, percentages, sizes and texts, as people write them and as people read them."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum

SECONDS: dict[str, float] = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
BYTES: dict[str, int] = {
    "B": 1,
    **{f"{p}B": 1000**n for n, p in enumerate("kMGT", 1)},
    "KB": 1000,
    **{f"{p}iB": 1024**n for n, p in enumerate("KMGT", 1)},
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_SIZE = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(sorted(BYTES, key=len, reverse=True))})")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLY = timedelta(milliseconds=200)
"""A tick that comes a little early is the one that was meant."""


class Unit(Enum):
    """What a number means; decides how it may be written and how it is shown."""

    SECONDS = "seconds"
    RATIO = "ratio"
    BYTES = "bytes"
    NUMBER = ""
    ANY = "any"  # its operand may be written in any of these ways
    WORD = "word"


def parse_duration(text: str) -> timedelta:
    """Read ``90s``, ``5m``, ``1h30m`` or ``2d``; raise ValueError with a cure for anything else."""
    compact = text.strip()
    parts = _DURATION.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise ValueError(f'"{text}" is not a duration (write it like 90s, 5m, 1h30m or 2d)')
    try:
        return timedelta(seconds=sum((float(number) * SECONDS[unit] for number, unit in parts), 0.0))
    except OverflowError:
        raise ValueError(f'"{text}" is too long for a duration (at most 365000d)') from None


def parse_number(text: str, unit: Unit) -> float:
    """
    Read an operand for a measure of *unit*.

    Accepts a plain number for every unit, a duration for seconds, a percentage for ratios and a
    size for bytes; raises ValueError naming what fits.
    """
    stripped = text.strip()
    try:
        number = float(stripped)
    except ValueError:
        number = math.nan
    if math.isfinite(number):
        return number
    for possible in (Unit.SECONDS, Unit.RATIO, Unit.BYTES) if unit is Unit.ANY else ():
        with contextlib.suppress(ValueError):
            return parse_number(stripped, possible)
    if unit is Unit.SECONDS:
        sign = -1 if stripped.startswith("-") else 1
        return sign * parse_duration(stripped.removeprefix("-")).total_seconds()
    if unit is Unit.RATIO and re.fullmatch(r"\d+(\.\d+)?\s*%", stripped):
        return float(stripped.rstrip("% ")) / 100
    if unit is Unit.BYTES and (match := _SIZE.fullmatch(stripped)):
        return float(match[1]) * float(BYTES[match[2]])
    wanted = {
        Unit.RATIO: "a percentage like 10% or a share like 0.1",
        Unit.BYTES: "a size like 512MiB",
        Unit.ANY: "a number, a duration, a percentage or a size",
    }.get(unit, "a number")
    raise ValueError(f'"{text}" is not {wanted}')


def show_duration(seconds: float) -> str:
    """Return *seconds* in at most two units, as a person would say it: ``10d 19h``, ``45s``, ``0.4s``."""
    if seconds < 0:
        return "-" + show_duration(-seconds)
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms" if seconds else "0s"
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f}s"
    rest = round(seconds)
    parts = []
    for name, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{name}")
        elif parts:
            break
    return " ".join(parts[:2])


def write_duration(duration: timedelta) -> str:
    """Return *duration* the way rules.yaml spells it: ``1h30m``."""
    return show_duration(duration.total_seconds()).replace(" ", "")


def show_number(value: float, unit: Unit = Unit.NUMBER) -> str:
    """Return *value* with its unit, rounded for reading."""
    if unit is Unit.SECONDS:
        return show_duration(value)
    if unit is Unit.RATIO:
        return f"{value * 100:.3g}%"
    if unit is Unit.BYTES:
        power = min(4, int(math.log(value, 1024))) if value >= 1 else 0
        return f"{value / float(1024**power):.3g}{('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:.4g}"


def rfc3339(at: datetime) -> str:
    """Return *at* in UTC as JSON APIs and Alertmanager write it, to the millisecond."""
    text = at.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace(".000+00:00", "Z").replace("+00:00", "Z")


def from_ms(milliseconds: int) -> datetime:
    """Return the moment *milliseconds* after the epoch, at most the end of the calendar."""
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def first_of(names: Sequence[str], most: int) -> str:
    """Return the first *most* of *names* for reading, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def plain(text: str) -> str:
    """Return *text* without control signs, so that nothing from outside can steer a terminal."""
    return "".join(sign if sign.isprintable() else "�" for sign in text)
