"""A systemctl that says what it is told to, and units judged by the built-in rules as the sidecar does it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from watchdog.alerts import Alert
from watchdog.config import parse
from watchdog.fleet import Fleet
from watchdog.history import History
from watchdog.judging import Judge
from watchdog.model import Labels, Reading, SignalKey
from watchdog.signals.unit import Unit, UnitConfig

NOW = datetime(2026, 2, 19, 1, 50, 25, tzinfo=UTC)


class FakeSystemctl:
    """A systemctl on PATH that prints what it is told to, and notes what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.runs('cat "$0.said"')
        journal = folder / "journalctl"
        journal.write_text(
            '#!/bin/sh\necho "$*" >> "$0.asked"\ncat "$0.said" 2>/dev/null; [ ! -f "$0.warned" ] || cat "$0.warned" >&2\n'
        )
        journal.chmod(0o755)

    def runs(self, command: str) -> None:
        """Let it run *command* from now on."""
        script = self.folder / "systemctl"
        script.write_text(f'#!/bin/sh\necho "TZ=$TZ $*" >> "$0.asked"\n{command}\n')
        script.chmod(0o755)

    def says(self, *units: str) -> None:
        """Let it print the properties of each of *units*, one a line; an underscore stands for a blank."""
        blocks = [[p.replace("_", " ") if "=" in p else p for p in unit.split()] for unit in units]
        text = "\n".join("".join(f"{line}\n" for line in lines) for lines in blocks)
        (self.folder / "systemctl.said").write_text(text)

    def prints(self, unit: Mapping[str, str]) -> None:
        """Let it print the properties of one unit."""
        text = "".join(f"{key}={value}\n" for key, value in unit.items())
        (self.folder / "systemctl.said").write_text(text)

    @property
    def asked(self) -> list[str]:
        """Return what it was asked, call by call."""
        return (self.folder / "systemctl.asked").read_text().splitlines()

    def journal(self, *lines: str, warning: str = "") -> None:
        """Let journalctl print entries, written ``priority message``, and say *warning* beside."""
        entries = []
        for number, line in enumerate(lines):
            priority, _, message = line.partition(" ")
            fields = {"__CURSOR": number, "__REALTIME_TIMESTAMP": number, "PRIORITY": priority}
            entries.append(str(fields | {"MESSAGE": message}).replace("'", '"'))
        (self.folder / "journalctl.said").write_text("".join(f"{entry}\n" for entry in entries))
        (self.folder / "journalctl.warned").write_text(warning)

    @property
    def journal_asked(self) -> list[str]:
        """Return what journalctl was asked, call by call."""
        asked = self.folder / "journalctl.asked"
        return asked.read_text().splitlines() if asked.exists() else []


def unit(name: str = "quantum-rl-trainer.service", **keys: object) -> Unit:
    """Return the signal for *name*."""
    config = UnitConfig.model_validate({"name": name, **keys})
    return Unit(SignalKey("rl_trainer", "unit", config.labels()), config, timedelta(hours=1))


class Watched:
    """One unit and the built-in rules, looked at whenever the test says."""

    def __init__(self, name: str, **keys: object) -> None:
        more = "".join(f", {key}: {value}" for key, value in keys.items())
        config = parse(f"services: {{trainer: {{unit: {{name: {name}{more}}}}}}}")
        fleet = Fleet(config)
        self.signal = next(found for found in fleet.signals.values() if isinstance(found, Unit))
        self.judge = Judge(fleet.binding)
        self.history = History(config.keep)
        self.alerts: Mapping[Labels, Alert] = {}
        self.reading: Reading

    def look(self, now: datetime) -> set[str]:
        """Look and judge at *now*; return the names of what fires, critical or not."""
        (self.reading,) = Unit.gather([self.signal], now)
        self.history = self.history.add([self.reading])
        self.alerts = self.judge.judge(self.history, self.alerts, now, frozenset())
        return {a.labels["alertname"] for a in self.alerts.values() if str(a.state) == "firing"}
