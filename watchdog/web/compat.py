"""
`compat: redis_exporter`: streams under the names that redis_exporter gives them, number for number.

The figures are those of the last look; nothing is asked for here. What Redis does not tell (a NULL
lag, the first entry of an empty stream) is an absent series, where the exporter shows 0. Only here are
names of consumers labels: where they hold process IDs, every restart makes new series
(docs/reference/metrics.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from watchdog.entries import EntryId
from watchdog.facts import GroupFacts, StreamFacts
from watchdog.groups import GroupLook
from watchdog.report import Snapshot
from watchdog.web.exposition import SIGNALS_AT_ONCE, escape, frame, head, in_pieces, written

REDIS_EXPORTER = "redis_exporter"
"""How rules.yaml calls it."""


def _ms(entry: EntryId | None) -> int | None:
    """Return the milliseconds of an ID, which is all that the exporter shows of it."""
    return None if entry is None else entry.ms


OF_STREAM: tuple[tuple[str, str, str, Callable[[StreamFacts], int | None]], ...] = (
    ("length", "gauge", "Entries in the stream", lambda stream: stream.length),
    ("radix_tree_keys", "gauge", "Keys of the stream's radix tree", lambda stream: stream.radix_keys),
    ("radix_tree_nodes", "gauge", "Nodes of the stream's radix tree", lambda stream: stream.radix_nodes),
    ("groups", "gauge", "Consumer groups of the stream", lambda stream: stream.groups),
    ("last_generated_id", "gauge", "Epoch milliseconds of the highest ID", lambda s: s.generated.ms),
    (
        "max_deleted_entry_id",
        "gauge",
        "Epoch milliseconds of the highest ID deleted",
        lambda s: _ms(s.deleted),
    ),
    ("first_entry_id", "gauge", "Epoch milliseconds of the oldest entry's ID", lambda s: _ms(s.first)),
    ("last_entry_id", "gauge", "Epoch milliseconds of the newest entry's ID", lambda s: _ms(s.last)),
    ("entries_added_total", "counter", "Entries ever added to the stream", lambda stream: stream.added),
)
OF_GROUP: tuple[tuple[str, str, Callable[[GroupFacts], int | None]], ...] = (
    ("consumers", "Consumers of the group", lambda group: group.consumers),
    ("messages_pending", "Entries delivered and not acknowledged", lambda group: group.pending),
    ("last_delivered_id", "Epoch milliseconds of the last ID delivered", lambda g: g.delivered.ms),
    ("entries_read", "Entries read by the group, as Redis counts them", lambda group: group.read),
    ("lag", "Entries not yet delivered, as Redis counts them", lambda group: group.lag),
)
PENDING, IDLE = "redis_stream_group_consumer_messages_pending", "redis_stream_group_consumer_idle_seconds"
NAMES = (
    *(f"redis_stream_{name}" for name, *_ in OF_STREAM),
    *(f"redis_stream_group_{name}" for name, *_ in OF_GROUP),
    PENDING,
    IDLE,
)
"""All the names there are."""


def exporter_pieces(snapshot: Snapshot, databases: Mapping[str, int]) -> Iterator[str]:
    """
    Yield, some lines at a time, what redis_exporter would show of the streams and groups in *snapshot*.

    *databases* are the numbers of the databases by the servers' names, that of the usual server first.
    """
    streams: dict[str, tuple[datetime, StreamFacts]] = {}
    groups: dict[str, GroupLook] = {}
    yield from _gather(snapshot, databases, streams, groups)
    for name, type_, help_, of_stream in OF_STREAM:
        yield head(f"redis_stream_{name}", type_, help_)
        yield from in_pieces(
            f"redis_stream_{name}{{{who}}} {number}\n"
            for who, (_, stream) in streams.items()
            if (number := of_stream(stream)) is not None
        )
    for name, help_, of_group in OF_GROUP:
        yield head(f"redis_stream_group_{name}", "gauge", help_)
        yield from in_pieces(
            f"redis_stream_group_{name}{{{who}}} {number}\n"
            for who, look in groups.items()
            if (number := of_group(look.group)) is not None
        )
    yield head(PENDING, "gauge", "Entries that the consumer holds unacknowledged")
    yield from in_pieces(
        f'{PENDING}{{consumer="{escape(consumer.name)}",{who}}} {consumer.pending}\n'
        for who, look in groups.items()
        for consumer in look.consumers or ()
    )
    now = snapshot.at.timestamp()
    yield head(IDLE, "gauge", "Time since the consumer last did something")
    yield from in_pieces(
        f'{IDLE}{{consumer="{escape(consumer.name)}",{who}}} {(consumer.idle_ms + ago) / 1000}\n'
        for who, look in groups.items()
        for ago in (round((now - look.at) * 1000),)
        for consumer in look.consumers or ()
    )


def _gather(
    snapshot: Snapshot,
    databases: Mapping[str, int],
    streams: dict[str, tuple[datetime, StreamFacts]],
    groups: dict[str, GroupLook],
) -> Iterator[str]:
    """
    Put what was found of every stream and group under its labels; yield nothing, but now and then.

    Several services may have signals on one stream: the latest look at it counts.
    """
    usual = next(iter(databases))
    frames: dict[tuple[str, ...], Callable[..., str]] = {}

    def who(told: Mapping[str, str]) -> str:
        server = told.get("redis", usual)
        shape = server, *told
        if shape not in frames:
            frames[shape] = frame("*", tuple(told), db=f"db{databases[server]}")
        return frames[shape](*written(tuple(told.values())))

    for i, (key, report) in enumerate(snapshot.signals.items()):
        reading = report.reading
        facts = reading.facts
        if isinstance(facts, (GroupLook, StreamFacts)):
            told = dict(key.labels.pairs())
            if isinstance(facts, GroupLook):
                labels = who(told)
                if labels not in groups or groups[labels].at < facts.at:
                    groups[labels] = facts
                facts = facts.stream
                del told["group"]
            labels = who(told)
            if labels not in streams or streams[labels][0] < reading.at:
                streams[labels] = reading.at, facts
        if i % SIGNALS_AT_ONCE == 0:
            yield ""
