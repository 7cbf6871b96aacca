"""
`health`: what a service says of itself over HTTP.

A service that does not answer is not unknown but down, and the reason says how: nobody listens, the
name is not known, the connection is taken and then nothing comes.
"""

from __future__ import annotations

import functools
import json
import math
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from urllib.parse import urlsplit

import httpx
from pydantic import Field, field_validator

from watchdog.errors import CollectError
from watchdog.fields import Duration, Scalar, means
from watchdog.model import Labels, Measure, Reading, seconds, value
from watchdog.signals.base import LocalSignal, SignalConfig
from watchdog.units import show_duration

REDIRECTS = 3
LARGEST_BYTES = 1 << 20
MOST_VALUES = 50
DEEPEST = 8
"""How many objects may lie in one another for the body's numbers to be measures."""
MISSING = object()
_NAME = re.compile(r"[A-Za-z_][\w.]*")

TROUBLES: Sequence[tuple[type[BaseException], str]] = (
    (socket.gaierror, "the name of its host is not known (DNS)"),
    (UnicodeError, "the name of its host is none that can exist"),
    (ssl.SSLCertVerificationError, "its TLS certificate is not accepted: {detail}"),
    (ssl.SSLError, "TLS is not possible with it: {detail}"),
    (ConnectionRefusedError, "the connection is refused: nobody listens there"),
    (httpx.ConnectTimeout, "no connection within {patience}"),
    (httpx.ConnectError, "no connection: {detail}"),
    (httpx.TimeoutException, "it accepts the connection but does not answer within {patience}"),
    (httpx.RemoteProtocolError, "it ends the connection without a whole HTTP answer"),
    (httpx.TransportError, "the connection broke off: {detail}"),
)
"""Why there was no answer; the first that occurs in the chain of causes names it."""


class HealthConfig(SignalConfig):
    """Keys of `health`."""

    url: str = Field(description="the address to ask with GET")
    expect: dict[str, Scalar | None] = Field(
        default_factory=dict, description="what the JSON body must say: dotted path and value"
    )
    timeout: Duration = Field(timedelta(seconds=5), description="how long to wait for the whole answer")

    @field_validator("url")
    @classmethod
    def _can_be_asked(cls, url: str) -> str:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as exc:
            raise ValueError(f"not an address: {exc}") from exc
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError("not a web address (write it like http://127.0.0.1:8002/health)")
        return url

    def labels(self) -> Labels:
        """Return the address without what may be secret in it: user, password and query."""
        parts = urlsplit(self.url)
        return Labels(url=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")

    def offered(self) -> Mapping[str, Measure]:
        """Return all measures."""
        return Health.MEASURES


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, the body as far as it was read, the time it took."""

    status: int
    body: bytes
    whole: bool
    took: float


class Health(LocalSignal[HealthConfig]):
    """Tells a service that is down from one that answers, and one that answers from one that is well."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "up": value("1 if it answers 2xx and all expectations hold"),
        "latency": seconds("Time until the whole answer was there"),
        "status": value("HTTP status of the answer"),
        "body.*": value("Number in the JSON body, by its dotted path; true is 1, false is 0"),
    }
    Config = HealthConfig

    def look_here(self, now: datetime) -> Reading:
        """Ask once; no answer is a reading as well."""
        try:
            answer = ask(self.config.url, self.config.timeout)
        except CollectError as exc:
            return Reading(self.key, now, {"up": 0.0}, evidence={"reason": str(exc)})
        document = parse_body(answer)
        reasons = list(complaints(answer, document, self.config.expect))
        values = {"up": float(not reasons), "latency": answer.took, "status": float(answer.status)}
        values |= body_values(document)
        return Reading(self.key, now, values, evidence={"reason": "; ".join(reasons)} if reasons else {})


@functools.cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()  # costs more than the request, so it is made once


