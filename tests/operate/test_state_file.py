"""The state file over years: copies while it is in use, upgrades, and the ways back."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.crashed import full_disk, overwrite
from tests.drawn import T0, ids, rows
from tests.process.conftest import typed
from watchdog.config import Config, parse
from watchdog.errors import StateError
from watchdog.holdings import back_up, examine, restore
from watchdog.opening import MIGRATIONS, VERSION, connect
from watchdog.sidecar import Sidecar
from watchdog.state import StateFile

STATES = Path(__file__).parent / "states"
"""What the programs of before left behind, of each version the file ever had: made by themselves, dumped."""
DUMPED = datetime(2026, 11, 23, 6, 5, tzinfo=UTC)
"""Some minutes after that."""
RULES = """
services:
  dead: {heartbeat: {key: "beat:dead", ttl: 30s}}
  quiet: {heartbeat: {key: "beat:quiet", ttl: 30s}}
  alive: {heartbeat: {key: "beat:alive", ttl: 3000s}}
  billing: {consumes: {stream: orders, group: billing}, flag: {key: kill}}
rules:
  - {alert: Gone, when: heartbeat.present == 0, severity: critical}
receivers:
  taken: {webhook: {url: "http://127.0.0.1:1/taken"}}
  away: {webhook: {url: "http://127.0.0.1:1/away"}}
"""
ROOM = 4096 * 9
"""A little more than what SQLite needs beside a file for looking into it."""
NEXT = (*MIGRATIONS, "CREATE TABLE later (id INTEGER PRIMARY KEY); ALTER TABLE events ADD COLUMN more TEXT;")
"""A schema as the next program may have it."""


def clock() -> datetime:
    """Say that it is some minutes after the files were left."""
    return DUMPED


@pytest.fixture
def config() -> Config:
    """What the programs watched that left the files."""
    return parse(RULES)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the file is to be."""
    return str(tmp_path / "state.db")


def left(version: int, path: str) -> None:
    """Put the file at *path* that a program of *version* left."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript((STATES / f"{version}.sql").read_text())
        db.execute("PRAGMA journal_mode=WAL")


def fill(path: str) -> None:
    """Have the file grow beyond `ROOM`."""
    with closing(sqlite3.connect(path)) as db:
        text = '"' + "x" * 90 + '"'
        db.executemany("INSERT INTO kept VALUES ('x', ?, ?)", [(str(i), text) for i in range(999)])
        db.commit()


def content(path: str) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every table."""
    with closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: db.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in tables}


def known(config: Config, state: StateFile) -> dict[str, object]:
    """Return what a sidecar knows that takes up *state*."""
    sidecar = Sidecar(config, clock, state)
    firing = {labels["service"] for labels, alert in sidecar.alerts.items() if alert.firing}
    signals = {
        key.kind: signal.memory() or {}
        for key, signal in sidecar.fleet.signals.items()
        if key.service in ("alive", "billing")
    }
    return {
        "firing": sorted(firing),
        "silenced": [silence.comment for silence in sidecar.wishes.silences.values()],
        "acknowledged": [ack.comment for ack in sidecar.wishes.acks.values()],
        "undelivered": [message.group["service"] for message in sidecar.outbox.waiting("away")],
        "told": sorted(f"{name} {mark[:4]}" for name, mark in sidecar.receipts),
        "beat": signals["heartbeat"].get("last_beat", ""),
        "flag": "2026-11-23T0" in str(signals["flag"]),
    }


WHOLE = {
    "firing": ["dead", "quiet"],
    "silenced": ["being moved"],
    "acknowledged": ["seen"],
    "undelivered": ["dead", "quiet"],
    "told": ["away 2c0e", "away bdeb", "taken 2c0e", "taken bdeb"],
    "flag": True,
}
ONLY_SIGNALS = {"firing": [], "silenced": [], "acknowledged": [], "undelivered": [], "told": [], "flag": True}


# ---- upgrades ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", range(1, VERSION + 1))
def test_a_file_of_every_version_is_taken_up(config: Config, path: str, version: int) -> None:
    """Nothing that fires, is silenced, acknowledged, told or undelivered is lost; the first kept signals only."""
    left(version, path)
    before = content(path)
    state = StateFile(path, clock)
    found = known(config, state)
    assert str(found.pop("beat")).startswith("2026-11-23T0")
    assert found == (WHOLE if version > 1 else ONLY_SIGNALS)
    state.close()
    assert (state.set_aside, examine(path).version) == (None, VERSION)
    copy = Path(f"{path}.v{version}")
    assert copy.exists() is (version < VERSION)
    if copy.exists():
        assert (content(str(copy)), copy.stat().st_mode & 0o777) == (before, 0o600)


def test_there_is_a_file_of_every_version() -> None:
    """Whoever changes the schema leaves one of the version before here; how, says docs/how-to/upgrade.md."""
    assert sorted(file.stem for file in STATES.iterdir()) == [str(n) for n in range(1, VERSION + 1)]


