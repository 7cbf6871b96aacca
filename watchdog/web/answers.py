"""Answers as JSON, refusals among them."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.responses import Response

from watchdog.report import to_json

JSON = "application/json"


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return *body* as a JSON answer."""
    return Response(to_json(body), status, headers, JSON)


def refused(refusal: HTTPException) -> Response:
    """Return the answer that says why not: every error has the form ``{"error": "…"}``."""
    return answer({"error": refusal.detail}, refusal.status_code, refusal.headers)
