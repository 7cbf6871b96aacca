"""The state file: what is staged survives, what cannot be kept is said, what is broken is set aside."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.crashed import crash_image, full_disk, overwrite
from tests.drawn import T0, ids, minutes, rows
from watchdog.errors import StateError
from watchdog.state import KEEP_DELIVERIES, MOST_DELIVERIES, MOST_UNSAVED_DELIVERIES, STAYS_TOLD, StateFile

VERSION_1 = """
CREATE TABLE IF NOT EXISTS memory (
  service TEXT NOT NULL, kind TEXT NOT NULL, labels TEXT NOT NULL, json TEXT NOT NULL,
  PRIMARY KEY (service, kind, labels)
) WITHOUT ROWID;
PRAGMA user_version = 1;
"""
"""The first schema, as the program that had it wrote it."""
VERSION_2 = """
CREATE TABLE kept (
  book TEXT NOT NULL, key TEXT NOT NULL, json TEXT NOT NULL, PRIMARY KEY (book, key)
) WITHOUT ROWID;
CREATE TABLE deliveries (
  id INTEGER PRIMARY KEY, at TEXT NOT NULL, receiver TEXT NOT NULL, outcome TEXT NOT NULL,
  key TEXT NOT NULL, alerts TEXT NOT NULL, json TEXT NOT NULL
);
CREATE INDEX deliveries_at ON deliveries (at);
CREATE INDEX deliveries_key ON deliveries (key);
PRAGMA application_id = 1464094535;
PRAGMA user_version = 2;
INSERT INTO kept VALUES ('done', 'monday', '{"at":"2026-02-16T08:00:00+00:00"}');
"""
"""The second one, before there were events."""
PAGE = 4096
MANY = 4_000
"""So many records fill some hundred pages."""


class Hands:
    """A clock that stands until it is set."""

    def __init__(self, time: datetime = T0) -> None:
        self.time = time

    def __call__(self) -> datetime:
        """Return what the hands show."""
        return self.time


@pytest.fixture
def hands() -> Hands:
    """A clock at `T0`."""
    return Hands()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is to be."""
    return tmp_path / "state.db"


@pytest.fixture
def open_state(path: Path, hands: Hands) -> Iterator[Callable[[], StateFile]]:
    """Open the file; whatever is left open is closed in the end."""
    opened: list[StateFile] = []

    def open_() -> StateFile:
        opened.append(StateFile(str(path), hands))
        return opened[-1]

    yield open_
    for state in opened:
        state.close()


Open = Callable[[], StateFile]


def files(path: Path) -> dict[str, bytes]:
    """Return what stands in the file and those beside it, as far as it matters."""
    found = {file.name: file.read_bytes() for file in path.parent.iterdir() if not file.name.endswith("-shm")}
    return {name: content for name, content in found.items() if content}


def fill(state: StateFile, count: int = MANY) -> dict[str, dict[str, object]]:
    """Keep many records in two books and return those of the first."""
    kept: dict[str, dict[str, object]] = {f"{i:06}": {"text": f"{i} " * 20} for i in range(count)}
    for key, record in kept.items():
        state.stage("alerts", key, record)
        state.stage("receipts", key, record)
    state.commit()
    return kept


# ---- what is kept ------------------------------------------------------------------------------


def test_what_is_staged_is_kept_from_the_commit_on(open_state: Open, path: Path) -> None:
    """Not before; what is staged as nothing is gone; books do not mix."""
    state = open_state()
    state.stage("alerts", "a", {"n": 1})
    state.stage("silences", "a", {"n": 2})
    assert state.book("alerts") == {}
    state.commit()
    state.stage("alerts", "b", {"n": 3})
    state.stage("alerts", "a", {"n": 4})
    state.stage("silences", "a", None)
    state.commit()
    state.stage("alerts", "c", {"n": 5})
    state.close()
    again = open_state()
    assert again.book("alerts") == {"a": {"n": 4}, "b": {"n": 3}}
    assert again.book("silences") == {}
    assert (again.set_aside, again.renewals, again.unsaved_since) == (None, 0, None)


