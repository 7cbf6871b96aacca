"""How many entries may be counted at one moment, by all groups of the process together."""

from __future__ import annotations

AT_ONCE = 50_000
"""So many entries all groups of the process count at one moment, beyond the first few of each."""
OVERLAP = 60.0
"""Seconds for which a look may be at work while others begin; a moment before that: the clock was set."""


class Allowance:
    """
    So many entries may be counted at one moment, by whoever comes first.

    After a start thousands of groups may have to be counted. Those that come too late say "at least",
    and go on at the next look.
    """

    __slots__ = ("_at", "_left", "_size")

    def __init__(self, size: int) -> None:
        self._size = self._left = size
        self._at = 0.0

    def take(self, count: int, at: float) -> bool:
        """Take *count* entries out of what the moment *at* allows; take none where they are not left."""
        if at > self._at or self._at - at > OVERLAP:
            self._at, self._left = at, self._size
        if self._left < count:
            return False
        self._left -= count
        return True

    def give_back(self, count: int) -> None:
        """Put back *count* entries that were taken and not found."""
        self._left = min(self._size, self._left + count)


EVERYBODY = Allowance(AT_ONCE)
"""What all groups of this process share."""
