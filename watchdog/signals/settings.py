"""
`settings`: whether an env file says what it has to say.

The file is read as systemd reads an EnvironmentFile, so what is judged is what the service gets, with
the comment that somebody put behind a value as part of it.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from watchdog.errors import CollectError
from watchdog.fields import Scalar, means
from watchdog.model import Labels, Measure, Reading, Value, seconds, value
from watchdog.signals.base import LocalSignal, SignalConfig

LARGEST_BYTES = 1 << 20

_ASSIGNMENT = re.compile(r"[ \t\r\n]*(?:[#;][^\r\n]*|(?P<key>(?:[^\r\n][^=\r\n]*)?)(?P<sign>=?))")
_SINGLE = r"'(?P<single>[^']*)(?:'|\Z)"
_DOUBLE = r'"(?P<double>(?:[^"\\]|\\.)*)(?:"|\\?\Z)'
_QUOTED = re.compile(rf"[ \t]*(?:{_SINGLE}|{_DOUBLE})", re.DOTALL)
_BARE = re.compile(r"[ \t]*(?P<text>(?:[^\\\r\n]|\\.|\\\Z)*)", re.DOTALL)
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"SECRET|TOKEN|PASS|KEY|WEBHOOK|CREDENTIAL", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
MASK = "***"


class Requirement(BaseModel):
    """What one key has to be, why, who wants it, and until when it may be so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: Scalar | None = Field(None, description="the value it must have")
    one_of: tuple[Scalar, ...] | None = Field(None, min_length=1, description="the values it may have")
    pattern: re.Pattern[str] | None = Field(None, description="what its whole value must match")
    range: tuple[float, float] | None = Field(None, description="least and greatest number allowed")
    reason: str = Field("", description="why; part of the alert")
    owner: str = Field("", description="whom to ask before changing it")
    until: date | None = Field(None, description="the last day of a temporary setting; after it, it must go")

    @model_validator(mode="after")
    def _says_one_thing(self) -> Requirement:
        given = [x for x in (self.value, self.one_of, self.pattern, self.range) if x is not None]
        if len(given) != 1:
            raise ValueError("a requirement says one thing (give value, one_of, pattern or range)")
        if self.range is not None and self.range[0] > self.range[1]:
            raise ValueError("range is least, then greatest (swap the two)")
        return self

    def holds(self, found: str) -> bool:
        """Say whether *found* is as required."""
        if self.one_of is not None:
            return any(means(wanted, found) for wanted in self.one_of)
        if self.pattern is not None:
            return self.pattern.fullmatch(found) is not None
        if self.range is not None:
            try:
                return self.range[0] <= float(found) <= self.range[1]
            except ValueError:
                return False
        return self.value is not None and means(self.value, found)

    def wants(self, key: str) -> str:
        """Return what is required, as the end of a sentence that begins with "must"."""
        if self.pattern is not None:
            return f"match {self.pattern.pattern}"
        if self.range is not None:
            return f"lie between {self.range[0]:g} and {self.range[1]:g}"
        allowed = (self.value,) if self.one_of is None else self.one_of
        spelt = (str(x).lower() if isinstance(x, bool) else str(x) or '""' for x in allowed)
        words = [mask(key, text) for text in spelt]
        return f"be {words[0]}" if len(words) == 1 else f"be one of {', '.join(words)}"

    @property
    def because(self) -> str:
        """Return reason and owner, to be put behind a violation."""
        return (f": {self.reason}" if self.reason else "") + (f" (owner: {self.owner})" if self.owner else "")


def _requirement(raw: object) -> object:
    return {"value": raw} if isinstance(raw, Scalar) else raw


class SettingsConfig(SignalConfig):
    """Keys of `settings`."""

    file: str = Field(min_length=1, description="the env file")
    require: dict[str, Annotated[Requirement, BeforeValidator(_requirement)]] = Field(
        default_factory=dict, description="what keys must be: a value, or value, one_of, pattern or range"
    )
    forbid: tuple[str, ...] = Field((), description="KEY that must not be set, or KEY=value it must not have")
    agree: tuple[Annotated[tuple[str, ...], Field(min_length=2)], ...] = Field(
        (), description="keys that must be equal"
    )
    baseline: str | None = Field(None, min_length=1, description="an accepted env file to compare with")

    def labels(self) -> Labels:
        """Return the file's path."""
        return Labels(path=self.file)

    def offered(self) -> Mapping[str, Measure]:
        """Return all measures; `changed` only where there is a baseline."""
        absent = set() if self.baseline else {"changed"}
        return {name: found for name, found in Settings.MEASURES.items() if name not in absent}


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and the line it stands in; the last one of a key counts."""

    value: str
    line: int


class Settings(LocalSignal[SettingsConfig]):
    """Tells which settings are not what they have to be, and who says so."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "violations": value("Settings that are not as required"),
        "changed": value("Settings that differ from the baseline"),
        "age": seconds("Time since the file was last written", grows=True),
    }
    Config = SettingsConfig

    def look_here(self, now: datetime) -> Reading:
        """Read the file, and the baseline if there is one."""
        config = self.config
        text, written = read(config.file)
        found = parse_env(text)
        violations = list(violated(config, found, now.date()))
        values: dict[str, Value] = {
            "violations": float(len(violations)),
            "age": max(0.0, now.timestamp() - written),
        }
        evidence: dict[str, object] = {"violations": violations} if violations else {}
        if config.baseline is not None:
            try:
                changed = list(differences(parse_env(read(config.baseline)[0]), found))
            except CollectError as exc:
                values["changed"], evidence["baseline"] = None, str(exc)
            else:
                values["changed"] = float(len(changed))
                evidence |= {"changed": changed} if changed else {}
        return Reading(self.key, now, values, evidence=evidence)


