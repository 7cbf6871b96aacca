"""State files as an accident leaves them: cut off by a crash, broken by a disk, on a disk without room."""

from __future__ import annotations

import contextlib
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path


def crash_image(state: Path, to: Path) -> Path:
    """Copy what a power cut would leave of *state*, which is open, and return the copy."""
    for part in ("", "-wal"):
        if Path(f"{state}{part}").exists():
            shutil.copyfile(f"{state}{part}", f"{to}{part}")
    return to


@contextlib.contextmanager
def full_disk(room: int = 0) -> Iterator[None]:
    """Let no file of this process grow beyond *room* bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def overwrite(file: Path, start: int, data: bytes) -> None:
    """Write *data* into the middle of *file*."""
    with file.open("r+b") as opened:
        opened.seek(start)
        opened.write(data)
