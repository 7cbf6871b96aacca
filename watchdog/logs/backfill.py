"""What a log remembers of the time before we began to look."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from watchdog.errors import CollectError
from watchdog.logs.formats import BARE, detect
from watchdog.logs.generations import Generation, close_all, find, open_generations, unpack
from watchdog.logs.ledger import Bucket, Clock, Ledger, last_time
from watchdog.logs.patterns import Patterns
from watchdog.logs.position import Position
from watchdog.logs.reel import Reel
from watchdog.logs.tally import Tallier
from watchdog.logs.times import timestamp, zone_of

_STEP = 1 << 18
_READ = 1 << 20
_TOLD = timedelta(
    seconds=2
)  # between a line's time and the file's, where the line was the last thing written
_NO_PATTERNS: Patterns = {}

_Past = tuple[Generation, int | None]


@dataclass(frozen=True, slots=True)
class Backfill:
    """
    The counts of a log from *covered_since* on, and the position from which tailing goes on.

    *covered* says that this is as far back as was asked for, or that the log never held more: it
    was read from its beginning and has no rotated siblings left unread. *last_line_at* may be
    older than that; without times in the lines it is when the file was last written. *found* is
    False where the position of an earlier process is in none of the files any more.
    """

    buckets: tuple[Bucket, ...]
    last_line_at: datetime | None
    covered: bool
    covered_since: datetime
    position: Position
    ledger: Ledger
    tz: tzinfo
    found: bool = True


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What is to be counted of one file, from *start* to *end*; *reached*: what is before is too old."""

    reel: Reel
    start: int
    end: int
    reached: bool


def backfill(
    path: Path | str,
    since: datetime,
    limit_bytes: int,
    now: datetime,
    *,
    format: str | None = None,
    patterns: Patterns = _NO_PATTERNS,
    tz: tzinfo | None = None,
    ignored: Callable[[bytes], bool] | None = None,
    until: Position | None = None,
    like: str = BARE,
    zone: tzinfo = UTC,
) -> Backfill:
    """
    Count the lines of *path* written from *since* to *now*, reading at most *limit_bytes*.

    Goes on into rotated siblings where the file begins after *since*, and ends at the position
    *until* where an earlier process stopped. *like* is the format that a file without lines is taken
    to have, *zone* that of lines which do not tell. Raise CollectError if the file cannot be read.
    """
    path = Path(path)
    files = open_generations(path)
    try:
        sample, written = _sample(files)
        clock = Clock(now, tz or _guess_zone(sample, written, zone))
        tallier = Tallier(format or detect(sample.split(b"\n"), like), ignored=ignored)
        ledger = Ledger(tallier, patterns, detecting=format is None)
        place = 0 if until is None else find(files, until)
        last = last_time(sample, clock)
        past = _past(files, until, place)
        plan = _plan(past, clock, since, limit_bytes, timed=last is not None)
        for stretch in reversed(plan):
            _count(ledger, clock, stretch)
        whole = place is not None and len(plan) == len(past) and not _has_others(path, files)
        reached = bool(plan) and (plan[-1].reached or (whole and not plan[-1].start))
        return Backfill(
            buckets=ledger.buckets(),
            last_line_at=last or (min(written, now) if files[0].status.st_size else None),
            covered=reached,
            covered_since=since if reached else ledger.first_line_at or now,
            position=until or plan[0].reel.position,
            ledger=ledger,
            tz=clock.tz,
            found=place is not None,
        )
    except OSError as exc:
        raise CollectError(f"{path}: {exc.strerror}") from exc
    finally:
        close_all(files)


def _past(files: list[Generation], until: Position | None, place: int | None) -> list[_Past]:
    """
    Return what was written before *until*, which is in the file at *place*, newest first.

    Each file comes with where in it the past ends; None is its very end.
    """
    if place is None and until is not None:  # it was replaced: all that it holds now is news
        return [(each, None) for each in files[1:] if each.status.st_mtime_ns <= until.modified_ns]
    first = place or 0
    end = until.offset if until else None
    return [(files[first], end), *((each, None) for each in files[first + 1 :])]


