"""The commands that ask the running sidecar, as people type them."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from tests.process.conftest import Ran, Running, typed, until, watchdog

RULES = """
redis: {{url: "redis://127.0.0.1:1", timeout: 500ms}}
every: 200ms
state: "{directory}/state"
listen: "127.0.0.1:{port}"
services:
  worker: {{log: {{path: "{directory}/worker.log"}}}}
  shop: {{log: {{path: "{directory}/shop.log"}}}}
rules: [{{alert: Quiet, when: "log.lines[5m] == 0", severity: critical}}]
receivers:
  ops: {{webhook: {{url: "{hook}/ops", timeout: 2s}}}}
  boss: {{webhook: {{url: "{hook}/boss", timeout: 2s}}}}
routes: [{{alertname: [Quiet, SelfTest], to: [ops, boss]}}]
notifications: {{group_interval: 0s}}
"""


class Bench:
    """A sidecar process, the directory it works in, and the commands asked of it."""

    def __init__(self, running: Running, rules: Path, hook: HTTPServer) -> None:
        self.running = running
        self.rules = rules
        self.hook = hook

    def __call__(self, *arguments: str, **environment: str) -> Ran:
        """Run a command with the sidecar's rules file."""
        return typed(*arguments, "--rules", str(self.rules), environment=environment)

    def told(self, receiver: str) -> list[tuple[str, str]]:
        """Return what *receiver* was told: names and states of alerts."""
        bodies = [r.get_json() for r, _ in self.hook.log if r.path == f"/{receiver}"]
        return [(a["labels"]["alertname"], a["status"]) for body in bodies for a in body["alerts"]]

    def fingerprint(self, service: str) -> str:
        """Return the fingerprint of the alert Quiet of *service*."""
        found = self.running.get(f"/api/v1/alerts?alertname=Quiet&service={service}").json()["alerts"]
        return str(found[0]["fingerprint"])


def written(directory: Path, hook: str, port: int, more: str = "") -> Path:
    """Return a rules file for two logs, which are empty."""
    for name in ("worker", "shop"):
        (directory / f"{name}.log").touch()
    rules = directory / "rules.yaml"
    rules.write_text(RULES.format(directory=directory, hook=hook, port=port) + more)
    return rules


@pytest.fixture(autouse=True)
def _no_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have one."""
    for name in ("WATCHDOG_TOKEN", "WATCHDOG_URL"):
        monkeypatch.delenv(name, raising=False)


@contextlib.contextmanager
def at_work(directory: Path) -> Iterator[Bench]:
    """A sidecar that has told its receivers of two alerts."""
    with HTTPServer() as hook:
        for name in ("ops", "boss"):
            hook.expect_request(f"/{name}").respond_with_data("")
        rules = written(directory, hook.url_for(""), 1)
        running = Running(rules)
        rules.write_text(
            rules.read_text().replace('listen: "127.0.0.1:1"', f'listen: "127.0.0.1:{running.port}"')
        )
        bench = Bench(running, rules, hook)
        try:
            until(running.ready)
            until(lambda: len(bench.told("boss")) == 2)
            yield bench
        finally:
            running.kill()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A sidecar for all tests that leave it as it was."""
    with at_work(tmp_path_factory.mktemp("bench")) as found:
        yield found


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Bench]:
    """A sidecar for one test."""
    with at_work(tmp_path) as found:
        yield found


def test_the_program_itself_asks_as_well(bench: Bench) -> None:
    """As a process of its own: answers on standard output, the rest on standard error."""
    rules = str(bench.rules)
    ran = watchdog("silence", "a=b", "--for", "1h", "--comment", "x", "--rules", rules)
    assert (ran.status, len(ran.out.split()), ran.err) == (
        0,
        1,
        "of the alerts there are now it matches 0\n",
    )
    assert watchdog("silence", "end", ran.out.strip(), "--rules", rules).status == 0
    ran = watchdog("alerts", "--rules", rules, "--url", "http://127.0.0.1:1")
    assert (ran.status, ran.out) == (3, "")


def test_alerts_are_shown_with_who_was_told(bench: Bench) -> None:
    """As a table or as the API has it; nothing that fires is an error."""
    ran = bench("alerts", "--state", "firing", "--service", "worker")
    assert (ran.status, ran.err) == (0, "")
    head, line, *_ = ran.out.splitlines()
    assert head.split() == ["fingerprint", "state", "severity", "alert", "service", "since", "what", "told"]
    assert line.split()[:5] == [bench.fingerprint("worker"), "firing", "critical", "Quiet", "worker"]
    shown = bench("alerts", "--format", "json", "--receiver", "ops", "--alert", "Quiet").json
    assert sorted(alert["labels"]["service"] for alert in shown["alerts"]) == ["shop", "worker"]
    assert bench("alerts", "--service", "nobody").out == "no alerts\n"
    wrong = bench("alerts", "--state", "broken")
    assert (wrong.status, wrong.err) == (
        1,
        "the sidecar says no: state.0: should be 'pending', 'firing', 'blind' or 'resolved'\n",
    )


