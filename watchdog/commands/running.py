"""`watchdog run`: the sidecar and what it serves."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from functools import partial
from typing import Annotated

import structlog
import typer

from watchdog import __version__
from watchdog.clock import utc_now
from watchdog.commands.common import USAGE, load_or_exit
from watchdog.commands.sharing import ShardOption, shared
from watchdog.config import Config, load
from watchdog.dividing import share
from watchdog.errors import WatchdogError
from watchdog.fields import parse_address, secrets_noted
from watchdog.garbage import collect_seldom, keep_for_good
from watchdog.otlp import TraceExport
from watchdog.reload import Files, Reloader, look
from watchdog.shards import Shard
from watchdog.sidecar import Sidecar
from watchdog.state import StateFile
from watchdog.systemd import systemd_of
from watchdog.tape import Tape
from watchdog.terminal import DEFAULT_RULES, RulesOption, fail, structured_logs
from watchdog.tokens import local_tokens
from watchdog.web.app import build_app
from watchdog.web.guard import Access, Guard, access_to
from watchdog.web.server import WebServer, bind


def run_command(
    rules: RulesOption = DEFAULT_RULES,
    listen: Annotated[
        str | None, typer.Option("--listen", help="host:port, instead of the file's", show_default=False)
    ] = None,
    log_level: Annotated[str, typer.Option("--log-level", help="debug, info, warning or error")] = "info",
    shard: ShardOption = None,
) -> None:
    """Run the sidecar until it is told to stop."""
    with secrets_noted() as secrets:
        files = look([str(rules)], {})  # before it is read: what changes meanwhile is seen later
        config = shared(load_or_exit(rules, 1), shard, USAGE)
    files = {**files, **look(secrets, {})}
    structured_logs(log_level)
    host, port = config.listen
    if listen is not None:
        try:
            host, port = parse_address(listen)
        except ValueError as exc:
            raise fail(f"--listen: {exc}", 2) from exc
    try:
        asyncio.run(serve(config, host, port, files, listens=listen is None))
    except WatchdogError as exc:
        raise fail(str(exc), 1) from exc


def tokens_of(config: Config) -> Mapping[str, str]:
    """Return who may write: as the file says, or else whoever may read the token beside the state file."""
    if config.tokens or config.state in (None, ":memory:"):
        return config.tokens
    try:
        return local_tokens(str(config.state))
    except WatchdogError as exc:  # what it watches matters more than who may write
        structlog.get_logger().error("no_token", why=str(exc))
        return {}


def tape_of(config: Config) -> Tape | None:
    """Return what is recorded onto, if the file says so and it can be: watching matters more than that."""
    if config.record is None:
        return None
    try:
        return Tape(config.record.path, config.record.most, __version__)
    except WatchdogError as exc:
        structlog.get_logger().error("not_recorded", why=str(exc))
        return None


class Beside:
    """What is beside *sidecar* and goes by the same file: who may ask, what is recorded, where traces go."""

    def __init__(self, sidecar: Sidecar, host: str) -> None:
        self.guard: Guard
        self._sidecar = sidecar
        self._host = host
        self._config = sidecar.config
        self._export: TraceExport | None = None

    def access(self) -> Access:
        """Return who may ask."""
        config = self._sidecar.config
        return access_to(config, self._host, tokens_of(config))

    def export(self) -> None:
        """Send finished traces where the file says, if it does."""
        sidecar, traces = self._sidecar, self._sidecar.config.traces
        self._export = None
        if traces is not None:
            self._export = TraceExport(traces, lambda: sidecar.fleet.signals, sidecar.pulse.exported)
            sidecar.witnesses.append(self._export)

    async def fit(self, config: Config) -> None:
        """Fit *config*, which is in force by now."""
        before, self._config = self._config, config
        self.guard.access = self.access()
        if config.record != before.record:
            self._sidecar.recorder.change(tape_of(config))
        if config.traces != before.traces:
            leaving = self._export
            self.export()
            if self._export is not None:
                self._export.start()
            if leaving is not None:
                self._sidecar.witnesses.remove(leaving)
                await leaving.stop()


def again(path: str, shard: Shard | None) -> Config:
    """Return what the file at *path* says by now, the part of *shard* if there is one."""
    config = load(path)
    return config if shard is None else share(config, shard)


async def serve(config: Config, host: str, port: int, files: Files, *, listens: bool = True) -> None:
    """
    Run sidecar and web server until SIGTERM or SIGINT; *files* are those that *config* was read from.

    It *listens* where the file says, unless somebody said otherwise.
    """
    log = structlog.get_logger()
    listener = bind(host, port)
    state = StateFile(config.state, utc_now) if config.state else None
    sidecar = Sidecar(config, utc_now, state, tape_of(config))
    if (systemd := systemd_of(os.environ, config.every)) is not None:
        sidecar.witnesses.append(systemd)
    beside = Beside(sidecar, host)
    beside.export()
    reloader = Reloader(
        sidecar,
        partial(again, config.path, config.shard),
        files,
        fit=beside.fit,
        manager=systemd,
        listens=listens,
    )
    beside.guard = build_app(sidecar, beside.access(), reloader.reload)
    web = WebServer(beside.guard, listener)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reloader.ask)
    collect_seldom()
    keep_for_good()
    web.start()
    sidecar.start()
    reloader.start()
    place = f"{host}:{listener.getsockname()[1]}"
    servers = [reader.wire.place for reader in sidecar.fleet.readers.values()]
    log.info("started", version=__version__, rules=config.path, listen=place, redis=servers)
    await stop.wait()
    await reloader.stop()
    await web.stop()
    await sidecar.stop()
    log.info("stopped")
