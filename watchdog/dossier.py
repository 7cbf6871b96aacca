"""What is told of a consumer group: measures and evidence, made only when somebody asks."""

from __future__ import annotations

import shlex
from collections.abc import Callable, ItemsView, Iterator, Mapping, ValuesView
from datetime import UTC, datetime

from watchdog.backlog import Provenance, removed_of
from watchdog.entries import ORIGIN
from watchdog.estimates import catch_up, time_to_loss
from watchdog.groups import Delivery, GroupLook
from watchdog.model import AtLeast, Held, Since, Worked
from watchdog.verdicts import POISON_DELIVERIES, Verdict

SHOWN = 5
"""So many consumers or entries are named; the rest are in what the commands show."""


def _lag(look: GroupLook) -> Held:
    if look.waiting is None:
        return None
    bound = look.provenance is Provenance.AT_LEAST
    return AtLeast(float(look.waiting)) if bound else float(look.waiting)


def _behind(look: GroupLook) -> Held:
    return 0.0 if look.head_at is None else Since(look.head_at, at_least=look.head is None)


def _oldest_pending(look: GroupLook) -> Held:
    if not look.group.pending:
        return 0.0
    return None if look.oldest_at is None or not look.pending_told else Since(look.oldest_at)


def _idle(look: GroupLook) -> Held:
    """Return the time since the position moved, or what the consumers' idleness says of it."""
    if look.moved_at is not None:
        return Since(look.moved_at)
    quiet_at = look.holders.quiet_at
    return Since(look.began if quiet_at is None else min(look.began, quiet_at), at_least=True)


def _ghosts(look: GroupLook) -> Held:
    ghosts = look.holders.ghosts
    return None if ghosts is None else float(len(ghosts)) if look.group.pending else 0.0


def _deliveries(look: GroupLook) -> Held:
    rows = look.holders.deliveries
    if not look.group.pending:
        return 0.0
    return None if rows is None else float(max((row.times for row in rows), default=0))


def _bodies_gone(look: GroupLook) -> Held:
    gone = look.holders.bodies_gone
    if not look.group.pending:
        return 0.0
    if gone is None:
        return None
    return float(gone) if look.holders.bodies_all else AtLeast(float(gone))


def _catch_up(look: GroupLook) -> Held:
    left = catch_up(look)
    return AtLeast(left) if left is not None and look.provenance is Provenance.AT_LEAST else left


MEASURED: Mapping[str, Callable[[GroupLook], Held]] = {
    "lag": _lag,
    "provenance": lambda look: str(look.provenance),
    "behind": _behind,
    "pending": lambda look: float(look.group.pending),
    "oldest_pending": _oldest_pending,
    "idle": _idle,
    "consumers": lambda look: float(look.group.consumers),
    "ghosts": _ghosts,
    "deliveries": _deliveries,
    "bodies_gone": _bodies_gone,
}
ESTIMATED: Mapping[str, Callable[[GroupLook], Held]] = {"time_to_loss": time_to_loss, "catch_up": _catch_up}
"""Measures that apply only while there is something to estimate."""


class GroupValues(Worked):
    """The measures of a `consumes` signal after one look."""

    __slots__ = ("_alive", "_look", "_verdict")

    def __init__(self, look: GroupLook, verdict: Verdict, alive: float | None = None) -> None:
        self._look = look
        self._verdict = verdict
        self._alive = alive  # None where nobody asked

    def __getitem__(self, name: str) -> Held:
        if name == "verdict":
            return self._verdict.value
        if (measure := MEASURED.get(name)) is not None:
            return measure(self._look)
        if name == "alive" and self._alive is not None:
            return self._alive
        estimate = ESTIMATED[name](self._look)
        if estimate is None:
            raise KeyError(name)
        return estimate

    def __iter__(self) -> Iterator[str]:
        yield from MEASURED
        yield from (name for name, estimate in ESTIMATED.items() if estimate(self._look) is not None)
        yield from ("alive",) if self._alive is not None else ()
        yield "verdict"

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def whole(self) -> bool:
        """Say whether every measure is known; of an estimate that is missing nobody expects one."""
        look, holders = self._look, self._look.holders
        if look.waiting is None or holders.ghosts is None:
            return False
        asked = (look.oldest_at, holders.deliveries, holders.bodies_gone)
        return not look.group.pending or (look.pending_told and None not in asked)

    def _held(self) -> dict[str, Held]:
        held = {name: measure(self._look) for name, measure in MEASURED.items()}
        for name, estimate in ESTIMATED.items():
            if (found := estimate(self._look)) is not None:
                held[name] = found
        if self._alive is not None:
            held["alive"] = self._alive
        held["verdict"] = self._verdict.value
        return held

    def items(self) -> ItemsView[str, Held]:
        """Return all measures, each worked out once."""
        return self._held().items()

    def values(self) -> ValuesView[Held]:
        """Return what all measures are, each worked out once."""
        return self._held().values()

    def __repr__(self) -> str:
        return repr(dict(self))


