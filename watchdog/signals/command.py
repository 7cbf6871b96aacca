"""
`command`: what a check that somebody else wrote says, by the protocol of Nagios' plugins.

The exit status is the verdict: 0 ok, 1 warning, 2 critical. A check that cannot tell (3), does not end in
time or cannot be run at all says nothing of the service: the signal is unknown, for the reason it gives.
"""

from __future__ import annotations

import os
import shlex
import signal as signals
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator, model_validator

from watchdog.errors import CollectError
from watchdog.excerpts import excerpt, lines_of
from watchdog.fields import Duration, SecretText, Text
from watchdog.later import later
from watchdog.logs.redact import MASK
from watchdog.model import Labels, Measure, Reading, SignalKey, Value, seconds, value, word
from watchdog.plugins import STATUSES, UNKNOWN, Said, parse_output
from watchdog.signals.base import LocalSignal, SignalConfig
from watchdog.units import Unit, write_duration

if TYPE_CHECKING:
    from watchdog import programs
    from watchdog.programs import Ended
else:
    programs = later("watchdog.programs")

LONGEST_TEXT = 300
LONGEST_DETAILS = 1_000
SHORTEST_SECRET = 8
"""A value of its environment as long as this is not shown where the command repeats it."""
KEPT = ("PATH", "HOME", "TZ")
"""What a command gets of our own environment: nothing else of it is its business."""
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHELLS = {126: "what it runs is not executable", 127: "what it runs was not found"}
"""What a shell means by its own exit statuses."""


class CommandConfig(SignalConfig):
    """Keys of `command`."""

    run: tuple[Text, ...] = Field(
        min_length=1,
        description="the program and its arguments, as a list",
        examples=[["/usr/lib/nagios/plugins/check_disk", "-w", "10%", "-c", "5%", "-p", "/var"]],
    )
    name: str | None = Field(
        None,
        min_length=1,
        description="what to call it (default: the program's file name)",
        examples=["disk"],
    )
    timeout: Duration = Field(timedelta(seconds=10), description="how long it may take before it is killed")
    env: dict[str, SecretText] = Field(
        default_factory=dict,
        description="its environment, besides PATH, HOME and TZ",
        examples=[{"PGPASSWORD": {"file": "/run/secrets/pg"}}],
    )
    cwd: str | None = Field(None, min_length=1, description="the folder it runs in", examples=["/opt/checks"])
    every: Duration | None = Field(timedelta(seconds=30), description="how often to run it")

    @field_validator("run", mode="before")
    @classmethod
    def _is_no_line(cls, raw: object) -> object:
        if not isinstance(raw, str):
            return raw
        try:
            parts = shlex.split(raw)
        except ValueError:
            parts = [raw]
        if len(parts) == 1:
            return parts
        raise ValueError(f"there is no shell to take a line apart (write run: [{parts[0]}, …], part by part)")

    @field_validator("run")
    @classmethod
    def _names_a_program(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        if not argv[0].strip():
            raise ValueError("the program has no name (write run: [/usr/lib/nagios/plugins/check_load, …])")
        if any("\0" in part for part in argv):
            raise ValueError("an argument cannot hold a NUL sign (remove it)")
        return argv

    @model_validator(mode="after")
    def _ends_before_the_next(self) -> CommandConfig:
        if self.every is not None and self.timeout > self.every:
            needed = write_duration(self.timeout)
            raise ValueError(
                f"it may take longer than the time from one run to the next (write every: {needed})"
            )
        return self

    def labels(self) -> Labels:
        """Return its name; arguments may hold secrets."""
        return Labels(command=self.name or PurePath(self.run[0]).name)

    def offered(self) -> Mapping[str, Measure]:
        """Return all measures."""
        return Command.MEASURES

    def environment(self) -> dict[str, str]:
        """Return what it is run with; figures are to be written with a point."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        own = {name: secret.get_secret_value() for name, secret in self.env.items()}
        return {"PATH": DEFAULT_PATH, "LC_ALL": "C", **kept, **own}


class Command(LocalSignal[CommandConfig]):
    """Runs a check with the interface of Nagios' plugins, and takes its word for it."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "status": word("What it says; a check that cannot tell is an unknown signal", *STATUSES),
        "took": seconds("Time it took"),
        "perf.*": value("Figure of its performance data, in seconds, bytes or as a share", Unit.ANY),
    }
    Config = CommandConfig

    def __init__(self, key: SignalKey, config: CommandConfig, keep: timedelta) -> None:
        super().__init__(key, config, keep)
        self._program = programs.Program(config.run, config.environment(), config.cwd)

    def look_here(self, now: datetime) -> Reading:
        """Run it once; raise CollectError with its own words if it cannot tell."""
        ended = self._program.run(self.config.timeout)
        said = parse_output(ended.out)
        if ended.status not in range(len(STATUSES)):
            raise CollectError(excerpt(self._kept_back(why_unknown(ended, said)), LONGEST_TEXT))
        values: dict[str, Value] = {"status": STATUSES[ended.status], "took": ended.took}
        values |= {f"perf.{name}": figure for name, figure in said.figures.items()}
        return Reading(self.key, now, values, evidence=self._evidence(ended, said))

    def _evidence(self, ended: Ended, said: Said) -> dict[str, object]:
        shown = {
            "text": excerpt(self._kept_back(said.text or last_line(ended.err)), LONGEST_TEXT),
            "details": lines_of(self._kept_back(said.details), LONGEST_DETAILS),
        }
        return {"exit_status": ended.status, **{name: text for name, text in shown.items() if text}}

    def _kept_back(self, text: str) -> str:
        """Return *text* without what the command was told in confidence."""
        for secret in self.config.env.values():
            told = secret.get_secret_value()
            text = text.replace(told, MASK) if len(told) >= SHORTEST_SECRET else text
        return text


def why_unknown(ended: Ended, said: Said) -> str:
    """Say in one sentence why a run says nothing of the service."""
    text = said.text or last_line(ended.err)
    if ended.status == UNKNOWN:
        return text or "it says UNKNOWN, and not why"
    return f"{status_name(ended.status)}{f': {text}' if text else ''}"


def status_name(status: int) -> str:
    """Say what an exit status means that is none of a plugin's."""
    if status < 0:
        return f"it was ended by {_signal(-status)}"
    if status in SHELLS:
        return f"exit status {status}: {SHELLS[status]}"
    if status - 128 in set(signals.Signals):
        return f"exit status {status}: what it runs was ended by {_signal(status - 128)}"
    return f"exit status {status} is none of 0, 1, 2 and 3"


def _signal(number: int) -> str:
    return signals.Signals(number).name if number in set(signals.Signals) else f"signal {number}"


def last_line(text: str) -> str:
    """Return the last line of *text* that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
