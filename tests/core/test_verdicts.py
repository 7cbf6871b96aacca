"""Verdicts on consumer groups, each on a drawn window of looks (tests/core/windows.py tells how they are drawn)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.core.windows import START, looks
from tests.drawn import T0, ids, rows
from watchdog.verdicts import VERDICTS, Verdict, changes_at, diagnose

WINDOWS = """
  window                                                                               | verdict
  t=0                                                                                  | ok
  t=0 ; t=60 ; t=300                                                                   | ok
  t=0 quiet=28800 ; t=300                                                              | ok
  t=0 quiet=28800 new=101 lag=1 wait=2                                                 | ok
  t=0 at=100 ; t=5 at=99                                                               | rewound
  t=0 at=100 ; t=5 at=99 ; t=304 at=120 new=120                                        | rewound
  t=0 at=100 ; t=5 at=99 ; t=305 at=120 new=120                                        | ok
  t=0 at=100 ; t=5 at=100 ; t=10 at=101 new=101                                        | ok
  t=0 at=0 read=- new=9 lag=9 wait=60 who=0 quiet=-                                    | unread
  t=0 at=0 read=0 new=9 lag=9 wait=60 who=0 quiet=-                                    | unread
  t=0 at=0 read=- new=9 lag=9 wait=59 who=0 quiet=-                                    | ok
  t=0 new=101 lag=1 wait=60 who=0 quiet=-                                              | no_consumers
  t=0 at=0 read=- pend=3 new=9 lag=9 wait=60 who=0 quiet=-                             | no_consumers
  t=0 at=9 read=- lag=9 wait=60 ; t=5 at=10 who=0                                      | no_consumers
  t=0 new=101 lag=1 wait=59 who=0 quiet=-                                              | ok
  t=0 new=101 lag=1 wait=60 quiet=60                                                   | stalled
  t=0 new=101 lag=1 wait=60 quiet=59                                                   | ok
  t=0 new=101 lag=- wait=60 quiet=60                                                   | stalled
  t=0 new=101 lag=1 wait=1 ; t=59 wait=60                                              | ok
  t=0 new=101 lag=1 wait=1 ; t=60 wait=61                                              | stalled
  t=0 at=90 lag=1 wait=30 ; t=5 at=100 new=101 wait=0 ; t=64 wait=60                   | ok
  t=0 at=90 lag=1 wait=30 ; t=5 at=100 new=101 wait=0 ; t=65 wait=60                   | stalled
  t=0 at=90 lag=1 new=200 wait=300 ; t=60 at=91 ; t=119 at=92                          | ok
  t=0 pend=101 old=60                                                                  | stuck
  t=0 pend=101 old=59                                                                  | ok
  t=0 pend=100 old=60                                                                  | ok
  t=0 len=0 pend=6 old=60                                                              | stuck
  t=0 len=0 pend=5 old=60                                                              | ok
  t=0 pend=9 old=230 ; t=10 at=101 read=101 pend=10 old=240 ; t=70 at=102 read=102 pend=11 old=300 | stuck
  t=0 pend=9 old=230 ; t=10 at=101 read=101 pend=10 old=240 ; t=70 at=102 read=102 pend=11 old=299 | ok
  t=0 pend=9 old=230 ; t=10 at=101 read=101 pend=10 old=240 ; t=69 at=102 read=102 pend=11 old=300 | ok
  t=0 pend=9 old=230 ; t=10 at=101 read=101 pend=10 old=240 ; t=70 at=102 read=102 pend=10 old=300 | ok
  t=0 pend=9 old=230 ; t=10 at=101 read=101 pend=10 old=240 ; t=70 at=102 read=-   pend=11 old=300 | ok
  t=0 pend=9 old=230 ; t=10 at=101 read=101 pend=10 old=240 ; t=70 old=300                     | ok
  t=0 pend=1 old=9 most=5                                                              | poison
  t=0 pend=1 old=9 most=4                                                              | ok
  t=0 pend=0 most=5                                                                    | ok
  t=0 at=90 lag=10 wait=5 ; t=30 at=160 new=200 lag=40 gone=100 first=101              | losing_soon
  t=0 at=90 lag=10 wait=5 len=1000 ; t=30 at=160 new=200 lag=40 gone=9                 | ok
  t=0 at=90 lag=10 wait=5 len=1000 ; t=30 at=160 new=200 lag=43 gone=9                 | losing_soon
  t=0 at=90 lag=10 wait=5 ; t=30 at=160 new=200 len=130 lag=40                         | ok
  t=0 at=90 lag=10 wait=5 ; t=29 at=160 new=200 lag=40 gone=100 first=101              | ok
  t=0 at=90 lag=10 wait=5 ; t=30 at=190 new=200 lag=10 gone=100 first=101              | ok
  t=0 at=90 lag=10 wait=5 ; t=30 at=160 new=200 lag=40 gone=100 first=101 del=99       | ok
  t=0 at=90 lag=10 wait=5 ; t=30 at=160 new=200 lag=40+ gone=100 first=101             | ok
  t=0 len=9999 at=1 lag=1 wait=60 ; t=20 at=2 lag=2 ; t=40 at=3 lag=3 ; t=60 at=4 lag=4 | falling_behind
  t=0 len=9999 at=1 lag=1 wait=60 ; t=20 at=2 lag=3 ; t=40 at=3 lag=3 ; t=60 at=4 lag=4 | ok
  t=0 len=9999 at=1 lag=1 wait=20 ; t=20 at=2 lag=2 ; t=40 at=3 lag=3 ; t=60 at=4 lag=4 | ok
  t=0 len=9999 at=1 lag=1 wait=60 ; t=20 at=2 lag=2 ; t=40 at=3 lag=3 ; t=59 at=4 lag=4 | ok
  t=0 len=9999 at=1 lag=1 wait=60 ; t=30 at=2 lag=2 ; t=60 at=3 lag=3                  | ok
  t=0 at=1 lag=90 wait=600 ; t=30 at=9 lag=80                                          | catching_up
  t=0 at=1 lag=90 wait=600 ; t=29 at=9 lag=80                                          | ok
  t=0 at=1 lag=90 wait=20  ; t=30 at=9 lag=80                                          | ok
  t=0 quiet=3600 tried=59                                                              | polling_in_vain
  t=0 quiet=3599 tried=59                                                              | ok
  t=0 quiet=3600 tried=60                                                              | ok
  t=0 quiet=3600 tried=1 new=101 lag=1 wait=1                                          | ok
