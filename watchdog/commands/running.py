"""`watchdog run`: the sidecar and what it serves."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from typing import Annotated

import structlog
import typer

from watchdog import __version__
from watchdog.clock import utc_now
from watchdog.commands.common import load_or_exit
from watchdog.config import Config
from watchdog.errors import WatchdogError
from watchdog.fields import parse_address
from watchdog.garbage import collect_seldom, keep_for_good
from watchdog.otlp import TraceExport
from watchdog.sidecar import Sidecar
from watchdog.state import StateFile
from watchdog.systemd import systemd_of
from watchdog.tape import Tape
from watchdog.terminal import DEFAULT_RULES, RulesOption, fail, structured_logs
from watchdog.tokens import local_tokens
from watchdog.web.app import build_app
from watchdog.web.guard import access_to
from watchdog.web.server import WebServer, bind


def run_command(
    rules: RulesOption = DEFAULT_RULES,
    listen: Annotated[
        str | None, typer.Option("--listen", help="host:port, instead of the file's", show_default=False)
    ] = None,
    log_level: Annotated[str, typer.Option("--log-level", help="debug, info, warning or error")] = "info",
) -> None:
    """Run the sidecar until it is told to stop."""
    config = load_or_exit(rules, 1)
    structured_logs(log_level)
    host, port = config.listen
    if listen is not None:
        try:
            host, port = parse_address(listen)
        except ValueError as exc:
            raise fail(f"--listen: {exc}", 2) from exc
    try:
        asyncio.run(serve(config, host, port))
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


async def serve(config: Config, host: str, port: int) -> None:
    """Run sidecar and web server until SIGTERM or SIGINT."""
    log = structlog.get_logger()
    listener = bind(host, port)
    state = StateFile(config.state, utc_now) if config.state else None
    sidecar = Sidecar(config, utc_now, state, tape_of(config))
    if (systemd := systemd_of(os.environ, config.every)) is not None:
        sidecar.witnesses.append(systemd)
    if config.traces is not None:
        export = TraceExport(config.traces, lambda: sidecar.fleet.signals, sidecar.pulse.exported)
        sidecar.witnesses.append(export)
    web = WebServer(build_app(sidecar, access_to(config, host, tokens_of(config))), listener)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    collect_seldom()
    keep_for_good()
    web.start()
    sidecar.start()
    place = f"{host}:{listener.getsockname()[1]}"
    servers = [reader.wire.place for reader in sidecar.fleet.readers.values()]
    log.info("started", version=__version__, rules=config.path, listen=place, redis=servers)
    await stop.wait()
    await web.stop()
    await sidecar.stop()
    log.info("stopped")
