"""
What a notifier is, for those who write one.

A notifier is one file in this folder and one entry in `watchdog.notifiers.NOTIFIERS`: a frozen
model whose fields are its YAML keys, with one verb, `send`. What it sends is built by a pure
function beside it, so that tests compare whole payloads.
"""

from __future__ import annotations

from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field

from watchdog.errors import NotifyError
from watchdog.fields import Duration, SecretUrl
from watchdog.notifications import Notification


class Notifier(BaseModel):
    """The keys every notifier that speaks HTTP has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretUrl = Field(description="where to post; may be read from a file: {file: path}")
    timeout: Duration = Field("10s", validate_default=True, description="how long to wait for an answer")

    async def send(self, notification: Notification, client: httpx.AsyncClient, link: str) -> None:
        """Send *notification*, once; *link* is the sidecar's own address. Raise NotifyError if refused."""
        raise NotImplementedError

    async def post(
        self, client: httpx.AsyncClient, *, headers: dict[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        """Post *body* and return the answer; anything but 2xx is a NotifyError."""
        try:
            response = await client.post(
                self.url.get_secret_value(), headers=headers, timeout=self.timeout.total_seconds(), **body
            )
        except httpx.TimeoutException as exc:
            raise NotifyError(f"no answer within {self.timeout.total_seconds():g}s", permanent=False) from exc
        except httpx.HTTPError as exc:
            raise NotifyError(f"cannot be reached ({type(exc).__name__})", permanent=False) from exc
        if response.is_success:
            return response
        raise NotifyError(
            f"answered {response.status_code}",
            permanent=is_permanent(response.status_code),
            retry_after=_retry_after(response),
        )


def is_permanent(status: int) -> bool:
    """Say whether the same request can never succeed: any 4xx but time-out and too-many-requests."""
    return 300 <= status < 500 and status not in (408, 425, 429)


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds a 429 or 503 asks for; the form with a date is left to our own back-off."""
    text = response.headers.get("retry-after", "")
    return min(float(text), 3600.0) if text.isdigit() else None
