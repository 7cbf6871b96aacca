"""`flag`: what stops something while it is set, such as a kill switch: since when, by whom, for too long?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import BeforeValidator, Field

from watchdog.entries import ORIGIN, Entry
from watchdog.errors import CollectError
from watchdog.fields import Duration, Scalar, means, one_or_many
from watchdog.logs.redact import redact
from watchdog.model import AtLeast, Labels, Measure, Reading, SignalKey, Value, seconds, value
from watchdog.signals.base import Command, Look, RedisSignal, Refused, Reply, SignalConfig
from watchdog.signals.replies import text
from watchdog.timestamps import parse_timestamp
from watchdog.units import EPOCH, plain, rfc3339

UNSET_WORDS = frozenset({"", "0", "false", "off", "no"})
STATE_FIELDS = ("set", "active", "enabled", "on", "value")
"""Where a flag kept as JSON or as a hash says whether it is set, if it says so; else being there is."""
NOTES: Mapping[str, tuple[str, ...]] = {
    "by": ("by", "set_by", "user", "who", "author", "source"),
    "reason": ("reason", "why", "message", "comment", "error"),
    "at": ("at", "set_at", "since", "ts", "timestamp", "time"),
}
"""Under which names a pipeline says who set a flag, why and when."""
HASH_FIELDS = (*STATE_FIELDS, *(name for names in NOTES.values() for name in names))
LONGEST_TEXT = 80
CLOCKS_APART = timedelta(minutes=1)
"""So much the clock of who set a flag may be behind ours."""
FORGOTTEN = timedelta(days=1)

Keys = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(one_or_many), Field(min_length=1)
]


class FlagConfig(SignalConfig):
    """Keys of `flag`."""

    key: Keys = Field(
        description="the key that is the flag, or several that are one: set while any is",
        examples=["quantum:global:kill_switch"],
    )
    set_when: Annotated[tuple[Scalar, ...], BeforeValidator(one_or_many), Field(min_length=1)] | None = Field(
        None,
        description="the value or values that mean set; if not told, all but 0, false, off, no",
        examples=["on", [1, "true"]],
    )
    about: str | None = Field(
        None,
        min_length=1,
        description="the key that says who set it and why, such as {key}:reason",
        examples=["{key}:reason"],
    )
    at_most: Duration = Field(
        FORGOTTEN,
        description="for how long it may be set; beyond that it counts as forgotten (1d)",
        examples=["4h"],
    )

    def labels(self) -> Labels:
        """Return the flag's key, or all of them."""
        return Labels(key=", ".join(self.key))

    def offered(self) -> Mapping[str, Measure]:
        """Return all measures."""
        return Flag.MEASURES


class Since(NamedTuple):
    """Since when a key has been set; where not *exact*, at the latest."""

    at: datetime
    exact: bool

    def __str__(self) -> str:
        return rfc3339(self.at) if self.exact else f"{rfc3339(self.at)} or before"


@dataclass(frozen=True, slots=True)
class Found:
    """What one key holds: what it says, when it ends by itself, and what is to be shown of it."""

    key: str
    is_set: bool
    left: Reply
    stated: datetime | None
    shown: Mapping[str, object]


