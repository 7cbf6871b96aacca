"""Every line is read once, whatever rotates the file."""

import gzip
import json
import os
import select
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.drawn import ids, rows
from watchdog.errors import CollectError
from watchdog.logs.encoding import Encoding
from watchdog.logs.position import Position
from watchdog.logs.tail import Tail

LIMIT = 1 << 20


class Writer:
    """A program that logs, and what rotates its log."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written: list[str] = []
        self.file = path.open("ab", buffering=0)

    def line(self, text: str = "") -> None:
        """Write one line, told from all others."""
        self.written.append(f"{len(self.written)} {text}".strip())
        self.file.write(self.written[-1].encode() + b"\n")

    def reopen(self) -> None:
        """Do what logrotate's HUP makes programs do."""
        self.file.close()
        self.file = self.path.open("ab", buffering=0)

    def shift(self) -> None:
        """Make room for `path.1`."""
        for number in range(8, 0, -1):
            if self.sibling(number).exists():
                self.sibling(number).rename(self.sibling(number + 1))

    def sibling(self, number: int) -> Path:
        """Return `path.number`."""
        return self.path.with_name(f"{self.path.name}.{number}")

    def rename(self) -> None:
        """Rotate by renaming."""
        self.shift()
        self.path.rename(self.sibling(1))
        self.reopen()

    def copytruncate(self) -> None:
        """Rotate by copying and truncating in place."""
        self.shift()
        self.sibling(1).write_bytes(self.path.read_bytes())
        os.truncate(self.path, 0)


def read_all(tail: Tail) -> list[str]:
    """Read until there is nothing left."""
    lines: list[str] = []
    while data := tail.read(LIMIT).data:
        lines += data.decode().split("\n")[:-1]
    return lines


@pytest.fixture
def log(tmp_path: Path) -> Writer:
    """A log with one line."""
    writer = Writer(tmp_path / "execution.log")
    writer.line()
    return writer


def recreate(log: Writer) -> None:
    """Delete the file and make it anew."""
    log.path.unlink()
    log.reopen()


def truncate(log: Writer) -> None:
    """Truncate in place, without a copy."""
    os.truncate(log.path, 0)


@pytest.mark.parametrize("rotate", [Writer.rename, Writer.copytruncate, recreate, truncate])
def test_rotation(log: Writer, rotate: Callable[[Writer], None]) -> None:
    """What was read before is not read again, and what comes after is."""
    tail = Tail(log.path)
    assert read_all(tail) == ["0"]
    log.line("before")
    assert read_all(tail) == ["1 before"]
    rotate(log)
    log.line("after, and longer than all that was written before")
    assert read_all(tail) == [log.written[2]]


@pytest.mark.parametrize("rotate", [Writer.rename, Writer.copytruncate])
@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
def test_nothing_is_lost_between_two_reads(
    log: Writer, rotate: Callable[[Writer], None], times: int, restart: bool
) -> None:
    """Lines in files rotated away since the last read are still read, oldest first."""
    tail = Tail(log.path)
    assert read_all(tail) == ["0"]
    position = tail.read(LIMIT).position
    for _ in range(times):
        log.line("unread")
        rotate(log)
    log.line("new")
    if restart:
        tail = Tail(log.path, Position(**json.loads(json.dumps(asdict(position)))))
    assert read_all(tail) == log.written[1:]


def test_old_file_is_drained_before_the_new(log: Writer) -> None:
    """A program that has not noticed the renaming is not forgotten."""
    tail = Tail(log.path)
    assert read_all(tail) == ["0"]
    log.path.rename(log.sibling(1))
    log.line("still in the old file")
    log.path.touch()
    assert read_all(tail) == ["1 still in the old file"]
    log.line("still")
    assert read_all(tail) == ["2 still"]
    log.reopen()
    log.line("at last")
    assert read_all(tail) == ["3 at last"]


