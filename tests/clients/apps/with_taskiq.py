"""
A taskiq broker on a stream, with the library's defaults for everything that has one.

Worker: `taskiq worker tests.clients.apps.with_taskiq:broker`; as a program it is the producer.
"""

from __future__ import annotations

import asyncio
import os

from taskiq_redis import RedisStreamBroker

from tests.clients.apps.orders import carry_out, obey

broker = RedisStreamBroker(os.environ["REDIS_URL"])


@broker.task("order")
async def order(what: str) -> None:
    """Carry out one order."""
    await carry_out(what)


async def main() -> None:
    """Produce."""
    await broker.startup()
    await obey(order.kiq)
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
