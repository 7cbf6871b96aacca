"""What the API shows."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from typing_extensions import TypedDict

from watchdog.errors import StateError
from watchdog.muting import Silence
from watchdog.report import SnapshotBody, snapshot_json
from watchdog.units import rfc3339
from watchdog.web.bodies import AlertsQuery, DeliveriesQuery, TimelineQuery, TrendsQuery
from watchdog.web.calls import Call, Operation, Plain
from watchdog.web.past import TimelineBody, TrendsBody, timeline, trends
from watchdog.web.views import (
    ConfigurationBody,
    DeliveryBody,
    ReceiverBody,
    ShownAlert,
    SilenceBody,
    alert_view,
    delivery_json,
    loading_json,
    receivers_json,
    silence_json,
)


class AlertsBody(TypedDict):
    """The alerts that are, and those that ended lately."""

    at: str
    alerts: list[ShownAlert]


class SilencesBody(TypedDict):
    """The silences that are, and those that ended lately."""

    at: str
    silences: list[SilenceBody]


class DeliveriesBody(TypedDict):
    """What became of messages, the latest first."""

    at: str
    deliveries: list[DeliveryBody]


class ReceiversBody(TypedDict):
    """How the receivers stand."""

    at: str
    receivers: list[ReceiverBody]


class StatusBody(SnapshotBody):
    """All that is known; unless it is *fresh*, all that was: the watchdog has not looked lately."""

    fresh: bool
    configuration: ConfigurationBody


def status(call: Plain) -> StatusBody:
    """Return all that is known."""
    return {
        **snapshot_json(call.latest),
        "fresh": call.sidecar.fitness.fresh(call.now),
        "configuration": loading_json(call.sidecar.loading),
    }


def alerts(call: Call[AlertsQuery, None]) -> AlertsBody:
    """Return the alerts that are asked for."""
    latest, query = call.latest, call.query
    view = alert_view(call.sidecar, call.now)
    wanted = {
        "alertname": frozenset(query.alertname),
        "service": frozenset(query.service),
        "severity": frozenset(map(str, query.severity)),
    }
    marks, states, names = set(query.fingerprint), set(query.state), set(query.receiver)
    found = [
        view.show(notice)
        for notice in latest.notices
        if all(not any_of or notice.alert.labels[label] in any_of for label, any_of in wanted.items())
        and (not marks or notice.alert.labels.fingerprint in marks)
        and (not states or notice.alert.state in states)
    ]
    if names:
        found = [alert for alert in found if any(told["receiver"] in names for told in alert["receivers"])]
    return {"at": rfc3339(latest.at), "alerts": found}


def silences(call: Plain) -> SilencesBody:
    """Return all silences, those that end last first."""
    found = sorted(call.sidecar.wishes.silences.values(), key=lambda s: s.ends_at, reverse=True)
    return {"at": rfc3339(call.now), "silences": [silence_json(one, call.now) for one in found]}


def silence(call: Plain) -> SilenceBody:
    """Return one silence."""
    return silence_json(find_silence(call, call.name), call.now)


def find_silence(call: Call[Any, Any], id_: str) -> Silence:
    """Return the silence with *id_*; 404 if there is none."""
    found = call.sidecar.wishes.silences.get(id_)
    if found is None:
        raise HTTPException(404, "there is no such silence")
    return found


def deliveries(call: Call[DeliveriesQuery, None]) -> DeliveriesBody:
    """Return what the delivery log has of what is asked for."""
    query = call.query
    try:
        found = call.sidecar.state.deliveries(
            receiver=query.receiver,
            fingerprint=query.fingerprint,
            outcome=query.outcome,
            since=query.since,
            limit=query.limit,
        )
    except StateError as exc:
        raise HTTPException(503, str(exc)) from exc
    return {"at": rfc3339(call.now), "deliveries": [delivery_json(record) for record in found]}


def receivers(call: Plain) -> ReceiversBody:
    """Return how every receiver stands."""
    return {"at": rfc3339(call.now), "receivers": receivers_json(call.sidecar)}


READING = (
    Operation("GET", "/api/v1/status", "All services, signals and alerts", status, StatusBody),
    Operation("GET", "/api/v1/alerts", "Alerts, and who was told", alerts, AlertsBody, AlertsQuery),
    Operation("GET", "/api/v1/silences", "The silences", silences, SilencesBody),
    Operation(
        "GET", "/api/v1/silences/{id}", "One silence", silence, SilenceBody, also="/api/v1/silence/{id}"
    ),
    Operation(
        "GET", "/api/v1/deliveries", "What became of messages", deliveries, DeliveriesBody, DeliveriesQuery
    ),
    Operation("GET", "/api/v1/receivers", "How the receivers stand", receivers, ReceiversBody),
    Operation("GET", "/api/v1/timeline", "What happened", timeline, TimelineBody, TimelineQuery),
    Operation(
        "GET", "/api/v1/trends", "The last hours' curves of a service", trends, TrendsBody, TrendsQuery
    ),
)
