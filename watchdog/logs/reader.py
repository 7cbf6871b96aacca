"""The one door for the `log` signal: counts of one file, from its past on and then as it grows."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from watchdog.errors import CollectError
from watchdog.logs.backfill import backfill
from watchdog.logs.formats import BARE
from watchdog.logs.ledger import Bucket, Clock, Ledger, evidence
from watchdog.logs.patterns import Patterns
from watchdog.logs.position import Position
from watchdog.logs.tail import Tail
from watchdog.logs.tally import Tallier

READ_BYTES = 8 << 20
BACKFILL_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Batch:
    """
    What one look at a log found.

    *buckets* are what was not counted before, oldest first. *last_line_at* is None as long as
    nothing is known of any line. Every line since *covered_since* has been counted, but for the
    *behind_bytes* still to be read. *last_error* and *error_lines*, the distinct error lines
    of *buckets*, are fit to be shown.
    """

    buckets: tuple[Bucket, ...]
    last_line_at: datetime | None
    last_error: str | None
    covered_since: datetime
    behind_bytes: int
    format_name: str
    error_lines: tuple[str, ...] = ()


class LogReader:
    """Counts the lines of one log file; for a worker thread, one call at a time."""

    def __init__(
        self,
        path: Path | str,
        format: str | None = None,
        patterns: Patterns | None = None,
        position: Position | None = None,
        tz: tzinfo | None = None,
    ) -> None:
        self.path = Path(path)
        self._patterns = patterns or {}
        self._tallier = Tallier(format or BARE)
        self._format = format
        self._given_tz = tz
        self._tz: tzinfo = tz or UTC
        self._position = position
        self._tail: Tail | None = None
        self._window = timedelta(0)
        self._covered_since: datetime | None = None
        self._up_to_date_at: datetime | None = None  # every line read later was written later
        self._last_line_at: datetime | None = None
        self._last_error: str | None = None

    @property
    def position(self) -> Position | None:
        """Return where the next read begins, to be handed to the reader of a later process."""
        return self._position

    def close(self) -> None:
        """Let go of the file."""
        if self._tail:
            self._tail.close()

    def start(self, now: datetime, window: timedelta) -> Batch:
        """
        Count what was written within *window* before *now*; of the given position, from there on.

        Raise CollectError if the file cannot be read. The first read that can read it starts then.
        """
        self._window = window
        since = now if self._position else now - window
        try:
            past = backfill(
                self.path,
                since,
                BACKFILL_BYTES,
                now,
                format=self._format,
                patterns=self._patterns,
                tz=self._given_tz,
            )
        except CollectError as exc:
            if self._position is None and isinstance(exc.__cause__, FileNotFoundError):
                self._tail = Tail(self.path)  # all that it will ever hold is new
                self._covered_since = self._up_to_date_at = now
            raise
        self._tz = past.tz
        self._last_line_at = past.last_line_at
        self._covered_since = past.covered_since
        self._tail = Tail(self.path, self._position or past.position)
        if self._position is not None:
            return self.read(now)
        self._tallier = past.ledger.tallier
        self._position = past.position
        self._up_to_date_at = now
        return self._batch(past.ledger, past.covered_since, behind=0)

    def read(self, now: datetime) -> Batch:
        """
        Count the lines that are new, at most `READ_BYTES` of them.

        Raise CollectError if there are none and the file is missing or unreadable.
        """
        if self._tail is None or self._covered_since is None:
            return self.start(now, self._window)
        ledger = Ledger(self._tallier, self._patterns, detecting=self._format is None)
        clock = Clock(now, self._tz, self._up_to_date_at)
        piece = self._tail.read(READ_BYTES)
        if piece.data:
            ledger.add(piece.data, clock)
        self._position = piece.position
        if not piece.behind:
            self._up_to_date_at = now
        return self._batch(ledger, self._covered_since, piece.behind)

    def _batch(self, ledger: Ledger, covered_since: datetime, behind: int) -> Batch:
        self._last_line_at = max(filter(None, (self._last_line_at, ledger.last_line_at)), default=None)
        if ledger.last_error:
            self._last_error = evidence(ledger.last_error)
        return Batch(
            buckets=ledger.buckets(),
            last_line_at=self._last_line_at,
            last_error=self._last_error,
            covered_since=covered_since,
            behind_bytes=behind,
            format_name=self._tallier.format,
            error_lines=tuple(evidence(line) for line in ledger.samples.values()),
        )
