"""
A wire to a cluster: every command goes to the master that has its key, all masters at once.

A master that is away costs only what it has: its replies are `Away`, and all others are there.
INFO is asked of every master (`OfNodes`); SCAN goes through one master after the other, and its
cursor says through which (``17@host:port``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from weakref import WeakKeyDictionary

from watchdog.errors import SourceDownError
from watchdog.redisurl import Node, ServerUrl
from watchdog.signals.base import Command, Refused, Reply
from watchdog.signals.nodes import Away, OfNodes, away
from watchdog.signals.replies import text
from watchdog.wire.batch import Batch
from watchdog.wire.single import NodeWire
from watchdog.wire.slots import Goal, SlotMap, goal, grouped, read_slots, redirected

SLOTS = Batch([("CLUSTER", "SLOTS")])
ELSEWHERE = frozenset({"MOVED", "ASK", "CLUSTERDOWN", "AWAY"})
"""Replies that another node may know better."""
SHORTEST_BREAK = 0.5
"""A node that failed is left alone for so many seconds, or for as long as its failing took."""
UNSERVED = "slots"
"""Under this name `OfNodes` holds an `Away` while there are slots that nobody serves."""

Plan = tuple[tuple[Node, Batch, tuple[int, ...]], ...]
"""Who is asked what, and where in the batch each answer belongs."""


class ClusterWire:
    """A connection to each master, by a map of who has which slot."""

    def __init__(self, server: ServerUrl, timeout: float) -> None:
        """Ask the cluster that any node of *server* belongs to."""
        self.place = server.place
        self._server = server
        self._timeout = timeout
        self._wires: dict[Node, NodeWire] = {}
        self._failed: dict[Node, tuple[float, str]] = {}  # until when it is left alone, and why
        self._map: SlotMap | None = None
        self._plans: WeakKeyDictionary[Batch, tuple[SlotMap, Plan]] = WeakKeyDictionary()
        self._mapping = asyncio.Lock()

    async def ask(self, batch: Batch) -> list[Reply]:
        """Return the replies to *batch* in order; raise SourceDownError if no node answers at all."""
        known = self._map or await self._look_around(None)
        replies = await self._ask_masters(batch, known)
        lost = [i for i, reply in enumerate(replies) if _is_lost(reply)]
        if lost:
            fresh = await self._look_around(known)
            if fresh is not known:
                found = await self._ask_masters(Batch([batch.commands[i] for i in lost]), fresh)
                _put(replies, lost, found)
            await self._follow(batch.commands, lost, replies)
            self._explain(lost, replies, fresh)
        return replies

    async def close(self) -> None:
        """Drop all connections; the next question opens new ones."""
        wires, self._wires = self._wires, {}
        self._map = None
        for wire in wires.values():
            await wire.close()

    # ---- by the map --------------------------------------------------------------------------------

    async def _ask_masters(self, batch: Batch, known: SlotMap) -> list[Reply]:
        replies: list[Reply] = [away(f"Redis at {self.place} serves this slot nowhere")] * len(batch)
        for i, command in enumerate(batch.commands):
            if (where := goal(command)) is Goal.ALL:
                replies[i] = OfNodes()
            elif where is Goal.SCAN:
                replies[i] = await self._scan(command, known)
        plan = self._plan(batch, known)
        answers = await asyncio.gather(*(self._ask_node(node, part) for node, part, _ in plan))
        for (node, _, places), found in zip(plan, answers, strict=True):
            for i, reply in zip(places, found, strict=True):
                if isinstance(replies[i], OfNodes):
                    replies[i][str(node)] = reply
                else:
                    replies[i] = reply
        return [_joined(reply, known) if isinstance(reply, OfNodes) else reply for reply in replies]

    def _plan(self, batch: Batch, known: SlotMap) -> Plan:
        """Return who is asked what by the map that is *known*; worked out once for each batch."""
        kept = self._plans.get(batch)
        if kept is None or kept[0] is not known:
            groups = grouped(list(_destinations(batch.commands, known)))
            plan = tuple(
                (node, Batch([batch.commands[i] for i in places]), tuple(places))
                for node, places in groups.items()
            )
            self._plans[batch] = kept = known, plan
        return kept[1]

    async def _ask_node(self, node: Node, part: Batch) -> list[Reply]:
        """Return what *node* replies to its *part*; all `Away` without it."""
        began = asyncio.get_running_loop().time()
        until, why = self._failed.get(node, (0.0, ""))
        if began < until:
            return [away(why)] * len(part)
        try:
            replies = await self._wire(node).ask(part)
        except SourceDownError as exc:
            now = asyncio.get_running_loop().time()
            self._failed[node] = now + max(SHORTEST_BREAK, now - began), str(exc)
            return [away(str(exc))] * len(part)
        self._failed.pop(node, None)
        return replies

    def _wire(self, node: Node) -> NodeWire:
        if node not in self._wires:
            self._wires[node] = NodeWire(self._server, node, self._timeout)
        return self._wires[node]

    async def _scan(self, command: Command, known: SlotMap) -> Reply:
        """Scan one master on; when it is through, the cursor leads to the next one."""
        cursor, _, at = text(command[1]).partition("@")
        masters = {str(node): node for node in known.masters}
        node = masters.get(at, known.masters[0])
        (reply,) = await self._ask_node(node, Batch([("SCAN", cursor, *command[2:])]))
        if isinstance(reply, Refused):
            return reply
        after = known.masters.index(node) + 1
        if reply[0] != b"0":
            return [b"%s@%s" % (reply[0], str(node).encode()), reply[1]]
        return [b"0" if after == len(masters) else b"0@%s" % str(known.masters[after]).encode(), reply[1]]

    # ---- when the map was wrong --------------------------------------------------------------------

    async def _follow(self, commands: Sequence[Command], lost: Sequence[int], replies: list[Reply]) -> None:
        """Ask once more where a node sent us: a slot is on its way, or not everybody knows where it is."""
        sent = [i for i in lost if isinstance(replies[i], Refused) and replies[i].code in ("MOVED", "ASK")]
        for node, places in grouped([(i, redirected(replies[i])) for i in sent]).items():
            asking = Batch([command for i in places for command in (("ASKING",), commands[i])])
            _put(replies, places, (await self._ask_node(node, asking))[1::2])

    def _explain(self, lost: Sequence[int], replies: list[Reply], known: SlotMap) -> None:
        """A cluster that is down because a node is away has one fault, and that is the node."""
        gone = next((why for node, (_, why) in self._failed.items() if node in known.masters), None)
        if gone is None and known.unserved:
            gone = unserved(known)
        for i in lost if gone else ():
            if isinstance(replies[i], Refused) and replies[i].code == "CLUSTERDOWN":
                replies[i] = away(str(gone))

    async def _look_around(self, known: SlotMap | None) -> SlotMap:
        """Return the map as the nodes have it now, or the one that came while we waited for our turn."""
        async with self._mapping:
            if self._map is not None and self._map is not known:
                return self._map
            whys = []
            for node in dict.fromkeys((*(known.masters if known else ()), *self._server.nodes)):
                (reply,) = await self._ask_node(node, SLOTS)
                if isinstance(reply, list) and reply:
                    self._map = await self._keep(read_slots(reply, node), known)
                    return self._map
                whys.append(_why_not(reply, node))
            self._map = None
            raise SourceDownError(whys[0])

    async def _keep(self, found: SlotMap, known: SlotMap | None) -> SlotMap:
        """Return *known* if nothing is new, so that all plans hold; drop connections that lead nowhere."""
        if known is not None and found.masters == known.masters and found.slots == known.slots:
            return known
        for node in self._wires.keys() - found.masters:
            await self._wires.pop(node).close()
        return found


def unserved(known: SlotMap) -> str:
    """Say that slots are served by nobody."""
    return f"{known.unserved} of the cluster's slots are served by no node"


def _is_lost(reply: Reply) -> bool:
    """Say whether another node may know better."""
    if isinstance(reply, OfNodes):
        return any(isinstance(found, Away) for found in reply.values())
    return isinstance(reply, Refused) and reply.code in ELSEWHERE


def _put(replies: list[Reply], places: Sequence[int], found: Sequence[Reply]) -> None:
    for i, reply in zip(places, found, strict=True):
        replies[i] = reply


def _destinations(commands: Iterable[Command], known: SlotMap) -> Iterable[tuple[int, Node]]:
    """Yield the number of each command and the node it goes to; what nobody serves goes nowhere."""
    for i, command in enumerate(commands):
        where = goal(command)
        if where is Goal.ALL:
            yield from ((i, node) for node in known.masters)
        elif where is Goal.ANY:
            yield i, known.masters[0]
        elif not isinstance(where, Goal) and (node := known.owner(where)) is not None:
            yield i, node


def _joined(reply: OfNodes, known: SlotMap) -> Reply:
    """Return the first PONG for all; INFO stays one for each node."""
    said = [found for found in reply.values() if not isinstance(found, Away)]
    if said and said[0] == b"PONG":
        return said[0]
    if known.unserved:
        reply[UNSERVED] = away(unserved(known))
    return reply


def _why_not(reply: Reply, node: Node) -> str:
    if isinstance(reply, Away):
        return reply.why
    if isinstance(reply, Refused):
        return f"Redis at {node} does not say who has which slot: {reply}"
    return f"Redis at {node} is in no cluster yet"
