"""
A small pipeline in trouble, its sidecar, and a desk to type at: where the commands of the pages are run.

The trainer has no heartbeat, so `execution` has succeeded at nothing for two hours. The names are those
that the pages use. What a page calls 127.0.0.1:9821 or :6379 is the sidecar and the server of this world,
and its absolute paths lie below the desk's folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import redis
import structlog
from pytest_httpserver import HTTPServer

from watchdog.clock import utc_now
from watchdog.config import Config, parse
from watchdog.demo.server import EmbeddedServer, start_server
from watchdog.reload import Reloader
from watchdog.sidecar import Sidecar
from watchdog.state import StateFile
from watchdog.web.app import build_app
from watchdog.web.guard import access_to
from watchdog.web.server import WebServer, bind

T = TypeVar("T")
TOKEN = "0123456789abcdef0123456789abcdef"
HOURS = 3_600_000
RULES = """
redis: {{url: "{redis}"}}
every: 500ms
state: "{folder}/watchdog.db"
listen: "127.0.0.1:{port}"
runbooks: here
services:
  rl_trainer:
    heartbeat: {{key: "quantum:svc:rl_trainer:heartbeat"}}
    rules: {{HeartbeatMissing: {{for: 0s}}}}
  apply_layer:
    consumes: {{stream: "quantum:stream:apply.plan", group: apply_layer_entry}}
  execution:
    executions:
      stream: "quantum:stream:execution.result"
      success: {{status: filled}}
      input: "quantum:stream:apply.result"
receivers:
  ops: {{webhook: {{url: "{hook}/ops"}}}}
  boss: {{webhook: {{url: "{hook}/boss"}}}}
