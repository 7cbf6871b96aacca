"""`compat: redis_exporter`, beside the real one on the same server."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from tests.drawn import rows
from tests.signals.conftest import SERVERS, binary_of
from watchdog.clock import utc_now
from watchdog.config import parse
from watchdog.demo.server import HOST, EmbeddedServer, free_port, start_server, tethered
from watchdog.errors import ConfigError
from watchdog.sidecar import Sidecar
from watchdog.web.compat import IDLE, NAMES, exporter_pieces
from watchdog.web.metrics import render

pytestmark = pytest.mark.redis
EXPORTER = "prometheus-redis-exporter"
DB = 3
STATES = r"""
  stream           | group | what was done to it
  empty            | g     | XGROUP CREATE * g 0 MKSTREAM
  unread           | g     | XADD * 1-1 a 1; XGROUP CREATE * g 0
  never_started    | g     | XADD * 1-1 a 1; XGROUP CREATE * g $; XADD * 2-1 a 1
  pending          | g     | XADD * 1-1 a 1; XADD * 2-1 a 1; XGROUP CREATE * g 0; XREADGROUP GROUP g one COUNT 1 STREAMS * >
  shared           | g     | XADD * 1-1 a 1; XGROUP CREATE * g 0; XREADGROUP GROUP g one STREAMS * >; XGROUP CREATECONSUMER * g two
  shared           | h     | XGROUP CREATE * h 0
  trimmed          | g     | XADD * 1-1 a 1; XADD * 2-1 a 1; XADD * 3-1 a 1; XGROUP CREATE * g 0; XTRIM * MAXLEN 1
  emptied          | g     | XADD * 1-1 a 1; XADD * 2-1 a 1; XGROUP CREATE * g 0; XTRIM * MAXLEN 0
  deleted          | g     | XADD * 1-1 a 1; XADD * 2-1 a 1; XADD * 3-1 a 1; XGROUP CREATE * g 0; XDEL * 2-1
  set_back         | g     | XADD * 1-1 a 1; XADD * 2-1 a 1; XGROUP CREATE * g $; XGROUP SETID * g 1-1
  of_today         | g     | XADD * 1771463700123-0 a 1; XGROUP CREATE * g 0; XREADGROUP GROUP g one STREAMS * >
  big              | g     | XADD * 18446744073709551615-18446744073709551614 a 1; XGROUP CREATE * g $
  "say \"hi\" \\ " | "a\"b"| XADD * 1-1 a 1; XGROUP CREATE * 'a"b' 0; XREADGROUP GROUP 'a"b' 'c\d' STREAMS * >
  "グループ"       | g     | XADD * 1-1 a 1; XGROUP CREATE * g 0
"""


def places() -> list[tuple[str, str, str]]:
    """Return stream, group and commands of every row."""
    plain = [tuple(json.loads(cell) if cell[0] == '"' else cell for cell in row) for row in rows(STATES)]
    return [(stream, group, commands) for stream, group, commands in plain]


Series = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def series(exposition: str) -> Series:
    """Return the streams' series in *exposition* by name and labels; none may stand there twice."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            if sample.name.startswith("redis_stream_"):
                key = sample.name, frozenset(sample.labels.items())
                assert key not in found
                found[key] = float(sample.value)
    return found


