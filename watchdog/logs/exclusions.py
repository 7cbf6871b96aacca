"""Errors that somebody has decided not to count: which, why, and until when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from watchdog.logs.formats import BARE
from watchdog.logs.patterns import Patterns, count_matches
from watchdog.logs.templates import Templates, template_of

_MOST_TEMPLATES = 2_000  # are worked out between two looks


@dataclass(frozen=True, slots=True)
class Exclusion:
    """
    Error records that count as lines only, and the *reason*; after the day *until* they count again.

    They are those whose *template* is this, or whose first line the one of *patterns* is found in.
    """

    reason: str
    template: str | None = None
    patterns: Patterns | None = None
    until: date | None = None

    @property
    def templates(self) -> frozenset[str]:
        """Return what the template of a line may be: people paste templates, and lines."""
        if self.template is None:
            return frozenset()
        return frozenset({" ".join(self.template.split()), template_of(self.template.encode())})


class Exclusions:
    """All exclusions of one log; asked of every error record, from the threads that read."""

    def __init__(self, exclusions: Sequence[Exclusion]) -> None:
        self._all = exclusions
        self._texts = [one.templates for one in exclusions]
        self._by_template: dict[str, int] = {}
        self._by_pattern: list[tuple[int, Patterns]] = []
        self._templates = Templates()
        self.counts = [0] * len(exclusions)
        self.ended: tuple[Exclusion, ...] = ()

    def renew(self, now: datetime) -> None:
        """Let those hold from here on that have not ended by *now*."""
        self._templates.renew(_MOST_TEMPLATES)
        held = [(n, one) for n, one in enumerate(self._all) if one.until is None or now.date() <= one.until]
        self._by_template = {text: n for n, _ in held for text in self._texts[n]}
        self._by_pattern = [(n, one.patterns) for n, one in held if one.patterns]
        kept = {n for n, _ in held}
        self.ended = tuple(one for n, one in enumerate(self._all) if n not in kept)

    def __call__(self, line: bytes, format: str = BARE) -> bool:
        """Say whether the error record that *line* begins is not to be counted."""
        for number, patterns in self._by_pattern:
            if any(count_matches(line, patterns).values()):
                self.counts[number] += 1
                return True
        if self._by_template:
            found = self._by_template.get(self._templates.of(line, format) or "")
            if found is not None:
                self.counts[found] += 1
                return True
        return False

    def told(self) -> list[str]:
        """Say of each exclusion how many records it has kept out, and why; of an ended one that it has."""
        lines = []
        for count, one in zip(self.counts, self._all, strict=True):
            if one in self.ended:
                lines.append(f"ended on {one.until}, so they count again: {one.reason}")
            elif count:
                lines.append(
                    f"{count:,} not counted: {one.reason}" + (f" (until {one.until})" if one.until else "")
                )
        return lines
