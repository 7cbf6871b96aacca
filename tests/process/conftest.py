"""Real servers, real files, and the program itself as a user starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import httpx
import pytest
import redis
from typer.testing import CliRunner

from tests.nursery import Born, of_the_watchdog
from watchdog.cli import app
from watchdog.demo.server import EmbeddedServer, free_port, start_server

CLIENT = httpx.Client(timeout=5, verify=False, limits=httpx.Limits(max_keepalive_connections=0))
"""Certificates would be loaded anew at each `httpx.get`, which takes longer than the answer."""


@dataclass(frozen=True)
class Ran:
    """What a command said and how it ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return standard output as JSON."""
        return json.loads(self.out)


def watchdog(*arguments: str, environment: Mapping[str, str] | None = None, timeout: float = 60) -> Ran:
    """Run the command line and return what it said; no traceback may ever be part of that."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = of_the_watchdog().bear(
            ["watchdog", *arguments], {**os.environ, "COLUMNS": "200", **(environment or {})}, out, err
        )
        try:
            status = process.wait(timeout)
        finally:
            process.kill()
        for file in (out, err):
            file.seek(0)
        ran = Ran(status, out.read(), err.read())
    assert "Traceback" not in ran.out + ran.err, ran.err
    return ran


def typed(*arguments: str, environment: Mapping[str, str] | None = None) -> Ran:
    """Run a command in this process, as `watchdog` does in one of its own; that takes a second each."""
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200", **(environment or {})})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def until(holds: Callable[[], Any], within: float = 15, every: float = 0.02) -> Any:
    """Return what *holds* returns once it is true, asked *every* so many seconds."""
    deadline = time.monotonic() + within
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(every)


class Running:
    """A sidecar process of this test's."""

    def __init__(self, rules: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._printed = [rules.with_name(f"{self.port}.{what}") for what in ("out", "err")]
        with self._printed[0].open("w") as out, self._printed[1].open("w") as err:  # a pipe would fill up
            self.process = self._begin(
                ["watchdog", "run", "--rules", str(rules), "--listen", f"127.0.0.1:{self.port}", *arguments],
                {**os.environ, **(environment or {})},
                out,
                err,
            )

    def _begin(
        self, argv: Sequence[str], environment: Mapping[str, str], out: TextIO, err: TextIO
    ) -> Born | subprocess.Popen[bytes]:
        return of_the_watchdog().bear(argv, environment, out, err)

    def get(self, path: str) -> httpx.Response:
        """Ask the sidecar; it must be up."""
        return CLIENT.get(self.url + path)

    def ready(self) -> bool:
        """Say whether the sidecar is ready."""
        try:
            return self.get("/-/ready").status_code == 200
        except httpx.TransportError:
            assert self.process.poll() is None, self.said()[1]
            return False

    def said(self) -> tuple[str, str]:
        """Return what it printed so far, and what it logged."""
        out, err = (path.read_text() for path in self._printed)
        return out, err

    def kill(self) -> None:
        """End it as the kernel would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> tuple[float, list[dict[str, Any]]]:
        """End it with SIGTERM and return how long that took and what it logged."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=20)
        took = time.monotonic() - began
        out, err = self.said()
        assert "Traceback" not in err, err
        assert (self.process.returncode, out) == (0, "")
        return took, [json.loads(line) for line in err.splitlines()]


class Started(Running):
    """The same, with a start of its own, as a user's."""

    def _begin(
        self, argv: Sequence[str], environment: Mapping[str, str], out: TextIO, err: TextIO
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", *argv], stdout=out, stderr=err, env=environment)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """An embedded Valkey 9."""
    with start_server() as started:
        yield started


@pytest.fixture
def client(server: EmbeddedServer) -> Iterator[redis.Redis]:
    """A client on the emptied server."""
    with redis.Redis(port=server.port) as connected:
        connected.flushall()
        yield connected


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    """Start sidecars; whatever is left of them is killed in the end."""
    started: list[Running] = []

    def start(rules: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Running:
        started.append(Running(rules, *arguments, environment=environment))
        return started[-1]

    yield start
    for running in started:
        running.kill()