def test_an_alert_explains_itself(bench: Bench) -> None:
    """What every notification says to look at next."""
    ran = bench("explain", "Quiet", "--service", "worker")
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == "CRITICAL Quiet of worker (firing): worker: log.lines[5m] is 0"
    assert "  figure: log.lines[5m] (0) == 0" in lines
    assert sum(line.startswith("  told: ops told ") for line in lines) == 1
    assert sum(line.startswith("  delivery: ops sent ") for line in lines) == 1
    missing = bench("explain", "Quite")
    assert (missing.status, missing.err) == (1, 'there is no alert "Quite" now (did you mean "Quiet"?)\n')


def test_an_acknowledgement_is_safe_before_the_command_returns(own: Bench) -> None:
    """Killed at once, the next process knows it."""
    several = own("ack", "Quiet", "--comment", "on it")
    assert several.status == 2
    assert several.err.startswith("there are several of that name: ")
    assert own.fingerprint("shop") in several.err
    ran = own("ack", "Quiet", "--service", "worker", "--comment", "on it", "--author", "ana")
    assert (ran.status, ran.out, ran.err) == (0, "Quiet of worker is acknowledged\n", "")
    own.running.process.kill()
    own.running.process.wait()
    again = Running(own.rules)
    try:
        until(again.ready)
        (alert,) = again.get("/api/v1/alerts?alertname=Quiet&service=worker").json()["alerts"]
        assert (alert["acknowledged"]["by"], alert["acknowledged"]["comment"]) == ("ana", "on it")
        undone = typed(
            *("ack", alert["fingerprint"], "--undo", "--rules", str(own.rules), "--url", again.url)
        )
        assert undone.out == "Quiet of worker is no longer acknowledged\n"
        again.stop()
    finally:
        again.process.kill()


def test_the_life_of_a_silence(bench: Bench) -> None:
    """Added in either spelling, listed, ended; what it held back is then told."""
    made = bench(
        *("silence", "add", "service=worker", "alertname=~Qui.*", "--for", "2h", "--comment", "moving it"),
        *("--author", "ana", "--until-resolved"),
    )
    assert (made.status, made.err) == (0, "of the alerts there are now it matches 1\n")
    id_ = made.out.strip()
    other = bench("silence", "service=nobody", "--for", "90s", "--comment", "short")
    assert (other.status, other.err) == (0, "of the alerts there are now it matches 0\n")
    listed = bench("silence", "list").out.splitlines()
    before = len(bench("silence", "list", "--expired").out.splitlines()) - 3
    assert [line.split()[:2] for line in listed[1:]] == [[id_, "active"], [other.out.strip(), "active"]]
    assert 'service="worker" alertname=~"Qui.*"' in listed[1]
    assert listed[1].split()[5:] == ["or", "when", "resolved", "ana", "moving", "it"]
    kept = bench("silence", "list", "--format", "json").json["silences"]
    assert {silence["untilResolved"] for silence in kept} == {True, False}
    ended = bench("silence", "end", id_, other.out.strip())
    assert ended.out == f"{id_} has ended\n{other.out.strip()} has ended\n"
    assert bench("silence", "list").out == "no silences\n"
    assert len(bench("silence", "list", "--expired").out.splitlines()) - 3 == before
    gone = bench("silence", "end", "../alerts")
    assert (gone.status, gone.err) == (1, "the sidecar says no: there is nothing at this address "
        "(/api/v1/openapi.json has all there are)\n")  # fmt: skip


WRONG = {
    "no matcher": (["worker", "--for", "1h", "--comment", "x"], 2, "No such command 'worker'"),
    "no operator": (
        ["add", "worker", "--for", "1h", "--comment", "x"],
        2,
        '"worker" is not a matcher (write service=execution or alertname=~"Heart.*")',
    ),
    "no end": (["add", "a=b", "--comment", "x"], 2, "Missing option '--for'"),
    "no reason": (["add", "a=b", "--for", "1h"], 2, "Missing option '--comment'"),
    "no duration": (
        ["add", "a=b", "--for", "soon", "--comment", "x"],
        2,
        '--for: "soon" is not a duration (write it like 90s, 5m, 1h30m or 2d)',
    ),
    "everything": (
        ["add", "a=~.*", "--for", "1h", "--comment", "x"],
        1,
        "the sidecar says no: matchers: these match every alert (give one that an empty value does not match)",
    ),
}


