"""When each signal has to be judged again although nothing new was seen of it."""

from __future__ import annotations

import heapq
import math

from watchdog.model import SignalKey

NEVER = math.inf
SLACK = 1_000
"""So many outdated appointments are carried along before the list is made anew."""


class Agenda:
    """One appointment a signal, in seconds since the epoch; a later one replaces the earlier."""

    def __init__(self) -> None:
        self._at: dict[SignalKey, float] = {}
        self._heap: list[tuple[float, int, SignalKey]] = []
        self._count = 0

    def put(self, signal: SignalKey, moment: float) -> None:
        """Have *signal* come up at *moment*, or not at all if that is `NEVER`."""
        before = self._at.get(signal, NEVER)
        if moment == before:
            return
        if moment == NEVER:
            del self._at[signal]
            return
        self._at[signal] = moment
        self._count += 1
        heapq.heappush(self._heap, (moment, self._count, signal))
        if len(self._heap) > 2 * len(self._at) + SLACK:
            self._heap = [(at, i, key) for i, (key, at) in enumerate(self._at.items())]
            heapq.heapify(self._heap)

    def due(self, moment: float) -> list[SignalKey]:
        """Take all signals whose time has come at *moment* off the list and return them."""
        found = []
        while self._heap and self._heap[0][0] <= moment:
            at, _, signal = heapq.heappop(self._heap)
            if self._at.get(signal) == at:
                del self._at[signal]
                found.append(signal)
        return found