def _plan(past: Sequence[_Past], clock: Clock, since: datetime, limit: int, *, timed: bool) -> list[_Stretch]:
    """Say what is to be counted of each file, newest first, until a line older than *since* is reached."""
    plan: list[_Stretch] = []
    for file, known_end in past:
        if file.packed and not unpack(file):
            break
        reel = Reel(file.descriptor)
        end = _end_of_lines(reel, limit) if known_end is None else known_end
        if not timed:  # nothing says when anything was written
            return [_Stretch(Reel(file.descriptor, end), end, end, reached=False)]
        start = _find_start(reel, end, clock, since, limit)
        plan.append(_Stretch(Reel(file.descriptor, start.offset), start.offset, end, start.reached))
        limit -= end - start.offset
        if start.offset or start.reached or limit <= 0:
            break
    return plan


def _has_others(path: Path, files: Sequence[Generation]) -> bool:
    """Say whether something else lies beside *path* that may hold its older lines, whatever its ending."""
    opened = {each.path.name for each in files}
    try:
        return any(name.startswith(path.name) and name not in opened for name in os.listdir(path.parent))
    except OSError:  # a folder that may be entered but not listed
        return True


@dataclass(frozen=True, slots=True)
class _Start:
    """Where to begin reading, and whether a line older than asked for was *reached*."""

    offset: int
    reached: bool


def _find_start(reel: Reel, end: int, clock: Clock, since: datetime, limit: int) -> _Start:
    """Walk back from *end* to the first line written at *since* or later, at most *limit* bytes."""
    start = position = end
    while position > 0 and end - position < limit:
        begin = reel.encoding.whole(max(0, position - _STEP))
        data = os.pread(reel.descriptor, start - begin, begin)
        skipped = reel.encoding.first_end(data) if begin else 0
        position = begin
        if begin and not skipped:
            continue  # in the middle of one long line
        lines = data[skipped:]
        first = _first_time(reel.encoding.text(lines), clock)
        if first is not None and first < since:
            return _Start(begin + skipped + _offset_of(since, lines, reel, clock), reached=True)
        start = begin + skipped
    return _Start(start, reached=False)


def _first_time(lines: bytes, clock: Clock) -> datetime | None:
    return next((at for line in lines.split(b"\n") if (at := clock.time_of(line))), None)


def _offset_of(since: datetime, lines: bytes, reel: Reel, clock: Clock) -> int:
    """Return where in *lines* the first stands that was written at *since* or later."""
    offset = 0
    while end := reel.encoding.first_end(lines, offset):
        at = clock.time_of(reel.encoding.text(lines[offset:end]).rstrip(b"\n"))
        if at is not None and at >= since:
            return offset
        offset = end
    return len(lines)


def _count(ledger: Ledger, clock: Clock, stretch: _Stretch) -> None:
    reel, end = stretch.reel, stretch.end
    while reel.offset < end and (lines := reel.take(min(_READ, end - reel.offset), final=True)):
        ledger.add(lines, clock)


def _end_of_lines(reel: Reel, limit: int) -> int:
    """Return the offset behind the last line end; the file's size if it is further back than *limit*."""
    size = position = reel.encoding.whole(os.fstat(reel.descriptor).st_size)
    while position > 0 and size - position < limit:
        begin = reel.encoding.whole(max(0, position - _STEP))
        end = reel.encoding.last_end(os.pread(reel.descriptor, position - begin, begin))
        if end:
            return begin + end
        position = begin
    return position and size


def _sample(files: Sequence[Generation]) -> tuple[bytes, datetime]:
    """Read the last complete lines that the log holds, and when they reached the disk."""
    for each in files:
        if each.packed:
            continue
        reel = Reel(each.descriptor)
        end = _end_of_lines(reel, _STEP)
        begin = reel.encoding.whole(max(0, end - _STEP))
        data = os.pread(reel.descriptor, end - begin, begin)
        lines = reel.encoding.text(data[reel.encoding.first_end(data) :] if begin else data)
        if lines:
            return lines, datetime.fromtimestamp(each.status.st_mtime, UTC)
    return b"", datetime.fromtimestamp(files[0].status.st_mtime, UTC)


def _guess_zone(sample: bytes, written: datetime, otherwise: tzinfo) -> tzinfo:
    """Tell the zone of a log from the difference of its last line's time and the file's, or *otherwise*."""
    lines = reversed(sample.split(b"\n"))
    last = next((line for line in lines if timestamp(line, written) is not None), b"")
    zone = zone_of(last, written, written.astimezone().utcoffset() or timedelta(0))
    said = timestamp(last, written, zone)
    return zone if said and abs(said - written) <= _TOLD else otherwise