def test_an_upgrade_that_fails_leaves_the_file_as_it_was(path: str) -> None:
    """However far it had come: all steps are one transaction, and the copy is there as well."""
    left(2, path)
    before = content(path)
    with pytest.raises(sqlite3.Error):
        connect(path, (*NEXT, "THIS IS NO SQL"))
    assert content(path) == before == content(f"{path}.v2")
    assert examine(path).version == 2
    connect(path, NEXT).close()


def test_an_upgrade_without_room_for_a_copy_is_not_begun(path: str, tmp_path: Path) -> None:
    """Without the copy there would be no way back; the program of before still has its file."""
    left(2, path)
    fill(path)
    before = content(path)
    with full_disk(ROOM), pytest.raises(StateError) as error:
        StateFile(path, clock)
    assert str(error.value).startswith(
        f"the state file {path} cannot be upgraded: no copy of it could be made beside it: "
    )
    assert content(path) == before
    assert {file.name for file in tmp_path.iterdir()} <= {
        "state.db",
        "state.db-wal",
        "state.db-shm",
        "state.db.lock",
    }


# ---- the way back ------------------------------------------------------------------------------


def test_an_older_program_has_its_file_back(config: Config, path: str) -> None:
    """It refuses the newer one, says where the copy is, and goes on with that as if nothing had been."""
    left(VERSION, path)
    connect(path, NEXT).close()
    with pytest.raises(StateError) as error:
        StateFile(path, clock)
    assert str(error.value) == (
        f"the state file {path} is of version {VERSION + 1}, newer than this program's {VERSION}"
        f" (upgrade the program, or `watchdog state restore {path}.v{VERSION}`)"
    )
    ran = typed("state", "restore", f"{path}.v{VERSION}", "--state", path)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith(f"{path}: restored from {path}.v{VERSION}; what was there is {path}.replaced-")
    state = StateFile(path, clock)
    found = known(config, state)
    assert {name: found[name] for name in WHOLE} == WHOLE
    state.close()


def test_a_second_upgrade_keeps_the_newer_copy(path: str) -> None:
    """Whoever went back and forth wants what was there last."""
    left(2, path)
    StateFile(path, clock).close()
    restore(f"{path}.v2", path, T0)
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO kept VALUES ('done', 'late', '{}')")
    db.close()
    StateFile(path, clock).close()
    assert ("done", "late", "{}") in content(f"{path}.v2")["kept"]


# ---- backups -----------------------------------------------------------------------------------


def test_a_backup_is_one_moment_of_a_file_in_use(path: str, tmp_path: Path) -> None:
    """Committed is in it, also what is only in the log yet; staged is not. Nobody else can read it."""
    state = StateFile(path, clock)
    state.stage("alerts", "a", {"n": 1})
    state.log_event(T0, "a", "firing", {"text": "it burns"})
    state.commit()
    state.stage("alerts", "b", {"n": 2})
    before = os.umask(0)
    ran = typed("state", "backup", str(tmp_path / "copy.db"), "--state", path)
    os.umask(before)
    assert (ran.status, ran.out, ran.err) == (0, f"{tmp_path / 'copy.db'}\n", "")
    copy = tmp_path / "copy.db"
    assert (copy.stat().st_mode & 0o777, list(tmp_path.glob("copy.db*"))) == (0o600, [copy])
    state.commit()
    state.close()
    again = StateFile(str(copy), clock)
    assert (again.book("alerts"), again.events()) == ({"a": {"n": 1}}, [{"text": "it burns"}])
    again.close()


def test_a_backup_into_a_folder_has_the_moment_in_its_name(path: str, tmp_path: Path) -> None:
    """So that one line in a crontab is enough."""
    left(3, path)
    ran = typed("state", "backup", str(tmp_path), "--state", path)
    name = Path(ran.out.strip()).name
    assert datetime.strptime(name, "state.db-%Y%m%dT%H%M%SZ")
    assert content(str(tmp_path / name)) == content(path)


REFUSED = """
  to                 | why
  what is there      | there is something at {to} already (a backup never overwrites)
  no folder/x        | the state file {path} cannot be copied to {to}: No such file or directory
"""


@pytest.mark.parametrize(("to", "why"), rows(REFUSED), ids=ids(REFUSED))
def test_a_backup_that_cannot_be_is_one_sentence(path: str, tmp_path: Path, to: str, why: str) -> None:
    """And nothing is overwritten, nothing left behind."""
    left(3, path)
    (tmp_path / "what is there").write_text("of value")
    target = str(tmp_path / to)
    ran = typed("state", "backup", target, "--state", path)
    assert (ran.status, ran.out, ran.err) == (1, "", why.format(path=path, to=target) + "\n")
    assert (tmp_path / "what is there").read_text() == "of value"
    assert not list(tmp_path.glob("*.part"))


