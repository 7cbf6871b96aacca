"""
The loop that every service of the pipeline runs in.

What a service does comes back to the loop as a list of writes, which go out in one transaction with the
acknowledgement of the entry they answer: a service that dies halfway has done all of it or nothing, and
takes the entry up again after its restart.
"""

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from watchdog.pipeline import names
from watchdog.pipeline.health import Vitals
from watchdog.pipeline.messages import Fields, UnreadableError
from watchdog.pipeline.settings import Env
from watchdog.traceparent import TRACEPARENT, Traceparent, parse_traceparent

MAX_LENGTH = 10_000
BATCH = 20
BLOCK_SECONDS = 0.4  # a stop has to be noticed within a second
CLAIM_EVERY_SECONDS = 2.0
CLAIM_IDLE_MS = 1_000
BACK_OFF_SECONDS = (0.1, 2.0)
HEARTBEAT_EVERY_SECONDS = 4.5


@dataclass(frozen=True)
class Input:
    """A stream that a service reads through a consumer group."""

    stream: str
    consumer_group: str


@dataclass(frozen=True)
class Entry:
    """One entry, and where it was read."""

    source: Input
    id: str
    fields: Fields


@dataclass(frozen=True)
class Write:
    """One command to Redis."""

    command: tuple[str | int | float, ...]

    def under(self, trace: Traceparent) -> "Write":
        """Return the write with *trace* in the entry it adds, if it adds one."""
        return Write((*self.command, TRACEPARENT, str(trace))) if self.command[0] == "XADD" else self


@dataclass(frozen=True)
class Context:
    """What a service is built from."""

    redis: redis.Redis
    env: Env
    log: logging.Logger
    vitals: Vitals
    clock: Callable[[], float] = time.time


class Ended(Exception):  # noqa: N818 - it is no error by itself
    """The service ends by itself, with *status*."""

    def __init__(self, status: int = 0) -> None:
        super().__init__(f"status {status}")
        self.status = status


class Service:
    """One service: it answers entries, and may do something of its own in between."""

    inputs: Sequence[Input] = ()
    beats_as = ""  # the name in its heartbeat's key, where that is not its own
    heartbeat_ttl_seconds = 30

    def __init__(self, context: Context) -> None:
        self.redis = context.redis
        self.log = context.log
        self.vitals = context.vitals

    def settings_in_effect(self) -> Mapping[str, object]:
        """Return the settings that the service really uses, as it prints them at start."""
        return {}

    def handle(self, entry: Entry, now: float) -> Sequence[Write]:
        """Return what has to be written in answer to *entry*."""
        raise NotImplementedError

    def tick(self, now: float) -> Sequence[Write]:  # noqa: ARG002 - for those who need it
        """Return what has to be written without having been asked."""
        return ()

    def pause(self, now: float) -> float:  # noqa: ARG002
        """Return for how many seconds the loop may wait for entries before the next tick."""
        return BLOCK_SECONDS

    def heartbeat_value(self, now: float) -> str:
        """Return what the heartbeat key is set to."""
        return str(int(now))


def append(stream: str, fields: Fields) -> Write:
    """Return the write that adds an entry to *stream*, which stays at about its cap."""
    pairs = (part for pair in fields.items() for part in pair)
    return Write(("XADD", stream, "MAXLEN", "~", MAX_LENGTH, "*", *pairs))


def span_after(carried: str | None) -> Traceparent:
    """Return a new span in the trace that an entry *carried*, or in a new one if it carried none."""
    before = parse_traceparent(carried)
    if before is None:
        return Traceparent(secrets.token_hex(16), secrets.token_hex(8))
    return before._replace(span_id=secrets.token_hex(8))


def connect(url: str, patience: float = 5.0) -> redis.Redis:
    """Return a client that fails after *patience* seconds: trying again is the loop's business."""
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        encoding_errors="replace",  # an entry may hold anything
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=patience,
        socket_connect_timeout=2.0,
    )


