"""What every reader of a log answers, be it a file or the journal."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from watchdog.logs.ledger import Bucket

LOOK_SECONDS = 1.0
"""How long one look reads at most; what is left then is told as *late* and read by the next."""


@dataclass(frozen=True, slots=True)
class Batch:
    """
    What one look at a log found.

    *buckets* are what was not counted before, oldest first; the first *known* of them were there
    before anybody looked, or were seen by an earlier process: they count, but are no news.
    *last_line_at* is None as long as nothing is known of any line. Every line since *covered_since*
    has been counted, but for the *behind_bytes* still to be read (0 also where nobody knows how many),
    the oldest of which was written about *late* seconds ago. *last_error* is fit to be shown.
    """

    buckets: tuple[Bucket, ...]
    last_line_at: datetime | None
    last_error: str | None
    covered_since: datetime
    behind_bytes: int
    format_name: str
    late: float = 0.0
    bytes_read: int = 0
    known: int = 0

    @property
    def news(self) -> tuple[Bucket, ...]:
        """Return the buckets nobody has seen before."""
        return self.buckets[self.known :]


class Reader(Protocol):
    """Reads one log, from its past on and then as it grows; for a worker thread, one call at a time."""

    def start(self, now: datetime, window: timedelta) -> Batch:
        """
        Count what was written within *window* before *now*, and all since an earlier process looked.

        Raise CollectError if the log cannot be read; the first read that can read it starts then.
        """

    def begin(self, now: datetime, window: timedelta) -> Batch:
        """
        Count all of a log that was not there at the look before: every line of it is news.

        Raise CollectError if the log cannot be read.
        """

    def read(self, now: datetime, seconds: float = LOOK_SECONDS) -> Batch:
        """
        Count the lines that are new, reading for about *seconds* at most.

        Raise CollectError if there are none and the log cannot be read.
        """

    def memory(self) -> Mapping[str, object]:
        """Return, as JSON, what the reader of a later process has to know to lose and double nothing."""

    def close(self) -> None:
        """Let go of what is open."""
