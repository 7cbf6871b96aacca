"""A wire to one server: over TCP, over TLS or over a socket of this machine."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from pathlib import Path

from watchdog.errors import SourceDownError
from watchdog.redisurl import Login, Node, ServerUrl, Tls
from watchdog.signals.base import Command, Refused, Reply
from watchdog.wire.batch import Batch
from watchdog.wire.link import Link, LinkError

CLIENT_NAME = "pipeline-watchdog"
HARMLESS = frozenset({"NOPERM", "MISCONF"})
"""What a PING may be refused for by a server that answers all else: its rights, a disk that is full."""


class NodeWire:
    """One connection to one server, opened when needed and opened anew after a failure."""

    def __init__(self, server: ServerUrl, node: Node, timeout: float, login: Login | None = None) -> None:
        """Ask *node* as *server* says, or by another *login*; *timeout* seconds of silence are no answer."""
        self.place = str(node)
        self._node = node
        self._timeout = timeout
        self._tls = server.tls
        self._greeting = Batch(greeting(server.login if login is None else login, server.db))
        self._link: Link | None = None
        self._connecting = asyncio.Lock()

    @property
    def connected(self) -> bool:
        """Say whether the connection of the last question is still there."""
        return self._link is not None and self._link.over is None

    async def ask(self, batch: Batch) -> list[Reply]:
        """Return the replies to *batch* in order; raise SourceDownError without them."""
        if not batch.commands:
            return []
        link = await self._linked()
        try:
            replies = await link.ask(batch)
        except LinkError as exc:
            raise SourceDownError(f"Redis at {self.place} {exc}") from exc
        if link.refusal is not None:
            why = f"refuses: {link.refusal}"
            link.end(why)
            raise SourceDownError(f"Redis at {self.place} {why}")
        return replies

    async def close(self) -> None:
        """Drop the connection; the next question opens a new one."""
        link, self._link = self._link, None
        if link is not None:
            link.end("was closed")

    async def _linked(self) -> Link:
        async with self._connecting:
            if self._link is None or self._link.over is not None:
                self._link = None
                self._link = await self._connect()
            return self._link

    async def _connect(self) -> Link:
        link = Link(self._timeout)
        try:
            async with asyncio.timeout(self._timeout):
                await self._open(link)
                self._welcome(await link.ask(self._greeting))
        except BaseException as exc:
            link.end("was given up while connecting")
            why = _why(exc)
            if why is None:
                raise
            if link.hung_up and not link.heard:
                why += self._hint()
            raise SourceDownError(f"Redis at {self.place} {why}") from exc
        link.refusal = None
        return link

    async def _open(self, link: Link) -> None:
        loop = asyncio.get_running_loop()
        if self._node.socket:
            await loop.create_unix_connection(lambda: link, self._node.socket)
            return
        context = tls_context(self._tls) if self._tls is not None else None
        await loop.create_connection(lambda: link, self._node.host, self._node.port, ssl=context)

    def _hint(self) -> str:
        """Return what to try with a server that hangs up before it has said anything."""
        if self._node.socket:
            return ""
        if self._tls is None:
            return " (does it want TLS? write rediss://)"
        return (
            "" if self._tls.certificate else " (does it want a certificate? add ssl_certfile and ssl_keyfile)"
        )

    def _welcome(self, replies: list[Reply]) -> None:
        """Raise LinkError if the server does not let us in; a refused name does not matter."""
        for command, reply in zip(self._greeting.commands, replies, strict=True):
            if not isinstance(reply, Refused):
                continue
            if command[0] == "AUTH":
                raise LinkError(f"refuses the password or user: {reply}")
            if command[0] == "SELECT":
                raise LinkError(f"refuses database {command[1]!s}: {reply}")
            if command[0] == "PING" and reply.code not in HARMLESS:
                raise LinkError(f"refuses: {reply}")


def greeting(login: Login, db: int) -> list[Command]:
    """Return what is said first on a new connection."""
    commands: list[Command] = []
    if login:
        user = (login.user,) if login.user else ()
        commands.append(("AUTH", *user, login.password))
    commands.append(("CLIENT", "SETNAME", CLIENT_NAME))
    if db:
        commands.append(("SELECT", db))
    commands.append(("PING",))
    return commands


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return how to trust a server, and how to prove who we are; LinkError if a file is of no use."""
    for path in filter(None, (tls.ca, tls.certificate, tls.key)):
        try:
            Path(path).open("rb").close()  # ssl does not say which file it was
        except OSError as exc:
            raise LinkError(f"cannot be asked over TLS: {path} cannot be read: {exc.strerror}") from exc
    try:
        context = ssl.create_default_context(cafile=tls.ca, capath=tls.ca_folder)
        context.check_hostname = tls.check_hostname
        if not tls.verify:
            context.verify_mode = ssl.CERT_NONE
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key, tls.key_password or "")
    except ssl.SSLError as exc:
        raise LinkError(f"cannot be asked over TLS: its files are of no use: {_reason(exc)}") from exc
    return context


def _why(exc: BaseException) -> str | None:
    """Return why there is no connection, in a few words; None for what is no failure to connect."""
    if isinstance(exc, LinkError):
        return str(exc)
    if isinstance(exc, TimeoutError):
        return "does not answer in time"
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"cannot be trusted: {exc.verify_message}"
    if isinstance(exc, ssl.SSLError):
        return f"cannot be reached over TLS: {_reason(exc)}"
    if isinstance(exc, socket.gaierror):
        return f"cannot be reached: {exc.strerror}"
    if isinstance(exc, UnicodeError):
        return "cannot be reached: that is no name of a host"
    if isinstance(exc, OSError):
        number = exc.errno or int(next(iter(re.findall(r"\[Errno (\d+)\]", str(exc))), 0))  # one of many
        return f"cannot be reached: {os.strerror(number) if number else exc or type(exc).__name__}"
    return None


def _reason(exc: ssl.SSLError) -> str:
    return (exc.reason or str(exc)).replace("_", " ").lower()
