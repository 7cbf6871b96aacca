"""When a line says it was written."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from watchdog.logs import timestamp
from watchdog.logs.times import zone_of

NOW = datetime(2026, 2, 19, 1, 55, tzinfo=UTC)

TIMES = """
2026-02-19T01:33:50.123000 | 2026-02-19 01:33:50,123 | ERROR | x
2026-02-19T01:33:50.123000 | 2026-02-19 01:33:50.123 [INFO] x
2026-02-19T01:33:50        | 2026-02-19 01:33:50 - a - INFO - x
2026-02-19T01:33:50        | [2026-02-19 01:33:50] [a] [INFO] x
2026-02-19T00:33:50        | [2026-02-19 01:33:50 +0100] [a] [INFO] x
2026-02-19T01:33:50        | 2026-02-19 01:33:50 - 1200 entries
2026-02-14T13:10:07.727659 | {"ts": "2026-02-14T13:10:07.727659Z", "level": "INFO"}
2025-11-23T00:39:04.411302 | {"level": "INFO", "timestamp": "2025-11-23T01:39:04.411302+01:00"}
2018-07-09T21:37:54.631000 | {"level":30,"time":1531172274631,"msg":"x"}
2018-07-09T21:37:54        | {"@timestamp": 1531172274, "msg": "x"}
2026-02-19T01:33:50.123000 | {"asctime": "2026-02-19 01:33:50,123", "msg": "x"}
2026-02-19T01:50:25        | Feb 19 01:50:25 host unit[1]: x
2026-02-10T23:58:14.363000 | Feb 19 01:50:25 host unit[1]: 2026-02-10 23:58:14,363 | INFO | x
2026-02-14T13:10:07        | Feb 19 01:50:25 host unit[1]: {"ts": "2026-02-14T13:10:07Z", "level": "INFO"}
2025-12-31T23:59:59        | Dec 31 23:59:59 host unit[1]: x
2026-02-20T01:00:00        | Feb 20 01:00:00 host unit[1]: a clock an hour ahead is not a year behind
2024-02-29T12:00:00        | Feb 29 12:00:00 host unit[1]: x
2026-02-19T01:50:25.123456 | 2026-02-19T01:50:25.123456+00:00 host unit[1]: x
2026-02-19T01:50:25        | time="2026-02-19T01:50:25Z" level=error msg="x"
2026-02-19T01:50:25        | ts=2026-02-19T01:50:25Z level=error
2026-02-19T01:50:25        | ERROR 2026-02-19 01:50:25,000 views x
-                          | [INFO] [TAG] no time at all
-                          | {"msg": "2026-02-19T01:50:25Z"}
-                          | 2026-02-31 01:50:25 no such day
-                          | Foo 19 01:50:25 host unit[1]: no such month
-                          | at 2026-02-19 01:50:25 in a message
"""


@pytest.mark.parametrize("row", TIMES.strip().splitlines())
def test_time_of_a_line(row: str) -> None:
    """`time | line`, read five minutes before two on the 19th of February."""
    expected, _, line = row.partition("|")
    found = timestamp(line[1:].encode(), NOW)
    assert expected.strip() == (found.replace(tzinfo=None).isoformat() if found else "-")
    assert found is None or found.tzinfo is UTC


def test_naive_times_are_in_the_given_zone() -> None:
    """A zone in the line wins over the given one."""
    oslo = timezone(timedelta(hours=1))
    assert timestamp(b"2026-02-19 01:00:00 x", NOW, oslo) == datetime(2026, 2, 19, 0, tzinfo=UTC)
    assert timestamp(b"2026-02-19 01:00:00Z x", NOW, oslo) == datetime(2026, 2, 19, 1, tzinfo=UTC)


ZONES = """
01:00 | 2026-02-19 02:55:00,900 | INFO | one hour ahead
05:30 | 2026-02-19 07:25:01 | INFO | half an hour counts
-5:00 | 2026-02-18 20:55:00 | INFO | this machine's own zone
00:00 | 2026-02-19 00:55:00 | INFO | a quiet hour is no zone
00:00 | 2026-02-19 01:54:00 | INFO | a minute late is no zone
00:00 | 2026-02-19 02:55:00Z | INFO | says its zone
00:00 | 2026-02-18 02:55:00 | INFO | older than any zone
"""


@pytest.mark.parametrize("row", ZONES.strip().splitlines())
def test_zone_of_a_file(row: str) -> None:
    """`offset | the last line` of a file written at NOW on a machine in New York."""
    expected, _, line = row.partition(" | ")
    offset = zone_of(line.encode(), NOW, timedelta(hours=-5)).utcoffset(None) or timedelta(0)
    hours = offset / timedelta(hours=1)
    assert expected == f"{int(hours):0{3 if hours < 0 else 2}}:{int(hours % 1 * 60):02}".replace("-0", "-")
