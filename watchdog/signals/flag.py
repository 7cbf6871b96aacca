"""`flag`: a key that stops something while it is set, such as a kill switch, and for how long it has been."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from watchdog.errors import CollectError
from watchdog.fields import Scalar, means, one_or_many
from watchdog.model import AtLeast, Labels, Measure, Reading, SignalKey, Value, seconds, value
from watchdog.signals.base import Look, RedisSignal, Refused, SignalConfig
from watchdog.signals.replies import text
from watchdog.units import rfc3339

UNSET_WORDS = frozenset({"", "0", "false", "off", "no"})


class FlagConfig(SignalConfig):
    """Keys of `flag`."""

    key: str = Field(min_length=1, description="the key that is the flag")
    set_when: Annotated[tuple[Scalar, ...], BeforeValidator(one_or_many), Field(min_length=1)] | None = Field(
        None, description="the value or values that mean set; if not told, all but 0, false, off, no"
    )

    def labels(self) -> Labels:
        """Return the flag's key."""
        return Labels(key=self.key)

    def offered(self) -> Mapping[str, Measure]:
        """Return all measures."""
        return Flag.MEASURES


class Flag(RedisSignal[FlagConfig]):
    """Tells whether the flag is set, since when as far as that was seen, and when it ends by itself."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "set": value("1 while the flag is set"),
        "age": seconds("For how long it has been seen set", grows=True),
        "ttl": seconds("Time until it expires, where it does"),
    }
    Config = FlagConfig

    def __init__(self, key: SignalKey, config: FlagConfig, keep: timedelta) -> None:
        super().__init__(key, config, keep)
        self._since: datetime | None = None
        self._seen_unset = False  # only then is the first sight of it also its beginning
        self._exact = False

    def memory(self) -> Mapping[str, Any]:
        """Remember since when the flag has been set."""
        return {"since": self._since.isoformat(), "exact": self._exact} if self._since else {}

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Take back since when it has been set; while nobody looked it is taken to have stayed so."""
        if "since" in memory:
            self._since, self._exact = datetime.fromisoformat(memory["since"]), bool(memory["exact"])

    def look(self, now: datetime) -> Look:
        """Read the flag and its expiry in one round trip, and its type if it is no string."""
        key = self.config.key
        reply, left = yield [("GET", key), ("PTTL", key)]
        evidence: dict[str, object] = {}
        if isinstance(reply, Refused):
            if reply.code != "WRONGTYPE":
                raise CollectError(f'flag "{key}" cannot be read: {reply}')
            (kind,) = yield [("TYPE", key)]
            if self.config.set_when is not None:
                raise CollectError(f'flag "{key}" holds a {text(kind)}, which has no value to compare')
            is_set = True
            evidence["type"] = text(kind)
        else:
            is_set = reply is not None and means_set(text(reply), self.config.set_when)
            evidence |= {} if reply is None else {"value": text(reply)[:80]}
        self._follow(is_set, now)
        values: dict[str, Value] = {"set": float(is_set)}
        if self._since is not None:
            age = max(0.0, (now - self._since).total_seconds())
            values["age"] = age if self._exact else AtLeast(age)
            evidence["since"] = rfc3339(self._since) if self._exact else f"{rfc3339(self._since)} or before"
        if isinstance(left, Refused):
            values["ttl"] = None
        elif left >= 0:
            values["ttl"] = left / 1000
        return Reading(self.key, now, values, evidence=evidence)

    def _follow(self, is_set: bool, now: datetime) -> None:
        if not is_set:
            self._since, self._seen_unset = None, True
        elif self._since is None:
            self._since, self._exact = now, self._seen_unset


def means_set(found: str, set_when: tuple[Scalar, ...] | None) -> bool:
    """Say whether the flag's value means that it is set."""
    if set_when is None:
        return found.strip().lower() not in UNSET_WORDS
    return any(means(wanted, found) for wanted in set_when)
