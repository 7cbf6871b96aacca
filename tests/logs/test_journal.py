"""What a unit logs to the journal: the real journalctl on a real journal, and recorded refusals."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.drawn import ids, rows
from watchdog.errors import CollectError
from watchdog.logs.batch import Batch
from watchdog.logs.journal import JournalReader
from watchdog.logs.journalctl import read_entry

NOW = datetime(2026, 2, 19, 2, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
TICK = timedelta(seconds=5)
UNIT = "quantum-execution.service"
REMOTE = "/usr/lib/systemd/systemd-journal-remote"
BOOT = "0123456789abcdef0123456789abcdef"


def program(folder: Path, name: str, text: str) -> None:
    """Put an executable into *folder*, which is on the PATH."""
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)


class Journal:
    """A journal on disk, as journald writes it, and the real journalctl that reads no other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "journal"
        self.folder.mkdir()
        self.pids = folder / "pids"
        (folder / "bin").mkdir()
        real = shutil.which("journalctl")
        assert real, "tests/system-packages.sh installs systemd"
        shim = f'#!/bin/sh\necho $$ >> {self.pids}\nexec {real} --directory={self.folder} "$@"\n'
        program(folder / "bin", "journalctl", shim)

    def log(
        self, at: datetime, message: str | bytes, priority: int = 6, unit: str = UNIT, pid: int = 7
    ) -> None:
        """Have journald take a message."""
        text = message.encode() if isinstance(message, str) else message
        micros = at.timestamp() * 1_000_000
        fields = (
            f"__REALTIME_TIMESTAMP={micros:.0f}\n__MONOTONIC_TIMESTAMP={micros:.0f}\n_BOOT_ID={BOOT}\n"
            f"PRIORITY={priority}\n_SYSTEMD_UNIT={unit}\n_PID={pid}\nUNIT={UNIT}\nMESSAGE\n"
        )
        entry = fields.encode() + len(text).to_bytes(8, "little") + text + b"\n\n"
        argv = [REMOTE, "-o", str(self.folder / "system.journal"), "-"]
        subprocess.run(argv, input=entry, capture_output=True, check=True)

    def running(self) -> list[int]:
        """Return the journalctls that still run."""
        pids = [int(pid) for pid in self.pids.read_text().split()]
        return [pid for pid in pids if Path(f"/proc/{pid}/cmdline").exists() and _argv(pid)]


