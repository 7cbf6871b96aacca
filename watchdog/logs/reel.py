"""One open log file, read forward in complete lines."""

import os

from watchdog.logs.encoding import UTF_8, Encoding, encoding_of
from watchdog.logs.position import Position, fingerprint


class Reel:
    """One open file and how far it has been read."""

    def __init__(self, descriptor: int, offset: int = 0, mid_line: bool = False) -> None:
        self.descriptor = descriptor
        self.offset = offset
        self.mid_line = mid_line
        self.unfinished = 0  # the length of the last line when it was seen without its end
        self._encoding: Encoding | None = None
        self.refresh()

    @property
    def encoding(self) -> Encoding:
        """Return how the file is written, as far as its first bytes tell already."""
        if self._encoding is None:
            self._encoding = encoding_of(self.descriptor, self.offset)
        return self._encoding or UTF_8

    def refresh(self) -> None:
        """Take the position anew."""
        status = os.fstat(self.descriptor)
        mark = fingerprint(self.descriptor, self.offset)
        self.position = Position(
            status.st_dev, status.st_ino, self.offset, mark, self.mid_line, status.st_mtime_ns
        )

    def left(self) -> int:
        """Return the number of bytes not read yet."""
        return max(0, os.fstat(self.descriptor).st_size - self.offset)

    def skip_hole(self) -> None:
        """Pass over the hole that a writer leaves who goes on at its old place after a truncation."""
        try:
            self.offset = os.lseek(self.descriptor, self.offset, os.SEEK_DATA)
        except OSError:
            return  # nothing but a hole, or a file system without holes
        self.refresh()

    def take(self, limit: int, *, final: bool) -> bytes:
        """
        Read complete lines of up to *limit* bytes together, as UTF-8.

        A last line without its end is taken too if it is the *final* one, if it has not
        changed since the read before, or if it is longer than *limit*; its rest is passed over.
        """
        data = b""
        before = -1
        while not data and self.offset > before:
            before = self.offset
            data = self._take_once(limit, final=final)
        if data or self.mid_line or self.offset != self.position.offset:
            self.refresh()
        return self.encoding.text(data)

    def _take_once(self, limit: int, *, final: bool) -> bytes:
        left = self.left()
        data = os.pread(self.descriptor, min(self.encoding.whole(limit), left), self.offset)
        at_end = len(data) >= left
        full = len(data) >= self.encoding.whole(limit)
        if self.mid_line:
            end = self.encoding.first_end(data)
            self.mid_line = not end
            self.offset += end or self.encoding.whole(len(data))
            data = data[end:] if end else b""
            full = False
        return self._whole_lines(data, full=full, at_end=at_end, final=final) if data else b""

    def _whole_lines(self, data: bytes, *, full: bool, at_end: bool, final: bool) -> bytes:
        end = self.encoding.last_end(data)
        rest = len(data) - end
        if end:
            self.offset += end
            self.unfinished = rest if at_end else 0
            return data[:end]
        if full or (at_end and (final or self.unfinished == rest)):
            rest = self.encoding.whole(rest)
            self.offset += rest
            self.mid_line = True
            self.unfinished = 0
            return data[:rest] + "\n".encode(self.encoding.codec)
        self.unfinished = rest if at_end else 0
        return b""
