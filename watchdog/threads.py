"""Work that blocks, kept off the loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from watchdog.later import later

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = later("asyncio")

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """
    Return what *work* returns, run in a daemon thread of its own.

    Not the loop's executor: a look that hangs for good (a dead network disk) must neither use up
    its threads nor hold up the end of the process.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if not done.done():
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as exc:  # noqa: BLE001 (it is raised where it is awaited)
            error = exc
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, daemon=True, name="look").start()
    return await done