"""


@pytest.mark.parametrize(("text", "verdict"), rows(WINDOWS), ids=ids(WINDOWS))
def test_windows(text: str, verdict: str) -> None:
    """Each verdict where it just holds, and where it just does not."""
    last = looks(text)[-1]
    assert str(diagnose(last, last.at)) == verdict


FAILURES = """
  row | what broke, and its healthy twin                  | window | verdict
  S01 | group on a stream whose consumer reads another     | t=0 at=0 read=- lag=9 wait=90 who=0 quiet=- | unread
  S01 | group on a stream nobody writes                    | t=0 len=0 at=0 new=0 read=- who=0 quiet=- | ok
  S02 | everything skipped and acknowledged: executions' business | t=0 ; t=60 at=160 new=160 read=160 | ok
  S03 | made at $, consumer never started                  | t=0 read=- ; t=70 new=101 len=101 lag=1 wait=60 who=0 quiet=- | unread
  S03 | made at $, first entry has just come                | t=0 read=- ; t=70 new=101 len=101 lag=1 wait=5 | ok
  S04 | made anew at 0                                      | t=0 ; t=5 at=0 read=- lag=100 wait=5 | rewound
  S04 | reads on                                            | t=0 ; t=5 at=101 new=101 len=101 read=101 | ok
  S05 | ghosts: a measure and a rule of their own           | t=0 pend=3 old=9000 quiet=2 | ok
  S06 | never acknowledges                                  | t=0 pend=11343 len=10002 old=600 | stuck
  S06 | as much in work as the stream holds                 | t=0 pend=100 old=5 | ok
  S07 | lag NULL for good, counted instead                  | t=0 at=90 read=- lag=10 wait=2 del=95 | ok
  S08 | trimmed before it was read                          | t=0 at=50 read=50 lag=50 wait=5 ; t=5 at=50 first=61 gone=60 len=40 lag=40 wait=5 | lost
  S08 | trimmed after it was read                           | t=0 ; t=5 first=61 gone=60 len=40 | ok
  S09 | trimmed while pending: a measure of its own         | t=0 pend=3 old=100 ; t=5 first=61 gone=60 len=40 old=105 | ok
  S11 | one poison entry                                    | t=0 pend=1 old=700 most=9 | poison
  S11 | delivered a second time                             | t=0 pend=1 old=700 most=2 | ok
  S12 | a guard acknowledges what is stuck: executions' business | t=0 pend=9 old=400 ; t=5 pend=0 old=- | ok
  S13 | readers did not come back after Redis restarted     | t=0 ; t=5 new=101 len=101 lag=1 wait=0 quiet=5 ; t=65 wait=60 quiet=65 | stalled
  S14 | FLUSHALL: stream and group made anew                | t=0 ; t=5 at=0 new=3 first=1 len=3 read=- lag=3 wait=1 | rewound
  S17 | two instances: consumers tells                      | t=0 who=2 | ok
  S19 | far behind, catching up                             | t=0 at=1 len=9999 lag=9998 wait=90000 ; t=60 at=600 lag=9000 | catching_up
  S20 | backlog grows, the window is 6 minutes              | t=0 at=90 lag=10 wait=90 len=1000 ; t=60 at=160 new=200 lag=130 gone=160 | losing_soon
  S20 | backlog grows, nothing is trimmed                   | t=0 at=90 lag=10 wait=5 len=1000 ; t=60 at=160 new=200 len=1200 lag=130 wait=30 | ok
  S21 | keeps polling, gets nothing                         | t=0 quiet=7200 tried=2 | polling_in_vain
  S21 | stopped polling on a quiet stream                   | t=0 quiet=7200 tried=7200 | ok
  S22 | event-driven, empty for weeks                       | t=0 len=0 at=0 new=0 read=- who=0 quiet=- ; t=1209600 | ok
  S23 | healthy group, dead stream                          | t=0 quiet=691200 ; t=3600 quiet=694800 | ok
  W02 | consumer task died, HTTP lives                      | t=0 ; t=5 new=110 len=110 lag=10 wait=4 ; t=65 wait=64 | stalled
  W02 | consumer is slow but moves                          | t=0 ; t=5 new=110 len=110 lag=10 wait=4 ; t=65 at=101 lag=9 wait=64 | catching_up
  W03 | loop returns at once, no consumer is left           | t=0 new=101 len=101 lag=1 wait=61 who=0 quiet=- | no_consumers
  W03 | loop returns at once, consumers idle                | t=0 new=101 len=101 lag=1 wait=61 who=3 quiet=61 | stalled
  W06 | one of several groups dead                          | t=0 at=40 lag=60 wait=600 read=40 quiet=900 | stalled
  W06 | its sisters                                         | t=0 | ok
  W09 | 34 consumers, all idle for five days                | t=0 at=40 lag=60 wait=432000 who=34 quiet=432000 | stalled
  W09 | 34 consumers, one of them works                     | t=0 at=40 lag=60 wait=30 who=34 quiet=1 | ok
  W14 | reads block for ever after Redis restarted          | t=0 ; t=3 new=101 len=101 lag=1 wait=2 quiet=3 ; t=63 wait=62 quiet=63 | stalled
  W14 | reads block because nothing comes                   | t=0 ; t=3 quiet=3 ; t=63 quiet=63 | ok
