"""`bench.notify` counts rightly and can fail; how fast anything was is no test's business."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bench.notify.__main__ import flood_table, latency_table, main, outage_table, rate_table
from bench.notify.child import BenchError
from bench.notify.measures import Flood, Latencies, Rates, Recovery, each_alone, measure_outage, quantile
from bench.notify.ours import Tick, rules_text, running_sidecar, spread
from bench.notify.peer import alerts_of, ended, running_alertmanager
from bench.notify.receiver import Receiver, Tally, Told, running_receiver
from watchdog.config import parse

HOOK = {"hook": "http://127.0.0.1:9/"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """A receiver of the benchmark's own."""
    with running_receiver(tmp_path_factory.mktemp("receiver")) as receiver:
        yield receiver


@pytest.fixture
def receiver(running: Receiver) -> Receiver:
    """The receiver, which remembers nothing."""
    running.clear()
    return running


def body(*alerts: str) -> bytes:
    """Return a webhook's body; ``a+`` is the beginning of alert a, ``a-`` its end."""
    states = {"+": "firing", "-": "resolved"}
    told = [{"fingerprint": a[:-1], "status": states[a[-1]], "startsAt": "1"} for a in alerts]
    return json.dumps({"alerts": told}, separators=(",", ":")).encode()


# ---- counting ----------------------------------------------------------------------------------

CAME = {
    "nothing": ([], Told()),
    "two in one message": ([(1.0, body("a+", "b+"))], Told(1, 2, 2, 1.0, 1.0)),
    "an end is news": ([(1.0, body("a+")), (2.0, body("a-"))], Told(2, 2, 2, 1.0, 2.0)),
    "a repetition is none": ([(1.0, body("a+")), (2.0, body("a+"))], Told(2, 1, 2, 1.0, 1.0)),
    "news beside a repetition": ([(1.0, body("a+")), (3.0, body("a+", "b+"))], Told(2, 2, 3, 1.0, 3.0)),
}


@pytest.mark.parametrize(("messages", "told"), CAME.values(), ids=CAME)
def test_what_came_is_counted_once(messages: list[tuple[float, bytes]], told: Told) -> None:
    """Messages and entries count as they come, alerts and times only where there is news."""
    tally = Tally()
    tally.add(messages)
    assert told == tally.told


def test_a_count_goes_on_where_it_stopped() -> None:
    """What was known before is no news later."""
    tally = Tally()
    tally.add([(1.0, body("a+"))])
    tally.add([(2.0, body("a+")), (3.0, body("a-"))])
    assert Told(3, 2, 3, 1.0, 3.0) == tally.told


QUANTILES = {
    "the middle of three": ([3.0, 1.0, 2.0], 0.5, 2.0),
    "the last but one of a hundred": ([float(i) for i in range(100)], 0.99, 98.0),
    "the largest of a few": ([1.0, 5.0, 2.0], 0.99, 5.0),
    "the only one": ([7.0], 0.5, 7.0),
}


@pytest.mark.parametrize(("values", "share", "found"), QUANTILES.values(), ids=QUANTILES)
def test_a_quantile_is_one_of_the_values(values: list[float], share: float, found: float) -> None:
    """No value is made up between two that were measured."""
    assert found == quantile(values, share)


# ---- the receiver ------------------------------------------------------------------------------


def test_the_receiver_takes_what_is_posted(receiver: Receiver) -> None:
    """Two clients, one path each, several messages on one connection, one in many pieces."""
    long = [f"{number:x}+" for number in range(20_000)]
    with httpx.Client() as client, httpx.Client() as other:
        for message in (body("a+"), body("a-"), body("a-")):
            assert client.post(receiver.url("/one"), content=message).status_code == 200
        other.post(receiver.url("/two", port=1), content=body(*long))
    told = receiver.wait({"/one": 2, "/two": 20_000}, within=20)
    found = [(t.messages, t.alerts, t.entries) for t in told.values()]
    assert found == [(3, 2, 3), (1, 20_000, 20_000)]


TOO_FEW_OR_MANY = {"too few": ["a+"], "a repetition does not count": ["a+", "a+"], "too many": ["a+b+c+"]}


@pytest.mark.parametrize("messages", TOO_FEW_OR_MANY.values(), ids=TOO_FEW_OR_MANY)
def test_a_wrong_number_is_an_error(receiver: Receiver, messages: list[str]) -> None:
    """A benchmark that was told anything but two alerts measured something else."""
    for message in messages:
        alerts = [message[i : i + 2] for i in range(0, len(message), 2)]
        httpx.post(receiver.url("/one"), content=body(*alerts))
    with pytest.raises(BenchError, match=r"/one was told \d beginnings and ends instead of 2"):
        receiver.wait({"/one": 2}, within=0.2)


def test_groups_in_one_message_are_an_error_where_each_needs_its_own(receiver: Receiver) -> None:
    """Merged messages would count as a high rate."""
    httpx.post(receiver.url("/one"), content=body("a+", "b+"))
    with pytest.raises(BenchError, match="/one was told of 2 groups in 1 messages"):
        each_alone(receiver, "/one", 2)


def test_the_receiver_fails_in_both_ways_and_comes_back(receiver: Receiver) -> None:
    """One port refuses, also those who were connected; a path ending in /503 answers that; both return."""
    with httpx.Client() as client:
        client.post(receiver.url("/x", port=1), content=body("a+"))
        receiver.fail()
        assert httpx.post(receiver.url("/x/503"), content=body("b+")).status_code == 503
        with pytest.raises(httpx.TransportError):
            client.post(receiver.url("/x", port=1), content=body("b+"))
        back = receiver.recover()
        for url in (receiver.url("/x/503"), receiver.url("/x", port=1)):
            assert httpx.post(url, content=body("b+")).status_code == 200
    told = receiver.wait({"/x": 2, "/x/503": 1}, within=20)
    assert [(t.messages, t.alerts) for t in told.values()] == [(2, 2), (1, 1)]
    assert all(t.last_at > back for t in told.values())


