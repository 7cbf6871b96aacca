"""
What a signal is, for those who write one.

A signal is one file in this folder and one entry in `watchdog.signals.SIGNALS`. It has a
`Config` (a pydantic model whose fields are its YAML keys), a table of `MEASURES`, and a look:

* A signal that asks Redis is a `RedisSignal`: its `look` is a generator that *yields* batches of
  commands, is *sent* the replies, and *returns* a Reading. It does no I/O itself, so the reader
  can put the commands of a thousand signals into one pipeline, and tests need no server.
* A signal whose answers mostly stay the same (a stream, a group) is a `RestingSignal`: it names the
  questions that show whether anything changed, and is left alone while nothing does.
* Every other signal is a `LocalSignal`: its `look` may block, and runs in a thread of its own.
* A local signal of which one question answers many is a `GatheredSignal`: all that have the same
  `asked_of` are looked at together.

A signal that has to remember something between two processes (a cursor, the last success) gives
it as JSON from `memory` and gets it back through `remember`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from watchdog.errors import CollectError
from watchdog.fields import Duration
from watchdog.model import Labels, Measure, Reading, SignalKey

Command = tuple[str | bytes | int, ...]


class Refused(str):
    """What Redis answered instead of a reply: its error line, e.g. ``WRONGTYPE Operation against…``."""

    __slots__ = ()

    @property
    def code(self) -> str:
        """Return the first word of the error, Redis' own name for it."""
        return self.partition(" ")[0]


LATENCY: Command = ("@latency",)
"""A question to the reader itself: how many seconds did its last PING take?"""

Reply = Any
Look = Generator[Sequence[Command], Sequence[Reply], Reading]
NextLook = Generator[Sequence[Command], Sequence[Reply], Reading | None]
LONGEST_REST = timedelta(minutes=5)
"""Whatever does not change is looked at whole at least so often."""


class Question(NamedTuple):
    """
    A command that is asked at every tick, and what turns its reply into facts.

    Two signals with the same question share one answer, so *read* is a plain function of the reply
    (a `Refused` included) and what it returns is never changed.
    """

    command: Command
    read: Callable[[Reply], Any]


class SignalConfig(BaseModel):
    """The keys every signal has."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)

    every: Duration | None = Field(None, description="how often to look, if not as often as all others")

    def labels(self) -> Labels:
        """Return the labels that tell this signal from others of its service."""
        raise NotImplementedError

    def offered(self) -> Mapping[str, Measure]:
        """Return the measures this configuration offers; what is absent is *not applicable*."""
        raise NotImplementedError

    def reads(self) -> tuple[str, ...]:
        """Return the keys of Redis that have to be there, for `check --connect`; ours are known to it."""
        return ()


ConfigT = TypeVar("ConfigT", bound=SignalConfig)


class Signal(Generic[ConfigT]):
    """One configured signal of one service; see the module's docstring."""

    MEASURES: ClassVar[Mapping[str, Measure]]
    Config: ClassVar[type[SignalConfig]]
    RULES: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Built-in rules that a signal of another package brings along, as `watchdog.builtin` has ours."""
    RECALLS: ClassVar[bool] = False
    """Whether its first look tells what its counters gained before, as far as the source remembers that."""

    def __init__(self, key: SignalKey, config: ConfigT, keep: timedelta) -> None:
        """Build it for *key*; *keep* is how far back rules look, to be filled in at the first look."""
        self.key = key
        self.config = config
        self.keep = keep

    def memory(self) -> Mapping[str, Any]:
        """Return what the next process should know, as JSON."""
        return {}

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Take back what an earlier process gave as its memory."""


class RedisSignal(Signal[ConfigT]):
    """A signal that is read from Redis."""

    def look(self, now: datetime) -> Look:
        """Yield commands, get their replies, return the Reading; CollectError if that is impossible."""
        raise NotImplementedError


class RestingSignal(RedisSignal[ConfigT]):
    """
    A signal that says nothing while nothing changes.

    The reader asks its *questions* at every tick. It looks on only when an answer is not the one of
    the tick before, or when *wake_at* (seconds since the epoch) has come: the moment from which its
    last reading may be wrong although nothing happened, `LONGEST_REST` ahead at most.
    """

    questions: tuple[Question, ...]
    wake_at: float = 0.0
    settled = False
    """Whether its last look came to its end, so that it knows what the answers were."""

    def look_on(self, now: datetime, answers: Sequence[Any] | None) -> NextLook:
        """
        Take the *answers*, yield what else has to be asked, return the Reading or None for *as before*.

        No answers means that they are those of the last look, which came to its end.
        """
        raise NotImplementedError

    def look(self, now: datetime) -> Look:
        """Ask the questions and look on, whatever the answers are."""
        self.wake_at = 0.0
        replies = yield [question.command for question in self.questions]
        answers = [question.read(reply) for question, reply in zip(self.questions, replies, strict=True)]
        reading = yield from self.look_on(now, answers)
        if reading is None:
            raise CollectError("a first look brought no reading")
        return reading


class LocalSignal(Signal[ConfigT]):
    """A signal that is read from this machine or over HTTP; its look may block."""

    def look_here(self, now: datetime) -> Reading:
        """Look once; raise CollectError with one sentence if that is impossible."""
        raise NotImplementedError


class GatheredSignal(LocalSignal[ConfigT]):
    """A local signal that is looked at together with all others of its kind that ask the same."""

    @property
    def asked_of(self) -> str:
        """Return whom it asks, in words; those who ask the same are gathered."""
        raise NotImplementedError

    @classmethod
    def gather(cls, signals: Sequence[Any], now: datetime) -> list[Reading]:
        """Look once at all *signals*, which ask the same; what is wrong with one is in its own reading."""
        raise NotImplementedError

    def look_here(self, now: datetime) -> Reading:
        """Look at this one alone."""
        (reading,) = self.gather([self], now)
        if reading.trouble is not None:
            raise CollectError(reading.trouble)
        return reading
