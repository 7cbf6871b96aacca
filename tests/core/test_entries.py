"""Entries in all their shapes, and the tests their fields must pass."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.drawn import ids, rows
from watchdog.entries import Entry, EntryId, matches, parse_entries, parse_tests, tidy_reason


def entry(fields: Mapping[str, str]) -> Entry:
    """Return an entry that holds *fields*."""
    return Entry(EntryId(1, 0), fields)


# ---- IDs ---------------------------------------------------------------------------------------


def test_ids_are_numbers_not_words() -> None:
    """9 comes before 10, and a missing sequence is 0."""
    texts: list[str | bytes] = ["10-0", b"9-2", "9-10", "9"]
    assert [str(found) for found in sorted(EntryId.parse(text) for text in texts)] == [
        "9-0",
        "9-2",
        "9-10",
        "10-0",
    ]


def test_an_id_carries_time() -> None:
    """Milliseconds in UTC; the largest ID Redis takes lies at the calendar's end."""
    assert EntryId.parse(b"1771359991000-3").at == datetime(2026, 2, 17, 20, 26, 31, tzinfo=UTC)
    assert EntryId.parse("18446744073709551615-18446744073709551615").at.year == 9999


def test_replies_become_entries() -> None:
    """Bytes that are no text are replaced; an entry whose body vanished has no fields."""
    found = parse_entries([[b"1-0", [b"a", b"1", b"\xff", b"\xfe"]], [b"2-0", None], [b"3-0", []]])
    assert [(str(e.id), dict(e.fields)) for e in found] == [
        ("1-0", {"a": "1", "\ufffd": "\ufffd"}),
        ("2-0", {}),
        ("3-0", {}),
    ]


# ---- fields ------------------------------------------------------------------------------------

FOUND: list[tuple[str, dict[str, str], str, str | None]] = [
    ("flat", {"status": "filled"}, "status", "filled"),
    ("flat and empty", {"error": ""}, "error", ""),
    ("payload", {"payload": '{"status": "filled"}'}, "status", "filled"),
    ("data", {"data": '{"status": "filled"}'}, "status", "filled"),
    ("details", {"details": '{"status": "filled"}'}, "status", "filled"),
    ("a leading space", {"data": ' \n{"status": "filled"}'}, "status", "filled"),
    ("flat before envelope", {"status": "a", "data": '{"status": "b"}'}, "status", "a"),
    ("payload before details", {"details": '{"s": "d"}', "payload": '{"s": "p"}'}, "s", "p"),
    ("a number", {"data": '{"price": 0.98}'}, "price", "0.98"),
    ("a whole number", {"data": '{"order_id": 1098140001}'}, "order_id", "1098140001"),
    ("a truth", {"data": '{"executed": true}'}, "executed", "true"),
    ("null", {"data": '{"executed": null}'}, "executed", None),
    ("an object", {"data": '{"permit": {"ok": true}}'}, "permit", '{"ok": true}'),
    ("nested", {"data": '{"permit": {"ok": true}}'}, "permit.ok", "true"),
    ("nested and missing", {"data": '{"permit": {}}'}, "permit.ok", None),
    ("nested in a word", {"data": '{"permit": "p33"}'}, "permit.ok", None),
    ("a dot in the name", {"data": '{"permit.ok": 1}'}, "permit.ok", "1"),
    ("a dot in a flat name", {"permit.ok": "1"}, "permit.ok", "1"),
    ("with the envelope's name", {"details": '{"error": "no_position"}'}, "details.error", "no_position"),
    ("with another's name", {"details": '{"error": "no_position"}'}, "payload.error", None),
    ("the envelope itself", {"details": '{"a": 1}'}, "details", '{"a": 1}'),
    ("missing", {"side": "BUY"}, "action", None),
    ("no object", {"data": "[1]"}, "a", None),
    ("broken", {"data": '{"a": 1', "details": '{"a": 2}'}, "a", "2"),
    ("half a character", {"data": '{"a": "\\ud800"}'}, "a", "?"),
    ("a bomb", {"data": '{"a": ' + "[" * 100_000}, "a", None),
    ("too many digits", {"data": '{"a": ' + "9" * 5000 + "}"}, "a", None),
]


@pytest.mark.parametrize(("fields", "name", "expected"), [r[1:] for r in FOUND], ids=[r[0] for r in FOUND])
def test_fields_are_found_wherever_they_are(fields: dict[str, str], name: str, expected: str | None) -> None:
    """Flat, in an envelope or nested in one; a missing field is missing, not false."""
    assert entry(fields).find(name) == expected


