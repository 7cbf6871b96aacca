r"""
Patterns for names of keys: Redis' own globs, in which ``{service}`` may name the service.

``*`` stands for any bytes, ``?`` for one, ``[a-z]`` for one of some, ``\`` takes the next sign as it is.
``{service}`` stands for at least one byte, and for as few as will do. Everything is about bytes, as on
the server: the tests hold each pattern against a real server's MATCH.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import pairwise
from typing import NamedTuple

SERVICE = b"{service}"
_BRACED = re.compile(r"(?<!\\)\{(\w+)\}")
_SPECIAL = re.compile(rb"([*?\[\]\\])")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern: as it is *written*, as the server's MATCH takes it, and its *fixed* beginning."""

    written: str
    match: bytes
    fixed: bytes
    names_service: bool
    _regex: re.Pattern[bytes] = field(repr=False, compare=False)

    def takes(self, name: bytes) -> bool:
        """Say whether the pattern takes *name*."""
        return self._regex.match(name) is not None

    def service_of(self, name: bytes) -> bytes | None:
        """Return the part of *name* that names the service; None if the pattern has no such part."""
        found = self._regex.match(name) if self.names_service else None
        return found["service"] if found else None


def parse_pattern(written: str) -> Pattern:
    """Read a pattern of names to look for; raise ValueError with the cure for one that will not do."""
    pattern = _read(written)
    if not pattern.fixed and not re.match(r"\{service\}[^*?\[]", written):
        raise ValueError(
            f'"{written}" has no fixed beginning, so it could be any key (begin as the names begin: orders:*)'
        )
    return pattern


def parse_exclusion(written: str) -> Pattern:
    """Read a pattern of names to leave out; raise ValueError with the cure for one that will not do."""
    pattern = _read(written)
    if pattern.names_service:
        raise ValueError(f'"{written}" names a service, but only leaves names out (write * instead)')
    if not written.strip("*"):
        raise ValueError(
            f'"{written}" leaves everything out (say what the names to leave out have in common)'
        )
    return pattern


def common_match(patterns: Sequence[Pattern]) -> bytes | None:
    """Return a MATCH for all that any of *patterns* takes; None where they begin with nothing in common."""
    if len(patterns) == 1:
        return patterns[0].match
    first, last = min(p.fixed for p in patterns), max(p.fixed for p in patterns)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return _SPECIAL.sub(rb"\\\1", first[:same]) + b"*" if same else None


class _Part(NamedTuple):
    """One part of a pattern: for MATCH, as a regular expression, and the byte it stands for if it is one."""

    match: bytes
    regex: bytes
    fixed: bytes = b""


_ANY = _Part(b"*", b".*?")
_ONE = _Part(b"?", b".")
_NAME = _Part(b"?*", b"(?P<service>.+?)")


def _read(written: str) -> Pattern:
    if not written:
        raise ValueError("an empty pattern finds nothing (fill it in or remove it)")
    for name in _BRACED.findall(written):
        if name != "service" and get_close_matches(name.lower(), ["service"], cutoff=0.7):
            raise ValueError(f'"{{{name}}}" names nothing (did you mean "{{service}}"?)')
    parts = tuple(_parts(written))
    if parts.count(_NAME) > 1:
        raise ValueError(f'"{written}" names the service twice (write * for one of them)')
    if any(_NAME in pair and _ANY in pair for pair in pairwise(parts)):
        raise ValueError(
            f'"{written}" has * beside {{service}}, so a name has no end (put a sign between them)'
        )
    fixed = next((i for i, part in enumerate(parts) if not part.fixed), len(parts))
    return Pattern(
        written,
        match=b"".join(part.match for part in parts),
        fixed=b"".join(part.fixed for part in parts[:fixed]),
        names_service=_NAME in parts,
        _regex=re.compile(_regex(parts), re.DOTALL),
    )


def _parts(written: str) -> Iterator[_Part]:
    """Yield the parts of a pattern, read as Redis reads it (``stringmatchlen``)."""
    text = written.encode()
    at = 0
    while at < len(text):
        sign = text[at : at + 1]
        end = at + 1
        if text.startswith(SERVICE, at):
            yield _NAME
            end = at + len(SERVICE)
        elif sign == b"*":
            yield _ANY
        elif sign == b"?":
            yield _ONE
        elif sign == b"[":
            end, allowed = _class(written, text, at)
            yield _Part(text[at:end], allowed)
        elif sign == b"\\":
            end = at + 2
            if end > len(text):
                raise ValueError(
                    f'"{written}" ends with a \\ that takes nothing (write \\\\ for the sign itself)'
                )
            yield _Part(text[at:end], re.escape(text[at + 1 : end]), text[at + 1 : end])
        else:
            yield _Part(sign, re.escape(sign), sign)
        at = end


def _class(written: str, text: bytes, at: int) -> tuple[int, bytes]:
    """Return where the class that begins *at* ends, and a regular expression for it."""
    begin = at + 1 + text.startswith(b"^", at + 1)
    signs: set[int] = set()
    i = begin
    while text[i : i + 1] != b"]":
        left = len(text) - i
        if left == 0:
            raise ValueError(f'"{written}" has a [ without its ] (write \\[ for the sign itself)')
        if text[i] == ord("\\") and left > 1:
            i += 1
            signs.add(text[i])
        elif left > 2 and text[i + 1] == ord("-"):
            low, high = sorted((text[i], text[i + 2]))
            signs.update(range(low, high + 1))
            i += 2
        else:
            signs.add(text[i])
        i += 1
    if not signs:
        raise ValueError(f'"{written}" has a [] with nothing in it (write \\[ for the sign itself)')
    if max(signs) > 127:
        raise ValueError(
            f'"{written}" has a sign between [ and ] that is several bytes long (write * instead)'
        )
    negated = b"^" if begin > at + 1 else b""
    return i + 1, b"[" + negated + b"".join(b"\\x%02x" % sign for sign in sorted(signs)) + b"]"


def _regex(parts: Sequence[_Part]) -> bytes:
    """
    Return one regular expression for *parts* that takes linear time for each ``*``.

    What stands between two stars may be taken where it first fits, for good: only the last part
    has to end with the name. So no name, however hostile, makes it try again and again.
    """
    stars = [i for i, part in enumerate(parts) if part in (_ANY, _NAME)]
    pieces = [b"".join(part.regex for part in parts[: stars[0] if stars else None])]
    for star, end in zip(stars, [*stars[1:], None], strict=False):
        piece = b"".join(part.regex for part in parts[star:end])
        pieces.append(piece if end is None else b"(?>" + piece + b")")
    return b"".join(pieces) + rb"\Z"
