"""What is said while one waits: late, in few words, only to who looks, and not for long."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Iterator, Sequence

import pytest

from tests.drawn import ids, rows
from tests.process.conftest import until
from watchdog.progress import progress
from watchdog.waiting import telling


class Looked(io.StringIO):
    """Standard error that somebody looks at."""

    def isatty(self) -> bool:
        """Say that it is a terminal."""
        return True


@pytest.fixture(autouse=True)
def _a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that can erase, wide enough."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")


@contextlib.contextmanager
def looking() -> Iterator[Looked]:
    """Give what a terminal is sent on standard error."""
    with contextlib.redirect_stderr(Looked()) as looked:
        yield looked


def test_what_is_quick_needs_no_words() -> None:
    """Nothing flickers."""
    with looking() as looked, progress("looking", 2) as steps:
        steps.reach(1, "looking at a")
        steps.wait_for(["a"])
    assert looked.getvalue() == ""


def test_what_is_slow_says_for_whom_it_waits_and_is_gone_afterwards(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Answers go to standard output all the while; what is shown can steer nothing."""
    with looking() as looked, progress("looking", patience=0) as steps:
        steps.wait_for(["redis", "log\x1b[2J"])
        until(lambda: "looking, waiting for redis, log�[2J" in looked.getvalue())
        steps.echo("an answer")
        steps.reach(0, "breaking it")
        until(lambda: "breaking it" in looked.getvalue())
    assert capsys.readouterr().out == "an answer\n"
    assert looked.getvalue().endswith("\x1b[1A\x1b[2K")  # up, and the line is empty


@pytest.mark.parametrize("of_bytes", [False, True], ids=["steps", "bytes"])
def test_how_far_it_is(of_bytes: bool) -> None:
    """Of how much, and how fast where that means something."""
    with looking() as looked, progress("a.log", 200_000_000, of_bytes=of_bytes, patience=0) as steps:
        steps.reach(50_000_000)
        until(lambda: ("50.0/200.0 MB" if of_bytes else "━") in looked.getvalue())


def test_nobody_who_reads_a_file_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a pipe nor a terminal that cannot erase."""
    for stream, term in ((io.StringIO(), "xterm"), (Looked(), "dumb")):
        monkeypatch.setenv("TERM", term)
        with contextlib.redirect_stderr(stream), progress("looking", patience=0) as steps:
            steps.wait_for(["redis"])
        assert stream.getvalue() == ""


WAITS = """
  names     | said
  -         | looking
  a         | looking, waiting for a
  a b c     | looking, waiting for a, b, c
  a b c d e | looking, waiting for a, b, c and 2 more
"""


@pytest.mark.parametrize(("names", "said"), rows(WAITS), ids=ids(WAITS))
def test_for_whom_one_waits(names: str, said: str) -> None:
    """The first few of many."""
    with looking() as looked, progress("looking", patience=0) as steps:
        steps.wait_for(names.removeprefix("-").split())
        until(lambda: f"{said} " in looked.getvalue())


async def test_who_is_waited_for_is_told_until_nobody_is() -> None:
    """Again and again, and no longer."""
    told: list[Sequence[str]] = []
    heard = asyncio.Event()

    def hear(names: Sequence[str]) -> None:
        told.append(names)
        heard.set()

    async with telling(lambda: ["redis"], hear):
        await asyncio.wait_for(heard.wait(), 5)
    count = len(told)
    assert told[0] == ["redis"]
    async with telling(lambda: ["redis"], None):
        await asyncio.sleep(0)
    assert len(told) == count
