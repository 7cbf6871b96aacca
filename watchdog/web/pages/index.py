"""The route of the status page: for browsers, and as plain text for whoever asks for that."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from watchdog.report import Snapshot, Status
from watchdog.sidecar import Sidecar
from watchdog.units import plain
from watchdog.web.calls import NOT_YET
from watchdog.web.pages.live import Live
from watchdog.web.pages.overview import COLUMNS, OPEN_ROWS, Overview
from watchdog.web.pages.rendering import REFRESH, SOON, page, render, templates_read

VARY = {"vary": "accept"}


def overview_routes(sidecar: Sidecar, live: Live) -> list[Route]:
    """Return the route of the status page."""
    drawn = Overview(sidecar)

    async def index(request: Request) -> Response:
        now, latest = sidecar.clock(), sidecar.latest
        if wants_text(request):
            return PlainTextResponse(NOT_YET if latest is None else as_text(latest), headers=VARY)
        await templates_read()
        only = _only(request)
        if latest is None:
            frame = {"now": now, "status": Status.UNKNOWN, "stale": False, "live": "", "seen": ""}
            return page(render("starting.html", {**frame, "refresh": SOON}), now)
        address = f"/?status={only}" if only else "/"
        board = live.board(address, lambda now: drawn.draw(now, only))
        first = drawn.first
        body = {
            "now": now,
            "status": first.status,
            "stale": first.stale,
            "first": first,
            "live": address,
            "seen": board.mark,
            "refresh": REFRESH,
            "parts": board.parts.html,
            "lists": board.parts.lists,
            "columns": [title for title, _ in COLUMNS],
            "folded": len(board.parts.lists["rows"]) > OPEN_ROWS,
        }
        answer = page(render("overview.html", body), now)
        answer.headers.update(VARY)
        return answer

    return [Route("/", index)]


def _only(request: Request) -> Status | None:
    """Return which services are asked for."""
    asked = request.query_params.get("status")
    if asked is None:
        return None
    try:
        return Status(asked)
    except ValueError:
        raise HTTPException(422, f"status: there are {', '.join(Status)}") from None


def wants_text(request: Request) -> bool:
    """Say whether who asks wants plain text and no page."""
    accepted = request.headers.get("accept", "")
    return "text/plain" in accepted and "text/html" not in accepted


def as_text(latest: Snapshot) -> str:
    """Return the state of things as plain text: a line a service, a line an alert."""
    lines = [f"{latest.status}  as of {latest.at.isoformat(timespec='seconds')}", ""]
    lines += [plain(f"{status:<9} {service}") for service, status in latest.services.items()]
    lines += [""] + [
        plain(f"{n.alert.state} {n.alert.severity} {n.alert.name} {n.alert.service}: {n.alert.summary}")
        for n in latest.notices
    ]
    return "\n".join(lines) + "\n"
