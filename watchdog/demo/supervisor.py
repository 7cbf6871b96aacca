"""
A very small systemd: starts the services of the reference pipeline and keeps them running.

It restarts what ends, for as long as it takes, and says about each unit what `systemctl show` and the journal
would. Its journal is the file `journal.log`; a service's stderr goes into the service's own log.
"""

import asyncio
import contextlib
import os
import shlex
import signal
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import watchdog
from watchdog.clock import utc_now
from watchdog.demo.server import HOST, free_port, tethered

TERM_SECONDS = 1.5
READY_SECONDS = 15.0
EXEC_FAILED = 203
SYSTEMCTL = """#!/bin/sh
# Answers `systemctl show … -- UNIT…` for the units of the demo's supervisor, which stands in for systemd.
while [ "$1" != -- ]; do shift; done
shift
for unit; do
  cat "$(dirname "$0")/../units/$unit" 2>/dev/null || \\
    printf 'Id=%s\\nLoadState=not-found\\nActiveState=inactive\\n' "$unit"
  echo
done
"""
JOURNALCTL = """#!/bin/sh
# Answers `journalctl … -u UNIT` from the journal of the demo's supervisor, one entry of JSON a line.
for unit; do :; done
grep -F " $unit: " "$(dirname "$0")/../journal.log" | tail -n 10 |
  sed -e 's/\\\\/\\\\\\\\/g' -e 's/"/\\\\"/g' \\
  -e 's/^.*systemd\\[1\\]: \\(.*\\)$/{"__CURSOR":"0","__REALTIME_TIMESTAMP":"0","MESSAGE":"\\1"}/'
"""


class SupervisorError(RuntimeError):
    """A unit is not known, or did not come up."""


@dataclass(frozen=True)
class Unit:
    """What is to be run, and where its files are."""

    name: str
    service: str
    argv: Sequence[str]
    env_file: Path
    log_file: Path
    port: int
    after: Sequence[str] = ()  # services that have to answer before this one is started


@dataclass
class _Running:
    """What became of a unit so far."""

    unit: Unit
    state: tuple[str, str] = ("inactive", "dead")
    result: str = "success"
    exit_status: int = 0
    restarts: int = 0
    entered: str = ""
    invocation: str = ""
    process: asyncio.subprocess.Process | None = None
    keeper: asyncio.Task[None] | None = None


@dataclass
class Supervisor:
    """Keeps *units* running in *directory*; units are called by their own name or by their service's."""

    directory: Path
    units: Sequence[Unit]
    restart_seconds: float = 1.0
    _running: dict[str, _Running] = field(init=False)

    def __post_init__(self) -> None:
        self._running = {unit.name: _Running(unit) for unit in self.units}

    @property
    def journal(self) -> Path:
        """The file that holds what systemd's journal would."""
        return self.directory / "journal.log"

    @property
    def logs(self) -> Mapping[str, Path]:
        """The log file of each service."""
        return {unit.service: unit.log_file for unit in self.units}

    @property
    def ports(self) -> Mapping[str, int]:
        """The port on which each service answers `/health`."""
        return {unit.service: unit.port for unit in self.units}

    @property
    def env_files(self) -> Mapping[str, Path]:
        """The env file of each service."""
        return {unit.service: unit.env_file for unit in self.units}

    @property
    def scripts(self) -> Mapping[str, Path]:
        """The file that is executed to run each service."""
        return {unit.service: Path(unit.argv[0]) for unit in self.units}

    async def start(self) -> None:
        """Start every unit, and return once each answers on its port."""
        await asyncio.gather(*(self.start_unit(unit.name) for unit in self.units))

    async def stop(self) -> None:
        """End every unit within two seconds."""
        await asyncio.gather(*(self.stop_unit(unit.name) for unit in self.units))

    async def start_unit(self, unit: str) -> None:
        """Start *unit* once those before it answer, and return once it does itself."""
        running = self._find(unit)
        for service in running.unit.after:
            await self._answering(self._find(service))
        if running.keeper is None:
            running.restarts = 0
            running.keeper = asyncio.create_task(self._keep(running))
        await self._answering(running)

    async def stop_unit(self, unit: str) -> None:
        """End *unit* and leave it stopped."""
        running = self._find(unit)
        if running.keeper is None:
            return
        running.keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running.keeper
        running.keeper = None
        running.state = ("inactive", "dead")
        self._publish(running)
        self._write(f"Stopped {running.unit.name}.")

    async def restart(self, unit: str) -> None:
        """Stop and start *unit*; as under systemd its restart counter begins again."""
        await self.stop_unit(unit)
        await self.start_unit(unit)

    async def kill(self, unit: str) -> None:
        """Kill the process of *unit*, and return once it is gone; the unit will be restarted."""
        process = self._find(unit).process
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    async def set_setting(self, service: str, key: str, value: str) -> None:
        """Write *key* into the env file of *service* and restart it."""
        path = self._find(service).unit.env_file
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if line.partition("=")[0].strip() != key]
        path.write_text("".join(f"{line}\n" for line in [*kept, f"{key}={value}"]), encoding="utf-8")
        await self.restart(service)

    def unit_state(self, unit: str) -> dict[str, str]:
        """Return what `systemctl show` would say about *unit*."""
        running = self._find(unit)
        active, sub = running.state
        script = running.unit.argv[0]
        return {
            "Id": running.unit.name,
            "LoadState": "loaded",
            "ActiveState": active,
            "SubState": sub,
            "Result": running.result,
            "ExecMainStatus": str(running.exit_status),
            "ExecStart": f"{{ path={script} ; argv[]={script} ; ignore_errors=no"
            f" ; status={running.exit_status} }}",
            "NRestarts": str(running.restarts),
            "ActiveEnterTimestamp": running.entered,
            "UnitFileState": "enabled",
            "InvocationID": running.invocation,
        }

    def _publish(self, running: _Running) -> None:
        """Keep what `tools/systemctl` prints about the unit up to date, all of it at once."""
        path = self.directory / "units" / running.unit.name
        shown = self.unit_state(running.unit.name)
        fresh = path.with_suffix(".new")
        fresh.write_text("".join(f"{name}={text}\n" for name, text in shown.items()), encoding="utf-8")
        fresh.replace(path)

    def _find(self, name: str) -> _Running:
        for running in self._running.values():
            if name in {running.unit.name, running.unit.service}:
                return running
        raise SupervisorError(f"no unit {name} (there are: {', '.join(self._running)})")

    async def _keep(self, running: _Running) -> None:
        """Run the unit again and again; a cancellation ends the process and then the loop."""
        name = running.unit.name
        while True:
            running.process = await self._spawn(running.unit)
            running.state = ("active", "running")
            running.result, running.exit_status = "success", 0
            running.invocation = uuid.uuid4().hex
            running.entered = f"{utc_now():%a %Y-%m-%d %H:%M:%S} UTC"
            self._publish(running)
            self._write(f"Started {name}.")
            try:
                status = await running.process.wait()
            except asyncio.CancelledError:
                await _end(running.process)
                raise
            running.state = ("activating", "auto-restart")
            self._note_exit(running, status)
            self._publish(running)
            await asyncio.sleep(self.restart_seconds)
            running.restarts += 1
            self._write(f"{name}: Scheduled restart job, restart counter is at {running.restarts}.")

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

    def _note_exit(self, running: _Running, status: int) -> None:
        name = running.unit.name
        if status < 0:
            running.result, running.exit_status = "signal", -status
            what = f"code=killed, status={-status}/{signal.Signals(-status).name.removeprefix('SIG')}"
        else:
            running.result, running.exit_status = ("exit-code" if status else "success"), status
            meaning = {0: "SUCCESS", 1: "FAILURE", EXEC_FAILED: "EXEC"}.get(status, "n/a")
            what = f"code=exited, status={status}/{meaning}"
        if status == EXEC_FAILED:
            self._write(f"{name}: Failed at step EXEC spawning {running.unit.argv[0]}: Permission denied")
        self._write(f"{name}: Main process exited, {what}")
        if status:
            self._write(f"{name}: Failed with result '{running.result}'.")

    async def _answering(self, running: _Running) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, running.unit.port)
                writer.close()
                return
            await asyncio.sleep(0.02)
        raise SupervisorError(f"{running.unit.name} does not answer; its log: {running.unit.log_file}")

    def _write(self, message: str) -> None:
        with self.journal.open("a", encoding="utf-8") as journal:
            journal.write(f"{utc_now():%b %d %H:%M:%S} host systemd[1]: {message}\n")


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