def test_symlink_switch(tmp_path: Path) -> None:
    """The file that a symlink left is read to its end, then the one it leads to."""
    link = tmp_path / "current.log"
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_text(f"{name} 1\n")
    link.symlink_to("a.log")
    tail = Tail(link)
    assert read_all(tail) == ["a.log 1"]
    (tmp_path / "a.log").write_text("a.log 1\na.log 2\n")
    link.unlink()
    link.symlink_to("b.log")
    assert read_all(tail) == ["a.log 2", "b.log 1"]


def test_writer_that_does_not_append_leaves_a_hole(tmp_path: Path) -> None:
    """After a truncation its lines begin far behind the start, after NUL bytes only."""
    path = tmp_path / "hole.log"
    with path.open("wb", buffering=0) as file:
        file.write(b"x" * 99_999 + b"\n")
        tail = Tail(path)
        assert len(tail.read(LIMIT).data) == 100_000
        os.truncate(path, 0)
        file.write(b"after\n")
    data = tail.read(LIMIT).data
    assert data.lstrip(b"\0") == b"after\n"
    assert len(data) <= 4096


def test_missing_and_back(log: Writer) -> None:
    """A missing file is an error, and no reason to lose its lines when it is back."""
    tail = Tail(log.path)
    assert read_all(tail) == ["0"]
    log.line("last")
    log.path.unlink()
    assert tail.read(LIMIT).data == b"1 last\n"
    for _ in range(2):
        with pytest.raises(CollectError, match=r"execution\.log: No such file or directory$"):
            tail.read(LIMIT)
    log.reopen()
    log.line("back")
    assert read_all(tail) == ["2 back"]


def test_what_is_not_a_file(tmp_path: Path) -> None:
    """Directories and pipes are refused, and a pipe does not block."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(CollectError, match="not a regular file"):
            Tail(path).read(LIMIT)


UNFINISHED = """
  written, read after each  | what the read gives
  a\\n                      | a
  a\\n b c\\n               | a - bc
  a\\nb c\\n                | a bc
  a _ \\n b\\n              | - a - b
  a _ _ b\\n c\\n           | - a - - c
  a b c _                   | - - - abc
  \\n \\n\\n                | . ..
"""


@pytest.mark.parametrize("row", UNFINISHED.strip("\n").splitlines()[1:])
def test_unfinished_line(tmp_path: Path, row: str) -> None:
    """`-` is nothing, `_` writes nothing, `.` is an empty line: a line left alone counts, once."""
    writes, _, expected = row.partition("|")
    path = tmp_path / "x.log"
    path.touch()
    tail = Tail(path)
    reads = []
    for write in writes.split():
        with path.open("ab") as file:
            file.write(write.replace("_", "").replace("\\n", "\n").encode())
        data = tail.read(LIMIT).data.decode()
        reads.append(" ".join(line or "." for line in data.split("\n")[:-1]) or "-")
    assert expected.replace(" ", "") == "".join(reads).replace(" ", "")


@pytest.mark.parametrize("size", [99, 100, 101, 250, 1000])
def test_long_line_is_cut_and_counted_once(tmp_path: Path, size: int) -> None:
    """No more than the limit is held in memory, and the rest of the line is passed over."""
    path = tmp_path / "x.log"
    path.write_bytes(b"a\n" + b"x" * size + b"\nb\n")
    tail = Tail(path)
    lines = []
    while data := tail.read(100).data:
        assert len(data) <= 101
        lines += data.split(b"\n")[:-1]
    assert [line[:1] for line in lines] == [b"a", b"x", b"b"]


def test_behind(log: Writer) -> None:
    """What a limit leaves unread is told."""
    for _ in range(9):
        log.line()
    tail = Tail(log.path)
    assert [tail.read(8).behind for _ in range(3)] == [12, 4, 0]


def test_what_has_settled_is_seen_to_change(tmp_path: Path) -> None:
    """A file that nothing happened to for a while is no longer opened, and each change is seen at once."""
    changes = [Writer.line, Writer.rename, Writer.copytruncate, recreate, truncate]
    logs = [Writer(tmp_path / f"{change.__name__}.log") for change in changes]
    for each in logs:
        each.line()
    tails = [Tail(each.path) for each in logs]
    assert [read_all(tail) for tail in tails] == [["0"]] * 5
    until = time.monotonic() + 1.2
    while time.monotonic() < until:
        assert [tail.read(LIMIT).data for tail in tails] == [b""] * 5
        select.select([], [], [], 0.05)
    for each, change in zip(logs, changes, strict=True):
        change(each)
        each.line("new")
    assert [read_all(tail)[-1] for tail in tails] == ["2 new", *["1 new"] * 4]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("limit", [64, LIMIT])
def test_encodings(tmp_path: Path, encoding: str, limit: int) -> None:
    """What is read is UTF-8, also where a sign holds a line end's byte or is cut in two."""
    path = tmp_path / "x.log"
    lines = ["first line", "größer ✓", "ਊ\u0a0d\u0d0a is no line end", "crlf\r", "", "last"]
    data = "".join(f"{line}\n" for line in lines).encode(encoding)
    path.write_bytes(data[:33])
    tail = Tail(path)
    read = tail.read(limit).data
    with path.open("ab") as file:
        file.write(data[33:])
    read += b"".join(iter(lambda: tail.read(limit).data, b""))
    assert read.decode("utf-8-sig").split("\n")[:-1] == lines
    assert tail.read(LIMIT).position.offset == len(data)


