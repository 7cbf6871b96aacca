"""
How the state file is opened: by one process, in this program's version, and sound.

A file that is broken is set aside whole, never overwritten; what can still be read of it is carried
over into the new one. Of a file of an older version a copy is kept beside it before it is upgraded, so that
there is a way back. A file that is not ours, or of a newer version, is left as it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from watchdog.copies import PATIENCE, copy_over, look_into
from watchdog.errors import StateError

OURS = 0x57444F47
"""Marks a database as a watchdog's state file from version 2 on (``PRAGMA application_id``)."""
MIGRATIONS = (
    """
    CREATE TABLE memory (
      service TEXT NOT NULL, kind TEXT NOT NULL, labels TEXT NOT NULL, json TEXT NOT NULL,
      PRIMARY KEY (service, kind, labels)
    ) WITHOUT ROWID;
    """,
    f"""
    CREATE TABLE kept (
      book TEXT NOT NULL, key TEXT NOT NULL, json TEXT NOT NULL, PRIMARY KEY (book, key)
    ) WITHOUT ROWID;
    INSERT INTO kept SELECT 'memory', json_array(service, kind, labels), json FROM memory;
    DROP TABLE memory;
    CREATE TABLE deliveries (
      id INTEGER PRIMARY KEY, at TEXT NOT NULL, receiver TEXT NOT NULL, outcome TEXT NOT NULL,
      key TEXT NOT NULL, alerts TEXT NOT NULL, json TEXT NOT NULL
    );
    CREATE INDEX deliveries_at ON deliveries (at);
    CREATE INDEX deliveries_key ON deliveries (key);
    PRAGMA application_id = {OURS};
    """,  # noqa: S608 (our own number)
    """
    CREATE TABLE events (
      id INTEGER PRIMARY KEY, at TEXT NOT NULL, service TEXT NOT NULL, what TEXT NOT NULL, json TEXT NOT NULL
    );
    """,
)
"""How to get from each version to the next: version 0 is an empty file."""
VERSION = len(MIGRATIONS)
IMPATIENCE = 0.25
"""The same while running: everything stands still meanwhile, and what is not written stays staged."""
BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
"""SQLite's primary codes for a file that is not as it should be; all others are the disk's or a lock's."""
PARTS = ("", "-wal", "-shm")
NEW = ".new"
"""What a file is called that is to take the place of another."""


def is_broken(error: sqlite3.Error) -> bool:
    """Say whether *error* lies in the file itself, so that trying again is of no use."""
    code = getattr(error, "sqlite_errorcode", None)  # none: Python itself could not read the text
    return code is None or code & 0xFF in BROKEN


def cannot(path: str, what: str, why: object) -> StateError:
    """Return the error for a state file that cannot be used as it should."""
    return StateError(f"the state file {path} cannot {what}: {why} (see state: in rules.yaml)")


def take(path: str) -> int | None:
    """
    Take the file for this process, until it ends; raise StateError if another has it.

    Return what holds it; nobody else can have a file in memory.
    """
    if path == ":memory:":
        return None
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileExistsError as exc:
        raise cannot(path, "be used", f"{Path(path).parent} is no folder") from exc
    except OSError as exc:
        raise cannot(path, "be used", exc.strerror) from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(lock)
        raise StateError(
            f"the state file {path} belongs to a running watchdog (stop it, or name another file in state:)"
        ) from exc
    except OSError as exc:
        os.close(lock)
        raise cannot(path, "be locked", exc.strerror) from exc
    return lock


def connect(path: str, migrations: Sequence[str] = MIGRATIONS) -> sqlite3.Connection:
    """
    Return the file's connection, brought to the program's version by *migrations*; a missing file is made.

    Raise sqlite3.Error if the file is broken or the disk refuses, and StateError if it is not ours to
    use; it is as it was then.
    """
    if path != ":memory:":
        _make(path)
        with contextlib.closing(look_into(path)) as look:
            version = check_version(look, path, len(migrations))
            (sound,) = look.execute("PRAGMA quick_check(1)").fetchone()
            if sound != "ok":
                raise sqlite3.DatabaseError(str(sound))
        if 0 < version < len(migrations):
            _keep_copy(path, version)
    db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        version = check_version(db, path, len(migrations))
        if version < len(migrations):
            if path != ":memory:":
                os.chmod(path, 0o600)  # the first version let others read
            steps = " ".join(migrations[version:])
            db.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {len(migrations)}; COMMIT;")
        db.execute(f"PRAGMA busy_timeout = {int(IMPATIENCE * 1000)}")
    except BaseException:
        db.close()
        raise
    return db


