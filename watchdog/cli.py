"""The command line: the only place that builds things, reads the environment and picks exit statuses."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import structlog
import typer

from watchdog import __version__
from watchdog.audit import EXIT, UNUSABLE, audit
from watchdog.clock import utc_now
from watchdog.commands import add_commands
from watchdog.commands.checking import check_by_connecting
from watchdog.commands.common import Form
from watchdog.config import Config, load
from watchdog.demo.command import demo_command, pipeline_command
from watchdog.errors import ConfigError, WatchdogError
from watchdog.fields import parse_address
from watchdog.forms import FORMS, as_table
from watchdog.garbage import collect_seldom, keep_for_good
from watchdog.rules import Watch
from watchdog.sidecar import Sidecar
from watchdog.state import StateFile
from watchdog.systemd import systemd_of
from watchdog.terminal import DEFAULT_RULES, RulesOption, fail, quiet_logs, structured_logs
from watchdog.tokens import local_tokens
from watchdog.units import write_duration
from watchdog.web.app import build_app
from watchdog.web.guard import access_to
from watchdog.web.server import WebServer, bind

app = typer.Typer(
    name="watchdog",
    help="Tells within a minute that a pipeline has stopped working while every process still runs.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Format(StrEnum):
    """The forms of an audit."""

    TABLE = "table"
    JSON = "json"
    NAGIOS = "nagios"
    JUNIT = "junit"
    MARKDOWN = "markdown"


def load_or_exit(rules: Path, status: int) -> Config:
    """Return the configuration, or end with every problem of the file and *status*."""
    try:
        return load(rules)
    except ConfigError as exc:
        raise fail(str(exc), status) from exc


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="print the version and end")] = False,
) -> None:
    if version:
        typer.echo(f"pipeline-watchdog {__version__}")
        raise typer.Exit


@app.command("check", epilog="Example: watchdog check --rules rules.yaml --rules-in-force")
def check_command(
    rules: RulesOption = DEFAULT_RULES,
    rules_in_force: Annotated[
        bool, typer.Option("--rules-in-force", help="print which rule holds for whom")
    ] = False,
    connect: Annotated[
        bool, typer.Option("--connect", help="also ask whether all that the file names exists")
    ] = False,
    form: Annotated[Form, typer.Option("--format", help="how to print what --connect finds")] = Form.TABLE,
) -> None:
    """
    Validate the rules file; without --connect it connects nowhere. Dead rules and dead routes are errors.

    Exit status: 0 well, 1 a problem of the file or something missing, 3 something cannot be told.
    """
    try:
        config = load(rules)
    except ConfigError as exc:
        count = len(exc.problems)
        typer.echo(f"{exc}\n{rules}: {count} problem{'s' if count > 1 else ''}")
        raise typer.Exit(1) from exc
    if connect and form is Form.JSON:
        raise typer.Exit(check_by_connecting(rules, config, form))
    for warning in config.warnings:
        typer.echo(f"{rules}: warning: {warning}")
    for plan in config.discover:
        typer.echo(f"{rules}: discover: {plan}")
    if rules_in_force:
        for watch in config.binding.watches:
            typer.echo(in_force(watch))
    alerts = len({watch.rule.alert for watch in config.binding.watches})
    typer.echo(
        f"{rules}: ok: {len(config.services)} services, {len(config.signals)} signals,"
        f" {alerts} rules in force on {len(config.binding.watches)} places"
    )
    if connect:
        raise typer.Exit(check_by_connecting(rules, config, form))


def in_force(watch: Watch) -> str:
    """Return one line that says what holds for whom."""
    rule = watch.rule
    wait = f" for {write_duration(rule.for_)}" if rule.for_ else ""
    conditions = " and ".join(" or ".join(map(str, alternatives)) for alternatives in rule.when)
    where = " ".join(f'{name}="{text}"' for name, text in watch.lead.labels.items())
    origin = "built in" if rule.builtin else "file"
    return f"{watch.service}: {rule.alert} ({rule.severity}, {origin}): {conditions}{wait}  {where}".rstrip()


@app.command("audit", epilog="Example: watchdog audit --rules rules.yaml --format nagios")
def audit_command(
    rules: RulesOption = DEFAULT_RULES,
    form: Annotated[Format, typer.Option("--format", help="how to print it")] = Format.TABLE,
) -> None:
    """
    Look once and say how every service stands.

    Exit status: 0 ok, 1 warning, 2 critical, 3 unknown or unusable.
    """
    config = load_or_exit(rules, UNUSABLE)
    quiet_logs()
    found = audit(config, utc_now())
    if form is Format.TABLE:
        typer.echo(as_table(found, colour=sys.stdout.isatty()))
    else:
        typer.echo(FORMS[form](found))
    raise typer.Exit(EXIT[found.status])


@app.command("run", epilog="Example: watchdog run --rules /etc/watchdog/rules.yaml --listen 127.0.0.1:9821")
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


async def serve(config: Config, host: str, port: int) -> None:
    """Run sidecar and web server until SIGTERM or SIGINT."""
    log = structlog.get_logger()
    listener = bind(host, port)
    sidecar = Sidecar(config, utc_now, StateFile(config.state, utc_now) if config.state else None)
    if (systemd := systemd_of(os.environ, config.every)) is not None:
        sidecar.witnesses.append(systemd)
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


add_commands(app)
app.command("demo", epilog="Example: watchdog demo --fault W01 --for 90s")(demo_command)
app.command("pipeline", epilog="Example: watchdog pipeline execution --port 8002")(pipeline_command)


def main() -> None:
    """Run the command line."""
    app()
