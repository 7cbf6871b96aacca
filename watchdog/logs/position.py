"""Where reading stopped, in words that survive a restart and a rotation."""

import os
import stat
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from watchdog.errors import CollectError

_MARK = 256  # bytes at the start, and as many before the offset, that tell a file from another


@dataclass(frozen=True, slots=True)
class Position:
    """
    A place in a log file: `Position(**json.loads(json.dumps(asdict(position))))` is the same place.

    *fingerprint* is that of the file's first bytes and of the last before *offset*. *mid_line*
    says that the line at *offset* has been counted although its end had not been written.
    *modified_ns* is when the file had been written to last: a rotated file that is older holds no news.
    """

    device: int
    inode: int
    offset: int
    fingerprint: str
    mid_line: bool = False
    modified_ns: int = 0

    @classmethod
    def read(cls, written: object) -> "Position":
        """Return the position that *written* is the `asdict` of; ValueError or KeyError if it is not."""
        if not isinstance(written, dict):
            raise ValueError("a position is a mapping")
        numbers = {name: int(written[name]) for name in ("device", "inode", "offset", "modified_ns")}
        return cls(fingerprint=str(written["fingerprint"]), mid_line=bool(written["mid_line"]), **numbers)


def open_file(path: Path) -> int:
    """Open the regular file *path* for reading, or raise CollectError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        raise CollectError(f"{path}: {exc.strerror}") from exc
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise CollectError(f"{path}: not a regular file")
    return descriptor


def fingerprint(descriptor: int, offset: int) -> str:
    """Hash what an appended file keeps: its first bytes and the last ones before *offset*."""
    length = min(_MARK, offset)
    first = os.pread(descriptor, length, 0)
    last = os.pread(descriptor, length, offset - length)
    return blake2b(first + last, digest_size=8).hexdigest()


def stands(descriptor: int, position: Position) -> bool:
    """Say whether the open file still has what was read of it up to *position*."""
    size = os.fstat(descriptor).st_size
    return size >= position.offset and fingerprint(descriptor, position.offset) == position.fingerprint


def is_same_file(status: os.stat_result, position: Position) -> bool:
    """Say whether *status* is that of the file *position* was taken in."""
    return (status.st_dev, status.st_ino) == (position.device, position.inode)
