"""
One question over HTTP, asked before one deadline; each way of not answering has its word.

Every question makes a connection of its own: one kept alive would not notice that nobody accepts any more.
The environment's proxies are left aside: their 502 is not the service's answer. What comes back is never
unpacked, and read no further than `LARGEST_BYTES`, so no answer can cost more than that.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import h11
import httpx

from watchdog.endpoints.dialing import (
    Address,
    Resolver,
    Trust,
    UnansweredError,
    connect,
    peek,
    secure,
    time_left,
)
from watchdog.units import show_duration

REDIRECTS = 3
LARGEST_BYTES = 1 << 20
LARGEST_HEAD = 64 << 10
LONGEST_BEGINNING = 16
"""So much of what was heard is enough to tell what it is."""
MOVED = frozenset({301, 302, 303, 307, 308})
GETTING = frozenset({"GET", "HEAD"})
TLS_RECORD = b"\x15\x03"
"""How a server begins that speaks TLS and was asked without."""


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask, and of whom: *unix* is a socket to use in place of the address' host and port."""

    url: httpx.URL
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    trust: Trust = field(default_factory=Trust)
    unix: str | None = None
    final: frozenset[int] = frozenset()
    """Statuses that are the answer even if they point elsewhere."""

    @property
    def origin(self) -> tuple[str, str, int | None]:
        """Return to whom it goes."""
        return self.url.scheme, self.url.host, self.url.port

    def moved(self, location: str) -> Question:
        """Return the question for where it was sent on to: elsewhere nobody is told what is secret."""
        try:
            url = self.url.join(location)
        except (httpx.InvalidURL, ValueError) as exc:
            raise UnansweredError("redirects", "it redirects to what is no address") from exc
        if url.scheme not in ("http", "https") or not url.host:
            raise UnansweredError("redirects", "it redirects to what is no web address")
        there = replace(self, url=url.copy_with(userinfo=self.url.userinfo))
        if there.origin == self.origin:
            return there
        trust = replace(self.trust, cert=None, key=None, name=None)
        return replace(there, url=url.copy_with(userinfo=b""), headers={}, unix=None, trust=trust)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, the body as far as it was read, the time it took, and from where."""

    status: int
    body: bytes
    whole: bool
    took: float
    url: httpx.URL
    packed: str = ""
    """How the body is compressed, although it was asked not to be."""
    location: str | None = None
    certificate_ends: datetime | None = None


def ask(question: Question, patience: float, resolver: Resolver) -> Answer:
    """Return the answer that comes within *patience* seconds; raise UnansweredError if there is none."""
    began = time.perf_counter()
    ends: datetime | None = None
    for _ in range(REDIRECTS + 1):
        answer = _Exchange(question, began + patience, patience, resolver).answer()
        ends = ends or answer.certificate_ends  # that of the one who was asked, not of the last
        onward = answer.status in MOVED - question.final and question.method in GETTING
        if not onward or answer.location is None:
            return replace(answer, took=time.perf_counter() - began, certificate_ends=ends)
        question = question.moved(answer.location)
    raise UnansweredError("redirects", f"it redirects more than {REDIRECTS} times")


class _Exchange:
    """One question and one answer on one connection."""

    def __init__(self, question: Question, deadline: float, patience: float, resolver: Resolver) -> None:
        self.question = question
        self.deadline = deadline
        self.within = show_duration(patience)
        self.resolver = resolver
        self.certificate_ends: datetime | None = None
        self.heard = b""
        self.ended = False

    def answer(self) -> Answer:
        """Connect, ask, read; raise UnansweredError for the first step that fails."""
        with self._connected() as connection:
            secured = self._secured(connection) if self.question.url.scheme == "https" else connection
            with secured:
                return self._exchanged(secured)

    def _connected(self) -> socket.socket:
        try:
            return self._connect()
        except ConnectionRefusedError as exc:
            raise UnansweredError("refused", "the connection is refused: nobody listens there") from exc
        except TimeoutError as exc:
            raise UnansweredError("no_connection", f"no connection within {self.within}") from exc
        except OSError as exc:
            raise UnansweredError("no_connection", f"no connection: {exc.strerror or 'no reason'}") from exc

    def _connect(self) -> socket.socket:
        url = self.question.url
        if self.question.unix is not None:
            return connect([Address(socket.AF_UNIX, self.question.unix)], self.deadline)
        port = url.port or (443 if url.scheme == "https" else 80)
        return connect(self.resolver.addresses(url.host, port, self.deadline), self.deadline)

    def _secured(self, connection: socket.socket) -> socket.socket:
        trust = self.question.trust
        host = trust.name or self.question.url.host
        context = trust.context()
        try:
            secured, self.certificate_ends = secure(connection, host, context, self.deadline)
        except ssl.SSLCertVerificationError as exc:
            self.certificate_ends = peek(self._connect, host, self.deadline)
            why = f"its TLS certificate is not accepted: {exc.verify_message}"
            raise self._failed("certificate", why) from exc
        except TimeoutError as exc:
            raise self._failed("tls", f"it accepts the connection but no TLS within {self.within}") from exc
        except OSError as exc:
            raise self._failed("tls", f"TLS is not possible with it: {_reason(exc)}") from exc
        return secured

    def _exchanged(self, connection: socket.socket) -> Answer:
        try:
            return self._read(connection)
        except TimeoutError as exc:
            if self.heard:
                raise self._failed("unfinished", f"its answer is not complete within {self.within}") from exc
            why = f"it accepts the connection but does not answer within {self.within}"
            raise self._failed("no_answer", why) from exc
        except ssl.SSLError as exc:
            raise self._failed("tls", f"TLS is not possible with it: {_reason(exc)}") from exc
        except h11.RemoteProtocolError as exc:
            raise self._nonsense(exc) from exc
        except OSError as exc:
            raise self._failed("cut_off", f"the connection broke off: {_reason(exc)}") from exc

    def _read(self, connection: socket.socket) -> Answer:
        """Send the question and take in the answer, event by event."""
        http = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST_HEAD)
        connection.settimeout(time_left(self.deadline))
        connection.sendall(_spoken(http, self.question))
        head: h11.Response | None = None
        body = bytearray()
        for event in self._events(http, connection):
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            if isinstance(event, h11.EndOfMessage) or len(body) > LARGEST_BYTES:
                break
        assert head is not None  # h11 has no data and no end without one
        headers = {name: text.decode("latin-1") for name, text in reversed(list(head.headers))}
        packed = headers.get(b"content-encoding", "").strip().lower()
        return Answer(
            status=head.status_code,
            body=bytes(body[:LARGEST_BYTES]),
            whole=len(body) <= LARGEST_BYTES,
            took=0.0,
            url=self.question.url,
            packed="" if packed == "identity" else packed,
            location=headers.get(b"location"),
            certificate_ends=self.certificate_ends,
        )

    def _events(self, http: h11.Connection, connection: socket.socket) -> Iterator[h11.Event]:
        """Yield what the server says, as long as there is time."""
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                connection.settimeout(time_left(self.deadline))
                found = connection.recv(1 << 16)
                self.heard = (self.heard + found)[:LONGEST_BEGINNING]
                self.ended = not found
                http.receive_data(found)
            elif isinstance(event, h11.Event):
                yield event
                time_left(self.deadline)  # a thousand interim answers are none
            else:
                raise h11.RemoteProtocolError("it goes on in another protocol")

    def _nonsense(self, exc: h11.RemoteProtocolError) -> UnansweredError:
        """Say what is wrong with an answer that is no HTTP, or not all of it."""
        if not self.heard:
            return self._failed("cut_off", "it ends the connection without an answer")
        if self.heard.startswith(TLS_RECORD):
            return self._failed("not_http", "it speaks TLS (write https:// in the url)")
        if exc.error_status_hint == 431:
            return self._failed("not_http", f"its headers are longer than {LARGEST_HEAD >> 10} KiB")
        if not self.heard.startswith(b"HTTP/1."):
            return self._failed("not_http", "what answers there does not speak HTTP")
        if self.ended:
            return self._failed("cut_off", "it ends the connection without a whole HTTP answer")
        return self._failed("not_http", "its answer is not valid HTTP")

    def _failed(self, problem: str, sentence: str) -> UnansweredError:
        return UnansweredError(problem, sentence, self.certificate_ends)


def _spoken(http: h11.Connection, question: Question) -> bytes:
    """Return the question as it goes over the wire."""
    url = question.url
    headers = {
        "Host": url.netloc.decode("ascii"),
        "User-Agent": "pipeline-watchdog",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    if url.userinfo:
        headers["Authorization"] = _basic(url)
    if question.body:
        headers["Content-Length"] = str(len(question.body))
    own = {name.lower() for name in question.headers}
    sent = [(n, v) for n, v in headers.items() if n.lower() not in own] + list(question.headers.items())
    request = h11.Request(method=question.method, target=url.raw_path, headers=sent)
    parts = [http.send(request)]
    if question.body:
        parts.append(http.send(h11.Data(data=question.body)))
    parts.append(http.send(h11.EndOfMessage()))
    return b"".join(part for part in parts if part)


def _basic(url: httpx.URL) -> str:
    auth = httpx.BasicAuth(url.username, url.password)
    request = httpx.Request("GET", url)
    return str(next(auth.auth_flow(request)).headers["Authorization"])


def _reason(exc: OSError) -> str:
    if isinstance(exc, ssl.SSLError):
        return str(exc.reason or "no handshake").lower().replace("_", " ")
    return exc.strerror or "no further reason"
