"""The notifiers: one file each, and one entry each in `NOTIFIERS`."""

from __future__ import annotations

from collections.abc import Mapping

from watchdog.notifiers.alertmanager import Alertmanager
from watchdog.notifiers.apprise import Apprise
from watchdog.notifiers.base import Notifier
from watchdog.notifiers.email import Email
from watchdog.notifiers.pagerduty import PagerDuty
from watchdog.notifiers.slack import Slack
from watchdog.notifiers.webhook import Webhook

NOTIFIERS: Mapping[str, type[Notifier]] = {
    "webhook": Webhook,
    "slack": Slack,
    "alertmanager": Alertmanager,
    "pagerduty": PagerDuty,
    "email": Email,
    "apprise": Apprise,
}
