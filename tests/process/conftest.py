"""Real servers, real files, and the program itself as a user starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from typer.testing import CliRunner

from watchdog.cli import app
from watchdog.demo.server import EmbeddedServer, free_port, start_server


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
    done = subprocess.run(
        [sys.executable, "-m", "watchdog", *arguments],
        capture_output=True,
        check=False,
        text=True,
        timeout=timeout,
        env={**os.environ, "COLUMNS": "200", **(environment or {})},
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


def typed(*arguments: str, environment: Mapping[str, str] | None = None) -> Ran:
    """Run a command in this process, as `watchdog` does in one of its own; that takes a second each."""
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200", **(environment or {})})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def until(holds: Callable[[], Any], within: float = 15) -> Any:
    """Return what *holds* returns once it is true."""
    deadline = time.monotonic() + within
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


class Running:
    """A sidecar process of this test's."""

    def __init__(self, rules: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._printed = [rules.with_name(f"{self.port}.{what}") for what in ("out", "err")]
        with self._printed[0].open("w") as out, self._printed[1].open("w") as err:  # a pipe would fill up
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "watchdog", "run", "--rules", str(rules)),
                    *("--listen", f"127.0.0.1:{self.port}", *arguments),
                ],
                stdout=out,
                stderr=err,
                env={**os.environ, **(environment or {})},
            )

    def get(self, path: str) -> httpx.Response:
        """Ask the sidecar; it must be up."""
        return httpx.get(self.url + path, timeout=5)

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
