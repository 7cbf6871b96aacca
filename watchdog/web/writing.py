"""What people may say to the sidecar; answered once it is in the state file."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime
from typing import Any

from starlette.exceptions import HTTPException
from typing_extensions import TypedDict

from watchdog.alerts import Alert
from watchdog.muting import Ack, Silence
from watchdog.routing import routes_of
from watchdog.rules import alert_labels
from watchdog.units import parse_duration, rfc3339
from watchdog.web.bodies import AckIn, Query, SilenceIn
from watchdog.web.calls import Call, Operation, Plain
from watchdog.web.reading import find_silence
from watchdog.web.views import ShownAlert, SilenceBody, Standing, alert_view, silence_json, standing

NOT_KEPT = "but the state file cannot be written: a crash would lose that (see StateUnwritable)"
TEST_RULE = "SelfTest"


def make_silence(call: Call[Query, SilenceIn]) -> SilenceBody:
    """Make a silence or change one, and return it."""
    body, now = call.body, call.now
    before = find_silence(call, body.id) if body.id else None
    matchers = tuple(one.matcher for one in body.matchers)
    made = Silence(
        before.id if before else str(uuid.uuid4()),
        matchers,
        _begin(body, before, now),
        _end(body, now),
        body.created_by or call.who,
        body.comment.strip(),
        body.until_resolved,
        before is not None and before.active(now) and before.matchers == matchers and before.matched,
    )
    if made.ends_at <= max(now, made.starts_at):
        raise HTTPException(422, "endsAt: the end must come after now and after the beginning")
    return _kept_silence(call, made)


def _begin(body: SilenceIn, before: Silence | None, now: datetime) -> datetime:
    """Return from when on it holds; nothing is silenced in the past, but what holds goes on to hold."""
    if body.starts_at is not None and body.starts_at > now:
        return body.starts_at
    return before.starts_at if before is not None and before.active(now) else now


def _end(body: SilenceIn, now: datetime) -> datetime:
    if body.ends_at is not None:
        return body.ends_at
    try:
        return max(body.starts_at or now, now) + parse_duration(body.duration or "")
    except (ValueError, OverflowError):
        raise HTTPException(422, "duration: this is beyond the calendar") from None


def end_silence(call: Plain) -> SilenceBody:
    """End a silence now, if it has not ended yet, and return it."""
    found = find_silence(call, call.name)
    if standing(found, call.now) is Standing.EXPIRED:
        return silence_json(found, call.now)
    return _kept_silence(call, replace(found, ends_at=call.now))


def _kept_silence(call: Call[Any, Any], silence: Silence) -> SilenceBody:
    if not call.sidecar.silence(silence):
        raise HTTPException(503, f"silence {silence.id} is taken, {NOT_KEPT}")
    return silence_json(silence, call.now)


def acknowledge(call: Call[Query, AckIn]) -> ShownAlert:
    """Acknowledge an alert that fires, and return it."""
    alert = _alert(call)
    if alert.fired_at is None or not alert.firing:
        raise HTTPException(409, f"the alert is {alert.state}: there is nothing to acknowledge")
    ack = Ack(
        alert.labels.fingerprint,
        alert.fired_at,
        call.now,
        call.body.created_by or call.who,
        call.body.comment.strip(),
    )
    if not call.sidecar.acknowledge(ack):
        raise HTTPException(503, f"the alert is acknowledged, {NOT_KEPT}")
    return _shown(call, alert)


def take_back(call: Plain) -> ShownAlert:
    """Take an acknowledgement back, if there is one, and return the alert."""
    alert = _alert(call)
    ack = call.sidecar.wishes.acks.get(alert.labels.fingerprint)
    if ack is not None and not call.sidecar.take_back(ack):
        raise HTTPException(503, f"the acknowledgement is taken back, {NOT_KEPT}")
    return _shown(call, alert)


def _alert(call: Call[Any, Any]) -> Alert:
    found = [notice.alert for notice in call.latest.notices if notice.alert.labels.fingerprint == call.name]
    if not found:
        raise HTTPException(404, "there is no such alert")
    return found[0]


def _shown(call: Call[Any, Any], alert: Alert) -> ShownAlert:
    view = alert_view(call.sidecar, call.now)
    return next(view.show(notice) for notice in call.latest.notices if notice.alert is alert)


class SelfTestBody(TypedDict):
    """A self-test that began: which alert will fire, and which receivers will hear of it."""

    at: str
    fingerprint: str
    receivers: list[str]


def self_test(call: Plain) -> SelfTestBody:
    """Have the alert SelfTest fire from the next tick on."""
    sidecar, own = call.sidecar, call.sidecar.config.own("watchdog")
    found = (guard for guard in sidecar.config.binding.guards.get(own, ()) if guard.rule.alert == TEST_RULE)
    guard = next(found, None)
    if guard is None:
        raise HTTPException(409, f"there is no rule {TEST_RULE} (builtin_rules is off in rules.yaml)")
    labels = alert_labels(guard.rule, own)
    under_way = sidecar.alerts.get(labels)
    if under_way is not None and under_way.firing:
        raise HTTPException(409, "a self-test is under way (wait for its end)")
    names = [name for route in routes_of(labels, sidecar.config.policy.routes) for name in route.to]
    sidecar.self_test(call.now)
    return {
        "at": rfc3339(call.now),
        "fingerprint": labels.fingerprint,
        "receivers": list(dict.fromkeys(names)),
    }


WRITING = (
    Operation(
        "POST",
        "/api/v1/silences",
        "Make a silence, or change one",
        make_silence,
        SilenceBody,
        body=SilenceIn,
        refuses=(404,),
    ),
    Operation(
        "DELETE",
        "/api/v1/silences/{id}",
        "End a silence",
        end_silence,
        SilenceBody,
        also="/api/v1/silence/{id}",
    ),
    Operation(
        "POST",
        "/api/v1/alerts/{fingerprint}/ack",
        "Acknowledge an alert that fires",
        acknowledge,
        ShownAlert,
        body=AckIn,
        refuses=(409,),
    ),
    Operation(
        "DELETE",
        "/api/v1/alerts/{fingerprint}/ack",
        "Take an acknowledgement back",
        take_back,
        ShownAlert,
    ),
    Operation(
        "POST",
        "/api/v1/self-test",
        "Send a test alert the whole way",
        self_test,
        SelfTestBody,
        status=202,
        refuses=(409,),
    ),
)
