"""`bench.poll` measures both sides and can fail; how fast anything was is no test's business."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

import watchdog
from bench.notify.child import Answer, BenchError
from bench.poll.__main__ import PARTS, main
from bench.poll.bystanders import Feelings, Hurt, Patience, Slowest, log_commands, our_commands, slowest
from bench.poll.measures import Cost, Growth, Looks, Parts, Rendered, column
from bench.poll.neighbour import Felt, running_neighbour
from bench.poll.ours import Ours
from bench.poll.peer import compare, running_exporter, series
from bench.poll.process import forget_peak, peak_rss, rss, sockets_to
from bench.poll.proxy import ping, running_proxy
from bench.poll.served import Served
from bench.poll.stages import ELSEWHERE, STAGES, Sampler, stage_of
from bench.poll.streams import FORMS, GROUPS, MOVED, World, rules_text, running_world, stream_names
from bench.poll.table import (
    distance_table,
    growth_table,
    hurt_table,
    looks_table,
    metrics_table,
    parts_table,
    patience_table,
    quantile,
    spread_table,
)
from watchdog.config import parse
from watchdog.demo.server import HOST
from watchdog.globs import parse_pattern

STREAMS = 12


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A server with a few streams."""
    with running_world(STREAMS) as found:
        yield found


class Inside:
    """The benchmark's sidecar in this process, where it starts sooner."""

    def __init__(self, runner: asyncio.Runner, served: Served) -> None:
        self.pid = os.getpid()
        self.runner = runner
        self.served = served

    def ask(self, do: str, **more: object) -> Answer:
        """Have it *do* something, as over the pipe."""
        answer: Answer = json.loads(json.dumps(self.runner.run(self.served.answer({"do": do, **more}))))
        return answer


@contextlib.contextmanager
def sidecar(world: World, place: Path, told: int = STREAMS, form: str = FORMS[0]) -> Iterator[Ours]:
    """A sidecar that is told of so many streams, and must see all."""
    rules = place / "rules.yaml"
    rules.write_text(rules_text(world.server.url, world.names[:told], form))
    with asyncio.Runner() as runner:
        inside: Any = Inside(runner, Served(rules, STREAMS))
        ours = Ours(inside)
        ours.load()
        ours.build()
        yield ours


# ---- the parts ---------------------------------------------------------------------------------

