"""The demo: server, pipeline, sidecar and a receiver in one go; breaks something and reports."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from watchdog.clock import utc_now
from watchdog.config import parse
from watchdog.demo.faults import Fault
from watchdog.demo.inbox import Inbox
from watchdog.demo.layout import build_pipeline
from watchdog.demo.report import Report
from watchdog.demo.rules import HASTY, filled_in, find_tools, places, rules_text
from watchdog.demo.server import HOST, EmbeddedServer, start_server
from watchdog.demo.stage import Stage
from watchdog.demo.supervisor import Supervisor
from watchdog.errors import WatchdogError
from watchdog.report import SignalReport, Snapshot, Status
from watchdog.sidecar import Sidecar
from watchdog.state import StateFile
from watchdog.tokens import local_tokens
from watchdog.units import show_duration
from watchdog.web.app import build_app
from watchdog.web.guard import access_to
from watchdog.web.server import WebServer, bind

WARM_UP = timedelta(seconds=60)
LOOK_EVERY = timedelta(seconds=1)
ACT_EVERY = 0.1  # seconds between two looks at who of the actors is due
HEARTBEAT_TTL = 10
Say = Callable[[str], None]


class Demo:
    """Everything the demo runs, in one temporary directory."""

    def __init__(self, directory: Path, server: EmbeddedServer, port: int | None, say: Say) -> None:
        self.say = say
        self.pipeline = build_pipeline(directory, server.url)
        _shorten_heartbeat(self.pipeline)
        self.inbox = Inbox()
        self.stage = Stage(self.pipeline, server, self.inbox, utc_now, _wait)
        hook = bind(HOST, 0)
        web = bind(HOST, port or 0)
        find_tools(directory)
        known = places(self.stage, hook.getsockname()[1], web.getsockname()[1], LOOK_EVERY)
        text = filled_in(rules_text(haste=True), {**HASTY, **known})
        (directory / "rules.yaml").write_text(text, encoding="utf-8")  # for commands that are typed there
        self.config = parse(text, "the demo's rules.yaml")
        self.sidecar = Sidecar(self.config, utc_now, StateFile(self.config.state or ":memory:", utc_now))
        self._acting: asyncio.Task[None] | None = None
        access = access_to(self.config, HOST, local_tokens(str(self.config.state)))
        self.servers = [WebServer(self.inbox.app(), hook), WebServer(build_app(self.sidecar, access), web)]

    async def start(self) -> None:
        """Start the pipeline, the receiver and the sidecar."""
        await self.pipeline.start()
        for server in self.servers:
            server.start()
        self.sidecar.start()
        self._acting = asyncio.create_task(self._act(), name="actors")

    async def stop(self) -> None:
        """Stop everything, in reverse order."""
        if self._acting is not None:
            self._acting.cancel()
            await asyncio.gather(self._acting, return_exceptions=True)
        await self.sidecar.stop()
        for server in self.servers:
            await server.stop()
        await self.pipeline.stop()

    async def _act(self) -> None:
        """Have those beside the pipeline do what they do."""
        while True:
            self.stage.act()
            await asyncio.sleep(ACT_EVERY)

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
    Run the demo for *duration* or until cancelled, breaking *faults* once it is healthy.

    Returns the report as JSON, of what was seen until then. Everything is gone afterwards.
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
            say(f"its files are in {name}; there every command finds this sidecar")
            with contextlib.suppress(asyncio.CancelledError):
                await _watch(demo, report, end)
        finally:
            await demo.stop()
        return report.as_json(demo.inbox)


async def _watch(demo: Demo, report: Report, end: datetime | None) -> None:
    for fault in report.faults:
        report.broken_at = report.broken_at or utc_now()
        demo.say(f"BREAKING {fault.id}: {fault.title}")
        await fault.breaks(demo.stage)
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
    if report.broken_at is None:
        return "WEBHOOK"
    after = (at - report.broken_at).total_seconds()
    return f"WEBHOOK {show_duration(abs(after))} {'after' if after >= 0 else 'before'} the break"


def _shorten_heartbeat(pipeline: Supervisor) -> None:
    """Let the trainer's heartbeat expire sooner than in production, so that nobody waits for the demo."""
    path = pipeline.env_files["rl_trainer"]
    path.write_text(
        f"{path.read_text(encoding='utf-8')}HEARTBEAT_TTL_SEC={HEARTBEAT_TTL}\n", encoding="utf-8"
    )


async def _wait(span: timedelta) -> None:
    """Let time pass as it does."""
    await asyncio.sleep(span.total_seconds())
