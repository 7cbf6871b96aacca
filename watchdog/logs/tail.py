"""
Follow one log file through whatever rotates it, reading each line once.

The old file is kept open after a rename and read to its end before the new one; what was
rotated more than once between two reads is found among the siblings `path.1`, `path-20260219`….
"""

import os
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from watchdog.errors import CollectError
from watchdog.logs.generations import open_generations, unread
from watchdog.logs.position import Position, is_same_file, open_file, stands
from watchdog.logs.reel import Reel

_LINGER = 20  # empty reads before a renamed file is let go: its writer may not have noticed
_SETTLED_SECONDS = 1.0  # every file system's clock has moved on by then, so any later write is seen in mtime

_Look = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Slice:
    """Complete lines, where reading goes on, and how many bytes are left to read."""

    data: bytes
    position: Position
    behind: int


class Tail:
    """Reads *path* from *position* on, or from its beginning if there is none."""

    def __init__(self, path: Path | str, position: Position | None = None) -> None:
        self.path = Path(path)
        self._start = position
        self._reels: deque[Reel] = deque()  # oldest first; the last is the file being written
        self._renamed: Reel | None = None
        self._empty_reads = 0
        self._look: _Look | None = None  # what the file's status was when nothing was left to read
        self._since = 0.0
        self._settled = False

    def __enter__(self) -> "Tail":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of every file; the next read opens them again where this one stopped."""
        if self._reels:
            self._start = self._reels[0].position
        for reel in (*self._reels, *([self._renamed] if self._renamed else [])):
            os.close(reel.descriptor)
        self._reels.clear()
        self._renamed = None
        self._settled = False

    def read(self, limit_bytes: int) -> Slice:
        """
        Return the next complete lines, no more than *limit_bytes* of them.

        Raise CollectError if there is nothing left to read and the file is missing or unreadable.
        """
        try:
            return self._read(limit_bytes)
        except OSError as exc:
            raise CollectError(f"{self.path}: {exc.strerror}") from exc

    def _read(self, limit: int) -> Slice:
        if self._settled and self._is_as_before():
            return Slice(b"", self._reels[0].position, 0)
        self._settled = False
        self.open()
        if late := self._take_late_lines(limit):
            return self._slice(late)
        while True:
            reel = self._reels[0]
            if not stands(reel.descriptor, reel.position):
                self._start_over()
                continue
            if data := reel.take(limit, final=len(self._reels) > 1):
                return self._slice(data)
            if len(self._reels) == 1:
                status = self.path.stat()
                if is_same_file(status, reel.position):
                    self._settle(status, reel)
                    return self._slice(b"")
                if data := reel.take(limit, final=True):
                    return self._slice(data)
            self._turn()

    def _slice(self, data: bytes) -> Slice:
        """Return *data*, and how much is left: of the last line only what belongs to a whole one."""
        last = self._reels[-1]
        behind = sum(reel.left() for reel in self._reels) - last.unfinished
        with suppress(OSError):  # what is missing now is told once nothing is left
            status = self.path.stat()
            behind += 0 if is_same_file(status, last.position) else status.st_size
        return Slice(data, self._reels[0].position, max(0, behind))

    def _is_as_before(self) -> bool:
        try:
            return self._look == _look(self.path.stat())
        except OSError:
            return False

    def open(self) -> None:
        """
        Open what is unread since the start position, oldest file first, if it is not open yet.

        Until then a file that is deleted takes its unread lines with it. Raise CollectError if it is missing.
        """
        if self._reels:
            return
        if self._start is None:
            self._reels.append(Reel(open_file(self.path)))
        else:
            self._reels.extend(self._unread(self._start))

    def _unread(self, position: Position) -> list[Reel]:
        """Open the file that holds *position*, there, and every later one at its beginning."""
        found = unread(open_generations(self.path), position)
        reels = [Reel(generation.descriptor) for generation in found]
        if stands(reels[0].descriptor, position):
            reels[0] = Reel(reels[0].descriptor, position.offset, position.mid_line)
        for reel in reels:
            reel.skip_hole()
        return reels

    def _settle(self, status: os.stat_result, reel: Reel) -> None:
        """Let a look at the status do once it has said nothing new for longer than clocks are coarse."""
        look = _look(status)
        if look != self._look:
            self._look, self._since = look, time.monotonic()
        elif time.monotonic() - self._since > _SETTLED_SECONDS:
            self._settled = self._renamed is None and status.st_size == reel.offset

    def _start_over(self) -> None:
        """Go on after a truncation: with the rest in the copy made before it, then at the start."""
        old = self._reels[0]
        if len(self._reels) == 1:
            self._reels.extend(self._unread(old.position))
        self._reels.popleft()
        os.close(old.descriptor)

    def _turn(self) -> None:
        """Leave the oldest file, read to its end, for the next."""
        if len(self._reels) == 1:
            later = self._unread(self._reels[0].position)
            if is_same_file(os.fstat(later[0].descriptor), self._reels[0].position):
                os.close(later.pop(0).descriptor)
            self._reels.extend(later)
        if len(self._reels) > 1:
            if self._renamed:
                os.close(self._renamed.descriptor)
            self._renamed = self._reels.popleft()
            self._empty_reads = 0

    def _take_late_lines(self, limit: int) -> bytes:
        """Read what was written to a renamed file after it had been read to its end."""
        if self._renamed is None:
            return b""
        data = self._renamed.take(limit, final=False)
        self._empty_reads = 0 if data else self._empty_reads + 1
        if self._empty_reads > _LINGER:
            os.close(self._renamed.descriptor)
            self._renamed = None
        return data


def _look(status: os.stat_result) -> _Look:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
