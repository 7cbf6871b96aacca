"""Which stream follows from which: entries of both carry one identifier, one a moment after the other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from watchdog.entries import Entry, EntryId
from watchdog.firstlook.seen import StreamSeen
from watchdog.traceparent import TRACEPARENT, parse_traceparent

ID_FIELDS = (
    *("trace_id", "correlation_id", "plan_id", "order_id", "request_id", "task_id", "message_id", "job_id"),
    *("event_id", "source_id", "entry_id", "parent_id", "client_order_id", "id", "uuid"),
)
SHORTEST = 6
"""A shorter text is no identifier: it would be found by chance."""
MOST_ALIKE = 5
"""What more entries of one stream have in common identifies none of them."""
FEWEST, SHARE = 3, 0.8
"""So many entries of a stream, and so large a part of them, follow from another one's if it is its input."""


@dataclass(frozen=True, slots=True)
class Link:
    """
    Of *of* entries of a stream *matched* carry an identifier of an earlier entry of *source*.

    *pairs* are those: the entry of the source and the one that followed it; *delay* is in milliseconds.
    """

    source: str
    matched: int
    of: int
    delay: float
    pairs: Sequence[tuple[Entry, Entry]]


def find_links(streams: Sequence[StreamSeen]) -> Mapping[str, Sequence[Link]]:
    """Return for each stream the streams that it follows from, the nearest first."""
    begun: dict[str, dict[str, Entry]] = defaultdict(dict)
    own: dict[str, list[tuple[Entry, frozenset[str]]]] = {}
    for stream in streams:
        told = [(entry, frozenset(_identifiers(entry))) for entry in stream.entries]
        often = Counter(one for _, ids in told for one in ids)
        own[stream.key] = [(e, frozenset(i for i in ids if often[i] <= MOST_ALIKE)) for e, ids in told]
        for entry, ids in own[stream.key]:
            for one in (*ids, str(entry.id)):
                begun[one].setdefault(stream.key, entry)
    firsts = {stream.key: stream.entries[0].id for stream in streams if stream.entries}
    return {key: _links(key, entries, begun, firsts) for key, entries in own.items() if entries}


def _links(
    key: str,
    entries: Sequence[tuple[Entry, frozenset[str]]],
    begun: Mapping[str, Mapping[str, Entry]],
    firsts: Mapping[str, EntryId],
) -> Sequence[Link]:
    pairs: dict[str, list[tuple[Entry, Entry]]] = defaultdict(list)
    for entry, ids in entries:
        earlier = {s: e for one in ids for s, e in begun[one].items() if s != key and e.id < entry.id}
        for source, before in earlier.items():
            pairs[source].append((before, entry))
    found = []
    for source, some in pairs.items():
        known = sum(entry.id >= firsts[source] for entry, _ in entries)  # others may follow what was not read
        if len(some) >= FEWEST and len(some) >= SHARE * known:
            delays = sorted(after.id.ms - before.id.ms for before, after in some)
            found.append(Link(source, len(some), known, delays[len(delays) // 2], tuple(some)))
    return sorted(found, key=lambda link: (link.delay, -link.matched, link.source))


def _identifiers(entry: Entry) -> Iterator[str]:
    trace = parse_traceparent(entry.fields.get(TRACEPARENT))
    if trace is not None:
        yield trace.trace_id
    for name in ID_FIELDS:
        found = entry.find(name)
        if found is not None and len(found) >= SHORTEST and any(map(str.isdigit, found)):
            yield found
