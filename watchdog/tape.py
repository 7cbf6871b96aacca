"""
The file of a recording: segments, each a gzip member of its own, the oldest dropped when it grows too large.

What was written is flushed every few seconds, so that a process that is killed loses no more, and a file that
ends in the middle can be read up to there. The length of a member stands in its header (gzip's "extra"
field) once it is complete. Whole recordings can be read with ``zcat``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from watchdog.errors import RecordingError
from watchdog.model import Reading
from watchdog.recording import SegmentReader, SegmentWriter, Tick

FLUSH = timedelta(seconds=10)
"""So much a kill may cost."""
SEGMENTS = 16
"""Into so many segments a full file is divided at least."""
LEVEL = 6
_HEADER = struct.Struct("<4s4sBBHHHQ")
"""Magic, method, flags; time; more flags, system; how long "extra" is, its one field's name and length."""
_FIELD = int.from_bytes(b"WD", "little")
_LENGTH_AT = _HEADER.size - 8
_SIGNS = {0: b"\x1f\x8b\x08\x04", 10: b"\x0c\x00WD\x08\x00"}
"""What stands in every header of ours, and where."""
_SYNC = b"\x00\x00\xff\xff"
"""How a flush ends."""
_LAST_BLOCK = b"\x03\x00"
_CHUNK = 1 << 20


def _header(length: int = 0) -> bytes:
    return _HEADER.pack(b"\x1f\x8b\x08\x04", bytes(4), 0, 255, 12, _FIELD, 8, length)


def _is_ours(header: bytes) -> bool:
    """Say whether a segment of ours begins so, as far as it goes."""
    return len(header) >= 4 and all(
        sign.startswith(header[at : at + len(sign)]) for at, sign in _SIGNS.items()
    )


def members(file: BinaryIO) -> list[tuple[int, int]]:
    """Return where each segment of *file* begins and ends; the last may not be complete."""
    size = file.seek(0, os.SEEK_END)
    found: list[tuple[int, int]] = []
    at = 0
    while at < size:
        file.seek(at)
        header = file.read(_HEADER.size)
        if not _is_ours(header):
            if at == 0:
                what = "is not a recording of the watchdog (make one with `watchdog record FILE`)"
                raise RecordingError(what)
            break
        if len(header) < _HEADER.size:
            break
        *_, length = _HEADER.unpack(header)
        end = min(at + length if length > _HEADER.size else size, size)
        found.append((at, end))
        at = end
    return found


def _unpacked(file: BinaryIO, begin: int, end: int) -> Iterator[bytes]:
    """Yield what a segment holds as far as it can be read, chunk by chunk."""
    unpack, at = zlib.decompressobj(-zlib.MAX_WBITS), begin + _HEADER.size
    while at < end and not unpack.eof:
        file.seek(at)
        raw = file.read(min(_CHUNK, end - at))
        at += len(raw)
        try:
            yield unpack.decompress(raw)
        except zlib.error:
            return
        if not raw:
            return


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the whole lines among *chunks*."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace")


def read_ticks(file: BinaryIO) -> Iterator[Tick]:
    """
    Yield all ticks of a recording, with where things stood before them if it does not begin with a process.

    Raise RecordingError if it is none, or holds nothing.
    """
    something, floor = False, None
    for begin, end in members(file):
        lines = _lines(_unpacked(file, begin, end))
        head = next(lines, None)
        if head is None:
            continue
        reader = SegmentReader()
        stands, follows = reader.head(head)
        if not (follows and something):
            floor = stands.at if stands.readings else None
            if stands.readings:
                yield stands
        reader.floor = floor
        something = True
        yield from map(reader.tick, lines)
    if not something:
        raise RecordingError("holds nothing yet")


