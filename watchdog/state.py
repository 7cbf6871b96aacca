"""The state file: what signals carry from one process to the next, in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from watchdog.errors import StateError
from watchdog.model import SignalKey
from watchdog.signals.base import Signal

VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS memory (
  service TEXT NOT NULL, kind TEXT NOT NULL, labels TEXT NOT NULL, json TEXT NOT NULL,
  PRIMARY KEY (service, kind, labels)
) WITHOUT ROWID;
"""


class StateFile:
    """One SQLite file in WAL mode; written once a tick, and only what changed."""

    def __init__(self, path: str) -> None:
        """Open or create the file at *path* (``:memory:`` keeps nothing); raise StateError if impossible."""
        self.path = path
        self._saved: dict[SignalKey, str] = {}
        try:
            if path != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=1.0, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise StateError(
                    f"the state file {path} is of version {version}, newer than this program's {VERSION}"
                    " (upgrade the program, or name another file in state:)"
                )
            self._db.executescript(f"{SCHEMA} PRAGMA user_version = {VERSION};")
        except (sqlite3.Error, OSError) as exc:
            raise StateError(
                f"the state file {path} cannot be used: {exc} (see state: in rules.yaml)"
            ) from exc

    def recall(self, signals: Iterable[Signal[Any]]) -> None:
        """Give every signal what it remembered in an earlier process."""
        rows = {
            (service, kind, labels): text
            for service, kind, labels, text in self._db.execute(
                "SELECT service, kind, labels, json FROM memory"
            )
        }
        for signal in signals:
            text = rows.get(_row_key(signal.key))
            if text is not None:
                self._saved[signal.key] = text
                signal.remember(json.loads(text))

    def save(self, signals: Iterable[Signal[Any]]) -> None:
        """Write what signals want remembered, in one transaction; raise StateError if that fails."""
        changed = [(signal.key, _dump(signal.memory())) for signal in signals]
        changed = [(key, text) for key, text in changed if text != "{}" and self._saved.get(key) != text]
        if not changed:
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT INTO memory VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET json = excluded.json",
                [(*_row_key(key), text) for key, text in changed],
            )
            self._db.execute("COMMIT")
        except sqlite3.Error as exc:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise StateError(f"the state file {self.path} cannot be written: {exc}") from exc
        self._saved.update(changed)

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _row_key(key: SignalKey) -> tuple[str, str, str]:
    return key.service, key.kind, _dump(dict(key.labels))


def _dump(found: Mapping[str, Any]) -> str:
    return json.dumps(found, sort_keys=True, separators=(",", ":"))
