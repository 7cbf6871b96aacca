"""What entries say of success: which field tells it, which tells why not, which were not meant to succeed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from watchdog.entries import FALSE_WORDS, TRUE_WORDS, Entry, FieldTest, matches, parse_tests

SUCCESS_FIELDS = (
    *("executed", "success", "succeeded", "successful", "ok", "filled", "granted", "approved", "accepted"),
    *("status", "result", "outcome", "order_status", "state"),
)
"""Fields that tell of success, those that say it plainest first; wherever an entry has them."""
_SUCCESS_WORDS = (
    "accepted approved closed complete completed confirmed delivered done executed filled finished granted ok"
    " paid processed sent settled shipped succeeded success successful"
)
SUCCESS_WORDS = frozenset(_SUCCESS_WORDS.split())
REASON_FIELDS = ("error", "reason", "reason_code", "error_message", "message", "reject_reason", "code")
DECISION_FIELDS = ("decision", "action", "verdict", "side")
NOT_MEANT = frozenset(("skip", "skipped", "hold", "ignore", "ignored", "noop", "no_op", "none", "wait"))
"""Decisions after which nothing is to be done."""
MOST_WORDS = 12
"""A field with more different values is no status."""
FEWEST = 5
"""So few entries tell nothing."""
_WORD = re.compile(r"[A-Za-z][\w.-]{0,39}")

Wanted = Mapping[str, str | bool | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What the entries of a stream say of success.

    *told* of *entries* have the field, *succeeded* of them succeed and *ignored* were not meant to; *field*
    is the one that would tell where no success was seen, and then *success* is empty.
    """

    field: str
    success: Wanted
    reason: str | None
    ignore: Wanted
    entries: int
    told: int
    succeeded: int
    ignored: int

    @property
    def tests(self) -> tuple[FieldTest, ...]:
        """Return how to know a success."""
        return parse_tests(self.success)


def find_outcome(entries: Sequence[Entry]) -> Outcome | None:
    """Return what *entries* tell of success, None if they tell nothing of it."""
    if len(entries) < FEWEST:
        return None
    best: tuple[int, str, Wanted] | None = None
    for name in SUCCESS_FIELDS:
        held = [found for entry in entries if (found := entry.find(name)) is not None]
        good = _success(held)
        if (
            good is not None
            and 2 * len(held) > len(entries)
            and (best is None or _better(len(held), good, best))
        ):
            best = len(held), name, {name: good} if good != [] else {}
    if best is None:
        return None
    told, name, success = best
    tests = parse_tests(success)
    won = [entry for entry in entries if success and matches(entry, tests)]
    lost = [entry for entry in entries if not success or not matches(entry, tests)]
    ignore = _never_meant(won, lost)
    skipped = sum(matches(entry, parse_tests(ignore)) for entry in lost) if ignore else 0
    return Outcome(name, success, _reason(lost, entries), ignore, len(entries), told, len(won), skipped)


def _better(held: int, good: object, best: tuple[int, str, Wanted]) -> bool:
    """Say whether a field tells more: a success that was seen before one that was not, then more entries."""
    return (good != [], held) > (bool(best[2]), best[0])


def _success(held: Sequence[str]) -> bool | str | list[str] | None:
    """Return what a success holds; an empty list if none was seen, None if this is no such field."""
    seen = {found.strip().lower() for found in held}
    if not seen:
        return None
    if seen <= TRUE_WORDS | FALSE_WORDS:
        return True if seen & TRUE_WORDS else []
    spelt = sorted(set(held))
    if len(spelt) > MOST_WORDS or not all(_WORD.fullmatch(found) for found in spelt if found):
        return None
    good = [found for found in spelt if found.lower() in SUCCESS_WORDS]
    if len(good) == 1:
        return good[0]
    return good


def _never_meant(won: Sequence[Entry], lost: Sequence[Entry]) -> Wanted:
    """Return which of the *lost* were never meant to succeed, as far as none of the *won* is among them."""
    for name in DECISION_FIELDS:
        found = {word for word in values_of(lost, name) if word.lower() in NOT_MEANT}
        found -= {entry.find(name) for entry in won}
        if found:
            return {name: one_or_all(sorted(found))}
    return {}


def values_of(entries: Sequence[Entry], name: str) -> set[str]:
    """Return the different values of field *name*; none if there are too many, or if one is no plain word."""
    held = {found for entry in entries if (found := entry.find(name)) is not None}
    return held if len(held) <= MOST_WORDS and all(map(_WORD.fullmatch, held)) else set()


def one_or_all(found: Sequence[str]) -> str | list[str]:
    """Return a single word as itself, several as a list."""
    return found[0] if len(found) == 1 else list(found)


def _reason(lost: Sequence[Entry], entries: Sequence[Entry]) -> str | None:
    """Return the field that says why: with words where it failed, or at least there."""
    for name in REASON_FIELDS:
        if lost and 2 * sum(bool(entry.find(name)) for entry in lost) >= len(lost):
            return name
    if lost:
        return None
    return next((name for name in REASON_FIELDS if all(e.find(name) is not None for e in entries)), None)


def said_by(entries: Sequence[Entry], names: Sequence[str]) -> tuple[str, str, int, int] | None:
    """Return the first of *names* that says a word mostly: the field, the word, how often, of how many."""
    for name in names:
        held = Counter(found for entry in entries if (found := entry.find(name)))
        if held:
            word, count = held.most_common(1)[0]
            if _WORD.fullmatch(word) and len(held) <= MOST_WORDS:
                return name, word, count, held.total()
    return None
