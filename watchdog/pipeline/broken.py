"""
How services of the pipeline can be broken by their own code: `BREAK=<word>` in their env files.

First loops, which are broken in the same way whatever they run, then services with one deed gone wrong.
Nothing of this is in the healthy code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

import redis

from watchdog.pipeline import broken_exchange, broken_gates
from watchdog.pipeline.execution import Execution, Order
from watchdog.pipeline.exits import Exits, closing
from watchdog.pipeline.intent_bridge import RESULTS, IntentBridge
from watchdog.pipeline.intents import Draft, Intents
from watchdog.pipeline.messages import Body, compact, number, text
from watchdog.pipeline.runtime import (
    BLOCK_SECONDS,
    Context,
    Ended,
    Entry,
    Input,
    Loop,
    Service,
    Write,
)

WORKS_BEFORE_IT_STOPS = 3  # entries


class ConsumerDies(Loop):
    """The consumer dies of an exception at its first entry; the process, and its `/health`, live on."""

    dead = False

    def step(self, longest: float = BLOCK_SECONDS) -> int:
        """Work until the exception, which is logged once."""
        if self.dead:
            return idle(self, longest)
        try:
            return super().step(longest)
        except KeyError:
            self.dead = True
            self.log.exception("Task exception was never retrieved")
            return 0

    def _answer(self, entries: Sequence[Entry]) -> None:
        if entries:
            raise KeyError("strategy_id")


class LoopReturns(Loop):
    """The consumer's loop returns at once, and the service ends, as well as it can."""

    def step(self, longest: float = BLOCK_SECONDS) -> int:  # noqa: ARG002
        """End."""
        raise Ended(0)


class StartedTooEarly(Loop):
    """The consumer looks at `running` before that is set, and is done, without a word."""

    running = False

    def __init__(self, name: str, service: Service, context: Context) -> None:
        super().__init__(name, service, context)
        self.consuming = self.running
        self.running = True

    def step(self, longest: float = BLOCK_SECONDS) -> int:
        """Wait for a consumer that is gone."""
        return super().step(longest) if self.consuming else idle(self, longest)


class StopsQuietly(Loop):
    """The service works for a while, then does nothing more and says nothing of it."""

    left = WORKS_BEFORE_IT_STOPS

    def step(self, longest: float = BLOCK_SECONDS) -> int:
        """Work as long as it works."""
        return super().step(longest) if self.left > 0 else idle(self, longest)

    def _answer(self, entries: Sequence[Entry]) -> None:
        super()._answer(entries)
        self.left -= len(entries)


class Starved(Loop):
    """Something keeps the service's only thread for ever: connections are accepted, and never answered."""

    def __init__(self, name: str, service: Service, context: Context) -> None:
        super().__init__(name, service, context)
        self.vitals.clock = self._never  # the first thing that an answer of `/health` needs

    def step(self, longest: float = BLOCK_SECONDS) -> int:
        """Get nothing done."""
        return idle(self, longest)

    def _never(self) -> NoReturn:
        self.stopping.wait()
        raise SystemExit  # ends the thread of one who no longer waits for an answer


class NeverReconnects(Loop):
    """The consumer reads from one connection, and once that is cut waits on it for ever."""

    cut = False

    def __init__(self, name: str, service: Service, context: Context) -> None:
        super().__init__(name, service, context)
        self.redis = redis.Redis(connection_pool=context.redis.connection_pool, single_connection_client=True)

    def step(self, longest: float = BLOCK_SECONDS) -> int:
        """Work until the connection is cut."""
        if self.cut:
            return idle(self, longest)
        try:
            return super().step(longest)
        except redis.ConnectionError:
            self.cut = True
            return 0


class OnlyBeats(Loop):
    """The worker hangs; a thread that knows nothing of it goes on saying that all is well."""

    def step(self, longest: float = BLOCK_SECONDS) -> int:
        """Beat."""
        self._beat(self.clock())
        return idle(self, longest)


class Shadow(Loop):
    """The service says what it would add to its streams, and adds nothing."""

    def _commit(self, writes: Sequence[Write]) -> None:
        for write in writes:
            if write.command[0] == "XADD":
                self.log.info("[SHADOW] would add to %s", write.command[1])
        super()._commit([write for write in writes if write.command[0] != "XADD"])


