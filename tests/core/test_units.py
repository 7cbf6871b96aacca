"""Durations, percentages and sizes as people write and read them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.drawn import ids, rows
from watchdog.units import Unit, parse_duration, parse_number, show_duration, show_number, write_duration

DURATIONS = """
  written | seconds
  90s     | 90
  5m      | 300
  1h30m   | 5400
  2d      | 172800
  1w      | 604800
  250ms   | 0.25
  1.5h    | 5400
  0s      | 0
"""


@pytest.mark.parametrize(("written", "seconds"), rows(DURATIONS), ids=ids(DURATIONS))
def test_durations_are_read(written: str, seconds: str) -> None:
    """A duration is a chain of numbers with units."""
    assert parse_duration(written) == timedelta(seconds=float(seconds))


@pytest.mark.parametrize("written", ["", "5", "m", "5 minutes", "-5m", "5mm", "1h 30m", "1e9999d"])
def test_what_is_no_duration_says_how_to_write_one(written: str) -> None:
    """The error names the culprit and the cure."""
    with pytest.raises(ValueError, match="5m, 1h30m or 2d"):
        parse_duration(written)


def test_a_duration_beyond_the_calendar_is_refused_in_words() -> None:
    """An overflow is a user's mistake, not a crash."""
    with pytest.raises(ValueError, match="too long"):
        parse_duration("99999999999999d")


@given(st.integers(min_value=1, max_value=10**9))
def test_whole_seconds_survive_writing_and_reading(seconds: int) -> None:
    """What is written for people in rules.yaml's spelling stays within its two largest units."""
    back = parse_duration(write_duration(timedelta(seconds=seconds))).total_seconds()
    assert abs(back - seconds) <= max(3600, seconds * 0.05) if seconds > 3600 else back == seconds


NUMBERS = """
  written | unit    | number
  10%     | RATIO   | 0.1
  0.1     | RATIO   | 0.1
  512MiB  | BYTES   | 536870912
  1.5GB   | BYTES   | 1500000000
  5m      | SECONDS | 300
  -1      | SECONDS | -1
  42      | NUMBER  | 42
"""


@pytest.mark.parametrize(("written", "unit", "number"), rows(NUMBERS), ids=ids(NUMBERS))
def test_operands_are_read_by_their_unit(written: str, unit: str, number: str) -> None:
    """A plain number always fits; a unit only where it means something."""
    assert parse_number(written, Unit[unit]) == pytest.approx(float(number))


@pytest.mark.parametrize(
    ("written", "unit"),
    [("5m", Unit.RATIO), ("10%", Unit.SECONDS), ("5m", Unit.NUMBER), ("nan", Unit.NUMBER)],
)
def test_an_operand_of_the_wrong_unit_is_refused(written: str, unit: Unit) -> None:
    """Ten percent of a second is a mistake."""
    with pytest.raises(ValueError, match="is not"):
        parse_number(written, unit)


SHOWN = """
  seconds | shown
  0       | 0s
  0.25    | 250ms
  4.5     | 4.5s
  59      | 59s
  61      | 1m 1s
  3600    | 1h
  932400  | 10d 19h
"""


@pytest.mark.parametrize(("seconds", "shown"), rows(SHOWN), ids=ids(SHOWN))
def test_durations_are_shown_in_two_units(seconds: str, shown: str) -> None:
    """At most two units, as a person says it."""
    assert show_duration(float(seconds)) == shown


def test_numbers_are_shown_with_their_unit() -> None:
    """Shares as percentages, bytes in powers of 1024, counts with separators."""
    shown = [
        show_number(0.123, Unit.RATIO),
        show_number(1048576, Unit.BYTES),
        show_number(10008),
        show_number(0, Unit.BYTES),
    ]
    assert shown == ["12.3%", "1MiB", "10,008", "0B"]
