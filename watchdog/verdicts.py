"""
What is wrong with a consumer group: one sentence, one predicate; the order is the policy.

A look with all it remembers of those before goes in, the first verdict whose predicate holds comes
out. Judging a window of positions instead of a threshold is Burrow's idea (its rules OK, STALL,
STOP, REWIND); the order and its reasons stand in docs/explanation/consumer-groups.md.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from watchdog.estimates import catch_up, time_to_loss
from watchdog.groups import GRAIN, WINDOW, GroupLook

PATIENCE = 60.0
"""How many seconds entries may wait before a group that does not move is called stalled."""
STILL_ACKED = 300.0
"""How old the oldest pending entry may become while others are delivered and none is acknowledged."""
INACTIVE = 3600.0
"""How many seconds of polling without an entry are called polling in vain."""
POISON_DELIVERIES = 5
NEVER = float("inf")
LOSS_HORIZON = 900.0


class Verdict(StrEnum):
    """The word for the state of a consumer group."""

    MISSING = "missing"
    UNKNOWN = "unknown"
    LOST = "lost"
    REWOUND = "rewound"
    UNREAD = "unread"
    NO_CONSUMERS = "no_consumers"
    STALLED = "stalled"
    STUCK = "stuck"
    POISON = "poison"
    POLLING_IN_VAIN = "polling_in_vain"
    LOSING_SOON = "losing_soon"
    FALLING_BEHIND = "falling_behind"
    CATCHING_UP = "catching_up"
    OK = "ok"


def rewound(look: GroupLook, now: float) -> bool:
    """The group's position went back."""
    return look.rewound_at is not None and now - look.rewound_at < WINDOW


def waiting(look: GroupLook, now: float) -> bool:
    """Entries wait for longer than is patient."""
    return look.head_at is not None and now - look.head_at >= PATIENCE


def unread(look: GroupLook, now: float) -> bool:
    """Entries wait, and nobody ever read from this group."""
    untouched = not look.group.read and not look.group.pending and look.moved_at is None
    return waiting(look, now) and look.group.consumers == 0 and untouched


def no_consumers(look: GroupLook, now: float) -> bool:
    """Entries wait, and the group has no consumer."""
    return waiting(look, now) and look.group.consumers == 0


def stalled(look: GroupLook, now: float) -> bool:
    """Entries wait, and the group has not moved for longer than is patient."""
    if not waiting(look, now):
        return False
    if look.moved_at is not None:
        return now - look.moved_at >= PATIENCE
    quiet_at = look.holders.quiet_at  # what its consumers say of the time before we looked
    return now - look.began >= PATIENCE or (quiet_at is not None and now - quiet_at >= PATIENCE)


def stuck(look: GroupLook, now: float) -> bool:
    """Entries are delivered and none is acknowledged."""
    pending = look.group.pending
    age = PATIENCE if look.oldest_at is None else now - look.oldest_at
    if pending > look.stream.length and pending > POISON_DELIVERIES and age >= PATIENCE:
        return True
    if look.unacked_at is None or look.moved_at is None or look.oldest_at is None:
        return False
    return look.moved_at - look.unacked_at >= PATIENCE and age >= STILL_ACKED


def lost(look: GroupLook, now: float) -> bool:
    """Entries were trimmed before this group was given them."""
    return look.lost_at is not None and now - look.lost_at < WINDOW


def losing_soon(look: GroupLook, _: float) -> bool:
    """Trimming will reach unread entries soon if nothing changes."""
    left = time_to_loss(look)
    return left is not None and left <= LOSS_HORIZON


def falling_behind(look: GroupLook, now: float) -> bool:
    """The backlog grows throughout, and its oldest entry waits longer than is patient."""
    marks = [mark for mark in look.marks if mark.waiting is not None]
    if not waiting(look, now) or len(marks) < 4 or marks[-1].at - marks[0].at < PATIENCE:
        return False
    middle = len(marks) // 2
    return max(m.waiting or 0 for m in marks[:middle]) < min(m.waiting or 0 for m in marks[middle:])


def poison(look: GroupLook, _: float) -> bool:
    """One entry is delivered again and again."""
    rows = look.holders.deliveries if look.group.pending else ()
    return any(row.times >= POISON_DELIVERIES for row in rows or ())


def unknown(look: GroupLook, _: float) -> bool:
    """Entries wait or are pending, and Redis does not let us ask for how long."""
    return (look.entries_wait and look.head is None) or not look.pending_told


def polling_in_vain(look: GroupLook, now: float) -> bool:
    """Nothing waits, nothing was delivered for an hour, and yet a consumer keeps asking."""
    tried_at, quiet_at = look.holders.tried_at, look.holders.quiet_at
    if look.entries_wait or tried_at is None or quiet_at is None:
        return False
    since = max(quiet_at, look.moved_at or quiet_at)
    return look.holders.at - tried_at < PATIENCE and now - since >= INACTIVE


def catching_up(look: GroupLook, now: float) -> bool:
    """Entries wait, and they become fewer."""
    return waiting(look, now) and catch_up(look) is not None


VERDICTS: tuple[tuple[Verdict, Callable[[GroupLook, float], bool]], ...] = (
    (Verdict.REWOUND, rewound),
    (Verdict.UNREAD, unread),
    (Verdict.NO_CONSUMERS, no_consumers),
    (Verdict.STALLED, stalled),
    (Verdict.STUCK, stuck),
    (Verdict.LOST, lost),  # after those that say why: a dead group is still dead when trimming reaches it
    (Verdict.LOSING_SOON, losing_soon),
    (Verdict.FALLING_BEHIND, falling_behind),
    (Verdict.POISON, poison),  # one bad entry must not hide that all others are in danger
    (Verdict.UNKNOWN, unknown),  # after all that can be proven, before all that is well
    (Verdict.POLLING_IN_VAIN, polling_in_vain),
    (Verdict.CATCHING_UP, catching_up),
)


def diagnose(look: GroupLook | None, now: float) -> Verdict:
    """Name what is wrong with a consumer group at *now*; the first that holds wins."""
    if look is None:
        return Verdict.MISSING
    if look.waiting == 0 and not look.group.pending and look.rewound_at is None and look.lost_at is None:
        return Verdict.POLLING_IN_VAIN if polling_in_vain(look, now) else Verdict.OK  # most of them, quickly
    return next((verdict for verdict, holds in VERDICTS if holds(look, now)), Verdict.OK)


def changes_at(look: GroupLook, now: float) -> float:
    """Return the next moment at which the verdict may change although nothing happens; infinite if never."""
    moments: list[float] = []
    if look.rewound_at is not None:
        moments.append(look.rewound_at + WINDOW)
    if look.lost_at is not None:
        moments.append(look.lost_at + WINDOW)
    if look.head_at is not None:
        moments.append(look.head_at + PATIENCE)
        moments.append((look.began if look.moved_at is None else look.moved_at) + PATIENCE)
        if look.moved_at is None and look.holders.quiet_at is not None:
            moments.append(look.holders.quiet_at + PATIENCE)
        if look.marks[0][1:] != look.marks[-1][1:]:
            moments.append(now + GRAIN)  # estimates go on changing until the window has left it behind
    if look.oldest_at is not None:
        moments += [look.oldest_at + PATIENCE, look.oldest_at + STILL_ACKED]
    if look.holders.tried_at is not None and look.holders.quiet_at is not None and not look.entries_wait:
        moments.append(max(look.holders.quiet_at, look.moved_at or 0.0) + INACTIVE)
    return min([moment for moment in moments if moment > now], default=NEVER)