class OtherEnvelope(Loop):
    """The service wraps what it adds in an envelope that nobody knows yet."""

    def _commit(self, writes: Sequence[Write]) -> None:
        super()._commit([self._wrapped(write) for write in writes])

    def _wrapped(self, write: Write) -> Write:
        if write.command[0] != "XADD":
            return write
        begin = write.command.index("*") + 1
        pairs = write.command[begin:]
        message = compact(dict(zip(pairs[::2], pairs[1::2], strict=True)))
        return Write((*write.command[:begin], "message", message))


class LegacyStream(Loop):
    """The service reads the streams that everybody else has left."""

    def __init__(self, name: str, service: Service, context: Context) -> None:
        super().__init__(name, service, context)
        service.inputs = [Input(f"{old.stream}.legacy", old.consumer_group) for old in service.inputs]


class ReadsFlat(IntentBridge):
    """Takes envelopes for flat entries, and what it does not find for its default."""

    def handle(self, entry: Entry, now: float) -> Sequence[Write]:
        """Read an intent as if all it says stood in its fields."""
        if entry.source is RESULTS:
            return super().handle(entry, now)
        believed = {"symbol": "UNKNOWN", "side": "BUY", "entry_price": "0", "position_size_usd": "0"}
        said = believed | {name: value for name, value in entry.fields.items() if name != "timestamp"}
        return super().handle(replace(entry, fields={"payload": compact(said)}), now)


class FillsNothing(Execution):
    """Calls an order filled of which nothing was bought or sold."""

    def _fill(self, order: Order, plan_id: str, now: float) -> dict[str, object]:
        return super()._fill(order, plan_id, now) | {"entry_price": 0.0, "position_size_usd": 0.0}


class TellsAtDebug(Execution):
    """Logs a success at DEBUG, that is not at all."""

    def tell(self, order: Order) -> None:
        """Say that *order* was filled to nobody."""
        self.log.debug("✅ ORDER FILLED %s %s qty=%g", order.side, order.symbol, order.qty)


class AlwaysHolds(Intents):
    """Its model answers HOLD whatever it is asked."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.cycle = [Draft(draft.symbol, "HOLD", extra={"action": "HOLD"}) for draft in self.cycle]


class RenamedAction(Intents):
    """Its model has another word for SELL than those who read it."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.cycle = [
            Draft(draft.symbol, "HOLD", extra={"action": "CLOSE_LONG"}) if draft.side == "SELL" else draft
            for draft in self.cycle
        ]


class RenamedArgument(Exits):
    """Calls what closes a position with an argument that has another name by now."""

    def close(self, said: Body, now: float) -> dict[str, str]:
        """Fail."""
        return closing(text(said, "symbol"), quantity=number(said, "qty"), now=now)  # type: ignore[call-arg]


class EvaluatesNothing(Exits):
    """Uses a name that does not exist whenever it evaluates a position, and carries on."""

    def due(self, order: Order, now: float) -> bool:  # noqa: ARG002
        """Say no, for want of a name."""
        try:
            return bool(order.qty > min_harvest_qty)  # type: ignore[name-defined]
        except NameError as exc:
            self.log.warning("Evaluation of %s failed: %s", order.symbol, exc)
            return False


def idle(loop: Loop, longest: float) -> int:
    """Do nothing for *longest* seconds, or until *loop* is to stop."""
    loop.stopping.wait(longest)
    return 0


LOOPS: Mapping[str, type[Loop]] = {
    "consumer_dies": ConsumerDies,
    "loop_returns": LoopReturns,
    "started_too_early": StartedTooEarly,
    "stops_quietly": StopsQuietly,
    "starved": Starved,
    "never_reconnects": NeverReconnects,
    "only_beats": OnlyBeats,
    "shadow": Shadow,
    "legacy_stream": LegacyStream,
    "other_envelope": OtherEnvelope,
    **broken_gates.LOOPS,
}
SERVICES: Mapping[str, Callable[[Context], Service]] = {
    "reads_flat": ReadsFlat,
    "fills_nothing": FillsNothing,
    "tells_at_debug": TellsAtDebug,
    "always_holds": AlwaysHolds,
    "renamed_action": RenamedAction,
    "renamed_argument": RenamedArgument,
    "evaluates_nothing": EvaluatesNothing,
    **broken_gates.SERVICES,
    **broken_exchange.SERVICES,
}
WORDS = frozenset({"", *LOOPS, *SERVICES})
