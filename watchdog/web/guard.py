"""Who may ask for what: decided before anything else looks at a request."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watchdog.config import Config
from watchdog.tokens import whose, whose_password
from watchdog.web.answers import refused

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods that change nothing."""
PROBES = frozenset({"/-/healthy", "/-/ready"})
FOR_ALL = frozenset({*PROBES, "/metrics"})
"""What may be read without a token from everywhere."""
API = "/api/"
HEALTH = "/health/"
"""What is below may be asked by everybody, and says little to strangers."""
PASSED_ON = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
"""Headers of requests that somebody passed on: the peer is not who asks."""
NO_STORE = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""The headers of every answer that does not set them itself."""
NOT_OURS = "this is not a name of the sidecar's (use its address, or set link in rules.yaml to that name)"
NO_TOKENS = "nobody has a token (set api.tokens in rules.yaml, or give it a state file)"
ASK_BROWSER = 'Bearer, Basic realm="Pipeline Watchdog", charset="UTF-8"'
"""How a browser learns that it may ask its user for a password: a token, and any name."""
NEED_TOKEN = "this needs a token: Authorization: Bearer TOKEN (see api.tokens in rules.yaml)"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Access:
    """
    Who may read and write.

    *tokens* are the tokens with who has each. *at_home* says that the sidecar listens on this
    host only; then *names* are those by which it may be called besides its addresses.
    """

    tokens: Mapping[str, str]
    at_home: bool
    names: frozenset[str]


def access_to(config: Config, host: str, tokens: Mapping[str, str]) -> Access:
    """Return who may ask a sidecar that listens on *host*."""
    link = urlsplit(config.link).hostname
    return Access(tokens, is_loopback(host), frozenset({"localhost", *([link] if link else [])}))


def is_loopback(host: str) -> bool:
    """Say whether *host* is an address of this host that no other can reach."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request decides whether it is answered."""

    method: str
    path: str
    headers: Headers
    peer: str

    @property
    def authorization(self) -> list[bytes]:
        """Return the values of its Authorization headers as they came."""
        return [value for name, value in self.headers.raw if name == b"authorization"]


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, if a token says so, and whether everything may be read."""

    who: str | None
    trusted: bool


def admit(asked: Asked, access: Access) -> Visitor:
    """Return who asks; raise HTTPException with the cure if that is not enough for what is asked."""
    reading = asked.method in READING
    who = whose(asked.authorization, access.tokens)
    if who is None and reading:
        # A browser sends a password with whatever any page has it ask here: good for looking only.
        who = whose_password(asked.authorization, access.tokens)
    called = _called(asked.headers.get("host", ""))
    ours = not access.at_home or called in access.names or _is_address(called)
    passed_on = any(name in asked.headers for name in PASSED_ON)
    trusted = who is not None or (access.at_home and ours and is_loopback(asked.peer) and not passed_on)
    if reading and (asked.path in PROBES or asked.path.startswith(HEALTH)):
        return Visitor(who, trusted)
    if who is not None:
        return Visitor(who, trusted)
    if not ours:
        # A page on the web can have its own name point here, and read what is said to its visitor.
        raise HTTPException(403, NOT_OURS)
    if reading and (trusted or asked.path in FOR_ALL):
        return Visitor(who, trusted)
    if not access.tokens:
        raise HTTPException(403, NO_TOKENS)
    page = reading and not asked.path.startswith(API)
    raise HTTPException(401, NEED_TOKEN, {"www-authenticate": ASK_BROWSER if page else "Bearer"})


def _called(host: str) -> str:
    """Return the name or address in a Host header, without port; empty if it is neither."""
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return "?"


def _is_address(name: str) -> bool:
    """Say whether *name* is an IP address, or nothing: only programs that are no browsers send no Host."""
    try:
        return not name or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


class Guard:
    """Lets through to *app* only what *access* allows, and puts the headers of caution on every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.access = access
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, with the visitor in `request.state`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def careful(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in NO_STORE.items():
                    headers.setdefault(name, value)
            await send(message)

        client = scope.get("client")
        asked = Asked(scope["method"], scope["path"], Headers(scope=scope), client[0] if client else "")
        try:
            visitor = admit(asked, self.access)
        except HTTPException as exc:
            await refused(exc)(scope, receive, careful)
            return
        await self._app({**scope, "state": {"visitor": visitor}}, receive, careful)
