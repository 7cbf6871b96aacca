"""What a deploy does to a service of the pipeline: a broken version of its code, and the mended one."""

from __future__ import annotations

from watchdog.demo.faults.fault import Deed
from watchdog.demo.stage import Stage


def deployed(service: str, how: str) -> Deed:
    """Return what brings up *service* with code that is broken like that (`pipeline.broken`)."""

    async def deploy(stage: Stage) -> None:
        await stage.units.set_setting(service, "BREAK", how)

    return deploy


def mended(service: str) -> Deed:
    """Return what brings up *service* with its healthy code again."""
    return deployed(service, "")


def restarted(service: str, times: int = 1) -> Deed:
    """Return what restarts *service* so often in a row, and does nothing else."""

    async def restart(stage: Stage) -> None:
        for _ in range(times):
            await stage.units.restart(service)

    return restart
