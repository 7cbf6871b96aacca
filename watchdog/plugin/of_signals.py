"""Whether a signal keeps to what the watchdog relies on."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from watchdog.conditions import find_measure
from watchdog.errors import CollectError
from watchdog.model import Kind, Labels, Reading, SignalKey
from watchdog.plugin.demands import NOW, demand, refuses_unknown_keys
from watchdog.signals.base import (
    GatheredSignal,
    LocalSignal,
    RedisSignal,
    Refused,
    RestingSignal,
    Signal,
    SignalConfig,
)
from watchdog.signals.fitting import why_no_signal

KEEP = timedelta(hours=1)
Answers = Callable[[tuple[str | bytes | int, ...]], Any]
"""What a test's Redis answers to a command: bytes, numbers, lists of them, or None."""
NOT_ALLOWED = Refused("NOPERM this user has no permissions to run this command")
_READING = """
@LATENCY BITCOUNT DBSIZE EXISTS EXPIRETIME GET GETBIT GETRANGE HEXISTS HGET HGETALL HKEYS HLEN HMGET HSCAN
HSTRLEN HVALS INFO LINDEX LLEN LPOS LRANGE MEMORY MGET OBJECT PEXPIRETIME PFCOUNT PING PTTL SCAN SCARD
SISMEMBER SMEMBERS SMISMEMBER SRANDMEMBER SSCAN STRLEN TIME TTL TYPE XINFO XLEN XPENDING XRANGE XREVRANGE
ZCARD ZCOUNT ZRANGE ZRANGEBYSCORE ZREVRANGE ZSCAN ZSCORE
"""
READING = frozenset(_READING.split())
"""The commands a signal may ask: the watchdog never changes what it watches."""
_NONE_OF_THEM = (
    "HGETALL HKEYS HVALS LRANGE SMEMBERS SRANDMEMBER XPENDING XRANGE XREVRANGE ZRANGE ZRANGEBYSCORE ZREVRANGE"
)
_HOW_MANY = "BITCOUNT EXISTS HEXISTS HLEN LLEN SCARD SISMEMBER STRLEN XLEN ZCARD ZCOUNT"
ABSENT: Mapping[str, Any] = {
    **dict.fromkeys(_NONE_OF_THEM.split(), ()),
    **dict.fromkeys(_HOW_MANY.split(), 0),
    **dict.fromkeys(("EXPIRETIME", "PEXPIRETIME", "PTTL", "TTL"), -2),
    "TYPE": b"none",
    "@LATENCY": 0.001,
    "INFO": b"",
}
"""What commands bring of a key that is not there; any other brings None."""
OWN_LABELS = frozenset({"alertname", "service", "severity", "redis"})
_LABEL = re.compile(r"[a-z][a-z0-9_]*")


def check_signal(
    name: str, signal: type[Signal[Any]], *examples: Mapping[str, Any], answers: Answers | None = None
) -> None:
    """
    Demand that *signal*, called *name* in rules.yaml, keeps to the contract.

    Each of *examples* is what stands under its name in the file. A signal that is read from Redis gets
    no answer, then a refusal, and then *answers*; any other is let look once for each example.
    """
    why = why_no_signal(name, signal)
    demand(not why, f"{name}: {why}")
    demand(examples, f"{name}: give at least one example of what stands under its name in rules.yaml")
    for example in examples:
        config = _config(name, signal.Config, example)
        key = SignalKey("service", name, _labels(name, config))
        _check_offered(name, signal, config)
        if issubclass(signal, RedisSignal):
            for answer in (nothing_there, nothing_allowed):
                _check_blind(signal(key, config, KEEP), answer)
            if answers is not None:
                _check_reading(signal, key, config, lambda built: _asked(built, answers))
        elif issubclass(signal, GatheredSignal):
            _check_reading(signal, key, config, lambda built: type(built).gather([built], NOW)[0])
        elif issubclass(signal, LocalSignal):
            _check_reading(signal, key, config, lambda built: built.look_here(NOW))


def nothing_there(command: tuple[str | bytes | int, ...]) -> Any:
    """Answer as a Redis does that has no such key."""
    word = str(command[0]).upper()
    if word == "XINFO":
        return Refused("ERR no such key")
    if word in ("HMGET", "MGET"):
        return [None] * (len(command) - (2 if word == "HMGET" else 1))
    return ABSENT.get(word)


def nothing_allowed(_: tuple[str | bytes | int, ...]) -> Any:
    """Answer as a Redis does whose user may do nothing."""
    return NOT_ALLOWED


def _config(name: str, config: type[SignalConfig], example: Mapping[str, Any]) -> SignalConfig:
    try:
        found = config.model_validate(dict(example))
    except ValidationError as exc:
        raise AssertionError(f"{name}: the example {dict(example)} is refused: {exc}") from exc
    refuses_unknown_keys(name, config, example)
    demand(found.model_config.get("frozen"), f"{name}: its Config can be changed after it is loaded")
    return found


