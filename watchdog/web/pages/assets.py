"""The style, the script and the signs of the pages: a new address with every change, so kept for good."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = Path(__file__).parents[1] / "static"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FOR_GOOD = "private, max-age=31536000, immutable"


class Asset(NamedTuple):
    """A file that comes with the program, under the address that only this content has."""

    address: str
    body: bytes
    type: str
    etag: str


@cache
def assets() -> Mapping[str, Asset]:
    """Return all files of the folder by name."""
    return {path.name: _read(path) for path in sorted(FOLDER.iterdir()) if path.suffix in TYPES}


def _read(path: Path) -> Asset:
    body = path.read_bytes()
    mark = hashlib.sha256(body).hexdigest()[:16]
    return Asset(f"/static/{path.stem}.{mark}{path.suffix}", body, TYPES[path.suffix], f'"{mark}"')


def address_of(name: str) -> str:
    """Return where the file *name* is served."""
    return assets()[name].address


async def _serve(request: Request) -> Response:
    path = request.url.path
    found = next((asset for asset in assets().values() if asset.address == path), None)
    if found is None:
        raise HTTPException(404, "there is no such file (load the page anew)")
    headers = {"etag": found.etag, "cache-control": FOR_GOOD}
    if found.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.body, headers=headers, media_type=found.type)


def asset_routes() -> list[Route]:
    """Return the route under which the files are served."""
    return [Route("/static/{name}", _serve)]
