"""Copies of the state file: what stood in it at one moment, in one file, while others go on writing."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

PATIENCE = 5.0
"""Seconds to wait at start for somebody else who reads or copies the file."""
HALF = ".part"
"""What a copy is called until it is whole."""


def look_into(path: str) -> sqlite3.Connection:
    """
    Return a connection that changes nothing, not even by being closed.

    Only a transaction that was cut short it takes back, as whoever comes next would have to.
    """
    mode = "rw" if os.path.exists(path + "-journal") else "ro"
    return sqlite3.connect(f"file:{quote(path)}?mode={mode}", uri=True, timeout=PATIENCE)


def copy_to(path: str, to: str) -> None:
    """
    Copy the database at *path* to *to*, where nothing may be yet; raise FileExistsError if there is.

    Raise OSError or sqlite3.Error if it cannot be copied whole; nothing is left at *to* then.
    """
    os.close(os.open(to, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))  # the name is ours now
    try:
        copy_over(path, to)
    except BaseException:
        Path(to).unlink(missing_ok=True)
        raise


def copy_over(path: str, to: str) -> None:
    """Copy the database at *path* in the place of whatever is at *to*, whole or not at all; it is private."""
    half = Path(to + HALF)
    half.unlink(missing_ok=True)
    file = os.open(half, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        with closing(look_into(path)) as db:
            # In one file, whatever stands in the log beside it, and without the space of what is gone.
            db.execute("VACUUM INTO ?", (str(half),))
        os.fsync(file)
        half.replace(to)
    finally:
        os.close(file)
        half.unlink(missing_ok=True)
    sync_folder(to)


def sync_folder(path: str) -> None:
    """Have it on the disk what the files beside *path* are called."""
    folder = os.open(Path(path).absolute().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
