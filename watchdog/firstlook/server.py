"""
One look at a Redis that nobody has told us anything of: bounded in keys, entries and time, and only reading.

The keys are gone over once by SCAN: streams and lists by their type, which the server sorts out, and all
names once, of which only those that look like a heartbeat or a flag are looked into.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain, islice
from typing import Any

from watchdog.discovery import LONGEST_NAME, tellable
from watchdog.entries import Entry, parse_entries
from watchdog.errors import CollectError
from watchdog.facts import StreamFacts
from watchdog.firstlook.names import looks_like_flag, looks_like_heartbeat
from watchdog.firstlook.seen import GroupSeen, KeySeen, Seen, StreamSeen
from watchdog.signals.asking import consumer_facts, group_facts, stream_facts
from watchdog.signals.base import Command, Refused, Reply
from watchdog.signals.nodes import Away, OfNodes
from watchdog.signals.redis import read_node
from watchdog.signals.replies import text
from watchdog.synthetic import MARK_SUFFIX
from watchdog.wire import Batch, Wire

COUNT = 1_000
"""So many keys a SCAN looks at: about a millisecond of the server's time."""
MOST_STREAMS, MOST_KEYS, MOST_LISTS, MOST_GROUPS = 500, 500, 20, 200
"""So many streams, heartbeats and flags, lists, and groups of one stream are looked into."""
FEWEST_ENTRIES, MOST_ENTRIES, ALL_ENTRIES = 50, 1_000, 30_000
"""How many entries are read of each stream, and of all of them."""
PROBE, MOST_BYTES = 10, 256 * 1024
"""The first few entries tell how large they are, and so how many more may be read of a stream."""
AT_ONCE = 50
PATIENCE = 15.0
"""How many seconds all of it may take; what is not seen by then is said."""
LONGEST_VALUE = 4_096
STRING, HASH, STREAM = b"string", b"hash", b"stream"
END = b"0"


@dataclass(slots=True)
class _Found:
    """The names that are worth a closer look."""

    streams: dict[bytes, None] = field(default_factory=dict)
    candidates: dict[bytes, None] = field(default_factory=dict)
    lists: dict[bytes, None] = field(default_factory=dict)
    keys: int = 0
    more_streams: int = 0
    more_keys: int = 0
    untellable: set[bytes] = field(default_factory=set)

    def take_stream(self, raw: bytes) -> None:
        """Note a stream, however often it is said."""
        self.more_streams += self._take(self.streams, raw, MOST_STREAMS)

    def take_key(self, raw: bytes) -> None:
        """Note a key of any type if its name promises something."""
        self.keys += 1
        if len(raw) > LONGEST_NAME or raw.endswith(MARK_SUFFIX.encode()):
            return
        name = raw.decode("utf-8", "replace")
        if looks_like_heartbeat(name) or looks_like_flag(name):
            self.more_keys += self._take(self.candidates, raw, MOST_KEYS)

    def take_list(self, raw: bytes) -> None:
        """Note a list, a few of them."""
        if tellable(raw.decode("utf-8", "replace")):
            self._take(self.lists, raw, MOST_LISTS)

    def _take(self, known: dict[bytes, None], raw: bytes, most: int) -> bool:
        """Take *raw* into *known*; say whether there was no room. What no page could show is counted."""
        if raw in known:
            return False
        if not tellable(raw.decode("utf-8", "replace")):
            self.untellable.add(raw[: LONGEST_NAME + 1])
            return False
        if len(known) < most:
            known[raw] = None
            return False
        return True


