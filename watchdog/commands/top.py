"""`watchdog top`: the running sidecar's picture, live in a terminal."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, NamedTuple

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from watchdog.brief import brief
from watchdog.browsing import View, keys_in, pressed
from watchdog.columns import spelled
from watchdog.commands.common import USAGE, TokenOption, UrlOption, duration_of, sidecar
from watchdog.gauges import Body
from watchdog.glance import Glance, glance, seconds_between
from watchdog.printing import printed
from watchdog.remote import Remote, RemoteError, whereabouts
from watchdog.runbooks import runbook_names
from watchdog.screen import Picture, screen
from watchdog.terminal import DEFAULT_RULES, RulesOption, fail
from watchdog.units import show_duration

LATE = 60.0
"""An answer that is older, in seconds, is not one of now, whatever it said."""
TICK = 1.0
EVENTS = 50
"""So many of the latest events are asked for, to show those of a service that is opened."""
SPLIT = 0.05  # seconds within which the rest of a key's bytes comes
UNFINISHED = (b"\x1b", b"\x1b[", b"\x1bO")
WAKING = (signal.SIGWINCH, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ANSWERED = b"\0"
"""What wakes the drawing when there is news; other bytes are numbers of signals."""


def top_command(
    *,
    rules: RulesOption = DEFAULT_RULES,
    every: Annotated[str, typer.Option("--every", help="how often to ask")] = "2s",
    once: Annotated[bool, typer.Option("--once", help="print what there is and end")] = False,
    url: UrlOption = None,
    token_file: TokenOption = None,
) -> None:
    """
    Show live what the running sidecar sees: does it work, since when not, why; `?` tells the keys.

    Where it cannot draw (its output is no terminal) it prints once. Exit status: 0, 3 if the
    sidecar cannot be asked.
    """
    pause = duration_of(every, "--every").total_seconds()
    if not 0.1 <= pause <= 3600:
        raise fail(f'--every: "{every}" is no good rhythm (give 100ms to 1h)', USAGE)
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if is_terminal and not once and os.environ.get("TERM", "dumb") in ("dumb", "unknown", ""):
        raise fail("this terminal cannot be drawn on (TERM says so): use watchdog top --once", USAGE)
    with sidecar(rules, url, token_file) as remote:
        if once or not is_terminal:
            typer.echo(printed(partial(brief, ask(remote).seen, runbook_names())))
            return
        link = (url or whereabouts(rules, os.environ).url).rstrip("/")
        status = watch(remote, pause, link)
    raise typer.Exit(status)


# ---- asking ------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """What the sidecar said; *old* is how old its last look was, by its own clock."""

    seen: Glance
    services: Mapping[str, Body]
    silences: int
    events: Sequence[Body]
    old: float
    fresh: bool


def ask(remote: Remote) -> Answer:
    """Ask the sidecar for all that is shown; RemoteError if it does not say."""
    status = remote.get("/api/v1/status")
    alerts = remote.get("/api/v1/alerts")["alerts"]
    silences = remote.get("/api/v1/silences")
    active = sum(one["status"]["state"] == "active" for one in silences["silences"])
    past = remote.get("/api/v1/timeline", limit=EVENTS)
    old = seconds_between(status["at"], silences["at"])
    seen = glance(status, alerts, past["since"])
    return Answer(seen, status["services"], active, past["events"], old, bool(status["fresh"]))


class Asker(threading.Thread):
    """
    Asks again and again, so that no slow answer holds up a key.

    *latest* is the last answer, with the moment it came; *error* is what is wrong with asking since.
    """

    def __init__(self, remote: Remote, pause: float, news: socket.socket) -> None:
        super().__init__(name="ask", daemon=True)  # an answer that is out must not hold up the end
        self.latest: tuple[Answer, float] | None = None
        self.error = ""
        self.stopped = threading.Event()
        self._remote = remote
        self._pause = pause
        self._news = news

    def run(self) -> None:
        """Ask until stopped."""
        while not self.stopped.is_set():
            try:
                self.latest, self.error = (ask(self._remote), time.monotonic()), ""
            except RemoteError as exc:
                self.error = str(exc)
            except (KeyError, TypeError, ValueError, AttributeError) as exc:
                self.error = f"the sidecar's answer is of another version ({type(exc).__name__})"
            except RuntimeError:
                return  # the connection was closed: it is the end
            with contextlib.suppress(OSError):
                self._news.send(ANSWERED)
            self.stopped.wait(self._pause)

    def picture(self, link: str, now: float) -> Picture:
        """Return what is to be shown at *now*, and why it is not of now if it is not."""
        if self.latest is None:
            return Picture(stale=self.error)
        answer, came = self.latest
        old = answer.old + now - came
        stale = f"{self.error}; what follows is {show_duration(round(old))} old" if self.error else ""
        if not stale and (not answer.fresh or now - came > LATE + self._pause):
            stale = f"the sidecar has not looked for {show_duration(round(old))} (see /-/ready and its log)"
        return Picture(answer.seen, answer.services, answer.silences, answer.events, stale, link)


# ---- drawing -----------------------------------------------------------------------------------


def watch(remote: Remote, pause: float, link: str) -> int:
    """Draw what *remote* says until the user or a signal ends it; return the exit status."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    asker = Asker(remote, pause, theirs)
    console = Console(highlight=False, markup=False)
    live = Live(
        console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
    )
    try:
        with single_keys(sys.stdin.fileno()), waking(theirs), live:
            asker.start()
            return Drawing(live, asker, link).until_ended(ours)
    finally:
        asker.stopped.set()


