"""
What systemd would know of the pipeline's units, whoever runs them: `systemctl show`, the journal, env files.

The journal is the file `journal.log`; a service's stderr goes into the service's own log.
"""

from __future__ import annotations

import signal
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from watchdog.clock import Clock, utc_now

EXEC_FAILED = 203
OTHERS = ("quantum-ledger-export.service", "quantum-backup.timer")
"""Units beside the pipeline that are watched as well, and that nobody here runs."""
WELL: Mapping[str, str] = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "Result": "success",
    "ExecMainStatus": "0",
    "NRestarts": "0",
    "UnitFileState": "enabled",
}
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


def moment(at: datetime) -> str:
    """Return *at* as systemctl prints it."""
    return f"{at:%a %Y-%m-%d %H:%M:%S} UTC"


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
class Record:
    """What became of a unit so far; *says* is what `systemctl show` says whatever became of it."""

    unit: Unit
    state: tuple[str, str] = ("inactive", "dead")
    result: str = "success"
    exit_status: int = 0
    restarts: int = 0
    entered: str = ""
    invocation: str = ""
    says: Mapping[str, str] = field(default_factory=dict)

    def shown(self) -> dict[str, str]:
        """Return what `systemctl show` says."""
        active, sub = self.state
        script = self.unit.argv[0]
        return {
            "Id": self.unit.name,
            "LoadState": "loaded",
            "ActiveState": active,
            "SubState": sub,
            "Result": self.result,
            "ExecMainStatus": str(self.exit_status),
            "ExecStart": f"{{ path={script} ; argv[]={script} ; ignore_errors=no"
            f" ; status={self.exit_status} }}",
            "NRestarts": str(self.restarts),
            "ActiveEnterTimestamp": self.entered,
            "ExecMainStartTimestamp": self.entered,
            "UnitFileState": "enabled",
            "InvocationID": self.invocation,
            **self.says,
        }


class Keeper(ABC):
    """Keeps *units* running in *directory*; units are called by their own name or by their service's."""

    def __init__(
        self, directory: Path, units: Sequence[Unit], restart_seconds: float = 1.0, clock: Clock = utc_now
    ) -> None:
        self.directory = directory
        self.units = units
        self.restart_seconds = restart_seconds
        self.clock = clock
        self.records = {unit.name: Record(unit) for unit in units}
        for other in OTHERS:
            self.show(other)

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

    @abstractmethod
    async def start(self) -> None:
        """Start every unit, and return once each answers on its port."""

    @abstractmethod
    async def stop(self) -> None:
        """End every unit within two seconds."""

    @abstractmethod
    async def start_unit(self, unit: str) -> None:
        """Start *unit*, and return once it answers."""

    @abstractmethod
    async def stop_unit(self, unit: str) -> None:
        """End *unit* and leave it stopped."""

    @abstractmethod
    async def kill(self, unit: str) -> None:
        """Kill the process of *unit*, and return once it is gone; the unit will be restarted."""

    async def restart(self, unit: str) -> None:
        """Stop and start *unit*; as under systemd its restart counter begins again."""
        await self.stop_unit(unit)
        await self.start_unit(unit)

    def write_setting(self, service: str, key: str, value: str) -> None:
        """Write *key* into the env file of *service*, which goes on as it is."""
        path = self.find(service).unit.env_file
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if line.partition("=")[0].strip() != key]
        path.write_text("".join(f"{line}\n" for line in [*kept, f"{key}={value}"]), encoding="utf-8")

    async def set_setting(self, service: str, key: str, value: str) -> None:
        """Write *key* into the env file of *service* and restart it."""
        self.write_setting(service, key, value)
        await self.restart(service)

    def unit_state(self, unit: str) -> dict[str, str]:
        """Return what `systemctl show` would say about *unit*."""
        return self.find(unit).shown()

    def says(self, unit: str, **properties: str) -> None:
        """Have `systemctl show` say *properties* of *unit*, as recorded on a real one, or the truth again."""
        record = self.find(unit)
        record.says = properties
        self.publish(record)

    def show(self, unit: str, **properties: str) -> None:
        """Have `systemctl show` say *properties* of a unit nobody here runs; it starts now, else well."""
        now = moment(self.clock())
        started = {
            "ActiveEnterTimestamp": now,
            "ExecMainStartTimestamp": now,
            "InvocationID": uuid.uuid4().hex,
        }
        files = {"EnvironmentFiles": f"{self.directory / 'env' / 'ledger_export.env'} (ignore_errors=no)"}
        self._publish(unit, {"Id": unit, **WELL, **started, **files, **properties})

    def find(self, name: str) -> Record:
        """Return the record of the unit or service *name*; SupervisorError if there is none."""
        for record in self.records.values():
            if name in {record.unit.name, record.unit.service}:
                return record
        raise SupervisorError(f"no unit {name} (there are: {', '.join(self.records)})")

    def publish(self, record: Record) -> None:
        """Keep what `tools/systemctl` prints about the unit up to date."""
        self._publish(record.unit.name, record.shown())

    def _publish(self, unit: str, shown: Mapping[str, str]) -> None:
        """Write what is shown, all of it at once."""
        path = self.directory / "units" / unit
        fresh = path.with_suffix(".new")
        fresh.write_text("".join(f"{name}={text}\n" for name, text in shown.items()), encoding="utf-8")
        fresh.replace(path)

    def note_start(self, record: Record) -> None:
        """Take down that the unit was started."""
        record.state = ("active", "running")
        record.result, record.exit_status = "success", 0
        record.invocation = uuid.uuid4().hex
        record.entered = moment(self.clock())
        self.publish(record)
        self.write(f"Started {record.unit.name}.")

    def note_exit(self, record: Record, status: int) -> None:
        """Take down that the unit's process ended by itself with *status*, and will be started again."""
        record.state = ("activating", "auto-restart")
        name = record.unit.name
        if status < 0:
            record.result, record.exit_status = "signal", -status
            what = f"code=killed, status={-status}/{signal.Signals(-status).name.removeprefix('SIG')}"
        else:
            record.result, record.exit_status = ("exit-code" if status else "success"), status
            meaning = {0: "SUCCESS", 1: "FAILURE", EXEC_FAILED: "EXEC"}.get(status, "n/a")
            what = f"code=exited, status={status}/{meaning}"
        if status == EXEC_FAILED:
            self.write(f"{name}: Failed at step EXEC spawning {record.unit.argv[0]}: Permission denied")
        self.write(f"{name}: Main process exited, {what}")
        if status:
            self.write(f"{name}: Failed with result '{record.result}'.")
        self.publish(record)

    def note_restart(self, record: Record) -> None:
        """Take down that the unit is about to be started again."""
        record.restarts += 1
        self.write(f"{record.unit.name}: Scheduled restart job, restart counter is at {record.restarts}.")

    def note_stop(self, record: Record) -> None:
        """Take down that somebody stopped the unit."""
        record.state = ("inactive", "dead")
        self.publish(record)
        self.write(f"Stopped {record.unit.name}.")

    def write(self, message: str) -> None:
        """Write *message* into the journal, as systemd does."""
        with self.journal.open("a", encoding="utf-8") as journal:
            journal.write(f"{self.clock():%b %d %H:%M:%S} host systemd[1]: {message}\n")
