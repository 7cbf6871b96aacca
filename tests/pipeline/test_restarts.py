"""Services that are killed between any two commands: each entry is answered once, whatever was on its way."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import redis as client
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.pipeline.stages import SETTINGS, STAGES, entry, in_short, make_ready
from watchdog.demo.server import EmbeddedServer
from watchdog.pipeline import names
from watchdog.pipeline.messages import body
from watchdog.pipeline.permits import Permits
from watchdog.pipeline.runtime import Context, Loop

pytestmark = pytest.mark.redis

ContextOf = Callable[[str, Mapping[str, str]], Context]
DEATHS = ("before it is sent", "in the midst of it", "before the answer is read")
ENTRIES: Mapping[str, tuple[str, ...]] = {
    "intent_bridge": (
        "symbol=BTCUSDT side=BUY position_size_usd=50 entry_price=50000 correlation_id=a",
        "symbol=ETHUSDT side=HOLD action=HOLD correlation_id=b",
        "payload={",
        "symbol=ETHUSDT side=SELL correlation_id=c",
    ),
    "apply_layer": (
        "plan_id=a symbol=SOLUSDT decision=EXECUTE side=BUY qty=0.6 action=ENTRY_PROPOSED",
        "plan_id=b symbol=ETHUSDT decision=SKIP action=HOLD",
        "payload={",
        "plan_id=c symbol=ETHUSDT decision=EXECUTE side=SELL action=FULL_CLOSE_PROPOSED",
    ),
    "execution": (
        'plan_id=a symbol=SOLUSDT decision=EXECUTE executed=True steps_results=[{"side":"BUY","qty":0.6}]',
        "plan_id=b symbol=ETHUSDT decision=SKIP executed=False",
        "payload={",
        "plan_id=c symbol=ETHUSDT executed=True side=SELL filled_qty=1.2",
    ),
    "rl_feedback": (
        'payload={"symbol":"SOLUSDT","pnl_usd":1.0,"position_size_usd":50.0}',
        "payload={",
        'payload={"symbol":"ETHUSDT","pnl_usd":2.0,"position_size_usd":50.0}',
    ),
}
ANSWERS: Mapping[str, list[str]] = {
    "intent_bridge": [
        "EXECUTE ENTRY_PROPOSED BUY",
        "SKIP HOLD",
        "EXECUTE FULL_CLOSE_PROPOSED SELL",
    ],
    "apply_layer": ["EXECUTE true", "SKIP false action_hold", "FULL_CLOSE_PROPOSED SELL true"],
    "execution": ["BUY filled", "SELL filled"],
    "rl_feedback": ["", ""],
}


def mortal(url: str, lives: int, death: str) -> client.Redis:
    """Return a client like the pipeline's whose process dies with its packet number *lives*."""
    left = lives

    class Mortal(client.Connection):
        """One connection of it."""

        def send_packed_command(self, command: Any, check_health: bool = True) -> None:
            """Send, unless that is the end."""
            nonlocal left
            left -= 1
            if left > 0:
                super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]
                return
            if left == 0 and death != DEATHS[0]:
                packed = command if isinstance(command, bytes) else b"".join(command)
                whole = death == DEATHS[2]
                sock: Any = self._sock
                sock.sendall(packed if whole else packed[: len(packed) // 2])
                if whole:
                    sock.recv(1)  # it was carried out, and nobody hears of it
            self.disconnect()  # type: ignore[no-untyped-call]
            raise client.ConnectionError("killed")

    pool = client.ConnectionPool.from_url(
        url,
        connection_class=Mortal,
        decode_responses=True,
        encoding_errors="replace",
        protocol=2,
        retry=Retry(NoBackoff(), 0),
    )
    return client.Redis(connection_pool=pool)


def survives(stage: str, context: Context) -> bool:
    """Let *stage* work off what there is; say whether it lived to see the end."""
    try:
        loop = Loop(stage, STAGES[stage][0](context), context)
        while loop.step(0):
            pass
    except client.ConnectionError:
        return False
    return True


def let_pending_grow_old(redis: Any, stream: str) -> None:
    """Have what a dead service held look as if a minute had passed."""
    for consumer_group in redis.xinfo_groups(stream):
        held = redis.xpending_range(stream, consumer_group["name"], "-", "+", 99)
        for one in held:
            redis.execute_command(
                *("XCLAIM", stream, consumer_group["name"], one["consumer"], 0, one["message_id"]),
                *("IDLE", 60_000),
            )


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("stage", ENTRIES)
def test_each_entry_is_answered_once(
    stage: str, death: str, redis: Any, server: EmbeddedServer, context: ContextOf
) -> None:
    """Killed at every packet it sends, and started anew: nothing is lost, doubled or answered otherwise."""
    _, into, out = STAGES[stage]
    for lives in range(1, 99):
        redis.flushall()
        make_ready(redis)
        for drawn in ENTRIES[stage]:
            redis.xadd(into, entry(drawn))
        if stage == "apply_layer":
            permits = context("permits", {})
            Loop("permits", Permits(permits), permits).step(0)
        first = context(stage, SETTINGS)
        ended = survives(stage, Context(mortal(server.url, lives, death), first.env, first.log, first.vitals))
        let_pending_grow_old(redis, into)
        assert survives(stage, context(stage, SETTINGS))
        answers = [in_short(body(fields)) for _, fields in redis.xrange(out)]
        assert answers == ANSWERS[stage], f"killed at packet {lives}"
        states = [(one["lag"], one["pending"]) for one in redis.xinfo_groups(into)]
        assert set(states) == {(0, 0)}
        if ended:
            break
    assert 4 < lives < 98, "every packet was the last one once"


def test_the_ledger_books_a_fill_once(redis: Any, server: EmbeddedServer, context: ContextOf) -> None:
    """A bridge that is killed while it books averages no fill twice."""
    fill = 'payload={"symbol":"SOLUSDT","action":"BUY","status":"filled","entry_price":50,"position_size_usd":50}'
    for lives in range(1, 99):
        redis.flushall()
        redis.xadd(names.EXECUTION_RESULT, entry(fill))
        built = context("intent_bridge", SETTINGS)
        mortals = Context(mortal(server.url, lives, DEATHS[2]), built.env, built.log, built.vitals)
        ended = survives("intent_bridge", mortals)
        let_pending_grow_old(redis, names.EXECUTION_RESULT)
        assert survives("intent_bridge", context("intent_bridge", SETTINGS))
        assert redis.hgetall(names.POSITIONS) == {"SOLUSDT": '{"qty": 1.0, "entry_price": 50.0}'}
        assert redis.xlen(names.TRADE_EXECUTION_RES) == 1
        if ended:
            break
