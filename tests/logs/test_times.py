"""When a line says it was written."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from watchdog.logs.times import timestamp, zone_of

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
2015-10-18T18:01:47.978000 | 2015-10-18 18:01:47,978 INFO [main] org.apache.hadoop.MRAppMaster: Created
2026-02-19T01:33:50.123456 | [Thu Feb 19 01:33:50.123456 2026] [proxy:error] [pid 1:tid 2] refused
2026-02-19T01:33:50        | [Thu Feb 19 01:33:50 2026] [error] refused
2026-02-19T01:33:50        | 2026/02/19 01:33:50 [error] 123#0: *1 open() failed
2026-02-19T01:33:50.123456 | E0219 01:33:50.123456 123 file.cc:12] msg
2020-03-08T23:47:32.089828 | I20200308 23:47:32.089828 400441 config.cc:27] Loading
2025-12-31T23:59:59.123456 | W1231 23:59:59.123456 1 klog.go:1] last year's
2026-02-19T01:33:50.123000 | 02-19 01:33:50.123  123  456 E Tag: msg
2025-05-26T14:57:03.870000 | 05-26 14:57:03.870 V/Configuration( 1766): Updating
2026-02-19T01:33:50.123000 | 123:M 19 Feb 2026 01:33:50.123 # msg
2025-04-13T12:52:30.731000 | [3574] 13 Apr 12:52:30.731 # Sentinel
2026-02-19T00:33:50        | E [19/Feb/2026:01:33:50 +0100] cups
2026-02-19T01:33:50        | 127.0.0.1 - ops [19/Feb/2026:01:33:50 +0000] "GET / HTTP/1.1" 500 12
2026-02-19T01:33:50        | [19-Feb-2026 01:33:50 UTC] PHP Fatal error:  msg
2026-02-19T01:33:50.123000 | 19-Feb-2026 01:33:50.123 SEVERE [main] org.apache.catalina.Startup failed
2026-02-19T13:33:50        | Feb 19, 2026 1:33:50 PM com.acme.Gate open
2026-02-19T00:33:50        | Feb 19, 2026 12:33:50 AM com.acme.Gate open
2017-06-09T20:10:40        | 17/06/09 20:10:40 INFO executor.Backend: Registered
2008-11-09T20:36:15        | 081109 203615 148 INFO dfs.DataNode: Received
2016-12-09T14:18:50        | 161209 14:18:50 [Note] MySQL 5
2015-05-20T12:22:19        | [ INFO 2015-05-20 12:22:19 main] katello
2026-01-05T10:22:31        | [Jan  5 10:22:31] NOTICE[2217] asterisk
2025-03-18T21:41:15.684000 | Mar-18 21:41:15.684 [main] DEBUG nextflow
2026-02-19T01:33:50        | [E 260219 01:33:50 web:12] refused
2026-02-19T01:33:50.123000 | [E 2026-02-19 01:33:50.123 ServerApp] refused
2026-02-19T01:33:50.123456 | E, [2026-02-19T01:33:50.123456 #123] ERROR -- : refused
2026-02-19T01:33:50.123000 | [2026-02-19 01:33:50,123: ERROR/MainProcess] refused
2026-02-19T01:33:50.123000 | INFO [02-19|01:33:50.123] Imported new chain segment
2019-10-16T07:24:15        | 2019-10-16  7:24:15 0 [Note] MariaDB pads the hour
2026-02-19T01:33:50.123000 | 2026-02-19 01:33:50.123 UTC [123] ERROR:  syntax error
2026-02-19T01:33:50.123456 | 2026-02-19T01:33:50.123456789Z stderr F refused
2026-02-19T01:33:50.123456 | {"log":"refused\\n","stream":"stderr","time":"2026-02-19T01:33:50.123456789Z"}
2026-02-10T23:58:14        | {"log":"2026-02-10 23:58:14 ERROR x\\n","stream":"stderr","time":"2026-02-19T01:33:50Z"}
2003-10-11T22:14:15.003000 | <34>1 2003-10-11T22:14:15.003Z mymachine su - ID47 - refused
2003-08-24T12:14:15.000003 | <165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% x
2021-03-22T21:21:20.349000 | {"t":{"$date":"2021-03-22T21:21:20.349+00:00"},"s":"I",  "c":"STORAGE"}
2025-10-21T04:10:22.315387 | {"level":"info","ts":1761019822.3153872,"msg":"caddy"}
2023-03-24T14:26:16.243000 | {"stats":{"a":{"b":1}},"level":30,"time":"2023-03-24T14:26:16.243Z","v":0}
2026-02-19T01:33:50        | {"a":{"b":{"c":1}},"log":{"level":"error"},"@timestamp":1771464830}
-                          | 01:33:50.123 [main] ERROR c.f.Bar - a clock says no day
-                          | since 2026-02-19 01:50:25 nothing came
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
