"""`apprise`: anything that Apprise reaches; an optional extra, imported only if a receiver asks for it."""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from watchdog.errors import NotifyError
from watchdog.fields import Duration, Secret
from watchdog.later import later
from watchdog.links import Links
from watchdog.notifications import Notification
from watchdog.notifiers.base import Notifier, Sending, listed, none_took, note_partial
from watchdog.notifiers.text import headline, text
from watchdog.rules import Severity
from watchdog.threads import in_thread

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = later("asyncio")

MAX_TITLE = 200
SENDER = "Pipeline Watchdog"
TYPES = {Severity.CRITICAL: "failure", Severity.WARNING: "warning", Severity.INFO: "info"}
_MENTION = re.compile(r"(?<=@)(?=everyone|here|channel|all|room)|(?<=<)(?=[@!#])", re.IGNORECASE)
_NO_BREAK = "\u2060"


def _target(url: SecretStr) -> Callable[..., object] | None:
    """Return what sends to *url*, or None if Apprise cannot use it; ValueError if there is no Apprise."""
    try:
        library: Any = importlib.import_module("apprise")
    except ImportError:
        cure = "pip install 'pipeline-watchdog[apprise]'"
        raise ValueError(f"Apprise is not installed ({cure})") from None
    logging.getLogger("apprise").disabled = True  # what it logs of a URL may hold a part of its secret
    target = library.Apprise(asset=library.AppriseAsset(app_id=SENDER))
    notify: Callable[..., object] = target.notify
    return notify if target.add(url.get_secret_value()) else None


def _usable(url: SecretStr) -> SecretStr:
    if _target(url) is None:
        raise ValueError("Apprise cannot use this URL (see which it understands with `apprise --details`)")
    return url


AppriseUrl = Annotated[Secret, AfterValidator(_usable)]


class Apprise(Notifier):
    """Sends a text to whatever Apprise reaches (needs the extra `apprise`)."""

    url: Annotated[tuple[AppriseUrl, ...], BeforeValidator(listed)] = Field(
        description="one Apprise URL or several, never shown",
        examples=["${APPRISE_URL}", {"file": "/run/secrets/apprise"}],
    )
    timeout: Duration = Field("30s", validate_default=True, description="how long sending may take")

    async def send(self, notification: Notification, sending: Sending) -> str | None:
        """Send the text to all URLs at once; NotifyError if none of them took it."""
        said = wording(notification, sending.links, sending.now)
        seconds = self.timeout.total_seconds()
        answers = await asyncio.gather(*(_notify(url, said, seconds) for url in self.url))
        errors = [answer for answer in answers if answer is not None]
        if len(errors) == len(self.url):
            raise none_took(errors)
        if errors:
            note_partial(notification.receiver, len(self.url), errors)
        return None


async def _notify(url: SecretStr, said: dict[str, str], seconds: float) -> NotifyError | None:
    """Send to one URL and return why it was not taken, or None if it was."""

    def work() -> bool:
        send = _target(url)
        return send is not None and bool(send(**said))

    try:
        async with asyncio.timeout(seconds):
            taken = await in_thread(work)
    except TimeoutError:
        return NotifyError(f"no answer within {seconds:g}s", permanent=False)
    if taken:
        return None
    return NotifyError("was not taken (`apprise -vv URL` tells why)", permanent=False)


def wording(notification: Notification, links: Links, now: datetime) -> dict[str, str]:
    """Return title, body and type for Apprise."""
    worst = notification.notices[0]
    return {
        "title": quiet(headline(notification, MAX_TITLE)),
        "body": quiet(text(notification, links, now)),
        "notify_type": TYPES[worst.alert.severity] if notification.firing else "success",
        "body_format": "text",
    }


def quiet(text: str) -> str:
    """Return *text* so that no chat takes an ``@everyone`` in it for a call, by an invisible sign within."""
    return _MENTION.sub(_NO_BREAK, text)