def _make(path: str) -> None:
    """See to it that there is a file, which nobody else can read if it is new."""
    if os.path.isfile(path):
        return
    if os.path.exists(path):
        raise cannot(path, "be used", "it is no file")
    if os.path.exists(path + NEW):  # a renewal that was cut short, just before its last step
        os.rename(path + NEW, path)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def copy_of_before(path: str, version: int) -> str:
    """Return where the copy is that is kept of a file of *version* when it is upgraded."""
    return f"{path}.v{version}"


def _keep_copy(path: str, version: int) -> None:
    """Keep the file as it is beside it; one of an upgrade that failed, or was undone, is replaced."""
    try:
        copy_over(path, copy_of_before(path, version))
    except (sqlite3.Error, OSError) as exc:
        why = f"no copy of it could be made beside it: {said(exc)}"
        raise cannot(path, "be upgraded", why) from exc


def check_version(db: sqlite3.Connection, path: str, newest: int = VERSION) -> int:
    """Return the file's version; raise StateError if it is not ours, or newer than the *newest* we know."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (whose,) = db.execute("PRAGMA application_id").fetchone()
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    ours = whose == OURS if version > 1 else whose == 0 and tables == ({"memory"} if version == 1 else set())
    if not ours:
        raise StateError(f"the state file {path} is another program's database (name another file in state:)")
    if version > newest:
        back = copy_of_before(path, newest)
        way = f"`watchdog state restore {back}`" if os.path.exists(back) else "name another file in state:"
        raise StateError(
            f"the state file {path} is of version {version}, newer than this program's {newest}"
            f" (upgrade the program, or {way})"
        )
    return int(version)


def identity(path: str) -> tuple[int, int] | None:
    """Return what tells the file at *path* from one that has taken its place, or None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def renew(path: str, now: datetime) -> tuple[str | None, int]:
    """
    Put a new file in the place of a broken one, which is set aside whole.

    Return where to (None if there was nothing at all) and how many records could be carried over.
    Until the new file is complete the old one stays where it is. Raise StateError if the disk
    takes no new file.
    """
    if path == ":memory:":
        return None, 0
    fresh = path + NEW
    aside = name_aside(path, "corrupt", now)
    there = any(os.path.exists(path + part) for part in PARTS)
    try:
        for part in PARTS:
            Path(fresh + part).unlink(missing_ok=True)
        with contextlib.closing(connect(fresh)) as db:
            records = legible(path)
            if there:
                records["aside", "latest"] = json.dumps({"name": aside, "at": now.isoformat()})
            db.execute("BEGIN IMMEDIATE")
            rows = [(*place, text) for place, text in records.items()]
            db.executemany("INSERT INTO kept VALUES (?, ?, ?)", rows)
            db.execute("COMMIT")
        put_in_place(fresh, path, aside)
    except (sqlite3.Error, OSError) as exc:
        raise cannot(path, "be read, nor be replaced", said(exc)) from exc
    return (aside, len(records) - 1) if there else (None, 0)


def put_in_place(fresh: str, path: str, aside: str) -> None:
    """Have the whole file *fresh* at *path*, and what was there at *aside*; cut short, `_make` ends it."""
    for part in PARTS:
        with contextlib.suppress(FileNotFoundError):
            os.rename(path + part, aside + part)
    os.rename(fresh, path)


def name_aside(path: str, word: str, now: datetime) -> str:
    """Return a name that is not taken, for a file that was at *path* and is of use to people only."""
    first = f"{path}.{word}-{now:%Y%m%dT%H%M%SZ}"
    others = (f"{first}-{number}" for number in itertools.count(2))
    return next(name for name in itertools.chain((first,), others) if not os.path.exists(name))


def legible(path: str) -> dict[tuple[str, str], str]:
    """
    Return what can still be read of a broken file, by book and key.

    Read from both ends, a broken page in the middle costs no more than what stands on it.
    """
    found: dict[tuple[str, str], str] = {}
    with contextlib.suppress(sqlite3.Error), contextlib.closing(look_into(path)) as db:
        for order in ("ASC", "DESC"):
            sql = f"SELECT book, key, json FROM kept ORDER BY book {order}, key {order}"  # noqa: S608
            with contextlib.suppress(sqlite3.Error):
                for book, key, text in db.execute(sql):
                    if _is_json(text) and isinstance(book, str) and isinstance(key, str):
                        found[book, key] = text
    return found


def _is_json(text: object) -> bool:
    try:
        json.loads(str(text))
    except ValueError:
        return False
    return isinstance(text, str)


def said(error: Exception) -> str:
    """Return what *error* says, without numbers and names of ours."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
