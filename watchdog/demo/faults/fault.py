"""What a fault is: a break, the alerts it deserves, and its healthy twin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from watchdog.demo.stage import Stage

Alarm = tuple[str, str]
"""An alert by its name and its service."""
Deed = Callable[[Stage], Awaitable[None]]
AT_ONCE = timedelta(0)
LEEWAY = timedelta(seconds=10)
"""How long after its window an alert may be told: the poll of 5 s, and as much again."""


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One way to stop working: a row of the incident library, called by its id.

    The first of *expected* names it: under the rules as they are built in it must have been told
    *window* + 10 s after the break (AT_ONCE: what is visible at once). The others must come as well
    while one waits; *possible* are consequences that may be seen too. Without anything expected it
    is something that must not alert, watched for as long as *window*. What no alert can say but a
    command does, *found_by* tells: it returns the sentence that names the fault, empty if there is
    none. *twin* is what looks alike and is healthy; *repairs* mends what *breaks* broke.
    """

    id: str
    title: str
    breaks: Deed
    expected: tuple[Alarm, ...] = ()
    window: timedelta = AT_ONCE
    possible: tuple[Alarm, ...] = ()
    twin: Deed | None = None
    twin_title: str = ""
    repairs: Deed | None = None
    found_by: Callable[[Stage], Awaitable[str]] | None = None
    note: str = ""
    """What one has to know of it, e.g. which declaration tells it from healthy operation."""
