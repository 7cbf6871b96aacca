"""When something comes again: cron lines in time zones, through both changes of the clocks."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.drawn import ids, rows
from watchdog.schedule import NAMED, Schedule, parse_schedule

LAST = """
  cron         | zone             | now (UTC)           | last (UTC)
  0 2 * * *    | UTC              | 2026-02-19T01:59:59 | 2026-02-18T02:00
  0 2 * * *    | UTC              | 2026-02-19T02:00:00 | 2026-02-19T02:00
  0 2 * * *    | Asia/Kolkata     | 2026-02-18T20:30:00 | 2026-02-18T20:30
  0 2 * * sun  | UTC              | 2026-02-19T00:00:00 | 2026-02-15T02:00
  0 0 29 2 *   | UTC              | 2026-02-19T00:00:00 | 2024-02-29T00:00
  30 2 * * *   | Europe/Berlin    | 2026-03-29T00:59:00 | 2026-03-28T01:30
  30 2 * * *   | Europe/Berlin    | 2026-03-29T01:00:00 | 2026-03-29T01:00
  30 2 * * *   | Europe/Berlin    | 2026-03-30T00:30:00 | 2026-03-30T00:30
  30 2 * * *   | Europe/Berlin    | 2026-10-25T00:29:00 | 2026-10-24T00:30
  30 2 * * *   | Europe/Berlin    | 2026-10-25T00:30:00 | 2026-10-25T00:30
  30 2 * * *   | Europe/Berlin    | 2026-10-25T01:30:00 | 2026-10-25T00:30
  30 2 * * *   | Europe/Berlin    | 2026-10-26T01:30:00 | 2026-10-26T01:30
  */30 2 * * * | Europe/Berlin    | 2026-10-25T01:45:00 | 2026-10-25T01:30
  */30 2 * * * | Europe/Berlin    | 2026-03-29T12:00:00 | 2026-03-28T01:30
  30 2 * * *   | America/New_York | 2026-03-08T07:30:00 | 2026-03-08T07:00
  30 1 * * *   | America/New_York | 2026-11-01T06:30:00 | 2026-11-01T05:30
  5 */2 * * *  | Australia/Lord_Howe | 2026-04-04T15:34:59 | 2026-04-04T13:05
  5 */2 * * *  | Australia/Lord_Howe | 2026-04-04T15:35:00 | 2026-04-04T15:35
"""


@pytest.mark.parametrize(("cron", "zone", "now", "last"), rows(LAST), ids=ids(LAST))
def test_the_last_moment_that_is_not_after_now(cron: str, zone: str, now: str, last: str) -> None:
    """A time in the hour that is skipped comes right after it, one in the hour that is there twice only once."""
    found = parse_schedule(cron, zone).last(datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(last).replace(tzinfo=UTC)


CHANGES = {
    "Europe/Berlin": (datetime(2026, 3, 29, 1), datetime(2026, 10, 25, 1)),
    "America/New_York": (datetime(2026, 3, 8, 7), datetime(2026, 11, 1, 6)),
    "Asia/Kolkata": (datetime(2026, 3, 29, 1),),  # none at all
}
CRONS = (
    *("0 2 * * *", "30 2 * * *", "15 1 * * *", "0,30 2 * * *", "30 1-3 * * *", "59 23 * * *", "0 3 * * sun"),
    *("*/15 * * * *", "0 * * * *", "*/20 1-2 * * *", "5 */2 * * *", "* * * * *", "0 2 L * *", "17 4 * * 1-5"),
)


def forward(cron: str, zone: str, since: datetime, until: datetime) -> list[datetime]:
    """Return all moments between two, walking forward as a cron daemon does."""
    moments = []
    for moment in CronSim(cron, since.astimezone(ZoneInfo(zone))):
        if moment > until:
            break
        moments.append(moment.astimezone(UTC))
    return moments


WALKS = {
    (cron, zone, change): forward(cron, zone, change - timedelta(days=70), change + timedelta(days=2))
    for zone, changes in CHANGES.items()
    for change in (moment.replace(tzinfo=UTC) for moment in changes)
    for cron in CRONS
    if cron != "* * * * *"
}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(WALKS, key=str)), st.integers(-30 * 3600, 30 * 3600))
def test_going_back_finds_what_going_forward_passed(walk: tuple[str, str, datetime], second: int) -> None:
    """At any second of the days around each change of the clocks."""
    cron, zone, change = walk
    now = change + timedelta(seconds=second)
    moments = WALKS[walk]
    assert Schedule(cron, zone).last(now) == moments[bisect_right(moments, now) - 1]


@pytest.mark.parametrize("zone", CHANGES)
def test_every_minute_is_every_minute(zone: str) -> None:
    """The hour that is there twice has a hundred and twenty, the one that is skipped has none."""
    for change in CHANGES[zone]:
        start = change.replace(tzinfo=UTC) - timedelta(hours=3)
        for minute in range(0, 360, 7):
            now = start + timedelta(minutes=minute)
            assert Schedule("* * * * *", zone).last(now + timedelta(seconds=59)) == now


def test_a_line_that_never_comes_has_no_last_moment() -> None:
    """The second Monday of a month is never its 1st or 29th."""
    assert parse_schedule("0 0 */28 2 mon#2", "UTC").last(datetime(2026, 2, 19, tzinfo=UTC)) is None


UNREADABLE = """
  line         | zone      | why
  0 2 * *      | UTC       | "0 2 * *" is not a cron line: Wrong number of fields (write "0 2 * * sun")
  0 0 2 * * *  | UTC       | "0 0 2 * * *" is not a cron line: Wrong number of fields (write "0 2 * * sun")
  61 2 * * *   | UTC       | "61 2 * * *" is not a cron line: Bad minute (write "0 2 * * sun")
  0 2 30 2 *   | UTC       | "0 2 30 2 *" is not a cron line: Bad day-of-month (write "0 2 * * sun")
  @reboot      | UTC       | "@reboot" is not a cron line: Wrong number of fields (write "0 2 * * sun")
  0 2 * * *    | Mars/One  | "Mars/One" is not a time zone (write Europe/Berlin or UTC)
  0 2 * * *    | Europe    | "Europe" is not a time zone (write Europe/Berlin or UTC)
  0 2 * * *    | ../../etc | "../../etc" is not a time zone (write Europe/Berlin or UTC)
  0 2 * * *    |           | "" is not a time zone (write Europe/Berlin or UTC)
"""


@pytest.mark.parametrize(("line", "zone", "why"), rows(UNREADABLE), ids=ids(UNREADABLE))
def test_what_is_no_schedule_is_refused_in_one_sentence(line: str, zone: str, why: str) -> None:
    """With the cure; a sixth field would be read as seconds."""
    with pytest.raises(ValueError) as caught:
        parse_schedule(line, zone)
    assert str(caught.value) == why


@pytest.mark.parametrize("name", NAMED)
def test_names_stand_for_lines(name: str) -> None:
    """`@daily` and its like, as Debian's cron has them."""
    assert parse_schedule(f" {name} ", "UTC") == Schedule(NAMED[name])
