"""Which trace an entry belongs to, as its field `traceparent` says (W3C Trace Context)."""

from __future__ import annotations

import re
from typing import NamedTuple

TRACEPARENT = "traceparent"
"""The flat field that carries it."""
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_SAMPLED = 1


class Traceparent(NamedTuple):
    """A trace, and the span of it that wrote the entry."""

    trace_id: str
    span_id: str
    sampled: bool = True

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


def parse_traceparent(text: str | None) -> Traceparent | None:
    """
    Read *text*; None for what the recommendation calls invalid, which starts a new trace.

    A version from the future is read by what it has in common with ours; of the flags only `sampled`
    has a meaning in ours, so no other is handed on.
    """
    found = _FORM.fullmatch(text or "")
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return Traceparent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))
