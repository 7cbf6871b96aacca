"""Finished traces as spans: what is sent, to a real receiver, and what becomes of what is not taken."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import structlog
from pydantic import ValidationError

from tests.drawn import T0
from tests.signals.conftest import Bench, signal_of
from tests.signals.test_trace import KEYS, STAGES, draw, traceparent
from watchdog import __version__
from watchdog.config import parse
from watchdog.entries import EntryId
from watchdog.model import Labels, SignalKey
from watchdog.otlp import MOST_WAITING, TraceExport
from watchdog.outward import TracesModel
from watchdog.sidecar import Sidecar
from watchdog.signals.trace import Trace
from watchdog.spans import Finished, payload
from watchdog.traces import Flight, Passage
from watchdog.vigil import Checkup
from watchdog.web.metrics import watched_metrics

CHECKUP = Checkup(T0, None, None, "all services ok")
STREAMS = {"plan": "apply.plan", "fill": "execution.result"}


def flight(trace: str = "a", *, completed: bool = True, sampled: bool = True, until: int = 2) -> Flight:
    """Return a trace through both stages, or *until* the first."""
    passed = [Passage(EntryId(1771359991000 + 250 * n, n), f"{n + 1:016x}") for n in range(until)]
    found = Flight(f"{ord(trace):032x}", sampled, passed[0], dict(enumerate(passed)))
    found.completed = completed
    return found


class Receiver(ThreadingHTTPServer):
    """A collector: keeps what it is sent, and answers with the statuses it is given, 200 after the last."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.statuses: list[int] = []

    @property
    def url(self) -> str:
        """Return its address, with what must not be shown in it."""
        return f"http://127.0.0.1:{self.server_port}/v1/traces?key=hidden"


class Taking(BaseHTTPRequestHandler):
    """One request."""

    server: Receiver

    def do_POST(self) -> None:
        """Take it, or not."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.server.headers.append({name.lower(): text for name, text in self.headers.items()})
        self.server.bodies.append((status, body))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A collector that listens."""
    with Receiver() as listening:
        thread = Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield listening
        listening.shutdown()
        thread.join()


@asynccontextmanager
async def exporting(url: str, *signals: Any, **keys: Any) -> AsyncIterator[tuple[TraceExport, Counter[str]]]:
    """Start an export to *url* of what *signals* find, and stop it in the end."""
    counted: Counter[str] = Counter()
    model = TracesModel.model_validate({"otlp": url, **keys})
    found = {SignalKey("orders", "trace", Labels(n=str(n))): signal for n, signal in enumerate(signals)}
    export = TraceExport(model, lambda: found, counted, pauses=(0.01, 0.01))
    export.start()
    try:
        yield export, counted
    finally:
        await export.stop()


async def ticks(export: TraceExport, enough: Callable[[], object]) -> None:
    """Tick until *enough*; nothing of it may take long."""
    async with asyncio.timeout(10):
        while not enough():
            export.ticked(CHECKUP)
            await asyncio.sleep(0.005)


# ---- what is sent ------------------------------------------------------------------------------


def resource(name: str, span: dict[str, Any]) -> dict[str, Any]:
    """Return the spans of one service as OTLP has them."""
    said = {"key": "service.name", "value": {"stringValue": name}}
    scope = {"name": "pipeline-watchdog", "version": "1"}
    return {"resource": {"attributes": [said]}, "scopeSpans": [{"scope": scope, "spans": [span]}]}


def place(stream: str, entry: str) -> list[dict[str, Any]]:
    """Return the attributes of a span."""
    said = {
        "messaging.system": "redis",
        "messaging.destination.name": stream,
        "messaging.message.id": entry,
    }
    return [{"key": key, "value": {"stringValue": text}} for key, text in said.items()]


def test_the_payload() -> None:
    """Ids in hex, as they were carried; times as texts of nanoseconds; one resource for each stage."""
    plan = {
        "traceId": "00000000000000000000000000000061",
        "spanId": "0000000000000001",
        "name": "plan",
        "kind": 4,
        "startTimeUnixNano": "1771359991000000000",
        "endTimeUnixNano": "1771359991000000000",
        "attributes": place("apply.plan", "1771359991000-0"),
    }
    fill = {
        "traceId": "00000000000000000000000000000061",
        "spanId": "0000000000000002",
        "parentSpanId": "0000000000000001",
        "name": "fill",
        "kind": 5,
        "startTimeUnixNano": "1771359991000000000",
        "endTimeUnixNano": "1771359991250000000",
        "attributes": place("execution.result", "1771359991250-1"),
        "status": {"code": 1},
    }
    assert payload([Finished(flight(), STREAMS)], "1") == {
        "resourceSpans": [resource("plan", plan), resource("fill", fill)]
    }


