"""What XINFO says, read from real servers of three generations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.groups.wire import SERVERS, Wire, served
from watchdog.entries import ORIGIN, EntryId
from watchdog.facts import GroupFacts, StreamFacts
from watchdog.signals.asking import about_consumers, about_groups, about_stream, read_id
from watchdog.signals.base import Question, Refused


@pytest.fixture(scope="module", params=list(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, Wire]]:
    """Each of the three, one a module."""
    name = str(request.param)
    with served(name) as wire:
        yield name, wire


@pytest.fixture
def wire(server: tuple[str, Wire]) -> Wire:
    """Return a wire to an empty server."""
    _, wire = server
    wire.one("FLUSHALL")
    return wire


@pytest.fixture
def counts(server: tuple[str, Wire]) -> bool:
    """Say whether the server counts entries, as it does from 7.0 on."""
    return SERVERS[server[0]].counts


def told(wire: Wire, question: Question) -> Any:
    """Ask *question* and read the reply."""
    return question.read(wire.one(*question.command))


def add(wire: Wire, *ids: str) -> None:
    """Add an entry under each of *ids* to the stream `s`."""
    wire.ask([("XADD", "s", entry, "n", "1") for entry in ids])


def test_a_stream_that_never_held_an_entry(wire: Wire, counts: bool) -> None:
    """A group was made on it: everything is 0, and nothing is an edge."""
    wire.one("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    zero, origin = (0, ORIGIN) if counts else (None, None)
    assert told(wire, about_stream("s")) == StreamFacts(
        length=0,
        generated=ORIGIN,
        first=None,
        last=None,
        added=zero,
        deleted=origin,
        groups=1,
        radix_keys=0,
        radix_nodes=1,
    )


def test_a_stream_with_a_history(wire: Wire, counts: bool) -> None:
    """Five added, one trimmed, one deleted out of the midst, and the newest deleted as well."""
    add(wire, "1000-0", "1000-1", "2000-0", "3000-0", "4000-0")
    wire.ask([("XTRIM", "s", "MAXLEN", 4), ("XDEL", "s", "2000-0", "4000-0")])
    found = told(wire, about_stream("s"))
    assert (found.length, found.first, found.last) == (2, EntryId(1000, 1), EntryId(3000, 0))
    assert found.generated == EntryId(4000, 0)
    assert (found.added, found.deleted) == ((5, EntryId(4000, 0)) if counts else (None, None))
    assert (found.groups, found.radix_keys > 0, found.radix_nodes > 0) == (0, True, True)


def test_equal_ids_are_kept_once(wire: Wire) -> None:
    """Thousands of facts stand in memory: the newest entry has the last ID, a single one is both edges."""
    add(wire, "1000-0")
    found = told(wire, about_stream("s"))
    assert found.first is found.last is found.generated
    add(wire, "1000-1")
    found = told(wire, about_stream("s"))
    assert found.last is found.generated
    assert (found.first, found.last) == (EntryId(1000, 0), EntryId(1000, 1))


def test_facts_are_equal_while_nothing_happens(wire: Wire) -> None:
    """That is how one tells that a stream rests; and they are not when a group comes."""
    add(wire, "1000-0")
    before = told(wire, about_stream("s"))
    assert told(wire, about_stream("s")) == before
    wire.one("XGROUP", "CREATE", "s", "g", "$")
    assert told(wire, about_stream("s")) != before


def test_groups_by_name(wire: Wire, counts: bool) -> None:
    """One that read and acknowledged, one that never began, one whose name is no text."""
    add(wire, "1000-0", "2000-0", "3000-0")
    wire.ask(
        [
            ("XGROUP", "CREATE", "s", "reader", "0"),
            ("XGROUP", "CREATE", "s", "late", "$"),
            ("XGROUP", "CREATE", "s", b"\xff", "0"),
            ("XREADGROUP", "GROUP", "reader", "a", "COUNT", 2, "STREAMS", "s", ">"),
            ("XACK", "s", "reader", "1000-0"),
        ]
    )
    found = told(wire, about_groups("s"))
    assert sorted(found) == sorted(["reader", "late", "\N{REPLACEMENT CHARACTER}"])
    read, lag = (2, 1) if counts else (None, None)
    assert found["reader"] == GroupFacts(EntryId(2000, 0), 1, 1, read=read, lag=lag, counts=counts)
    assert (found["late"].delivered, found["late"].read) == (EntryId(3000, 0), None)


def test_a_lag_that_redis_cannot_tell(wire: Wire, counts: bool) -> None:
    """NULL is not 0, and not the silence of a server that has no lag."""
    add(wire, "1000-0", "2000-0", "3000-0")
    wire.ask([("XDEL", "s", "2000-0"), ("XGROUP", "CREATE", "s", "g", "1000-0")])
    found = told(wire, about_groups("s"))["g"]
    assert (found.lag, found.read, found.counts) == (None, None, counts)


def test_consumers(wire: Wire) -> None:
    """Who holds what, and for how long it has done nothing."""
    add(wire, "1000-0", "2000-0")
    wire.ask(
        [
            ("XGROUP", "CREATE", "s", "g", "0"),
            ("XREADGROUP", "GROUP", "g", "a", "COUNT", 2, "STREAMS", "s", ">"),
            ("XREADGROUP", "GROUP", "g", "b", "COUNT", 2, "STREAMS", "s", ">"),
        ]
    )
    found = {consumer.name: consumer for consumer in told(wire, about_consumers("s", "g"))}
    assert found["a"].pending == 2
    assert 0 <= found["a"].idle_ms < 60_000
    if "b" in found:  # before 7.2 a consumer that got nothing is not made
        assert (found["b"].pending, found["b"].inactive_ms) == (0, None)


def test_who_tells_since_when_it_last_succeeded(wire: Wire, server: tuple[str, Wire]) -> None:
    """`inactive` came with 7.2: before, nothing is known of it."""
    add(wire, "1000-0")
    wire.one("XGROUP", "CREATE", "s", "g", "0")
    wire.one("XREADGROUP", "GROUP", "g", "a", "STREAMS", "s", ">")
    (found,) = told(wire, about_consumers("s", "g"))
    assert (found.inactive_ms is not None) == (server[0] == "valkey-9")


REFUSALS = [
    ("a stream that is not there", about_stream("nowhere"), "no such key"),
    ("groups of one that is not there", about_groups("nowhere"), "no such key"),
    ("consumers of one that is not there", about_consumers("nowhere", "g"), "no such key"),
    ("a stream that is a string", about_stream("k"), "WRONGTYPE"),
    ("groups of a string", about_groups("k"), "WRONGTYPE"),
    ("consumers of no group", about_consumers("s", "nobody"), "NOGROUP"),
]


@pytest.mark.parametrize(
    ("question", "why"), [row[1:] for row in REFUSALS], ids=[row[0].replace(" ", "-") for row in REFUSALS]
)
def test_a_refusal_stays_one(wire: Wire, question: Question, why: str) -> None:
    """It is an answer, in Redis' own words, and who asked has to say what it means."""
    add(wire, "1000-0")
    wire.one("SET", "k", "1")
    found = told(wire, question)
    assert isinstance(found, Refused)
    assert why in found


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(b"1771359991000-12", EntryId(1771359991000, 12)), (b"0-1", EntryId(0, 1)), (b"0-0", ORIGIN)],
)
def test_ids(raw: bytes, expected: EntryId) -> None:
    """Milliseconds and a number within them."""
    assert read_id(raw) == expected
