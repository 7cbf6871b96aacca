"""
`settings`: whether env files say what they have to say, and whether the process goes by them.

The files are read as systemd reads an EnvironmentFile, so what is judged is what the service gets, with
the comment that somebody put behind a value as part of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from watchdog.errors import CollectError
from watchdog.fields import one_or_many
from watchdog.later import later
from watchdog.model import Labels, Measure, Reading, SignalKey, Value, seconds, value
from watchdog.settings.banners import Banner
from watchdog.settings.requirements import (
    Expectations,
    Found,
    Template,
    Told,
    contradicted,
    differences,
    of_others,
    violated,
)
from watchdog.signals.base import LocalSignal, SignalConfig
from watchdog.units import rfc3339

if TYPE_CHECKING:
    import hashlib
    import secrets

    from watchdog.settings import banners, uptake
    from watchdog.settings import files as disk
    from watchdog.settings.files import EnvFile
    from watchdog.systemctl import environment
    from watchdog.systemctl.environment import UnitEnvironment
else:
    hashlib, secrets = later("hashlib"), later("secrets")
    banners, disk, uptake = (later(f"watchdog.settings.{name}") for name in ("banners", "files", "uptake"))
    environment = later("watchdog.systemctl.environment")

ASK_SYSTEMD_EVERY = timedelta(seconds=30)
MOST_TOLD = 20
"""So many sentences of each kind are evidence; the measure has the true number."""


def _one_banner(raw: object) -> object:
    return [raw] if isinstance(raw, dict) else raw


class SettingsConfig(Expectations, SignalConfig):
    """Keys of `settings`."""

    file: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(one_or_many)] = Field(
        description="the env file, or several in order: the last that sets a key counts",
        examples=["/etc/quantum/execution.env"],
    )
    unit: str | None = Field(
        None,
        pattern=r"^[\w:.@\\-]+$",
        description="the service that gets them, as systemctl names it",
        examples=["quantum-execution.service"],
    )
    user: bool = Field(False, description="ask the user's own systemd for the unit, not the machine's")
    read_by: str | None = Field(
        None, min_length=1, description="the user who must be able to read the file", examples=["quantum"]
    )
    effective: Annotated[tuple[Banner, ...], BeforeValidator(_one_banner)] = Field(
        (),
        description="where the process says what it uses: `{log: PATH, pattern: REGEX}`",
        examples=[{"log": "/var/log/quantum/execution.log", "pattern": r"mode=(?P<APPLY_MODE>\w+)"}],
    )
    baseline: str | None = Field(
        None,
        min_length=1,
        description="an accepted env file to compare with",
        examples=["/etc/watchdog/execution.env.accepted"],
    )

    @model_validator(mode="after")
    def _names_a_file(self) -> SettingsConfig:
        if not self.file:
            raise ValueError("there is no file to look at (give the path of an env file)")
        if self.user and self.unit is None:
            raise ValueError("user is for a unit of the user's own systemd (remove it, or name the unit)")
        return self

    def labels(self) -> Labels:
        """Return the file's path; several in their order."""
        return Labels(path=" ".join(self.file))

    def offered(self) -> Mapping[str, Measure]:
        """Return all measures that something is declared for."""
        absent = set() if self.baseline else {"changed"}
        absent |= set() if self.unit else {"stale"}
        absent |= set() if self.effective else {"disagreeing"}
        return {name: found for name, found in Settings.MEASURES.items() if name not in absent}


@dataclass(slots=True)
class _Report:
    """What one look has found so far."""

    values: dict[str, Value] = field(default_factory=dict)
    evidence: dict[str, object] = field(default_factory=dict)

    def tell(self, measure: str, sentences: list[str]) -> None:
        """Give *measure* the number of *sentences*, and the first of these as evidence."""
        self.values[measure] = float(len(sentences))
        if sentences:
            left = len(sentences) - MOST_TOLD
            more = [f"and {left} more"] if left > 0 else []
            self.evidence[measure] = [*sentences[:MOST_TOLD], *more]


