"""Answers as JSON, refusals among them; and long ones in pieces."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from watchdog.report import to_json

JSON = "application/json"
AT_ONCE = 64 * 1024
"""So much is sent together at least: a small page goes out in one go."""
FASTEST = 1
"""The level at which text of this kind shrinks to a twelfth; more takes twice the time and gains little."""
GZIP = 16 + zlib.MAX_WBITS
"""What zlib calls gzip's format."""


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return *body* as a JSON answer."""
    return Response(to_json(body), status, headers, JSON)


def refused(refusal: HTTPException) -> Response:
    """Return the answer that says why not: every error has the form ``{"error": "…"}``."""
    return answer({"error": refusal.detail}, refusal.status_code, refusal.headers)


def streamed(pieces: Iterable[str], content_type: str, *, zipped: bool) -> StreamingResponse:
    """Return the answer that *pieces* make, each made only when those before it are on their way."""
    headers = {"content-type": content_type, "vary": "accept-encoding"}
    if zipped:
        headers["content-encoding"] = "gzip"
    return StreamingResponse(
        _sent(pieces, zlib.compressobj(FASTEST, wbits=GZIP) if zipped else None), 200, headers
    )


async def _sent(pieces: Iterable[str], zipper: zlib._Compress | None) -> AsyncIterator[bytes]:
    """Yield what is sent, and let others have the loop after each of *pieces*."""
    waiting: list[str] = []
    length = 0
    for piece in pieces:
        waiting.append(piece)
        length += len(piece)
        if length >= AT_ONCE:
            yield _raw(waiting, zipper)
            waiting, length = [], 0
        await asyncio.sleep(0)
    yield _raw(waiting, zipper) + (zipper.flush() if zipper is not None else b"")


def _raw(pieces: Iterable[str], zipper: zlib._Compress | None) -> bytes:
    raw = "".join(pieces).encode("utf-8", "replace")
    return raw if zipper is None else zipper.compress(raw)


def takes_gzip(request: Request) -> bool:
    """Say whether who asks wants the answer zipped."""
    for offer in ",".join(request.headers.getlist("accept-encoding")).split(","):
        coding, _, rest = offer.partition(";")
        if coding.strip().lower() == "gzip":
            return rest.replace(" ", "").lower() not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
