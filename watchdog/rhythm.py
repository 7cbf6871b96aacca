"""
How long a silence usually is, learnt from when things happened: the longest lately, by hour of week.

A gap between two events is a fact about the source, whoever watched it or not, so what is learnt is the
longest gap of the last weeks and no average: bursts leave it alone, and quiet nights stand in it. Three
things keep it honest. A gap that was itself overdue is learnt only when it comes again and again, so that
an outage teaches nothing and a new schedule is taken in. What little history cannot know is allowed for
(`margin`). And the hour of week counts only where its forecasts have held (`Week.doubt`): for whoever
acts at random it never does.
"""

from __future__ import annotations

import binascii
import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from math import isfinite, log
from typing import Any

HOUR, DAY = 3600.0, 86_400.0
WEEK = 7 * DAY
FADE = 4 * WEEK
"""So long a generation of knowledge is gathered; it is kept for another one."""
GAPS, SPAN, LONGEST = 20, WEEK, 4
"""Enough is learnt from so many gaps, over so long a time, which is at least so many of its longest gaps."""
OVERDUE = 2.0
"""A silence of so many times the usual is taken for an outage, as the built-in rules do."""
AGAIN, APART = 3, 6 * HOUR
"""An overdue gap is learnt when it is the third within `FADE`, each so long after the one before."""
LEAST = 300.0
"""No usual silence is taken for shorter: a deploy and a slow minute are no outage."""
WORTH = OVERDUE * LEAST
"""The hour of week is of no use to who was never silent for longer."""
HOURS = 168
UNSEEN = bytes(HOURS)
STEPS = [0.1 * 1.08**i for i in range(256)]
"""What a byte stands for: seconds, up to a year, 8 % apart."""


def margin(gaps: float) -> float:
    """
    Return by how much the longest of so many *gaps* is to be multiplied, so that twice that means an outage.

    Of a source that acts at random, the next month has a gap of `1 + 5 / log(gaps)` times the longest
    with a chance of about one in a hundred.
    """
    return max(1.0, (1 + 5 / log(gaps)) / OVERDUE)