def build_pipeline(
    directory: Path, redis_url: str, rate: float = 8.0, restart_seconds: float = 1.0
) -> Supervisor:
    """
    Lay out the demo's files in *directory* and return a supervisor for the pipeline, not yet started.

    *rate* is in plans per second; from eight on an order is filled at least every three seconds.
    """
    # The generator comes last: until everybody else works, every intent would be refused.
    others = ("rl_trainer", "rl_feedback", "execution", "apply_layer", "intent_bridge")
    settings: Mapping[str, Mapping[str, str]] = {
        "intents": {"RATE": f"{rate:g}"},
        "intent_bridge": {"INTENT_BRIDGE_SKIP_FLAT_SELL": "true", "INTENT_MAX_AGE_SEC": "600"},
        "apply_layer": {"APPLY_MODE": "testnet", "APPLY_KILL_SWITCH": "false", "K_BLOCK_CRITICAL": "0.80"},
        "execution": {"EXECUTION_PARSE_EVERY_ENTRY": "false"},
    }
    for folder in ("logs", "env", "bin", "tools", "units"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    for name, text in (("systemctl", SYSTEMCTL), ("journalctl", JOURNALCTL)):
        tool = directory / "tools" / name
        tool.write_text(text, encoding="utf-8")
        tool.chmod(0o755)
    (directory / "journal.log").touch()
    return Supervisor(
        directory,
        [
            _lay_out(directory, service, redis_url, settings.get(service, {}), after)
            for service, after in [*((other, ()) for other in others), ("intents", others)]
        ],
        restart_seconds,
    )


def _lay_out(
    directory: Path, service: str, redis_url: str, settings: Mapping[str, str], after: Sequence[str]
) -> Unit:
    env_file = directory / "env" / f"{service}.env"
    env_file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8")
    log_file = directory / "logs" / f"{service}.log"
    log_file.touch()
    port = free_port()
    script = directory / "bin" / service
    # fmt: off
    command = [
        sys.executable, "-m", "watchdog.pipeline", service,
        "--redis", redis_url, "--env", str(env_file), "--log", str(log_file), "--port", str(port),
    ]
    # fmt: on
    script.write_text(f"#!/bin/sh\nexec {shlex.join(command)}\n", encoding="utf-8")
    script.chmod(0o755)
    name = f"quantum-{service.replace('_', '-')}.service"
    return Unit(name, service, [str(script)], env_file, log_file, port, after)
