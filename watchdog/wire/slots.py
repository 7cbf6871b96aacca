"""Which node of a cluster has which key, and to whom each command of a batch goes."""

from __future__ import annotations

from array import array
from binascii import crc_hqx
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from watchdog.redisurl import Node
from watchdog.signals.base import Command, Reply
from watchdog.signals.replies import text

SLOTS = 16_384
NOBODY = 0xFFFF
KEY_AT = {"XINFO": 2, "EVAL": 3}
"""Where a command has its key, if not right after its name."""


def key_slot(key: bytes) -> int:
    """
    Return the slot of *key*: its CRC16, or that of what stands between its first braces (cluster-spec).

    Our own lines: loading redis-py for its ones would take as much memory as a thousand streams.
    """
    start = key.find(b"{")
    end = key.find(b"}", start + 1)
    if start >= 0 and end > start + 1:
        key = key[start + 1 : end]
    return crc_hqx(key, 0) % SLOTS


class Goal(Enum):
    """Where commands without a key go."""

    ALL = "every master"
    SCAN = "one master after the other"
    ANY = "any node"


KEYLESS = {
    "INFO": Goal.ALL,
    "PING": Goal.ALL,
    "SCAN": Goal.SCAN,
    **dict.fromkeys(("CLUSTER", "COMMAND", "CONFIG", "LATENCY", "ROLE", "SLOWLOG", "TIME"), Goal.ANY),
}


@dataclass(frozen=True, slots=True, eq=False)
class SlotMap:
    """The masters, in the order of their slots, and the number of the one that has each slot."""

    masters: tuple[Node, ...]
    slots: array[int]

    def owner(self, key: str | bytes | int) -> Node | None:
        """Return who has *key*, None where its slot is served by nobody."""
        raw = key if isinstance(key, bytes) else str(key).encode()
        number = self.slots[key_slot(raw)]
        return None if number == NOBODY else self.masters[number]

    @property
    def unserved(self) -> int:
        """Return how many slots nobody serves."""
        return self.slots.count(NOBODY)


def read_slots(reply: Reply, asked: Node) -> SlotMap:
    """Read what *asked* answers to CLUSTER SLOTS; a node without a name is the one that was asked."""
    masters: dict[Node, int] = {}
    slots = array("H", [NOBODY]) * SLOTS
    for first, last, master, *_ in sorted(reply, key=lambda row: int(row[0])):
        host = text(master[0] or b"")
        node = Node(asked.host if host in ("", "?") else host, int(master[1]))
        number = masters.setdefault(node, len(masters))
        slots[first : last + 1] = array("H", [number]) * (last + 1 - first)
    return SlotMap(tuple(masters), slots)


def goal(command: Command) -> Goal | str | bytes | int:
    """Return where *command* goes: to the node of the key that is returned, or to a `Goal`."""
    name = str(command[0]).upper()
    found = KEYLESS.get(name)
    return found if found is not None else command[KEY_AT.get(name, 1)]


def redirected(reply: str) -> Node:
    """Return the node that ``MOVED 3999 host:port`` or ``ASK …`` names."""
    host, _, port = reply.split(" ")[2].rpartition(":")
    return Node(host.strip("[]"), int(port))


def grouped(wanted: Sequence[tuple[int, Node]]) -> dict[Node, list[int]]:
    """Return the numbers that go to each node."""
    groups: dict[Node, list[int]] = {}
    for number, node in wanted:
        groups.setdefault(node, []).append(number)
    return groups
