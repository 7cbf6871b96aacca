"""What the workers of all three libraries are asked to do, and how a producer is told to ask for it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path


async def carry_out(what: str) -> None:
    """Do one order: `work`, `fail`, `hang` for ever, or `crash` the process when first met."""
    if what == "fail":
        raise ValueError("the order makes no sense")
    if what == "hang":
        await asyncio.Event().wait()
    if what == "crash" and not Path("crashed").exists():
        Path("crashed").touch()
        os.kill(os.getpid(), signal.SIGKILL)


async def obey(put: Callable[[str], Awaitable[object]]) -> None:
    """Put what standard input asks for, a line of `WHAT COUNT` at a time, and answer each with a line."""
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        what, count = line.split()
        for _ in range(int(count)):
            await put(what)
        print("put", flush=True)
