"""When a certificate ends, read from its bytes: also of one that nobody would accept."""

from __future__ import annotations

from datetime import UTC, datetime

SEQUENCE, UTC_TIME, GENERAL_TIME, VERSION = 0x30, 0x17, 0x18, 0xA0
BEFORE_VALIDITY = 3
"""Fields that stand before it: serial number, algorithm, issuer."""


def end_of(der: bytes) -> datetime | None:
    """Return when the X.509 certificate in *der* ends, or None if it cannot be read."""
    try:
        _, whole, _ = _part(der)
        _, fields, _ = _part(whole)
        if fields[0] == VERSION:
            _, _, fields = _part(fields)
        for _ in range(BEFORE_VALIDITY):
            _, _, fields = _part(fields)
        kind, validity, _ = _part(fields)
        _, _, rest = _part(validity)
        form, end, _ = _part(rest)
        return _moment(form, end.decode("ascii")) if kind == SEQUENCE else None
    except (ValueError, IndexError):
        return None


def _part(data: bytes) -> tuple[int, bytes, bytes]:
    """Return the kind and the content of what *data* begins with, and what comes after it."""
    kind, size, at = data[0], data[1], 2
    if size & 0x80:
        at += size & 0x7F
        size = int.from_bytes(data[2:at], "big")
    if at + size > len(data):
        raise ValueError("cut off")
    return kind, data[at : at + size], data[at + size :]


def _moment(form: int, text: str) -> datetime:
    """Read a time; of two digits for the year, 50 and above mean the last century (RFC 5280)."""
    if form == UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif form != GENERAL_TIME:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
