"""Inside a stream's entries: bad values, constant ones, and times that do not fit the IDs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.signals.conftest import Bench, steps
from tests.signals.watching import Watcher
from watchdog.history import History
from watchdog.model import Reading, Value
from watchdog.signals.contents import FieldCheck
from watchdog.units import EPOCH

HOUR = timedelta(hours=1)


def share(reading: Reading, name: str) -> Value:
    """Return what `constant_share.NAME[1h]` is made of, divided."""
    history = History(HOUR).add([reading])
    most = history.variants(reading.signal, f"value.{name}", HOUR, reading.at)
    total = history.increase(reading.signal, f"values.{name}", HOUR, reading.at)
    assert isinstance(total, float)
    return most[0][1] / total


def test_skew_tells_entries_published_again(bench: Bench) -> None:
    """Eight days lie between the ID and what the payload says; the sign tells which is later."""
    eight_days = 8 * 86400
    stated = (bench.after(-10 - eight_days)).isoformat()
    bench.add("s", -10, payload=f'{{"timestamp": "{stated}"}}')
    watcher = Watcher(bench, timestamp="timestamp")
    assert watcher.look().values["skew"] == pytest.approx(eight_days)
    bench.add("s", 1, timestamp=f"{(bench.after(31) - EPOCH).total_seconds()}")
    assert watcher.look(5).values["skew"] == pytest.approx(-30)
    newest = ("XREVRANGE", "s", "+", "-", "COUNT", 1)
    assert [command for command in watcher.asked if command[0] == "XREVRANGE"] == [newest, newest]


def test_skew_without_a_time_to_compare(bench: Bench) -> None:
    """A field that is not there, or holds no time, leaves the skew unknown; no entry at all, not applicable."""
    bench.client.xgroup_create("s", "g", mkstream=True)
    watcher = Watcher(bench, timestamp="timestmap")
    assert "skew" not in watcher.look().values
    bench.add("s", 1, timestamp="1771359991")
    found = watcher.look(5)
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
    found = Watcher(bench, fields=FIELDS).look()
    assert steps(found, "bad_values") == (1 if bad else 0)
    assert found.evidence.get("last_bad_value") == ({"id": bench.id(-10), **bad} if bad else None)


def test_an_entry_with_two_bad_values_is_one_bad_entry(bench: Bench) -> None:
    """Entries are counted, not fields."""
    bench.add("s", -10, side="HOLD", qty="812")
    assert steps(Watcher(bench, fields=FIELDS).look(), "bad_values") == 1


def test_entries_are_inspected_once(bench: Bench) -> None:
    """Those of before, those that come, and none twice while only groups change."""
    bench.add("s", -20, -10, qty="812")
    watcher = Watcher(bench, fields=FIELDS)
    found = [watcher.look()]
    bench.add("s", 1, qty="812")
    found.append(watcher.look(5))
    asked = len(watcher.asked)
    bench.client.xgroup_create("s", "g")
    found.append(watcher.look(10))
    assert [steps(reading, "bad_values") for reading in found] == [2, 1, 0]
    assert [steps(reading, "added") for reading in found] == [2, 1, 0]
    assert len(watcher.asked) == asked


def test_more_entries_than_one_look_reads_wait_for_the_next_tick(bench: Bench) -> None:
    """12,000 bad entries are inspected in two looks, the second of which comes though nothing changed."""
    bench.add("s", -10, qty="1")
    watcher = Watcher(bench, fields=FIELDS)
    watcher.look()
    pipe = bench.client.pipeline(transaction=False)
    for i in range(12_000):
        pipe.xadd("s", {"qty": "812"}, id=bench.id(1, i))
    pipe.execute()
    found = watcher.looks(5, 10)
    assert [steps(reading, "bad_values") for reading in found] == [10_000, 2_000]
    assert sum(steps(reading, "added") for reading in found) == 12_000
    assert watcher.tick(15) is None


def test_an_inspection_cut_short_is_ended_by_the_next_look(bench: Bench) -> None:
    """Redis goes away after the entries came and before the newest did: they are judged once."""
    bench.add("s", -10, qty="812")
    watcher = Watcher(bench, fields=FIELDS, timestamp="ts")
    watcher.look()
    bench.add("s", 1, 2, qty="812")
    watcher.cut_short(5)
    found = watcher.look(10)
    assert (steps(found, "bad_values"), steps(found, "added")) == (2, 2)


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
    bench.add("s", -9000)
    pipe = bench.client.pipeline(transaction=False)
    for i, value in enumerate(values):
        pipe.xadd("s", {"price": value}, id=bench.id(-1000 + i))
    pipe.execute()
    watcher = Watcher(bench, fields={"price": {}})
    assert "constant_share.price" in watcher.signal.config.offered()
    assert share(watcher.look(100), "price") == pytest.approx(expected, abs=0.03)


def test_binary_junk_is_counted_and_harms_nobody(bench: Bench) -> None:
    """Bytes that are no text, a megabyte, and nested JSON are entries like any other."""
    bench.client.xadd("s", {b"\xff\xfe": b"\x00\xff", b"side": b"\xff"})
    bench.client.xadd("s", {"side": "x" * 1_000_000})
    bench.client.xadd("s", {"payload": '{"side": ' + "[" * 100_000})
    for depth in range(200, 1200, 50):
        bench.client.xadd("s", {"payload": '{"side": ' + "[" * depth + "]" * depth + "}"})
    found = Watcher(bench, fields=FIELDS).look(1)
    assert (found.trouble, steps(found, "added")) == (None, 23)
