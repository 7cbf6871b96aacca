"""
A FastStream subscriber in a consumer group, named after its process as people do.

`work` makes it the worker, as `faststream run` would; else it is the producer. With `CLAIM_AFTER_MS` a
second subscriber of the group takes over what was left unacknowledged for so long; `LAST_ID` is FastStream's own.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys

from faststream import FastStream
from faststream.redis import RedisBroker, StreamSub

from tests.clients.apps.orders import carry_out, obey

NAME = f"{socket.gethostname()}-{os.getpid()}"
broker = RedisBroker(os.environ["REDIS_URL"])
app = FastStream(broker)


@broker.subscriber(
    stream=StreamSub("orders", group="billing", consumer=NAME, last_id=os.environ.get("LAST_ID"))
)
async def order(what: str) -> None:
    """Carry out one order."""
    await carry_out(what)


if "CLAIM_AFTER_MS" in os.environ:
    idle = int(os.environ["CLAIM_AFTER_MS"])
    again = StreamSub("orders", group="billing", consumer=f"{NAME}-again", min_idle_time=idle)

    @broker.subscriber(stream=again)
    async def order_again(what: str) -> None:
        """Carry out an order that somebody left behind."""
        await carry_out(what)


async def main() -> None:
    """Produce."""
    await broker.connect()

    async def put(what: str) -> None:
        await broker.publish(what, stream="orders")

    await obey(put)
    await broker.stop()


if __name__ == "__main__":
    asyncio.run(app.run() if "work" in sys.argv else main())
