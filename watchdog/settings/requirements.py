"""
What settings have to be: required, forbidden, in agreement, known, and as they were accepted.

Plain functions of the settings found, used by the signal, by `watchdog settings check` and so by the
pre-commit hook alike. No sentence of theirs holds a secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from watchdog.fields import Scalar, means
from watchdog.settings.secrecy import HASHED, MASK, is_accepted, mask

_COMMENT = re.compile(r"\s#")


class _Said(BaseModel):
    """What every rule for settings may say for itself."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)

    reason: str = Field(
        "", description="why; part of the alert", examples=["no live orders before the audit"]
    )
    owner: str = Field("", description="whom to ask before changing it", examples=["risk"])

    @property
    def because(self) -> str:
        """Return reason and owner, to be put behind a violation."""
        return (f": {self.reason}" if self.reason else "") + (f" (owner: {self.owner})" if self.owner else "")


class Requirement(_Said):
    """What one key has to be, why, who wants it, and until when it may be so."""

    value: Scalar | None = Field(None, description="the value it must have", examples=["true"])
    one_of: tuple[Scalar, ...] | None = Field(
        None, min_length=1, description="the values it may have", examples=[["paper", "live"]]
    )
    pattern: re.Pattern[str] | None = Field(
        None, description="what its whole value must match", examples=["[A-Z]{3,10}"]
    )
    range: tuple[float, float] | None = Field(
        None, description="least and greatest number allowed", examples=[[1, 20]]
    )
    until: date | None = Field(
        None, description="the last day of a temporary setting; after it, it must go", examples=["2026-12-31"]
    )

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


class Ban(_Said):
    """A key that must not be set, or not to one value."""

    key: str = Field(min_length=1, description="the key", examples=["APPLY_MODE"])
    value: Scalar | None = Field(
        None, description="the value it must not have; none: it must not be set", examples=["live"]
    )


class Agreement(_Said):
    """Keys that must all be equal, or must all differ; ``PATH:KEY`` is a key of another file."""

    equal: tuple[str, ...] | None = Field(
        None, description="keys that must be equal", examples=[["TESTNET", "BINANCE_TESTNET"]]
    )
    differ: tuple[str, ...] | None = Field(
        None, description="keys that must differ", examples=[["REDIS_DB", "REDIS_DB_TEST"]]
    )

    @model_validator(mode="after")
    def _says_one_thing(self) -> Agreement:
        if (self.equal is None) == (self.differ is None):
            raise ValueError("an agreement says one thing (give equal or differ)")
        if len(self.keys) < 2:
            raise ValueError("an agreement is between two keys at least (add the other one)")
        return self

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the keys it is about."""
        return self.equal or self.differ or ()

    @property
    def files(self) -> frozenset[str]:
        """Return the other files it is about."""
        return frozenset(path for path, _ in map(elsewhere, self.keys) if path)


class Template(BaseModel):
    """A file whose keys are all that are known, those behind a comment sign included."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)

    file: str = Field(
        min_length=1,
        description="an env file or a template of one",
        examples=["/etc/quantum/execution.env.example"],
    )


def _requirement(raw: object) -> object:
    return {"value": raw} if isinstance(raw, Scalar) else raw


def _ban(raw: object) -> object:
    if not isinstance(raw, str):
        return raw
    key, sign, value = raw.partition("=")
    return {"key": key, "value": value} if sign else {"key": key}


def _agreement(raw: object) -> object:
    return {"equal": raw} if isinstance(raw, (list, tuple)) else raw


Requirements = dict[str, Annotated[Requirement, BeforeValidator(_requirement)]]
Bans = tuple[Annotated[Ban, BeforeValidator(_ban)], ...]
Agreements = tuple[Annotated[Agreement, BeforeValidator(_agreement)], ...]


class Expectations(BaseModel):
    """Keys of `settings` that say what its files must and must not hold."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)

    require: Requirements = Field(
        default_factory=dict,
        description="what keys must be: a value, or value, one_of, pattern or range",
        examples=[{"MAX_LEVERAGE": {"range": [1, 20], "owner": "risk"}}],
    )
    forbid: Bans = Field(
        (),
        description="KEY that must not be set, or KEY=value it must not have",
        examples=[["APPLY_MODE=live"]],
    )
    agree: Agreements = Field(
        (),
        description="keys that must be equal, or `differ: [...]`",
        examples=[[["TESTNET", "BINANCE_TESTNET"]]],
    )
    known: Template | tuple[str, ...] | None = Field(
        None,
        description="all keys there are, or `{file: PATH}` of a template that has them",
        examples=[{"file": "/etc/quantum/execution.env.example"}, ["TESTNET", "REDIS_DB"]],
    )

    def keys_known(self, template: frozenset[str]) -> frozenset[str]:
        """Return all keys that may be set; *template* are those of the file that `known` names."""
        named = template if isinstance(self.known, Template) else frozenset(self.known or ())
        agreed = {key for rule in self.agree for key in rule.keys}
        return named | set(self.require) | {rule.key for rule in self.forbid} | agreed


@dataclass(frozen=True, slots=True)
class Told:
    """A value as a service gets it: where it stands, and over which other place it wins."""

    value: str
    place: str
    line: int = 0
    over: str = ""

    @property
    def where(self) -> str:
        """Return the place, with its line if it has one."""
        return f"{self.place}:{self.line}" if self.line else self.place


Found = Mapping[str, Told]


def elsewhere(key: str) -> tuple[str, str]:
    """Return path and key of ``PATH:KEY``; the path is empty for a plain key."""
    path, _, name = key.rpartition(":")
    return path, name


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is not as expected: of which kind, the key, and one sentence."""

    kind: str
    key: str
    sentence: str


