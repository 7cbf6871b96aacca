"""
The state file: everything that must outlive the process, in one SQLite file.

The process is the truth and the file its mirror: changes are *staged* as they happen and written
together by `commit`, in one transaction. When the disk takes nothing they stay staged, and a later
commit writes them with what has come since, so that a full disk loses nothing while the process
lives. A file that cannot be read is set aside, never overwritten, and that is told (`set_aside`).

What is kept stands in books, by key: `memory` (of signals), `alerts`, `receipts` (what was told),
`outbox` (messages on their way), `receivers` (how they do), `threads`, `silences`, `acks`, `done`
(what ran when) and `trends` (the curves, in one row). Besides the books there are two logs: what became
of messages, and what happened to services.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import structlog

from watchdog.errors import StateError
from watchdog.opening import cannot, connect, identity, is_broken, renew, said, take

KEEP_DELIVERIES = timedelta(days=30)
MOST_DELIVERIES = 100_000
MOST_UNSAVED_DELIVERIES = 10_000
"""So much of the delivery log is kept in memory while the disk takes nothing."""
PRUNE_EVERY = 1_000
MOST_UNSAVED_EVENTS = 10_000
"""So many events are kept in memory while the disk takes nothing."""
RETRIED = "retried"
"""The outcome of which only the latest record is kept for each message."""
REST = 10.0
"""After a failed commit none is tried for so many times as long as that took: a sick disk slows us little."""
LONGEST_REST = 10.0
"""But for no more seconds than that: once there is room again, all is soon written."""
STAYS_TOLD = timedelta(hours=1)
"""How long a process that starts still knows that an earlier one set the file aside."""
UNREADABLE = (LookupError, TypeError, ValueError, AttributeError)
"""What reading a record raises that is not as it was written."""
FEWER_EVENTS = """
DELETE FROM events WHERE id IN (
  SELECT id FROM (
    SELECT id, at, what,
      row_number() OVER (ORDER BY id DESC) AS of_all,
      row_number() OVER (PARTITION BY service ORDER BY id DESC) AS of_one,
      row_number() OVER (PARTITION BY service, what ORDER BY id DESC) AS of_what
    FROM events
  ) WHERE NOT (what = ? AND of_what = 1) AND (at < ? OR of_one > ? OR of_all > ?)
)
"""
Record = Mapping[str, Any]
Item = TypeVar("Item")
log = structlog.get_logger()


class StateFile:
    """One SQLite file in WAL mode, owned by one process."""

    def __init__(self, path: str, clock: Callable[[], datetime]) -> None:
        """Open or create the file at *path* (``:memory:`` keeps nothing); raise StateError if impossible."""
        self.path = path
        self.clock = clock
        self.set_aside: str | None = None
        self.renewals = 0
        self.unsaved_since: datetime | None = None
        self._staged: dict[tuple[str, str], str | None] = {}
        self._deliveries: dict[object, tuple[str, ...]] = {}
        self._events: list[tuple[str, str, str, str]] = []
        self._fewer_events: tuple[str, str, int, int] | None = None
        self._logged = PRUNE_EVERY  # the first to be written prunes: a process may not live to see so many
        self._failure = ""
        self._rests_until = float("-inf")  # monotonic
        self._closed = False
        self._db: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._lock = take(path)
        try:
            self._connected()
            self._recall_setting_aside()
        except BaseException:
            self.close()
            raise

    # ---- opening -------------------------------------------------------------------------------

    def _connected(self) -> sqlite3.Connection:
        """Return the connection, opening the file if that is still to be done; StateError if impossible."""
        if self._closed:
            raise cannot(self.path, "be used", "it is closed")
        if self._db is None:
            try:
                self._db = self._connect()
            except (sqlite3.Error, OSError) as exc:
                raise cannot(self.path, "be used", said(exc)) from exc
            self._identity = identity(self.path)
        return self._db

    def _connect(self) -> sqlite3.Connection:
        try:
            return connect(self.path)
        except sqlite3.Error as exc:
            if not is_broken(exc):
                raise
            self._replace(str(exc))
            return connect(self.path)

    def _replace(self, why: str) -> None:
        """Put a new file in the place of the one that is there."""
        self.set_aside, rescued = renew(self.path, self.clock())
        self.renewals += 1
        log.error("state_set_aside", path=self.path, aside=self.set_aside, why=why, rescued=rescued)

    def renew(self, why: str) -> None:
        """Set the file aside as unreadable and go on with a new one; raise StateError if that cannot be."""
        self._disconnect()
        self._replace(why)

    def _disconnect(self) -> None:
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):  # it is broken, after all
                self._db.close()
            self._db = None

    def _recall_setting_aside(self) -> None:
        """Know again of a file that was set aside lately: whoever did so may not have lived to tell."""

        def lately(record: Record) -> str | None:
            age = self.clock() - datetime.fromisoformat(record["at"])
            return str(record["name"]) if abs(age) < STAYS_TOLD else None

        found = self.read("aside", lately)
        self.set_aside = self.set_aside or found.get("latest")

    # ---- reading -------------------------------------------------------------------------------

    def book(self, name: str) -> dict[str, Any]:
        """
        Return all that is kept in one book, by key.

        A file whose content cannot be read is set aside like one that cannot be opened; what can be
        read of it counts.
        """
        return self.read(name, lambda record: record)

    def read(self, name: str, form: Callable[[Any], Item]) -> dict[str, Item]:
        """Return all that is kept in one book, by key, as *form* reads it; see `book`."""
        found: dict[str, Item] = {}
        bad: dict[str, str] = {}
        for key, text in self._select("SELECT key, json FROM kept WHERE book = ?", (name,)):
            try:
                found[key] = form(json.loads(text))
            except UNREADABLE as exc:
                bad[key] = f"{type(exc).__name__}: {exc}"
        if bad:
            self.disown(name, bad)
        return found

    def disown(self, name: str, bad: Mapping[str, str]) -> None:
        """Set the file aside since some records of a book, by key, cannot be read, and go on without them."""
        key, why = next(iter(bad.items()))
        self.renew(f"{len(bad)} unreadable in {name}, the first {key}: {why}")
        for key in bad:
            self.stage(name, key, None)

    def _select(self, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        """Return the rows; a broken file is set aside, and what was rescued of it is asked instead."""
        try:
            return self._connected().execute(sql, values).fetchall()
        except sqlite3.Error as exc:
            if not is_broken(exc):
                raise cannot(self.path, "be read", exc) from exc
            self.renew(str(exc))
        try:
            return self._connected().execute(sql, values).fetchall()
        except sqlite3.Error as exc:
            raise cannot(self.path, "be read", exc) from exc

    def deliveries(
        self,
        *,
        receiver: str | None = None,
        fingerprint: str | None = None,
        outcome: str | None = None,
        since: datetime | None = None,
        limit: int = 100,
    ) -> list[Record]:
        """Return what became of messages, as far as it is written, the latest first."""
        wanted = {
            "receiver = ?": receiver,
            "instr(' ' || alerts || ' ', ' ' || ? || ' ') > 0": fingerprint,
            "outcome = ?": outcome,
            "at >= ?": since and _sortable(since),
        }
        given = {clause: value for clause, value in wanted.items() if value is not None}
        where = f"WHERE {' AND '.join(given)}" if given else ""
        sql = f"SELECT json, alerts FROM deliveries {where} ORDER BY id DESC LIMIT ?"  # noqa: S608 (our own clauses)
        rows = self._select(sql, (*given.values(), limit))
        return [{**json.loads(text), "alerts": alerts.split()} for text, alerts in rows]

    def events(self) -> list[Record]:
        """Return what happened, as far as it is written and can be read, in the order it was noted."""
        found: list[Record] = []
        for (text,) in self._select("SELECT json FROM events ORDER BY id", ()):
            with contextlib.suppress(*UNREADABLE):
                found.append(json.loads(text))
        return found

    # ---- writing -------------------------------------------------------------------------------

    def stage(self, book: str, key: str, record: Record | list[Any] | None) -> None:
        """Have *record* kept under *key*, or nothing any more, from the next commit on."""
        if record is not None:
            self._staged[book, key] = _dump(record)
        elif self.unsaved_since is not None and not self._holds(book, key):
            self._staged.pop((book, key), None)  # came and went while nothing could be written
        else:
            self._staged[book, key] = None

    def _holds(self, book: str, key: str) -> bool:
        """Say whether the file may have something under *key*."""
        try:
            asked = self._connected().execute("SELECT 1 FROM kept WHERE book = ? AND key = ?", (book, key))
            return asked.fetchone() is not None
        except (sqlite3.Error, StateError):
            return True

    def log_delivery(self, at: datetime, receiver: str, outcome: str, key: str, record: Record) -> None:
        """
        Have it kept what became of a message, from the next commit on.

        Of its failed attempts only the latest is kept, so that an outage of days does not fill the log.
        """
        alerts = " ".join(record.get("alerts", ()))
        text = _dump({name: found for name, found in record.items() if name != "alerts"})
        place: object = (receiver, key) if outcome == RETRIED else object()
        self._deliveries.pop(place, None)
        self._deliveries[place] = (_sortable(at), receiver, outcome, key, alerts, text)

    def log_event(self, at: datetime, service: str, what: str, record: Record) -> None:
        """Have it kept that *what* happened to *service*, from the next commit on."""
        self._events.append((_sortable(at), service, what, _dump(record)))

    def forget_events(self, before: datetime, of_one: int, of_all: int, keep_last: str) -> None:
        """
        Drop with the next commit events of *before*, and the oldest of too many.

        What is kept in any case is each service's last event of what *keep_last* says.
        """
        self._fewer_events = keep_last, _sortable(before), of_one, of_all

    def forget_unsaved_events(self) -> None:
        """Leave out the events that are not written yet; whoever asks for it notes them anew."""
        self._events.clear()

    def commit(self) -> None:
        """
        Write all that is staged, in one transaction; raise StateError if that fails.

        What could not be written stays staged. A file found broken, or gone, is set aside.
        """
        if not self._staged and not self._deliveries and not self._events:
            return
        began = time.monotonic()
        if began < self._rests_until:
            raise StateError(self._failure)
        try:
            self._write()
        except StateError as exc:
            self._failure = str(exc)
            ended = time.monotonic()
            self._rests_until = ended + min(LONGEST_REST, REST * (ended - began))
            self.unsaved_since = self.unsaved_since or self.clock()
            for place in list(self._deliveries)[:-MOST_UNSAVED_DELIVERIES]:
                del self._deliveries[place]
            del self._events[:-MOST_UNSAVED_EVENTS]
            raise
        self._staged.clear()
        self._deliveries.clear()
        self._events.clear()
        self._fewer_events = None
        self.unsaved_since = None

    def _write(self) -> None:
        for again in (True, False):
            db = self._connected()
            if identity(self.path) != self._identity:
                self.renew("it was removed or replaced while in use")
                db = self._connected()
            try:
                with _transaction(db):
                    gone = [key for key, text in self._staged.items() if text is None]
                    kept = [(*key, text) for key, text in self._staged.items() if text is not None]
                    db.executemany("DELETE FROM kept WHERE book = ? AND key = ?", gone)
                    db.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", kept)
                    self._write_deliveries(db)
                    self._write_events(db)
                    return
            except sqlite3.Error as exc:
                if not is_broken(exc) or not again:
                    raise cannot(self.path, "be written", exc) from exc
                self.renew(str(exc))

    def _write_deliveries(self, db: sqlite3.Connection) -> None:
        if not self._deliveries:
            return
        rows = list(self._deliveries.values())
        again = [(key, receiver) for _, receiver, outcome, key, *_ in rows if outcome == RETRIED]
        db.executemany(
            f"DELETE FROM deliveries WHERE key = ? AND receiver = ? AND outcome = '{RETRIED}'",  # noqa: S608
            again,
        )
        db.executemany(
            "INSERT INTO deliveries (at, receiver, outcome, key, alerts, json) VALUES (?, ?, ?, ?, ?, ?)",
            rows,
        )
        self._logged += len(rows)
        if self._logged >= PRUNE_EVERY:
            self._logged = 0
            db.execute("DELETE FROM deliveries WHERE at < ?", (_sortable(self.clock() - KEEP_DELIVERIES),))
            newest = "SELECT id FROM deliveries ORDER BY id DESC LIMIT 1 OFFSET ?"
            db.execute(f"DELETE FROM deliveries WHERE id <= ({newest})", (MOST_DELIVERIES,))  # noqa: S608

    def _write_events(self, db: sqlite3.Connection) -> None:
        db.executemany("INSERT INTO events (at, service, what, json) VALUES (?, ?, ?, ?)", self._events)
        if self._fewer_events is not None:
            db.execute(FEWER_EVENTS, self._fewer_events)

    def close(self) -> None:
        """Close the file for good; somebody else may have it now."""
        self._closed = True
        self._disconnect()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # the disk may have ended it already
            db.execute("ROLLBACK")
        raise


def _dump(record: Record | list[Any]) -> str:
    """Return *record* in ASCII, which has a form even for signs that UTF-8 has none for, in its own order."""
    return json.dumps(record, separators=(",", ":"), default=str)


def _sortable(moment: datetime) -> str:
    """Return *moment* as text that sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