def read(path: str) -> tuple[str, float]:
    """Return a file's text and when it was written; raise CollectError if systemd could not use it."""
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_BYTES:
            raise CollectError(f"{path} is no env file (not a file at all, or larger than 1 MiB)")
        return Path(path).read_bytes().decode(), status.st_mtime
    except OSError as exc:
        raise CollectError(f"{path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError:
        raise CollectError(f"{path} is not UTF-8, so systemd refuses it as a whole") from None


def parse_env(text: str) -> dict[str, Setting]:
    """Return the settings that systemd (254 or later) reads from *text*; what it skips is skipped."""
    found: dict[str, Setting] = {}
    position, line = 0, 1
    while (match := _ASSIGNMENT.match(text, position)) is not None and match.end() > position:
        key = match["key"] or ""
        line += text.count("\n", position, match.end())
        position = match.end()
        if match["sign"]:
            content, end = _parse_value(text, position)
            if _KEY.fullmatch(key.rstrip()):
                found[key.rstrip()] = Setting(content, line)
            line += text.count("\n", position, end)
            position = end
    return found


def _parse_value(text: str, position: int) -> tuple[str, int]:
    """Return the value that begins at *position*, and where it ends: quoted parts, then a bare rest."""
    parts = []
    while (match := _QUOTED.match(text, position)) is not None:
        plain, escaped = match["single"], match["double"] or ""
        parts.append(re.sub(r'\\(["\\`$\n])', _unescape, escaped) if plain is None else plain)
        position = match.end()
    bare = _BARE.match(text, position)
    assert bare is not None
    kept = bare["text"].rstrip(" \t")
    if len(kept) < len(bare["text"]) and (len(kept) - len(kept.rstrip("\\"))) % 2:
        kept = bare["text"][: len(kept) + 1]  # an escaped blank at the end stays
    parts.append(re.sub(r"(?s)\\(.?)", _unescape, kept))
    return "".join(parts), bare.end()


def _unescape(match: re.Match[str]) -> str:
    return match[1].strip("\r\n")  # an escaped end of line is none at all


def violated(config: SettingsConfig, found: Mapping[str, Setting], today: date) -> Iterator[str]:
    """Yield each violation as one sentence."""
    for key, rule in config.require.items():
        holds = key in found and rule.holds(found[key].value)
        if rule.until is not None and today > rule.until:
            if holds:
                yield f"{describe(key, found)} was to end on {rule.until}{rule.because}"
        elif not holds:
            yield f"{describe(key, found)} must {rule.wants(key)}{rule.because}"
    for entry in config.forbid:
        key, sign, banned = entry.partition("=")
        if key in found and (not sign or means(banned, found[key].value)):
            yield f"{describe(key, found)} is forbidden"
    for keys in config.agree:
        present = [found[key].value for key in keys if key in found]
        if present and (len(present) < len(keys) or not all(means(present[0], x) for x in present)):
            yield f"{' and '.join(describe(key, found) for key in keys)} must be equal"


def describe(key: str, found: Mapping[str, Setting]) -> str:
    """Return how *key* is set and where: ``DRY_RUN=true (line 3)``."""
    if key not in found:
        return f"{key} (not set)"
    setting = found[key]
    comment = ", its comment is part of the value" if re.search(r"\s#", setting.value) else ""
    return f"{key}={mask(key, setting.value)} (line {setting.line}{comment})"


def differences(before: Mapping[str, Setting], after: Mapping[str, Setting]) -> Iterator[str]:
    """Yield a sentence for each key that is not as it was."""
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        if (old and old.value) != (new and new.value):
            was = mask(key, old.value) if old else "not set"
            yield f"{describe(key, after)} was {was}"


def mask(key: str, text: str) -> str:
    """Return *text* as it may be shown: nothing of a secret, no password of a URL."""
    return MASK if text and _SECRET.search(key) else _USERINFO.sub(MASK, text)[:120]