def _argv(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()  # empty for one that has ended
    except OSError:
        return b""


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """An empty journal."""
    made = Journal(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return made


def totals(batch: Batch) -> tuple[int, int]:
    """Return the records and errors of a batch."""
    return sum(bucket.records for bucket in batch.buckets), sum(bucket.errors for bucket in batch.buckets)


def read_until(reader: JournalReader, records: int, now: datetime = NOW) -> tuple[int, int]:
    """Read until *records* have come, and return what came."""
    found = (0, 0)

    def look() -> bool:
        nonlocal found
        batch = totals(reader.read(now))
        found = (found[0] + batch[0], found[1] + batch[1])
        return found[0] >= records

    until(look)
    return found


def until(holds: Callable[[], object]) -> None:
    """Wait for journalctl, which looks four times a second."""
    for _ in range(1000):
        if holds():
            return
        select.select([], [], [], 0.01)
    raise AssertionError("it did not come to that")


def test_past_and_present(journal: Journal) -> None:
    """The window is filled in from what the journal remembers, then every entry comes once."""
    journal.log(NOW - 2 * HOUR, "too old")
    journal.log(NOW - HOUR / 2, "2026-02-19 01:30:00,123 | ERROR    | x | password=hunter2 refused")
    journal.log(NOW - HOUR / 4, "2026-02-19 01:45:00,123 | INFO     | x | done")
    reader = JournalReader(UNIT)
    try:
        batch = reader.start(NOW, HOUR)
        assert totals(batch) == (2, 1)
        assert [bucket.at for bucket in batch.buckets] == [NOW - HOUR / 2, NOW - HOUR / 4]
        assert (batch.news, batch.covered_since, batch.late) == ((), NOW - HOUR, 0)
        assert batch.last_line_at == NOW - HOUR / 4
        assert batch.last_error
        assert batch.last_error.endswith("| x | password=*** refused")
        assert totals(reader.read(NOW + TICK)) == (0, 0)
        journal.log(NOW + TICK, "2026-02-19 02:00:05,123 | ERROR    | x | no")
        journal.log(NOW + TICK, "2026-02-19 02:00:05,124 | INFO     | x | yes")
        assert read_until(reader, 2, NOW + TICK) == (2, 1)
        assert totals(reader.read(NOW + 2 * TICK)) == (0, 0)
        until(lambda: len(journal.running()) == 1)
    finally:
        reader.close()
    assert journal.running() == []


def test_what_others_say_of_the_unit_is_not_its_work(journal: Journal) -> None:
    """A unit that systemd restarts for ever has logged nothing itself."""
    journal.log(NOW - HOUR / 2, "Main process exited, code=exited, status=203/EXEC", 5, "init.scope", 1)
    journal.log(NOW - HOUR / 3, "ERROR:root:not ours", 6, "other.service")
    reader = JournalReader(UNIT.removesuffix(".service"))
    assert totals(reader.start(NOW, HOUR)) == (0, 0)


def test_covered_since_the_journal_begins(journal: Journal) -> None:
    """Of the time before the journal's oldest entry, whoever wrote it, nothing is known."""
    journal.log(NOW - HOUR / 2, "x", unit="other.service")
    reader = JournalReader(UNIT)
    assert reader.start(NOW, HOUR).covered_since == NOW - HOUR / 2


def test_empty_journal(journal: Journal) -> None:
    """Where no journald keeps anything, journalctl finds nothing to say against it: unknown, not silent."""
    with pytest.raises(CollectError, match="the journal is empty"):
        JournalReader(UNIT).start(NOW, HOUR)


def test_restart(journal: Journal) -> None:
    """A later process goes on behind the cursor: what came before counts but is no news."""
    journal.log(NOW - HOUR / 2, "ERROR:root:seen")
    first = JournalReader(UNIT)
    first.start(NOW, HOUR)
    first.close()
    journal.log(NOW + TICK, "ERROR:root:missed")
    later = JournalReader(UNIT, memory=json.loads(json.dumps(first.memory())))
    batch = later.start(NOW + 2 * TICK, HOUR)
    assert totals(batch) == (2, 2)
    assert [bucket.errors for bucket in batch.news] == [1]
    assert totals(later.read(NOW + 2 * TICK)) == (0, 0)
    later.close()


@pytest.mark.parametrize(
    "cursor", ["s=0;i=1;b=0;m=0;t=0;x=0", "no cursor at all"], ids=["vacuumed", "garbage"]
)
def test_cursor_that_is_gone(journal: Journal, cursor: str) -> None:
    """Where the journal no longer has the entry, its time tells what is new."""
    journal.log(NOW - HOUR / 2, "ERROR:root:seen")
    journal.log(NOW - HOUR / 4, "ERROR:root:missed")
    seen = (NOW - HOUR / 2).isoformat()
    reader = JournalReader(UNIT, memory={"cursor": cursor, "last_line_at": seen, "format": "bare"})
    batch = reader.start(NOW, HOUR)
    assert [bucket.at for bucket in batch.news] == [NOW - HOUR / 4]
    assert totals(batch) == (2, 2)


def test_journalctl_dies(journal: Journal) -> None:
    """It is started again behind the last entry: what came meanwhile is read once."""
    journal.log(NOW, "ERROR:root:one")
    reader = JournalReader(UNIT)
    try:
        reader.start(NOW, HOUR)
        reader.read(NOW)
        for number in range(3):
            until(journal.running)
            [pid] = journal.running()
            os.kill(pid, 9)
            journal.log(NOW + TICK, f"ERROR:root:{number}")
            assert read_until(reader, 1, NOW + TICK) == (1, 1)
        assert totals(reader.read(NOW + TICK)) == (0, 0)
    finally:
        reader.close()


def test_no_journalctl_is_left_behind(journal: Journal) -> None:
    """One whose reader was killed ends with its pipe."""
    journal.log(NOW, "x")
    code = (
        "from datetime import *; from watchdog.logs.journal import JournalReader as R; import os\n"
        "now = datetime(2026, 2, 19, 2, tzinfo=UTC); r = R('x'); r.start(now, timedelta(hours=1)); r.read(now)\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -9
    until(lambda: not journal.running())


SAID = r"""
  priority | message                                 | records, errors
  6        | plain, on stdout                        | 1 0
  3        | plain, through syslog as err            | 1 1
  2        | plain, as crit                          | 1 1
  4        | plain, as warning                       | 1 0
  3        | INFO:root:says itself that it is none   | 1 0
  6        | ERROR:root:says itself that it is one   | 1 1
  3        | first\nsecond\n\nthird               | 1 1
  6        | ERROR:root:x\nINFO:root:is part of it  | 1 1
  6        | ERROR:root:\xff\x00 is binary         | 1 1
  6        |                                         | 0 0
"""


@pytest.mark.parametrize(("priority", "message", "expected"), rows(SAID), ids=ids(SAID))
def test_entries(journal: Journal, priority: str, message: str, expected: str) -> None:
    """An entry is one record; its priority counts where it says no level itself."""
    text = message.encode().decode("unicode_escape").encode("latin-1")
    journal.log(NOW - TICK, text, int(priority))
    batch = JournalReader(UNIT).start(NOW, HOUR)
    assert " ".join(map(str, totals(batch))) == expected


def test_traceback_line_by_line(journal: Journal) -> None:
    """On stderr each line of a traceback is an entry of its own, and one record all the same."""
    lines = ["ERROR:root:failed", "Traceback (most recent call last):", '  File "x.py"', "KeyError: 'action'"]
    for line in [*lines, "plain"]:
        journal.log(NOW - TICK, line, 3)
    batch = JournalReader(UNIT).start(NOW, HOUR)
    assert totals(batch) == (2, 2)


def test_long_message(journal: Journal) -> None:
    """What journalctl would leave out for its length is counted."""
    journal.log(NOW - TICK, "ERROR:root:" + "x" * 1_000_000)
    batch = JournalReader(UNIT).start(NOW, HOUR)
    assert totals(batch) == (1, 1)
    assert batch.last_error
    assert len(batch.last_error) == 500


ODD = """
  what journalctl prints                                                                    | the message
  {"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","MESSAGE":"a"}                                 | a
  {"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","MESSAGE":[104,105]}                           | hi
  {"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","MESSAGE":["a",[98]]}                          | a/b
  {"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","MESSAGE":null}                                |
  {"__CURSOR":"c","__REALTIME_TIMESTAMP":"1"}                                               |
  {"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","MESSAGE":"a","PRIORITY":["3","4"]}            | a
  {"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","MESSAGE":"a                                   | no entry
  {"__CURSOR":"c","__REALTIME_TIMESTAMP":"99999999999999999999","MESSAGE":"a"}              | no entry
  {"MESSAGE":"a"}                                                                           | no entry
  []                                                                                        | no entry
"""


@pytest.mark.parametrize(("line", "message"), rows(ODD), ids=ids(ODD))
def test_shapes_of_entries(line: str, message: str) -> None:
    """`/` is a line end: whatever a field holds, an entry is understood or left out."""
    entry = read_entry(line.encode())
    assert (entry.message.decode().replace("\n", "/") if entry else "no entry") == message


HINT = (
    "Hint: You are currently not seeing messages from other users and the system.\n"
    "      Users in groups 'adm', 'systemd-journal' can see all messages.\n"
    "      Pass -q to turn off this notice."
)
MAY_NOT = (
    "journal of x: the watchdog may not read it "
    "(add the watchdog's user to the group systemd-journal and restart it)"
)
REFUSALS: dict[str, tuple[str, int, str]] = {
    "others' messages are hidden": (HINT, 0, MAY_NOT),
    "no file may be opened": ("No journal files were opened due to insufficient permissions.", 1, MAY_NOT),
    "no journald here": (
        "No journal files were found.",
        0,
        "journal of x: no journal files were found (does systemd-journald run here?)",
    ),
    "an option is not known": (
        "journalctl: unrecognized option '--after-cursor=x'\nmore",
        1,
        "journal of x: journalctl failed: journalctl: unrecognized option '--after-cursor=x'",
    ),
    "no reason": ("", 4, "journal of x: journalctl failed: status 4"),
}


@pytest.mark.parametrize(("said", "status", "expected"), REFUSALS.values(), ids=REFUSALS)
def test_refusals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, status: int, expected: str
) -> None:
    """As journalctl of systemd 252 says them: unknown with one sentence and the cure, and no count of 0."""
    program(tmp_path, "journalctl", f"#!/bin/sh\ncat >&2 <<'X'\n{said}\nX\nexit {status}\n")
    if not said:
        program(tmp_path, "journalctl", f"#!/bin/sh\nexit {status}\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    reader = JournalReader("x")
    calls: list[Callable[[], Batch]] = [lambda: reader.start(NOW, HOUR), lambda: reader.read(NOW)]
    for call in calls:
        with pytest.raises(CollectError) as refused:
            call()
        assert str(refused.value) == expected
    assert reader.memory() == {}


def test_no_journalctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without systemd is unknown, not an error a minute."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CollectError, match="there is no journalctl here, so the journal cannot be read"):
        JournalReader("x").start(NOW, HOUR)


def test_flood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit that logs without end takes one look no longer than it may, and how late we are is told."""
    micros = int((NOW - TICK).timestamp() * 1_000_000)
    entry = {"__CURSOR": "c", "__REALTIME_TIMESTAMP": str(micros), "MESSAGE": "ERROR:root:x", "PRIORITY": "6"}
    text = json.dumps(entry)
    endless = f"case \"$*\" in *--follow*) exec yes '{text}';; *--since*) ;; *) echo '{text}';; esac"
    program(tmp_path, "journalctl", f"#!/bin/sh\n{endless}\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    reader = JournalReader("x")
    assert totals(reader.start(NOW, HOUR)) == (0, 0)
    batches: list[Batch] = []

    def look() -> int:
        batches.append(reader.read(NOW, seconds=0.0))
        return totals(batches[-1])[0]

    until(look)
    batch = batches[-1]
    assert batch.late == 5
    assert totals(batch)[0] == totals(batch)[1] > 0
    reader.close()


def test_permission_lost_while_following(journal: Journal, tmp_path: Path) -> None:
    """What a running journalctl cannot do any more is told, and it goes on once it can."""
    journal.log(NOW, "one")
    reader = JournalReader(UNIT)
    try:
        reader.start(NOW, HOUR)
        shim = (tmp_path / "bin" / "journalctl").read_text()
        program(tmp_path / "bin", "journalctl", f"#!/bin/sh\necho '{HINT.splitlines()[0]}' >&2\n")
        with pytest.raises(CollectError, match="may not read it"):
            until(lambda: totals(reader.read(NOW)) != (0, 0))
        program(tmp_path / "bin", "journalctl", shim)
        journal.log(NOW + TICK, "two")
        assert read_until(reader, 1) == (1, 0)
    finally:
        reader.close()
