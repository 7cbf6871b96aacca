"""
A streaQ worker: reads, works, then XACKs and XDELs in one transaction.

Worker: `streaq run tests.clients.apps.with_streaq:worker`; as a program it is the producer.
"""

from __future__ import annotations

import asyncio
import os

from streaq import Worker

from tests.clients.apps.orders import carry_out, obey

# A task that runs is renewed every 0.9 * idle_timeout of *elapsed* time; tests only move the wall clock.
worker = Worker(redis_url=os.environ["REDIS_URL"], idle_timeout=float(os.environ.get("IDLE_TIMEOUT", "60")))


@worker.task
async def order(what: str) -> None:
    """Carry out one order."""
    await carry_out(what)


async def main() -> None:
    """Produce."""

    async def put(what: str) -> None:
        await order.enqueue(what)

    async with worker:
        await obey(put)


if __name__ == "__main__":
    asyncio.run(main())
