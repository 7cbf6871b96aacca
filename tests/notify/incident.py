"""The outage as alerts: the trainer is gone, the gate refuses everything, nothing is executed."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from watchdog.alerts import Alert, State
from watchdog.builtin import runbook_of
from watchdog.links import Links
from watchdog.model import Labels, SignalKey
from watchdog.notifications import Notice, Notification, Reason, build

NOW = datetime(2026, 2, 19, 1, 55, tzinfo=UTC)
"""The ninth day."""
LINKS = Links("https://watchdog.example", "https://grafana.example/d/watchdog")
ERROR = (
    "2026-02-19 01:33:50,123 | ERROR    | __main__ | ❌ Failed to parse TradeIntent for AAAUSDT:"
    " TradeIntent.__init__() missing 2 required positional arguments: 'action' and 'confidence'"
)


def _alert(name: str, service: str, severity: str, kind: str, place: dict[str, str], **more: object) -> Alert:
    labels = Labels(place, alertname=name, service=service, severity=severity)
    began = NOW - timedelta(seconds=30)
    base = Alert(
        labels,
        SignalKey(service, kind, Labels(place)),
        State.FIRING,
        active_since=began,
        last_true=NOW,
        fired_at=NOW,
        firings=(NOW,),
        runbook=runbook_of(name),
    )
    return replace(base, **more)  # type: ignore[arg-type]


HEARTBEAT = _alert(
    "HeartbeatMissing",
    "rl_trainer",
    "critical",
    "heartbeat",
    {"key": "quantum:svc:rl_trainer:heartbeat"},
    summary="rl_trainer has no heartbeat at quantum:svc:rl_trainer:heartbeat",
    value=0.0,
    figures=("heartbeat.present (0) == 0",),
    words=("the heartbeat exists: no (heartbeat.present == 0)",),
    evidence={"last_beat": "2026-02-09T23:20:25Z"},
)
NOTHING_DONE = _alert(
    "NoExecutions",
    "execution",
    "critical",
    "executions",
    {"stream": "quantum:stream:execution.result"},
    active_since=datetime(2026, 2, 10, 0, 20, 25, tzinfo=UTC),
    summary="execution has not succeeded for 9d 2h although work was offered 7,412 times in the last hour",
    value=786_874.0,
    figures=("executions.age (9d 2h) > 1h", "executions.offered[1h] (7,412) > 0"),
    words=(
        "time since the last success: 9d 2h (executions.age > 1h)",
        "entries that offered work in 1h: 7,412 (executions.offered[1h] > 0)",
    ),
    evidence={
        "last_success": "1770679225849-0",
        "last_failure": {"id": "1771466100034-0", "reason": "risk_layer0_fail:heartbeat_missing"},
    },
)
LOG_ERRORS = _alert(
    "LogErrors",
    "execution",
    "warning",
    "log",
    {"path": "/var/log/quantum/execution.log"},
    active_since=NOW - timedelta(minutes=2),
    summary="execution logs errors in 50% of its lines (2,520 lines in 10 minutes)",
    value=0.5,
    figures=("log.error_ratio[10m] (50%) > 10%", "log.lines[10m] (2,520) >= 20"),
    words=(
        "share of lines logged as error or worse in 10m: 50% (log.error_ratio[10m] > 10%)",
        "lines logged in 10m: 2,520 (log.lines[10m] >= 20)",
    ),
    evidence={
        "last_error": ERROR,
        "top_errors": [
            "1260 × ❌ Failed to parse TradeIntent for <symbol>: TradeIntent.__init__() missing <n>"
        ],
        "format": "pipe",
    },
)
SYMPTOMS = ("LogErrors of execution", "NoExecutions of execution", "OneReason of apply_layer")
ENDED = replace(
    NOTHING_DONE,
    state=State.RESOLVED,
    resolved_at=NOW + timedelta(minutes=38),
    ended_by="time since the last success: 3s (executions.age > 1h)",
)


def told(alert: Alert, *, reason: Reason = Reason.FIRST, symptoms: tuple[str, ...] = ()) -> Notice:
    """Return what is told of *alert*."""
    affects = ("apply_layer", "execution") if alert.service == "rl_trainer" else ()
    return Notice(alert, None, affects, symptoms, Reason.RESOLVED if alert.resolved_at else reason)


def message(*notices: Notice) -> Notification:
    """Return the message to the receiver `ops` that says *notices*."""
    return build("ops", Labels(service=notices[0].alert.service), notices, NOW)


MESSAGES = {
    "the cause": message(told(HEARTBEAT, symptoms=SYMPTOMS)),
    "what nobody saw": message(told(NOTHING_DONE)),
    "the log": message(told(LOG_ERRORS)),
    "both": message(told(NOTHING_DONE), told(LOG_ERRORS)),
    "a reminder": message(
        told(replace(HEARTBEAT, last_true=NOW + timedelta(hours=4)), reason=Reason.REPEAT, symptoms=SYMPTOMS)
    ),
    "the end": message(told(ENDED)),
}
DATE = re.compile(r"<!date\^[^|]*\|([^>]*)>")
LINK = re.compile(r"<[^|>]*\|([^>]*)>")
BOLD = re.compile(r"^(🔴 |🟠 |✅ )?\*([^*]*)\*", re.MULTILINE)


def as_read(sent: dict[str, Any]) -> str:
    """Return a Slack message as it stands on a screen; links are words in brackets."""
    texts = [b["text"] if "text" in b else b["elements"][0] for b in sent["blocks"]]
    said = LINK.sub(r"[\1]", DATE.sub(r"\1", "\n".join(text["text"] for text in texts)))
    return html.unescape(BOLD.sub(lambda found: f"{found[1] or ''}{found[2]}", said))