class Loop:
    """Reads, answers, acknowledges and beats for one service until it is told to stop."""

    def __init__(self, name: str, service: Service, context: Context) -> None:
        self.service = service
        self.redis = context.redis
        self.log = context.log
        self.vitals = context.vitals
        self.clock = context.clock
        self.consumer = f"{name}-{socket.gethostname()}-{os.getpid()}"
        self.heartbeat_key = names.heartbeat(service.beats_as or name)
        self.heartbeat_ttl = context.env.number("HEARTBEAT_TTL_SEC", service.heartbeat_ttl_seconds)
        self.heartbeat_every = min(HEARTBEAT_EVERY_SECONDS, self.heartbeat_ttl / 4)
        self.stopping = threading.Event()
        self.next_heartbeat = 0.0
        self.next_claim = 0.0

    def run(self) -> None:
        """Work until `stopping` is set, whatever Redis does meanwhile; Ended if the service ends itself."""
        wait = BACK_OFF_SECONDS[0]
        while not self.stopping.is_set():
            if self.attempt() is None:
                self.stopping.wait(wait)
                wait = min(wait * 2, BACK_OFF_SECONDS[1])
            else:
                wait = BACK_OFF_SECONDS[0]
        self.log.info("Stopped")

    def attempt(self, longest: float = BLOCK_SECONDS) -> int | None:
        """Take a step; return how many entries were read, or None if Redis did not serve us."""
        try:
            return self.step(longest)
        except redis.RedisError as exc:
            if isinstance(exc, redis.ResponseError) and str(exc).startswith("NOGROUP"):
                self.create_groups()
                return 0
            if self.vitals.connected:
                self.log.warning("Redis does not serve us, trying again: %s", exc)
            self.vitals.connected = False
            return None

    def step(self, longest: float = BLOCK_SECONDS) -> int:
        """
        Look once at everything the service has to do, do it, and only then say that it lives.

        Wait for entries for *longest* seconds at most, not at all for 0; return how many were read.
        """
        if not self.vitals.connected:
            self.create_groups()
            self.vitals.connected = True
            self.log.info("Connected to Redis as %s", self.consumer)
        now = self.clock()
        self._commit([write.under(span_after(None)) for write in self.service.tick(now)])
        if now >= self.next_claim:
            self.next_claim = now + CLAIM_EVERY_SECONDS
            self._take_up_pending_entries()
        # A heartbeat that is due is not kept waiting for entries that may not come.
        pause = max(0.0, min(self.service.pause(now), self.next_heartbeat - now, longest))
        if not self.service.inputs:
            self.stopping.wait(pause)
        block_ms = max(1, int(pause * 1000)) if longest else None
        read = 0
        for source in self.service.inputs:
            entries = self._read(source, block_ms if source is self.service.inputs[-1] else None)
            self._answer(entries)
            read += len(entries)
        self._beat(self.clock())
        return read

    def create_groups(self) -> None:
        """Make every consumer group that is not there, and its stream."""
        self.next_heartbeat = 0.0  # a Redis that forgot the groups has forgotten the last one too
        for source in self.service.inputs:
            try:
                self.redis.xgroup_create(source.stream, source.consumer_group, id="0", mkstream=True)
            except redis.ResponseError as exc:
                if not str(exc).startswith("BUSYGROUP"):
                    raise

    def _read(self, source: Input, block_ms: int | None) -> list[Entry]:
        answer = self.redis.xreadgroup(
            source.consumer_group, self.consumer, {source.stream: ">"}, count=BATCH, block=block_ms
        )
        return [Entry(source, *entry) for _, entries in cast("Any", answer) or () for entry in entries]

    def _take_up_pending_entries(self) -> None:
        """Answer what was delivered to us, or to our predecessor, and never acknowledged."""
        for source in self.service.inputs:
            answer = self.redis.xautoclaim(
                source.stream, source.consumer_group, self.consumer, CLAIM_IDLE_MS, "0-0", count=BATCH
            )
            self._answer([Entry(source, *entry) for entry in cast("Any", answer)[1]])

    def _answer(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            stream, consumer_group = entry.source.stream, entry.source.consumer_group
            if self.stopping.is_set():
                return  # the rest stays pending and is taken up after the restart
            writes: Sequence[Write] = ()
            try:
                writes = self.service.handle(entry, self.clock())
            except UnreadableError as exc:
                self.log.warning("Dropped unreadable entry %s of %s: %s", entry.id, stream, exc)
            except redis.RedisError:
                raise
            except Exception:  # one poison entry must not end the service, nor come back for ever
                self.log.exception("Dropped entry %s of %s", entry.id, stream)
            span = span_after(entry.fields.get(TRACEPARENT))
            answers = [write.under(span) for write in writes]
            self._commit([*answers, Write(("XACK", stream, consumer_group, entry.id))])

    def _commit(self, writes: Sequence[Write]) -> None:
        if writes:
            transaction: Any = self.redis.pipeline(transaction=True)
            for write in writes:
                transaction.execute_command(*write.command)
            transaction.execute()

    def _beat(self, now: float) -> None:
        if now >= self.next_heartbeat:
            self.next_heartbeat = now + self.heartbeat_every
            beat = self.service.heartbeat_value(now)
            self.redis.set(self.heartbeat_key, beat, px=int(self.heartbeat_ttl * 1000))
