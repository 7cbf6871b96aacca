"""Records: what comes back equals what went in, whatever it was, and what was never ours is refused."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, TypeVar, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.drawn import T0, ids, rows
from watchdog.alerts import Alert, State
from watchdog.model import Labels, SignalKey
from watchdog.muting import Ack, Matcher, Silence
from watchdog.notifications import Notice, Notification, Reason
from watchdog.records import (
    read_ack,
    read_alert,
    read_notification,
    read_receipt,
    read_silence,
    write_ack,
    write_alert,
    write_notification,
    write_receipt,
    write_silence,
)
from watchdog.rules import Severity
from watchdog.state import UNREADABLE, StateFile
from watchdog.telling import Receipt

T = TypeVar("T")
MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))
TEXTS = st.text(st.characters(codec=None), max_size=12)
"""Lone surrogates included: a log line that is no UTF-8 is decoded to them."""
FIGURES = st.floats(allow_nan=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FIGURES | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=8)
LABELS = st.dictionaries(NAMES, NAMES, max_size=3).map(Labels)


def whole(of: type[T], /, **known: st.SearchStrategy[Any]) -> st.SearchStrategy[T]:
    """Return *of* with every one of its fields made up, so that a new field cannot be forgotten."""
    hints = get_type_hints(of)
    made = {field.name: known.get(field.name, st.from_type(hints[field.name])) for field in fields(of)}  # type: ignore[arg-type]
    return st.builds(of, **made)


st.register_type_strategy(datetime, MOMENTS)
st.register_type_strategy(str, TEXTS)
st.register_type_strategy(float, FIGURES)
st.register_type_strategy(Labels, LABELS)
ALERT_LABELS = st.builds(
    lambda rest, name, service, severity: Labels(rest, alertname=name, service=service, severity=severity),
    *(LABELS, NAMES, NAMES, st.sampled_from([str(s) for s in Severity])),
)
EVIDENCE = st.dictionaries(TEXTS, JSON, max_size=3)
SIGNALS = st.builds(SignalKey, NAMES, NAMES, LABELS)
PLAIN = whole(Alert, labels=ALERT_LABELS, signal=SIGNALS, evidence=EVIDENCE, before=st.none())
ALERTS = whole(Alert, labels=ALERT_LABELS, signal=SIGNALS, evidence=EVIDENCE, before=st.none() | PLAIN)
ACKS = whole(Ack)
NOTICES = whole(Notice, alert=ALERTS, ack=st.none() | ACKS)
MESSAGES = whole(Notification, notices=st.lists(NOTICES, min_size=1, max_size=2).map(tuple))
MATCHERS = st.builds(Matcher, NAMES, st.sampled_from(["=", "!="]), TEXTS) | st.builds(
    Matcher, NAMES, st.sampled_from(["=~", "!~"]), st.sampled_from(["Heart.*", "a|b", "[0-9]+", ""])
)
SILENCES = whole(Silence, matchers=st.lists(MATCHERS, max_size=2).map(tuple))


FILE = StateFile(":memory:", lambda: T0)


def through_a_file(record: Mapping[str, Any]) -> Any:
    """Return *record* as it comes back out of a state file."""
    FILE.stage("book", "key", record)
    FILE.commit()
    return FILE.book("book")["key"]


@settings(deadline=None)
@given(ALERTS)
def test_an_alert_comes_back_as_it_was(alert: Alert) -> None:
    """With its evidence in its own order, its firings, and the resolved one it would replace."""
    back = read_alert(through_a_file(write_alert(alert)))
    assert back == alert
    assert json.dumps(dict(back.evidence)) == json.dumps(dict(alert.evidence))


@settings(deadline=None)
@given(whole(Receipt))
def test_a_receipt_comes_back_as_it_was(receipt: Receipt) -> None:
    """To the microsecond: it is compared with what the alert says."""
    assert read_receipt(through_a_file(write_receipt(receipt))) == receipt


@settings(deadline=None)
@given(MESSAGES)
def test_a_message_comes_back_as_it_was(message: Notification) -> None:
    """Key, times and every notice: what is sent again is the same to the byte."""
    assert read_notification(through_a_file(write_notification(message))) == message


@settings(deadline=None)
@given(ACKS)
def test_an_acknowledgement_comes_back_as_it_was(ack: Ack) -> None:
    """With who it was and what they said."""
    assert read_ack(through_a_file(write_ack(ack))) == ack


@settings(deadline=None)
@given(SILENCES)
def test_a_silence_comes_back_as_it_was(silence: Silence) -> None:
    """With matchers of every kind."""
    assert read_silence(through_a_file(write_silence(silence))) == silence


ALERT = Alert(
    Labels(alertname="A", service="s", severity="critical"),
    SignalKey("s", "flag", Labels()),
    State.FIRING,
    active_since=T0,
    last_true=T0,
    value=0.0,
    fired_at=T0,
)


def test_what_is_empty_takes_no_room_and_zero_is_not_empty() -> None:
    """A value of 0 is a value."""
    record = write_alert(ALERT)
    assert set(record) == {"labels", "signal", "state", "active_since", "last_true", "value", "fired_at"}
    assert read_alert(record) == ALERT


STRANGE = """
  place        | what stands there
  state        | "slumbering"
  active_since | "yesterday"
  active_since | 12
  signal       | ["s", "flag"]
  labels       | null
  evidence     | 5
"""


@pytest.mark.parametrize(("place", "what"), rows(STRANGE), ids=ids(STRANGE))
def test_what_we_never_wrote_is_an_error_that_reading_expects(place: str, what: str) -> None:
    """Each way of being wrong is one of those for which a file is set aside."""
    record = write_alert(ALERT) | {place: json.loads(what)}
    with pytest.raises(UNREADABLE):
        read_alert(record)


def test_a_silence_with_a_pattern_nobody_can_read_is_refused_at_once() -> None:
    """Not at every look from then on."""
    silence = Silence("1", (Matcher("a", "=~", "("),), T0, T0, "ana", "")
    with pytest.raises(ValueError, match="not a regular expression"):
        read_silence(write_silence(silence))


def test_a_notice_keeps_its_reason() -> None:
    """The word that log, metric and API use is the one in the file."""
    notice = Notice(ALERT, "redis", ("b",), ("c of b",), Reason.ESCALATED)
    message = Notification("k", "ops", Labels(service="s"), (notice,), T0, T0)
    assert write_notification(message)["notices"][0]["reason"] == "escalated"


def test_text_in_the_file_is_ascii(tmp_path: Any) -> None:
    """Any tool can read it, whatever a log line held."""
    state = StateFile(str(tmp_path / "state.db"), lambda: T0)
    state.stage("alerts", "1", {"line": "caf\udce9 ☠"})
    state.commit()
    with sqlite3.connect(tmp_path / "state.db") as other:
        assert other.execute("SELECT json FROM kept").fetchall() == [(r'{"line":"caf\udce9 \u2620"}',)]
    state.close()
