"""`watchdog check --connect`, on real servers, files and addresses: H07 and everything like it."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from pytest_httpserver import HTTPServer

from tests.process.conftest import watchdog
from watchdog.clock import utc_now
from watchdog.commands.common import Form
from watchdog.commands.reaching import check_by_connecting
from watchdog.config import load
from watchdog.connecting import connect
from watchdog.demo.server import EmbeddedServer, free_port
from watchdog.presence import Outcome

LINES = "2026-02-19 01:33:50,123 | ERROR    | __main__ | no\n2026-02-19 01:33:51,123 | INFO     | __main__ | yes\n"
EVERYTHING = """\
redis: {{url: "{url}", timeout: 1s}}
discover: {{streams: "{found}:*"}}
services:
  exit:
    heartbeat: {{key: "{beat}"}}
    flag: {{key: kill_switch}}
  execution:
    consumes: {{stream: "{stream}", group: "{group}"}}
    executions: {{stream: out, success: {{status: filled}}, input: in}}
    log: {{path: ["{folder}/{log}", "{folder}/*.{suffix}"]}}
    settings: {{file: ["-{folder}/may-be-missing.env", "{folder}/{env}"]}}
    health: {{url: "{web}/{page}", expect: {{eventbus: UP}}}}
    command: {{run: ["{folder}/{plugin}"]}}
"""
GOOD = {
    "found": "q", "beat": "exit_agent:heartbeat", "stream": "in", "group": "workers", "log": "execution.log",
    "suffix": "txt", "env": "execution.env", "page": "health", "plugin": "check_queue",
}  # fmt: skip


@pytest.fixture
def pipeline(client: redis.Redis, tmp_path: Path, httpserver: HTTPServer) -> None:
    """A small pipeline of which everything is there."""
    client.set("exit_agent:heartbeat", int(time.time()))
    for stream in ("in", "out", "q:1"):
        client.xadd(stream, {"n": "1"})
    client.xgroup_create("in", "workers")
    client.xgroup_create("out", "bridge")
    (tmp_path / "execution.log").write_text(LINES)
    (tmp_path / "other.txt").write_text("")
    (tmp_path / "execution.env").write_text("A=1\n")
    (tmp_path / "check_queue").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "check_queue").chmod(0o755)
    httpserver.expect_request("/health").respond_with_json({"eventbus": "DOWN"})
    httpserver.expect_request("/healthz").respond_with_data("", 404)


def rules(folder: Path, url: str, web: str, **wrong: str) -> str:
    """Write a file in which *wrong* is not as it should be; return its path."""
    (folder / "rules.yaml").write_text(
        EVERYTHING.format(url=url, folder=folder, web=web.rstrip("/"), **{**GOOD, **wrong})
    )
    return str(folder / "rules.yaml")


Check = Callable[[str], tuple[int, list[str]]]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """Return a function that checks a file in this process: its exit status and lines, the folder as DIR."""

    def run(path: str) -> tuple[int, list[str]]:
        status = check_by_connecting(Path(path), load(path), Form.TABLE)
        said = capsys.readouterr().out.replace(str(Path(path).parent), "DIR")
        said = re.sub(r"http://\S+/healthz?", "WEB", said)
        return status, said.splitlines()

    return run


@pytest.mark.usefixtures("pipeline")
def test_everything_is_there(
    server: EmbeddedServer, tmp_path: Path, httpserver: HTTPServer, check: Check
) -> None:
    """Exit status 0 and a line for each signal: also for what is there and not well, which is the audit's business."""
    path = rules(tmp_path, server.url, httpserver.url_for(""))
    status, lines = check(path)
    assert lines == [
        f"there        redis: redis: Redis at 127.0.0.1:{server.port} answers",
        "there        exit: heartbeat: exit_agent:heartbeat is a string",
        "there        exit: flag: kill_switch is not set now, so whether anybody ever sets it cannot be seen",
        "there        execution: consumes: in is a stream and has the group workers",
        "there        execution: executions: out is a stream; in is a stream",
        "there        execution: log: DIR/execution.log: pipe, 2 of 2 records in 2 lines have a level;"
        " DIR/other.txt: empty",
        'there        execution: health: WEB: answers, but eventbus is "DOWN", expected "UP"',
        "there        execution: command: check_queue: says warning",
        "there        execution: settings: DIR/execution.env: can be read",
        "there        watchdog: discovery: finds 1 streams, groups and heartbeats",
        "DIR/rules.yaml: of 10 signals: 10 there",
    ]  # fmt: skip
    assert status == 0


