"""The sidecar's HTTP face (SPEC §5): what people and programs may ask it, and who may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from typing_extensions import TypedDict

from watchdog.later import later
from watchdog.loading import Loading
from watchdog.report import AlertBody, SignalBody, Snapshot, Status, alert_json, signal_json
from watchdog.sidecar import Sidecar
from watchdog.threads import in_thread
from watchdog.units import plain, rfc3339
from watchdog.web.answers import answer, refused, streamed, takes_gzip
from watchdog.web.api import api_routes
from watchdog.web.guard import HEALTH, Access, Guard, access_to, is_loopback
from watchdog.web.pages.assets import asset_routes
from watchdog.web.pages.index import overview_routes
from watchdog.web.pages.live import Live
from watchdog.web.pages.runbook import runbook_routes
from watchdog.web.pages.service import service_routes
from watchdog.web.views import loading_json

exposition, written = later("watchdog.web.exposition"), later("watchdog.web.metrics")
"""Loaded at the first scrape: 2 MB, with prometheus_client."""
Reload = Callable[[], Awaitable[Loading]]
"""Reads the rules file anew, and says how it was taken."""
ROUTER_SAYS = {
    404: "there is nothing at this address (/api/v1/openapi.json has all there are)",
    405: "this method does nothing here (the Allow header has those that do)",
}


def build_app(sidecar: Sidecar, access: Access | None = None, reload: Reload | None = None) -> Guard:
    """
    Return the application that shows *sidecar* to whom *access* allows (default: as its file says).

    Where *reload* is given the rules file can be read anew by asking for it.
    """
    live = Live(sidecar)
    pages = Starlette(
        routes=[
            *overview_routes(sidecar, live),
            *service_routes(sidecar, live),
            *live.routes(),
            *runbook_routes(sidecar),
            *asset_routes(),
            *_routes(sidecar),
            *api_routes(sidecar),
            *([] if reload is None else [Route("/-/reload", _reloading(reload), methods=["POST"])]),
        ],
        exception_handlers={HTTPException: _refuse, Exception: _fail},
    )
    pages.router.redirect_slashes = False  # an address is right or wrong
    config = sidecar.config
    return Guard(pages, access or access_to(config, config.listen[0], config.tokens))


def _reloading(reload: Reload) -> Callable[[Request], Awaitable[Response]]:
    async def reloaded(_: Request) -> Response:
        loading = await reload()
        return answer(loading_json(loading), 200 if loading.well else 422)

    return reloaded


def _refuse(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    if exc.detail == HTTPStatus(exc.status_code).phrase:  # the router's own words
        exc.detail = ROUTER_SAYS.get(exc.status_code, exc.detail)
    return refused(exc)


def _fail(_: Request, exc: Exception) -> Response:
    """Say no more than that it failed: the log has the rest."""
    return answer({"error": f"this failed inside the watchdog ({type(exc).__name__}); please report it"}, 500)


def _routes(sidecar: Sidecar) -> list[Route]:
    """Return the routes beside the pages and the API."""

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("the process answers\n")

    async def ready(_: Request) -> Response:
        why = sidecar.fitness.why_not_ready(sidecar.clock())
        return (
            PlainTextResponse("ready\n")
            if why is None
            else PlainTextResponse(plain(f"not ready: {why}") + "\n", 503)
        )

    async def metrics(request: Request) -> Response:
        only = request.query_params.get("only")
        if only is not None and only not in sidecar.config.compat:
            known = ", ".join(sorted(sidecar.config.compat)) or "none, set compat in rules.yaml"
            raise HTTPException(422, f"only: there are no such metrics (there are: {known})")
        kind, pieces = await in_thread(lambda: (exposition.CONTENT_TYPE, written.pieces))
        if request.method == "HEAD":
            return Response(headers={"content-type": kind})
        # Zipping takes as long as writing; only a network can be slower than that.
        far = request.client is None or not is_loopback(request.client.host)
        told = pieces(sidecar) if only is None else written.IN_OTHER_WORDS[only](sidecar)
        return streamed(told, kind, zipped=far and takes_gzip(request))

    async def health(request: Request) -> Response:
        service = request.path_params["service"]
        config = sidecar.config
        if config.shard is not None and (number := config.elsewhere.get(service)) is not None:
            raise HTTPException(404, f"this service is watched by shard {number} of {config.shard.of}")
        if service not in config.services:
            raise HTTPException(404, "there is no such service")
        latest = sidecar.latest
        if latest is None or not sidecar.fitness.fresh(sidecar.clock()):
            return answer({"service": service, "status": "unknown", "why": "no recent look"}, 503)
        code = 200 if works(service, latest) else 503
        if not request.state.visitor.trusted:
            return answer({"service": service, "status": latest.services[service]}, code)
        return answer(service_json(service, latest), code)

    return [
        Route("/-/healthy", healthy),
        Route("/-/ready", ready),
        Route("/metrics", metrics),
        Route(HEALTH + "{service}", health),
    ]


def works(service: str, latest: Snapshot) -> bool:
    """Say whether *service* does its work; where nobody can tell it does not."""
    return latest.services[service] in (Status.OK, Status.WARNING)


class HealthBody(TypedDict):
    """How one service stands, and why."""

    service: str
    status: Status
    at: str
    alerts: list[AlertBody]
    signals: list[SignalBody]


def service_json(service: str, latest: Snapshot) -> HealthBody:
    """Return how *service* stands, with its alerts and signals."""
    return {
        "service": service,
        "status": latest.services[service],
        "at": rfc3339(latest.at),
        "alerts": [alert_json(n) for n in latest.notices if n.alert.service == service and not n.resolved],
        "signals": [signal_json(report) for report in latest.of_service(service)],
    }
