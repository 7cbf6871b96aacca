"""Streams seen from their producers' side: what was added, how old it is, what it holds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from tests.signals.conftest import Bench, signal_of, steps
from watchdog.history import History
from watchdog.model import AtLeast, Reading, Value
from watchdog.signals.base import RedisSignal
from watchdog.signals.stream import FieldCheck, StreamConfig
from watchdog.units import EPOCH

HOUR = timedelta(hours=1)


def stream(**keys: Any) -> RedisSignal[Any]:
    """Return the signal for the stream `s`."""
    return signal_of("stream", key="s", **keys)


def share(bench: Bench, signal: RedisSignal[Any], reading: Reading, name: str) -> Value:
    """Return what `constant_share.NAME[1h]` is made of, divided."""
    history = History(HOUR).add([reading])
    most = history.variants(signal.key, f"value.{name}", HOUR, reading.at)
    total = history.increase(signal.key, f"values.{name}", HOUR, reading.at)
    assert isinstance(total, float)
    return most[0][1] / total


def test_the_facts_of_a_stream(bench: Bench) -> None:
    """Three entries, the newest 10 seconds old, the oldest 90; none was ever removed."""
    bench.add("s", -90, -30, -10)
    found = bench.look(stream(expect_every="5s"))
    assert found.values == {"length": 3, "age": 10, "overdue": 2, "retained": 90, "capped": 0}
    assert found.evidence == {"newest": bench.id(-10)}
    assert (steps(found, "added"), found.counts["added", ""].since) == (3, EPOCH)


def test_a_trimmed_stream_is_capped(bench: Bench) -> None:
    """What is gone was added all the same, but nobody knows when: seen from the oldest kept on."""
    bench.add("s", -90, -30, -10)
    bench.client.xtrim("s", maxlen=2, approximate=False)
    found = bench.look(stream())
    assert (found.values["length"], found.values["capped"], found.values["retained"]) == (2, 1, 30)
    assert (steps(found, "added"), found.counts["added", ""].since) == (2, bench.after(-30))


def test_a_stream_never_used_is_as_old_as_it_is_watched(bench: Bench) -> None:
    """A group was made, an entry never came: at least that old, in the next process too."""
    bench.client.xgroup_create("s", "g", mkstream=True)
    signal = stream(expect_every="10s")
    first, second = bench.looks(signal, 0, 60)
    assert first.values == {"length": 0, "age": AtLeast(0), "overdue": AtLeast(0), "capped": 0}
    assert second.values == {"length": 0, "age": AtLeast(60), "overdue": AtLeast(6), "capped": 0}
    assert (steps(second, "added"), second.counts["added", ""].since) == (0, EPOCH)
    later = stream(expect_every="10s")
    later.remember(signal.memory())
    assert bench.look(later, 600).values["age"] == AtLeast(600)


def test_an_emptied_stream_remembers_its_newest(bench: Bench) -> None:
    """Consumers that delete what they read leave the last ID behind, and nothing came after it."""
    bench.add("s", -90, -20)
    bench.client.xdel("s", bench.id(-90), bench.id(-20))
    found = bench.look(stream())
    assert found.values == {"length": 0, "age": 20, "capped": 1}
    assert found.counts["added", ""].since == bench.after(-20)


def test_deleting_out_of_the_midst_uncovers_what_came_before(bench: Bench) -> None:
    """What a consumer deleted after the oldest kept entry was added, and cannot be counted."""
    bench.add("s", -90, -60, -30, -10)
    bench.client.xdel("s", bench.id(-30))
    assert bench.look(stream()).counts["added", ""].since == bench.after(-30)


def test_a_missing_stream_is_unknown(bench: Bench) -> None:
    """No stream is no length of 0."""
    found = bench.look(stream())
    assert (found.trouble, found.values) == ('stream "s" does not exist', {})


def test_a_stream_of_another_type(bench: Bench) -> None:
    """WRONGTYPE is an answer."""
    bench.client.set("s", "1")
    assert bench.look(stream()).trouble == 'stream "s" is of another type (ask: redis-cli TYPE)'


def test_an_id_from_the_future_still_ages(bench: Bench) -> None:
    """Microseconds given as an ID push all later IDs there too: age counts from when it was first seen."""
    bench.client.xadd("s", {"n": "1"}, id="1771359991000000-0")
    signal = stream(expect_every="10s")
    assert [found.values["age"] for found in bench.looks(signal, 0, 60, 120)] == [0, 60, 120]
    bench.client.xadd("s", {"n": "2"})
    assert bench.look(signal, 180).values["age"] == 0


# ---- counted once ------------------------------------------------------------------------------


def test_entries_are_counted_once_and_at_their_own_time(bench: Bench) -> None:
    """A window of the past is full from the first look on."""
    bench.add("s", -3000, -120, -60)
    signal = stream()
    history = History(HOUR).add([bench.look(signal)])
    assert history.increase(signal.key, "added", timedelta(seconds=90), bench.began) == 1
    assert history.increase(signal.key, "added", HOUR, bench.began) == 3
    bench.add("s", 10, 20)
    history.add(bench.looks(signal, 30, 35))
    assert history.increase(signal.key, "added", HOUR, bench.after(35)) == 5


def test_pages_are_read_to_their_end(bench: Bench) -> None:
    """Exactly one page, then exactly two, then one entry more."""
    signal = stream()
    counted = []
    total = 0
    for count in (500, 1000, 1):
        pipe = bench.client.pipeline(transaction=False)
        for _ in range(count):
            pipe.xadd("s", {"n": "1"}, id=f"{1000 + total}-0")
            total += 1
        pipe.execute()
        counted.append(steps(bench.look(signal, 1), "added"))
    assert counted == [500, 1000, 1]
    assert bench.look(stream(), 1).values["length"] == 1501


def test_trimming_between_looks_withdraws_coverage(bench: Bench) -> None:
    """Four were added, two of them are gone unseen: two are counted, and only from now on for sure."""
    signal = stream()
    bench.add("s", -10)
    first = bench.look(signal)
    bench.add("s", 1, 2, 3, 4)
    bench.client.xtrim("s", maxlen=2, approximate=False)
    second, third = bench.looks(signal, 5, 10)
    assert [steps(found, "added") for found in (first, second, third)] == [1, 2, 0]
    sinces = [found.counts["added", ""].since for found in (first, second, third)]
    assert sinces == [EPOCH, bench.after(5), bench.after(5)]


def test_trimming_what_was_seen_withdraws_nothing(bench: Bench) -> None:
    """A capped stream is the usual case."""
    signal = stream()
    for seconds in range(5):
        bench.client.xadd("s", {"n": "1"}, id=bench.id(seconds), maxlen=2, approximate=False)
        found = bench.look(signal, seconds)
    assert found.counts["added", ""].since == EPOCH


def test_deleted_and_made_anew(bench: Bench) -> None:
    """The new stream's entries are counted once, the old one's are not counted again."""
    signal = stream()
    bench.add("s", -20, -10)
    found = [bench.look(signal)]
    bench.client.delete("s")
    found.append(bench.look(signal, 5))
    bench.add("s", 6, 7, 8)
    found += bench.looks(signal, 10, 15)
    bench.add("s", 16)
    found.append(bench.look(signal, 20))
    assert found[1].trouble == 'stream "s" does not exist'
    assert [steps(found[i], "added") for i in (0, 2, 3, 4)] == [2, 3, 0, 1]
    assert found[4].counts["added", ""].since == bench.after(10)


def test_made_anew_and_empty(bench: Bench) -> None:
    """A group made on the deleted stream's name starts it at 0-0."""
    signal = stream()
    bench.add("s", -20, -10)
    bench.look(signal)
    bench.client.delete("s")
    bench.client.xgroup_create("s", "g", mkstream=True)
    assert bench.look(signal, 5).values["age"] == AtLeast(5)
    bench.add("s", 6)
    found = bench.look(signal, 10)
    assert (steps(found, "added"), found.values["age"]) == (1, 4)


