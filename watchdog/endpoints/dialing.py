"""
Connections to endpoints: looked up, made and secured before one deadline; each failure has its word.

The deadline is a moment of `time.perf_counter`, so that a server that gives a byte a second gains nothing.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from watchdog.endpoints.certificates import end_of
from watchdog.errors import CollectError

MOST_ADDRESSES = 4
"""How many of a host's addresses are tried, each with its share of the time that is left."""


class UnansweredError(CollectError):
    """
    Say why an endpoint gave no answer: *problem* in one word, the message in a sentence.

    *certificate_ends* is known where one was shown before.
    """

    def __init__(self, problem: str, sentence: str, certificate_ends: datetime | None = None) -> None:
        self.problem = problem
        self.certificate_ends = certificate_ends
        super().__init__(sentence)


class Address(NamedTuple):
    """Where to connect to, as the socket module says it."""

    family: int
    place: Any


Lookup = Callable[[str, int], Sequence[Address]]


def time_left(deadline: float) -> float:
    """Return the seconds until *deadline*; raise TimeoutError if there are none."""
    left = deadline - time.perf_counter()
    if left <= 0:
        raise TimeoutError
    return left


# ---- names -------------------------------------------------------------------------------------


def look_up(host: str, port: int) -> list[Address]:
    """Ask the system for the addresses of *host*."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [Address(family, place) for family, _, _, _, place in found]


class Resolver:
    """
    Looks names up in a thread, because nothing can tell the system's own look-up to stop.

    One that is out is waited for again at the next look, so that they never pile up.
    """

    def __init__(self, lookup: Lookup = look_up) -> None:
        self._lookup = lookup
        self._out: dict[tuple[str, int], Future[Sequence[Address]]] = {}

    def addresses(self, host: str, port: int, deadline: float) -> Sequence[Address]:
        """Return where *host* is; raise UnansweredError if that is not known by *deadline*."""
        if _is_address(host):
            return look_up(host, port)
        asked = self._out.get((host, port))
        if asked is None:
            asked = self._out[host, port] = Future()
            threading.Thread(target=self._ask, args=(asked, host, port), daemon=True, name="look up").start()
        try:
            found = asked.result(time_left(deadline))
        except TimeoutError:
            raise UnansweredError("dns", "the name of its host was not found in time (DNS)") from None
        except UnicodeError as exc:
            del self._out[host, port]
            raise UnansweredError("dns", "the name of its host is none that can exist") from exc
        except OSError as exc:
            del self._out[host, port]
            raise UnansweredError("dns", "the name of its host is not known (DNS)") from exc
        del self._out[host, port]
        return found

    def _ask(self, asked: Future[Sequence[Address]], host: str, port: int) -> None:
        try:
            asked.set_result(self._lookup(host, port))
        except (OSError, UnicodeError) as exc:
            asked.set_exception(exc)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


# ---- connections ---------------------------------------------------------------------------------


def connect(addresses: Sequence[Address], deadline: float) -> socket.socket:
    """Return a connection to the first of *addresses* that takes one before *deadline*."""
    tried = addresses[:MOST_ADDRESSES]
    failure: OSError = TimeoutError()
    for i, address in enumerate(tried):
        connection = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            connection.settimeout(time_left(deadline) / (len(tried) - i))
            connection.connect(address.place)
            return connection
        except OSError as exc:
            connection.close()
            failure = exc
    raise failure


# ---- TLS -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trust:
    """
    Whom to trust over TLS, and what to show of ourselves.

    *ca* is a file of certificates instead of the system's; *name* is the one the certificate must be
    for, if it is not the address' own; *cert* and *key* are our own files.
    """

    ca: str | None = None
    verify: bool = True
    name: str | None = None
    cert: str | None = None
    key: str | None = None

    def context(self) -> ssl.SSLContext:
        """Return how to talk TLS; raise CollectError if a file of ours is of no use."""
        stamps = tuple(_stamp(path) for path in (self.ca, self.cert, self.key))
        return _context(self.ca, self.verify, self.cert, self.key, stamps)


def _stamp(path: str | None) -> tuple[int, int] | None:
    """Return what changes when the file at *path* is renewed."""
    if path is None:
        return None
    try:
        found = os.stat(path)
    except OSError as exc:
        raise CollectError(f"the TLS file {path} cannot be read: {exc.strerror}") from exc
    return found.st_mtime_ns, found.st_size


@functools.lru_cache(maxsize=64)  # it costs more than a request
def _context(ca: str | None, verify: bool, cert: str | None, key: str | None, _: object) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as exc:
        raise CollectError(f"the TLS file {ca} cannot be read: it holds no certificate") from exc
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert is not None:
        try:
            context.load_cert_chain(cert, key, password="")  # never ask a terminal
        except OSError as exc:
            raise CollectError(f"the TLS files {cert} and {key or cert} are no certificate and key") from exc
    return context


def secure(
    connection: socket.socket, host: str, context: ssl.SSLContext, deadline: float
) -> tuple[ssl.SSLSocket, datetime | None]:
    """Return *connection* with TLS on it, to *host*, and when the certificate ends that is shown there."""
    connection.settimeout(time_left(deadline))
    secured = context.wrap_socket(connection, server_hostname=host)
    return secured, end_of(secured.getpeercert(binary_form=True) or b"")


def peek(connect_again: Callable[[], socket.socket], host: str, deadline: float) -> datetime | None:
    """Return when the certificate ends that is shown but not accepted, if it can be seen; nothing is sent."""
    anybody = _context(None, False, None, None, ())
    with contextlib.suppress(OSError, CollectError), connect_again() as connection:
        secured, ends = secure(connection, host, anybody, deadline)
        secured.close()
        return ends
    return None
