"""
What a notifier is, for those who write one.

A notifier is one file in this folder and one entry in `watchdog.notifiers.NOTIFIERS`: a frozen
model whose fields are its YAML keys, with one verb, `send`. What it sends is built by a pure
function beside it, so that tests compare whole payloads.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from watchdog.errors import NotifyError
from watchdog.fields import Duration, Secret, SecretUrl
from watchdog.later import later
from watchdog.links import Links
from watchdog.notifications import Notification
from watchdog.routing import Habit

if TYPE_CHECKING:
    import asyncio
    import email.utils as dates
    import ssl

    import httpx
    import structlog
else:  # to read what the file says of a receiver nothing need be sent
    asyncio, dates, httpx, structlog = map(later, ("asyncio", "email.utils", "httpx", "structlog"))

LONGEST_ANSWER = 65_536
"""So many bytes of an answer are read."""
USEFUL = ("content-type", "retry-after")
LONGEST_RETRY_AFTER = 3600.0
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
OUR_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "idempotency-key",
        "transfer-encoding",
        "x-watchdog-signature",
        "x-watchdog-timestamp",
    }
)
"""What no `headers` of a receiver may set."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")


# ---- keys that several notifiers have ----------------------------------------------------------


def _sendable(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError("this is not a header's name (use letters, digits and -)")
        if name.lower() in OUR_HEADERS:
            raise ValueError(f"the header {name} is the watchdog's own (remove it)")
        if not _HEADER_VALUE.fullmatch(value.get_secret_value()):
            raise ValueError(f"the header {name} cannot be sent (use one line of ASCII signs)")
    return headers


Headers = Annotated[dict[str, Secret], AfterValidator(_sendable)]
"""Headers to send along, such as ``Authorization``; the values are never shown."""


def listed(raw: object) -> object:
    """Return one value, be it a text or ``{file: path}``, as a list of one; an empty list is a ValueError."""
    if isinstance(raw, list | tuple) and not raw:
        raise ValueError("the list is empty, so nobody would ever hear (give at least one)")
    return list(raw) if isinstance(raw, list | tuple) else [raw]


SecretUrls = Annotated[tuple[SecretUrl, ...], BeforeValidator(listed)]
"""One http(s) URL or several, never shown."""


def revealed(headers: Mapping[str, SecretStr]) -> dict[str, str]:
    """Return *headers* as they are sent."""
    return {name: value.get_secret_value() for name, value in headers.items()}


# ---- what a notifier is ------------------------------------------------------------------------


@functools.cache  # to load the certificates takes longer than to send a message
def trusting() -> ssl.SSLContext:
    """Return how to talk TLS with whomever the system vouches for."""
    return httpx.create_ssl_context()


@dataclass(frozen=True, slots=True)
class Sending:
    """
    What a notifier is given to send with.

    *links* lead to its pages, *thread* what `send` returned when this receiver was last
    told of an alert of the message, or None.
    """

    client: httpx.AsyncClient
    links: Links
    now: datetime
    thread: str | None = None


class Notifier(BaseModel):
    """The keys every notifier has, and how it wants to be used."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    pause: ClassVar[timedelta] = timedelta(0)
    """The least time between two messages."""

    timeout: Duration = Field("10s", validate_default=True, description="how long to wait for an answer")

    @property
    def habit(self) -> Habit:
        """Return how it wants to be told."""
        return Habit()

    async def send(self, notification: Notification, sending: Sending) -> str | None:
        """
        Send *notification*, once; raise NotifyError if it is not taken.

        Return what later messages about the same alerts can be attached to, if there is such a thing.
        """
        raise NotImplementedError

    async def post(
        self, url: str, sending: Sending, body: bytes, headers: Mapping[str, str] = NO_HEADERS
    ) -> httpx.Response:
        """Post *body*, which is JSON, to *url* and return the answer; anything but 2xx is a NotifyError."""
        response = await self.ask(url, sending, body, headers)
        check(response, sending.now)
        return response

    async def ask(
        self, url: str, sending: Sending, body: bytes, headers: Mapping[str, str] = NO_HEADERS
    ) -> httpx.Response:
        """Post *body*, which is JSON, to *url* and return the answer, whatever it is."""
        seconds = self.timeout.total_seconds()
        headers = {**headers, "Content-Type": "application/json"}
        try:
            async with (
                asyncio.timeout(seconds),  # httpx only bounds each of its steps
                sending.client.stream(
                    "POST", url, content=body, headers=headers, timeout=seconds
                ) as response,
            ):
                return await _heard(response)
        except (httpx.TimeoutException, TimeoutError) as exc:
            raise NotifyError(f"no answer within {seconds:g}s", permanent=False) from exc
        except httpx.HTTPError as exc:
            raise NotifyError(f"cannot be reached ({type(exc).__name__})", permanent=False) from exc
        except (httpx.InvalidURL, UnicodeError) as exc:
            raise NotifyError("has a URL nobody can be reached at", permanent=True) from exc


class HttpNotifier(Notifier):
    """A notifier that posts to one address."""

    url: SecretUrl = Field(
        description="where to post; may be read from a file: {file: path}",
        examples=["http://127.0.0.1:9000/alerts", {"file": "/run/secrets/webhook"}],
    )


# ---- answers -----------------------------------------------------------------------------------


async def _heard(response: httpx.Response) -> httpx.Response:
    """Return *response* as far as it is of use: no receiver fills our memory with its answer."""
    body = b""
    async for chunk in response.aiter_bytes(LONGEST_ANSWER):
        body += chunk
        if len(body) >= LONGEST_ANSWER:
            break
    headers = {name: response.headers[name] for name in USEFUL if name in response.headers}
    return httpx.Response(response.status_code, headers=headers, content=body[:LONGEST_ANSWER])


def check(response: httpx.Response, now: datetime, said: str = "") -> None:
    """Raise NotifyError unless *response* is 2xx; *said* is what it told of the reason."""
    if response.is_success:
        return
    status = response.status_code
    why = f": {said}" if said else ""
    if response.is_redirect:
        why = " (give the URL to which it redirects)"
    raise NotifyError(
        f"answered {status}{why}", permanent=is_permanent(status), retry_after=retry_after(response, now)
    )


def is_permanent(status: int) -> bool:
    """Say whether the same request can never succeed: any 4xx but time-out and too-many-requests."""
    return 300 <= status < 500 and status not in (408, 425, 429)


def retry_after(response: httpx.Response, now: datetime) -> float | None:
    """Return the seconds an answer asks for, as a number or a date (RFC 9110 §10.2.3), an hour at most."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER)
    try:
        seconds = (dates.parsedate_to_datetime(text) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def none_took(errors: Sequence[NotifyError]) -> NotifyError:
    """Return one error for several addresses none of which took the message."""
    waits = [error.retry_after for error in errors if error.retry_after is not None]
    return NotifyError(
        "; ".join(dict.fromkeys(map(str, errors))),
        permanent=all(error.permanent for error in errors),
        retry_after=min(waits, default=None),
    )


def note_partial(receiver: str, of: int, errors: Sequence[NotifyError]) -> None:
    """
    Log that some of a receiver's addresses did not take what others took.

    It counts as taken: to send it again would tell the others twice.
    """
    why = "; ".join(dict.fromkeys(map(str, errors)))
    structlog.get_logger().warning(
        "partly_taken", receiver=receiver, addresses=of, failed=len(errors), why=why
    )


def encode(payload: object) -> bytes:
    """Return *payload* as JSON in ASCII, which has a form even for signs that UTF-8 has none for."""
    return json.dumps(payload, separators=(",", ":")).encode("ascii")
