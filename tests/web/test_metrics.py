"""What of telling, silencing and acknowledging is exported."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.drawn import T0, rows
from tests.web.conftest import Ask, Desk, asking, config_in
from watchdog.conditions import DEFAULT_WINDOW, Term
from watchdog.dividing import share
from watchdog.duties import SELF_TESTED
from watchdog.history import History
from watchdog.journal import OUTCOMES
from watchdog.model import AtLeast, Counted, Held, Kind, Labels, Reading, SignalKey, Since
from watchdog.naming import metric_name
from watchdog.notifications import Reason
from watchdog.report import Reports, Snapshot, Status
from watchdog.shards import Shard
from watchdog.sidecar import Sidecar
from watchdog.signals import SIGNALS
from watchdog.web.answers import streamed
from watchdog.web.app import build_app
from watchdog.web.compat import NAMES
from watchdog.web.exposition import LINES
from watchdog.web.guard import access_to
from watchdog.web.measures import signal_pieces
from watchdog.web.metrics import pieces, render
from watchdog.web.server import WebServer, bind


def lines(desk: Desk) -> list[str]:
    """Return the exposition, line by line."""
    return render(desk.sidecar).decode().splitlines()


def promtool(exposition: bytes) -> tuple[int, str]:
    """Return what promtool has to say of *exposition*."""
    program = shutil.which("promtool")
    assert program, "promtool is needed (apt-get install prometheus)"
    done = subprocess.run([program, "check", "metrics"], input=exposition, capture_output=True, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


def linted(desk: Desk) -> tuple[int, str]:
    """Return what promtool has to say of the sidecar's page."""
    return promtool(render(desk.sidecar))


async def test_every_decision_and_outcome_is_counted_from_zero(desk: Desk) -> None:
    """A rate over a series that appears with its first increase would miss it."""
    found = lines(desk)
    for receiver in ("boss", "ops"):
        for reason in Reason:
            assert f'watchdog_decisions_total{{reason="{reason}",receiver="{receiver}"}} 0.0' in found
        for outcome in OUTCOMES:
            assert f'watchdog_notifications_total{{outcome="{outcome}",receiver="{receiver}"}} 0.0' in found
    for state in ("pending", "active", "expired"):
        assert f'watchdog_silences{{state="{state}"}} 0.0' in found
    assert "watchdog_acknowledged_alerts 0.0" in found


async def test_decisions_silences_and_acknowledgements_are_seen(desk: Desk, ask: Ask) -> None:
    """By the words that log and API use."""
    await desk.tick()
    body = {"matchers": [{"name": "service", "value": "x"}], "duration": "1h", "comment": "x"}
    made = (await ask("POST", "/api/v1/silences", body)).json()["id"]
    await ask("POST", "/api/v1/silences", body | {"startsAt": "2026-02-20T00:00:00Z"})
    await ask("POST", "/api/v1/silences", body)
    await ask("DELETE", f"/api/v1/silences/{made}")
    await ask("POST", f"/api/v1/alerts/{desk.fingerprint('Quiet')}/ack")
    await desk.tick()
    found = lines(desk)
    for line in (
        'watchdog_decisions_total{reason="first",receiver="ops"} 1.0',
        'watchdog_decisions_total{reason="held_by_cause",receiver="boss"} 1.0',
        'watchdog_decisions_total{reason="spared_by_ack",receiver="ops"} 1.0',
        'watchdog_silences{state="active"} 1.0',
        'watchdog_silences{state="pending"} 1.0',
        'watchdog_silences{state="expired"} 1.0',
        "watchdog_acknowledged_alerts 1.0",
        'watchdog_outbox_depth{receiver="ops"} 1.0',
    ):
        assert line in found


async def test_the_sidecars_own_signals_have_names_of_their_own(desk: Desk) -> None:
    """`watchdog` stands once in each."""
    await desk.tick()
    found = lines(desk)
    assert 'watchdog_self_unsaved_seconds{service="watchdog"} 0.0' in found
    assert 'watchdog_self_test{service="watchdog"} 0.0' in found
    assert 'watchdog_receiver_failing_seconds{receiver="ops",service="watchdog"} 0.0' in found
    assert 'watchdog_receiver_refused_total{receiver="ops",service="watchdog"} 0.0' in found
    assert not [line for line in found if re.search(r"watchdog_(watchdog|self_self)", line)]


