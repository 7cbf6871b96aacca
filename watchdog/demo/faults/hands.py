"""What hands do to the pipeline, by faults and by their healthy twins: settings, keys, entries."""

from __future__ import annotations

import json

from watchdog.demo.faults.fault import Deed
from watchdog.demo.stage import Stage
from watchdog.pipeline import names
from watchdog.pipeline.settings import Env, read_env

DELISTED = [f"OLD{number}USDT" for number in range(10)]


def setting(service: str, key: str, value: str) -> Deed:
    """Return what writes *key* into the env file of *service* and restarts it."""

    async def deed(stage: Stage) -> None:
        await stage.units.set_setting(service, key, value)

    return deed


def in_turn(*deeds: Deed) -> Deed:
    """Return what does all of *deeds*, one after the other."""

    async def deed(stage: Stage) -> None:
        for one in deeds:
            await one(stage)

    return deed


def writing(key: str, value: str, seconds: int | None = None) -> Deed:
    """Return what a person does with redis-cli: SET, for so many *seconds* or for good."""

    async def deed(stage: Stage) -> None:
        stage.redis.set(key, value, ex=seconds)

    return deed


def deleting(key: str) -> Deed:
    """Return what a person does with redis-cli: DEL."""

    async def deed(stage: Stage) -> None:
        stage.redis.delete(key)

    return deed


def holding(*symbols: str) -> Deed:
    """Return what leaves positions of *symbols* in the ledger that nobody holds."""

    async def deed(stage: Stage) -> None:
        for symbol in symbols:
            stage.redis.hset(names.POSITIONS, symbol, json.dumps({"qty": 1.0, "entry_price": 1.0}))

    return deed


def intending(count: int, **fields: object) -> Deed:
    """Return what adds so many intents of *fields*, as another producer would: flat, and all as text."""

    async def deed(stage: Stage) -> None:
        now = stage.clock().isoformat()
        for number in range(count):
            intent = {
                **fields,
                "timestamp": now,
                "correlation_id": f"{now}-{number}",
                "source": "exit-gateway",
            }
            stage.redis.xadd(names.TRADE_INTENT, {key: str(value) for key, value in intent.items()})

    return deed


async def drop_delisted(stage: Stage) -> None:
    """Take the positions that nobody holds out of the ledger."""
    stage.redis.hdel(names.POSITIONS, *DELISTED)


def market_turns(times: float) -> Deed:
    """Return what makes the market so many *times* as busy as it is."""

    async def deed(stage: Stage) -> None:
        rate = Env(read_env(stage.units.env_files["intents"])).number("RATE", 1.0)
        await stage.units.set_setting("intents", "RATE", f"{rate * times:g}")

    return deed


async def send_plans_again(stage: Stage) -> None:
    """Put the latest plans on their stream once more."""
    for _, plan in reversed(stage.redis.xrevrange(names.APPLY_PLAN, count=5)):
        stage.redis.xadd(names.APPLY_PLAN, plan)
