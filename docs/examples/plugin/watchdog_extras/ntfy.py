"""`ntfy`: a push message to phones, through ntfy.sh or a server of one's own."""

from __future__ import annotations

from pydantic import Field

from watchdog.plugin import HttpNotifier, Notification, Sending, encode, headline, message_text

LONGEST_TITLE = 200
PRIORITY = {"critical": 5, "warning": 4, "info": 2}


class Ntfy(HttpNotifier):
    """Publishes to a topic of ntfy."""

    topic: str = Field(min_length=1, description="the topic that phones subscribe to", examples=["trading"])

    async def send(self, notification: Notification, sending: Sending) -> str | None:
        """Publish one message; `post` raises NotifyError unless it is taken."""
        body = message(notification, sending, self.topic)
        await self.post(self.url.get_secret_value(), sending, encode(body))
        return None


def message(notification: Notification, sending: Sending, topic: str) -> dict[str, object]:
    """Return what ntfy takes, as a pure function that a test can call."""
    worst = max(PRIORITY.get(notice.alert.severity, 3) for notice in notification.notices)
    return {
        "topic": topic,
        "title": headline(notification, LONGEST_TITLE),
        "message": message_text(notification, sending.links, sending.now),
        "priority": worst if notification.firing else PRIORITY["info"],
    }