async def test_no_family_stands_twice_and_promtool_has_nothing_to_say(desk: Desk, ask: Ask) -> None:
    """Before the first look, after it, and with everything that people can say."""
    assert linted(desk) == (0, "")
    await desk.tick()
    await ask("POST", f"/api/v1/alerts/{desk.fingerprint('Quiet')}/ack")
    assert linted(desk) == (0, "")
    helped = Counter(line.split()[2] for line in lines(desk) if line.startswith("# HELP"))
    assert [name for name, times in helped.items() if times > 1] == []
    series = Counter(line.rpartition(" ")[0] for line in lines(desk) if not line.startswith("#"))
    assert [name for name, times in series.items() if times > 1] == []


async def test_the_watcher_that_is_watched_is_seen(desk: Desk) -> None:
    """When a self-test last came through, what became of signs of life, and who holds the lease."""
    assert "watchdog_self_test_last_success_timestamp_seconds 0.0" in lines(desk)
    desk.sidecar.duties.done = {SELF_TESTED: T0}
    (line,) = [one for one in lines(desk) if one.startswith("watchdog_self_test_last_success")]
    assert float(line.split()[1]) == T0.timestamp()
    more = "pair: {lease: l}\nping: {url: 'http://127.0.0.1:1/'}"
    paired = Sidecar(config_in(desk.directory, more), desk.clock.now)
    found = render(paired).decode().splitlines()
    for role, is_it in (("holder", "0.0"), ("standby", "1.0"), ("alone", "0.0")):
        assert f'watchdog_pair_role{{role="{role}"}} {is_it}' in found
    for outcome in ("sent", "failed", "withheld"):
        assert f'watchdog_signs_of_life_total{{kind="ping",outcome="{outcome}"}} 0.0' in found
    await paired.stop()


# ---- what signals measure ------------------------------------------------------------------------


def reading(kind: str, values: dict[str, Held], who: dict[str, str], **more: Any) -> Reading:
    """Return a reading of a signal of the service `shop`."""
    return Reading(SignalKey("shop", kind, Labels(who)), T0, values, **more)


def seen(*readings: Reading, services: Iterable[str] = ()) -> Snapshot:
    """Return what is known five seconds after *readings* came, in that order."""
    history = History(timedelta(hours=1))
    for one in readings:
        history.add([one])
    ratio = (
        "error_ratio[10m]",
        Term("log", "error_ratio", DEFAULT_WINDOW),
        SIGNALS["log"].MEASURES["error_ratio"],
    )
    shown = {key: (ratio,) if key.kind == "log" else () for key in history.latest}
    now = T0 + timedelta(seconds=5)
    return Snapshot(now, Reports(history, shown, {}, now), dict.fromkeys(services, Status.OK), (), Status.OK)


def counted(*gains: float) -> Counted:
    """Return what a counter gained at T0, of which nothing was missed for an hour."""
    return Counted(T0 - timedelta(hours=1), tuple((T0, gain) for gain in gains))


