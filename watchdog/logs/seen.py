"""
What one log file looks like to us, for those who ask before anything is watched.

`describe_log(path, *, format=None, last=1_000) -> LogShape` reads the end of a file and says in
which format its lines are and how many of them carry a level.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from watchdog.errors import CollectError
from watchdog.logs.encoding import UTF_8, encoding_of
from watchdog.logs.formats import BARE, detect
from watchdog.logs.levels import Level
from watchdog.logs.position import open_file
from watchdog.logs.tally import tally

_END = 1 << 19  # bytes at a file's end that are looked at
LINES = 1_000


@dataclass(frozen=True, slots=True)
class LogShape:
    """
    The end of a log: its *format*, its last *lines*, *records* they begin, and those *with_level*.

    *last* is whether the file holds more lines than were looked at.
    """

    path: str
    format: str
    lines: int
    records: int
    with_level: int
    last: bool

    def __str__(self) -> str:
        if not self.lines:
            return "empty"
        which = "last lines" if self.last else "lines"
        return (
            f"{self.format}, {self.with_level} of {self.records} records in {self.lines} {which} have a level"
        )


def describe_log(path: Path | str, *, format: str | None = None, last: int = LINES) -> LogShape:
    """
    Say how the *last* lines of *path* are written, read as *format* where one is given.

    Raise CollectError with one sentence if the file cannot be read.
    """
    descriptor = open_file(Path(path))
    try:
        encoding = encoding_of(descriptor) or UTF_8
        size = os.fstat(descriptor).st_size
        begin = encoding.whole(max(0, size - _END))
        data = os.pread(descriptor, size - begin, begin)
    except OSError as exc:
        raise CollectError(f"{path}: {exc.strerror}") from exc
    finally:
        os.close(descriptor)
    data = encoding.text(data[encoding.first_end(data) if begin else 0 :])
    lines = data.removesuffix(b"\n").split(b"\n") if data else []
    shown = lines[-last:]
    name = format or (detect([line for line in shown if line]) if shown else BARE)
    found = tally(b"\n".join(shown), name)
    with_level = found.records - found.levels.get(Level.NONE, 0)
    more = begin > 0 or len(lines) > len(shown)
    return LogShape(str(path), name, found.lines, found.records, with_level, more)
