"""`watchdog heartbeat`: marked while it lives, reported, ended by itself, given back to its service."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.drawn import ids, rows
from tests.process.conftest import typed, until
from watchdog.audit import audit
from watchdog.clock import utc_now
from watchdog.config import parse
from watchdog.demo.server import EmbeddedServer, free_port, start_server
from watchdog.discovery import HEARTBEAT, STREAM
from watchdog.report import Snapshot
from watchdog.standin import End, Plan, RefusedError, StandIn
from watchdog.synthetic import Form, Mark, form_of, mark_key, read_mark, write_beat
from watchdog.timestamps import parse_timestamp
from watchdog.writer import RedisWriter

KEY = "quantum:svc:rl_trainer:heartbeat"
MARK = mark_key(KEY)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """A real server."""
    with start_server() as running:
        yield running


@pytest.fixture
def client(server: EmbeddedServer) -> Iterator[Any]:
    """A client of it, which finds it empty."""
    with redis.Redis.from_url(server.url, decode_responses=True) as found:
        found.flushall()
        yield found


class Desk:
    """Somebody at a terminal who keeps a heartbeat alive."""

    def __init__(self, url: str, **changes: Any) -> None:
        now = utc_now()
        mark = Mark("new trainer is coming", "ann@host", now, now + changes.pop("length", timedelta(hours=1)))
        plan: dict[str, Any] = {"key": KEY, "every": timedelta(milliseconds=40), "ttl": timedelta(seconds=1)}
        self.said: list[str] = []
        self.stop = asyncio.Event()
        self.writer = RedisWriter(url, timedelta(seconds=1))
        self.stand_in = StandIn(
            self.writer, Plan(mark=mark, **{**plan, **changes}), utc_now, self.said.append
        )

    async def run(self) -> End:
        """Do it to the end."""
        try:
            async with asyncio.timeout(15):
                return await self.stand_in.run(self.stop)
        finally:
            await self.writer.close()


async def becomes(holds: Any) -> None:
    """Wait until it does."""
    async with asyncio.timeout(15):
        while not holds():
            await asyncio.sleep(0.005)


def look(server: EmbeddedServer) -> Snapshot:
    """Look at the heartbeat as the watchdog does."""
    return audit(
        parse(f"redis: {server.url}\nservices: {{rl_trainer: {{heartbeat: {{key: '{KEY}'}}}}}}"), utc_now()
    )


def alerts(snapshot: Snapshot) -> set[str]:
    """Return the names of all that is wrong."""
    return {notice.alert.labels["alertname"] for notice in snapshot.notices}


# ---- how a beat is written ----------------------------------------------------------------------

FORMS = """
  as its service wrote it          | form
  1771465997                       | epoch_s
  1771465997.2556114               | epoch_float
  1771465997255                    | epoch_ms
  1771465997255611                 | epoch_us
  1771465997255611000              | epoch_ns
  2026-02-19T01:53:17.255611+00:00 | iso
