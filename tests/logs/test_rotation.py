"""Every numbered line is read once, while the real logrotate does its work again and again."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.drawn import ids, rows
from watchdog.errors import CollectError
from watchdog.logs.generations import is_compressed, open_generations, rotated_from
from watchdog.logs.position import Position
from watchdog.logs.tail import Tail

LIMIT = 1 << 20

# Writes numbered lines as fast as it is let, through O_APPEND or at its own place; opens its log anew
# when it is told to, and when it has gone.
PROGRAM = """
import os, signal, sys
path, flags = sys.argv[1], os.O_WRONLY | os.O_CREAT | (os.O_APPEND if sys.argv[2] == "append" else 0)
again = False
def reopen(*_):
    global again
    again = True
signal.signal(signal.SIGHUP, reopen)
log = os.open(path, flags, 0o644)
print("ready", flush=True)
number = 0
for line in sys.stdin:
    for _ in range(int(line)):
        if again:
            again = False
            os.close(log)
            log = os.open(path, flags, 0o644)
        os.write(log, b"%d line\\n" % number)
        number += 1
    print(number, flush=True)
"""


class Program:
    """A real process that logs."""

    def __init__(self, log: Path, how: str = "append") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(log), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.hear() == "ready"

    def hear(self) -> str:
        """Wait for what it says."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def begin(self, lines: int) -> None:
        """Have it write *lines*, and do not wait."""
        assert self.process.stdin
        self.process.stdin.write(f"{lines}\n")
        self.process.stdin.flush()

    def write(self, lines: int) -> int:
        """Have it write *lines*, and return how many it has written by then."""
        self.begin(lines)
        return int(self.hear())

    def reopen(self) -> None:
        """Do what logrotate's postrotate does."""
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """A program that logs to x.log."""
    running = Program(tmp_path / "x.log")
    yield running
    running.stop()


