"""A wire to whichever server Sentinel says is the master."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from watchdog.errors import SourceDownError
from watchdog.redisurl import Node, ServerUrl
from watchdog.signals.base import Reply
from watchdog.signals.replies import text
from watchdog.wire.batch import Batch
from watchdog.wire.single import NodeWire

ASK_AGAIN = 5.0
"""
After so many seconds Sentinel is asked again though the connection is well.

A master that was cut off from its Sentinels goes on answering, with what nobody writes any more.
"""
ROLE = Batch([("ROLE",)])


class SentinelWire:
    """A connection to the master; when it breaks, the next question goes to the master of then."""

    def __init__(self, server: ServerUrl, timeout: float, ask_again: float = ASK_AGAIN) -> None:
        """Ask the master that the Sentinels of *server* name; name it anew every *ask_again* seconds."""
        self.place = server.place
        self.sentinels = list(server.nodes)
        self._ask_again = ask_again
        self._server = server
        self._timeout = timeout
        self._question = Batch([("SENTINEL", "GET-MASTER-ADDR-BY-NAME", server.master)])
        self._master: NodeWire | None = None
        self._node: Node | None = None
        self._found_at = 0.0
        self._finding = asyncio.Lock()

    async def ask(self, batch: Batch) -> list[Reply]:
        """Return the master's replies to *batch*; raise SourceDownError without them."""
        async with self._finding:
            master = await self._find_master()
        return await master.ask(batch)

    async def close(self) -> None:
        """Drop the connection; the next question asks Sentinel first."""
        master, self._master = self._master, None
        if master is not None:
            await master.close()

    async def _find_master(self) -> NodeWire:
        now = asyncio.get_running_loop().time()
        connected = self._master is not None and self._master.connected
        if self._master is not None and connected and now - self._found_at < self._ask_again:
            return self._master
        try:
            node = await self._ask_sentinels()
        except SourceDownError:
            if self._master is None or not connected:
                raise
            return self._master  # Sentinel is away, its master is not
        if self._master is None or not connected or node != self._node:
            await self.close()
            self._master = await self._connect(node)
            self._node = node
        self._found_at = now
        return self._master

    async def _ask_sentinels(self) -> Node:
        """Return where the master is, by the first Sentinel that knows; it is the first asked next time."""
        whys = []
        for sentinel in tuple(self.sentinels):
            wire = NodeWire(replace(self._server, db=0), sentinel, self._timeout, self._server.sentinel_login)
            try:
                (reply,) = await wire.ask(self._question)
            except SourceDownError as exc:
                whys.append(str(exc).replace("Redis at", "Sentinel at", 1))
                continue
            finally:
                await wire.close()
            if isinstance(reply, list) and len(reply) == 2 and reply[1].isdigit():
                self.sentinels.remove(sentinel)
                self.sentinels.insert(0, sentinel)
                return Node(text(reply[0]), int(reply[1]))
            said = f"refuses: {reply}" if reply else f'knows no master "{self._server.master}"'
            whys.append(f"Sentinel at {sentinel} {said}")
        raise SourceDownError(whys[0])

    async def _connect(self, node: Node) -> NodeWire:
        wire = NodeWire(self._server, node, self._timeout)
        (role,) = await wire.ask(ROLE)
        if isinstance(role, list) and role[0] != b"master":
            await wire.close()
            raise SourceDownError(f"Redis at {node} is not the master yet that Sentinel says it is")
        return wire
