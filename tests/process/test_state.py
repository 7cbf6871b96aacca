"""The state file: what signals remember survives, what cannot be kept is said."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from watchdog.errors import StateError
from watchdog.model import Labels, SignalKey
from watchdog.signals.base import Signal, SignalConfig
from watchdog.state import VERSION, StateFile


class Diary(Signal[SignalConfig]):
    """A signal that remembers whatever it is told."""

    def __init__(self, name: str, **known: Any) -> None:
        super().__init__(SignalKey("a", name, Labels(stream="s")), SignalConfig(every=None), timedelta(0))
        self.known: Mapping[str, Any] = known

    def memory(self) -> Mapping[str, Any]:
        """Return what it knows."""
        return self.known

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Know it again."""
        self.known = memory


def test_what_is_saved_is_recalled_by_the_signal_it_belongs_to(tmp_path: Path) -> None:
    """Two signals of one service keep their memories apart."""
    path = str(tmp_path / "deep" / "state.db")
    first = StateFile(path)
    first.save([Diary("executions", cursor="1-0"), Diary("flag", since="2026")])
    first.save([Diary("executions", cursor="2-0"), Diary("flag", since="2026")])
    first.close()
    executions, flag, new = Diary("executions"), Diary("flag"), Diary("log")
    StateFile(path).recall([executions, flag, new])
    assert (executions.known, flag.known, new.known) == ({"cursor": "2-0"}, {"since": "2026"}, {})


def test_nothing_new_is_not_written_again(tmp_path: Path) -> None:
    """A quiet tick costs no disk."""
    state = StateFile(str(tmp_path / "state.db"))
    state.save([Diary("executions", cursor="1-0")])
    with sqlite3.connect(tmp_path / "state.db") as other:
        other.execute("DELETE FROM memory")
    state.save([Diary("executions", cursor="1-0")])
    with sqlite3.connect(tmp_path / "state.db") as other:
        assert other.execute("SELECT count(*) FROM memory").fetchone() == (0,)


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    """Downgrading must not destroy what a newer program wrote."""
    path = tmp_path / "state.db"
    StateFile(str(path)).close()
    with sqlite3.connect(path) as newer:
        newer.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(StateError, match=f"is of version {VERSION + 1}, newer than this program's {VERSION}"):
        StateFile(str(path))
    assert path.read_bytes() == before


def test_a_disk_that_takes_nothing_is_told_and_loses_nothing_before(tmp_path: Path) -> None:
    """A locked file stands in for a full disk: the error is ours, what was saved stays."""
    state = StateFile(str(tmp_path / "state.db"))
    state.save([Diary("executions", cursor="1-0")])
    blocker = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StateError, match="cannot be written: database is locked"):
        state.save([Diary("executions", cursor="2-0")])
    blocker.execute("ROLLBACK")
    state.save([Diary("executions", cursor="2-0")])
    again = Diary("executions")
    StateFile(str(tmp_path / "state.db")).recall([again])
    assert again.known == {"cursor": "2-0"}
