"""Serving an application beside the sidecar, on the sidecar's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from watchdog.errors import WatchdogError

ENDING = "watchdog.ending"
"""Under which name a request finds the event that is set when the server stops: what has no end ends then."""
DATED_EVERY = 1.0
"""So often the `Date:` of answers is renewed, in seconds: all there is to do while nobody asks."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ending: asyncio.Event) -> None:
        super().__init__(config)
        self._ending = ending

    async def main_loop(self) -> None:
        """Serve until the end is told; looking for it ten times a second took a quarter of a rest's CPU."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DATED_EVERY):
                    await self._ending.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the sidecar, which ends first what depends on nothing else."""
        yield


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to *host* and *port*; raise WatchdogError in words if that is impossible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as exc:
        listener.close()
        why = exc.strerror or str(exc)
        raise WatchdogError(f"cannot listen on {host}:{port}: {why} (choose another with --listen)") from exc
    return listener


class WebServer:
    """One application on one socket."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        self._listener = listener
        self._ending = ending = asyncio.Event()

        async def served(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, ENDING: ending}, receive, send)

        self._server = _Server(
            uvicorn.Config(
                served,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                proxy_headers=False,  # the peer is the peer: who is behind it decides nothing here
                server_header=False,
                timeout_graceful_shutdown=1,
            ),
            ending,
        )
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Serve from now on."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener]), name="http")

    async def stop(self) -> None:
        """Finish the requests under way, for a second at most, and close."""
        self._server.should_exit = True
        self._ending.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=1.5)
        self._listener.close()