# ---- evidence ----------------------------------------------------------------------------------


def _redis_lag(look: GroupLook, *_: str) -> object:
    """Return what Redis says where it is not what we say."""
    agrees = look.group.lag == look.waiting and look.provenance is not Provenance.AT_LEAST
    if agrees or not look.group.counts:
        return None
    return "NULL" if look.group.lag is None else look.group.lag


def _perhaps_lost(look: GroupLook, *_: str) -> object:
    """Return how many entries were gone before we looked, and perhaps before the group was made."""
    removed = removed_of(look.stream)
    if look.lost_in_all or look.group.delivered != ORIGIN or look.group.read or not removed:
        return None
    return f"up to {removed}, if the group was there before they were trimmed"


def _ghost_names(look: GroupLook, *_: str) -> object:
    ghosts = look.holders.ghosts if look.group.pending else ()
    return [f"{name} ({pending})" for name, pending in (ghosts or ())[:SHOWN]] or None


def _rows(look: GroupLook) -> tuple[Delivery, ...]:
    return (look.holders.deliveries or ()) if look.group.pending else ()


def _told(row: Delivery) -> str:
    return f"{row.entry}, {row.times} times, held by {row.holder}"


def _delivered_most(look: GroupLook, *_: str) -> object:
    worst = max(_rows(look), key=lambda row: row.times, default=None)
    return None if worst is None or worst.times < 2 else _told(worst)


def _poison(look: GroupLook, *_: str) -> object:
    return [_told(row) for row in _rows(look) if row.times >= POISON_DELIVERIES][:SHOWN] or None


def _bodies(look: GroupLook, *_: str) -> object:
    if not look.group.pending or not look.holders.bodies_gone:
        return None
    return look.holders.bodies_gone if look.holders.bodies_all else f"at least {look.holders.bodies_gone}"


def _commands(look: GroupLook, stream: str, group: str) -> object:
    """Return the lines that show more, the keys quoted for a shell."""
    key, name = shlex.quote(stream), shlex.quote(group)
    lines = [f"redis-cli XINFO GROUPS {key}", f"redis-cli XPENDING {key} {name}"]
    if look.group.pending:
        lines.append(f"redis-cli XPENDING {key} {name} - + 10")
        lines.append(f"redis-cli XINFO CONSUMERS {key} {name}")
    if look.head is not None:
        lines.append(f"redis-cli XRANGE {key} {look.head} + COUNT 1")
    return "; ".join(lines)


PROOF: Mapping[str, Callable[[GroupLook, str, str], object]] = {
    "last_delivered": lambda look, *_: str(look.group.delivered),
    "last_added": lambda look, *_: str(look.stream.generated),
    "backlog": lambda look, *_: str(look.provenance),
    "redis_lag": _redis_lag,
    "head": lambda look, *_: None if look.head is None else str(look.head),
    "oldest_pending_id": lambda look, *_: None if look.oldest is None else str(look.oldest),
    "oldest_pending_since": lambda look, *_: None if look.oldest_at is None else _stamp(look.oldest_at),
    "delivered_most": _delivered_most,
    "poison": _poison,
    "ghosts": _ghost_names,
    "bodies_gone": _bodies,
    "lost": lambda look, *_: look.lost_in_all or None,
    "perhaps_lost": _perhaps_lost,
    "refused": lambda look, *_: "; ".join(look.refused) or None,
    "look": _commands,
}


def _stamp(moment: float) -> str:
    try:
        return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return f"{moment:g} s after 1970"


class GroupEvidence(Mapping[str, object]):
    """What shows that the measures are as they are, and where to look further."""

    __slots__ = ("_group", "_look", "_stream")

    def __init__(self, look: GroupLook, stream: str, group: str) -> None:
        self._look = look
        self._stream = stream
        self._group = group

    def __getitem__(self, name: str) -> object:
        found = PROOF[name](self._look, self._stream, self._group)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return (n for n, of in PROOF.items() if of(self._look, self._stream, self._group) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return repr(dict(self))
