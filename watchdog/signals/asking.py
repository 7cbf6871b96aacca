"""The questions that signals on one stream share, and how their answers are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watchdog.entries import EntryId
from watchdog.facts import ConsumerFacts, GroupFacts, StreamFacts
from watchdog.signals.base import Question, Refused, Reply
from watchdog.signals.replies import integer, text


def about_stream(key: str) -> Question:
    """Return the question for the facts of stream *key*."""
    return Question(("XINFO", "STREAM", key), stream_facts)


def about_groups(key: str) -> Question:
    """Return the question for all groups of stream *key*."""
    return Question(("XINFO", "GROUPS", key), group_facts)


def stream_facts(reply: Reply) -> StreamFacts | Refused:
    """Read an XINFO STREAM."""
    if isinstance(reply, Refused):
        return reply
    said = _pairs(reply)
    deleted = said.get(b"max-deleted-entry-id")
    return StreamFacts(
        length=int(said[b"length"]),
        generated=EntryId.parse(said[b"last-generated-id"]),
        first=_edge(said.get(b"first-entry")),
        last=_edge(said.get(b"last-entry")),
        added=integer(said.get(b"entries-added")),
        deleted=None if deleted is None else EntryId.parse(deleted),
        groups=int(said[b"groups"]),
        radix_keys=int(said[b"radix-tree-keys"]),
        radix_nodes=int(said[b"radix-tree-nodes"]),
    )


def group_facts(reply: Reply) -> Mapping[str, GroupFacts] | Refused:
    """Read an XINFO GROUPS into the groups by name."""
    if isinstance(reply, Refused):
        return reply
    rows = map(_pairs, reply)
    return {
        text(said[b"name"]): GroupFacts(
            delivered=EntryId.parse(said[b"last-delivered-id"]),
            pending=int(said[b"pending"]),
            consumers=int(said[b"consumers"]),
            read=integer(said.get(b"entries-read")),
            lag=integer(said.get(b"lag")),
            counts=b"lag" in said,
        )
        for said in rows
    }


def consumer_facts(reply: Reply) -> tuple[ConsumerFacts, ...] | Refused:
    """Read an XINFO CONSUMERS."""
    if isinstance(reply, Refused):
        return reply
    return tuple(
        ConsumerFacts(
            name=text(said[b"name"]),
            pending=int(said[b"pending"]),
            idle_ms=max(0, int(said[b"idle"])),
            inactive_ms=_inactive(said.get(b"inactive")),
        )
        for said in map(_pairs, reply)
    )


def _inactive(found: Any) -> int | None:
    """Return the milliseconds since the last success; Redis says -1 for who never had one."""
    return None if found is None or int(found) < 0 else int(found)


def _pairs(flat: Any) -> dict[bytes, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=False))


def _edge(entry: Any) -> EntryId | None:
    return EntryId.parse(entry[0]) if entry else None
