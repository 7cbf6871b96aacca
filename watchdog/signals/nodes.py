"""What comes back where Redis is several servers: some of them may be away while others answer."""

from __future__ import annotations

from watchdog.signals.base import Refused, Reply


class Away(Refused):
    """In place of a reply: the one node that has it is away; ``AWAY Redis at …``."""

    __slots__ = ()

    @property
    def why(self) -> str:
        """Return the sentence without the code."""
        return self.partition(" ")[2]


def away(why: str) -> Away:
    """Return what stands for the reply of a node that is away because of *why*."""
    return Away(f"AWAY {why}")


class OfNodes(dict[str, Reply]):
    """The replies of all masters of a cluster to one question, by the node's place."""
