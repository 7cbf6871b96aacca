"""Ceilings: how they are written, and what is above them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tests.drawn import T0, ids, rows
from watchdog.model import AtLeast
from watchdog.signals.pace import Ceilings, Pace
from watchdog.units import EPOCH

CEILINGS: TypeAdapter[Any] = TypeAdapter(Ceilings)

LOADS = """
  ceilings  | seconds ago                | since  | load
  3/10s     | -                          | always | 0
  3/10s     | 9 5 1                      | always | 1
  3/10s     | 9 5 1 0                    | always | 1.333
  3/10s     | 60 50 40 30 20 15 11 10    | always | 0
  3/10s     | 9 5 1                      | 5      | at least 1
  3/10s     | 9 5 1                      | 10     | 1
  3/10s 4/1m | 50 40 30 20 15 11         | always | 1.5
  2/10s     | 9 9 9 9 8 8 8 8 7 7 7 7 6 6 6 6 5 5 5 5 4 4 4 4 3 3 3 3 2 2 2 2 1 1 1 1 0 0 0 0 0 0 0 | always | at least 20
"""


@pytest.mark.parametrize(("written", "ago", "since", "load"), rows(LOADS), ids=ids(LOADS))
def test_how_full_the_fullest_window_is(written: str, ago: str, since: str, load: str) -> None:
    """Each window slides by itself; where the past is not known, or too much came, it is a lower bound."""
    pace = Pace(CEILINGS.validate_python(written.split()))
    pace.take(T0 - timedelta(seconds=int(second)) for second in ago.split() if second != "-")
    found, said = pace.load(T0, EPOCH if since == "always" else T0 - timedelta(seconds=int(since)))
    assert load == (f"at least {found.number:.4g}" if isinstance(found, AtLeast) else f"{found:.4g}")
    assert ", at most " in said


WRONG = """
  written   | said
  30        | "30" is no ceiling
  0/1h      | "0/1h" is no ceiling
  x/1h      | "x/1h" is no ceiling
  -3/1h     | "-3/1h" is no ceiling
  10001/1h  | "10001/1h" is no ceiling
  30/       | "30/" is no ceiling
  30/hour   | "hour" is not a duration
  30/2d     | "30/2d" is no ceiling
"""


@pytest.mark.parametrize(("written", "said"), rows(WRONG), ids=ids(WRONG))
def test_what_is_no_ceiling(written: str, said: str) -> None:
    """Refused with the cure."""
    with pytest.raises(ValidationError, match=said.replace("(", r"\(")):
        CEILINGS.validate_python([written])
