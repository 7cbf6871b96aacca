"""Streams that are many of one kind, such as one for each symbol: one pattern watches them all."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from watchdog.firstlook.seen import StreamSeen
from watchdog.globs import parse_pattern

MANY = 12
"""So many streams with the same groups and the same beginning are a family."""
_END = re.compile(r"[^:/.|-]+$")
_SPECIAL = re.compile(r"([*?\[\]\\])")


@dataclass(frozen=True, slots=True)
class Family:
    """Streams that are alike: the pattern that takes them, their names, and the groups that each has."""

    pattern: str
    members: frozenset[str]
    groups: tuple[str, ...]


def families_of(streams: Sequence[StreamSeen]) -> list[Family]:
    """Return the families among *streams*."""
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for stream in streams:
        groups = tuple(sorted(group.name for group in stream.groups))
        alike[_END.sub("", stream.key), groups].append(stream.key)
    found = []
    for (beginning, groups), members in alike.items():
        pattern = _pattern(beginning)
        if len(members) >= MANY and pattern is not None:
            found.append(Family(pattern, frozenset(members), groups))
    return found


def namespace(streams: Sequence[str]) -> str | None:
    """Return a pattern for all of *streams* if they begin with the same words."""
    first, last = min(streams, default=""), max(streams, default="")
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), 0)
    return _pattern(_END.sub("", first[:same]))


def _pattern(beginning: str) -> str | None:
    """Return the pattern of names that begin so; None where none can be written."""
    try:
        return parse_pattern(_SPECIAL.sub(r"\\\1", beginning) + "*").written if beginning else None
    except ValueError:  # it holds something like {service}
        return None
