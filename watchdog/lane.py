"""
What waits for one receiver, in order.

Only the letter that was *claimed* can have reached the receiver, so only that one keeps its content
and key until it is settled; all others may still be merged. Letters of a group that is waited for
are merged as they come. What has waited for long is merged into one, so that no storm follows an
outage. The numbers say in which order things came about; what is merged takes the latest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import dropwhile

from watchdog.notifications import Notification, Reason, merge, without

MERGE_AFTER = 10.0
"""Seconds after which letters that wait are sent as one."""
MOST_LETTERS = 100
"""So many may wait; then they are merged although they have not waited for long."""
MOST_NOTICES = 20_000
"""So much may be said in one letter; beyond that the oldest ends are dropped, with a record."""
LONG_AGO = float("-inf")


@dataclass(frozen=True, slots=True)
class Letter:
    """A message on its way: its place in the order, and from when on (monotonic seconds) it may go."""

    number: int
    message: Notification
    ready: float


@dataclass(slots=True)
class Lane:
    """
    The letters to one receiver.

    *keep* is told of every change: a letter's number and its message, or None once it is gone.
    """

    keep: Callable[[int, Notification | None], None]
    letters: dict[int, Letter] = field(default_factory=dict)
    claimed: Letter | None = None
    dropped: int = 0

    def recall(self, messages: Iterable[tuple[int, Notification]], now: float, wall: datetime) -> None:
        """
        Take back what an earlier process left; one of them may have been on its way when it ended.

        What waits for its group at *wall* goes on waiting.
        """
        for number, message in sorted(messages, key=lambda item: item[0]):
            wait = message.wait(wall).total_seconds()
            self.letters[number] = Letter(number, message, now + wait if wait else LONG_AGO)
        order = list(self.letters.values())
        marked = [letter for letter in order if letter.message.waits is Reason.SENDING]
        self.claimed = next(iter([*marked, *(x for x in order[:1] if not _had_to_wait(x.message))]), None)

    def put(self, number: int, message: Notification, ready: float, now: float) -> None:
        """Take *message*, which may go once it is *ready*; it joins what waits for the same group."""
        letter = Letter(number, message, ready)
        group = [other for other in self._free() if _belong(other, letter)]
        waiting = list(dropwhile(lambda other: other.ready <= now, group))
        if waiting:
            self._replace([*waiting, letter], number)
        else:
            self._add(letter)
        free = self._free()
        if len(free) > MOST_LETTERS:
            self._replace(free, free[-1].number)

    def beginnings(self, now: float) -> frozenset[str]:
        """Return the alerts whose beginning waits for its group, and that were not told to begin before."""
        gone = [*self._ripe(now), *([self.claimed] if self.claimed else [])]
        told = frozenset[str]().union(*(letter.message.beginnings for letter in gone))
        return frozenset[str]().union(*(letter.message.beginnings for letter in self._free())) - told

    def withdraw(self, fingerprints: frozenset[str]) -> None:
        """Say nothing of what began to fire; each of these alerts is one of the `beginnings`."""
        for letter in self._free():
            self.edit(letter, without(letter.message, fingerprints))

    def edit(self, letter: Letter, message: Notification | None) -> None:
        """Have *letter* say something else from now on, or nothing at all; it must not be the claimed one."""
        if message is None:
            self._remove(letter)
        elif message is not letter.message:
            self._add(replace(letter, message=message))

    def claim(self, now: float) -> Letter | None:
        """Return what is to be sent next, merged with what has waited too long; None if nothing is ready."""
        if self.claimed is None:
            ripe = self._ripe(now)
            if not ripe:
                return None
            late = now - min(letter.ready for letter in ripe) > MERGE_AFTER
            first = self._replace(ripe, ripe[-1].number) if late and len(ripe) > 1 else ripe[0]
            self.claimed = self._marked(first)
        return self.claimed

    def _ripe(self, now: float) -> list[Letter]:
        """Return what may go, in order; nothing overtakes what belongs to the same group."""
        free = self._free()
        return [
            letter
            for i, letter in enumerate(free)
            if letter.ready <= now or any(x.ready <= now and _belong(letter, x) for x in free[i + 1 :])
        ]

    def _marked(self, letter: Letter) -> Letter:
        """
        Return the claimed *letter* so that `recall` can tell it from the others.

        Mostly that is the first, and no mark has to be written. It is not where a group waits.
        """
        if letter.number == min(self.letters) and not _had_to_wait(letter.message):
            return letter
        marked = replace(letter, message=replace(letter.message, waits=Reason.SENDING))
        self._add(marked)
        return marked

    def settle(self) -> None:
        """Forget the claimed letter: it was taken, refused for good, or given up."""
        if self.claimed is not None:
            self._remove(self.claimed)
            self.claimed = None

    def next_ready(self) -> float | None:
        """Return when something can be claimed, or None if nothing waits."""
        if self.claimed is not None:
            return self.claimed.ready
        return min((letter.ready for letter in self.letters.values()), default=None)

    def _free(self) -> list[Letter]:
        claimed = self.claimed
        return [x for x in self.letters.values() if claimed is None or x.number != claimed.number]

    def _add(self, letter: Letter) -> None:
        self.letters[letter.number] = letter
        self.keep(letter.number, letter.message)

    def _remove(self, letter: Letter) -> None:
        self.letters.pop(letter.number, None)
        self.keep(letter.number, None)

    def _replace(self, letters: list[Letter], number: int) -> Letter:
        """Put one letter in the place of *letters*, which are in order."""
        message, dropped = bounded(merge([letter.message for letter in letters]))
        self.dropped += dropped
        for letter in letters:
            if letter.number in self.letters:
                self._remove(letter)
        merged = Letter(number, message, min(letter.ready for letter in letters))
        self._add(merged)
        return merged


def _had_to_wait(message: Notification) -> bool:
    return message.due > message.at


def _belong(one: Letter, other: Letter) -> bool:
    """Say whether the two can be about the same alerts: they are of one group, or merged from many."""
    groups = one.message.group, other.message.group
    return groups[0] == groups[1] or not all(groups)


def bounded(message: Notification, most: int = MOST_NOTICES) -> tuple[Notification, int]:
    """
    Return *message* with at most *most* notices, and how many of the oldest ends were left out.

    What merely goes on is left out before any news, and counts as nothing.
    """
    if len(message.notices) <= most:
        return message, 0
    order = sorted(range(len(message.notices)), key=lambda i: message.notices[i].reason is None)
    kept = tuple(message.notices[i] for i in sorted(order[:most]))
    left_out = sum(message.notices[i].reason is not None for i in order[most:])
    return replace(message, notices=kept), left_out
