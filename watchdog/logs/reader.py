"""The one door to a log file: counts of it, from its past on and then as it grows."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path

from watchdog.errors import CollectError
from watchdog.logs.backfill import backfill
from watchdog.logs.batch import LOOK_SECONDS, Batch
from watchdog.logs.formats import BARE, FORMATS
from watchdog.logs.generations import is_compressed
from watchdog.logs.ledger import Bucket, Clock, Ledger, evidence, last_time
from watchdog.logs.patterns import Patterns
from watchdog.logs.position import Position
from watchdog.logs.tail import Tail
from watchdog.logs.tally import Tallier

SLICE_BYTES = 1 << 19
BACKFILL_BYTES = 64 << 20
_SEEN_EVERY = timedelta(minutes=1)  # so coarse that an idle log is not written down at every look


@dataclass(frozen=True, slots=True)
class Memory:
    """What the reader of a later process has to know; as JSON in `Mapping`s from outside."""

    position: Position
    format: str = BARE
    zone: float = 0.0  # seconds east of Greenwich
    last_line_at: datetime | None = None
    seen_at: datetime | None = None  # everything before *position* had been written by then

    def written(self) -> Mapping[str, object]:
        """Return it as JSON."""
        return {
            "position": asdict(self.position),
            "format": self.format,
            "zone": self.zone,
            "last_line_at": self.last_line_at and self.last_line_at.isoformat(),
            "seen_at": self.seen_at and self.seen_at.isoformat(),
        }

    @classmethod
    def read(cls, memory: Mapping[str, object] | None) -> "Memory | None":
        """Return what `written` wrote; None for nothing, or for what nobody of ours wrote."""
        try:
            known = memory or {}
            position = Position.read(known["position"])
            moments = [known.get(name) for name in ("last_line_at", "seen_at")]
            last, seen = (datetime.fromisoformat(str(moment)) if moment else None for moment in moments)
            name = str(known.get("format"))
            zone = float(str(known.get("zone") or 0))
            timezone(timedelta(seconds=zone))  # or ValueError
            return cls(position, name if name in FORMATS else BARE, zone, last, seen)
        except (TypeError, KeyError, ValueError):
            return None


class LogReader:
    """Counts the lines of one log file; for a worker thread, one call at a time."""

    def __init__(
        self,
        path: Path | str,
        format: str | None = None,
        patterns: Patterns | None = None,
        *,
        ignored: Callable[[bytes], bool] | None = None,
        tz: tzinfo | None = None,
        memory: Mapping[str, object] | None = None,
    ) -> None:
        self.path = Path(path)
        self._patterns = patterns or {}
        self._ignored = ignored
        self._format = format
        self._tallier = Tallier(format or BARE, ignored=ignored)
        self._given_tz = tz
        self._tz: tzinfo = tz or UTC
        self._past = Memory.read(memory)
        self._position = self._past.position if self._past else None
        self._tail: Tail | None = None
        self._window = timedelta(0)
        self._covered_since: datetime | None = None
        self._up_to_date_at: datetime | None = None  # every line read later was written later
        self._seen_at: datetime | None = None
        self._last_line_at: datetime | None = self._past.last_line_at if self._past else None
        self._last_error: str | None = None
        self._read_up_to: datetime | None = None  # when the last line read says it was written

    def memory(self) -> Mapping[str, object]:
        """Return where and how the reader of a later process goes on; empty if nothing was read yet."""
        if self._position is None:
            return {}
        offset = self._tz.utcoffset(self._up_to_date_at) or timedelta(0)
        return Memory(
            self._position, self._tallier.format, offset.total_seconds(), self._last_line_at, self._seen_at
        ).written()

    def close(self) -> None:
        """Let go of the file."""
        if self._tail:
            self._tail.close()

    def start(self, now: datetime, window: timedelta) -> Batch:
        """
        Count what was written within *window* before *now*, and all since the position remembered.

        Raise CollectError if the file cannot be read. The first read that can read it starts then.
        """
        self._window = window
        if is_compressed(self.path):
            raise CollectError(f"{self.path}: compressed, so nothing is written to it (give the log itself)")
        try:
            past = backfill(
                self.path,
                now - window,
                BACKFILL_BYTES,
                now,
                format=self._format,
                patterns=self._patterns,
                tz=self._given_tz,
                ignored=self._ignored,
                until=self._position,
                like=self._past.format if self._past else BARE,
                zone=timezone(timedelta(seconds=self._past.zone)) if self._past else UTC,
            )
        except CollectError as exc:
            if self._position is None and isinstance(exc.__cause__, FileNotFoundError):
                self._tail = Tail(self.path)  # all that it will ever hold is new
                self._covered_since = self._up_to_date_at = now
            raise
        self._tz = past.tz
        self._tallier = past.ledger.tallier
        self._covered_since = past.covered_since
        self._tail = Tail(self.path, past.position)
        with suppress(CollectError):  # it is just being rotated; the next read will find it
            self._tail.open()
        self._position = past.position
        self._note(past.ledger)
        self._last_line_at = max(filter(None, (self._last_line_at, past.last_line_at)), default=None)
        known = past.buckets
        if self._past is None:
            self._up_to_date_at = self._seen_at = now
            return self._batch(known, now, behind=0, read=0, known=len(known))
        return self._resume(now, known, found=past.found)

    def begin(self, now: datetime, window: timedelta) -> Batch:
        """
        Count all of a file that was not there at the look before: every line of it is news.

        Raise CollectError if the file cannot be read.
        """
        self._window = window
        self._tail = Tail(self.path)
        self._covered_since = now - window  # before it was there it held nothing
        return self.read(now)

    def _resume(self, now: datetime, known: tuple[Bucket, ...], *, found: bool) -> Batch:
        """Go on where an earlier process stopped, whose lines are *known*."""
        seen_at = self._past.seen_at if self._past else None
        if found and seen_at is not None:
            self._up_to_date_at = min(seen_at, now)
            self._covered_since = min(self._covered_since or now, self._up_to_date_at)
        try:
            batch = self.read(now)
        except CollectError:
            self._tail = None  # the next read starts over
            raise
        self._past = None
        return replace(batch, buckets=(*known, *batch.buckets), known=len(known))

    def read(self, now: datetime, seconds: float = LOOK_SECONDS) -> Batch:
        """
        Count the lines that are new, reading for about *seconds* at most.

        Raise CollectError if there are none and the file is missing or unreadable.
        """
        if self._tail is None or self._covered_since is None:
            return self.start(now, self._window)
        ledger = Ledger(self._tallier, self._patterns, detecting=self._format is None)
        clock = Clock(now, self._tz, self._up_to_date_at)
        behind, read = self._read_slices(self._tail, ledger, clock, seconds)
        self._note(ledger)
        if not behind:
            self._up_to_date_at = now
            if read or self._seen_at is None or now - self._seen_at >= _SEEN_EVERY:
                self._seen_at = now
        return self._batch(ledger.buckets(), now, behind=behind, read=read)

    def _read_slices(self, tail: Tail, ledger: Ledger, clock: Clock, seconds: float) -> tuple[int, int]:
        """Read until nothing is left or time is up; return how many bytes are left and how many were read."""
        stop = time.monotonic() + seconds
        behind, read = 0, 0
        while True:
            try:
                piece = tail.read(SLICE_BYTES)
            except CollectError:
                if not read:
                    raise
                break  # what was read counts; the next look will say what is wrong
            self._position = piece.position
            behind = piece.behind
            if piece.data:
                ledger.add(piece.data, clock)
                self._read_up_to = last_time(piece.data, clock)
                read += len(piece.data)
            if not piece.data or not behind or time.monotonic() >= stop:
                break
            time.sleep(0)  # others wait for the interpreter
        return behind, read

    def _note(self, ledger: Ledger) -> None:
        self._last_line_at = max(filter(None, (self._last_line_at, ledger.last_line_at)), default=None)
        if ledger.last_error:
            self._last_error = evidence(ledger.last_error)

    def _batch(
        self,
        buckets: tuple[Bucket, ...],
        now: datetime,
        *,
        behind: int,
        read: int,
        known: int = 0,
    ) -> Batch:
        return Batch(
            buckets=buckets,
            last_line_at=self._last_line_at,
            last_error=self._last_error,
            covered_since=self._covered_since or now,
            behind_bytes=behind,
            format_name=self._tallier.format,
            late=self._late(now) if behind else 0.0,
            bytes_read=read,
            known=known,
        )

    def _late(self, now: datetime) -> float:
        """Say how old the next line is: as old as the last one read, or written since we were up to date."""
        at = self._read_up_to or self._up_to_date_at
        return max(0.0, (now - at).total_seconds()) if at else 0.0