# ---- both sides --------------------------------------------------------------------------------


def test_every_flag_can_be_an_alert() -> None:
    """The rules file is a good one, with as many flags and services as were asked for."""
    config = parse(rules_text(7, 3, HOOK))
    flags = [spec.key for spec in config.signals if spec.key.kind == "flag"]
    watched = [watch for watch in config.binding.watches if watch.rule.alert == "FlagSet"]
    assert (len(flags), len(watched), len({key.service for key in flags})) == (7, 7, 3)
    assert [range(3), range(3, 6), range(6, 7)] == spread(7, 3)


def test_the_sidecar_tells_of_the_flags_that_are_set(receiver: Receiver, tmp_path: Path) -> None:
    """Three of four flags of two services: two messages, and as many ends."""
    with running_sidecar(tmp_path, 4, 2, {"hook": receiver.url("/ours")}) as ours:
        began = ours.tick(range(3), is_set=True).began
        told = receiver.wait({"/ours": 3}, within=20)["/ours"]
        assert (told.messages, told.alerts, told.first_at > began) == (2, 3, True)
        ours.idle()
        ours.tick(range(3), is_set=False)
        assert receiver.wait({"/ours": 6}, within=20)["/ours"].messages == 4


def test_alertmanager_tells_of_the_same_alerts(receiver: Receiver, tmp_path: Path) -> None:
    """As many messages, of alerts with the same fingerprints; what it does not take is an error."""
    with (
        running_sidecar(tmp_path, 2, 2, {"hook": receiver.url("/both")}) as ours,
        running_alertmanager(tmp_path, {"hook": receiver.url("/both")}, "1s") as peer,
    ):
        began = peer.post(alerts_of(2, 2))
        told = receiver.wait({"/both": 2}, within=20)["/both"]
        assert (told.messages, told.first_at > began) == (2, True)
        peer.post(ended(alerts_of(2, 2)))
        receiver.wait({"/both": 4}, within=20)
        receiver.clear()
        ours.tick(range(2), is_set=True)
        peer.post(alerts_of(2, 2, "other-"))
        assert receiver.wait({"/both": 4}, within=20)["/both"].messages == 4
        with pytest.raises(BenchError, match=r"does not take alerts: HTTP/1\.1 400 "):
            peer.post([{"labels": {}}])


def test_what_began_during_an_outage_is_told_after_it(receiver: Receiver, tmp_path: Path) -> None:
    """All three sides, refused and answered 503: nothing came before the receiver was back."""
    found = measure_outage(tmp_path, receiver, seconds=0.5, groups=2)
    assert len({(one.who, one.how) for one in found}) == 6
    assert all(one.seconds > 0 and one.messages in (1, 2) for one in found)


# ---- the tables --------------------------------------------------------------------------------


def test_the_tables_say_what_was_found() -> None:
    """Medians, ratios and ranges, compared whole."""
    told = (Told(3, 9, 9), Told(1, 9, 12))
    printed = [
        *latency_table([Latencies(20, ours=[0.004, 0.006], theirs=[0.001, 0.003], ticks=[0.002, 0.004])]),
        *rate_table(Rates(100, ours=[300.0, 200.0], theirs=[1000.0])),
        *flood_table(
            [Flood("watchdog", 1000, "end", told, 1.5, 60_000_000, 99_000_000, Tick(0.0, 0.25, 0.2))], 10_000
        ),
        *outage_table([Recovery("watchdog", "503", 1.234, 5)], 60.0, 20),
    ]
    expected = """\
| one alert, until the receiver has it | median | p99 |
| --- | ---: | ---: |
| Alertmanager | 2.00 ms | 3.00 ms |
| watchdog, 20 services | 5.00 ms (2.5×) | 6.00 ms (2×) |
| of which the tick | 3.00 ms | 4.00 ms |
| 100 groups at a time, one message each | messages/s | slowest batch |
| --- | ---: | ---: |
| Alertmanager | 1,000 | 1,000 |
| watchdog | 250 (0.25×) | 200 |
| 10,000 alerts at once, as services | what | who | messages to each of 3 | alerts in them | all told after | tick (its CPU) | peak RSS (before) |
| ---: | --- | --- | ---: | ---: | ---: | ---: | ---: |
| 1,000 | end | watchdog | 1 to 3 | 9 to 12 | 1.50 s | 0.25 s (0.20) | 99 MB (60) |
| receiver away for 60 s, 20 groups begin meanwhile | how | all told after its return | messages |
| --- | --- | ---: | ---: |
| watchdog | 503 | 1.23 s | 5 |"""
    assert expected.splitlines() == printed


def test_the_command_prints_the_tables_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Quick, and two of the four."""
    main(["--quick", "latency", "rate"])
    printed = capsys.readouterr().out
    assert "| watchdog, 5 services |" in printed
    assert "| 20 groups at a time, one message each |" in printed
    assert "alerts at once" not in printed
    assert "Alertmanager 0." in printed


def test_a_part_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With the names of those that are."""
    with pytest.raises(SystemExit):
        main(["latencies"])
    assert "no such part: latencies (there are latency, rate, flood, outage)" in capsys.readouterr().err