def test_a_commit_is_whole_or_not_at_all(open_state: Open, path: Path, tmp_path: Path, hands: Hands) -> None:
    """What a power cut leaves, at any length of the write-ahead log, is a state between two commits."""
    state = open_state()
    for step in range(4):
        for name in ("alerts", "receipts", "outbox"):
            state.stage(name, "1", {"step": step, "text": "x" * 2000})
        state.commit()
    image = crash_image(path, tmp_path / "image.db")
    log = Path(f"{image}-wal").read_bytes()
    found = set()
    for length in (*range(0, len(log), PAGE // 2), len(log)):
        copy = tmp_path / f"{length}.db"
        shutil.copyfile(image, copy)
        Path(f"{copy}-wal").write_bytes(log[:length])
        recovered = StateFile(str(copy), hands)
        steps = {
            name: recovered.book(name).get("1", {}).get("step") for name in ("alerts", "receipts", "outbox")
        }
        recovered.close()
        assert len(set(steps.values())) == 1, steps
        found |= set(steps.values())
    assert {0, 1, 2, 3} <= found


def test_a_quiet_tick_writes_nothing(open_state: Open, path: Path) -> None:
    """Neither file changes, not even its time."""
    state = open_state()
    state.stage("alerts", "a", {"n": 1})
    state.commit()
    before = files(path), path.stat().st_mtime_ns, Path(f"{path}-wal").stat().st_mtime_ns
    state.commit()
    assert (files(path), path.stat().st_mtime_ns, Path(f"{path}-wal").stat().st_mtime_ns) == before


def test_nobody_else_can_read_it(tmp_path: Path, hands: Hands) -> None:
    """Whatever the umask; the folder is made where it is missing."""
    before = os.umask(0)
    try:
        state = StateFile(str(tmp_path / "deep" / "er" / "state.db"), hands)
        state.stage("alerts", "a", {})
        state.commit()
        modes = {found.name: found.stat().st_mode & 0o777 for found in (tmp_path / "deep" / "er").iterdir()}
        state.close()
    finally:
        os.umask(before)
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600, "state.db.lock": 0o600}


def test_what_is_closed_stays_closed(open_state: Open, path: Path) -> None:
    """It may be somebody else's by now."""
    state = open_state()
    state.close()
    state.stage("alerts", "a", {})
    for use in (state.commit, state.deliveries, lambda: state.book("alerts")):
        with pytest.raises(StateError, match="cannot be used: it is closed"):
            use()
    open_state()


# ---- versions ----------------------------------------------------------------------------------


def old_file(path: Path, *memories: tuple[str, str, str, str]) -> None:
    """Make a file as the first version did, readable by everybody."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode=WAL")
    db.executescript(VERSION_1)
    db.executemany("INSERT INTO memory VALUES (?, ?, ?, ?)", memories)
    db.commit()
    db.close()
    path.chmod(0o644)


def test_a_file_of_the_first_version_goes_on(open_state: Open, path: Path) -> None:
    """What signals remembered is still there; from now on it is private."""
    old_file(
        path,
        ("execution", "executions", '{"stream":"out"}', '{"cursor":"1-0"}'),
        ("a", "flag", '{"key":"\\u00e9"}', "{}"),
    )
    state = open_state()
    assert state.book("memory") == {
        '["execution","executions","{\\"stream\\":\\"out\\"}"]': {"cursor": "1-0"},
        '["a","flag","{\\"key\\":\\"\\\\u00e9\\"}"]': {},
    }
    assert (state.set_aside, path.stat().st_mode & 0o777) == (None, 0o600)
    state.close()
    assert len(open_state().book("memory")) == 2


def test_a_file_of_the_second_version_goes_on(open_state: Open, path: Path) -> None:
    """All that was kept is still there, and events can be."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_2)
    state = open_state()
    assert (state.book("done"), state.events()) == ({"monday": {"at": "2026-02-16T08:00:00+00:00"}}, [])
    state.log_event(T0, "a", "firing", {"text": "it burns"})
    state.commit()
    state.close()
    again = open_state()
    assert (again.set_aside, again.events()) == (None, [{"text": "it burns"}])


def test_a_migration_without_room_leaves_the_old_file(open_state: Open, path: Path) -> None:
    """One sentence, and the next start has all of it."""
    old_file(path, *(("a", "flag", f'{{"key":"{i}"}}', "{}") for i in range(1_000)))
    with (
        full_disk(PAGE * 4),
        pytest.raises(StateError, match=r"^the state file .* cannot be used: .*\(see state: "),
    ):
        open_state()
    assert len(open_state().book("memory")) == 1_000


def test_a_file_of_a_newer_version_is_left_alone(open_state: Open, path: Path) -> None:
    """Downgrading must not destroy what a newer program wrote."""
    open_state().close()
    with sqlite3.connect(path) as newer:
        (version,) = newer.execute("PRAGMA user_version").fetchone()
        newer.execute(f"PRAGMA user_version = {version + 1}")
    newer.close()
    before = files(path)
    with pytest.raises(StateError) as error:
        open_state()
    assert str(error.value) == (
        f"the state file {path} is of version {version + 1}, newer than this program's {version}"
        " (upgrade the program, or name another file in state:)"
    )
    assert files(path) == before


OTHERS = """
  the other program's database
  CREATE TABLE orders (id)
  CREATE TABLE kept (id); PRAGMA user_version = 2
  CREATE TABLE memory (id); CREATE TABLE orders (id); PRAGMA user_version = 1
  PRAGMA user_version = 40
"""


@pytest.mark.parametrize("schema", [row[0] for row in rows(OTHERS)], ids=ids(OTHERS))
def test_another_programs_database_is_left_alone(open_state: Open, path: Path, schema: str) -> None:
    """A slip in `state:` must not cost somebody else their data."""
    other = sqlite3.connect(path)
    other.executescript(schema)
    other.close()
    before = files(path)
    with pytest.raises(StateError) as error:
        open_state()
    assert str(error.value) == (
        f"the state file {path} is another program's database (name another file in state:)"
    )
    assert files(path) == before


# ---- broken files ------------------------------------------------------------------------------


def garbage(path: Path) -> None:
    """Replace it with what is no database."""
    path.write_bytes(b"not a database at all, but long enough to be taken for one" * 20)


def header(path: Path) -> None:
    """Break its first bytes."""
    overwrite(path, 0, b"\xff" * 40)


def middle(path: Path) -> None:
    """Break a page in its middle."""
    overwrite(path, path.stat().st_size // 2 // PAGE * PAGE, b"\xff" * PAGE)


def truncated(path: Path) -> None:
    """Cut off its second half."""
    os.truncate(path, path.stat().st_size // 2 // PAGE * PAGE)


def unreadable(path: Path) -> None:
    """Make one of its records something that is no JSON, and another no text."""
    with sqlite3.connect(path) as db:
        db.execute("UPDATE kept SET json = '{\"text\": ' WHERE book = 'alerts' AND key = '000007'")
        db.execute("UPDATE kept SET json = CAST(x'22ff80' AS TEXT) WHERE book = 'alerts' AND key = '000009'")
    db.close()


def tableless(path: Path) -> None:
    """Drop its table."""
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE kept")
    db.close()


BREAKS = {
    garbage: (0, "file is not a database"),
    header: (0, "file is not a database"),
    middle: (MANY - 60, "malformed|btreeInitPage"),
    truncated: (0, "malformed"),
    unreadable: (MANY - 2, "1 unreadable in alerts, the first 000007|Could not decode"),
    tableless: (0, "no such table: kept"),
}
"""Each way of breaking a file, how many records can be saved at least, and what is said."""


@pytest.mark.parametrize(
    ("how", "at_least", "why"),
    [(how, *more) for how, more in BREAKS.items()],
    ids=[f.__name__ for f in BREAKS],
)
def test_a_broken_file_is_set_aside_whole_and_told(
    open_state: Open, path: Path, how: Callable[[Path], None], at_least: int, why: str
) -> None:
    """A new one begins with what can still be read; the old one is there for whoever wants to look."""
    state = open_state()
    kept = fill(state)
    state.close()
    how(path)
    broken = path.read_bytes()
    with capture_logs() as logs:
        state = open_state()
        found = state.book("alerts")
    aside = f"{path}.corrupt-20260219T010000Z"
    assert found.items() <= kept.items()
    assert at_least <= len(found) < MANY or how is truncated
    assert (state.set_aside, Path(aside).read_bytes()) == (aside, broken)
    [told] = [line for line in logs if line["event"] == "state_set_aside"][:1]
    assert (told["log_level"], told["path"], told["aside"]) == ("error", str(path), aside)
    assert re.search(why, told["why"])
    state.stage("alerts", "new", {"n": 1})
    state.commit()
    state.close()
    again = open_state()
    assert again.book("alerts") == {**found, "new": {"n": 1}}
    assert again.renewals == 0


def test_its_log_is_set_aside_with_it(open_state: Open, path: Path, tmp_path: Path, hands: Hands) -> None:
    """After a crash the newest commits are only there."""
    state = open_state()
    fill(state)
    state.close()
    state = open_state()
    state.stage("alerts", "new", {"n": 1})
    state.commit()
    image = crash_image(path, tmp_path / "image.db")
    log = Path(f"{image}-wal").read_bytes()
    middle(image)
    recovered = StateFile(str(image), hands)
    assert recovered.book("alerts")["new"] == {"n": 1}
    recovered.close()
    assert Path(f"{recovered.set_aside}-wal").read_bytes() == log


def test_a_file_set_aside_never_replaces_another(open_state: Open, path: Path) -> None:
    """Not even within one second."""
    asides = []
    for number in range(3):
        path.write_bytes(b"garbage %d " % number * 100)
        state = open_state()
        asides.append(state.set_aside)
        state.close()
    first = f"{path}.corrupt-20260219T010000Z"
    assert asides == [first, f"{first}-2", f"{first}-3"]
    assert [Path(str(aside)).read_bytes()[:9] for aside in asides] == [b"garbage %d" % n for n in range(3)]


def test_who_set_it_aside_may_not_have_lived_to_tell(open_state: Open, path: Path, hands: Hands) -> None:
    """So the next process still knows, but not for ever."""
    path.write_bytes(b"garbage" * 100)
    aside = open_state()
    aside.close()
    hands.time += STAYS_TOLD - timedelta(seconds=1)
    again = open_state()
    again.close()
    hands.time += timedelta(seconds=1)
    assert (again.set_aside, again.renewals, open_state().set_aside) == (aside.set_aside, 0, None)


def test_a_renewal_cut_short_is_finished_by_the_next_process(open_state: Open, path: Path) -> None:
    """The broken file was moved away, and the new one not yet into its place."""
    state = open_state()
    kept = fill(state, 10)
    state.close()
    path.rename(f"{path}.new")
    assert open_state().book("alerts") == kept


def test_a_renewal_cut_short_before_that_begins_anew(open_state: Open, path: Path) -> None:
    """The broken file is still in its place, and beside it half of a new one."""
    path.write_bytes(b"garbage" * 100)
    Path(f"{path}.new").write_bytes(b"half" * 1000)
    Path(f"{path}.new-wal").write_bytes(b"half" * 1000)
    state = open_state()
    assert (state.renewals, state.book("alerts")) == (1, {})
    assert not list(path.parent.glob("*.new*"))


def test_a_file_that_breaks_while_in_use_is_replaced_from_memory(open_state: Open, path: Path) -> None:
    """The commit that finds it goes into the new file, and whoever knows more is told to stage it anew."""
    state = open_state()
    fill(state, 10 * MANY)  # more than is cached
    state.close()
    state = open_state()
    overwrite(path, PAGE * 3, b"\xff" * (path.stat().st_size - PAGE * 3))
    state.stage("alerts", "000500", {"n": 1})
    state.stage("alerts", "new", {"n": 2})
    state.commit()
    assert (state.renewals, state.set_aside) == (1, f"{path}.corrupt-20260219T010000Z")
    state.close()
    assert open_state().book("alerts").items() >= {"000500": {"n": 1}, "new": {"n": 2}}.items()


def test_a_log_that_broke_while_in_use_does_not_break_whoever_asks(open_state: Open, path: Path) -> None:
    """The delivery log of a broken file is what is left of it: nothing."""
    state = open_state()
    for number in range(MANY):
        state.log_delivery(T0, "ops", "sent", f"{number}", {"text": "x" * 2_000})  # more than is cached
    state.commit()
    state.close()
    state = open_state()
    overwrite(path, PAGE * 3, b"\xff" * (path.stat().st_size - PAGE * 3))
    assert (state.deliveries(limit=MANY), state.renewals) == ([], 1)


GONE = {
    "removed": lambda path: path.unlink(),
    "replaced": lambda path: (path.unlink(), path.write_bytes(b"something else" * 100)),
}


@pytest.mark.parametrize("how", GONE.values(), ids=GONE.keys())
def test_a_file_that_vanishes_is_not_written_to_any_more(
    open_state: Open, path: Path, how: Callable[[Path], object]
) -> None:
    """SQLite would go on writing into a file that nobody can find."""
    state = open_state()
    fill(state, 10)
    how(path)
    state.stage("alerts", "new", {"n": 1})
    with capture_logs() as logs:
        state.commit()
    assert (state.renewals, [line["why"] for line in logs]) == (
        1,
        ["it was removed or replaced while in use"],
    )
    state.close()
    assert open_state().book("alerts")["new"] == {"n": 1}


# ---- files that cannot be used -----------------------------------------------------------------


def test_only_one_process_has_it(open_state: Open, path: Path) -> None:
    """The second is refused in one sentence; when the first is killed, nothing is left in the way."""
    program = (
        "import sys, time; from watchdog.clock import utc_now; from watchdog.state import StateFile;"
        "StateFile(sys.argv[1], utc_now); print('mine', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "mine\n"
        with pytest.raises(StateError) as error:
            open_state()
        first.send_signal(signal.SIGKILL)
    assert str(error.value) == (
        f"the state file {path} belongs to a running watchdog (stop it, or name another file in state:)"
    )
    assert open_state().book("alerts") == {}


def test_a_place_that_takes_no_file_is_one_sentence(tmp_path: Path, hands: Hands) -> None:
    """A folder, a file for a folder, a file system that is not for files."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    said = []
    for place in (tmp_path / "folder", tmp_path / "file" / "state.db", Path("/sys/state.db")):
        with pytest.raises(StateError) as error:
            StateFile(str(place), hands)
        said.append(str(error.value))
    cure = "(see state: in rules.yaml)"
    assert said[0] == f"the state file {tmp_path / 'folder'} cannot be used: it is no file {cure}"
    assert (
        said[1]
        == f"the state file {tmp_path / 'file' / 'state.db'} cannot be used: {tmp_path / 'file'} is no folder {cure}"
    )
    assert re.fullmatch(
        rf"the state file /sys/state.db cannot be used: [A-Z][a-z -]+ {re.escape(cure)}", said[2]
    )


def test_a_broken_file_that_cannot_be_replaced_stays_where_it_is(open_state: Open, path: Path) -> None:
    """Without room for a new one, nobody may begin: the old one is all there is."""
    path.write_bytes(b"garbage" * 100)
    with full_disk(), pytest.raises(StateError) as error:
        open_state()
    said = f"the state file {path} cannot be read, nor be replaced: "
    assert (str(error.value).startswith(said), path.read_bytes()) == (True, b"garbage" * 100)
    assert open_state().set_aside is not None


# ---- a disk without room -----------------------------------------------------------------------


def committed(state: StateFile) -> bool:
    """Say whether everything staged is in the file once the state has rested from its last failure."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state.commit()
        except StateError:
            continue
        return True
    return False


def test_what_a_full_disk_does_not_take_is_written_once_it_does(
    open_state: Open, path: Path, hands: Hands
) -> None:
    """It is said, nothing is lost, and the last word counts."""
    state = open_state()
    state.stage("alerts", "before", {"n": 1})
    state.commit()
    with full_disk(PAGE):
        tried = 0
        while tried < 5:
            state.stage("alerts", "meanwhile", {"n": tried})
            state.stage("alerts", "before", None)
            with pytest.raises(
                StateError, match=r"^the state file .* cannot be written: .* \(see state: in rules.yaml\)$"
            ) as error:
                state.commit()
            if error.value.__cause__ is not None:  # it was tried, not just said again
                tried += 1
                state.log_delivery(T0, "ops", "sent", f"{tried}", {"key": f"{tried}"})
            assert state.unsaved_since == T0
            hands.time += minutes(1)
        assert state.book("alerts") == {"before": {"n": 1}}
    assert committed(state)
    assert (state.unsaved_since, state.set_aside) == (None, None)
    state.close()
    again = open_state()
    assert again.book("alerts") == {"meanwhile": {"n": 4}}
    assert [record["key"] for record in again.deliveries()] == ["5", "4", "3", "2", "1"]


def test_what_comes_and_goes_while_the_disk_is_full_takes_no_memory(open_state: Open) -> None:
    """For days nothing may be written, and messages come and go."""
    state = open_state()
    state.stage("outbox", "0", {"n": 0})
    state.commit()
    with full_disk(PAGE):
        state.stage("outbox", "0", None)
        with pytest.raises(StateError):
            state.commit()
        for number in range(2 * MOST_UNSAVED_DELIVERIES):
            state.stage("outbox", f"{number}", {"n": number})
            state.log_delivery(T0, "ops", "sent", f"{number}", {})
            state.stage("outbox", f"{number}", None)
        deadline = time.monotonic() + 10
        while len(state._deliveries) > MOST_UNSAVED_DELIVERIES and time.monotonic() < deadline:
            with pytest.raises(StateError):
                state.commit()
        assert (len(state._staged), len(state._deliveries)) == (1, MOST_UNSAVED_DELIVERIES)
    assert committed(state)
    assert state.book("outbox") == {}
    assert state.deliveries(limit=1)[0]["alerts"] == []


def test_a_file_that_is_held_up_holds_nobody_up(open_state: Open, path: Path) -> None:
    """Somebody else writes into it and does not end: each commit that fails buys some without a wait."""
    state = open_state()
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    state.stage("alerts", "a", {"n": 1})
    began = time.monotonic()
    for _ in range(1_000):
        with pytest.raises(StateError, match="cannot be written: database is locked"):
            state.commit()
    assert time.monotonic() - began < 1
    blocker.execute("ROLLBACK")
    blocker.close()
    assert committed(state)
    state.close()
    assert open_state().book("alerts") == {"a": {"n": 1}}


# ---- the delivery log --------------------------------------------------------------------------

LOG = """
  asked for                                              | found
  {}                                                     | 6 5 4 3 2 1
  {"limit": 2}                                           | 6 5
  {"receiver": "ops"}                                    | 6 4 3 1
  {"outcome": "refused"}                                 | 5 3
  {"fingerprint": "aa"}                                  | 6 2 1
  {"fingerprint": "a"}                                   |
  {"fingerprint": "%"}                                   |
  {"since": T0 + minutes(4)}                             | 6 5 4
  {"since": (T0 + minutes(4)).astimezone(TOKYO)}         | 6 5 4
  {"since": T0 + minutes(4.5)}                           | 6 5
  {"receiver": "ops", "outcome": "sent", "limit": 1}     | 6
"""
TOKYO = timezone(timedelta(hours=9))


@pytest.mark.parametrize(("asked", "found"), rows(LOG), ids=ids(LOG))
def test_the_delivery_log_can_be_asked(open_state: Open, asked: str, found: str) -> None:
    """By receiver, alert, outcome and time; the latest comes first."""
    state = open_state()
    deliveries: tuple[tuple[str, str, str, list[str]], ...] = (
        ("1", "ops", "sent", ["aa", "bb"]),
        ("2", "hook", "sent", ["aa"]),
        ("3", "ops", "refused", ["ab"]),
        ("4", "ops", "sent", ["ba"]),
        ("5", "hook", "refused", []),
        ("6", "ops", "sent", ["cc", "aa"]),
    )
    for key, receiver, outcome, alerts in deliveries:
        state.log_delivery(T0 + minutes(int(key)), receiver, outcome, key, {"key": key, "alerts": alerts})
    state.commit()
    got = state.deliveries(**eval(asked))
    assert [record["key"] for record in got] == found.split()
    assert all(record["alerts"] == deliveries[int(record["key"]) - 1][3] for record in got)


def test_of_failed_attempts_only_the_latest_is_kept(open_state: Open) -> None:
    """For each message and receiver; an outage of days does not fill the log."""
    state = open_state()
    for attempt in range(1, 100):
        for receiver in ("ops", "hook"):
            state.log_delivery(T0, receiver, "retried", "k", {"receiver": receiver, "attempt": attempt})
        if attempt % 10 == 0:
            state.commit()
    state.log_delivery(T0, "ops", "retried", "other", {"receiver": "ops", "attempt": 1})
    state.log_delivery(T0, "ops", "sent", "k", {"receiver": "ops", "attempt": 100})
    state.commit()
    assert [(record["receiver"], record["attempt"]) for record in state.deliveries()] == [
        ("ops", 100),
        ("ops", 1),
        ("hook", 99),
        ("ops", 99),
    ]


def test_the_delivery_log_is_bounded_by_number_and_age(open_state: Open, path: Path, hands: Hands) -> None:
    """A process that lives shortly prunes as well."""
    state = open_state()
    for number in range(MOST_DELIVERIES + 10):
        state.log_delivery(T0, "ops", "sent", f"{number}", {"key": f"{number}"})
    state.commit()
    keys = [record["key"] for record in state.deliveries(limit=MOST_DELIVERIES * 2)]
    assert (len(keys), keys[0], keys[-1]) == (MOST_DELIVERIES, f"{MOST_DELIVERIES + 9}", "10")
    state.close()
    hands.time += KEEP_DELIVERIES + timedelta(seconds=1)
    again = open_state()
    again.log_delivery(hands.time, "ops", "sent", "new", {"key": "new"})
    again.commit()
    assert [record["key"] for record in again.deliveries()] == ["new"]