class Flag(RedisSignal[FlagConfig]):
    """Tells whether the flag is set, since when and by whom as far as that is known, and when it expires."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "set": value("1 while the flag is set"),
        "age": seconds("For how long it has been seen set", grows=True),
        "ttl": seconds("Time until it expires, where it does"),
        "overdue": value("Its age by the time it may be set"),
    }
    Config = FlagConfig

    def __init__(self, key: SignalKey, config: FlagConfig, keep: timedelta) -> None:
        super().__init__(key, config, keep)
        self._since: dict[str, Since] = {}
        self._unset_at: dict[str, datetime] = {}  # when it was last seen not to be set

    def memory(self) -> Mapping[str, Any]:
        """Remember since when each key has been set."""
        found = {key: [since.at.isoformat(), since.exact] for key, since in self._since.items()}
        return {"set_since": found} if found else {}

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Take back since when it has been set; while nobody looked it is taken to have stayed so."""
        before = {self.config.key[0]: (memory["since"], memory["exact"])} if "since" in memory else {}
        for key, (at, exact) in memory.get("set_since", before).items():  # it once was one key, and said so
            self._since[key] = Since(datetime.fromisoformat(at), bool(exact))

    def look(self, now: datetime) -> Look:
        """Read every key, its expiry and what is said of it in one round trip; a second one for hashes."""
        keys, per_key = self.config.key, 2 + (self.config.about is not None)
        replies = yield [command for key in keys for command in self._questions(key)]
        told = [replies[i : i + per_key] for i in range(0, len(replies), per_key)]
        typed = [k for k, r in zip(keys, told, strict=True) if _is_wrong_type(r[0])]
        inside: dict[str, Sequence[Reply]] = {}
        if typed:
            more = yield [c for key in typed for c in (("TYPE", key), ("HMGET", key, *HASH_FIELDS))]
            inside = {key: more[2 * i : 2 * i + 2] for i, key in enumerate(typed)}
        found, troubles = [], []
        for key, (held, *rest) in zip(keys, told, strict=True):
            try:
                found.append(self._found(key, held, rest, inside.get(key)))
            except CollectError as exc:
                troubles.append(str(exc))
        for one in found:
            self._follow(one, now)
        if troubles and not any(one.is_set for one in found):
            raise CollectError(troubles[0])  # the one that cannot be read may be the one that is set
        return self._reading(found, troubles, now)

    def _questions(self, key: str) -> list[Command]:
        about = self.config.about
        asked: list[Command] = [("GET", key), ("PTTL", key)]
        return asked if about is None else [*asked, ("GET", about.replace("{key}", key))]

    def _found(self, key: str, held: Reply, rest: Sequence[Reply], inside: Sequence[Reply] | None) -> Found:
        left, said = rest[0], rest[1] if len(rest) > 1 else None
        if inside is not None:
            note, is_set, shown = self._of_hash(key, inside)
        elif isinstance(held, Refused):
            raise CollectError(f'flag "{key}" cannot be read: {held}')
        elif held is None:
            return Found(key, False, left, None, {})
        else:
            note, is_set, shown = self._of_text(text(held))
        if isinstance(said, Refused):
            shown = {**shown, "about": f"cannot be read: {said.code}"}
        elif said is not None:
            note = _note_of(text(said), "reason") | note
        stated = parse_timestamp(note.pop("at", ""))
        return Found(key, is_set, left, stated, shown | {n: _harmless(t) for n, t in note.items()})

    def _of_text(self, held: str) -> tuple[dict[str, str], bool, dict[str, object]]:
        """Return what a string says of itself, whether it means set, and what to show of it."""
        state = _first(Entry(ORIGIN, {"payload": held}), STATE_FIELDS)
        is_set = means_set(held if state is None else state, self.config.set_when)
        return _note_of(held, ""), is_set, {"value": _harmless(held)}

    def _of_hash(self, key: str, inside: Sequence[Reply]) -> tuple[dict[str, str], bool, dict[str, object]]:
        """Return the same of what is no string: a hash may say more, anything else is there and so is set."""
        kind, values = inside
        if isinstance(kind, Refused):
            raise CollectError(f'flag "{key}" cannot be read: {kind}')
        fields = [] if isinstance(values, Refused) else zip(HASH_FIELDS, values, strict=True)
        entry = Entry(ORIGIN, {name: text(held) for name, held in fields if held is not None})
        state = _first(entry, STATE_FIELDS)
        if state is None and self.config.set_when is not None:
            raise CollectError(f'flag "{key}" holds a {text(kind)}, which has no value to compare')
        is_set = state is None or means_set(state, self.config.set_when)
        return _notes(entry), is_set, {"type": text(kind)}

    def _follow(self, found: Found, now: datetime) -> None:
        """Note since when a key has been set: as it says itself, if that can be, or as we saw it."""
        key, unset_at, since = found.key, self._unset_at.get(found.key), self._since.get(found.key)
        if not found.is_set:
            self._since.pop(key, None)
            self._unset_at[key] = now
            return
        if since is None:
            since = Since(now, exact=unset_at is not None)
        possible = EPOCH if unset_at is None else unset_at - CLOCKS_APART
        if found.stated is not None and possible < found.stated < since.at:
            since = Since(found.stated, exact=True)
        self._since[key] = since

    def _reading(self, every: Sequence[Found], troubles: Sequence[str], now: datetime) -> Reading:
        """Return the reading for what was found; of the keys that are set the oldest speaks for all."""
        found = [one for one in every if one.is_set]
        expiry: dict[str, Value] = {}
        if any(isinstance(one.left, Refused) for one in every):
            expiry = {"ttl": None}
        elif found and min(one.left for one in found) >= 0:
            expiry = {"ttl": max(one.left for one in found) / 1000}
        if not found:
            return Reading(self.key, now, {"set": 0.0, **expiry})
        oldest = min(found, key=lambda one: self._since[one.key].at)
        since = self._since[oldest.key]
        age = max(0.0, (now - since.at).total_seconds())
        overdue = age / self.config.at_most.total_seconds()
        values: dict[str, Value] = {
            "set": 1.0,
            "age": age if since.exact else AtLeast(age),
            "overdue": overdue if since.exact else AtLeast(overdue),
            **expiry,
        }
        evidence = {**oldest.shown, "since": str(since)}
        if len(self.config.key) > 1:
            evidence["keys"] = [one.key for one in found]
        if troubles:
            evidence["trouble"] = list(troubles)
        return Reading(self.key, now, values, evidence=evidence)


def means_set(found: str, set_when: tuple[Scalar, ...] | None) -> bool:
    """Say whether the flag's value means that it is set."""
    if set_when is None:
        return found.strip().lower() not in UNSET_WORDS
    return any(means(wanted, found) for wanted in set_when)


def _is_wrong_type(reply: Reply) -> bool:
    return isinstance(reply, Refused) and reply.code == "WRONGTYPE"


def _first(entry: Entry, names: Sequence[str]) -> str | None:
    return next((found for name in names if (found := entry.find(name)) is not None), None)


def _notes(entry: Entry) -> dict[str, str]:
    return {note: found for note, names in NOTES.items() if (found := _first(entry, names))}


def _note_of(said: str, otherwise: str) -> dict[str, str]:
    """Return what a text tells: a JSON object by its fields, a bare time when, any other text *otherwise*."""
    if said.lstrip()[:1] == "{":
        return _notes(Entry(ORIGIN, {"payload": said}))
    if parse_timestamp(said) is not None:
        return {"at": said}
    return {otherwise: said} if otherwise else {}


def _harmless(said: str) -> str:
    """Return *said* fit to be shown: no secret, no steering sign, no end."""
    return plain(redact(said[: 4 * LONGEST_TEXT]))[:LONGEST_TEXT]