"""


@pytest.mark.parametrize(
    ("row", "what", "text", "verdict"),
    rows(FAILURES),
    ids=[f"{row} {what}" for row, what, *_ in rows(FAILURES)],
)
def test_rows_of_the_failure_modes(row: str, what: str, text: str, verdict: str) -> None:
    """Each row of the incident's table that a group shows, and the twin that must stay silent."""
    last = looks(text)[-1]
    assert str(diagnose(last, last.at)) == verdict


ORDER = """
  window                                                                        | first    | then
  t=0 at=9 ; t=5 at=0 read=- lag=9 wait=60 who=0 quiet=-                        | rewound  | no_consumers
  t=0 at=0 read=- lag=9 wait=60 who=0 quiet=60                                  | unread   | no_consumers
  t=0 new=101 lag=1 wait=60 who=0 quiet=60                                      | no_consumers | stalled
  t=0 new=101 lag=1 wait=60 quiet=60 pend=101 old=60                            | stalled  | stuck
  t=0 at=50 read=50 lag=50 wait=5 pend=41 old=60 ; t=5 first=61 gone=60 len=40 lag=40 | stuck | lost
  t=0 at=50 read=50 lag=50 wait=5 pend=1 old=9 most=5 ; t=5 first=61 gone=60 len=40 lag=40 | lost | poison
  t=0 at=90 lag=10 wait=5 most=5 pend=1 old=9 ; t=30 at=160 new=200 lag=40 gone=100 first=101 | losing_soon | poison
  t=0 at=1 lag=9 wait=99 quiet=0 pend=1 old=9 most=5 ; t=30 at=2 lag=8          | poison | catching_up
"""