def test_a_backup_without_room_leaves_nothing(path: str, tmp_path: Path) -> None:
    """Half a copy would be taken for one."""
    left(3, path)
    fill(path)
    with full_disk(ROOM), pytest.raises(StateError, match="cannot be copied to"):
        back_up(path, str(tmp_path / "copy"))
    assert not list(tmp_path.glob("copy*"))


# ---- putting back ------------------------------------------------------------------------------


def test_what_is_put_back_is_not_mixed_with_what_was_there(path: str, tmp_path: Path) -> None:
    """An old log beside it would be taken for its own; and what was there is still to be had."""
    left(3, path)
    back_up(path, str(tmp_path / "copy"))
    state = StateFile(path, clock)
    state.stage("done", "late", {})
    state.commit()
    log = Path(f"{path}-wal").read_bytes()
    state.close()
    Path(f"{path}-wal").write_bytes(log)  # as after a kill
    aside = restore(str(tmp_path / "copy"), path, T0)
    assert aside == f"{path}.replaced-20260219T010000Z"
    assert content(path) == content(str(tmp_path / "copy"))
    assert "late" in StateFile(str(aside), clock).book("done")
    assert Path(path).stat().st_mode & 0o777 == 0o600


def test_a_running_sidecar_keeps_its_file(path: str, tmp_path: Path) -> None:
    """It would go on writing into what was set aside."""
    left(3, path)
    back_up(path, str(tmp_path / "copy"))
    state = StateFile(path, clock)
    with pytest.raises(StateError, match=r"belongs to a running watchdog \(stop it, or "):
        restore(str(tmp_path / "copy"), path, T0)
    assert state.set_aside is None
    state.close()


UNFIT = """
  copy       | why
  broken     | cannot be read: database disk image is malformed
  newer      | is of version 4, newer than this program's 3
  others     | is another program's database
  missing    | there is no state file
  text       | cannot be read: file is not a database
  itself     | is the state file itself (name a copy of it)
"""


@pytest.mark.parametrize(("copy", "why"), rows(UNFIT), ids=ids(UNFIT))
def test_what_is_no_good_copy_is_not_put_back(path: str, tmp_path: Path, copy: str, why: str) -> None:
    """One sentence, and the file is as it was."""
    left(3, path)
    before = content(path)
    other = str(tmp_path / copy)
    if copy in ("broken", "newer"):
        back_up(path, other)
    if copy == "broken":
        overwrite(Path(other), 4096 * 2, b"\xff" * 4096)
    elif copy == "newer":
        connect(other, NEXT).close()
    elif copy == "others":
        with closing(sqlite3.connect(other)) as db:
            db.execute("CREATE TABLE orders (id)")
    elif copy == "text":
        Path(other).write_text("not a database" * 99)
    elif copy == "itself":
        other = path
    ran = typed("state", "restore", other, "--state", path)
    assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert why in ran.err
    assert content(path) == before
    assert not list(tmp_path.glob("state.db.replaced*"))


# ---- looking -----------------------------------------------------------------------------------


def test_check_says_what_is_in_it(path: str, tmp_path: Path) -> None:
    """In use or not; where it is, the rules say; what stands beside it is named."""
    left(2, path)
    StateFile(path, clock).close()
    rules = tmp_path / "rules.yaml"
    rules.write_text(f'state: "{path}"\nservices: {{}}\nredis: "${{NOT_SET_HERE}}"\n')
    state = StateFile(path, clock)
    ran = typed("state", "check", "--rules", str(rules))
    state.close()
    lines = ran.out.splitlines()
    assert (ran.status, ran.err) == (0, "")
    assert lines[0].startswith(f"{path}: sound, version 3, ")
    assert {"  alerts              5", "  outbox              2", "  deliveries          3"} <= set(lines)
    assert lines[-1].startswith("  beside it: state.db.v2, ")
    as_json = typed("state", "check", "--rules", str(rules), "--format", "json").json
    assert (as_json["books"]["silences"], as_json["problems"]) == (1, [])


def test_check_says_what_is_broken(path: str) -> None:
    """A page that is no page, and a record that nobody can read."""
    left(3, path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE kept SET json = 'nothing' WHERE book = 'acks'")
    db.close()
    ran = typed("state", "check", "--state", path)
    assert (ran.status, ran.err) == (1, "")
    assert "  problem: 1 of 1 records in acks cannot be read\n" in ran.out
    assert f"{path}: broken, version 3, " in ran.out


@pytest.mark.parametrize("state", ["null", '":memory:"'])
def test_no_state_file_is_one_sentence(tmp_path: Path, state: str) -> None:
    """Whoever keeps nothing has nothing to copy."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(f"state: {state}\nservices: {{}}\n")
    ran = typed("state", "check", "--rules", str(rules))
    assert (ran.status, ran.err) == (1, f"{rules} keeps no state (`state` is null or :memory:)\n")
