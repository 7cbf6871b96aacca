"""Runs faults side by side, each in a process of its own: on one that ends badly nothing else depends."""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tests.incident.lockstep import Past
from tests.incident.trial import Outcome, broken, healthy
from watchdog.demo.faults import FAULTS
from watchdog.demo.faults.fault import Alarm
from watchdog.terminal import quiet_logs

TWIN_AT_LEAST = timedelta(minutes=3)


@dataclass
class Result:
    """What became of a fault and of its twin; the twin's is what was said although it should not have been."""

    outcome: Outcome
    twin: dict[Alarm, str] | None = None
    trouble: str = field(default="")

    @property
    def ok(self) -> bool:
        """Say whether all was as it should be."""
        return self.outcome.ok and not self.twin and not self.trouble


def run(fault: str, past: Past, *, twin: bool) -> Result:
    """Run one fault, and its twin if it has one; whatever goes wrong is told in the result."""
    quiet_logs()
    row = FAULTS[fault]
    with tempfile.TemporaryDirectory(prefix=f"incident-{fault}-") as name:
        directory = Path(name)
        try:
            result = Result(asyncio.run(broken(row, directory / "broken", past)))
            if twin and row.twin is not None:
                span = max(TWIN_AT_LEAST, row.window)
                said = asyncio.run(healthy(row.twin, directory / "twin", past, span))
                result.twin = {alarm: fired.summary for alarm, fired in said.items()}
        except Exception as exc:  # noqa: BLE001 - one row must not end all others
            return Result(Outcome(fault, trouble=f"{type(exc).__name__}: {exc}"[:300]))
        return result


def run_all(faults: Sequence[str], past: Past, *, twins: bool, jobs: int) -> Iterator[Result]:
    """Run *faults* side by side and yield what became of each as it ends."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=1) as pool:
        for done in as_completed([pool.submit(run, fault, past, twin=twins) for fault in faults]):
            yield done.result()