def test_restored_from_an_older_snapshot(bench: Bench) -> None:
    """Entries that were counted before Redis lost the newest are not counted twice."""
    signal = stream()
    bench.add("s", -30, -20)
    snapshot: Any = bench.client.dump("s")
    bench.add("s", -10)
    first = bench.look(signal)
    bench.client.restore("s", 0, snapshot, replace=True)
    second = bench.look(signal, 5)
    bench.add("s", 6)
    third = bench.look(signal, 10)
    assert [steps(found, "added") for found in (first, second, third)] == [3, 0, 1]
    assert second.counts["added", ""].since == bench.after(5)


# ---- inside the entries ------------------------------------------------------------------------


def test_skew_tells_entries_published_again(bench: Bench) -> None:
    """Eight days lie between the ID and what the payload says; the sign tells which is later."""
    eight_days = 8 * 86400
    stated = (bench.after(-10 - eight_days)).isoformat()
    bench.add("s", -10, payload=f'{{"timestamp": "{stated}"}}')
    signal = stream(timestamp="timestamp")
    assert bench.look(signal).values["skew"] == pytest.approx(eight_days)
    bench.add("s", 1, timestamp=f"{(bench.after(31) - EPOCH).total_seconds()}")
    assert bench.look(signal, 5).values["skew"] == pytest.approx(-30)


def test_skew_without_a_time_to_compare(bench: Bench) -> None:
    """A field that is not there, or holds no time, leaves the skew unknown; no entry at all, not applicable."""
    bench.client.xgroup_create("s", "g", mkstream=True)
    signal = stream(timestamp="timestmap")
    assert "skew" not in bench.look(signal).values
    bench.add("s", 1, timestamp="1771359991")
    found = bench.look(signal, 5)
    assert (found.values["skew"], found.known) == (None, False)


