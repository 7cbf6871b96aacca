"""What is asked together, and of whom it can be asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import hiredis

from watchdog.signals.base import Command, Reply


class Batch:
    """Commands that are asked together: packed once, asked as often as one likes."""

    __slots__ = ("__weakref__", "commands", "packed")

    def __init__(self, commands: Sequence[Command]) -> None:
        """Pack *commands*."""
        self.commands = tuple(commands)
        self.packed = b"".join(map(hiredis.pack_command, self.commands))  # type: ignore[arg-type]  # its stub is off

    def __len__(self) -> int:
        return len(self.commands)


class Wire(Protocol):
    """
    A way to ask one Redis, however many servers it is made of.

    *place* says where it is, for people; it never holds a secret.
    """

    place: str

    async def ask(self, batch: Batch) -> list[Reply]:
        """
        Return the raw replies to *batch* in order; what Redis refuses is a `Refused`.

        Raise SourceDownError with one sentence when there is no answer to be had. Two batches may
        be under way at the same time; they are answered in the order in which they were asked.
        """
        ...

    async def close(self) -> None:
        """Drop the connection; the next question opens a new one."""
        ...