"""


@pytest.mark.parametrize(("written", "form"), rows(FORMS), ids=ids(FORMS))
def test_a_beat_is_written_as_its_service_would(written: str, form: str) -> None:
    """Each form is told by looking, and gives the same moment back."""
    assert form_of(written) == form
    moment = parse_timestamp(written)
    assert moment is not None
    again = parse_timestamp(write_beat(Form(form), moment))
    assert again is not None
    assert abs(again - moment) < timedelta(seconds=1)
    assert len(write_beat(Form(form), moment)) <= len(written)


@pytest.mark.parametrize("written", ["", "alive", '{"ts": 1771465997}', "42"])
def test_what_cannot_be_imitated(written: str) -> None:
    """What is no bare time is not overwritten by a guess."""
    with pytest.raises(ValueError, match="no time that could be written anew"):
        form_of(written)


@pytest.mark.parametrize("text", ["", "[]", "{", "x" * 10_000, '{"reason": ' + "[" * 100_000])
def test_a_mark_that_cannot_be_read(text: str) -> None:
    """Anybody may have written it; it is a mark all the same, and no long one."""
    assert all(len(said) <= 200 for said in read_mark(text).values())


# ---- its life ----------------------------------------------------------------------------------


async def test_while_it_lives_it_is_reported(server: EmbeddedServer, client: Any) -> None:
    """Missing before; then SyntheticHeartbeat in its place, with who, why and until when; missing again after."""
    missing = await asyncio.to_thread(look, server)
    desk = Desk(server.url)
    running = asyncio.create_task(desk.run())
    await becomes(lambda: client.exists(KEY))
    seen = await asyncio.to_thread(look, server)
    desk.stop.set()
    assert await running is End.STOPPED
    assert (alerts(missing), alerts(seen)) == ({"HeartbeatMissing"}, {"SyntheticHeartbeat"})
    (notice,) = seen.notices
    alert = notice.alert
    told = str(alert.evidence["synthetic"])
    assert told.startswith("reason new trainer is coming, by ann@host, since 20")
    assert ", until 20" in told
    assert (alert.labels["severity"], alert.labels["key"]) == ("warning", KEY)
    client.delete(KEY)
    assert alerts(await asyncio.to_thread(look, server)) == {"HeartbeatMissing"}


def test_the_healthy_twin(server: EmbeddedServer, client: Any) -> None:
    """A service that beats itself is no emergency, and a mark whose time is over marks nothing."""
    client.set(KEY, int(utc_now().timestamp()), ex=30)
    assert alerts(look(server)) == set()
    client.set(MARK, Mark("old", "ann", utc_now(), utc_now()).text())
    assert alerts(look(server)) == set()


async def test_key_and_mark_end_with_it(server: EmbeddedServer, client: Any) -> None:
    """Both expire, the mark after the key: also if the process is killed, nothing of it stays."""
    desk = Desk(server.url)
    running = asyncio.create_task(desk.run())
    await becomes(lambda: client.exists(KEY))
    lives = client.pttl(KEY), client.pttl(MARK)
    desk.stop.set()
    await running
    assert 0 < lives[0] <= 1000 < lives[1] <= 3000


async def test_it_ends_when_its_time_is_over(server: EmbeddedServer, client: Any) -> None:
    """The last beat lives no longer than that."""
    desk = Desk(server.url, length=timedelta(milliseconds=200))
    assert await desk.run() is End.OVER
    await becomes(lambda: not client.exists(KEY))


async def test_a_service_that_comes_back_is_left_alone(server: EmbeddedServer, client: Any) -> None:
    """H06: the unit restarts and beats; its beat stays, and the mark goes at once."""
    desk = Desk(server.url)
    running = asyncio.create_task(desk.run())
    await becomes(lambda: client.exists(KEY))
    client.set(KEY, "1771465997.25", ex=30)
    assert await running is End.BACK
    assert (client.get(KEY), client.exists(MARK)) == ("1771465997.25", 0)


async def test_redis_away_does_not_end_it(client: Any) -> None:
    """Said once, tried again."""
    port = free_port()
    desk = Desk(f"redis://127.0.0.1:{port}")
    with pytest.raises(Exception, match="Connection refused"):
        await desk.run()  # but who cannot begin is told so
    with start_server(port=port) as first, redis.Redis.from_url(first.url) as sees:
        desk = Desk(first.url)
        running = asyncio.create_task(desk.run())
        await becomes(lambda: sees.exists(KEY))
    await becomes(lambda: desk.said)
    with start_server(port=port) as second, redis.Redis.from_url(second.url) as sees:
        await becomes(lambda: sees.exists(KEY))
        desk.stop.set()
        await running
    assert len(desk.said) == 2
    assert desk.said[0].endswith("; trying again")
    assert desk.said[1] == "beating again"


def test_discovery_takes_no_mark_for_a_heartbeat() -> None:
    """It would have no time, and belong to a service that nobody has."""
    (plan,) = parse('discover: {heartbeats: "quantum:svc:*", streams: "quantum:*"}').discover
    assert [plan.covers(HEARTBEAT, name.encode()) for name in (KEY, MARK)] == [True, False]
    assert plan.covers(STREAM, MARK.encode())


# ---- what it refuses ---------------------------------------------------------------------------


async def test_a_service_that_beats_needs_none(server: EmbeddedServer, client: Any) -> None:
    """It is seen to be renewed, by its value or by its life; `force` does it all the same."""
    client.set(KEY, "1771465997", ex=30)
    desk = Desk(server.url)
    running = asyncio.create_task(desk.run())
    await becomes(lambda: desk.said)
    client.set(KEY, "1771465997", ex=40)
    with pytest.raises(RefusedError, match=f"^{KEY} is renewed by its service"):
        await running
    desk = Desk(server.url, force=True)
    running = asyncio.create_task(desk.run())
    await becomes(lambda: client.exists(MARK))
    client.set(KEY, "1771465997", ex=30)
    await becomes(lambda: client.get(KEY) != "1771465997")
    desk.stop.set()
    assert await running is End.STOPPED


async def test_a_key_that_dies_unrenewed_is_taken_over_as_it_was_written(
    server: EmbeddedServer, client: Any
) -> None:
    """Milliseconds stay milliseconds."""
    client.set(KEY, "1771465997255", px=400)
    desk = Desk(server.url)
    running = asyncio.create_task(desk.run())
    await becomes(lambda: client.exists(MARK))
    await becomes(lambda: client.exists(KEY))
    assert form_of(client.get(KEY)) is Form.EPOCH_MS
    desk.stop.set()
    await running


async def test_two_people_at_once(server: EmbeddedServer, client: Any) -> None:
    """The second is told who is at it."""
    client.set(MARK, Mark("mine", "bob@host", utc_now(), utc_now() + timedelta(hours=1)).text())
    with pytest.raises(RefusedError, match=r"is kept alive by bob@host until 20\S+Z already"):
        await Desk(server.url).run()


async def test_a_key_of_another_type(server: EmbeddedServer, client: Any) -> None:
    """One sentence, and nothing is written."""
    client.hset(KEY, "ts", "1")
    with pytest.raises(RefusedError, match=f"^{KEY} holds no text, so there is no beat to write$"):
        await Desk(server.url).run()
    assert not client.exists(MARK)


MISTAKES = """
  typed                                | said
  --until 2h                           | Missing option '--reason'
  --reason x                           | Missing option '--until'
  --until 25h --reason x               | --until: "25h" is not above 0s and at most 1d
  --until 0s --reason x                | --until: "0s" is not above 0s and at most 1d
  --until soon --reason x              | --until: "soon" is not a duration
  --until 1h --reason _                | --reason: say why, for whoever is woken by it
  --until 1h --reason x --ttl 5s --every 5s | --every: a beat that lives 5s is renewed before that
  --until 1h --reason x --redis ftp://u:secret@h | --redis: this is not a Redis URL (write redis://host:6379/0)
  --until 1h --reason x --format words | Invalid value for '--format'
  --until 1h --reason x --rules none   | none
  --until 1h --reason x --redis redis://:secret@127.0.0.1:1 | Redis at 127.0.0.1:1 cannot be reached: Connection refused