class Settings(LocalSignal[SettingsConfig]):
    """Tells which settings are not what they have to be, who says so, and what the process goes by."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "violations": value("Settings that are not as required"),
        "warnings": value("Lines and permissions that somebody hardly meant"),
        "changed": value("Settings that differ from the baseline"),
        "disagreeing": value("Settings of which the process says otherwise than the file"),
        "stale": seconds(
            "Time since a change that the process, started before, does not know; else 0", grows=True
        ),
        "age": seconds("Time since the file was last written", grows=True),
    }
    Config = SettingsConfig

    def __init__(self, key: SignalKey, config: SettingsConfig, keep: timedelta) -> None:
        super().__init__(key, config, keep)
        self._shelf = disk.Shelf()
        self._banners = [banners.BannerReader(banner) for banner in config.effective]
        self._uptake = uptake.Uptake(secrets.token_hex(8))
        self._unit: UnitEnvironment | None = None
        self._trouble = ""
        self._asked: tuple[datetime, tuple[object, ...]] | None = None
        self._compared: tuple[tuple[object, ...], list[str]] | None = None

    def memory(self) -> Mapping[str, Any]:
        """Return which contents were there since when, and what the process said of itself."""
        return {**self._uptake.memory(), "said": [dict(banner.memory) for banner in self._banners]}

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Take back what an earlier process knew."""
        self._uptake.remember(memory)
        for banner, said in zip(self._banners, memory.get("said", ()), strict=False):
            banner.remember(said)

    def look_here(self, now: datetime) -> Reading:
        """Read the files, and whatever they are to be compared with."""
        files = self._shelf.read_all(self.config.file)
        if not files:
            raise CollectError(f"there is none of {' '.join(self.config.file)}")
        report = _Report()
        unit = self._ask(now, files, report)
        violations: list[str] = []
        warnings = [warning for file in files for warning in disk.warnings_of(file)]
        own = disk.merged(files)
        effective = own if unit is None else self._effective(unit, files, own, warnings)
        violations += self._judge(effective, now)
        violations += [
            s
            for s in (disk.unreadable_for(user, f) for user in self._readers(unit, files) for f in files)
            if s
        ]
        violations += self._listen(effective, report)
        report.tell("violations", violations)
        report.tell("warnings", warnings)
        if self.config.baseline is not None:
            self._compare(self.config.baseline, files, own, report)
        written = max(file.written for file in files)
        if unit is not None:
            self._age_of_the_change(unit, files, own, now, report)
        report.values["age"] = max(0.0, now.timestamp() - written)
        if report.evidence:
            report.evidence["files"] = [disk.described(file) for file in files]
        values = {name: report.values[name] for name in self.config.offered() if name in report.values}
        return Reading(self.key, now, values, evidence=report.evidence)

    # ---- what it is judged by ------------------------------------------------------------------------

    def _judge(self, found: Found, now: datetime) -> Iterator[str]:
        config = self.config
        named: frozenset[str] = frozenset()
        if isinstance(config.known, Template):
            named = disk.known_keys(self._shelf.read(config.known.file))
        others = {
            path: disk.merged(self._shelf.read_all([path])) for rule in config.agree for path in rule.files
        }
        known = config.keys_known(named) if config.known is not None else None
        for violation in violated(config, found, of_others(config, others), known, now.date()):
            yield violation.sentence

    def _compare(self, baseline: str, files: list[EnvFile], own: Found, report: _Report) -> None:
        try:
            accepted = self._shelf.read_all([baseline])
        except CollectError as exc:
            report.values["changed"], report.evidence["baseline"] = None, str(exc)
            return
        stamps = tuple(file.stamp for file in (*accepted, *files))
        if self._compared is None or self._compared[0] != stamps:
            was = {key: told.value for key, told in disk.merged(accepted).items()}
            self._compared = stamps, list(differences(was, own))
        report.tell("changed", self._compared[1])

    # ---- what the process goes by --------------------------------------------------------------------

    def _ask(self, now: datetime, files: list[EnvFile], report: _Report) -> UnitEnvironment | None:
        """Return what systemd says of the unit, asked anew when a file changed and now and then."""
        if self.config.unit is None:
            return None
        stamps = tuple(file.stamp for file in files)
        if self._asked is None or now - self._asked[0] >= ASK_SYSTEMD_EVERY or stamps != self._asked[1]:
            self._asked, self._trouble = (now, stamps), ""
            try:
                self._unit = environment.ask(self.config.unit, user=self.config.user)
            except CollectError as exc:
                self._unit, self._trouble = None, str(exc)
        if self._trouble:
            report.values["stale"], report.evidence["unit"] = None, self._trouble
        return self._unit

    def _effective(
        self, unit: UnitEnvironment, files: list[EnvFile], own: Found, warnings: list[str]
    ) -> Found:
        """Return what the unit's process gets, if it gets *files* at all: drop-ins and later files count."""
        read = {file.path for file in self._shelf.read_all(unit.files)}
        missing = [file.path for file in files if file.path not in read]
        if missing:
            names = ", ".join(name.removeprefix("-") for name in unit.files) or "none"
            warnings += [
                f"{unit.name} does not read {path} (its EnvironmentFile: {names})" for path in missing
            ]
            return own
        return disk.handed(unit, self._shelf)

    def _readers(self, unit: UnitEnvironment | None, files: list[EnvFile]) -> set[str]:
        """
        Return the users that must be able to read the files.

        The machine's systemd reads an EnvironmentFile as root; only what a unit does not get that way
        its own user has to read.
        """
        readers = {self.config.read_by} if self.config.read_by else set()
        if unit is not None and unit.user and not self.config.user:
            read = {file.path for file in self._shelf.read_all(unit.files)}
            if not all(file.path in read for file in files):
                readers.add(unit.user)
        return readers

    def _listen(self, effective: Found, report: _Report) -> list[str]:
        """Return what the process says otherwise than the files; without its word that is unknown."""
        if not self._banners:
            return []
        said: dict[str, Told] = {}
        silent = []
        for reader in self._banners:
            try:
                found = reader.look()
            except CollectError as exc:
                silent.append(str(exc))
                continue
            said |= found or {}
            if found is None:
                silent.append(f"no line of {reader.banner.log} fits {reader.banner.pattern}")
        wrong = [violation.sentence for violation in contradicted(said, effective)]
        report.values["disagreeing"] = None if silent and not wrong else float(len(wrong))
        report.evidence |= {"effective": silent} if silent else {}
        return wrong

    def _age_of_the_change(
        self, unit: UnitEnvironment, files: list[EnvFile], own: Found, now: datetime, report: _Report
    ) -> None:
        """Tell for how long the process has not known what the files say."""
        written = max(file.written for file in files)
        started = unit.started.timestamp() if unit.started is not None else None
        contents = _hash(own, self._uptake.salt)
        stale = report.values["stale"] = self._uptake.stale(contents, written, started, now.timestamp())
        if stale and unit.started is not None:
            when = f"{unit.name} started at {rfc3339(unit.started)}"
            report.evidence["stale"] = f"{when}, before the file was changed: systemctl restart {unit.name}"


def _hash(found: Found, salt: str) -> str:
    digest = hashlib.blake2b(key=salt.encode(), digest_size=16)
    for key in sorted(found):
        digest.update(f"{key}={found[key].value}\0".encode())
    return digest.hexdigest()