class Tape:
    """The recording at *path* while it is written; at most *most* bytes of it are kept."""

    def __init__(self, path: str, most: int, program: str) -> None:
        """Go on after what the file holds; raise RecordingError if it cannot be written, or is none."""
        self.path = path
        self._most = most
        self._program = program
        self._file: BinaryIO | None = None
        self._members: list[tuple[int, int]] = []
        self._pack: zlib._Compress | None = None
        self._writer = SegmentWriter()
        self._check = self._length = self._good = 0
        self._flushed: datetime | None = None
        self._follows = False
        try:
            self._opened()
        except OSError as exc:
            raise RecordingError(f"{path} cannot be written: {exc.strerror} (name another file)") from exc
        except RecordingError as exc:
            raise RecordingError(f"{path} {exc}") from exc

    def take(self, tick: Tick, latest: Iterable[Reading]) -> None:
        """
        Record *tick*, after which the *latest* readings hold; OSError or RecordingError if that fails.

        The next one then begins a segment of its own, in which nothing is said of what is missing.
        """
        try:
            file = self._opened()
            if self._pack is not None and file.tell() - self._members[-1][0] >= self._most // SEGMENTS:
                self._end(file)
            if self._pack is None:
                # What a process sees first brings its past with it; all later begins where things stand.
                file = self._begin(file, tick.at, () if tick.anew else latest)
            self._write(file, self._writer.tick(tick))
            if self._flushed is None or not timedelta(0) <= tick.at - self._flushed < FLUSH:
                self._flush(file, tick.at)
        except OSError:
            self._give_up()
            raise

    def close(self) -> None:
        """Complete the file; OSError if the disk refuses."""
        if self._file is None:
            return
        try:
            self._end(self._file)
        finally:
            self._give_up()

    # ---- segments --------------------------------------------------------------------------------

    def _begin(self, file: BinaryIO, at: datetime, latest: Iterable[Reading]) -> BinaryIO:
        if not _is_at(file, self.path):  # somebody has moved it away: that is theirs now
            file.close()
            self._file, self._follows = None, False
            file = self._opened()
        file = self._dropped(file)
        begin = self._good = file.seek(0, os.SEEK_END)
        file.write(_header())
        self._members.append((begin, begin))
        self._pack = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._writer = SegmentWriter()
        self._check = self._length = 0
        self._flushed = None
        self._write(file, self._writer.head(at, latest, program=self._program, follows=self._follows))
        self._follows = True
        return file

    def _write(self, file: BinaryIO, line: str) -> None:
        assert self._pack is not None
        raw = line.encode("utf-8", "replace")
        self._check, self._length = zlib.crc32(raw, self._check), self._length + len(raw)
        file.write(self._pack.compress(raw))

    def _flush(self, file: BinaryIO, at: datetime) -> None:
        assert self._pack is not None
        file.write(self._pack.flush(zlib.Z_SYNC_FLUSH))
        file.flush()
        self._flushed, self._good = at, file.tell()

    def _end(self, file: BinaryIO) -> None:
        """Complete the segment that is written, if one is."""
        if self._pack is not None:
            file.write(self._pack.flush(zlib.Z_FINISH))
            self._complete(file, self._check, self._length)
            self._pack, self._good = None, file.tell()

    def _complete(self, file: BinaryIO, check: int, length: int) -> None:
        """Write what ends the last segment: here gzip's own marks, in its header how long it is."""
        begin = self._members[-1][0]
        file.write(struct.pack("<II", check, length & 0xFFFFFFFF))
        end = file.tell()
        file.seek(begin + _LENGTH_AT)
        file.write(struct.pack("<Q", end - begin))
        file.seek(end)
        file.flush()
        self._members[-1] = begin, end

    def _mend(self, file: BinaryIO) -> None:
        """Complete the last segment if a kill has cut it short, so that the next can follow."""
        begin, end = self._members[-1]
        file.seek(begin)
        raw = file.read(end - begin)
        (length,) = struct.unpack_from("<Q", raw, _LENGTH_AT)
        if length == len(raw):
            return
        cut = begin + raw.rfind(_SYNC) + len(_SYNC)
        check = size = 0
        for chunk in _unpacked(file, begin, cut):
            check, size = zlib.crc32(chunk, check), size + len(chunk)
        if not size:
            file.truncate(begin)
            self._members.pop()
            return
        file.truncate(cut)
        file.seek(cut)
        file.write(_LAST_BLOCK)
        self._complete(file, check, size)

    # ---- the file --------------------------------------------------------------------------------

    def _opened(self) -> BinaryIO:
        """Return the file, which is opened if it is not, so that a segment can follow."""
        if self._file is None:
            file = _open(self.path)
            try:
                self._members = members(file)
                if self._members:
                    self._mend(file)
                self._good = self._members[-1][1] if self._members else 0
                file.truncate(self._good)
            except BaseException:
                file.close()
                raise
            self._file = file
        return self._file

    def _give_up(self) -> None:
        """Let go of the file, as it was flushed last: what comes next stands apart from it."""
        file, self._file, self._pack, self._follows = self._file, None, None, False
        if file is None:
            return
        handle = os.dup(file.fileno())
        with contextlib.suppress(OSError):
            file.close()  # what it still holds back may fail once more
        with contextlib.suppress(OSError):
            os.ftruncate(handle, self._good)
        os.close(handle)

    def _dropped(self, file: BinaryIO) -> BinaryIO:
        """Return the file without its oldest segments, if one more would not have room."""
        size = file.seek(0, os.SEEK_END)
        room = self._most - self._most // SEGMENTS * 2
        if size <= room:
            return file
        keep = [m for m in self._members if size - m[0] <= room * 3 // 4]
        begin = keep[0][0] if keep else size
        fresh = f"{self.path}.new"
        Path(fresh).unlink(missing_ok=True)
        copy = _open(fresh)
        try:
            file.seek(begin)
            shutil.copyfileobj(file, copy, _CHUNK)
            copy.flush()
            os.replace(fresh, self.path)
        except OSError:
            copy.close()
            Path(fresh).unlink(missing_ok=True)
            raise
        file.close()
        self._file = copy
        self._members = [(a - begin, b - begin) for a, b in keep]
        return copy


def _open(path: str) -> BinaryIO:
    """Return the file at *path*, which nobody else writes, and nobody else can read if it is new."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(handle)
        raise RecordingError("is being written by another watchdog (name another file)") from exc
    return os.fdopen(handle, "r+b")


def _is_at(file: BinaryIO, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except OSError:
        return False
