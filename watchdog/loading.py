"""How the rules file was taken when it was last read while the sidecar runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from watchdog.units import plain

MOST_SHOWN = 5
"""So many problems of a file are shown where there is little room."""
LONGEST = 300
"""Signs of one problem."""


@dataclass(frozen=True, slots=True)
class Loading:
    """
    What is in force was read at *loaded_at*.

    *problems* say why the file as it is now cannot take its place, refused since *refused_at*; *at_restart*
    what of the file in force takes effect at the next start only.
    """

    loaded_at: datetime
    problems: tuple[str, ...] = ()
    refused_at: datetime | None = None
    at_restart: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        """Say whether the file as it is now is in force."""
        return not self.problems

    def loaded(self, now: datetime, at_restart: Iterable[str]) -> Loading:
        """Return how it stands once the file was taken at *now*."""
        return Loading(now, at_restart=tuple(at_restart))

    def refused(self, now: datetime, problems: Iterable[str]) -> Loading:
        """Return how it stands once the file was refused at *now* because of *problems*."""
        words = tuple(plain(problem)[:LONGEST] for problem in problems)
        return replace(self, problems=words, refused_at=self.refused_at or now)

    @property
    def shown(self) -> tuple[str, ...]:
        """Return the first problems, and how many more there are."""
        more = len(self.problems) - MOST_SHOWN
        return self.problems[:MOST_SHOWN] + ((f"and {more} more",) if more > 0 else ())
