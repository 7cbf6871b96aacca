"""The API: its routes, and what all its operations have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from watchdog.sidecar import Sidecar
from watchdog.threads import in_thread
from watchdog.web.answers import JSON, answer
from watchdog.web.bodies import Query, as_asked, sentences
from watchdog.web.calls import Call, Operation
from watchdog.web.openapi import Schema, description
from watchdog.web.reading import READING
from watchdog.web.writing import WRITING

OPERATIONS = (*READING, *WRITING)
MOST_BYTES = 64 * 1024
Endpoint = Callable[[Request], Awaitable[Response]]


def api_routes(sidecar: Sidecar) -> list[Route]:
    """Return the routes of the API about *sidecar*, one for each path."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS:
        for path in filter(None, (operation.path, operation.also)):
            by_path.setdefault(path, {})[operation.method] = operation

    async def openapi(_: Request) -> Response:
        return answer(await in_thread(_described))

    return [
        *(Route(path, _endpoint(sidecar, found), methods=list(found)) for path, found in by_path.items()),
        Route("/api/v1/openapi.json", openapi),
    ]


@cache
def _described() -> Schema:
    """Return what the API is, worked out once somebody asks: it takes 3 MB."""
    return description(OPERATIONS)


def _endpoint(sidecar: Sidecar, by_method: Mapping[str, Operation]) -> Endpoint:
    async def answered(request: Request) -> Response:
        operation = by_method["GET" if request.method == "HEAD" else request.method]
        query = _query(request, operation.query)
        body = await _body(request, operation.body) if operation.body else None
        name = next(iter(request.path_params.values()), "")
        call = Call(sidecar, sidecar.clock(), request.state.visitor.who or "", name, query, body)
        return answer(operation.does(call), operation.status)

    return answered


def _query(request: Request, model: type[Query]) -> Query:
    try:
        return model.model_validate(as_asked(request.query_params, model))
    except ValidationError as exc:
        raise HTTPException(422, "; ".join(sentences(exc, model))) from exc


async def _body(request: Request, model: type[BaseModel]) -> BaseModel:
    """Return what was posted; raise HTTPException with every mistake in it."""
    raw = await _read(request)
    if not raw and not any(field.is_required() for field in model.model_fields.values()):
        return model()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise HTTPException(415, f"only JSON is understood (send Content-Type: {JSON})")
    try:
        return model.model_validate_json(raw)
    except ValidationError as exc:
        found: Any = exc.errors(include_url=False)
        if found[0]["type"] == "json_invalid":
            raise HTTPException(400, f"the body is not JSON: {found[0]['ctx']['error']}") from exc
        raise HTTPException(422, "; ".join(sentences(exc, model))) from exc


async def _read(request: Request) -> bytes:
    """Return the body, however it is sent; 413 as soon as it is too long."""
    raw = bytearray()
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > MOST_BYTES:
                close = {"connection": "close"}  # nobody reads the rest
                raise HTTPException(413, f"the body is longer than {MOST_BYTES} bytes", close)
    except ClientDisconnect as exc:
        raise HTTPException(400, "the body ended too early") from exc
    return bytes(raw)
