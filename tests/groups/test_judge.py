"""The judge itself: what is true passes, and every kind of wrong answer is caught."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from tests.drawn import T0, ids, rows
from tests.groups.judge import Judge, moment
from tests.groups.model import Truth
from watchdog.entries import EntryId
from watchdog.model import AtLeast, Counted, Held, Labels, Reading, SignalKey
from watchdog.units import EPOCH

KEY = SignalKey("service", "consumes", Labels(stream="s", group="g"))
START = int((T0 - EPOCH).total_seconds() * 1000)


def entry(number: int) -> EntryId:
    """Return the ID of an entry of *number* seconds after T0."""
    return EntryId(START + number * 1000, 0)


def two_looks(first: Reading, second: Reading, *, trim: int = 0, delete: bool = False) -> list[str]:
    """
    Return what is wrong with two readings of a group that was given 2 of 6 entries and acknowledged one.

    Between the looks 100 s go by, in which *trim* entries are trimmed, or the last one is deleted.
    """
    truth = Truth(("g",), drops_claimed=True)
    truth.created("g", EntryId(0, 0))
    for number in range(6):
        truth.added(entry(number), T0)
    truth.delivered("g", [entry(0), entry(1)], "c", ack=False)
    truth.acknowledged("g", [entry(0)])
    judge = Judge("g", truth, True, Counter())
    wrong = judge.judge(first, True, [moment(truth, "g")], first.at)
    truth.trimmed(trim)
    truth.deleted([entry(5)] if delete else [])
    return wrong + judge.judge(second, True, [moment(truth, "g")], second.at)


def reading(after: int, lag: Held, lost: float = 0, **other: Held) -> Reading:
    """Return a reading of *after* seconds that is right but for what is given."""
    at = T0 + timedelta(seconds=after)
    values: dict[str, Held] = {
        "lag": lag,
        "provenance": "unknown" if lag is None else "at_least" if isinstance(lag, AtLeast) else "counted",
        "behind": after - 2.0,
        "pending": 1.0,
        "oldest_pending": after - 1.0,
        "verdict": "ok" if after < 60 else "stalled",
    }
    steps = ((at, lost),) if lost else ()
    evidence = {"oldest_pending_id": str(entry(1))}
    return Reading(KEY, at, values | other, {("lost", ""): Counted(T0, steps)}, evidence)


LAGS = """
  lag      | complaint
  4        | -
  >= 4     | -
  >= 0     | -
  unknown  | -
  5        | lag 5.0, true [4]
  3        | lag 3.0, true [4]
  0        | lag 0.0, true [4]
  >= 5     | lag at least 5, true [4]
"""


@pytest.mark.parametrize(("lag", "complaint"), rows(LAGS), ids=ids(LAGS))
def test_lag(lag: str, complaint: str) -> None:
    """A number is the number, a bound is no more, unknown is never wrong."""
    said = None if lag == "unknown" else AtLeast(float(lag[3:])) if lag[0] == ">" else float(lag)
    assert two_looks(reading(10, 4.0), reading(110, said)) == (
        [] if complaint == "-" else [f"g: {complaint}"]
    )


LOSSES = """
  between the looks | claimed | complaint
  nothing           | 0       | -
  nothing           | 1       | lost 1 claimed, true 0, now 1 for 0
  trim 2            | 0       | -
  trim 2            | 1       | lost 1 claimed, true 0, now 1 for 0
  trim 4            | 2       | -
  trim 4            | 0       | lost 0 claimed of 2 in a clear interval
  trim 4            | 1       | lost 1 claimed of 2 in a clear interval
  trim 4            | 3       | lost 3 claimed, true 2, now 3 for 2
  delete            | 0       | -
  delete            | 1       | lost 1 claimed, true 0, now 1 for 0
"""


@pytest.mark.parametrize(("between", "claimed", "complaint"), rows(LOSSES), ids=ids(LOSSES))
def test_loss(between: str, claimed: str, complaint: str) -> None:
    """Given 2 of 6: trimming 2 loses nothing, trimming 4 loses 2, deleting by hand loses nothing."""
    trim = int(between.removeprefix("trim ")) if between.startswith("trim") else 0
    left = 6 - max(2, trim) - (between == "delete")
    second = reading(110, float(left), float(claimed), behind=110.0 - max(2, trim))
    found = two_looks(reading(10, 4.0), second, trim=trim, delete=between == "delete")
    assert found == ([] if complaint == "-" else [f"g: {complaint}"])


VERDICTS = """
  verdict     | trim | complaint
  stalled     | 0    | -
  ok          | 0    | verdict ok: waiting 108 s, unmoved 100 s
  catching_up | 0    | verdict catching_up: waiting 108 s, unmoved 100 s
  missing     | 0    | verdict missing, but the group is there
  rewound     | 0    | verdict rewound, but the position never went back
  ok          | 6    | -
  stalled     | 6    | verdict stalled, but nothing waits
"""


@pytest.mark.parametrize(("verdict", "trim", "complaint"), rows(VERDICTS), ids=ids(VERDICTS))
def test_verdict(verdict: str, trim: str, complaint: str) -> None:
    """What waits must be told, what does not wait must not."""
    lost = float(max(0, int(trim) - 2))
    second = reading(110, 4.0 - lost, lost, verdict=verdict, behind=0.0 if lost else 108.0)
    found = two_looks(reading(10, 4.0), second, trim=int(trim))
    assert found == ([] if complaint == "-" else [f"g: {complaint}"])


def test_pending_and_ages() -> None:
    """Number and age of what is pending, and the age of what waits, are held to the model."""
    wrong = two_looks(
        reading(10, 4.0), reading(20, 4.0, pending=2.0, oldest_pending=3.0, behind=AtLeast(18.5))
    )
    assert wrong == [
        "g: pending 2.0, true [1]",
        "g: oldest_pending 3.0 s, true 19",
        "g: behind AtLeast(number=18.5), true 18",
    ]