@pytest.mark.parametrize(("text", "first", "then"), rows(ORDER), ids=ids(ORDER))
def test_the_order_is_the_policy(text: str, first: str, then: str) -> None:
    """What says why comes before what follows from it, what is critical before what is not."""
    last = looks(text)[-1]
    holding = [str(verdict) for verdict, holds in VERDICTS if holds(last, last.at)]
    assert str(diagnose(last, last.at)) == first
    assert [first, then] == [verdict for verdict in holding if verdict in (first, then)]
    assert holding[0] == first


def test_what_may_not_be_asked_is_unknown() -> None:
    """Entries wait and XRANGE is refused: not `ok`; after a minute without a move it is stalled all the same."""
    window = looks("t=0 new=101 len=101 lag=- ; t=59 ; t=60")
    assert [str(diagnose(look, look.at)) for look in window] == ["unknown", "unknown", "stalled"]


def test_no_look_is_no_group() -> None:
    """Without a look there is nothing to judge."""
    assert diagnose(None, START) is Verdict.MISSING


RESTING = """
  window                                                                   | changes at
  t=0                                                                      | -
  t=0 new=101 lag=1 wait=10 quiet=0                                        | 50
  t=0 new=101 lag=1 wait=70 quiet=20                                       | 40
  t=0 ; t=5 at=99                                                          | 305
  t=0 pend=1 old=30                                                        | 30
  t=0 pend=1 old=100                                                       | 200
  t=0 quiet=600 tried=5                                                    | 3000
"""


@pytest.mark.parametrize(("text", "moment"), rows(RESTING), ids=ids(RESTING))
def test_when_a_group_that_rests_must_be_looked_at_again(text: str, moment: str) -> None:
    """The next moment at which the verdict may be another one although nothing happens."""
    last = looks(text)[-1]
    expected = float("inf") if moment == "-" else START + int(moment)
    assert changes_at(last, last.at) == pytest.approx(expected)


@pytest.mark.parametrize("text", [row[0] for row in rows(WINDOWS)])
def test_no_verdict_changes_before_it_was_said_to(text: str) -> None:
    """Judged again every second, the last look gives the same word until the moment that was foretold."""
    last = looks(text)[-1]
    verdict, until = diagnose(last, last.at), changes_at(last, last.at)
    for second in range(1, 4000):
        now = (T0 + timedelta(seconds=second)).timestamp() + last.at - START
        if now >= until:
            break
        assert diagnose(last, now) is verdict
