"""What is waited for, on standard error: only in a terminal, only after a second, gone afterwards."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator, Sequence

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column

from watchdog.units import first_of, plain

PATIENCE = 1.0
"""Seconds before anything is shown: what is quick needs no words, and must not flicker."""
NAMED = 3


class Steps:
    """How far something has come; whoever works says so here, and need not know whether it is shown."""

    def __init__(self, shown: Progress, what: str, total: float | None) -> None:
        self._shown = shown
        self._what = plain(what)
        self._task = shown.add_task(self._what, total=total)
        self._lock = threading.Lock()
        self._up = False

    def reach(self, done: float, what: str | None = None) -> None:
        """Say how much is done, and with what one is busy now."""
        said = self._what if what is None else plain(what)
        self._shown.update(self._task, completed=done, description=said)

    def wait_for(self, names: Sequence[str]) -> None:
        """Say for whom one still waits."""
        waits = f", waiting for {first_of(names, NAMED)}" if names else ""
        self._shown.update(self._task, description=plain(self._what + waits))

    def echo(self, text: str) -> None:
        """Print *text*, and show the progress below it again."""
        with self._lock:
            if self._up:
                self._shown.stop()
            typer.echo(text)
            if self._up:
                self._shown.start()

    def show(self) -> None:
        """Begin to show it."""
        with self._lock:
            self._up = True
            self._shown.start()

    def hide(self) -> None:
        """Take it away, for good."""
        with self._lock:
            self._up = False
            self._shown.stop()


@contextlib.contextmanager
def progress(
    what: str, total: float | None = None, *, of_bytes: bool = False, patience: float = PATIENCE
) -> Iterator[Steps]:
    """Give what tells how far *what* has come, of *total* where that is known; show it while it lasts."""
    console = Console(stderr=True, highlight=False)
    is_seen = sys.stderr.isatty() and not console.is_dumb_terminal
    shown = Progress(
        *_columns(total, of_bytes),
        console=console,
        transient=True,
        disable=not is_seen,
        redirect_stdout=False,  # it would send answers to standard error
        redirect_stderr=False,
    )
    steps = Steps(shown, what, total)
    if not is_seen:
        yield steps
        return
    timer = threading.Timer(patience, steps.show)
    timer.daemon = True
    timer.start()
    try:
        yield steps
    finally:
        timer.cancel()
        timer.join()
        steps.hide()


def _columns(total: float | None, of_bytes: bool) -> list[ProgressColumn]:
    words = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, ratio=1))
    if of_bytes:
        return [words, BarColumn(20), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()]
    if total is not None:
        return [words, BarColumn(20), TimeElapsedColumn()]
    return [SpinnerColumn(), words, TimeElapsedColumn()]
