"""The demo's receiver of webhooks: it notes when each alert was told, and may refuse."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from watchdog.clock import Clock, utc_now

TAKEN = 204
SPARE = "/spare"
"""Where messages are taken even when the inbox refuses."""


@dataclass(slots=True)
class Inbox:
    """Keeps when each alert's notification arrived, as (alertname, service, status); answers *status*."""

    clock: Clock = utc_now
    status: int = TAKEN
    arrived: dict[tuple[str, str, str], datetime] = field(default_factory=dict)

    @property
    def takes(self) -> bool:
        """Say whether messages are taken."""
        return self.status == TAKEN

    def app(self) -> Starlette:
        """Return the application that takes the sidecar's webhook."""

        async def take(request: Request) -> Response:
            at = self.clock()
            taken = self.takes or request.url.path == SPARE
            for alert in (await request.json())["alerts"] if taken else ():
                labels = alert["labels"]
                self.arrived.setdefault((labels["alertname"], labels["service"], alert["status"]), at)
            return Response(status_code=TAKEN if taken else self.status)

        return Starlette(routes=[Route(path, take, methods=["POST"]) for path in ("/alerts", SPARE)])