class Week:
    """
    The longest silence that was seen in each hour of the week, a byte each, rounded up.

    A forecast takes the hours before and after with it, so that neither a quarter of an hour nor a change
    to summer time makes it wrong.
    """

    __slots__ = ("before", "doubted", "seen", "since", "tried", "worst")

    def __init__(self, since: float) -> None:
        self.since = since
        self.seen = bytearray(HOURS)
        self.before = UNSEEN
        self.tried = since  # when the present trial began
        self.worst = self.doubted = 0.0  # by how much a forecast was exceeded, in this trial and the last

    @property
    def doubt(self) -> float:
        """Return what forecasts have to be multiplied with, by their failures lately."""
        return max(1.0, self.worst, self.doubted)

    def forecast(self, moment: float) -> float | None:
        """Return the longest silence seen about the hour of *moment*, None if that hour was never seen."""
        hour, seen, before = int(moment // HOUR) % HOURS, self.seen, self.before
        if not (seen[hour] or before[hour]):
            return None
        near = hour - 1, hour, (hour + 1) % HOURS
        return max(LEAST, *(STEPS[max(seen[i], before[i])] for i in near))

    def usual(self, moment: float) -> float | None:
        """Return the usual silence at *moment*, None while the hour of week tells nothing."""
        if moment - self.since < 2 * WEEK or self.doubt > OVERDUE:
            return None
        found = self.forecast(moment)
        return None if found is None else found * self.doubt

    def note(self, begin: float, end: float) -> None:
        """Take in that nothing happened between *begin* and *end*."""
        if end - self.tried >= 2 * WEEK:
            self.tried, self.worst, self.doubted = end, 0.0, self.worst
        if begin - self.since >= WEEK:
            told = ((at - begin, self.forecast(at)) for at in hours(begin, end))
            self.worst = max([self.worst, *(age / forecast for age, forecast in told if forecast)])
        for at in hours(begin, end):
            hour = int(at // HOUR) % HOURS
            self.seen[hour] = max(self.seen[hour], step(at - begin))

    def knows(self, begin: float, end: float) -> bool:
        """Say whether a silence from *begin* to *end* is nothing new at all."""
        hour = int(end // HOUR)
        return hour == int(begin // HOUR) and step(end - begin) <= self.seen[hour % HOURS]

    def begin_anew(self) -> None:
        """Begin a new generation."""
        self.before, self.seen = bytes(self.seen), bytearray(HOURS)

    def state(self) -> dict[str, Any]:
        """Return it as JSON."""
        numbers = [round(n, 3) for n in (self.since, self.tried, self.worst, self.doubted)]
        return {"numbers": numbers, "hours": [_text(self.seen), _text(self.before)]}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Week:
        """Return what `state` gave; ValueError if it is something else."""
        since, tried, worst, doubted = _numbers(state["numbers"], 4)
        week = cls(since)
        week.tried, week.worst, week.doubted = tried, worst, doubted
        seen, before = (binascii.a2b_base64(text) for text in state["hours"])
        if not len(seen) == len(before) == HOURS:
            raise ValueError("a week has 168 hours")
        week.seen, week.before = bytearray(seen), before
        return week


class Rhythm:
    """When something happened lately, as far as it tells how long it may be silent."""

    __slots__ = (
        "aside",
        "aside_at",
        "before",
        "gaps",
        "gaps_before",
        "last",
        "longest",
        "since",
        "turned",
        "week",
    )

    def __init__(self, first: float) -> None:
        """Begin with what happened at *first* (seconds since the epoch)."""
        self.since = self.turned = self.last = first  # since when anything, and since when this generation
        self.gaps = self.gaps_before = 0
        self.longest = self.before = 0.0  # of this generation, of the one before
        self.aside, self.aside_at = 0, 0.0  # overdue gaps that were not learnt
        self.week: Week | None = None

    def pass_over(self, at: float) -> None:
        """Take in that something happened at *at*, while nobody knows what happened since the last."""
        self.last = at

    def learn(self, at: float) -> bool:
        """
        Take in that something happened at *at*, and nothing since the last; say whether that was news.

        What does not lie after the last teaches nothing: a clock was set back, and what is known goes with
        it. News is what should be kept at once: the longest silence grew, or an overdue one was set aside.
        """
        begin, gap = self.last, at - self.last
        if gap <= 0:
            self._step_back(-gap)
            return False
        known = gap <= self.longest and (self.week is None or self.week.knows(begin, at))
        aside = not known and self._overdue(begin, at) and not self._again(at)
        self.last = at
        if aside:
            return True
        if at - self.turned >= FADE:
            self._turn(at)
        self.gaps += 1
        if known:
            return False
        if self.week is None and gap > WORTH:
            self.week = self._look_back(begin)
        if self.week is not None:
            self.week.note(begin, at)
        longer = gap > self.longest
        self.longest = max(self.longest, gap)
        return longer

    def usual(self, now: float) -> float | None:
        """Return the longest usual silence at *now* in seconds, None while not enough was learnt."""
        span, gaps, longest = (
            self.last - self.since,
            self.gaps + self.gaps_before,
            max(self.longest, self.before),
        )
        if gaps < GAPS or span < SPAN or span < LONGEST * longest:
            return None
        usual = max(LEAST, longest * margin(min(gaps, span / longest)))
        by_hour = self.week.usual(now) if self.week is not None else None
        return usual if by_hour is None else min(usual, by_hour)

    def _overdue(self, begin: float, end: float) -> bool:
        """Say whether the silence from *begin* to *end* was overdue at any time."""
        asked = hours(begin, end) if self.week is not None else (end,)
        told = ((at - begin, self.usual(at)) for at in asked)
        return any(usual is not None and age > OVERDUE * usual for age, usual in told)

    def _again(self, at: float) -> bool:
        """Set an overdue gap aside; say whether it has come again often enough to be the new usual."""
        if at - self.aside_at > FADE:
            self.aside = 0
        if not self.aside or at - self.aside_at >= APART:
            self.aside, self.aside_at = self.aside + 1, at
        if self.aside < AGAIN:
            return False
        self.aside = 0
        return True

    def _step_back(self, by: float) -> None:
        self.last -= by
        self.since -= by
        self.turned -= by
        self.aside_at -= by
        if self.week is not None:
            self.week.since -= by
            self.week.tried -= by

    def _turn(self, at: float) -> None:
        self.since, self.turned = self.turned, at
        self.gaps_before, self.gaps = self.gaps, 0
        self.before, self.longest = self.longest, 0.0
        if self.week is not None:
            self.week.begin_anew()

    def _look_back(self, until: float) -> Week:
        """Return a week for the time before *until*, in which no silence was longer than the longest."""
        week = Week(self.since)
        longest = max(self.longest, self.before, 0.1)
        for at in hours(max(self.since, until - WEEK), until):
            week.seen[int(at // HOUR) % HOURS] = step(longest)
        return week

    def state(self) -> str:
        """Return it as a text, which is small: there are thousands."""
        moments = self.since, self.turned, self.last, self.longest, self.before, self.aside_at
        counts = self.gaps, self.gaps_before, self.aside
        state: dict[str, Any] = {"numbers": [*(round(n, 3) for n in moments), *counts]}
        state |= {} if self.week is None else {"week": self.week.state()}
        return json.dumps(state, separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> Rhythm:
        """Return what `state` gave; KeyError, TypeError or ValueError if it is something else."""
        state = json.loads(text)
        since, turned, last, longest, before, aside_at, *counts = _numbers(state["numbers"], 9)
        rhythm = cls(since)
        rhythm.turned, rhythm.last, rhythm.aside_at = turned, last, aside_at
        rhythm.longest, rhythm.before = longest, before
        rhythm.gaps, rhythm.gaps_before, rhythm.aside = map(int, counts)
        rhythm.week = Week.of(state["week"]) if "week" in state else None
        return rhythm


def step(seconds: float) -> int:
    """Return the byte that stands for *seconds* or a little more; what is beyond a year is a year."""
    return min(255, max(1, bisect_left(STEPS, seconds)))


def hours(begin: float, end: float) -> Iterator[float]:
    """Yield the last moment of each hour that a silence from *begin* to *end* touched, a week at most."""
    at = max((begin // HOUR + 1) * HOUR, (end // HOUR - HOURS + 2) * HOUR)
    while at <= end:
        yield at - 0.001
        at += HOUR
    yield end


def _text(codes: bytes | bytearray) -> str:
    return binascii.b2a_base64(codes, newline=False).decode()


def _numbers(found: Any, count: int) -> list[float]:
    numbers = [float(number) for number in found]
    if len(numbers) != count or not all(map(isfinite, numbers)):
        raise ValueError("these are not the numbers of a rhythm")
    return numbers
