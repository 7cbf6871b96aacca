"""`watchdog demo` and `watchdog pipeline`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from watchdog.clock import utc_now
from watchdog.conditions import suggest
from watchdog.demo.faults import FAULTS, Fault
from watchdog.demo.run import run_demo
from watchdog.demo.server import ServerError
from watchdog.demo.units import SupervisorError
from watchdog.errors import WatchdogError
from watchdog.pipeline import PORTS
from watchdog.progress import progress
from watchdog.terminal import fail, structured_logs
from watchdog.units import parse_duration, plain

T = TypeVar("T")


class DemoFormat(StrEnum):
    """The forms of the demo's report."""

    TEXT = "text"
    JSON = "json"


def _faults(incomplete: str) -> list[str]:
    """Return the faults that begin so, for a shell to complete."""
    return [known.id for known in FAULTS.values() if known.id.startswith(incomplete)]


def demo_command(
    fault: Annotated[
        list[str] | None,
        typer.Option("--fault", help="what to break; may be given several times", autocompletion=_faults),
    ] = None,
    duration: Annotated[
        str | None, typer.Option("--for", help="end by itself after so long, e.g. 90s")
    ] = None,
    form: Annotated[
        DemoFormat, typer.Option("--format", help="text as it happens, or json at the end")
    ] = DemoFormat.TEXT,
    port: Annotated[
        int | None, typer.Option("--port", help="where the sidecar listens (default: a free port)")
    ] = None,
    list_faults: Annotated[
        bool, typer.Option("--list-faults", help="print what can be broken and end")
    ] = False,
) -> None:
    """
    Run server, pipeline and sidecar, break something, and report what was detected.

    Exit status: 0 if exactly the expected alerts came, else 1.
    """
    if list_faults:
        for known in FAULTS.values():
            typer.echo(f"{known.id:<5} {known.title}")
        return
    chosen = choose(fault or ())
    try:
        span = parse_duration(duration) if duration is not None else None
    except ValueError as exc:
        raise fail(f"--for: {exc}", 2) from exc
    structured_logs("error")
    began = utc_now()

    def line(text: str) -> str:
        return f"{(utc_now() - began).total_seconds():6.1f}s  {plain(text)}"

    try:
        with progress("starting server, pipeline and sidecar") as steps:

            def say(text: str) -> None:
                if form is DemoFormat.TEXT:
                    steps.reach(0, "running (Ctrl-C ends it)")
                    steps.echo(line(text))
                else:
                    steps.reach(0, text)

            report = asyncio.run(until_stopped(run_demo(chosen, span, port, say)))
    except (WatchdogError, ServerError, SupervisorError) as exc:
        raise fail(str(exc), 1) from exc
    if report is None:
        return
    if form is DemoFormat.JSON:
        typer.echo(json.dumps(report))
    else:
        typer.echo(line(demo_verdict(report)))
    raise typer.Exit(0 if report["ok"] else 1)


def choose(names: Sequence[str]) -> list[Fault]:
    """Return the faults called *names*, or end with the cure."""
    for name in names:
        if name not in FAULTS:
            raise fail(f'there is no fault "{name}" ({suggest(name, FAULTS)}; see --list-faults)', 2)
    return [FAULTS[name] for name in names]


def demo_verdict(report: Mapping[str, Any]) -> str:
    """Return the demo's report in one sentence."""
    came = ", ".join(f"{d['alertname']} of {d['service']}" for d in report["detected"]) or "nothing"
    wrong = ", ".join(f"{u['alertname']} of {u['service']}" for u in report["unexpected"])
    missing = [
        name for name in report["expected"] if name not in {d["alertname"] for d in report["detected"]}
    ]
    parts = [f"detected: {came}"]
    parts += [f"UNEXPECTED: {wrong}"] if wrong else []
    parts += [f"MISSING: {', '.join(missing)}"] if missing else []
    return "; ".join(parts)


async def until_stopped(work: Coroutine[Any, Any, T]) -> T | None:
    """Return what *work* returns, or None if SIGTERM or SIGINT came first; it is then wound up."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return None


def pipeline_command(
    service: Annotated[str, typer.Argument(help=f"one of {', '.join(PORTS)}")],
    redis: Annotated[str, typer.Option("--redis", help="the Redis to work on")] = "redis://127.0.0.1:6379/0",
    env: Annotated[Path | None, typer.Option("--env", help="the service's settings, KEY=VALUE lines")] = None,
    log: Annotated[Path | None, typer.Option("--log", help="the service's log file")] = None,
    port: Annotated[
        int | None, typer.Option("--port", help="where it answers /health (8000 to 8005, execution 8002)")
    ] = None,
) -> None:
    """Run one service of the reference pipeline."""
    if service not in PORTS:
        raise fail(f'there is no service "{service}" ({suggest(service, PORTS)})', 2)
    given = {"--redis": redis, "--env": env, "--log": log, "--port": port}
    options = [word for name, value in given.items() if value is not None for word in (name, str(value))]
    program = [sys.executable, "-m", "watchdog.pipeline", service, *options]
    os.execv(sys.executable, program)  # noqa: S606 - it is a program of its own