def test_a_silence_that_makes_no_sense_is_one_sentence(bench: Bench) -> None:
    """Usage is status 2, a refusal of the sidecar 1."""
    for arguments, status, error in WRONG.values():
        ran = bench("silence", *arguments)
        assert (ran.status, ran.out) == (status, "")
        assert error in ran.err


def test_deliveries_are_shown(bench: Bench) -> None:
    """Filtered, as a table or as JSON."""
    mark = bench.fingerprint("worker")
    ran = bench("deliveries", "--alert", mark, "--since", "1h", "--outcome", "sent")
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].split() == ["at", "receiver", "outcome", "reasons", "alerts", "attempt", "what"]
    assert {tuple(line.split()[1:4]) for line in lines[1:]} == {
        ("ops", "sent", "first"),
        ("boss", "sent", "first"),
    }
    (one,) = bench("deliveries", "--receiver", "ops", "--alert", mark, "--format", "json").json["deliveries"]
    assert (one["alerts"], one["names"]) == ([mark], ["Quiet/worker"])
    assert bench("deliveries", "--receiver", "nobody").out == "no deliveries\n"


def test_a_self_test_goes_the_whole_way(bench: Bench) -> None:
    """From a tick through the outbox to every receiver, and back as an exit status."""
    ran = bench("self-test", "--timeout", "30s")
    assert (ran.status, sorted(ran.out.splitlines()), ran.err) == (0, ["boss: took it", "ops: took it"], "")
    assert ("SelfTest", "firing") in bench.told("ops")
    again = bench("self-test")
    assert (again.status, again.err) == (
        1,
        "the sidecar says no: a self-test is under way (wait for its end)\n",
    )


def test_a_self_test_that_does_not_arrive_says_where_and_why(
    tmp_path: Path, run: Callable[..., Running], httpserver: HTTPServer
) -> None:
    """One receiver refuses, another cannot take it now."""
    httpserver.expect_request("/ops").respond_with_data("", 400)
    httpserver.expect_request("/boss").respond_with_data("", 500)
    running = run(written(tmp_path, httpserver.url_for(""), 1))
    until(running.ready)
    rules = str(tmp_path / "rules.yaml")
    ran = typed("self-test", "--rules", rules, "--url", running.url, "--timeout", "3s")
    assert (ran.status, ran.err) == (1, "")
    assert ran.out.splitlines() == [
        "ops: refused (answered 400)",
        "boss: not taken within 3s (answered 500)",
    ]


# ---- who may -----------------------------------------------------------------------------------


def test_the_token_for_commands_on_this_host_is_made_at_start(own: Bench) -> None:
    """Readable by the owner alone; another token opens nothing, and the log holds none."""
    path = own.rules.with_name("state.token")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    wrong = own("silence", "a=b", "--for", "1h", "--comment", "x", WATCHDOG_TOKEN="0" * 64)
    assert (wrong.status, wrong.err) == (
        1,
        "the sidecar says no: this needs a token: Authorization: Bearer TOKEN (see api.tokens in rules.yaml)\n",
    )
    token = path.read_text().strip()
    right = own("silence", "a=b", "--for", "1h", "--comment", "x", WATCHDOG_TOKEN=token)
    assert right.status == 0
    path.rename(path.with_name("elsewhere"))
    assert own("alerts").status == 0
    none = own("silence", "a=b", "--for", "1h", "--comment", "x")
    assert none.err.endswith(f"; no token was found: {path}: No such file or directory\n")
    given = own(
        "silence", "a=b", "--for", "1h", "--comment", "x", "--token-file", str(path.with_name("elsewhere"))
    )
    assert given.status == 0
    _, log = own.running.stop()
    assert token not in json.dumps(log)


def test_tokens_of_the_rules_take_the_place_of_the_one_that_is_made(
    tmp_path: Path, run: Callable[..., Running], httpserver: HTTPServer
) -> None:
    """Each with a name, which stands in what its holder does."""
    tokens = tmp_path / "tokens"
    tokens.write_text("# who may write\nana: 0123456789abcdef\nben: fedcba9876543210\n")
    rules = written(tmp_path, httpserver.url_for(""), 1, f'api: {{tokens: {{file: "{tokens}"}}}}')
    running = run(rules)
    until(running.ready)
    assert not (tmp_path / "state.token").exists()
    body = {"matchers": [{"name": "a", "value": "b"}], "duration": "1h", "comment": "x"}
    headers = {"authorization": "Bearer fedcba9876543210"}
    made = httpx.post(f"{running.url}/api/v1/silences", json=body, headers=headers).json()
    assert made["createdBy"] == "ben"
    ran = typed("silence", "list", "--rules", str(rules), "--url", running.url)
    assert made["id"] in ran.out


