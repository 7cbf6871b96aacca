"""What a log remembers of the time before we began to look."""

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from watchdog.errors import CollectError
from watchdog.logs.formats import detect
from watchdog.logs.ledger import Bucket, Clock, Ledger, last_time
from watchdog.logs.patterns import Patterns
from watchdog.logs.position import Position, open_file
from watchdog.logs.reel import Reel
from watchdog.logs.tally import Tallier
from watchdog.logs.times import timestamp, zone_of

_STEP = 1 << 18
_READ = 1 << 20
_NO_PATTERNS: Patterns = {}


@dataclass(frozen=True, slots=True)
class Backfill:
    """
    The counts of a log from *covered_since* on, and the position from which tailing goes on.

    *covered* says that this is as far back as was asked for, or that the file never held more: it
    was read from its beginning, *read_from* 0, and has no rotated siblings. *last_line_at* may be
    older than that; without times in the lines it is when the file was last written.
    """

    buckets: tuple[Bucket, ...]
    last_line_at: datetime | None
    covered: bool
    covered_since: datetime
    position: Position
    ledger: Ledger
    tz: tzinfo
    read_from: int


def backfill(
    path: Path | str,
    since: datetime,
    limit_bytes: int,
    now: datetime,
    *,
    format: str | None = None,
    patterns: Patterns = _NO_PATTERNS,
    tz: tzinfo | None = None,
) -> Backfill:
    """
    Count the lines of *path* written from *since* to *now*, reading at most *limit_bytes*.

    Goes on into `path.1` where the file begins after *since*. Raise CollectError if the file
    cannot be read.
    """
    path = Path(path)
    descriptors = [open_file(path)]
    try:
        descriptors += _open_previous(path, descriptors[0])
        found = _fill(descriptors, now, since, limit_bytes, format=format, patterns=patterns, tz=tz)
        complete = found.read_from == 0 and not _has_siblings(path)
        return replace(found, covered=True, covered_since=since) if complete else found
    except OSError as exc:
        raise CollectError(f"{path}: {exc.strerror}") from exc
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _has_siblings(path: Path) -> bool:
    """Say whether something lies beside *path* that may hold its older lines, whatever its ending."""
    return any(name.startswith(path.name) and name != path.name for name in os.listdir(path.parent))


def _open_previous(path: Path, newest: int) -> list[int]:
    """Open the file that was rotated before *newest*, even if *newest* has been rotated since."""
    for number in (1, 2):
        try:
            previous = open_file(path.with_name(f"{path.name}.{number}"))
        except CollectError:
            return []
        if not os.path.samestat(os.fstat(previous), os.fstat(newest)):
            return [previous]
        os.close(previous)
    return []


def _fill(
    descriptors: list[int],
    now: datetime,
    since: datetime,
    limit: int,
    *,
    format: str | None,
    patterns: Patterns,
    tz: tzinfo | None,
) -> Backfill:
    ends = [_end_of_lines(descriptor, limit) for descriptor in descriptors]
    samples = (_before(descriptor, end) for descriptor, end in zip(descriptors, ends, strict=True))
    sample = next((sample for sample in samples if sample), b"")
    status = os.fstat(descriptors[0])
    written = datetime.fromtimestamp(status.st_mtime, UTC)
    clock = Clock(now, tz or _guess_zone(sample, written))
    ledger = Ledger(Tallier(format or detect(sample.split(b"\n"))), patterns, detecting=format is None)
    last = last_time(sample, clock)
    if last is None:  # nothing says when anything was written
        start = _Start(ends[0], reached=False)
    else:
        start = _find_start(descriptors[0], ends[0], clock, since, limit)
        left = limit - ends[0]
        if start.offset == 0 and not start.reached and len(descriptors) > 1 and left > 0:
            earlier = _find_start(descriptors[1], ends[1], clock, since, left)
            start = _Start(0, earlier.reached)
            _count(ledger, clock, Reel(descriptors[1], earlier.offset), ends[1], final=True)
    reel = Reel(descriptors[0], start.offset)
    _count(ledger, clock, reel, ends[0], final=False)
    return Backfill(
        buckets=ledger.buckets(),
        last_line_at=last or (min(written, now) if status.st_size else None),
        covered=start.reached,
        covered_since=since if start.reached else ledger.first_line_at or now,
        position=reel.position,
        ledger=ledger,
        tz=clock.tz,
        read_from=start.offset,
    )


@dataclass(frozen=True, slots=True)
class _Start:
    """Where to begin reading, and whether a line older than asked for was *reached*."""

    offset: int
    reached: bool


def _find_start(descriptor: int, end: int, clock: Clock, since: datetime, limit: int) -> _Start:
    """Walk back from *end* to the first line written at *since* or later, at most *limit* bytes."""
    start = position = end
    while position > 0 and end - position < limit:
        begin = max(0, position - _STEP)
        data = os.pread(descriptor, start - begin, begin)
        skipped = data.find(b"\n") + 1 if begin else 0
        position = begin
        if begin and not skipped:
            continue  # in the middle of one long line
        lines = data[skipped:]
        first = _first_time(lines, clock)
        if first is not None and first < since:
            return _Start(begin + skipped + _offset_of(since, lines, clock), reached=True)
        start = begin + skipped
    return _Start(start, reached=False)


def _first_time(lines: bytes, clock: Clock) -> datetime | None:
    return next((at for line in lines.split(b"\n") if (at := clock.time_of(line))), None)


def _offset_of(since: datetime, lines: bytes, clock: Clock) -> int:
    """Return where in *lines* the first stands that was written at *since* or later."""
    offset = 0
    for line in lines.splitlines(keepends=True):
        at = clock.time_of(line.rstrip(b"\n"))
        if at is not None and at >= since:
            return offset
        offset += len(line)
    return offset


def _count(ledger: Ledger, clock: Clock, reel: Reel, end: int, *, final: bool) -> None:
    while reel.offset < end and (lines := reel.take(_READ, final=final)):
        ledger.add(lines, clock)


def _end_of_lines(descriptor: int, limit: int) -> int:
    """Return the offset behind the last line end; the file's size if it is further back than *limit*."""
    size = position = os.fstat(descriptor).st_size
    while position > 0 and size - position < limit:
        begin = max(0, position - _STEP)
        end = os.pread(descriptor, position - begin, begin).rfind(b"\n") + 1
        if end:
            return begin + end
        position = begin
    return position and size


def _before(descriptor: int, end: int) -> bytes:
    """Read the last complete lines before *end*."""
    begin = max(0, end - _STEP)
    data = os.pread(descriptor, end - begin, begin)
    return data[data.find(b"\n") + 1 :] if begin else data


def _guess_zone(sample: bytes, written: datetime) -> tzinfo:
    """Tell the zone of a log from the difference of its last line's time and the file's."""
    lines = reversed(sample.split(b"\n"))
    last = next((line for line in lines if timestamp(line, written) is not None), b"")
    return zone_of(last, written, written.astimezone().utcoffset() or timedelta(0))