def rotate(folder: Path, ways: str, pid: int) -> None:
    """Run logrotate once, with its own configuration and state."""
    folder.chmod(0o755)
    conf = folder / "conf"
    conf.write_text(
        f"{folder}/x.log {{\n  {ways.replace(', ', chr(10))}\n  rotate 50\n  missingok\n"
        + ("" if "copytruncate" in ways else f"  postrotate\n    kill -HUP {pid}\n  endscript\n")
        + "}\n"
    )
    conf.chmod(0o644)
    logrotate = shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin")
    assert logrotate, "tests/system-packages.sh installs logrotate"
    argv = [logrotate, "--force", "--state", str(folder / "state"), str(conf)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def read_all(tail: Tail) -> list[int]:
    """Read until there is nothing left; a file that is just being rotated is there at the next read."""
    numbers: list[int] = []
    while True:
        try:
            data = tail.read(LIMIT).data
        except CollectError:
            return numbers
        if not data:
            return numbers
        numbers += [int(line.strip("\0").split()[0]) for line in data.decode().splitlines()]


WAYS = """
  how logrotate is set up                                    | what is left beside x.log
  create                                      | x.log.1
  nocreate                                                   | x.log.1
  create, compress                            | x.log.1.gz
  create, compress, delaycompress             | x.log.1
  create, dateext, dateformat -%Y%m%d-{turn}%s | x.log-2
  create, dateext, dateformat .%Y-%m-%d-{turn}%s | x.log.2
"""


@pytest.mark.parametrize(("ways", "left"), rows(WAYS), ids=ids(WAYS))
@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_logrotate_renames(tmp_path: Path, program: Program, ways: str, left: str, restarted: bool) -> None:
    """Lines are written while logrotate runs: each is read once, in order, also by a reader started anew."""
    tail = Tail(tmp_path / "x.log")
    program.write(10)
    numbers = read_all(tail)
    for turn in (1, 2):
        program.begin(2000)
        rotate(tmp_path, ways.format(turn=turn), program.process.pid)
        written = int(program.hear())
        program.reopen()  # whatever the signal of logrotate met
        numbers += read_all(tail)
        written = program.write(10)
        if restarted:
            position = tail.read(LIMIT).position if numbers and numbers[-1] == written - 1 else None
            numbers += read_all(tail)
            position = position or _position(tail, numbers)
            tail.close()
            tail = Tail(tmp_path / "x.log", Position.read(json.loads(json.dumps(asdict(position)))))
    numbers += read_all(tail)
    tail.close()
    assert numbers == list(range(written))
    assert any(name.startswith(left) for name in os.listdir(tmp_path))


def _position(tail: Tail, numbers: list[int]) -> Position:
    piece = tail.read(LIMIT)
    numbers += [int(line.split()[0]) for line in piece.data.decode().splitlines()]
    return piece.position


COPIES = """
  how logrotate is set up                          | how the program writes
  copytruncate                                     | append
  copytruncate                                     | at its place
  copytruncate, compress                           | append
  copytruncate, dateext, dateformat -%Y%m%d-{turn}%s     | append
"""


@pytest.mark.parametrize(("ways", "how"), rows(COPIES), ids=ids(COPIES))
@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_logrotate_copies_and_truncates(tmp_path: Path, ways: str, how: str, restarted: bool) -> None:
    """
    What was in the file and not read yet is read from the copy, also from a compressed one.

    The program waits meanwhile: what is written between copy and truncation is lost by logrotate itself.
    """
    program = Program(tmp_path / "x.log", how.replace("at its place", "place"))
    try:
        tail = Tail(tmp_path / "x.log")
        written = program.write(10)
        numbers = read_all(tail)
        for turn in (1, 2):
            program.write(100)
            piece = tail.read(300)
            numbers += [int(line.split()[0]) for line in piece.data.decode().splitlines()]
            program.write(50)
            rotate(tmp_path, ways.format(turn=turn), 0)
            written = program.write(7)
            if restarted:
                tail.close()
                tail = Tail(tmp_path / "x.log", piece.position)
            numbers += read_all(tail)
        tail.close()
        assert numbers == list(range(written))
    finally:
        program.stop()


def test_copytruncate_doubles_nothing_that_logrotate_lost(tmp_path: Path, program: Program) -> None:
    """Written to all the while: what survives in any file is read once, and nothing twice."""
    tail = Tail(tmp_path / "x.log")
    numbers = read_all(tail)
    for _ in range(3):
        program.write(1)
        numbers += read_all(tail)  # of a file that is known
        program.begin(3000)
        rotate(tmp_path, "copytruncate", 0)
        numbers += read_all(tail)
        program.hear()
        numbers += read_all(tail)
    program.write(1)
    numbers += read_all(tail)
    tail.close()
    texts = [path.read_text() for path in tmp_path.glob("x.log*")]
    survived = {int(line.split()[0]) for text in texts for line in text.splitlines()}
    assert max(Counter(numbers).values()) == 1
    assert survived <= set(numbers)


def numbered(first: int, end: int) -> str:
    """Return lines with the numbers from *first* up to *end*."""
    return "".join(f"{number} 2026-02-19 INFO a line\n" for number in range(first, end))


def test_a_copy_under_a_name_that_makes_it_the_older_one(tmp_path: Path) -> None:
    """`x.log.1` was read to its end and renamed; then somebody copies to `x.log.2` and truncates."""
    log = tmp_path / "x.log"
    log.write_text(numbered(0, 100))
    tail = Tail(log)
    numbers = read_all(tail)
    log.rename(tmp_path / "x.log.1")
    log.write_text(numbered(100, 200))
    numbers += read_all(tail)
    (tmp_path / "x.log.2").write_bytes(log.read_bytes() + numbered(200, 210).encode())
    log.write_text(numbered(210, 220))
    numbers += read_all(tail)
    tail.close()
    assert numbers == list(range(220))


NAMES = """
  name                   | current | is it what rotation makes of it?
  x.log.1                | x.log   | yes
  x.log.12.gz            | x.log   | yes
  x.log-20260219         | x.log   | yes
  x.log-20260219.xz      | x.log   | yes
  x.log.2026-02-19       | x.log   | yes
  x.log.2026-02-19_01    | x.log   | yes
  x-20260219.log         | x.log   | yes
  x.1.log                | x.log   | yes
  x-2026-02-19T01-33.log | x.log   | yes
  x.log.old              | x.log   | yes
  x.log                  | x.log   | no
  x.log.pos              | x.log   | no
  x-2.log                | x.log   | no
  xy.log.1               | x.log   | no
  x-worker.log           | x.log   | no
  x.1                    | x       | yes
"""


@pytest.mark.parametrize(("name", "current", "rotated"), rows(NAMES), ids=ids(NAMES))
def test_names_of_rotated_files(name: str, current: str, rotated: str) -> None:
    """Another program's log is never taken for a rotated one."""
    assert rotated_from(name, current) == (rotated == "yes")


ORDER = """
  beside x.log, as listed                                      | newest first
  x.log.2 x.log.10 x.log.1                                     | x.log.1 x.log.2 x.log.10
  x.log-20260217 x.log-20260219 x.log-20260218                 | x.log-20260219 x.log-20260218 x.log-20260217
  x.log.2026-02-18-2 x.log.2026-02-18-10 x.log.2026-02-19-1    | x.log.2026-02-19-1 x.log.2026-02-18-10 x.log.2026-02-18-2
  x.log.1.gz x.log.2.gz other.log.1                            | x.log.1.gz x.log.2.gz
"""


@pytest.mark.parametrize(("listed", "expected"), rows(ORDER), ids=ids(ORDER))
def test_order_of_rotated_files(tmp_path: Path, listed: str, expected: str) -> None:
    """Numbers count up with age, dates down."""
    (tmp_path / "x.log").touch()
    for name in listed.split():
        (tmp_path / name).touch()
    found = open_generations(tmp_path / "x.log")
    assert " ".join(each.path.name for each in found[1:]) == expected
    for each in found:
        each.close()


LEFTOVERS = """
  name        | content                | compressed?
  x.log.1.gz  | anything               | yes
  x.log.zst   | anything               | yes
  x.log       | \\x1f\\x8b\\x08\\x00    | yes
  x.log       | BZh91AY                | yes
  x.log       | \\x28\\xb5\\x2f\\xfd    | yes
  x.log       | PK\\x03\\x04           | yes
  x.log       | 2026-02-19 INFO a line | no
  x.log       |                        | no
"""


@pytest.mark.parametrize(("name", "content", "expected"), rows(LEFTOVERS), ids=ids(LEFTOVERS))
def test_compressed_leftovers(tmp_path: Path, name: str, content: str, expected: str) -> None:
    """What is compressed is known by its name, or by its first bytes under any name."""
    (tmp_path / name).write_bytes(content.encode().decode("unicode_escape").encode("latin-1"))
    assert is_compressed(tmp_path / name) == (expected == "yes")


class Rotations(RuleBasedStateMachine):
    """
    A writer, whatever rotates its log, and a reader that is started anew at any moment.

    Every complete line is read once, in order. What cannot be known is left out: a file of which nothing
    has been read yet (or not enough to tell it from another) may be truncated and written anew between
    two reads, and what is truncated without a copy is gone unless it had been read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name) / "x.log"
        self.file = self.path.open("ab", buffering=0)
        self.tail = Tail(self.path)
        self.written = 0
        self.expected: list[int] = []
        self.read_so_far: list[int] = []
        self.half = False
        self.position = self.look()
        self.ended: list[Path] = []

    def look(self, limit: int = LIMIT) -> Position:
        """Read once."""
        piece = self.tail.read(limit)
        self.read_so_far += [int(line.split()[0]) for line in piece.data.decode().splitlines()]
        self.position = piece.position
        return piece.position

    def look_at_all(self) -> None:
        """Read until there is nothing left."""
        for _ in range(60):
            if self.read_so_far == self.expected:
                break
            self.look()
        self.look()

    @rule(count=st.integers(1, 3))
    def append(self, count: int) -> None:
        """Write whole lines, the first of which may end one that was begun."""
        if self.half:
            self.file.write(b" ended\n")
            self.expected.append(self.written)
            self.written += 1
            self.half = False
        for _ in range(count):
            self.file.write(b"%d x\n" % self.written)
            self.expected.append(self.written)
            self.written += 1

    @precondition(lambda self: not self.half)
    @rule()
    def append_half(self) -> None:
        """Begin a line; it is read once it ends."""
        self.file.write(b"%d beg" % self.written)
        self.half = True

    @precondition(lambda self: not self.half)
    @rule(limit=st.sampled_from([64, LIMIT]))
    def read(self, limit: int) -> None:
        """Look, with room for a few lines only or for all."""
        self.look(limit)

    @precondition(lambda self: not self.half)
    @rule()
    def restart(self) -> None:
        """Go on in another process, at the position that was written down last."""
        self.tail.close()
        self.tail = Tail(self.path, Position.read(json.loads(json.dumps(asdict(self.position)))))

    @precondition(lambda self: not self.half)
    @rule()
    def rename(self) -> None:
        """Rotate as `create` does."""
        self.path.rename(self.make_room())
        self.reopen()

    @precondition(lambda self: not self.half)
    @rule()
    def rename_and_compress(self) -> None:
        """Rotate as `create` and `compress` do."""
        self.know_the_file()
        rotated = self.make_room()
        self.path.rename(rotated)
        pack(rotated)
        self.reopen()

    @precondition(lambda self: not self.half)
    @rule()
    def copytruncate(self) -> None:
        """Rotate as `copytruncate` does."""
        self.know_the_file()
        self.make_room().write_bytes(self.path.read_bytes())
        os.truncate(self.path, 0)

    @precondition(lambda self: not self.half)
    @rule(recreate=st.booleans())
    def truncate(self, recreate: bool) -> None:
        """Empty the file, or delete it and begin another, once all of it was read."""
        self.know_the_file()
        self.look_at_all()
        if recreate:
            self.path.unlink()
            self.reopen()
        else:
            os.truncate(self.path, 0)

    @invariant()
    def nothing_twice(self) -> None:
        """What was read so far is the beginning of what was written."""
        assert self.read_so_far == self.expected[: len(self.read_so_far)]

    def know_the_file(self) -> None:
        """Have a line of the present file read."""
        while not (self.position.offset and self.position.inode == self.path.stat().st_ino):
            self.append(1)
            self.look_at_all()

    def make_room(self) -> Path:
        """Count the rotated files up, and return the name of the next."""
        for number in range(15, 0, -1):
            for ending in ("", ".gz"):
                old = self.path.with_name(f"x.log.{number}{ending}")
                if old.exists():
                    old.rename(self.path.with_name(f"x.log.{number + 1}{ending}"))
        return self.path.with_name("x.log.1")

    def reopen(self) -> None:
        """Go on in a new file."""
        self.file.close()
        self.file = self.path.open("ab", buffering=0)

    def teardown(self) -> None:
        """Read the rest: then all has been read."""
        if self.half:
            self.append(1)
        self.look_at_all()
        self.tail.close()
        self.file.close()
        self.folder.cleanup()
        assert self.read_so_far == self.expected


def pack(path: Path) -> None:
    """Do what gzip does: another file with the same time."""
    status = path.stat()
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), 1))
    os.utime(packed, ns=(status.st_mtime_ns, status.st_mtime_ns))
    path.unlink()


TestRotations = Rotations.TestCase
TestRotations.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