WRONG = [
    ("beat", "exit:heartbeat", 'exit: heartbeat: there is no key exit:heartbeat'),
    ("beat", "in", "exit: heartbeat: in is a stream, not a string"),
    ("stream", "inn", 'execution: consumes: there is no key inn (did you mean "in"?)'),
    ("stream", "out", 'execution: consumes: the stream out has no group workers (it has bridge)'),
    ("group", "worker", 'execution: consumes: the stream in has no group worker (it has workers) (did you mean "workers"?)'),
    ("log", "executions.log", 'execution: log: there is no file DIR/executions.log (did you mean "DIR/execution.log"?)'),
    ("log", "log/execution.log", "execution: log: there is no file DIR/log/execution.log"),
    ("suffix", "text", "execution: log: no file matches DIR/*.text"),
    ("env", "exekution.env", 'execution: settings: there is no file DIR/exekution.env (did you mean "DIR/execution.env"?)'),
    ("page", "healthz", "execution: health: WEB: it answers 404; its answer is not JSON"),
    ("web", "http://127.0.0.1:{port}", "execution: health: WEB: the connection is refused: nobody listens there"),
    ("web", "http://" + "a" * 64, "execution: health: WEB: the name of its host is none that can exist"),
    ("plugin", "check_cue", 'execution: command: check_cue: there is no program DIR/check_cue (did you mean "DIR/check_queue"?)'),
    ("found", "nothing", "watchdog: discovery: no key fits its patterns"),
]  # fmt: skip


@pytest.mark.parametrize("case", WRONG, ids=[f"{what}: {name}"[:40] for what, name, _ in WRONG])
@pytest.mark.usefixtures("pipeline")
def test_what_is_missing(
    check: Check, server: EmbeddedServer, tmp_path: Path, httpserver: HTTPServer, case: tuple[str, str, str]
) -> None:
    """H07: a key nobody writes, a group, a file, an address that do not exist; and what was meant, if it was seen."""
    what, name, line = case
    keys = {"web": httpserver.url_for(""), what: name.format(port=free_port())}
    status, lines = check(rules(tmp_path, server.url, **keys))
    assert [found for found in lines if not found.startswith(("there", "DIR"))] == [f"missing      {line}"]
    assert status == 1


@pytest.mark.usefixtures("pipeline")
def test_a_name_is_suggested_only_if_it_was_seen_anyway(
    check: Check, client: redis.Redis, server: EmbeddedServer, tmp_path: Path
) -> None:
    """No key is looked for but those that the file names: here another service of it names the right one."""
    path = tmp_path / "r.yaml"
    path.write_text(
        f"redis: {{url: '{server.url}'}}\nservices:\n"
        "  a: {heartbeat: {key: 'exit_agent:heartbeat'}}\n  b: {heartbeat: {key: 'exit_agnt:heartbeat'}}\n"
    )
    commands = client.info("commandstats")
    status, lines = check(str(path))
    assert (
        'b: heartbeat: there is no key exit_agnt:heartbeat (did you mean "exit_agent:heartbeat"?)' in lines[2]
    )
    assert status == 1
    after = client.info("commandstats")
    asked = {
        name for name, stats in after.items() if stats["calls"] != commands.get(name, {"calls": 0})["calls"]
    }
    assert asked <= {
        "cmdstat_ping",
        "cmdstat_type",
        "cmdstat_info",
        "cmdstat_hello",
        "cmdstat_client|setinfo",
        "cmdstat_client|setname",
    }


@pytest.mark.usefixtures("pipeline")
def test_of_several_servers_each_line_names_its_own(
    check: Check, server: EmbeddedServer, tmp_path: Path
) -> None:
    """A key that is missing is missing *somewhere*; and two servers that answer are told apart."""
    path = tmp_path / "r.yaml"
    path.write_text(
        f"redis:\n  trading: {{url: '{server.url}'}}\n  cache: {{url: 'redis://127.0.0.1:{server.port}/7'}}\n"
        "services:\n  a: {stream: {key: in, redis: trading}}\n  b: {stream: {key: in, redis: cache}}\n"
    )
    answers = f"Redis at 127.0.0.1:{server.port} answers"
    assert check(str(path)) == (
        1,
        [
            f"there        redis: redis: trading: {answers}",
            f"there        redis: redis: cache: {answers}",
            "there        a: stream: trading: in is a stream",
            "missing      b: stream: cache: there is no key in",
            "DIR/r.yaml: of 4 signals: 1 missing, 3 there",
        ],
    )


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.usefixtures("pipeline")
def test_a_redis_that_is_away_is_one_line(
    check: Check, tmp_path: Path, httpserver: HTTPServer, deaf: int
) -> None:
    """Whatever else is there is told all the same; one that is deaf is waited for no longer than its time-out."""
    for port in (free_port(), deaf):
        began = time.monotonic()
        status, lines = check(rules(tmp_path, f"redis://:hunter2@127.0.0.1:{port}", httpserver.url_for("")))
        assert time.monotonic() - began < 10
        away = [line for line in lines if line.startswith("unreachable")]
        assert len(away) == 1
        assert away[0].startswith(f"unreachable  redis: redis: Redis at 127.0.0.1:{port} ")
        assert away[0].endswith("(and so 5 more signals)")
        assert sum(line.startswith("there") for line in lines) == 4
        assert "hunter2" not in "".join(lines)
        assert status == 3


