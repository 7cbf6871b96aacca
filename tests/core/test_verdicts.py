"""
Verdicts on consumer groups, each on a drawn window of looks.

A window is drawn look by look, `;` between them: what is not drawn stays as in the look before.
`t` seconds, `at` position, `new` newest entry, `len` length, `read`, `lag`, `wait` seconds behind,
`pend` pending, `old` age of the oldest pending, `most` deliveries, `who` consumers, `quiet` seconds,
`lost` entries lost since the look before. `-` is unknown or none.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.drawn import T0, ids, rows
from watchdog.entries import EntryId
from watchdog.units import EPOCH
from watchdog.verdicts import VERDICTS, GroupLook, Verdict, catch_up, diagnose, time_to_loss

HEALTHY = GroupLook(
    at=T0,
    delivered=EntryId(100, 0),
    generated=EntryId(100, 0),
    length=100,
    read=100,
    lag=0,
    behind=None,
    pending=0,
    oldest_pending=None,
    deliveries=0,
    consumers=1,
    quiet=timedelta(0),
    lost=0,
)
"""All read, all acknowledged, one consumer that has just been there."""
NAMES = {"len": "length", "pend": "pending", "most": "deliveries", "who": "consumers"}


def drawn(before: GroupLook, text: str) -> GroupLook:
    """Return the look drawn as *text* after *before*."""
    changes: dict[str, Any] = {"lost": 0}
    at = before.at
    for item in text.split():
        name, _, said = item.partition("=")
        number = None if said == "-" else int(said)
        span = None if number is None else timedelta(seconds=number)
        if name == "t":
            at = changes["at"] = T0 + timedelta(seconds=int(said))
        elif name in ("at", "new"):
            changes["delivered" if name == "at" else "generated"] = EntryId(int(said), 0)
        elif name in ("wait", "quiet"):
            changes["behind" if name == "wait" else "quiet"] = span
        elif name == "old":
            changes["oldest_pending"] = span and EntryId(int((at - span - EPOCH).total_seconds() * 1000), 0)
        else:
            changes[NAMES.get(name, name)] = number
    return replace(before, **changes)


def window(text: str) -> list[GroupLook]:
    """Return the looks of a drawn window."""
    looks: list[GroupLook] = []
    for part in text.split(";"):
        looks.append(drawn(looks[-1] if looks else HEALTHY, part))
    return looks


WINDOWS = """
  window                                                                                | verdict
  t=0                                                                                   | ok
  t=0 ; t=60 ; t=300                                                                    | ok
  t=0 len=0 at=0 new=0 read=- who=0 quiet=-                                             | ok
  t=0 len=0 who=0 quiet=- ; t=300                                                       | ok
  t=0 quiet=28800 ; t=300                                                               | ok
  t=0 quiet=28800 new=101 lag=1 wait=2                                                  | ok
  t=0 lag=- read=-                                                                      | ok
  t=0 lost=1                                                                            | lost
  t=0 ; t=5 lost=3 ; t=10                                                               | lost
  t=0 ; t=5 ; t=10                                                                      | ok
  t=0 at=100 ; t=5 at=99                                                                | rewound
  t=0 at=100 ; t=5 at=99 ; t=10 at=120                                                  | rewound
  t=0 at=100 ; t=5 at=100 ; t=10 at=101                                                 | ok
  t=0 at=0 read=- new=9 lag=9 wait=60 who=0 quiet=-                                     | unread
  t=0 at=0 read=0 new=9 lag=9 wait=60 who=0 quiet=-                                     | unread
  t=0 at=0 read=- new=9 lag=9 wait=59 who=0 quiet=-                                     | ok
  t=0 at=0 read=- new=9 lag=9 wait=60 who=- quiet=-                                     | ok
  t=0 new=101 lag=1 wait=60 who=0 quiet=-                                               | no_consumers
  t=0 at=0 read=- pend=3 new=9 lag=9 wait=60 who=0 quiet=-                              | no_consumers
  t=0 new=101 lag=1 wait=59 who=0 quiet=-                                               | ok
  t=0 new=101 lag=1 wait=60 who=- quiet=-                                               | ok
  t=0 new=101 lag=1 wait=60 quiet=60                                                    | stalled
  t=0 new=101 lag=1 wait=60 quiet=59                                                    | ok
  t=0 new=101 lag=- wait=60 quiet=60                                                    | stalled
  t=0 new=101 lag=1 wait=60 who=- quiet=- ; t=60 wait=120                               | stalled
  t=0 new=101 lag=1 wait=1 ; t=59 wait=60                                               | ok
  t=0 new=101 lag=1 wait=1 ; t=60 wait=61                                               | stalled
  t=0 at=90 wait=30 ; t=5 at=100 new=101 lag=1 wait=0 ; t=64 wait=60                    | ok
  t=0 at=90 wait=30 ; t=5 at=100 new=101 lag=1 wait=0 ; t=65 wait=60                    | stalled
  t=0 at=90 new=200 wait=300 ; t=60 at=91 wait=300 ; t=119 at=92 wait=300               | ok
  t=0 pend=101                                                                          | stuck
  t=0 pend=100                                                                          | ok
  t=0 len=0 pend=6                                                                      | stuck
  t=0 len=0 pend=5                                                                      | ok
  t=0 pend=10 old=290 ; t=10 read=110 pend=20 old=300                                   | stuck
  t=0 pend=10 old=289 ; t=10 read=110 pend=20 old=299                                   | ok
  t=0 pend=10 old=290 ; t=10 read=110 pend=19 old=300                                   | ok
  t=0 pend=10 old=290 ; t=10 old=300                                                    | ok
  t=0 pend=10 old=290 ; t=10 read=- pend=20 old=300                                     | ok
  t=0 pend=1 most=5                                                                     | poison
  t=0 pend=1 most=4                                                                     | ok
  t=0 lag=10 ; t=30 new=200 lag=40                                                      | losing_soon
  t=0 len=1000 lag=10 ; t=30 new=200 lag=40                                             | ok
  t=0 len=1000 lag=10 ; t=30 new=200 lag=43                                             | losing_soon
  t=0 lag=10 ; t=30 new=200 len=130 lag=40                                              | ok
  t=0 lag=10 ; t=29 new=200 lag=40                                                      | ok
  t=0 lag=10 ; t=30 new=200 lag=10                                                      | ok
  t=0 len=9999 at=1 lag=1 wait=60 ; t=20 at=2 lag=2 ; t=40 at=3 lag=3 ; t=60 at=4 lag=4 | falling_behind
  t=0 len=9999 at=1 lag=1 wait=60 ; t=20 at=2 lag=3 ; t=40 at=3 lag=3 ; t=60 at=4 lag=4 | ok
  t=0 len=9999 at=1 lag=1 wait=59 ; t=20 at=2 lag=2 ; t=40 at=3 lag=3 ; t=60 at=4 lag=4 | ok
  t=0 len=9999 at=1 lag=1 wait=60 ; t=20 at=2 lag=2 ; t=40 at=3 lag=3 ; t=59 at=4 lag=4 | ok
  t=0 len=9999 at=1 lag=1 wait=60 ; t=30 at=2 lag=2 ; t=60 at=3 lag=3                   | ok
  t=0 at=1 lag=90 wait=600 ; t=30 at=9 lag=80                                           | catching_up
  t=0 at=1 lag=90 wait=600 ; t=29 at=9 lag=80                                           | ok
  t=0 at=1 lag=90 wait=59  ; t=30 at=9 lag=80                                           | ok
