"""Stream entries, in all the shapes one bus mixes: flat fields, or JSON in one of three envelopes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from watchdog.conditions import OPERATORS
from watchdog.units import from_ms

ENVELOPES = ("payload", "data", "details")
"""The fields that may hold the rest of the entry as a JSON object."""
TRUE_WORDS = frozenset({"true", "1"})
FALSE_WORDS = frozenset({"false", "0"})
LONGEST_REASON = 120
_COMPARISON = re.compile(r"\s*(>=|<=|==|!=|>|<)\s*(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*")
_FREE_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![A-Za-z0-9])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class EntryId(NamedTuple):
    """A stream entry's ID: Redis' milliseconds and a sequence number within them."""

    ms: int
    seq: int

    @classmethod
    def parse(cls, raw: bytes | str) -> EntryId:
        """Read ``1771359991000-0``."""
        text = raw.decode() if isinstance(raw, bytes) else raw
        ms, _, seq = text.partition("-")
        return cls(int(ms), int(seq or 0))

    def __str__(self) -> str:
        return f"{self.ms}-{self.seq}"

    @property
    def at(self) -> datetime:
        """Return when Redis took the entry in."""
        return from_ms(self.ms)


ORIGIN = EntryId(0, 0)


@dataclass(slots=True)
class Entry:
    """One entry; envelopes are opened only if a field is not found flat."""

    id: EntryId
    fields: Mapping[str, str]
    _opened: Mapping[str, Any] | None = None

    def find(self, name: str) -> str | None:
        """
        Return the field *name* as text, from wherever the pipeline put it; None if it is missing.

        Flat fields win over enveloped ones; a dotted name descends into nested objects, and may
        begin with the envelope's own name (``details.error``).
        """
        if name in self.fields:
            return self.fields[name]
        found: Any = self._envelope()
        if name not in found:
            for part in name.split("."):
                if not isinstance(found, Mapping) or part not in found:
                    return None
                found = found[part]
        else:
            found = found[name]
        if found is None:
            return None
        if isinstance(found, str):  # JSON can spell half a character, which nobody can write down
            return found.encode("utf-8", "replace").decode("utf-8")
        return json.dumps(found)

    def _envelope(self) -> Mapping[str, Any]:
        if self._opened is None:
            opened: dict[str, Any] = {}
            for name in ENVELOPES:
                text = self.fields.get(name, "").lstrip()
                if text[:1] == "{":
                    try:
                        inner = json.loads(text)
                    except (ValueError, RecursionError):
                        continue
                    opened = {**inner, name: inner, **opened}
            self._opened = opened
        return self._opened


def parse_entries(reply: Sequence[Any]) -> list[Entry]:
    """Return the entries of an XRANGE or XREVRANGE reply; one with a vanished body has no fields."""
    return [Entry(EntryId.parse(raw_id), _pairs(flat or ())) for raw_id, flat in reply]


def _pairs(flat: Sequence[bytes]) -> dict[str, str]:
    texts = [part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part) for part in flat]
    return dict(zip(texts[::2], texts[1::2], strict=False))


# ---- matching ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FieldTest:
    """What one field must be: one of several words, missing (None among them), or a number compared."""

    name: str
    words: frozenset[str | None] = frozenset()
    op: str = ""
    number: float = 0.0

    def holds(self, entry: Entry) -> bool:
        """Say whether *entry* passes; a missing field passes only where it is asked to be missing."""
        return self.admits(entry.find(self.name))

    def admits(self, text: str | None) -> bool:
        """Say whether the field may be *text*, None for missing."""
        if text is None or not self.op:
            return (text and normal(text)) in self.words
        try:
            return OPERATORS[self.op](float(text), self.number)
        except ValueError:
            return False


def normal(text: str) -> str:
    """Return one spelling for all that mean the same: ``True`` and ``1``, ``5`` and ``5.0``."""
    lowered = text.lower()
    if lowered in TRUE_WORDS:
        return "true"
    if lowered in FALSE_WORDS:
        return "false"
    try:
        return repr(float(text))
    except ValueError:
        return text


def parse_tests(wanted: Mapping[str, Any]) -> tuple[FieldTest, ...]:
    """
    Read ``{status: filled, entry_price: "> 0", executed: true, decision: [EXECUTE, HALT], error: null}``.

    ``True``, ``true`` and ``1`` are the same, and so are ``False``, ``false`` and ``0``; numbers are
    equal by value; null means that the field must be missing.
    """
    return tuple(_test(name, value) for name, value in wanted.items())


def _test(name: str, value: Any) -> FieldTest:
    if isinstance(value, str) and (match := _COMPARISON.fullmatch(value)):
        return FieldTest(name, op=match[1], number=float(match[2]))
    listed = value if isinstance(value, list | tuple) else [value]
    return FieldTest(name, words=frozenset(None if item is None else normal(str(item)) for item in listed))


def matches(entry: Entry, tests: Sequence[FieldTest]) -> bool:
    """Say whether *entry* passes every test."""
    return all(test.holds(entry) for test in tests)


def tidy_reason(text: str) -> str:
    """Return a reason fit for counting: free-standing numbers masked, control signs and length tamed."""
    return _CONTROL.sub(" ", _FREE_NUMBER.sub("#", text)).strip()[:LONGEST_REASON]