@pytest.fixture
def half(client: redis.Redis, server: EmbeddedServer) -> Iterator[str]:
    """The server's address for a user who may not see the heartbeat."""
    keys = ["in", "out", "q:*", "kill_switch"]
    client.acl_setuser("half", enabled=True, passwords=["+pw"], commands=["+@all"], keys=keys)
    yield server.url.replace("://", "://half:pw@")
    client.acl_deluser("half")


@pytest.mark.usefixtures("pipeline")
def test_what_cannot_be_told(check: Check, half: str, tmp_path: Path, deaf: int) -> None:
    """A key that the ACL hides, a service that accepts but never answers, a plugin that cannot tell."""
    (tmp_path / "check_queue").write_text("#!/bin/sh\necho no idea\nexit 3\n")
    path = rules(tmp_path, half, f"http://127.0.0.1:{deaf}")
    Path(path).write_text(Path(path).read_text().replace("expect: {eventbus: UP}", "timeout: 200ms"))
    status, lines = check(path)
    assert status == 3
    told = [line for line in lines if not line.startswith(("there", "DIR"))]
    assert told[0].startswith(
        "unsure       exit: heartbeat: Redis does not say whether exit_agent:heartbeat exists: NOPERM"
    )
    assert told[1:] == [
        "unreachable  execution: health: WEB: it accepts the connection but does not answer within 200ms",
        "unsure       execution: command: check_queue: no idea",
    ]


@pytest.mark.usefixtures("pipeline")
def test_for_programs(server: EmbeddedServer, tmp_path: Path, httpserver: HTTPServer) -> None:
    """`--format json` is nothing but JSON, in a process of its own."""
    path = rules(tmp_path, server.url, httpserver.url_for(""), group="worker")
    ran = watchdog("check", "--rules", path, "--connect", "--format", "json")
    assert (ran.status, ran.err, ran.json["outcome"]) == (1, "", "missing")
    (wrong,) = [signal for signal in ran.json["signals"] if signal["outcome"] != "there"]
    assert wrong == {
        "service": "execution",
        "signal": "consumes",
        "labels": {"group": "worker", "stream": "in"},
        "outcome": "missing",
        "detail": "the stream in has no group worker (it has workers)",
        "did_you_mean": "workers",
    }


def test_a_unit_that_systemd_does_not_know(
    check: Check, server: EmbeddedServer, client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What systemctl says is recorded, since not every machine has it; the nearest unit is suggested."""
    client.ping()
    (tmp_path / "systemctl").write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        '  *list-unit-files*) echo "quantum-rl-trainer.service enabled enabled"; echo "ssh.service enabled enabled" ;;\n'
        '  *quantum-rl-trainer.service*) printf "Id=quantum-rl-trainer.service\\nLoadState=loaded\\nActiveState=active\\nSubState=running\\nNRestarts=0\\n" ;;\n'
        '  *) printf "Id=x\\nLoadState=not-found\\nActiveState=inactive\\nSubState=dead\\n" ;;\n'
        "esac\n"
    )
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    path = tmp_path / "r.yaml"
    path.write_text(
        f"redis: {{url: '{server.url}'}}\nservices:\n  a: {{unit: {{name: quantum-rl-trainer.service}}}}\n"
        "  b: {unit: {name: quantum-rltrainer}}\n"
    )
    status, lines = check(str(path))
    assert lines[1:3] == [
        "there        a: unit: quantum-rl-trainer.service: is active",
        'missing      b: unit: quantum-rltrainer: systemd knows no such unit (did you mean "quantum-rl-trainer.service"?)',
    ]
    assert status == 1


@pytest.mark.usefixtures("pipeline")
def test_what_takes_too_long_is_unsure(
    server: EmbeddedServer, tmp_path: Path, httpserver: HTTPServer
) -> None:
    """All of it has one end; what has not answered by then is said to be so."""
    (tmp_path / "check_queue").write_text("#!/bin/sh\nexec sleep 60\n")
    config = load(rules(tmp_path, server.url, httpserver.url_for("")))
    found = asyncio.run(connect(config, utc_now(), patience=2))
    assert [(f.key.kind, f.detail) for f in found if f.outcome is Outcome.UNSURE] == [
        ("command", "no answer within 2s")
    ]
