"""The demo: server, pipeline, sidecar and a receiver in one go; breaks something and reports."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from watchdog.clock import utc_now
from watchdog.config import Config, load
from watchdog.demo.faults import Fault
from watchdog.demo.server import HOST, EmbeddedServer, start_server
from watchdog.demo.supervisor import Supervisor, build_pipeline
from watchdog.errors import WatchdogError
from watchdog.report import SignalReport, Snapshot, Status
from watchdog.sidecar import Sidecar
from watchdog.state import StateFile
from watchdog.units import rfc3339, show_duration
from watchdog.web.app import build_app
from watchdog.web.server import WebServer, bind

RULES = Path(__file__).with_name("rules.yaml")
WARM_UP = timedelta(seconds=60)
HEARTBEAT_TTL = 10
Say = Callable[[str], None]


@dataclass(slots=True)
class Inbox:
    """The demo's receiver: keeps when each alert's notification arrived."""

    arrived: dict[tuple[str, str, str], datetime] = field(default_factory=dict)

    def app(self) -> Starlette:
        """Return the application that takes the sidecar's webhook."""

        async def take(request: Request) -> Response:
            at = utc_now()
            for alert in (await request.json())["alerts"]:
                labels = alert["labels"]
                self.arrived.setdefault((labels["alertname"], labels["service"], alert["status"]), at)
            return Response(status_code=204)

        return Starlette(routes=[Route("/alerts", take, methods=["POST"])])


@dataclass(slots=True)
class Report:
    """What was broken, what should have been said, and what was."""

    faults: Sequence[Fault]
    broken_at: datetime | None = None
    fired: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    @property
    def expected(self) -> set[tuple[str, str]]:
        """Return the alerts that have to come."""
        return {alert for fault in self.faults for alert in fault.expected}

    @property
    def unexpected(self) -> list[tuple[str, str]]:
        """Return the alerts that came and mean nothing."""
        possible = self.expected | {alert for fault in self.faults for alert in fault.possible}
        return sorted(alert for alert in self.fired if alert not in possible)

    @property
    def ok(self) -> bool:
        """Say whether exactly what was expected was said."""
        return not self.unexpected and self.expected <= set(self.fired)

    def as_json(self, inbox: Inbox) -> dict[str, Any]:
        """Return the report as SPEC §4 writes it."""
        names = list(dict.fromkeys(name for fault in self.faults for name, _ in fault.expected))
        return {
            "fault": ",".join(fault.id for fault in self.faults) or None,
            "broken_at": self.broken_at and rfc3339(self.broken_at),
            "expected": names,
            "detected": [self._detected(alert, inbox) for alert in self.fired],
            "unexpected": [{"alertname": name, "service": service} for name, service in self.unexpected],
            "ok": self.ok,
        }

    def _detected(self, alert: tuple[str, str], inbox: Inbox) -> dict[str, Any]:
        """Return one alert; a symptom held back by its cause has no notification of its own."""
        found = self.fired[alert]
        told = inbox.arrived.get((*alert, "firing"))
        return {
            "alertname": alert[0],
            "service": alert[1],
            "cause": found["cause"],
            "after_seconds": self._after(found["at"]),
            "notified_after_seconds": self._after(told) if told else None,
        }

    def _after(self, at: datetime) -> float | None:
        return round((at - self.broken_at).total_seconds(), 1) if self.broken_at else None