@pytest.fixture(scope="module", params=list(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """A server with streams in all states."""
    with start_server(binary_of(request.param)) as started:
        client: Any = redis.Redis.from_url(f"{started.url.rpartition('/')[0]}/{DB}")
        for stream, _, commands in places():
            for command in commands.split(";"):
                client.execute_command(*(stream if word == "*" else word for word in shlex.split(command)))
        yield started


@pytest.fixture
def exporter(server: EmbeddedServer) -> Iterator[str]:
    """The URL of the real one."""
    assert shutil.which(EXPORTER), f"{EXPORTER} is needed (apt-get install {EXPORTER})"
    place = HOST, free_port()
    listen = f"{HOST}:{place[1]}"
    argv = [EXPORTER, "-redis.addr", server.url, "-web.listen-address", listen, "-check-streams", f"db{DB}=*"]
    process = subprocess.Popen(tethered(argv), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(place):
            break
    yield f"http://{HOST}:{place[1]}/metrics"
    process.kill()
    process.wait()


def scraped(url: str) -> Series:
    """Return what the real one exports."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return series(answer.read().decode())


def rules(server: EmbeddedServer, compat: str = "compat: redis_exporter", services: int = 1) -> str:
    """Return a file that watches all streams, with *services* services of the same signals."""
    streams = [json.dumps({"key": stream}) for stream in dict.fromkeys(stream for stream, *_ in places())]
    groups = [json.dumps({"stream": stream, "group": group}) for stream, group, _ in places()]
    body = f"{{stream: [{', '.join(streams)}], consumes: [{', '.join(groups)}]}}"
    url = f"{server.url.rpartition('/')[0]}/{DB}"
    watched = "".join(f"  s{i}: {body}\n" for i in range(services))
    return f"redis: {{url: '{url}'}}\nstate: null\n{compat}\nservices:\n{watched}"


async def ticked(text: str) -> Sidecar:
    """Return a sidecar that has looked once."""
    sidecar = Sidecar(parse(text), utc_now)
    await sidecar.tick(utc_now())
    await sidecar.stop()
    return sidecar


async def test_what_the_exporter_tells_is_told_number_for_number(
    server: EmbeddedServer, exporter: str
) -> None:
    """Same names, labels and values; consumers were idle for as long as between two of its scrapes."""
    before = scraped(exporter)
    own = series(render(await ticked(rules(server))).decode())
    after = scraped(exporter)
    names = {name for name, _ in after}
    assert len(names) == 10
    assert {who for who in own if who[0] in names} == set(after)
    for who, number in after.items():
        if who[0] == IDLE:
            assert before[who] <= own[who] <= number, who
        else:
            assert own[who] == number, who


async def test_what_later_exporters_tell_is_what_redis_says(server: EmbeddedServer) -> None:
    """Debian's one lacks six names; what is NULL, or the entry of an empty stream, is absent and not 0."""
    own = series(render(await ticked(rules(server))).decode())
    client: Any = redis.Redis.from_url(f"{server.url.rpartition('/')[0]}/{DB}", protocol=2)
    expected: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for stream, group, _ in places():
        said, who = client.xinfo_stream(stream), {"db": f"db{DB}", "stream": stream}
        found: list[tuple[str, Mapping[str, str], Any]] = [
            ("first_entry_id", who, said["first-entry"] and ms(said["first-entry"][0])),
            ("last_entry_id", who, said["last-entry"] and ms(said["last-entry"][0])),
            ("max_deleted_entry_id", who, ms(said["max-deleted-entry-id"])),
            ("entries_added_total", who, said["entries-added"]),
        ]
        for row in client.xinfo_groups(stream):
            if row["name"].decode() == group:
                found.append(("group_entries_read", {**who, "group": group}, row["entries-read"]))
                found.append(("group_lag", {**who, "group": group}, row["lag"]))
        for name, labels, number in found:
            if number is not None:
                expected[f"redis_stream_{name}", frozenset(labels.items())] = float(number)
    names = {name for name, _ in expected}
    assert len(names) == 6
    assert {who: number for who, number in own.items() if who[0] in names} == expected
    unknown = {who for who in expected if who[0] == "redis_stream_group_lag"}
    assert 0 < len(unknown) < len(places())


def ms(entry: bytes) -> int:
    """Return the milliseconds of an ID."""
    return int(entry.partition(b"-")[0])


async def test_all_names_are_told_and_linted(server: EmbeddedServer) -> None:
    """Sixteen of them, each once, and promtool has nothing to say."""
    exposed = render(await ticked(rules(server)))
    assert {name for name, _ in series(exposed.decode())} == set(NAMES)
    assert len(NAMES) == len(set(NAMES)) == 16
    heads = [line for line in exposed.decode().splitlines() if line.startswith("# TYPE redis_stream_")]
    assert len(heads) == 16
    promtool = shutil.which("promtool")
    assert promtool, "promtool is needed (apt-get install prometheus)"
    done = subprocess.run([promtool, "check", "metrics"], input=exposed, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


async def test_a_stream_that_several_services_use_is_told_once(server: EmbeddedServer) -> None:
    """A series that stands twice would cost Prometheus the whole scrape."""
    once, twice = [series(render(await ticked(rules(server, services=n))).decode()) for n in (1, 2)]
    assert {who for who, _ in twice.items()} == {who for who, _ in once.items()}


async def test_unasked_nothing_is_told_of_consumers(server: EmbeddedServer) -> None:
    """Neither the exporter's names, nor the name of a consumer anywhere."""
    exposed = render(await ticked(rules(server, compat=""))).decode()
    assert "watchdog_consumes_pending" in exposed
    assert ("redis_stream_" in exposed, "consumer=" in exposed) == (False, False)


async def test_a_consumer_that_rests_grows_idle_with_the_clock(server: EmbeddedServer) -> None:
    """Nobody looks again at what does not change; what is told is right all the same."""
    sidecar = await ticked(rules(server))
    latest = sidecar.latest
    assert latest is not None
    later = replace(latest, at=latest.at + timedelta(seconds=7))
    idle, later_idle = (
        {
            who: number
            for who, number in series("".join(exporter_pieces(at, {"": DB}))).items()
            if who[0] == IDLE
        }
        for at in (latest, later)
    )
    assert idle
    assert later_idle == {who: pytest.approx(number + 7, abs=1e-9) for who, number in idle.items()}


WRONG = """
  compat                   | what is said of it
  prometheus               | compat.0: "prometheus" is not one of redis_exporter
  [redis_exporter, statsd] | compat.1: "statsd" is not one of redis_exporter
  5                        | compat.0: "5" is not one of redis_exporter
"""


@pytest.mark.parametrize(("written", "said"), rows(WRONG), ids=["a name", "one of a list", "a number"])
def test_other_names_are_refused(written: str, said: str) -> None:
    """With the place and what there is."""
    with pytest.raises(ConfigError) as caught:
        parse(f"compat: {written}\nservices: {{a: {{heartbeat: {{key: k}}}}}}", "r")
    assert said in str(caught.value)


@pytest.mark.parametrize("written", ["redis_exporter", "[redis_exporter]", "[]"])
def test_one_name_or_a_list_of_names(written: str) -> None:
    """As everywhere in the file."""
    config = parse(f"compat: {written}\nservices: {{a: {{heartbeat: {{key: k}}}}}}")
    assert config.compat == ({"redis_exporter"} if "redis" in written else set())
