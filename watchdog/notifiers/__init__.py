"""The notifiers: one file each, and one entry each in `NOTIFIERS`; more come with other packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from watchdog.kinds import Kinds

if TYPE_CHECKING:
    from watchdog.notifiers.base import Notifier

NOTIFIERS: Kinds[Notifier] = Kinds(
    "receiver",
    "pipeline_watchdog.receivers",
    {
        "webhook": "watchdog.notifiers.webhook:Webhook",
        "slack": "watchdog.notifiers.slack:Slack",
        "alertmanager": "watchdog.notifiers.alertmanager:Alertmanager",
        "pagerduty": "watchdog.notifiers.pagerduty:PagerDuty",
        "email": "watchdog.notifiers.email:Email",
        "apprise": "watchdog.notifiers.apprise:Apprise",
    },
    "watchdog.notifiers.fitting:why_no_notifier",
)
