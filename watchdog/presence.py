"""Whether what a rules file names is there, and what it may have been meant to be if it is not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from watchdog.model import SignalKey
from watchdog.units import first_of

ALIKE = 0.7
MOST_NAMED = 5


class Outcome(StrEnum):
    """What was found of a signal's source, the worst first."""

    MISSING = "missing"
    UNREACHABLE = "unreachable"
    UNSURE = "unsure"
    THERE = "there"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one signal: the outcome, a sentence, and a near name that exists."""

    key: SignalKey
    outcome: Outcome
    detail: str
    near: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A key that has to be there, of one of *types*; as a stream perhaps with a *group*."""

    name: str
    types: tuple[str, ...]
    group: str | None = None
    optional: bool = False


def wanted_keys(kind: str, config: Any) -> list[Wanted]:
    """Return the keys that a signal of *kind* reads from Redis."""
    if kind == "heartbeat":
        if config.stream is not None:
            return [Wanted(config.stream, ("stream",))]
        return [Wanted(config.hash, ("hash",)) if config.hash else Wanted(config.key, ("string",))]
    if kind == "stream":
        return [Wanted(config.key, ("stream",))]
    if kind == "consumes":
        return [Wanted(config.stream, ("stream",), config.group)]
    if kind == "executions":
        more = [Wanted(config.input.stream, ("stream",))] if config.input else []
        return [Wanted(config.stream, ("stream",)), *more]
    if kind == "flag":
        return [Wanted(name, (), optional=True) for name in each(config.key)]
    return [Wanted(name, ()) for name in config.reads()]


def each(found: str | Sequence[str]) -> Sequence[str]:
    """Return one name as a sequence of one."""
    return [found] if isinstance(found, str) else found


@dataclass(frozen=True, slots=True)
class Keyspace:
    """What a Redis says of the keys that were asked for: the type of each, and the groups of each stream."""

    types: Mapping[str, str]
    groups: Mapping[str, Sequence[str]]
    refused: Mapping[str, str]

    def existing(self, types: Sequence[str]) -> list[str]:
        """Return the names that are there and of one of *types* (of any, if there are none)."""
        return [name for name, t in self.types.items() if t != "none" and (not types or t in types)]


def judge(key: SignalKey, wanted: Iterable[Wanted], seen: Keyspace) -> Finding:
    """Return what to say of the signal *key*: the worst that is found of any key it needs."""
    order = list(Outcome)
    found = [_judged(key, one, seen) for one in wanted]
    worst = min(found, key=lambda finding: order.index(finding.outcome))
    alike = [finding.detail for finding in found if finding.outcome is worst.outcome]
    return Finding(key, worst.outcome, "; ".join(alike), worst.near)


def _judged(key: SignalKey, wanted: Wanted, seen: Keyspace) -> Finding:
    name = wanted.name
    if name in seen.refused:
        return Finding(key, Outcome.UNSURE, f"Redis does not say whether {name} exists: {seen.refused[name]}")
    kind = seen.types[name]
    if kind == "none" and wanted.optional:
        told = f"{name} is not set now, so whether anybody ever sets it cannot be seen"
        return Finding(key, Outcome.THERE, told, near(name, seen.existing(())))
    if kind == "none":
        meant = near(name, seen.existing(wanted.types))
        return Finding(key, Outcome.MISSING, f"there is no key {name}", meant)
    if wanted.types and kind not in wanted.types:
        told = f"{name} is a {kind}, not a {wanted.types[0]}"
        return Finding(key, Outcome.MISSING, told)
    if wanted.group is not None and wanted.group not in seen.groups.get(name, ()):
        return _without_group(key, wanted, seen)
    what = f"{name} is a {kind}" + (f" and has the group {wanted.group}" if wanted.group else "")
    return Finding(key, Outcome.THERE, what)


def _without_group(key: SignalKey, wanted: Wanted, seen: Keyspace) -> Finding:
    """Say that a stream has not the group, and where else there is one of that name."""
    groups = seen.groups.get(wanted.name, ())
    told = f"the stream {wanted.name} has no group {wanted.group}"
    elsewhere = [stream for stream, names in seen.groups.items() if wanted.group in names]
    if elsewhere:
        told += f", but {elsewhere[0]} has"
    elif groups:
        told += f" (it has {named(groups)})"
    else:
        told += ", nor any other"
    return Finding(key, Outcome.MISSING, told, near(wanted.group or "", groups))


def named(names: Sequence[str]) -> str:
    """Return the first few of *names* for reading."""
    return first_of(names, MOST_NAMED)


def near(name: str, known: Iterable[str]) -> str:
    """Return which of *known* is almost *name*, if one is."""
    others = sorted(set(known) - {name})
    return next(iter(difflib.get_close_matches(name, others, n=1, cutoff=ALIKE)), "")
