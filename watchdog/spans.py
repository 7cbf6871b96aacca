"""
Finished traces as spans, in the JSON of OTLP/HTTP.

Each stage that a trace passed is a span of the service of that name, under the ids that its entries carried:
it lasts from the entry before to its own, by the times of their IDs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from watchdog.traces import Flight, Passage

SCOPE = "pipeline-watchdog"
PRODUCER, CONSUMER = 4, 5
OK, ERROR = 1, 2
Json = Mapping[str, Any]


class Finished(NamedTuple):
    """A trace that is over, and the stages it was to go through, each with its stream."""

    flight: Flight
    stages: Mapping[str, str]


def payload(finished: Iterable[Finished], version: str) -> Json:
    """Return the `ExportTraceServiceRequest` for all *finished* traces; those not sampled are left out."""
    by_service: dict[str, list[Json]] = {}
    for trace in finished:
        if trace.flight.sampled:
            for name, span in _spans(trace):
                by_service.setdefault(name, []).append(span)
    scope = {"name": SCOPE, "version": version}
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes({"service.name": name})},
                "scopeSpans": [{"scope": scope, "spans": spans}],
            }
            for name, spans in by_service.items()
        ]
    }


def _spans(trace: Finished) -> Iterator[tuple[str, Json]]:
    flight, names = trace.flight, list(trace.stages)
    before: Passage | None = None
    for stage, passage in sorted(flight.passed.items()):
        if before is not None and passage.span_id == before.span_id:
            continue  # one step of one service wrote both
        begin = min(before.id.ms, passage.id.ms) if before is not None else passage.id.ms
        span: dict[str, Any] = {
            "traceId": flight.trace_id,
            "spanId": passage.span_id,
            **({"parentSpanId": before.span_id} if before is not None else {}),
            "name": names[stage],
            "kind": CONSUMER if before is not None else PRODUCER,
            "startTimeUnixNano": _nanoseconds(begin),
            "endTimeUnixNano": _nanoseconds(passage.id.ms),
            "attributes": _attributes(
                {
                    "messaging.system": "redis",
                    "messaging.destination.name": trace.stages[names[stage]],
                    "messaging.message.id": str(passage.id),
                }
            ),
        }
        if stage == flight.last_stage:
            span["status"] = _status(flight, names)
        yield names[stage], span
        before = passage


def _status(flight: Flight, names: Sequence[str]) -> Json:
    if flight.completed:
        return {"code": OK}
    missing = names[min(flight.last_stage + 1, len(names) - 1)]
    return {"code": ERROR, "message": f"never came to {missing}"}


def _attributes(pairs: Mapping[str, str]) -> list[Json]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in pairs.items()]


def _nanoseconds(ms: int) -> str:
    return str(ms * 1_000_000)  # 64 bits are a text in JSON