FIELDS = {"side": {"one_of": ["BUY", "SELL"]}, "qty": {"range": [0, 10]}, "source": {"deny": ["test"]}}
BAD: list[tuple[str, dict[str, str], dict[str, str] | None]] = [
    ("as it should be", {"side": "BUY", "qty": "0.5", "source": "bridge"}, None),
    ("in an envelope", {"payload": '{"side": "SELL", "qty": 10, "source": "bridge"}'}, None),
    ("a missing field", {"side": "BUY"}, None),
    ("too much", {"qty": "812"}, {"field": "qty", "problem": "outside 0 to 10"}),
    ("too little, in an envelope", {"data": '{"qty": -1}'}, {"field": "qty", "problem": "outside 0 to 10"}),
    ("not a number", {"qty": "many"}, {"field": "qty", "problem": "not a number"}),
    ("NaN", {"qty": "nan"}, {"field": "qty", "problem": "outside 0 to 10"}),
    ("another word", {"side": "HOLD"}, {"field": "side", "problem": "not one of BUY, SELL"}),
    ("a denied word", {"source": "test"}, {"field": "source", "problem": "denied"}),
]


@pytest.mark.parametrize(("fields", "bad"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_values(bench: Bench, fields: dict[str, str], bad: dict[str, str] | None) -> None:
    """Each bad entry counts once, and the last is shown."""
    bench.add("s", -10, fields=fields)
    found = bench.look(stream(fields=FIELDS))
    assert steps(found, "bad_values") == (1 if bad else 0)
    assert found.evidence.get("last_bad_value") == ({"id": bench.id(-10), **bad} if bad else None)


def test_an_entry_with_two_bad_values_is_one_bad_entry(bench: Bench) -> None:
    """Entries are counted, not fields."""
    bench.add("s", -10, side="HOLD", qty="812")
    assert steps(bench.look(stream(fields=FIELDS)), "bad_values") == 1


def test_truths_are_one_word() -> None:
    """`True`, `true` and `1` are the same, and not the same as `yes`."""
    check = FieldCheck.model_validate({"one_of": True})
    assert [check.objection(text) for text in ("True", "true", "1", "yes", None)] == [
        None,
        None,
        None,
        "not one of True",
        None,
    ]


SHARES: list[tuple[str, list[str], float]] = [
    ("one word", ["UNKNOWN"] * 20, 1.0),
    ("two words", ["BUY", "SELL", "BUY", "BUY"], 0.75),
    ("an empty value", ["", "", "", "x"], 0.75),
    ("a price that stands", ["0.0"] * 19 + ["71208.9"], 0.95),
    ("prices that move", [f"{71208 + i}.{i}" for i in range(200)], 0.05),
    ("a price that stands after it moved", [f"{i}.5" for i in range(100)] + ["0.0"] * 900, 0.905),
]


@pytest.mark.parametrize(("values", "expected"), [row[1:] for row in SHARES], ids=[row[0] for row in SHARES])
def test_constant_share(bench: Bench, values: list[str], expected: float) -> None:
    """The most frequent value of a field by all its values; numbers that differ are not one value."""
    pipe = bench.client.pipeline(transaction=False)
    for i, value in enumerate(values):
        pipe.xadd("s", {"price": value}, id=bench.id(-1000 + i))
    pipe.execute()
    signal = stream(fields={"price": {}})
    assert "constant_share.price" in signal.config.offered()
    assert share(bench, signal, bench.look(signal, 100), "price") == pytest.approx(expected, abs=0.03)


def test_binary_junk_is_counted_and_harms_nobody(bench: Bench) -> None:
    """Bytes that are no text, a megabyte, and nested JSON are entries like any other."""
    bench.client.xadd("s", {b"\xff\xfe": b"\x00\xff", b"side": b"\xff"})
    bench.client.xadd("s", {"side": "x" * 1_000_000})
    bench.client.xadd("s", {"payload": '{"side": ' + "[" * 100_000})
    for depth in range(200, 1200, 50):
        bench.client.xadd("s", {"payload": '{"side": ' + "[" * depth + "]" * depth + "}"})
    found = bench.look(stream(fields=FIELDS), 1)
    assert (found.trouble, steps(found, "added")) == (None, 23)


REFUSED = [
    {},
    {"key": ""},
    {"key": "s", "expect_every": "0s"},
    {"key": "s", "fields": {"x": {"rnage": [0, 1]}}},
    {"key": "s", "fields": {"x": {"one_of": []}}},
    {"key": "s", "fields": {"x": {"range": [0]}}},
]


@pytest.mark.parametrize("keys", REFUSED, ids=str)
def test_refused_configurations(keys: dict[str, Any]) -> None:
    """What could never be told is an error of the file."""
    with pytest.raises(ValidationError):
        StreamConfig.model_validate(keys)


def test_offered_measures() -> None:
    """What is not declared is not applicable."""
    plain = {"length", "added", "age", "retained", "capped"}
    assert set(stream().config.offered()) == plain
    full = stream(expect_every="1s", timestamp="ts", fields={"side": {}}).config.offered()
    assert set(full) == plain | {"overdue", "skew", "bad_values", "constant_share.side"}
