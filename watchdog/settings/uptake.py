"""Whether a process knows what its settings say now: it reads them only when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

RESOLUTION = 1.0
"""systemctl prints the start of a process to the second."""


@dataclass(slots=True)
class Uptake:
    """
    Which contents stand in the files since when, and which the process took up at its start.

    *since* is when the first change came that it did not take up. Contents are known by a hash with
    *salt*. All times are in seconds since the epoch.
    """

    salt: str
    contents: str = ""
    changed: float = 0.0
    taken: str = ""
    since: float = 0.0

    def memory(self) -> dict[str, Any]:
        """Return all of it as JSON."""
        return asdict(self)

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Take back what `memory` returned to an earlier process."""
        if memory.get("contents"):
            self.salt, self.contents = str(memory["salt"]), str(memory["contents"])
            self.changed, self.since = float(memory["changed"]), float(memory["since"])
            self.taken = str(memory["taken"])

    def stale(self, contents: str, written: float, started: float | None, now: float) -> float:
        """
        Return for how long the process *started* then has not known *contents*; 0 if it knows them.

        *written* is when the files say that they were. One that came with an old time, such as a backup
        put back, is as new as the moment at which it was first seen; one that was written anew with the
        same contents is no news, nor is one put back to what it was when the process started.
        """
        if contents != self.contents:
            old = self.contents != "" and written <= self.changed
            known = self.contents == self.taken
            self.contents, self.changed = contents, now if old else written
            self.since = self.changed if known else min(self.since, self.changed)
        if started is None or started + RESOLUTION > self.changed:
            self.taken = contents
        return 0.0 if contents == self.taken else max(0.0, now - self.since)
