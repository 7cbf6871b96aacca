"""
What a signal is, for those who write one.

A signal is one file in this folder and one entry in `watchdog.signals.SIGNALS`. It has a
`Config` (a pydantic model whose fields are its YAML keys), a table of `MEASURES`, and a look:

* A signal that asks Redis is a `RedisSignal`: its `look` is a generator that *yields* batches of
  commands, is *sent* the replies, and *returns* a Reading. It does no I/O itself, so the reader
  can put the commands of a thousand signals into one pipeline, and tests need no server.
* Every other signal is a `LocalSignal`: its `look` may block, and runs in a thread of its own.

A signal that has to remember something between two processes (a cursor, the last success) gives
it as JSON from `memory` and gets it back through `remember`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from typing_extensions import Annotated

from watchdog.model import Labels, Measure, Reading, SignalKey
from watchdog.units import parse_duration

Command = tuple[str | bytes | int, ...]


class Refused(str):
    """What Redis answered instead of a reply: its error line, e.g. ``WRONGTYPE Operation against…``."""

    __slots__ = ()

    @property
    def code(self) -> str:
        """Return the first word of the error, Redis' own name for it."""
        return self.partition(" ")[0]


Reply = Any
Look = Generator[Sequence[Command], Sequence[Reply], Reading]


def _duration(raw: object) -> object:
    return parse_duration(raw) if isinstance(raw, str) else raw


Duration = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))]
"""A duration above zero as rules.yaml spells it."""


class SignalConfig(BaseModel):
    """The keys every signal has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    every: Duration | None = Field(None, description="how often to look, if not as often as all others")

    def labels(self) -> Labels:
        """Return the labels that tell this signal from others of its service."""
        raise NotImplementedError

    def offered(self) -> Mapping[str, Measure]:
        """Return the measures this configuration offers; what is absent is *not applicable*."""
        raise NotImplementedError


ConfigT = TypeVar("ConfigT", bound=SignalConfig)


@runtime_checkable
class RedisSignal(Protocol):
    """A signal that is read from Redis."""

    key: SignalKey

    def look(self, now: datetime) -> Look:
        """Ask and answer; see the module's docstring."""
        ...


@runtime_checkable
class LocalSignal(Protocol):
    """A signal that is read from this machine or over HTTP; its look may block."""

    key: SignalKey

    def look_here(self, now: datetime) -> Reading:
        """Look once; raise CollectError with one sentence if that is impossible."""
        ...


class Remembering(Protocol):
    """A signal that carries something from one process to the next."""

    def memory(self) -> Mapping[str, Any]:
        """Return what to remember, as JSON."""
        ...

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Take back what an earlier process remembered."""
        ...


class SignalType(Protocol):
    """What an entry of `SIGNALS` has to be."""

    MEASURES: ClassVar[Mapping[str, Measure]]
    Config: ClassVar[type[SignalConfig]]

    def __call__(self, key: SignalKey, config: Any, keep: timedelta) -> RedisSignal | LocalSignal:
        """Build the signal; *keep* is how far back rules look, to fill in at the first look."""
        ...
