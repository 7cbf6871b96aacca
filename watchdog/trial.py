"""The message that `watchdog test-receiver` sends."""

from __future__ import annotations

from datetime import datetime

from watchdog.alerts import Alert, State
from watchdog.model import Labels, SignalKey
from watchdog.notifications import Notice, Notification, Reason, build
from watchdog.rules import Severity
from watchdog.telling import OWN_SERVICE


def trial(receiver: str, now: datetime) -> Notification:
    """Return a message to *receiver* that says that it is a test and that nothing is wrong."""
    alert = Alert(
        Labels(alertname="ReceiverTest", service=OWN_SERVICE, severity=str(Severity.INFO), receiver=receiver),
        SignalKey(OWN_SERVICE, "receiver", Labels(receiver=receiver)),
        State.FIRING,
        active_since=now,
        last_true=now,
        fired_at=now,
        firings=(now,),
        summary=f"A test of receiver {receiver}: nothing is wrong",
    )
    return build(receiver, Labels(service=OWN_SERVICE), [Notice(alert, None, (), reason=Reason.TEST)], now)