class FirstLook:
    """Looks once at the server behind *wire*."""

    def __init__(self, wire: Wire, match: str = "", patience: float = PATIENCE) -> None:
        """Look at keys that fit *match*, at all if it is empty, for *patience* seconds at most."""
        self.wire = wire
        self._match: tuple[str, ...] = ("MATCH", match) if match else ()
        self._until = time.monotonic() + patience
        self._refused: set[str] = set()
        self._cut_short = False

    async def look(self) -> Seen:
        """Return what is there; CollectError with the cure if that cannot be told."""
        version = await self._version()
        found = await self._names()
        streams = await self._streams(list(found.streams))
        heartbeats, flags = await self._keys(list(found.candidates))
        return Seen(
            place=self.wire.place,
            version=version,
            keys=found.keys,
            streams=streams,
            heartbeats=heartbeats,
            flags=flags,
            lists=[raw.decode() for raw in found.lists],
            more_streams=found.more_streams,
            more_keys=found.more_keys,
            untellable=len(found.untellable),
            refused=frozenset(self._refused),
            cut_short=self._cut_short,
        )

    # ---- asking ----------------------------------------------------------------------------------

    async def _ask(self, commands: Sequence[Command]) -> list[Reply]:
        """Return the replies; once time is up, and for what is refused, None."""
        replies: list[Reply] = []
        for i in range(0, len(commands), AT_ONCE):
            if self._is_over():
                break
            replies += await self.wire.ask(Batch(commands[i : i + AT_ONCE]))
        replies += [None] * (len(commands) - len(replies))
        return [self._allowed(c, r) for c, r in zip(commands, replies, strict=True)]

    def _is_over(self) -> bool:
        self._cut_short = self._cut_short or time.monotonic() >= self._until
        return self._cut_short

    def _allowed(self, command: Command, reply: Reply) -> Reply:
        """Return None for what was refused, and note it; a key that is gone or another by now is no news."""
        if not isinstance(reply, Refused):
            return reply
        if reply.code == "NOPERM":
            self._refused.add(" ".join(map(str, command[: 2 if command[0] == "XINFO" else 1])))
        elif isinstance(reply, Away):
            self._refused.add("what stands on a node of the cluster that is away")
        return None

    async def _version(self) -> str:
        (reply,) = await self._ask([("INFO",)])
        nodes = list(reply.values()) if isinstance(reply, OfNodes) else [reply]
        told = [
            read_node(node).version
            for node in nodes
            if isinstance(node, bytes | str) and not isinstance(node, Refused)
        ]
        return told[0] if told else ""

    # ---- names -----------------------------------------------------------------------------------

    async def _names(self) -> _Found:
        """Go over all keys: over streams first, which are what this is about."""
        found = _Found()
        for take, wanted in (
            (found.take_stream, ("TYPE", "stream")),
            (found.take_key, ()),
            (found.take_list, ("TYPE", "list")),
        ):
            cursor: Any = END
            while not self._is_over():
                (reply,) = await self.wire.ask(
                    Batch([("SCAN", cursor, *self._match, *wanted, "COUNT", COUNT)])
                )
                if isinstance(reply, Refused):
                    raise CollectError(_no_scan(reply, self.wire.place))
                cursor, names = reply
                for raw in names:
                    take(raw)
                if cursor == END:
                    break
        return found

    # ---- streams ---------------------------------------------------------------------------------

    async def _streams(self, names: Sequence[bytes]) -> list[StreamSeen]:
        replies = await self._ask(
            [*chain.from_iterable((("XINFO", "STREAM", n), ("XINFO", "GROUPS", n)) for n in names)]
        )
        facts: dict[bytes, StreamFacts] = {}
        groups: dict[bytes, list[GroupSeen]] = {}
        for i, name in enumerate(names):
            info, rows = replies[2 * i : 2 * i + 2]
            if info is None:
                continue
            found = stream_facts(info)
            assert isinstance(found, StreamFacts)
            facts[name] = found
            each = group_facts(rows or [])
            assert isinstance(each, Mapping)
            known = [GroupSeen(group, fact) for group, fact in each.items() if tellable(group)]
            groups[name] = known[:MOST_GROUPS]
        entries = await self._entries(facts)
        pairs = [(name, group) for name in facts for group in groups[name]]
        told = await self._ask([("XINFO", "CONSUMERS", name, group.name) for name, group in pairs])
        with_consumers: dict[bytes, list[GroupSeen]] = {name: [] for name in facts}
        for (name, group), reply in zip(pairs, told, strict=True):
            consumers = consumer_facts(reply or [])
            assert not isinstance(consumers, Refused)
            with_consumers[name].append(GroupSeen(group.name, group.facts, consumers))
        return [StreamSeen(n.decode(), facts[n], with_consumers[n], entries.get(n, [])) for n in facts]

    async def _entries(self, facts: Mapping[bytes, StreamFacts]) -> dict[bytes, list[Entry]]:
        """Return the newest entries of each stream, the oldest first: as many as their size allows."""
        share = max(FEWEST_ENTRIES, min(MOST_ENTRIES, ALL_ENTRIES // max(1, len(facts))))
        first = await self._ask([("XREVRANGE", name, "+", "-", "COUNT", PROBE) for name in facts])
        wanted = {n: min(share, _affordable(r)) for n, r in zip(facts, first, strict=True) if r}
        more = [name for name, count in wanted.items() if count > PROBE and facts[name].length > PROBE]
        replies = dict(zip(facts, first, strict=True))
        for name in more:  # one by one: together they could be more than is good for either side
            (reply,) = await self._ask([("XREVRANGE", name, "+", "-", "COUNT", wanted[name])])
            replies[name] = reply or replies[name]
        return {name: parse_entries(reply)[::-1] for name, reply in replies.items() if reply}

    # ---- heartbeats and flags ----------------------------------------------------------------------

    async def _keys(self, names: Sequence[bytes]) -> tuple[list[KeySeen], list[KeySeen]]:
        types = await self._ask([("TYPE", name) for name in names])
        strings = [name for name, kind in zip(names, types, strict=True) if kind == STRING]
        hashes = [name for name, kind in zip(names, types, strict=True) if kind == HASH]
        found = await self._strings(strings) + await self._hashes(hashes)
        heartbeats = [key for key in found if looks_like_heartbeat(key.key)]
        return heartbeats, [key for key in found if not looks_like_heartbeat(key.key)]

    async def _strings(self, names: Sequence[bytes]) -> list[KeySeen]:
        replies = await self._ask([*chain.from_iterable((("GET", name), ("PTTL", name)) for name in names)])
        return [
            KeySeen(name.decode(), text(held)[:LONGEST_VALUE], _left(left))
            for name, held, left in zip(names, replies[::2], replies[1::2], strict=True)
            if held is not None
        ]

    async def _hashes(self, names: Sequence[bytes]) -> list[KeySeen]:
        replies = await self._ask([("HSCAN", name, 0, "COUNT", 100) for name in names])
        return [
            KeySeen(name.decode(), fields=_fields(reply[1]))
            for name, reply in zip(names, replies, strict=True)
            if reply is not None
        ]


def _fields(flat: Sequence[bytes]) -> Mapping[str, str]:
    pairs = islice(zip(flat[::2], flat[1::2], strict=False), MOST_KEYS)
    return {text(name): text(held)[:LONGEST_VALUE] for name, held in pairs if tellable(text(name))}


def _left(reply: Reply) -> timedelta | None:
    return timedelta(milliseconds=reply) if isinstance(reply, int) and reply >= 0 else None


def _affordable(reply: Sequence[Any]) -> int:
    """Return how many entries may be read of a stream of which these are the newest."""
    size = sum(len(part) for _, flat in reply for part in flat or ()) / len(reply)
    return max(PROBE, int(MOST_BYTES / max(1.0, size)))


def _no_scan(refused: Refused, place: str) -> str:
    if refused.code == "NOPERM":
        why = "this user may not SCAN, so nothing can be found (allow it: ACL SETUSER … +scan)"
        return f"Redis at {place}: {why}"
    if "syntax error" in refused:
        return f"Redis at {place} has no SCAN with TYPE, so nothing can be found (it needs Redis 6.0)"
    why = refused.why if isinstance(refused, Away) else refused
    return f"Redis at {place}: the keys cannot be gone over: {why}"
