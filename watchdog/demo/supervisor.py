"""
A very small systemd: starts the services of the reference pipeline and keeps them running.

It restarts what ends, for as long as it takes.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import watchdog
from watchdog.clock import Clock, utc_now
from watchdog.demo.server import HOST, tethered
from watchdog.demo.units import Keeper, Record, SupervisorError, Unit

TERM_SECONDS = 1.5
READY_SECONDS = 15.0


@dataclass
class _Kept:
    """The process of a unit, and the task that starts it again."""

    process: asyncio.subprocess.Process | None = None
    keeper: asyncio.Task[None] | None = None


class Supervisor(Keeper):
    """Runs each unit as a process of its own."""

    def __init__(
        self, directory: Path, units: Sequence[Unit], restart_seconds: float = 1.0, clock: Clock = utc_now
    ) -> None:
        super().__init__(directory, units, restart_seconds, clock)
        self._kept = {name: _Kept() for name in self.records}

    async def start(self) -> None:
        """Start every unit, and return once each answers on its port."""
        await asyncio.gather(*(self.start_unit(unit.name) for unit in self.units))

    async def stop(self) -> None:
        """End every unit within two seconds."""
        await asyncio.gather(*(self.stop_unit(unit.name) for unit in self.units))

    async def start_unit(self, unit: str) -> None:
        """Start *unit* once those before it answer, and return once it does itself."""
        record = self.find(unit)
        kept = self._kept[record.unit.name]
        for service in record.unit.after:
            await self._answering(self.find(service))
        if kept.keeper is None:
            record.restarts = 0
            kept.keeper = asyncio.create_task(self._keep(record, kept))
        await self._answering(record)

    async def stop_unit(self, unit: str) -> None:
        """End *unit* and leave it stopped."""
        record = self.find(unit)
        kept = self._kept[record.unit.name]
        if kept.keeper is None:
            return
        kept.keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await kept.keeper
        kept.keeper = None
        self.note_stop(record)

    async def kill(self, unit: str) -> None:
        """Kill the process of *unit*, and return once it is gone; the unit will be restarted."""
        process = self._kept[self.find(unit).unit.name].process
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    async def _keep(self, record: Record, kept: _Kept) -> None:
        """Run the unit again and again; a cancellation ends the process and then the loop."""
        while True:
            kept.process = await self._spawn(record.unit)
            self.note_start(record)
            try:
                status = await kept.process.wait()
            except asyncio.CancelledError:
                await _end(kept.process)
                raise
            self.note_exit(record, status)
            await asyncio.sleep(self.restart_seconds)
            self.note_restart(record)

    async def _spawn(self, unit: Unit) -> asyncio.subprocess.Process:
        importable = os.pathsep.join(filter(None, (_package_parent(), os.environ.get("PYTHONPATH"))))
        with unit.log_file.open("ab") as stderr:
            return await asyncio.create_subprocess_exec(
                *tethered(unit.argv),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                env={**os.environ, "PYTHONPATH": importable},
                start_new_session=True,  # a Ctrl-C is ours to hear, not the services'
            )

    async def _answering(self, record: Record) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, record.unit.port)
                writer.close()
                return
            await asyncio.sleep(0.02)
        raise SupervisorError(f"{record.unit.name} does not answer; its log: {record.unit.log_file}")


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), TERM_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _package_parent() -> str:
    """Return the directory from which a child can import what we are."""
    return str(Path(watchdog.__file__).parent.parent)
