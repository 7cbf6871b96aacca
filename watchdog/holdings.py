"""
What people do with a state file: look what is in it, keep a copy, put one back.

Looking and copying go on beside a running sidecar and change nothing. Putting back needs the file for itself;
what was there is set aside.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from watchdog.copies import copy_over, copy_to, look_into
from watchdog.errors import StateError
from watchdog.opening import NEW, cannot, check_version, name_aside, put_in_place, said, take

MOST_PROBLEMS = 20
LOGS = ("deliveries", "events")
"""The two tables that are no books."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """
    What is in a state file: records by book, and how many rows its two logs have.

    *size* is that of the file, *log_size* that of what is written and not yet in it, both in bytes.
    *problems* says what of it is broken; *beside* names the copies that stand beside it, with their sizes.
    """

    path: str
    version: int
    size: int
    log_size: int
    books: Mapping[str, int]
    logs: Mapping[str, int]
    problems: tuple[str, ...]
    beside: Mapping[str, int]


def examine(path: str) -> Holdings:
    """Return what is in the file at *path*; raise StateError if it is none of ours, or cannot be read."""
    if not os.path.isfile(path):
        raise StateError(f"there is no state file {path} (name the sidecar's with --state)")
    try:
        with closing(look_into(path)) as db:
            return _examined(db, path)
    except sqlite3.Error as exc:
        raise StateError(f"the state file {path} cannot be read: {said(exc)}") from exc


def _examined(db: sqlite3.Connection, path: str) -> Holdings:
    db.execute("BEGIN")  # all of it as of one moment
    version = check_version(db, path)
    problems = [text for (text,) in db.execute(f"PRAGMA integrity_check({MOST_PROBLEMS})") if text != "ok"]
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    books: dict[str, int] = {}
    if "memory" in tables:  # the first version
        (books["memory"],) = db.execute("SELECT count(*) FROM memory").fetchone()
    for book, count, bad in (
        db.execute("SELECT book, count(*), total(NOT json_valid(json)) FROM kept GROUP BY book ORDER BY book")
        if "kept" in tables
        else ()
    ):
        books[book] = count
        if bad:
            problems.append(f"{int(bad)} of {count} records in {book} cannot be read")
    logs = {
        name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608 (our own names)
        for name in LOGS
        if name in tables
    }
    size, log_size = (_size(path + part) for part in ("", "-wal"))
    return Holdings(path, version, size, log_size, books, logs, tuple(problems), _beside(path))


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _beside(path: str) -> Mapping[str, int]:
    """Return the files that the watchdog set aside or keeps beside *path*."""
    file = Path(path)
    kinds = (".v", ".corrupt-", ".replaced-")
    found = sorted(
        other.name
        for kind in kinds
        for other in file.absolute().parent.glob(f"{_literally(file.name)}{kind}*")
        if not other.name.endswith(("-wal", "-shm"))
    )
    return {name: _size(str(file.with_name(name))) for name in found}


def _literally(name: str) -> str:
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in name)


def back_up(path: str, to: str) -> Holdings:
    """
    Copy the file at *path*, in use or not, to *to*, where nothing may be yet; return what is in the copy.

    Raise StateError in one sentence if that cannot be, or if the file is broken.
    """
    _sound(examine(path))
    try:
        copy_to(path, to)
    except FileExistsError as exc:
        raise StateError(f"there is something at {to} already (a backup never overwrites)") from exc
    except (OSError, sqlite3.Error) as exc:
        raise StateError(f"the state file {path} cannot be copied to {to}: {said(exc)}") from exc
    return examine(to)


def restore(copy: str, path: str, now: datetime) -> str | None:
    """
    Put *copy* in the place of the file at *path*, which no running sidecar may have.

    Return where what was there is now, or None if there was nothing. Raise StateError, and leave all as it
    was, if *copy* is broken, newer than this program, or the disk has no room.
    """
    _sound(examine(copy))
    if os.path.exists(path) and os.path.samefile(copy, path):
        raise StateError(f"{copy} is the state file itself (name a copy of it)")
    lock = take(path)
    try:
        there = os.path.exists(path)
        aside = name_aside(path, "replaced", now)
        copy_over(copy, path + NEW)
        _hand_over(path)
        put_in_place(path + NEW, path, aside)
    except (OSError, sqlite3.Error) as exc:
        raise cannot(path, f"be replaced by {copy}", said(exc)) from exc
    finally:
        if lock is not None:
            os.close(lock)
    return aside if there else None


def _sound(found: Holdings) -> None:
    if found.problems:
        count = len(found.problems)
        more = f" and {count - 1} more" if count > 1 else ""
        raise StateError(f"the state file {found.path} is broken: {found.problems[0]}{more}")


def _hand_over(path: str) -> None:
    """Give what root makes here to whom the old file, or else the folder, belongs: the sidecar's user."""
    if os.geteuid() != 0:
        return
    owner = os.stat(path) if os.path.exists(path) else os.stat(Path(path).absolute().parent)
    for made in (path + NEW, f"{path}.lock"):
        with contextlib.suppress(FileNotFoundError):
            os.chown(made, owner.st_uid, owner.st_gid)
