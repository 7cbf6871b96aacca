"""Timestamps as found on one bus."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.drawn import ids, rows
from watchdog.timestamps import FORMATS, parse_timestamp

READ = """
  text                               | format   | moment
  1771465997                         | auto     | 2026-02-19T01:53:17
  1771465997.2556114                 | auto     | 2026-02-19T01:53:17.255611
  1771465997255                      | auto     | 2026-02-19T01:53:17.255000
  1771465997255611                   | auto     | 2026-02-19T01:53:17.255611
  1771465997255611000                | auto     | 2026-02-19T01:53:17.255611
  "1771465997"                       | auto     | 2026-02-19T01:53:17
  1.771465997e9                      | auto     | 2026-02-19T01:53:17
  100000000                          | auto     | 1973-03-03T09:46:40
  99999999                           | auto     | -
  100000000000                       | auto     | 1973-03-03T09:46:40
  2026-02-17T21:42:20.635948+00:00   | auto     | 2026-02-17T21:42:20.635948
  2026-02-17T21:42:43.991667         | auto     | 2026-02-17T21:42:43.991667
  2026-02-09T23:20:25.849497Z        | auto     | 2026-02-09T23:20:25.849497
  2026-02-17T23:42:20+02:00          | auto     | 2026-02-17T21:42:20
  2026-02-17 21:42:20                | auto     | 2026-02-17T21:42:20
  2026-02-17                         | auto     | 2026-02-17T00:00:00
  20260217T214220Z                   | auto     | 2026-02-17T21:42:20
  2026-02-17T21:42:20Z               | iso      | 2026-02-17T21:42:20
  1771465997                         | iso      | -
  2026-02-17T21:42:20Z               | epoch_s  | -
  1771465997                         | text     | -
  0                                  | epoch_s  | 1970-01-01T00:00:00
  0                                  | auto     | -
  -5                                 | auto     | -
  1771465997                         | epoch_s  | 2026-02-19T01:53:17
  1771465997255                      | epoch_ms | 2026-02-19T01:53:17.255000
  1771465997255611                   | epoch_us | 2026-02-19T01:53:17.255611
  1771465997255611000                | epoch_ns | 2026-02-19T01:53:17.255611
  1771465997                         | epoch_ms | 1970-01-21T12:04:25.997000
  1771465997255                      | epoch_s  | 9999-12-31T23:59:59.999999
  -1e300                             | epoch_s  | -
  1e300                              | auto     | -
  nan                                | auto     | -
  inf                                | epoch_s  | -
  worker 1a2b3c4d {completed: 5}     | auto     | -
  2026-02-30T00:00:00Z               | auto     | -
  2026                               | auto     | -
  9999-12-31T23:59:59-01:00          | auto     | -
  0001-01-01T00:00:00+01:00          | auto     | -
                                     | auto     | -
"""


@pytest.mark.parametrize(("text", "form", "moment"), rows(READ), ids=ids(READ))
def test_timestamps(text: str, form: str, moment: str) -> None:
    """`-` is no timestamp; a number too big for its declared unit is the calendar's end."""
    found = parse_timestamp(text, form)
    assert ("-" if found is None else found.replace(tzinfo=None).isoformat()) == moment
    assert found is None or found.tzinfo is UTC


@given(st.text(), st.sampled_from(FORMATS))
def test_no_text_is_too_odd(text: str, form: str) -> None:
    """Whatever stands there, it is a moment or none."""
    assert isinstance(parse_timestamp(text, form), datetime | None)


@given(st.datetimes(datetime(1974, 1, 1), datetime(2260, 1, 1), timezones=st.just(UTC)))
def test_every_unit_comes_back(moment: datetime) -> None:
    """To the millisecond, whichever unit it was written in."""
    seconds = moment.timestamp()
    written = [repr(seconds), f"{seconds * 1e3:.0f}", f"{seconds * 1e6:.0f}", f"{seconds * 1e9:.0f}"]
    found = [parse_timestamp(text) for text in (*written, moment.isoformat())]
    assert all(abs((at - moment).total_seconds()) < 0.002 for at in found if at is not None)
    assert None not in found
