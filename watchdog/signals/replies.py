"""Raw Redis replies turned into what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from watchdog.entries import ORIGIN, EntryId
from watchdog.errors import CollectError
from watchdog.signals.base import Refused, Reply


def text(reply: Reply) -> str:
    """Return a bulk string as text; bytes that are not UTF-8 become replacement signs."""
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else str(reply)


def fields(reply: Reply) -> dict[str, Any]:
    """Return a flat list of names and values, as XINFO gives them, as a mapping."""
    return {text(name): found for name, found in zip(reply[::2], reply[1::2], strict=False)}


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


def stream_info(reply: Reply, key: str) -> dict[str, Any]:
    """Return XINFO STREAM's answer for *key*, or raise CollectError in words."""
    return fields(require(reply, f'stream "{key}"'))


def edge(info: dict[str, Any], name: str) -> EntryId | None:
    """Return the ID of ``first-entry`` or ``last-entry``, None where the stream is empty."""
    found: Sequence[Any] | None = info.get(name)
    return None if not found else EntryId.parse(found[0])
