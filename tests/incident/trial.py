"""One fault of the library on one world: what was said of it, when, and what should not have been said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from tests.incident.lockstep import STRIDE, Fired, Past, World, world
from watchdog.demo.faults.fault import LEEWAY, Alarm, Deed, Fault

SETTLED = timedelta(minutes=2)
"""So long everything is healthy before the break."""
LONGER = 3 * STRIDE
CLOSELY = timedelta(minutes=5)
"""So long every poll is lived through; then, up to the last minute of a longer window, every third."""
LINGER = timedelta(minutes=1)
"""So long one looks on after the fault was named: what comes then is judged as well."""


@dataclass(frozen=True)
class Said:
    """One alert: its moments in seconds after the break (of a symptom that was held back, no message)."""

    severity: str
    cause: str | None
    fired: float
    told: float | None
    summary: str


@dataclass(frozen=True)
class Outcome:
    """What became of a trial."""

    fault: str
    said: Mapping[Alarm, Said] = field(default_factory=dict)
    found: str = ""  # the sentence of a command, where that is what names it
    missing: tuple[Alarm, ...] = ()
    wrong: tuple[Alarm, ...] = ()
    late: bool = False
    trouble: str = ""

    @property
    def ok(self) -> bool:
        """Say whether it was named in time, and nothing else was said."""
        return not (self.missing or self.wrong or self.late or self.trouble)


async def broken(fault: Fault, directory: Path, past: Past) -> Outcome:
    """Break *fault* on a healthy world and return what is said of it."""
    async with world(directory, past) as found:
        trouble = await _settle(found)
        begin = found.clock.now()
        await fault.breaks(found.stage)
        sentence = await fault.found_by(found.stage) if fault.found_by is not None else ""
        named = fault.expected[:1]
        deadline = begin + fault.window + LEEWAY
        while found.clock.now() + STRIDE <= deadline and not _told(found, named):
            await found.live(stride := _stride(fault, found.at - begin), stride)
        await found.live(LINGER)
        return _outcome(fault, found, begin, sentence, trouble)


async def healthy(deed: Deed, directory: Path, past: Past, span: timedelta) -> Mapping[Alarm, Fired]:
    """Do what looks like a fault and is none, look on for *span*, and return what is said although it should not."""
    async with world(directory, past) as found:
        await _settle(found)
        await deed(found.stage)
        await found.live(span, STRIDE if span <= CLOSELY else LONGER)
        return {alarm: fired for alarm, fired in found.fired.items() if fired.severity != "info"}


def _stride(fault: Fault, gone: timedelta) -> timedelta:
    """Return the next step: a poll, or longer where nothing is to come for a long time."""
    near = bool(fault.expected) and gone > fault.window - timedelta(minutes=1)
    return STRIDE if gone < CLOSELY or near else LONGER


async def _settle(found: World) -> str:
    await found.live(SETTLED, LONGER)
    before = ", ".join(f"{name} of {service}" for name, service in found.fired)
    found.fired.clear()
    found.inbox.arrived.clear()
    return f"not healthy before the break: {before}" if before else ""


def _told(found: World, named: tuple[Alarm, ...]) -> bool:
    return bool(named) and all((*alarm, "firing") in found.inbox.arrived for alarm in named)


def _outcome(fault: Fault, found: World, begin: datetime, sentence: str, trouble: str) -> Outcome:
    said = {alarm: _said(alarm, fired, found, begin) for alarm, fired in found.fired.items()}
    named = fault.expected[:1]
    last = (fault.window + LEEWAY).total_seconds()
    late = any(
        (after := said[alarm].told) is None or round(after, 1) > last for alarm in named if alarm in said
    )
    known = {*fault.expected, *fault.possible}
    return Outcome(
        fault.id,
        said,
        sentence,
        missing=tuple(alarm for alarm in named if alarm not in said),
        wrong=tuple(alarm for alarm in said if alarm not in known),
        late=late,
        trouble=trouble or ("no command names it" if fault.found_by is not None and not sentence else ""),
    )


def _said(alarm: Alarm, fired: Fired, found: World, begin: datetime) -> Said:
    told = found.inbox.arrived.get((*alarm, "firing"))
    return Said(
        fired.severity,
        fired.cause,
        (fired.at - begin).total_seconds(),
        None if told is None else (told - begin).total_seconds(),
        fired.summary,
    )