def test_a_token_file_that_cannot_be_made_stops_nobody_from_watching(
    tmp_path: Path, run: Callable[..., Running], httpserver: HTTPServer
) -> None:
    """It is logged, reads go on, writes are refused with the cure."""
    (tmp_path / "state.token").mkdir()
    rules = written(tmp_path, httpserver.url_for(""), 1)
    running = run(rules)
    until(running.ready)
    refused = typed(
        *("silence", "a=b", "--for", "1h", "--comment", "x", "--rules", str(rules), "--url", running.url)
    )
    assert (refused.status, refused.err) == (
        1,
        "the sidecar says no: nobody has a token (set api.tokens in rules.yaml, or give it a state file)\n",
    )
    assert typed("alerts", "--rules", str(rules), "--url", running.url).status == 0
    _, log = running.stop()
    (said,) = [line for line in log if line["event"] == "no_token"]
    assert said["why"].startswith(f"the token file {tmp_path}/state.token cannot be used: Is a directory")


COMMANDS = {
    "alerts": ["alerts"],
    "explain": ["explain", "Quiet"],
    "ack": ["ack", "Quiet"],
    "silence": ["silence", "a=b", "--for", "1h", "--comment", "x"],
    "silence list": ["silence", "list"],
    "silence end": ["silence", "end", "x"],
    "deliveries": ["deliveries"],
    "self-test": ["self-test"],
}


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_without_a_sidecar_every_command_ends_with_status_three(arguments: list[str], tmp_path: Path) -> None:
    """And one sentence; so it does without a rules file."""
    rules = written(tmp_path, "http://127.0.0.1:1", 1)
    ran = typed(*arguments, "--rules", str(rules))
    cure = "is `watchdog run` running? else say where it is with --url"
    assert (ran.status, ran.out) == (3, "")
    assert ran.err == f"the sidecar at http://127.0.0.1:1 cannot be reached ({cure})\n"
    missing = typed(*arguments, "--rules", str(tmp_path / "none.yaml"))
    cure = "`watchdog init URL` writes a first one; --rules PATH names another"
    assert (missing.status, missing.out) == (3, "")
    assert missing.err.splitlines() == [
        f"{tmp_path}/none.yaml:1:1: cannot be read: No such file or directory ({cure})",
        "(--url and WATCHDOG_TOKEN need no rules file)",
    ]


# ---- test-receiver -----------------------------------------------------------------------------


def test_a_receiver_is_tried_without_a_sidecar(tmp_path: Path, httpserver: HTTPServer) -> None:
    """One or all; what it answered is said, and nothing that is secret."""
    httpserver.expect_request("/ops").respond_with_data("")
    httpserver.expect_request("/boss").respond_with_data("no such \x1b[2J hook", 404)
    rules = str(written(tmp_path, httpserver.url_for(""), 1))
    ran = typed("test-receiver", "ops", "--rules", rules)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("ops: took the test message after ")
    (alert,) = httpserver.log[0][0].get_json()["alerts"]
    assert (alert["labels"]["alertname"], alert["annotations"]["reason"]) == ("ReceiverTest", "test")
    both = typed("test-receiver", "all", "--rules", rules)
    assert (both.status, both.out.splitlines()[1]) == (1, "boss: answered 404")
    assert os.listdir(tmp_path) == ["worker.log", "shop.log", "rules.yaml"] or "state" not in os.listdir(
        tmp_path
    )
    unknown = typed("test-receiver", "opps", "--rules", rules)
    assert (unknown.status, unknown.err) == (1, 'receiver "opps" is not defined (did you mean "ops"?)\n')


def test_a_receiver_that_hangs_is_given_up(tmp_path: Path, httpserver: HTTPServer) -> None:
    """After its own time-out."""

    given_up = threading.Event()

    def hang(_: Any) -> Response:
        given_up.wait(30)
        return Response("")

    httpserver.expect_request("/ops").respond_with_handler(hang)
    rules = str(written(tmp_path, httpserver.url_for(""), 1))
    ran = typed("test-receiver", "ops", "--rules", rules)
    given_up.set()
    assert (ran.status, ran.out) == (1, "ops: no answer within 2s\n")
    until(lambda: httpserver.log)  # the next test has the same server
