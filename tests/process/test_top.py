"""`watchdog top` and progress on a real terminal: what stands on the screen, keys, sizes, ways to end."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from tests.process.conftest import typed
from tests.process.terminals import Terminal, terminal
from tests.web.snapshots import NOW, healthy, outage
from watchdog.commands.top import Answer, Asker
from watchdog.glance import glance
from watchdog.remote import Remote, Whereabouts

SINCE = "2026-02-18T03:00:00Z"
EVENTS = [{"at": "2026-02-19T02:50:00Z", "service": "rl_feedback", "what": "restart", "text": "it restarted"}]


class Sidecar:
    """Answers as a sidecar does, until it is told not to."""

    def __init__(self, server: HTTPServer) -> None:
        self.url = server.url_for("").rstrip("/")
        self.body = outage()
        self.looked_at = NOW
        self.fresh = True
        self.answers = threading.Event()
        self.answers.set()
        for path, told in (
            ("status", lambda: {**self.body, "fresh": self.fresh}),
            ("alerts", lambda: {"at": NOW, "alerts": self.body["alerts"]}),
            ("timeline", lambda: {"at": NOW, "status": "ok", "since": SINCE, "events": EVENTS}),
            ("silences", lambda: {"at": self.looked_at, "silences": []}),
        ):
            server.expect_request(f"/api/v1/{path}").respond_with_handler(self._handler(told))

    def _handler(self, told: Callable[[], Any]) -> Callable[[Any], Response]:
        def answer(_: Any) -> Response:
            if not self.answers.is_set():
                return Response("<html>", 502)
            return Response(json.dumps(told()), content_type="application/json")

        return answer

    def arguments(self, *more: str) -> tuple[str, ...]:
        """Return how to look at it."""
        return ("top", "--url", self.url, *more)


@pytest.fixture
def sidecar(httpserver: HTTPServer) -> Sidecar:
    """A sidecar that sees the outage."""
    return Sidecar(httpserver)


@pytest.fixture
def shown(sidecar: Sidecar) -> Iterator[Terminal]:
    """The outage on a terminal of 80 × 24."""
    with terminal(*sidecar.arguments("--every", "100ms")) as opened:
        opened.until("NOT WORKING for 2h 5m: rl_trainer has no heartbeat")
        yield opened


def test_a_night_with_it(sidecar: Sidecar, shown: Terminal) -> None:
    """See the outage, open its cause, filter, lose the sidecar, see it again, and leave with Ctrl-C."""
    assert shown.shown[0].startswith("✖ NOT WORKING for 2h")
    assert shown.shown[23].startswith("j/k move")
    assert shown.screen.cursor.hidden
    shown.press("\x1b[B\r")
    shown.until("HeartbeatMissing of rl_trainer (firing)", "watchdog runbook HeartbeatMissing", "esc back")
    shown.press("\x1b")
    shown.until("/ filter")
    shown.press("/feed\r")
    lines = shown.until("/feed (esc: all)")
    assert not any("execution  " in line for line in lines)
    shown.press("Ge")
    shown.until("10m ago  restart: it restarted")
    shown.press("\x1b")
    shown.until("/feed (esc: all)")
    shown.press("\x1b")
    shown.until("✖ critical  execution")
    shown.resize(40, 12)
    lines = shown.until("… 3 more")
    assert len(lines) == 12
    sidecar.answers.clear()
    shown.until("? UNKNOWN: what answers at", "is no watchdog")
    sidecar.body = healthy()
    sidecar.answers.set()
    shown.until("✔ WORKING for 1d: worker-000")
    sidecar.looked_at = "2026-02-19T03:20:00Z"
    sidecar.fresh = False
    shown.until("? UNKNOWN: the sidecar has not looked", "20m")
    shown.press("\x03")
    assert shown.end() == 0
    assert_as_before(shown)


@pytest.mark.parametrize(
    ("fresh", "came", "stale"),
    [
        (True, 0.0, ""),
        (False, 0.0, "the sidecar has not looked for 20m (see /-/ready and its log)"),
        (True, 100.0, "the sidecar has not looked for 21m 40s (see /-/ready and its log)"),
    ],
    ids=["with a look every half hour", "it says that it does not look", "nothing has come for long"],
)
def test_whether_a_look_is_one_of_now(fresh: bool, came: float, stale: str) -> None:
    """The sidecar knows how often it looks; an answer of long ago is none."""
    ours, theirs = socket.socketpair()
    with ours, theirs, Remote(Whereabouts("http://127.0.0.1:1", None, "")) as remote:
        asker = Asker(remote, 2.0, theirs)
        asker.latest = Answer(glance(outage()), {}, 0, [], old=1200.0, fresh=fresh), 0.0
        assert asker.picture("", now=came).stale == stale


def test_whoever_ends_it_finds_the_terminal_as_it_was(shown: Terminal) -> None:
    """A session that is shut down is no reason to leave a mess."""
    assert shown.mode() != shown.before
    assert shown.end(signal.SIGTERM) == 128 + signal.SIGTERM
    assert_as_before(shown)


def assert_as_before(shown: Terminal) -> None:
    """The keys are seen again, the cursor too, and the other screen is gone; nothing was left on it."""
    assert shown.mode() == shown.before
    shown.drain()
    assert shown.written.rfind(b"\x1b[?1049l") > shown.written.rfind(b"\x1b[?1049h")
    assert shown.written.rfind(b"\x1b[?25h") > shown.written.rfind(b"\x1b[?25l")
    assert b"Traceback" not in shown.written


def test_where_there_is_no_terminal_it_prints_once(sidecar: Sidecar) -> None:
    """As the audit does; nobody waits for what never ends."""
    ran = typed(*sidecar.arguments())
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines()[0].startswith("✖ NOT WORKING for 2h 5m: rl_trainer has no heartbeat")
    assert ran.out.splitlines()[0] == ran.out.splitlines()[-1]
    assert "\x1b" not in ran.out


MISTAKES = [
    (("top", "--url", "http://127.0.0.1:1"), 3, "the sidecar at http://127.0.0.1:1 cannot be reached"),
    (("top", "--every", "0s"), 2, '--every: "0s" is no good rhythm (give 100ms to 1h)'),
    (("top", "--every", "soon"), 2, '--every: "soon" is not a duration'),
]


@pytest.mark.parametrize(
    ("arguments", "status", "said"), MISTAKES, ids=["unreachable", "too often", "no duration"]
)
def test_a_mistake_is_one_sentence(arguments: tuple[str, ...], status: int, said: str) -> None:
    """With a cure."""
    ran = typed(*arguments)
    assert (ran.status, ran.out, ran.err.startswith(said)) == (status, "", True), ran


def test_progress_comes_after_a_second_and_goes(tmp_path: Path) -> None:
    """While a command does not answer: for whom one waits; afterwards only the answer stands there."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        'redis: {url: "redis://127.0.0.1:1", timeout: 100ms}\n'
        f'services: {{a: {{command: {{run: [sh, -c, "read line < {gate}"], timeout: 20s}}}}}}\n'
    )
    with terminal("audit", "--rules", str(rules)) as opened:
        opened.until("looking at", "waiting for a/command")
        gate.write_text("\n")
        opened.until("NOT WORKING")
        assert opened.end() == 2
        opened.drain()
        assert not any("looking at" in line for line in opened.shown)
        assert opened.screen.buffer[0][0].fg == "red"