routes: [{{severity: critical, to: [ops, boss]}}, {{to: [ops]}}]
api: {{tokens: "ana: {token}"}}
"""
_PATH = re.compile(r"(?<![\w./:~-])/(?=(?:etc|var|run|opt|srv|usr/local)/)")
_SECRETS = re.compile(r'\bfile: *"?(/[\w./-]+)')
CREDENTIALS = "/run/credentials/pipeline-watchdog.service"
"""What systemd puts into ${CREDENTIALS_DIRECTORY}."""


@dataclass(frozen=True)
class World:
    """Where everything is."""

    folder: Path
    server: EmbeddedServer
    hook: str
    port: int
    sidecar: Sidecar

    @property
    def rules(self) -> str:
        """Return the rules file of the sidecar."""
        return _rules(self.folder, self.server, self.hook, self.port)

    @property
    def environment(self) -> Mapping[str, str]:
        """Return what a shell has that works on this world."""
        return {
            "REDIS_URL": self.server.url,
            "WATCHDOG_URL": f"http://127.0.0.1:{self.port}",
            "WATCHDOG_TOKEN": TOKEN,
            "SLACK_WEBHOOK_URL": f"{self.hook}/slack",
            "OTLP_TOKEN": TOKEN,
            "LC_ALL": "C.UTF-8",
        }

    def fingerprint(self) -> str:
        """Return the fingerprint of what is wrong with `execution`."""
        return next(
            alert.labels.fingerprint
            for alert in list(self.sidecar.alerts.values())
            if (alert.name, alert.service) == ("NoExecutions", "execution")
        )


@dataclass(frozen=True)
class Desk:
    """Where the reader of one page sits: a folder of his own in the *world*."""

    world: World
    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """Return what works on this world."""
        return self.world.environment

    @property
    def redis_port(self) -> int:
        """Return the port of this world's server."""
        return self.world.server.port

    def here(self, text: str) -> str:
        """Return *text* of a page with the places of this world in it."""
        text = text.replace("127.0.0.1:9821", f"127.0.0.1:{self.world.port}")
        text = text.replace("127.0.0.1:6379", f"127.0.0.1:{self.world.server.port}")
        text = re.sub(r"https://hooks\.slack\.(?:com|example)/[\w/.-]*", f"{self.world.hook}/slack", text)
        text = re.sub(r"\b[0-9a-f]{16}\b", self.world.fingerprint(), text)
        return _PATH.sub(f"{self.folder}/", text.replace("${CREDENTIALS_DIRECTORY}", CREDENTIALS))

    def lay(self, path: str, text: str) -> Path:
        """Write *text* as the file that a page calls *path*."""
        file = self.folder / path.removeprefix("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.here(text), encoding="utf-8")
        return file

    def give_secrets(self, text: str) -> None:
        """Have every file that *text*, which is of this world already, reads a secret from."""
        for path in map(Path, _SECRETS.findall(text)):
            if path.is_relative_to(self.folder) and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                secret = self.world.server.url if "redis" in path.name else f"{self.world.hook}/{TOKEN}"
                path.write_text(f"{secret}\n", encoding="utf-8")


def desk_in(world: World, folder: Path) -> Desk:
    """Return a desk in *folder*, with the rules file and the token that a page may count on."""
    desk = Desk(world, folder)
    (folder / "rules.yaml").write_text(world.rules, encoding="utf-8")
    (folder / "watchdog.db.token").write_text(TOKEN, encoding="utf-8")
    desk.lay("/etc/quantum/execution.env", "APPLY_MODE=testnet\n")
    (folder / "var/lib/watchdog/accepted").mkdir(parents=True)
    return desk


@contextlib.contextmanager
def a_world(folder: Path) -> Iterator[World]:
    """Give a world whose sidecar has found what is wrong and has told its receivers."""
    with start_server() as server, HTTPServer() as hook:
        for receiver in ("ops", "boss", "slack"):
            hook.expect_request(re.compile(f"/{receiver}.*")).respond_with_data("ok")
        hook.expect_request("/api/v2/alerts").respond_with_data("")
        _fill(server)
        listener = bind("127.0.0.1", 0)
        port = int(listener.getsockname()[1])
        address = hook.url_for("").rstrip("/")
        with _at_work(parse(_rules(folder, server, address, port)), listener) as sidecar:
            world = World(folder, server, address, port, sidecar)
            _wait_for(lambda: {request.path for request, _ in hook.log} >= {"/ops", "/boss"})
            yield world


def _rules(folder: Path, server: EmbeddedServer, hook: str, port: int) -> str:
    return RULES.format(folder=folder, redis=server.url, hook=hook, port=port, token=TOKEN)


def _fill(server: EmbeddedServer) -> None:
    """Write what the pipeline left: a success two hours ago, work ever since, and no heartbeat."""
    with redis.Redis(port=server.port) as client:
        now = int(time.time() * 1000)
        client.xadd("quantum:stream:execution.result", {"status": "filled"}, id=f"{now - 2 * HOURS}-0")
        for minute in range(1, 50):
            entry = {"executed": "False", "error": "risk_layer0_fail:heartbeat_missing"}
            client.xadd("quantum:stream:apply.result", entry, id=f"{now - HOURS + minute * 60_000}-0")
        client.xgroup_create("quantum:stream:apply.plan", "apply_layer_entry", "0", mkstream=True)
        client.set("quantum:svc:execution:heartbeat", str(now // 1000), ex=600)


@contextlib.contextmanager
def _at_work(config: Config, listener: socket.socket) -> Iterator[Sidecar]:
    """Give the sidecar of *config* while it looks and answers, in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="world")
    thread.start()

    def do(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(timeout=30)

    async def nothing_beside(_: Config) -> None:
        """Nothing else goes by the file here."""

    async def begin() -> tuple[Sidecar, WebServer]:
        structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # not between what commands say
        sidecar = Sidecar(config, utc_now, StateFile(str(config.state), utc_now))
        access = access_to(config, "127.0.0.1", config.tokens)
        reloader = Reloader(sidecar, lambda: config, {}, fit=nothing_beside)
        web = WebServer(build_app(sidecar, access, reloader.reload), listener)
        web.start()
        sidecar.start()
        return sidecar, web

    async def end() -> None:
        await web.stop()
        await sidecar.stop()

    try:
        sidecar, web = do(begin())
        try:
            yield sidecar
        finally:
            do(end())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()


def _wait_for(holds: Callable[[], bool], within: float = 20) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "the world's sidecar told nobody in time"
        time.sleep(0.02)
