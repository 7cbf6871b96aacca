"""Raw Redis replies turned into what they mean."""

from __future__ import annotations

from typing import Any

from watchdog.entries import ORIGIN, EntryId
from watchdog.errors import CollectError
from watchdog.signals.base import Refused, Reply


def text(reply: Reply) -> str:
    """Return a bulk string as text; bytes that are not UTF-8 become replacement signs."""
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else str(reply)


def integer(found: Any) -> int | None:
    """Return *found* as a number; Redis' NULL stays None."""
    return None if found is None else int(found)


def entry_id(found: Any) -> EntryId | None:
    """Return an ID, or None for NULL and for 0-0."""
    parsed = EntryId.parse(found) if found is not None else ORIGIN
    return None if parsed == ORIGIN else parsed


def require(reply: Reply, what: str) -> Any:
    """Return *reply*, or raise CollectError with what Redis said instead, in words."""
    if not isinstance(reply, Refused):
        return reply
    if reply.code == "WRONGTYPE":
        raise CollectError(f"{what} is of another type (ask: redis-cli TYPE)")
    if "no such key" in reply:
        raise CollectError(f"{what} does not exist")
    if reply.code == "NOPERM":
        raise CollectError(f"{what} may not be read by this Redis user: {reply}")
    raise CollectError(f"{what} cannot be read: {reply}")