def ask(url: str, timeout: timedelta) -> Answer:
    """
    Return the answer to GET *url*; raise CollectError with the reason if there is none.

    Every look makes a connection of its own: one kept alive would not notice that nobody accepts any more.
    The environment's proxies are left aside: their 502 is not the service's answer.
    """
    patience = timeout.total_seconds()
    began = time.perf_counter()
    headers = {"User-Agent": "pipeline-watchdog", "Accept-Encoding": "identity"}
    try:
        with httpx.Client(timeout=patience, verify=_trust(), trust_env=False, headers=headers) as client:
            request = client.build_request("GET", url)
            for _ in range(REDIRECTS + 1):
                response = client.send(request, stream=True)
                try:
                    if response.next_request is None:
                        body, whole = _read(response, began + patience)
                        return Answer(response.status_code, body, whole, time.perf_counter() - began)
                    request = response.next_request
                finally:
                    response.close()
    except (httpx.HTTPError, UnicodeError) as exc:
        raise CollectError(why(exc, timeout)) from exc
    raise CollectError(f"it redirects more than {REDIRECTS} times")


def _read(response: httpx.Response, deadline: float) -> tuple[bytes, bool]:
    """Return the body, at most 1 MiB of it, and whether that is all."""
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > LARGEST_BYTES:
            return bytes(body[:LARGEST_BYTES]), False
        if time.perf_counter() > deadline:
            raise httpx.ReadTimeout("the body is not complete")
    return bytes(body), True


def why(exc: BaseException, timeout: timedelta) -> str:
    """Say in one sentence why there was no answer."""
    chain: list[BaseException] = [exc]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    for kind, sentence in TROUBLES:
        found = next((link for link in chain if isinstance(link, kind)), None)
        if found is not None:
            return sentence.format(detail=_detail(chain), patience=show_duration(timeout.total_seconds()))
    return f"it cannot be asked ({type(exc).__name__})"


def _detail(chain: Sequence[BaseException]) -> str:
    for link in chain:
        if isinstance(link, ssl.SSLCertVerificationError):
            return link.verify_message
        if isinstance(link, ssl.SSLError):
            return str(link.reason or "no handshake").lower().replace("_", " ")
        if isinstance(link, OSError) and link.strerror:
            return link.strerror
    return "no further reason"


def parse_body(answer: Answer) -> object:
    """Return the body's JSON, or `MISSING` if it is none."""
    try:
        return json.loads(answer.body) if answer.whole else MISSING
    except (ValueError, RecursionError):
        return MISSING


def complaints(answer: Answer, document: object, expect: Mapping[str, Scalar | None]) -> Iterator[str]:
    """Yield a sentence for everything that speaks against the service."""
    if not 200 <= answer.status < 300:
        yield f"it answers {answer.status}"
    if expect and document is MISSING:
        yield "its answer is not JSON" if answer.whole else "its answer is longer than 1 MiB"
        return
    for path, wanted in expect.items():
        found = find(document, path)
        if found is MISSING:
            yield f"{path} is missing, expected {show(wanted)}"
        elif not (found is None if wanted is None else means(wanted, _plain(found))):
            yield f"{path} is {show(found)}, expected {show(wanted)}"


def find(document: object, path: str) -> object:
    """Return what stands at the dotted *path*, or `MISSING`; a name may itself hold dots."""
    if isinstance(document, Mapping):
        if path in document:
            return document[path]
        name, dot, rest = path.partition(".")
        return find(document[name], rest) if dot and name in document else MISSING
    if isinstance(document, list):
        index, dot, rest = path.partition(".")
        if not index.isdecimal() or int(index) >= len(document):
            return MISSING
        return find(document[int(index)], rest) if dot else document[int(index)]
    return MISSING


def body_values(document: object) -> dict[str, float]:
    """Return the first `MOST_VALUES` numbers of the JSON objects in *document*, by dotted path."""
    found: dict[str, float] = {}
    for path, number in _numbers(document, "", DEEPEST):
        if len(found) < MOST_VALUES and _NAME.fullmatch(path):
            found.setdefault(f"body.{path}", number)
    return found


def _numbers(document: object, prefix: str, depth: int) -> Iterator[tuple[str, float]]:
    if not isinstance(document, Mapping) or not depth:
        return
    for name, inner in document.items():
        if isinstance(inner, bool | int | float):
            number = float(inner) if isinstance(inner, bool) or abs(inner) < 1e300 else math.nan
            if math.isfinite(number):
                yield prefix + name, number
        yield from _numbers(inner, f"{prefix}{name}.", depth - 1)


def _plain(found: object) -> str:
    return found if isinstance(found, str) else json.dumps(found)


def show(found: object) -> str:
    """Return a JSON value for reading, cut short."""
    text = json.dumps(found, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"