GROUP = {"stream": "s", "group": "g"}
LOG = {"path": "shop.log"}
SEEN = (
    reading("stream", {"length": 3.0, "age": Since(T0.timestamp() - 1.5)}, {"stream": 'a "b" \\c\nd {0} %s'}),
    reading("stream", {"length": None, "age": Since(T0.timestamp(), at_least=True)}, {"stream": "グループ"}),
    reading("consumes", {"lag": AtLeast(1e7), "verdict": "stuck"}, GROUP),
    reading("health", {"up": 1.0, "body.queue.depth": 1234.5}, {"url": "http://shop"}),
    reading("heartbeat", {"age": 1.0}, {"key": "k"}, trouble="no answer"),
    reading("log", {"age": 0.25}, LOG, counts={("lines", ""): counted(5), ("errors", ""): counted(1)}),
    reading(
        "log",
        {"age": 0.25},
        LOG,
        counts={("lines", ""): counted(3), ("errors", ""): counted(), ("matches.oom", ""): counted(2)},
    ),
    reading("flag", {}, {"key": "f"}, trouble="Redis is away", down="redis"),
)
PAGE = r"""
# TYPE watchdog_signal_known gauge
watchdog_signal_known{service="shop",signal="stream",stream="a \"b\" \\c\nd {0} %s"} 1.0
watchdog_signal_known{service="shop",signal="stream",stream="グループ"} 0.0
watchdog_signal_known{group="g",service="shop",signal="consumes",stream="s"} 1.0
watchdog_signal_known{service="shop",signal="health",url="http://shop"} 1.0
watchdog_signal_known{key="k",service="shop",signal="heartbeat"} 0.0
watchdog_signal_known{path="shop.log",service="shop",signal="log"} 1.0
watchdog_signal_known{key="f",service="shop",signal="flag"} 0.0
# TYPE watchdog_signal_away gauge
watchdog_signal_away{key="f",service="shop",signal="flag"} 1.0
# TYPE watchdog_stream_length gauge
watchdog_stream_length{service="shop",stream="a \"b\" \\c\nd {0} %s"} 3.0
# TYPE watchdog_stream_age_seconds gauge
watchdog_stream_age_seconds{service="shop",stream="a \"b\" \\c\nd {0} %s"} 6.5
watchdog_stream_age_seconds{service="shop",stream="グループ"} 5.0
# TYPE watchdog_consumes_lag gauge
watchdog_consumes_lag{group="g",service="shop",stream="s"} 1e+07
# TYPE watchdog_consumes_verdict gauge
watchdog_consumes_verdict{group="g",service="shop",stream="s",verdict="WORD"} 0.0
watchdog_consumes_verdict{group="g",service="shop",stream="s",verdict="stuck"} 1.0
# TYPE watchdog_health_up gauge
watchdog_health_up{service="shop",url="http://shop"} 1.0
# TYPE watchdog_health_body gauge
watchdog_health_body{service="shop",url="http://shop",field="queue.depth"} 1234.5
# TYPE watchdog_log_age_seconds gauge
watchdog_log_age_seconds{path="shop.log",service="shop"} 0.25
# TYPE watchdog_log_error_ratio gauge
watchdog_log_error_ratio{path="shop.log",service="shop"} 0.125
# TYPE watchdog_log_lines_total counter
watchdog_log_lines_total{path="shop.log",service="shop"} 3.0
# TYPE watchdog_log_errors_total counter
watchdog_log_errors_total{path="shop.log",service="shop"} 0.0
# TYPE watchdog_log_matches_total counter
watchdog_log_matches_total{path="shop.log",service="shop",pattern="oom"} 2.0
"""


def test_the_whole_page_of_what_signals_measure() -> None:
    """Unknown is absent, a bound is its number, what grows is as of now, a word is 1 among its zeros."""
    page = "".join(signal_pieces(seen(*SEEN)))
    told = [line for line in page.splitlines() if not line.startswith("# HELP")]
    verdicts = [line for line in told if "_verdict{" in line]
    (drawn,) = [line for line in PAGE.splitlines() if '"WORD"' in line]
    (stuck,) = [line for line in PAGE.splitlines() if '"stuck"' in line]
    words = SIGNALS["consumes"].MEASURES["verdict"].words
    assert verdicts == [stuck if word == "stuck" else drawn.replace("WORD", word) for word in words]
    rest = [line for line in PAGE.strip().splitlines() if "_verdict{" not in line]
    assert [line for line in told if line not in verdicts] == rest
    assert promtool(page.encode()) == (0, "")


def many(services: int) -> Snapshot:
    """Return a snapshot of twice as many signals as there are *services*."""
    names = [f"s{i}" for i in range(services)]
    values: dict[str, Held] = {"pending": 1.0, "verdict": "ok"}
    made = [
        Reading(SignalKey(name, kind, Labels(who)), T0, values)
        for name in names
        for kind, who in (("consumes", {"stream": name, "group": "g"}), ("stream", {"stream": name}))
    ]
    return seen(*made, services=names)


async def test_no_piece_is_long_however_many_signals_there_are(desk: Desk) -> None:
    """And all lines of a family still stand together, below its head."""
    desk.sidecar.latest = many(3_000)
    made = list(pieces(desk.sidecar))
    assert max(piece.count("\n") for piece in made) <= LINES
    names = [re.sub(r"^# (HELP|TYPE) (\w+).*|^(\w+).*", r"\2\3", line) for line in "".join(made).splitlines()]
    changes = [name for before, name in zip(["", *names], names, strict=False) if name != before]
    assert [name for name, times in Counter(changes).items() if times > 1] == []
    assert Counter(names)["watchdog_service_status"] == 2 + 3_000 * len(Status)