class Demo:
    """Everything the demo runs, in one temporary directory."""

    def __init__(self, directory: Path, server: EmbeddedServer, port: int | None, say: Say) -> None:
        self.say = say
        self.pipeline = build_pipeline(directory, server.url)
        _shorten_heartbeat(self.pipeline)
        self.inbox = Inbox()
        hook = bind(HOST, 0)
        web = bind(HOST, port or 0)
        self.config = _config(directory, server, self.pipeline, hook.getsockname()[1], web.getsockname()[1])
        self.sidecar = Sidecar(self.config, utc_now, StateFile(self.config.state or ":memory:", utc_now))
        self.servers = [WebServer(self.inbox.app(), hook), WebServer(build_app(self.sidecar), web)]

    async def start(self) -> None:
        """Start the pipeline, the receiver and the sidecar."""
        await self.pipeline.start()
        for server in self.servers:
            server.start()
        self.sidecar.start()

    async def stop(self) -> None:
        """Stop everything, in reverse order."""
        await self.sidecar.stop()
        for server in self.servers:
            await server.stop()
        await self.pipeline.stop()

    async def healthy(self) -> None:
        """Return once every service is seen to work and to succeed; WatchdogError if that takes too long."""
        deadline = utc_now() + WARM_UP
        while True:
            latest = self.sidecar.latest
            if (
                latest is not None
                and latest.status is Status.OK
                and all(map(_succeeded, latest.signals.values()))
            ):
                return
            if utc_now() > deadline:
                raise WatchdogError(f"the demo's pipeline did not become healthy: {_complaints(latest)}")
            await asyncio.sleep(0.2)

    def note(self, report: Report) -> None:
        """Take down which alerts fire now, and say so of each new one."""
        latest = self.sidecar.latest
        for notice in latest.notices if latest is not None else ():
            alert = notice.alert
            known = (alert.name, alert.service)
            if not alert.firing or alert.fired_at is None:
                continue
            if known not in report.fired:
                cause = f" [cause: {notice.cause}]" if notice.cause else ""
                self.say(f"FIRING {alert.severity} {alert.name}: {alert.summary}{cause}")
                report.fired[known] = {"at": alert.fired_at}
            report.fired[known]["cause"] = notice.cause


async def run_demo(
    faults: Sequence[Fault], duration: timedelta | None, port: int | None, say: Say
) -> dict[str, Any]:
    """
    Run the demo for *duration* (None: until cancelled), breaking *faults* once it is healthy.

    Returns the report as JSON. Everything is gone afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="watchdog-demo-") as name, start_server() as server:
        demo = Demo(Path(name), server, port, say)
        report = Report(faults)
        began = utc_now()
        end = began + duration if duration is not None else None
        try:
            await demo.start()
            say(f"pipeline of {len(demo.pipeline.units)} services started, sidecar at {demo.config.link}")
            await demo.healthy()
            say("healthy: every service is seen to work")
            await _watch(demo, report, end)
        finally:
            await demo.stop()
        return report.as_json(demo.inbox)


async def _watch(demo: Demo, report: Report, end: datetime | None) -> None:
    for fault in report.faults:
        report.broken_at = report.broken_at or utc_now()
        demo.say(f"BREAKING {fault.id}: {fault.title}")
        await fault.breaks(demo.pipeline)
    told: set[tuple[str, str, str]] = set()
    while end is None or utc_now() < end:
        demo.note(report)
        for alert, at in list(demo.inbox.arrived.items()):
            if alert not in told:
                told.add(alert)
                demo.say(f"{_told(at, report)}: {alert[0]} of {alert[1]} is {alert[2]}")
        await asyncio.sleep(0.1)
    demo.note(report)


def _complaints(latest: Snapshot | None) -> str:
    """Say what is wrong by the latest look."""
    if latest is None:
        return "no look yet"
    wrong = [f"{n.alert.name} of {n.alert.service}: {n.alert.summary}" for n in latest.notices]
    silent = [who for who, status in latest.services.items() if status is not Status.OK]
    return "; ".join(wrong) or f"nothing is known to work of {', '.join(silent) or 'the executions'}"


def _succeeded(report: SignalReport) -> bool:
    """Say whether a success was seen, where the signal is one that tells successes."""
    return report.reading.signal.kind != "executions" or isinstance(report.values.get("age"), float)


def _told(at: datetime, report: Report) -> str:
    after = show_duration((at - report.broken_at).total_seconds()) if report.broken_at else ""
    return f"WEBHOOK {after} after the break" if after else "WEBHOOK"


def _shorten_heartbeat(pipeline: Supervisor) -> None:
    """Let the trainer's heartbeat expire sooner than in production, so that nobody waits for the demo."""
    path = pipeline.env_files["rl_trainer"]
    path.write_text(
        f"{path.read_text(encoding='utf-8')}HEARTBEAT_TTL_SEC={HEARTBEAT_TTL}\n", encoding="utf-8"
    )


def _config(
    directory: Path, server: EmbeddedServer, pipeline: Supervisor, hook_port: int, port: int
) -> Config:
    """Load the demo's rules with the places of this run, and let `unit` find the supervisor's systemctl."""
    os.environ["PATH"] = f"{directory / 'tools'}{os.pathsep}{os.environ.get('PATH', '')}"
    places: Mapping[str, str] = {
        "REDIS_URL": server.url,
        "DEMO": str(directory),
        "PORT": str(port),
        "HOOK_PORT": str(hook_port),
        **{f"PORT_{service}": str(number) for service, number in pipeline.ports.items()},
    }
    return load(RULES, places)