def violated(
    rules: Expectations, found: Found, others: Found, known: frozenset[str] | None, today: date
) -> Iterator[Violation]:
    """
    Yield whatever in *found* is not as *rules* want it.

    *others* are keys of other files, called as the agreements call them; *known* are all keys that may
    be set, None if nobody declared them.
    """
    yield from unmet(rules.require, found, today)
    yield from banned(rules.forbid, found)
    yield from contradicting(rules.agree, {**others, **found})
    if known is not None:
        yield from strangers(known, found)


def of_others(rules: Expectations, files: Mapping[str, Found]) -> dict[str, Told]:
    """Return the keys of other *files* that the agreements of *rules* speak of, called as there."""
    keys = [(key, *elsewhere(key)) for rule in rules.agree for key in rule.keys]
    return {key: files[path][name] for key, path, name in keys if path and name in files.get(path, {})}


def is_elsewhere(key: str) -> bool:
    """Say whether *key* is one of another file."""
    return elsewhere(key)[0] != ""


def unmet(require: Mapping[str, Requirement], found: Found, today: date) -> Iterator[Violation]:
    """Yield each requirement that is not met."""
    for key, rule in require.items():
        holds = key in found and rule.holds(found[key].value)
        if rule.until is not None and today > rule.until:
            if holds:
                yield Violation(
                    "overdue", key, f"{describe(key, found)} was to end on {rule.until}{rule.because}"
                )
        elif not holds:
            typo = "" if key in found else _misspelt(key, set(found) - set(require))
            yield Violation(
                "required", key, f"{describe(key, found)} must {rule.wants(key)}{rule.because}{typo}"
            )


def banned(forbid: Sequence[Ban], found: Found) -> Iterator[Violation]:
    """Yield each key that is forbidden."""
    for rule in forbid:
        if rule.key in found and (rule.value is None or means(rule.value, found[rule.key].value)):
            yield Violation("forbidden", rule.key, f"{describe(rule.key, found)} is forbidden{rule.because}")


def contradicting(agree: Sequence[Agreement], found: Found) -> Iterator[Violation]:
    """Yield each broken agreement, by a key of the file itself if one of those is set."""
    for rule in agree:
        present = [key for key in rule.keys if key in found]
        values = [found[key].value for key in present]
        if rule.equal is not None:
            broken = bool(present) and (
                len(present) < len(rule.keys) or not all(means(values[0], x) for x in values)
            )
        else:
            broken = any(means(a, b) for i, a in enumerate(values) for b in values[:i])
        if broken:
            must = "be equal" if rule.equal is not None else "differ"
            shown = " and ".join(describe(key, found) for key in rule.keys)
            yield Violation(
                "contradiction", min(present, key=is_elsewhere), f"{shown} must {must}{rule.because}"
            )


def strangers(known: frozenset[str], found: Found) -> Iterator[Violation]:
    """Yield each key that is not *known*, with the one that was meant."""
    for key in found:
        if key not in known:
            yield Violation(
                "unknown-key", key, f"{describe(key, found)} is no key that anybody knows{_meant(key, known)}"
            )


def _meant(key: str, known: frozenset[str]) -> str:
    close = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.6)
    return f' (did you mean "{close[0]}"?)' if close else " (correct it, or add it to `known`)"


def _misspelt(key: str, others: set[str]) -> str:
    """Return a remark on a key that looks like *key* written wrong, if there is one among *others*."""
    close = difflib.get_close_matches(key, sorted(others), n=1, cutoff=0.75)
    return f" ({close[0]} is set: was {key} meant?)" if close else ""


def contradicted(said: Found, found: Found) -> Iterator[Violation]:
    """Yield each key of which the process *said* otherwise than what is *found*."""
    for key, told in said.items():
        if key not in found or not means(told.value, found[key].value):
            shown = mask(key, told.value)
            sentence = f"{describe(key, found)} but the process says {shown} ({told.where}): restart it"
            yield Violation("disagreeing", key, sentence)


def differences(accepted: Mapping[str, str], found: Found) -> Iterator[str]:
    """Yield a sentence for each key that is not as it was *accepted*."""
    for key in dict.fromkeys([*accepted, *found]):
        before, after = accepted.get(key), found.get(key)
        if before is None:
            yield f"{describe(key, found)} was not set"
        elif after is None or not is_accepted(before, after.value):
            hidden = before.startswith(HASHED) or mask(key, before) == MASK
            was = (
                "was set to something else"
                if hidden and after
                else f"was {MASK if hidden else mask(key, before)}"
            )
            yield f"{describe(key, found)} {was}"


def describe(key: str, found: Found) -> str:
    """Return how *key* is set and where: ``DRY_RUN=true (/etc/execution.env:3)``."""
    if key not in found:
        return f"{key} (not set)"
    told = found[key]
    notes = [told.where]
    notes += [f"over {told.over}"] if told.over else []
    notes += ["its comment is part of the value"] if _COMMENT.search(told.value) else []
    return f"{key}={mask(key, told.value)} ({', '.join(notes)})"
