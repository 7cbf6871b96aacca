"""The sidecar's HTTP face (SPEC §5): it reads the latest snapshot and changes nothing."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from watchdog.report import Snapshot, Status, alert_json, signal_json, snapshot_json
from watchdog.sidecar import Sidecar
from watchdog.units import plain, rfc3339
from watchdog.web.metrics import CONTENT_TYPE, render

NOT_YET = "the first tick is not finished"


def build_app(sidecar: Sidecar) -> Starlette:
    """Return the application that shows *sidecar*."""

    async def index(_: Request) -> Response:
        latest = sidecar.latest
        text = NOT_YET if latest is None else overview(latest)
        return PlainTextResponse(text, headers={"x-content-type-options": "nosniff"})

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("the process answers\n")

    async def ready(_: Request) -> Response:
        if sidecar.ready(sidecar.clock()):
            return PlainTextResponse("ready\n")
        if sidecar.fresh(sidecar.clock()):
            return PlainTextResponse("not ready: notifications wait and none is taken\n", 503)
        last = sidecar.pulse.last_tick
        return PlainTextResponse(f"not ready: last tick {last.isoformat() if last else 'never'}\n", 503)

    async def metrics(_: Request) -> Response:
        return Response(render(sidecar), headers={"content-type": CONTENT_TYPE})

    async def health(request: Request) -> Response:
        service = request.path_params["service"]
        if service not in sidecar.config.services:
            return JSONResponse({"error": f"no such service: {service}"}, 404)
        latest = sidecar.latest
        if latest is None or not sidecar.fresh(sidecar.clock()):
            return JSONResponse({"service": service, "status": "unknown", "why": "no recent look"}, 503)
        return service_health(service, latest)

    async def status(_: Request) -> Response:
        return _latest_json(sidecar.latest)

    async def alerts(request: Request) -> Response:
        latest = sidecar.latest
        if latest is None:
            return JSONResponse({"error": NOT_YET}, 503)
        wanted = request.query_params.get("fingerprint")
        found = [n for n in latest.notices if wanted in (None, n.alert.labels.fingerprint)]
        return JSONResponse({"at": rfc3339(latest.at), "alerts": [alert_json(n) for n in found]})

    return Starlette(
        routes=[
            Route("/", index),
            Route("/-/healthy", healthy),
            Route("/-/ready", ready),
            Route("/metrics", metrics),
            Route("/health/{service}", health),
            Route("/api/v1/status", status),
            Route("/api/v1/alerts", alerts),
        ]
    )


def _latest_json(latest: Snapshot | None) -> Response:
    if latest is None:
        return JSONResponse({"error": NOT_YET}, 503)
    return JSONResponse(snapshot_json(latest))


def service_health(service: str, latest: Snapshot) -> Response:
    """Answer 200 while *service* does its work, 503 when it does not or when nobody can tell."""
    status = latest.services[service]
    working = status in (Status.OK, Status.WARNING)
    body = {
        "service": service,
        "status": str(status),
        "at": rfc3339(latest.at),
        "alerts": [alert_json(n) for n in latest.notices if n.alert.service == service and not n.resolved],
        "signals": [signal_json(report) for report in latest.of_service(service)],
    }
    return JSONResponse(body, 200 if working else 503)


def overview(latest: Snapshot) -> str:
    """Return the state of things as plain text: a line a service, a line an alert."""
    lines = [f"{latest.status}  as of {latest.at.isoformat(timespec='seconds')}", ""]
    lines += [f"{status:<9} {service}" for service, status in latest.services.items()]
    lines += [""] + [
        plain(f"{n.alert.state} {n.alert.severity} {n.alert.name} {n.alert.service}: {n.alert.summary}")
        for n in latest.notices
    ]
    return "\n".join(lines) + "\n"
