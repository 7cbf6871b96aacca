"""The notifiers: one file each, and one entry each in `NOTIFIERS`."""

from __future__ import annotations

from collections.abc import Mapping

from watchdog.notifiers.base import Notifier
from watchdog.notifiers.slack import Slack
from watchdog.notifiers.webhook import Webhook

NOTIFIERS: Mapping[str, type[Notifier]] = {"webhook": Webhook, "slack": Slack}