def test_an_order_that_never_arrived_is_an_error() -> None:
    """Its last span says what did not come."""
    sent = payload([Finished(flight(completed=False, until=1), STREAMS)], "1")
    (span,) = sent["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert span["status"] == {"code": 2, "message": "never came to fill"}


def test_one_step_that_writes_to_two_stages_is_one_span() -> None:
    """The same span is not sent as its own parent."""
    twice = flight()
    twice.passed[1] = twice.passed[1]._replace(span_id=twice.passed[0].span_id)
    sent = payload([Finished(twice, STREAMS)], "1")
    assert [r["scopeSpans"][0]["spans"][0]["name"] for r in sent["resourceSpans"]] == ["plan"]


# ---- from streams to the receiver --------------------------------------------------------------


async def test_what_finishes_is_sent_once(bench: Bench, receiver: Receiver) -> None:
    """Four stages make four spans of one trace; what was over before the first look stays unsent."""
    signal = signal_of("trace", **KEYS)
    assert isinstance(signal, Trace)
    draw(bench, "a0", "a1", "a2", "a3")
    await asyncio.to_thread(bench.look, signal, 4)
    for second, stream in enumerate(STAGES.values()):
        said = {"decision": "EXECUTE", "status": "filled"} if second else {}
        bench.add(stream, 5 + second, fields={**said, "traceparent": traceparent("b", second + 1)})
    await asyncio.to_thread(bench.look, signal, 9)
    async with exporting(receiver.url, signal, headers={"Authorization": "Bearer hidden"}) as (
        export,
        counted,
    ):
        await ticks(export, lambda: counted["sent"])
        await ticks(export, lambda: not export.waiting)
    ((_, body),) = receiver.bodies
    spans = [span for r in body["resourceSpans"] for s in r["scopeSpans"] for span in s["spans"]]
    assert {span["traceId"] for span in spans} == {f"{ord('b'):032x}"}
    assert [(span["name"], span.get("parentSpanId"), span["spanId"]) for span in spans] == [
        ("intent", None, f"{1:016x}"),
        ("plan", f"{1:016x}", f"{2:016x}"),
        ("result", f"{2:016x}", f"{3:016x}"),
        ("fill", f"{3:016x}", f"{4:016x}"),
    ]
    assert body["resourceSpans"][0]["scopeSpans"][0]["scope"]["version"] == __version__
    assert receiver.headers[0]["content-type"] == "application/json"
    assert receiver.headers[0]["authorization"] == "Bearer hidden"


async def test_what_is_not_taken_is_sent_again(receiver: Receiver) -> None:
    """After 503 the same traces come once more, after 400 they do not; no secret is logged."""
    receiver.statuses = [503, 200, 400]
    with structlog.testing.capture_logs() as logged:
        async with exporting(receiver.url) as (export, counted):
            export.take([Finished(flight(), STREAMS)])
            await ticks(export, lambda: counted["sent"])
            export.take([Finished(flight("b"), STREAMS)])
            await ticks(export, lambda: counted["failed"])
    assert [status for status, _ in receiver.bodies] == [503, 200, 400]
    assert receiver.bodies[0][1] == receiver.bodies[1][1]
    assert counted == {"sent": 1, "failed": 1, "dropped": 0}
    assert [entry["why"] for entry in logged] == ["answered 503", "", "answered 400"]
    assert "hidden" not in str(logged)


async def test_nobody_there_holds_up_nothing() -> None:
    """A tick never waits, the queue stays within bounds, what is dropped is counted, and nothing is shown."""
    with structlog.testing.capture_logs() as logged:
        async with exporting("http://127.0.0.1:9/v1/traces?key=hidden") as (export, counted):
            many = [Finished(flight(), STREAMS)] * (MOST_WAITING + 7)
            export.take(many)
            await ticks(export, lambda: logged)
            assert (len(export.waiting), counted["dropped"], counted["sent"]) == (MOST_WAITING, 7, 0)
    assert [entry["why"] for entry in logged] == ["cannot be reached (ConnectError)"]


async def test_what_was_not_sampled_is_not_sent(receiver: Receiver) -> None:
    """Whoever began a trace decides whether it is recorded; plain ids make no spans at all."""
    async with exporting(receiver.url) as (export, counted):
        export.take([Finished(flight(sampled=False), STREAMS), Finished(flight("b"), STREAMS)])
        await ticks(export, lambda: counted["sent"])
    assert len(receiver.bodies[0][1]["resourceSpans"]) == 2
    assert counted["sent"] == 1


async def test_the_file_says_where_and_the_page_how_much() -> None:
    """`traces:` in rules.yaml: never shown, counted on /metrics, absent where it is not asked for."""
    services = "services: {a: {flag: {key: f}}}"
    config = parse(f"{services}\ntraces: {{otlp: 'http://127.0.0.1:4318/v1/traces?key=hidden'}}")
    assert "hidden" not in repr(config)
    sidecar = Sidecar(config, lambda: T0)
    assert config.traces is not None
    TraceExport(config.traces, lambda: sidecar.fleet.signals, sidecar.pulse.exported)
    sidecar.pulse.exported["sent"] += 3
    found = {
        sample.labels["outcome"]: sample.value
        for family in watched_metrics(sidecar)
        for sample in family.samples
        if sample.name == "watchdog_traces_exported_total"
    }
    assert found == {"sent": 3.0, "failed": 0.0, "dropped": 0.0}
    without = watched_metrics(Sidecar(parse(services), lambda: T0))
    assert "watchdog_traces_exported" not in {family.name for family in without}


WRONG: dict[str, dict[str, Any]] = {
    "no URL": {"otlp": ""},
    "no web address": {"otlp": "127.0.0.1:4317"},
    "a header that is ours": {"otlp": "http://127.0.0.1:4318", "headers": {"Content-Type": "x"}},
    "no time": {"otlp": "http://127.0.0.1:4318", "timeout": timedelta(0)},
}


@pytest.mark.parametrize("keys", WRONG.values(), ids=WRONG)
def test_wrong_keys(keys: dict[str, Any]) -> None:
    """What cannot be sent to is refused at load."""
    with pytest.raises(ValidationError):
        TracesModel.model_validate(keys)
