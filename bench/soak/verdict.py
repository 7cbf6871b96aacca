"""Whether a figure stays flat: its slope over the time that was measured, and how much of that is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median


def theil_sen(points: Sequence[tuple[float, float]]) -> float:
    """
    Return the median of the slopes between all pairs of *points* (when, how much); 0 if there are none.

    A few wild figures, of a busy neighbour, do not move it as they would move a least-squares line.
    """
    slopes = [(b - a) / (t - s) for (s, a), (t, b) in combinations(points, 2) if t != s]
    return median(slopes) if slopes else 0.0


@dataclass(frozen=True, slots=True)
class Bound:
    """
    How much a figure may grow over the whole measurement: a *share* of what it is, and *least* in any case.

    What falls is flat as well.
    """

    share: float = 0.0
    least: float = 0.0

    def allows(self, usual: float) -> float:
        """Return by how much a figure may grow that is *usual*ly so large."""
        return max(self.share * abs(usual), self.least)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a figure did: its *middle*, its *most*, by how much it *grew* and by how much it might have."""

    middle: float
    most: float
    grew: float
    allowed: float

    @property
    def flat(self) -> bool:
        """Say whether it grew no more than it may."""
        return self.grew <= self.allowed


def judge(points: Sequence[tuple[float, float]], bound: Bound) -> Verdict:
    """Say of a figure, (when, how much), how it did."""
    values = [value for _, value in points]
    middle = median(values)
    grew = theil_sen(points) * (points[-1][0] - points[0][0])
    return Verdict(middle, max(values), grew, bound.allows(middle))


def settled(points: Sequence[tuple[float, float]], warm_up: float) -> Sequence[tuple[float, float]]:
    """Return what was seen after the first *warm_up* (a share) of the time."""
    first, last = points[0][0], points[-1][0]
    return [(at, value) for at, value in points if at >= first + warm_up * (last - first)]
