"""Saying for whom one waits, while one waits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

Told = Callable[[Sequence[str]], None]
"""Who wants to know for whom one still waits."""
EVERY = 0.2


@contextlib.asynccontextmanager
async def telling(whom: Callable[[], Sequence[str]], told: Told | None) -> AsyncIterator[None]:
    """Tell *told*, if somebody wants to know, for *whom* one still waits, again and again until left."""
    if told is None:
        yield
        return

    async def tell() -> None:
        while True:
            await asyncio.sleep(EVERY)
            told(whom())

    task = asyncio.create_task(tell())
    try:
        yield
    finally:
        task.cancel()
