"""What others wrote, fit to be shown: short, without secrets, without what moves a terminal."""

from __future__ import annotations

from watchdog.logs.redact import redact
from watchdog.units import plain

LONGEST_LOOK = 4_000


def excerpt(text: str, longest: int) -> str:
    """Return at most *longest* signs of *text*, secrets masked, on one line."""
    return _cut(" ".join(_safe(line) for line in _redacted(text, longest).split()), longest)


def lines_of(text: str, longest: int) -> str:
    """Return at most *longest* signs of *text*, secrets masked, its lines as they are."""
    return _cut("\n".join(_safe(line.rstrip()) for line in _redacted(text, longest).splitlines()), longest)


def _redacted(text: str, longest: int) -> str:
    """Mask what is secret in the beginning of *text*; a quoted secret that is cut off is one, too."""
    most = max(LONGEST_LOOK, 2 * longest)
    return redact(text if len(text) <= most else text[:most] + '"')


def _safe(line: str) -> str:
    return plain(line.expandtabs(4))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