class Drawing:
    """What is on the screen; drawn anew only where something is another than it was."""

    def __init__(self, live: Live, asker: Asker, link: str) -> None:
        self.view = View()
        self._live = live
        self._asker = asker
        self._link = link
        self._drawn: object = None

    def until_ended(self, news: socket.socket) -> int:
        """Draw and take keys; return the exit status."""
        keys = sys.stdin.fileno()
        while True:
            picture = self._asker.picture(self._link, time.monotonic())
            self._draw(picture)
            ready, _, _ = select.select([keys, news], [], [], TICK)
            for number in news.recv(4096) if news in ready else b"":
                if number in (signal.SIGTERM, signal.SIGHUP):
                    return 128 + number
                if number == signal.SIGINT:
                    return 0
            if keys in ready and not self._press(keys, picture):
                return 0

    def _press(self, keys: int, picture: Picture) -> bool:
        """Take the keys that were pressed; say whether to go on."""
        try:
            data = os.read(keys, 4096)
            if data.endswith(UNFINISHED) and select.select([keys], [], [], SPLIT)[0]:
                data += os.read(keys, 4096)
        except OSError:
            return False  # the terminal is gone
        for key in keys_in(data):
            view = pressed(self.view, key, picture.seen)
            if view is None:
                return False
            self.view = view
        return bool(data)

    def _draw(self, picture: Picture) -> None:
        console = self._live.console
        width, height = size = console.size
        lines = screen(picture, self.view, width, height)
        drawn = [(line.plain, line.style, line.spans) for line in lines]
        if (size, drawn) == self._drawn:
            return
        self._drawn = size, drawn
        self._live.update(Group(*(respelled(line, console.encoding) for line in lines)), refresh=True)


def respelled(line: Text, encoding: str) -> Text:
    """Return *line* in signs that the terminal has, in one line whatever is in it."""
    text = spelled(line.plain, encoding)
    return Text(text, style=line.style, spans=list(line.spans), no_wrap=True, overflow="crop")


# ---- the terminal ------------------------------------------------------------------------------


@contextlib.contextmanager
def single_keys(terminal: int) -> Iterator[None]:
    """Have every key at once and unseen; Ctrl-Z, which would leave the screen behind, does nothing."""
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        ours = termios.tcgetattr(terminal)
        ours[6][termios.VSUSP] = b"\0"
        termios.tcsetattr(terminal, termios.TCSADRAIN, ours)
        yield
    finally:
        with contextlib.suppress(termios.error):  # a terminal that is gone needs no order
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)


@contextlib.contextmanager
def waking(end: socket.socket) -> Iterator[None]:
    """Have signals that end it, and a new size, sent into *end* instead of interrupting a drawing."""
    before = {number: signal.signal(number, lambda *_: None) for number in WAKING}
    wakeup = signal.set_wakeup_fd(end.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
