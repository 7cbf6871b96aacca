"""The message that `watchdog test-receiver` sends."""

from __future__ import annotations

from datetime import datetime

from watchdog.alerts import Alert, State
from watchdog.builtin import runbook_of
from watchdog.model import OWN_SERVICE, Labels, SignalKey
from watchdog.notifications import Notice, Notification, Reason, build
from watchdog.rules import Severity


def trial(receiver: str, now: datetime) -> Notification:
    """
    Return a message to *receiver* that says that it is a test and that nothing is wrong.

    Below that it looks like a real one: it says what stands where, and so tries every form.
    """
    alert = Alert(
        Labels(alertname="ReceiverTest", service=OWN_SERVICE, severity=str(Severity.INFO), receiver=receiver),
        SignalKey(OWN_SERVICE, "receiver", Labels(receiver=receiver)),
        State.FIRING,
        active_since=now,
        last_true=now,
        fired_at=now,
        firings=(now,),
        summary=f"nothing is wrong, receiver {receiver} works",
        words=("figures stand here, such as: time since the last success: 2h 5m (executions.age > 1h)",),
        evidence={
            "seen": "log lines, entries and exit statuses stand here",
            "last_error": "12:00:00,123 | ERROR | <b>a *made-up* line</b> & no @channel",
        },
        runbook=runbook_of("ReceiverFailing"),
    )
    notice = Notice(alert, None, ("whatever needs the service",), reason=Reason.TEST)
    return build(receiver, Labels(service=OWN_SERVICE), [notice], now)