SAYS = {
    "tick": ["| 20 | redis_exporter: scrape |", "| 20 | mean of 3 ticks, nothing moving |"],
    "rtt": ["| 20 streams, PING ", "| tick, a tenth moved |"],
    "metrics": ["| 20 | /metrics, the same among others |"],
    "hurt": ["| watchdog: tick after tick |", "Our commands in SLOWLOG"],
    "linear": ["| 20 | "],
    "parts": ["| 20 streams, share of a tick's CPU |", "| of all, garbage collection |"],
    "slow": ["| stopped | ", "| busy, a second at a time | "],
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_prints_its_table(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Quick, and this one alone; below it on what it was measured."""
    main(["--quick", part])
    printed = capsys.readouterr().out
    assert [line for line in SAYS[part] if line not in printed] == []
    assert "Redis 7." in printed
    assert "redis_exporter 1." in printed


def test_a_part_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With the names of those that are."""
    with pytest.raises(SystemExit):
        main(["ticks"])
    assert "no such part: ticks (there are tick, rtt, metrics, hurt, linear, parts, slow)" in (
        capsys.readouterr().err
    )


# ---- both sides see everything, or there is no figure ------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_the_sidecar_sees_what_there_is_and_what_moves(world: World, tmp_path: Path, form: str) -> None:
    """What it counted is what came; that it did not see something move is an error."""
    with sidecar(world, tmp_path, form=form) as ours:
        ours.settle()
        before = world.moved
        for turn in range(3):
            world.move(turn)
            ours.tick()
        ours.check(world.moved - before)
        world.move(0)
        came = (world.moved - before) * MOVED
        with pytest.raises(BenchError, match=rf"counted .*{came - 2 * MOVED}\.0.* instead of .*{came}"):
            ours.check(world.moved - before)
        ours.tick()
        ours.check(world.moved - before)


def test_streams_that_it_does_not_look_at_are_an_error(world: World, tmp_path: Path) -> None:
    """A sidecar that looks at fewer streams would be fast."""
    with (
        sidecar(world, tmp_path, told=STREAMS - 1, form="declared") as ours,
        pytest.raises(BenchError, match=f"sees {STREAMS - 1} signals of kind stream instead of {STREAMS}"),
    ):
        ours.settle()


def test_an_alert_is_an_error(tmp_path: Path) -> None:
    """Where something is wrong the sidecar has other work to do."""
    with running_world(STREAMS) as world, sidecar(world, tmp_path) as ours:
        ours.settle()
        for name in world.names:
            world.client.xgroup_destroy(name, GROUPS[0])
        for _ in range(20):
            ours.tick()
        with pytest.raises(BenchError, match="alerts fire"):
            ours.check(0)


def test_streams_that_the_exporter_does_not_tell_of_are_an_error(world: World) -> None:
    """It tells of all there are; one more was never there."""
    with running_exporter(world.server.url, STREAMS) as peer:
        assert len(series(peer.scrape().body)) > STREAMS * len(GROUPS)
    with (
        running_exporter(world.server.url, STREAMS + 1) as peer,
        pytest.raises(BenchError, match=f"redis_exporter told of {STREAMS} streams instead of {STREAMS + 1}"),
    ):
        peer.scrape()


THEIRS = b"""# HELP redis_stream_length The number of elements of the stream
redis_up 1
redis_stream_length{db="db0",stream="a b"} 3
redis_stream_group_consumer_idle_seconds{consumer="c\\"d",group="g"} 0.5
"""
EXPOSITIONS = {
    "the same in another order": (
        b'redis_stream_group_consumer_idle_seconds{group="g",consumer="c\\"d"} 0.5\n'
        b'redis_stream_length{stream="a b",db="db0"} 3.0\n',
        None,
    ),
    "time went by, and there is more": (
        THEIRS.replace(b"0.5", b"0.7") + b'redis_stream_groups{stream="a b"} 1\n',
        None,
    ),
    "another number": (
        THEIRS.replace(b"} 3", b"} 4"),
        r"redis_stream_length\{.*\} is 3\.0 there and 4\.0 here",
    ),
    "another label": (THEIRS.replace(b"a b", b"ab"), "lacks 1 of 2 series, as redis_stream_length"),
    "nothing": (b"", "lacks 2 of 2 series"),
}


@pytest.mark.parametrize(("ours", "wrong"), EXPOSITIONS.values(), ids=EXPOSITIONS)
def test_metrics_must_have_the_same_series(ours: bytes, wrong: str | None) -> None:
    """Name, labels and number; only what grows with the clock may differ."""
    if wrong is None:
        assert compare(series(THEIRS), series(ours)) == 2
    else:
        with pytest.raises(BenchError, match=wrong):
            compare(series(THEIRS), series(ours))


@pytest.mark.parametrize("form", FORMS)
def test_the_rules_file_is_a_good_one(form: str) -> None:
    """A few lines with a pattern, or a service for every stream."""
    text = rules_text("redis://127.0.0.1:1/0", stream_names(7), form, "every: 2s")
    config = parse(text)
    kinds = [spec.key.kind for spec in config.signals]
    declared = 0 if form == "discover" else 7
    assert (kinds.count("stream"), kinds.count("consumes")) == (declared, declared * len(GROUPS))
    assert config.every.total_seconds() == 2


# ---- what is measured --------------------------------------------------------------------------


def test_the_proxy_is_slow_and_wide(world: World) -> None:
    """A PING takes as long as was asked for; megabytes take no longer than it and themselves."""
    port = world.server.port
    assert ping(port, 20) < 0.1
    with running_proxy(port, 0.2) as proxy:
        assert proxy.round_trip >= 0.19
        with redis.Redis.from_url(proxy.url, socket_timeout=None) as client:
            began = time.perf_counter()
            assert len(client.echo("x" * 32_000_000)) == 32_000_000
            assert 0.38 < time.perf_counter() - began < 6  # had every megabyte to wait, over six seconds
    with pytest.raises(OSError):
        ping(int(proxy.url.rpartition(":")[2].partition("/")[0]), 1)


def test_only_commands_of_ours_count_as_ours(world: World) -> None:
    """Whoever calls himself otherwise is somebody else; who has no name yet may be us."""
    log_commands(world, 0)
    with pytest.raises(BenchError, match="Redis has logged no command of ours"):
        slowest(world)
    for name in ("bench-neighbour", "pipeline-watchdog"):
        with redis.Redis.from_url(world.server.url, client_name=name) as client:
            client.xlen(name)
    found = [one.command for one in our_commands(world)]
    log_commands(world, 1_000_000)
    assert "XLEN pipeline-watchdog" in found
    assert "XLEN bench-neighbour" not in found


def test_the_neighbour_feels_a_redis_that_is_busy(world: World) -> None:
    """All its commands are timed, and it has streams move."""
    felt: list[Felt] = []
    before = world.moved
    with running_neighbour(world, 0.4, felt), redis.Redis.from_url(world.server.url) as client:
        while world.client.exists("bench:neighbour") == 0:
            pass
        client.eval("local i = 0; while i < 3e6 do i = i + 1 end", 0)
    (found,) = felt
    assert len(found.ping) == len(found.xadd) > 10
    assert max(*found.ping, *found.xadd) > 10 * quantile(found.ping, 0.5)
    assert world.moved == before + found.moved > before


def test_what_waits_at_a_stopped_server_is_seen() -> None:
    """Bytes that nobody takes, also those of a client that has gone."""
    with running_world(1) as world:
        before = sockets_to(world.server.port)
        os.kill(world.server.process.pid, signal.SIGSTOP)
        try:
            with socket.create_connection((HOST, world.server.port)) as client:
                client.sendall(b"PING\r\n" * 100)
                during = sockets_to(world.server.port)
            after = sockets_to(world.server.port)
        finally:
            os.kill(world.server.process.pid, signal.SIGCONT)
    (peer,) = during.keys() - before.keys()
    assert during[peer] == 600
    assert after[peer] >= 600


def test_memory_is_what_it_was_at_most_and_what_it_is() -> None:
    """A megabyte that is gone counts until the peak is forgotten."""
    me = os.getpid()
    forget_peak(me)
    before = peak_rss(me)
    ballast = b"x" * 50_000_000
    assert rss(me) > before + 40_000_000
    del ballast
    assert peak_rss(me) > before + 40_000_000 > rss(me)
    forget_peak(me)
    assert peak_rss(me) < before + 40_000_000


def test_cpu_is_counted_for_the_stage_that_uses_it() -> None:
    """Reading globs is a part of finding streams, and a loop of the test is nobody's work."""
    pattern = parse_pattern("{service}:*")
    assert {"find streams"} == _sampled(lambda: pattern.takes(b"a" * 1000))
    assert {ELSEWHERE} == _sampled(lambda: sum(range(10_000)))


def _sampled(work: Callable[[], object]) -> set[str]:
    """Return the stages that take more than a few hundredths of *work* done again and again."""
    sampler = Sampler()
    sampler.start()
    while sampler.seen.total() < 20:
        work()
    shares = sampler.stop()
    assert sum(shares.values()) == pytest.approx(1.0)
    return {stage for stage, share in shares.items() if share > 0.5}


STAGE = {
    "wire/link": "ask Redis, parse",
    "signals/replies": "read what changed",
    "signals/consumes": "look on",
    "report": "snapshot",
    "web/metrics": "snapshot",
    "units": None,
}


@pytest.mark.parametrize(("module", "stage"), STAGE.items(), ids=STAGE)
def test_a_module_is_in_one_stage(module: str, stage: str | None) -> None:
    """What is in a folder is in its stage, unless it is named; what helps everywhere is in none."""
    assert stage == stage_of(module)


def test_every_stage_is_made_of_modules_that_there_are() -> None:
    """A stage of modules that are gone would hide where the CPU goes."""
    home = Path(watchdog.__file__).parent
    modules = [name for names in STAGES.values() for name in names]
    assert [
        name for name in modules if not (home / name).is_dir() and not (home / f"{name}.py").exists()
    ] == []


# ---- the tables --------------------------------------------------------------------------------


def test_a_column_is_taken_by_itself() -> None:
    """A median of each, but the highest peak; what was never measured stays unknown."""
    costs = [Cost(1.0, 9.0, rss=10, peak=30), Cost(2.0, 8.0, rss=20, peak=10), Cost(9.0, 1.0, peak=20)]
    assert Cost(2.0, 8.0, rss=15, peak=30) == column(costs, statistics.median)


LOOKS = Looks(
    1000,
    theirs=[Cost(0.8, 0.6, 0.1, 6008, 48e6, 50e6), Cost(1.0, 0.8, 0.2, 6008, 48e6, 52e6)],
    moving=[Cost(0.04, 0.03, 0.01, 2100, 80e6, 90e6), Cost(0.02, 0.02, 0.01, 2100, 80e6, 91e6)],
    quiet=[Cost(0.009, 0.008, 0.01, 2001, 80e6, 90e6)] * 2,
    many=[Cost(0.01, 0.01), Cost(0.05, 0.03)],
    first=[Cost(3.0, 2.0, 0.3, 9000, 80e6, 100e6)],
    first_ticks=3,
    load=Cost(0.1, 0.1, rss=60e6, peak=61e6),
    round_trip=0.00152,
)
FELT = Feelings("nobody looks", ping=[0.0001] * 98 + [0.0002, 0.0009], xadd=[0.00005], looks=0)
BUSY = Feelings("watchdog: tick after tick", ping=[0.0002], xadd=[0.0003], looks=40)


def test_the_tables_say_what_was_found() -> None:
    """Medians, means, ratios and ranges, compared whole."""
    rendered = Rendered(
        1000, 38_000, [Cost(1.0, 0.8)], [Cost(0.1, 0.1)], [0.012, 0.03], [0.04], (4_900_000, 12_000_000)
    )
    printed = [
        *looks_table([LOOKS]),
        *spread_table([LOOKS]),
        *distance_table(LOOKS),
        *growth_table([Growth(1000, Cost(0.1, 0.05, 0.02), Cost(0.1, 0.01, rss=80e6, peak=81e6))]),
        *metrics_table([rendered, replace(rendered, page="?only=redis_exporter")]),
        *hurt_table(Hurt(5000, [FELT, BUSY], Slowest("XRANGE a", 0.0003), Slowest("INFO", 0.00004), 0)),
        *patience_table([Patience("stopped", 60, 12, 2, 6, 4002, 2001, 0.52)]),
        *parts_table(
            [
                Parts(1000, "a tenth moves", 0.02, {"rules": 0.6, "ask Redis": 0.397, "units": 0.003}, 0.05),
                Parts(1000, "nothing moves", 0.009, {"ask Redis": 1.0}, 0.0),
            ]
        ),
    ]
    expected = """\
| streams | what | wall | own CPU | Redis CPU | commands | RSS | peak RSS |
| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |
| 1,000 | redis_exporter: scrape | 900 ms | 700 ms | 150 ms | 6,008 | 48 MB | 52 MB |
| 1,000 | tick, a tenth moved | 30 ms (30×) | 25 ms (28×) | 10 ms (15×) | 2,100 (2.9×) | 80 MB (0.6×) | 91 MB (0.57×) |
| 1,000 | tick, nothing moved | 9.00 ms (100×) | 8.00 ms (87×) | 10 ms (15×) | 2,001 (3×) | 80 MB (0.6×) | 90 MB (0.58×) |
| 1,000 | mean of 2 ticks, a tenth moving | 30 ms (30×) | 20 ms (35×) | – | – | – | – |
| 1,000 | most of 2 ticks, a tenth moving | 50 ms (18×) | 30 ms (23×) | – | – | – | – |
| 1,000 | first 3 ticks, until all is seen | 3 s (0.3×) | 2 s (0.35×) | 300 ms (0.5×) | 9,000 (0.67×) | 80 MB (0.6×) | 100 MB (0.52×) |
| 1,000 | load rules.yaml, build | 100 ms | 100 ms | – | – | 60 MB | 61 MB |
| streams | how many times less than the scrape before it | wall | own CPU | Redis CPU |
| ---: | --- | ---: | ---: | ---: |
| 1,000 | tick, a tenth moved | 20× to 50× | 20× to 40× | 10× to 20× |
| 1,000 | tick, nothing moved | 89× to 111× | 75× to 100× | 10× to 20× |
| 1,000 streams, PING 1.52 ms | wall | own CPU | commands |
| --- | ---: | ---: | ---: |
| redis_exporter: scrape | 900 ms | 700 ms | 6,008 |
| tick, a tenth moved | 30 ms (30×) | 25 ms (28×) | 2,100 (2.9×) |
| tick, nothing moved | 9.00 ms (100×) | 8.00 ms (87×) | 2,001 (3×) |
| streams | tick, a tenth moving: own CPU | a stream | Redis CPU a stream | nothing moving: own CPU | a stream | RSS | peak RSS |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| 1,000 | 50 ms | 50 µs | 20 µs | 10 ms | 10 µs | 80 MB | 81 MB |
| streams | what | wall | own CPU | size | loop blocked at most |
| ---: | --- | ---: | ---: | ---: | ---: |
| 1,000 | redis_exporter: 38,000 series | 1 s | 800 ms | 4.9 MB | – |
| 1,000 | /metrics, the same among others | 100 ms (10×) | 100 ms (8×) | 12 MB | 30 ms |
| 1,000 | the tick before it | – | – | – | 40 ms |
| 1,000 | redis_exporter: 38,000 series | 1 s | 800 ms | 4.9 MB | – |
| 1,000 | /metrics?only=redis_exporter, the same | 100 ms (10×) | 100 ms (8×) | 12 MB | 30 ms |
| 1,000 | the tick before it | – | – | – | 40 ms |
| 5,000 streams; meanwhile | PING p50 | p99 | XADD p50 | p99 | looks |
| --- | ---: | ---: | ---: | ---: | ---: |
| nobody looks | 100 µs | 200 µs | 50 µs | 50 µs | – |
| watchdog: tick after tick | 200 µs | 200 µs | 300 µs | 300 µs | 40 |

Our commands in SLOWLOG (5 ms): none. The slowest of a tick: `INFO`, 40 µs; of the first: `XRANGE a`, 300 µs.
| Redis is | for | connections at most | unread at most | all is seen again after | ticks until then | commands until then, in ticks |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| stopped | 60 s | 2 | 6 B | 0.5 s | 12 | 2.0 |
| 1,000 streams, share of a tick's CPU | a tenth moves (20 ms) | nothing moves (9.00 ms) |
| --- | ---: | ---: |
| rules | 60 % | 0 % |
| ask Redis | 40 % | 100 % |
| the rest | 0 % | 0 % |
| of all, garbage collection | 5 % | 0 % |"""
    assert expected.splitlines() == printed
