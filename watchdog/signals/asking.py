"""The questions that signals on one stream share, and how their answers are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from watchdog.entries import ORIGIN, EntryId
from watchdog.facts import ConsumerFacts, GroupFacts, StreamFacts
from watchdog.signals.base import Question, Refused, Reply
from watchdog.signals.replies import integer, text

GROUP_FIELDS = [b"name", b"consumers", b"pending", b"last-delivered-id", b"entries-read", b"lag"]


def about_stream(key: str) -> Question:
    """Return the question for the facts of stream *key*."""
    return Question(("XINFO", "STREAM", key), stream_facts)


def about_groups(key: str) -> Question:
    """Return the question for all groups of stream *key*."""
    return Question(("XINFO", "GROUPS", key), group_facts)


def about_consumers(key: str, group: str) -> Question:
    """Return the question for all consumers of one group of stream *key*."""
    return Question(("XINFO", "CONSUMERS", key, group), consumer_facts)


def stream_facts(reply: Reply) -> StreamFacts | Refused:
    """Read an XINFO STREAM."""
    if isinstance(reply, Refused):
        return reply
    said = _pairs(reply)
    raw, last, first = said[b"last-generated-id"], said.get(b"last-entry"), said.get(b"first-entry")
    generated = read_id(raw)
    newest = generated if last and last[0] == raw else _edge(last)  # mostly the same, and kept once
    deleted = said.get(b"max-deleted-entry-id")
    return StreamFacts(
        length=int(said[b"length"]),
        generated=generated,
        first=newest if first and last and first[0] == last[0] else _edge(first),
        last=newest,
        added=integer(said.get(b"entries-added")),
        deleted=None if deleted is None else read_id(deleted),
        groups=int(said[b"groups"]),
        radix_keys=int(said[b"radix-tree-keys"]),
        radix_nodes=int(said[b"radix-tree-nodes"]),
    )


def group_facts(reply: Reply) -> Mapping[str, GroupFacts] | Refused:
    """Read an XINFO GROUPS into the groups by name."""
    if isinstance(reply, Refused):
        return reply
    return dict(map(_group, reply))


def _group(row: Sequence[Any]) -> tuple[str, GroupFacts]:
    """Read a row, quickly where it has the fields that every version has had since 7.0."""
    if row[::2] == GROUP_FIELDS:
        name, consumers, pending, delivered, read, lag = row[1::2]
        return text(name), GroupFacts(read_id(delivered), pending, consumers, read, lag, True)
    said = _pairs(row)
    return text(said[b"name"]), GroupFacts(
        delivered=read_id(said[b"last-delivered-id"]),
        pending=int(said[b"pending"]),
        consumers=int(said[b"consumers"]),
        read=integer(said.get(b"entries-read")),
        lag=integer(said.get(b"lag")),
        counts=b"lag" in said,
    )


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


def read_id(raw: bytes) -> EntryId:
    """Read an ID without turning it into text first; the one of nothing is kept once for all."""
    if raw == b"0-0":
        return ORIGIN
    ms, _, seq = raw.partition(b"-")
    return EntryId(int(ms), int(seq))


def _edge(entry: Any) -> EntryId | None:
    return read_id(entry[0]) if entry else None