ODD = {
    "NUL bytes inside": b"a\0b\nc\n",
    "nothing but NUL bytes": b"\0" * 100 + b"\n",
    "one stray NUL in a short file": b"a\0\n",
    "carriage returns": b"a\r\nb\rc\r\n",
    "not UTF-8": b"caf\xe9\n",
    "a line of 1 MB": b"x" * 1_000_000 + b"\nafter\n",
}


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
def test_odd_content(tmp_path: Path, content: bytes) -> None:
    """Bytes are handed on as they are, and each line is one."""
    path = tmp_path / "x.log"
    path.write_bytes(content)
    tail = Tail(path)
    assert b"".join(iter(lambda: tail.read(2 * LIMIT).data, b"")) == content


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text(st.sampled_from("a\u0a00\u000a\u0a0a\r\0é✓"), max_size=6), min_size=1, max_size=8),
    st.sampled_from(["utf-16-le", "utf-16-be"]),
)
def test_line_ends_of_any_utf_16(pieces: list[str], codec: Literal["utf-16-le", "utf-16-be"]) -> None:
    """The first and the last line end are where they are in the decoded text."""
    text = "".join(pieces)
    encoding = Encoding(codec, 2)
    data = text.encode(codec)
    assert encoding.first_end(data) == 2 * (text.find("\n") + 1)
    assert encoding.last_end(data) == 2 * (text.rfind("\n") + 1)


BELIEVED = """
  what became of the file meanwhile            | what is read
  nothing                                      | new
  replaced by another under the same name      | other new
  overwritten in place by less                 | other new
  overwritten in place by more                 | other1 other2 other3 other4 new
  renamed, and another has the name            | late other new
  renamed, compressed, and another has it      | late other new
  renamed and deleted, and another has it      | other new
"""


@pytest.mark.parametrize(("fate", "expected"), rows(BELIEVED), ids=ids(BELIEVED))
def test_remembered_position(tmp_path: Path, fate: str, expected: str) -> None:
    """A position is believed where the file still has what was read of it, and nowhere else."""
    path, rotated = tmp_path / "x.log", tmp_path / "x.log.1"
    path.write_text("old1\nold2\nold3\n")
    with Tail(path) as tail:
        read_all(tail)
        position = tail.read(LIMIT).position
    if fate.startswith("re"):
        path.rename(rotated if fate.startswith("renamed") else tmp_path / "y")
    if fate.startswith("renamed"):
        with rotated.open("a") as file:
            file.write("late\n")
    if "compressed" in fate:
        (tmp_path / "x.log.1.gz").write_bytes(gzip.compress(rotated.read_bytes()))
    if "compressed" in fate or "deleted" in fate:
        rotated.unlink()
    if fate != "nothing":
        path.write_text("".join(f"{word}\n" for word in expected.split() if word.startswith("other")))
    with path.open("a") as file:
        file.write("new\n")
    assert " ".join(read_all(Tail(path, position))) == expected