"""


@pytest.mark.parametrize(("text", "verdict"), rows(WINDOWS), ids=ids(WINDOWS))
def test_windows(text: str, verdict: str) -> None:
    """Each verdict where it just holds, and where it just does not."""
    assert str(diagnose(window(text))) == verdict


ORDER = """
  window                                                                        | first    | then
  t=0 at=9 lost=1 ; t=5 at=0 read=- new=9 wait=60 who=0 quiet=-                 | rewound  | unread
  t=0 at=0 read=- new=9 wait=60 who=0 quiet=60 lost=1                           | unread   | no_consumers
  t=0 new=101 wait=60 who=0 quiet=60                                            | no_consumers | stalled
  t=0 new=101 wait=60 quiet=60 pend=101 lost=1                                  | stalled  | stuck
  t=0 pend=101 lost=1                                                           | stuck    | lost
  t=0 most=5 pend=1 lost=1                                                      | lost     | poison
  t=0 lag=10 most=5 pend=1 ; t=30 new=200 lag=40                                | poison   | losing_soon
"""


@pytest.mark.parametrize(("text", "first", "then"), rows(ORDER), ids=ids(ORDER))
def test_the_order_is_the_policy(text: str, first: str, then: str) -> None:
    """Where two hold, the one that says why comes before the one that says what follows from it."""
    looks = window(text)
    holding = [str(verdict) for verdict, holds in VERDICTS if holds(looks)]
    assert str(diagnose(looks)) == first
    assert holding[:2] == [first, then]


def test_no_look_is_no_group() -> None:
    """Without a look there is nothing to judge."""
    assert diagnose([]) is Verdict.MISSING


ESTIMATES = """
  window                                          | catch up | loss
  t=0 lag=100 ; t=60 lag=40                       | 40       | -
  t=0 lag=100 ; t=60 lag=0                        | -        | -
  t=0 lag=100 ; t=60 lag=100                      | -        | -
  t=0 lag=100 ; t=29 lag=40                       | -        | -
  t=0 lag=- ; t=60 lag=40                         | -        | -
  t=0 lag=100 ; t=60 lag=-                        | -        | -
  t=0 lag=10 ; t=60 new=200 lag=40                | -        | 120
  t=0 lag=10 ; t=60 new=200 lag=100               | -        | 0
  t=0 lag=10 ; t=60 new=200 lag=160               | -        | 0
  t=0 lag=10 ; t=60 lag=40                        | -        | -
  t=0 lag=10 ; t=60 new=200 len=160 lag=40        | -        | -
  t=0 at=0 lag=10 ; t=60 new=200 lag=40           | -        | -
  t=0 lag=10                                      | -        | -
"""


@pytest.mark.parametrize(("text", "clear", "loss"), rows(ESTIMATES), ids=ids(ESTIMATES))
def test_estimates(text: str, clear: str, loss: str) -> None:
    """Seconds at the present pace; `-` where it cannot be told or does not come."""
    found = [catch_up(window(text)), time_to_loss(window(text))]
    assert ["-" if span is None else f"{span.total_seconds():g}" for span in found] == [clear, loss]