"""


@pytest.mark.parametrize(("options", "said"), rows(MISTAKES), ids=ids(MISTAKES))
def test_mistakes(options: str, said: str) -> None:
    """One sentence with the cure, and no secret."""
    arguments = [" " if word == "_" else word for word in options.split()]
    ran = typed("heartbeat", KEY, *arguments)
    assert ran.status in (1, 2)
    assert said in ran.err
    assert "secret" not in ran.out + ran.err


# ---- as a process --------------------------------------------------------------------------------


def test_ctrl_c(server: EmbeddedServer, client: Any, tmp_path: Path) -> None:
    """The rules name the server and the life; ^C ends it with status 0, and both keys die soon."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(f"redis: {server.url}\nservices: {{a: {{heartbeat: {{key: '{KEY}', ttl: 2s}}}}}}\n")
    words = [
        "heartbeat",
        KEY,
        "--until",
        "1h",
        "--reason",
        "a\x1b[2Jb",
        "--author",
        "ann",
        "--rules",
        str(rules),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "watchdog", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    try:
        assert process.stderr is not None
        first = process.stderr.readline()  # once it is there
        assert first.startswith(f"beating at {KEY} until 20")
        until(lambda: client.exists(KEY))
        mark = json.loads(client.get(MARK))
        life = client.pttl(KEY)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=15)
    finally:
        process.kill()
    assert (process.returncode, out) == (0, f"{KEY}: it was stopped; it expires within 2s\n")
    assert (mark["reason"], mark["by"].split("@")[0], 0 < life <= 2000) == ("a\x1b[2Jb", "ann", True)
    assert "\x1b" not in first + err
