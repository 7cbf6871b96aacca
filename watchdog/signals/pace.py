"""How often something happens, held against how often it may: ``30/1h``."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from watchdog.fields import one_or_many
from watchdog.model import AtLeast, Value
from watchdog.units import parse_duration, write_duration

COUNTED = 20
"""So many times the ceiling is counted; what is beyond is as bad."""
LARGEST = 10_000
"""The largest ceiling: the moments of so many times more are kept."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """At most so *many* in a *window*."""

    most: int
    window: timedelta

    def __str__(self) -> str:
        return f"{self.most}/{write_duration(self.window)}"


def parse_ceiling(raw: object) -> Ceiling:
    """Read ``30/1h``; raise ValueError with the cure for anything else."""
    most, _, window = str(raw).partition("/")
    if not most.strip().isdecimal() or not 0 < int(most) <= LARGEST:
        raise ValueError(f'"{raw}" is no ceiling (write 30/1h, at most {LARGEST} in a time)')
    span = parse_duration(window) if window else timedelta(0)
    if not timedelta(0) < span <= timedelta(days=1):
        raise ValueError(f'"{raw}" is no ceiling (write 30/1h, the time at most 1d)')
    return Ceiling(int(most), span)


Ceilings = Annotated[
    tuple[Annotated[Ceiling, BeforeValidator(parse_ceiling)], ...],
    BeforeValidator(one_or_many),
    Field(max_length=8),
]


class Pace:
    """The latest moments at which it happened, as many as the ceilings ask for."""

    def __init__(self, ceilings: Sequence[Ceiling]) -> None:
        """Hold what happens against *ceilings*, of which there is at least one."""
        self._ceilings = ceilings
        self._moments: deque[datetime] = deque(maxlen=COUNTED * max(c.most for c in ceilings))

    def take(self, moments: Iterable[datetime]) -> None:
        """Take in when it happened, in order."""
        self._moments.extend(moments)

    def load(self, now: datetime, since: datetime) -> tuple[Value, str]:
        """
        Return how much of its ceiling the fullest window has, and that window in words.

        What was before *since* nobody knows, so a window that reaches back beyond it is a lower bound.
        """
        found = [self._load(ceiling, now, since) for ceiling in self._ceilings]
        return max(found, key=lambda one: one[0].number if isinstance(one[0], AtLeast) else one[0])

    def _load(self, ceiling: Ceiling, now: datetime, since: datetime) -> tuple[float | AtLeast, str]:
        start = now - ceiling.window
        count = 0
        for at in reversed(self._moments):
            if at <= start:
                break
            count += 1
        known = since <= start and count < COUNTED * ceiling.most
        load = count / ceiling.most
        said = f"{count} in {write_duration(ceiling.window)}, at most {ceiling.most}"
        return (load if known else AtLeast(load)), said