def _labels(name: str, config: SignalConfig) -> Labels:
    labels = config.labels()
    demand(isinstance(labels, Labels), f"{name}: labels() returns no Labels")
    for label in labels:
        good = _LABEL.fullmatch(label) and label not in OWN_LABELS
        demand(good, f'{name}: "{label}" is no label of its own (small letters, digits and _)')
    demand(config.labels() == labels, f"{name}: labels() returns others when it is asked again")
    return labels


def _check_offered(name: str, signal: type[Signal[Any]], config: SignalConfig) -> None:
    for measure, offered in config.offered().items():
        known = find_measure(measure, signal.MEASURES)
        demand(known is not None, f"{name}: it offers {measure}, which is not in MEASURES")
        alike = known is not None and offered.kind is known.kind and offered.unit is known.unit
        demand(alike, f"{name}: it offers {measure} as something else than MEASURES says")


def _asked(built: Signal[Any], answers: Answers) -> Reading:
    """Let *built* look once, with *answers* to what it asks."""
    if isinstance(built, RestingSignal):
        built.wake_at = 0.0
    assert isinstance(built, RedisSignal)
    look = built.look(NOW)
    replies: Sequence[Any] | None = None
    while True:
        try:
            commands = next(look) if replies is None else look.send(replies)
        except StopIteration as end:
            reading: Reading = end.value
            return reading
        for command in commands:
            word = str(command[0]).upper()
            demand(word in READING, f"{built.key.kind}: it asks {word}, which is not known only to read")
        replies = [answers(command) for command in commands]


def _check_blind(built: Signal[Any], answer: Answers) -> None:
    """Demand that a look without answers is unknown or a reading, and never a failure of another sort."""
    kind = built.key.kind
    try:
        reading = _asked(built, answer)
    except CollectError as exc:
        demand(str(exc), f"{kind}: its CollectError does not say why")
        return
    except AssertionError:
        raise
    except Exception as exc:
        raise AssertionError(
            f"{kind}: where Redis answers nothing or refuses, it fails with {type(exc).__name__}: {exc}"
            " (raise CollectError)"
        ) from exc
    demand(
        not (answer is nothing_allowed and reading.known),
        f"{kind}: it says that all is known where Redis refused it",
    )
    _check_values(built, reading)


def _check_reading(
    signal: type[Signal[Any]], key: SignalKey, config: SignalConfig, look: Callable[[Any], Reading]
) -> None:
    """Demand that what one look brings can be used, kept, and taken up by the next process."""
    built = signal(key, config, KEEP)
    try:
        reading = look(built)
    except CollectError as exc:
        demand(str(exc), f"{key.kind}: its CollectError does not say why")
        return
    _check_values(built, reading)
    try:
        memory = json.loads(json.dumps(built.memory()))
    except TypeError as exc:
        raise AssertionError(f"{key.kind}: its memory() cannot be kept as JSON: {exc}") from exc
    demand(memory == built.memory(), f"{key.kind}: its memory() does not survive being kept as JSON")
    signal(key, config, KEEP).remember(memory)


def _check_values(built: Signal[Any], reading: Reading) -> None:
    kind, measures = built.key.kind, built.MEASURES
    demand(isinstance(reading, Reading), f"{kind}: a look returns no Reading")
    demand(reading.signal == built.key, f"{kind}: its reading is not under the key that it was given")
    demand(reading.at == NOW, f"{kind}: its reading has another time than it was given as now")
    for name, held in reading.values.items():
        measure = find_measure(name, measures)
        demand(measure is not None, f"{kind}: it tells {name}, which is not in MEASURES")
        if measure is None or held is None:
            continue
        demand(not measure.windowed, f"{kind}: {name} is over a window, so it belongs into counts")
        is_word = isinstance(held, str)
        demand(is_word == (measure.kind is Kind.WORD), f"{kind}: {name} is told as {type(held).__name__}")
        listed = not is_word or not measure.words or held in measure.words
        demand(listed, f'{kind}: {name} is "{held}", which is none of its words')
        good = is_word or (not isinstance(held, bool) and not (isinstance(held, float) and math.isnan(held)))
        demand(good, f"{kind}: {name} is {held!r}, which is no number (unknown is None)")
    counters = {part for found in measures.values() for part in found.parts}
    counters |= {name for name, found in measures.items() if found.kind is Kind.COUNTER}
    for name, _ in reading.counts:
        demand(
            name in counters or find_measure(name, measures),
            f"{kind}: it counts {name}, of which no measure is made",
        )
    try:
        json.dumps(dict(reading.evidence))
    except TypeError as exc:
        raise AssertionError(f"{kind}: its evidence cannot be shown as JSON: {exc}") from exc
