"""
The wire: commands go out in batches, raw replies come back in order.

redis-py spends more on a reply than Redis does on the command, so nothing of it is on this way:
a batch is packed once and reused at every tick, and hiredis turns what comes back into replies,
chunk by chunk (docs/benchmarks.md has the figures). A wire connects when it is asked, and anew
after a failure; it never retries: the next tick does.
"""

from __future__ import annotations

from watchdog.redisurl import Deployment, parse_redis_url
from watchdog.wire.batch import Batch, Wire
from watchdog.wire.cluster import ClusterWire
from watchdog.wire.sentinel import SentinelWire
from watchdog.wire.single import NodeWire

__all__ = ["Batch", "Wire", "open_wire"]


def open_wire(url: str, timeout: float = 3.0) -> Wire:
    """Return a wire to what *url* names; *timeout* seconds without a sign of it count as no answer."""
    server = parse_redis_url(url)
    if server.deployment is Deployment.SENTINEL:
        return SentinelWire(server, timeout)
    if server.deployment is Deployment.CLUSTER:
        return ClusterWire(server, timeout)
    return NodeWire(server, server.nodes[0], timeout)