# ---- tests of fields ---------------------------------------------------------------------------

TESTS = """
  wanted      | matches                       | does not
  true        | true True TRUE 1              | false 0 yes 2 1.0 on
  false       | false False 0                 | true 1 no 0.0
  1           | 1 true                        | 0 10
  0           | 0 False                       | 1 00
  5           | 5 5.0 5e0                     | 50 five
  filled      | filled                        | FILLED partial filled!
  > 0         | 1 0.98 1e-9 inf               | 0 0.0 -1 nan x true
  >= 10       | 10 11                         | 9.99
  < 0         | -1 -0.5                       | 0 1
  <= -1.5     | -1.5 -2                       | -1
  == 5        | 5 5.0 5e0                     | 6 five
  != 5        | 6 -5                          | 5 5.00 five
  >0          | 1                             | 0
  > x         | -                             | 1 x
"""


def scalar(text: str) -> object:
    """Return what YAML makes of *text*."""
    return {"true": True, "false": False}.get(text, int(text) if text.isdigit() else text)


@pytest.mark.parametrize(("wanted", "matching", "other"), rows(TESTS), ids=ids(TESTS))
def test_what_a_field_must_be(wanted: str, matching: str, other: str) -> None:
    """A word, a truth in three spellings, or a comparison with a number; flat and enveloped alike."""
    tests = parse_tests({"field": scalar(wanted)})
    for text in matching.split():
        assert text == "-" or matches(entry({"field": text}), tests), text
    for text in other.split():
        assert not matches(entry({"field": text}), tests), text


def test_null_means_that_the_field_is_missing() -> None:
    """Alone or beside words; an empty field is there."""
    no_error, known = parse_tests({"error": None}), parse_tests({"error": [None, "duplicate_plan"]})
    assert [matches(entry(f), no_error) for f in ({}, {"error": ""}, {"error": "x"})] == [True, False, False]
    assert [matches(entry(f), known) for f in ({}, {"error": "duplicate_plan"}, {"error": "x"})] == [
        True,
        True,
        False,
    ]


LISTS: list[tuple[dict[str, Any], dict[str, str], bool]] = [
    ({"status": ["filled", "partial"]}, {"status": "partial"}, True),
    ({"status": ["filled", "partial"]}, {"status": "rejected"}, False),
    ({"executed": [True, "maybe"]}, {"executed": "1"}, True),
    ({"status": "filled", "price": "> 0"}, {"status": "filled", "price": "1"}, True),
    ({"status": "filled", "price": "> 0"}, {"status": "filled", "price": "0"}, False),
    ({"status": "filled", "price": "> 0"}, {"status": "filled"}, False),
    ({}, {}, True),
]


@pytest.mark.parametrize(("wanted", "fields", "expected"), LISTS, ids=str)
def test_every_test_must_hold(wanted: dict[str, Any], fields: dict[str, str], expected: bool) -> None:
    """A list means any of its words, several fields mean all of them."""
    assert matches(entry(fields), parse_tests(wanted)) is expected


# ---- reasons -----------------------------------------------------------------------------------

REASONS = """
  said                                   | counted as
  kill_score_close_ok                    | kill_score_close_ok
  risk_layer0_fail:heartbeat_missing     | risk_layer0_fail:heartbeat_missing
  permit_timeout_or_missing:missing_p26  | permit_timeout_or_missing:missing_p26
  position_too_large:$812>$500_cap       | position_too_large:$#>$#_cap
  position_too_large:$812.5>$500_cap     | position_too_large:$#>$#_cap
  limit 3 of 10 reached                  | limit # of # reached
  snapshot 8.5 h old                     | snapshot # h old
  order 1a2b3c4d refused                 | order 1a2b3c4d refused
"""


@pytest.mark.parametrize(("said", "counted"), rows(REASONS), ids=ids(REASONS))
def test_free_standing_figures_are_masked(said: str, counted: str) -> None:
    """What varies must not make a thousand reasons of one; what is part of a name stays."""
    assert tidy_reason(said) == counted


@given(st.text())
def test_a_reason_is_short_and_plain(text: str) -> None:
    """Nothing from outside can steer a terminal, or fill the memory."""
    tidied = tidy_reason(text)
    assert len(tidied) <= 120
    assert not any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in tidied)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_any_json_value_is_text_or_missing(value: Any) -> None:
    """And can be written down again."""
    found = entry({"data": json.dumps({"a": value})}).find("a")
    assert (found is None) == (value is None)
    assert found is None or found.encode().decode() == found