async def test_others_have_the_loop_between_any_two_pieces() -> None:
    """Even if the client is so fast that sending never waits."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def counting() -> Iterator[str]:
        for _ in range(20):
            seen_at.append(turns)
            yield "x" * 100_000

    seen_at: list[int] = []
    beside = asyncio.create_task(others())
    sent = b""
    async for part in streamed(counting(), "text/plain", zipped=False).body_iterator:
        assert isinstance(part, bytes)
        sent += part
    beside.cancel()
    assert len(sent) == 2_000_000
    assert all(later > earlier for earlier, later in pairwise(seen_at))


ZIPPED = """
  who asks  | accepts               | gets
  10.0.0.9  | gzip                  | gzip
  10.0.0.9  | deflate, GZIP;q=0.5   | gzip
  10.0.0.9  | gzip;q=0              | plain
  10.0.0.9  | br                    | plain
  10.0.0.9  | -                     | plain
  127.0.0.1 | gzip                  | plain
  ::1       | gzip                  | plain
"""


@pytest.mark.parametrize(
    ("who", "accepts", "gets"), rows(ZIPPED), ids=[f"{who} accepts {what}" for who, what, _ in rows(ZIPPED)]
)
async def test_what_goes_far_is_zipped(desk: Desk, who: str, accepts: str, gets: str) -> None:
    """On this host zipping costs more than it saves."""
    await desk.tick()
    app = build_app(desk.sidecar, access_to(desk.sidecar.config, "0.0.0.0", {}))
    transport = httpx.ASGITransport(app, client=(who, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://10.0.0.1") as client:
        client.headers.pop("accept-encoding")
        found = await client.get("/metrics", headers={} if accepts == "-" else {"accept-encoding": accepts})
    assert found.headers.get("content-encoding", "plain") == gets
    assert found.headers["vary"] == "accept-encoding"
    assert found.text.splitlines()[0] == "# HELP watchdog_build_info Which version runs"
    assert found.text.endswith("} 0.0\n")


async def test_who_asks_for_the_head_gets_no_more(desk: Desk, ask: Ask) -> None:
    """Nothing is written for nobody."""
    found = await ask("HEAD", "/metrics")
    assert (found.status_code, found.text) == (200, "")
    assert found.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_only_what_there_is_can_be_asked_for(desk: Desk, ask: Ask) -> None:
    """A scrape of nothing would look like streams that are gone."""
    found = await ask("GET", "/metrics?only=redis_exporter")
    assert found.status_code == 422
    assert found.json() == {
        "error": "only: there are no such metrics (there are: none, set compat in rules.yaml)"
    }
    other = Sidecar(config_in(desk.directory, "compat: redis_exporter"), desk.clock.now)
    await other.tick(desk.clock.now())
    async with asking(other) as ask_other:
        found = await ask_other("GET", "/metrics?only=redis_exporter")
        assert (found.status_code, "watchdog_" in found.text) == (200, False)
        assert "# TYPE redis_stream_length gauge" in found.text
        assert (await ask_other("GET", "/metrics?only=statsd")).status_code == 422
    await other.stop()


async def test_a_client_that_goes_away_halfway_disturbs_nobody(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """What was not sent is not made, and the next one is answered."""
    desk.sidecar.latest = many(20_000)
    listener = bind("127.0.0.1", 0)
    listener.listen()  # whoever comes before the server is ready waits
    web = WebServer(build_app(desk.sidecar), listener)
    web.start()
    port = listener.getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.transport.abort()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        assert (await client.get("/-/healthy")).text == "the process answers\n"
    await web.stop()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_every_metric_is_in_the_reference_and_nothing_else(desk: Desk) -> None:
    """By its name: what signals can measure, what the sidecar tells of itself, what `compat` adds."""
    reference = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `(\w+)` \|", reference, re.MULTILINE)
    more = 'pair: {lease: l}\ntraces: {otlp: "http://127.0.0.1:4318/v1/traces"}'
    paired = Sidecar(share(config_in(desk.directory, more), Shard(1, 2)), desk.clock.now)
    paired.latest = many(1)
    exported = set(re.findall(r"^# TYPE (\w+)", render(paired).decode(), re.MULTILINE))
    await paired.stop()
    for kind, signal in SIGNALS.items():
        for name, measure in signal.MEASURES.items():
            if measure.kind is not Kind.TOP:  # words without end make no metric
                suffix = "_total" if measure.kind is Kind.COUNTER else ""
                exported.add(metric_name(kind, name, measure) + suffix)
    assert sorted(named) == sorted(exported | set(NAMES))
