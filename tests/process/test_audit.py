"""`watchdog audit` and `watchdog check`, as a user or a cron job calls them."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
import redis
from rich.text import Text
from typer.main import get_command

from tests.drawn import ids, rows
from tests.process.conftest import typed, watchdog
from watchdog.cli import app
from watchdog.demo.server import EmbeddedServer, start_server
from watchdog.printing import printed

RESULT: dict[Any, Any] = {
    "payload": '{"symbol":"BTCUSDT","status":"filled","entry_price":71208.9,"position_size_usd":50.0}'
}
REFUSED: dict[Any, Any] = {
    "payload": '{"symbol":"BTCUSDT","status":"rejected","entry_price":71208.9}',
    "error": "kill_switch_active",
}


def write(path: Path, server_url: str, services: str) -> Path:
    """Write a rules file and return its path."""
    path.write_text(f'redis: {{url: "{server_url}", timeout: 1s}}\nservices:\n{services}')
    return path


EXECUTION = """\
  execution:
    consumes: {stream: in, group: g}
    executions: {stream: out, success: {status: filled}, reason: error, input: in}
"""


def healthy(client: redis.Redis) -> None:
    """Make a pipeline that works: an entry came in and was executed a minute ago."""
    now = int(time.time() * 1000)
    client.xadd("in", {"decision": "EXECUTE"}, id=f"{now - 61_000}-0")
    client.xgroup_create("in", "g", id="0")
    entries: Any = client.xreadgroup("g", "c", {"in": ">"})
    client.xack("in", "g", entries[0][1][0][0])
    client.xadd("out", RESULT, id=f"{now - 60_000}-0")


def dead(client: redis.Redis) -> None:
    """Make the outage: entries come in, are acknowledged, and nothing has been executed for two hours."""
    healthy(client)
    now = int(time.time() * 1000)
    client.delete("out")
    client.xadd("out", RESULT, id=f"{now - 7_200_000}-0")
    for i in range(30):
        client.xadd("out", REFUSED, id=f"{now - 300_000 + i}-0")


def test_a_working_pipeline_is_ok(server: EmbeddedServer, client: redis.Redis, tmp_path: Path) -> None:
    """Exit status 0, and the figures a program may rely on."""
    healthy(client)
    ran = typed("audit", "--rules", str(write(tmp_path / "r", server.url, EXECUTION)), "--format", "json")
    assert (ran.status, ran.err) == (0, "")
    found = ran.json
    assert (found["status"], found["redis"]["up"], found["alerts"]) == ("ok", True, [])
    consumes, executions = found["services"]["execution"]["signals"]
    assert consumes["labels"] == {"group": "g", "stream": "in"}
    assert (consumes["status"], consumes["values"]["lag"], consumes["values"]["pending"]) == ("ok", 0.0, 0.0)
    assert consumes["values"]["verdict"] == "ok"
    assert 60 <= executions["values"]["age"] <= 70
    assert (executions["values"]["offered[1h]"], executions["values"]["succeeded[10m]"]) == (1.0, 1.0)


def test_the_outage_is_critical_at_the_first_look(
    server: EmbeddedServer, client: redis.Redis, tmp_path: Path
) -> None:
    """No sidecar, no state: the sources' own history is enough."""
    dead(client)
    rules = str(write(tmp_path / "r", server.url, EXECUTION))
    ran = typed("audit", "--rules", rules, "--format", "json")
    assert ran.status == 2
    alerts = {alert["labels"]["alertname"]: alert for alert in ran.json["alerts"]}
    assert set(alerts) == {"NoExecutions", "OneReason"}
    told = alerts["NoExecutions"]
    assert (told["state"], told["labels"]["service"], told["cause"], told["affects"]) == (
        "firing",
        "execution",
        None,
        [],
    )
    assert 7200 <= told["value"] <= 7300
    assert (
        told["summary"]
        == "execution has not succeeded for 2h although work was offered 1 times in the last hour"
    )
    assert alerts["OneReason"]["summary"].endswith("for one reason: kill_switch_active")
    assert not list(tmp_path.glob("*.db*"))


def test_every_form_tells_the_same(server: EmbeddedServer, client: redis.Redis, tmp_path: Path) -> None:
    """A glance or a table for people, a line for Nagios, cases for CI, a table for a merge request."""
    dead(client)
    rules = str(write(tmp_path / "r", server.url, EXECUTION))
    short = typed("audit", "--rules", rules)
    assert (short.status, "\x1b" in short.out) == (2, False)
    first, *middle, last = short.out.splitlines()
    assert first.startswith("✖ NOT WORKING for 2h: execution has not succeeded for 2h")
    assert (first, middle[0], middle[-1]) == (last, "", "1 service: 1 critical")
    assert "  next      watchdog runbook NoExecutions" in middle
    table = typed("audit", "--rules", rules, "-v")
    assert (table.status, "\x1b" in table.out) == (2, False)
    assert "CRITICAL NoExecutions (firing): execution has not succeeded for 2h" in table.out
    assert table.out.rstrip().splitlines()[-1] == "critical: 1 critical (execution), 0 ok"
    nagios = typed("audit", "--rules", rules, "--format", "nagios")
    first, *more = nagios.out.splitlines()
    text, _, data = first.partition(" | ")
    assert text.startswith("WATCHDOG CRITICAL - execution has not succeeded for 2h")
    assert "'services_critical'=1;;;0" in data
    assert "'execution_last_success'=72" in data
    assert len(more) == 2
    suite = Xml.fromstring(typed("audit", "--rules", rules, "--format", "junit").out)[0]
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("execution", "2", "1")
    markdown = typed("audit", "--rules", rules, "--format", "markdown").out
    assert "| execution | executions | critical |" in markdown
    assert "| NoExecutions | execution | firing |" in markdown


COLOURS = """
  environment              | width | coloured
  -                        | 100   | no
  FORCE_COLOR=1            | 100   | yes
  FORCE_COLOR=1 NO_COLOR=1 | 100   | no
  COLUMNS=60               | 60    | no
"""


@pytest.mark.parametrize(("environment", "width", "coloured"), rows(COLOURS), ids=ids(COLOURS))
def test_what_is_piped_is_plain_unless_asked_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: str, width: str, coloured: str
) -> None:
    """A file gets neither colours nor the width of whoever happens to look."""
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for given in environment.removeprefix("-").split():
        monkeypatch.setenv(*given.split("="))
    lines = printed(lambda wide: [Text("x" * wide, style="red")]).splitlines()
    assert lines == [f"\x1b[31m{'x' * int(width)}\x1b[0m" if coloured == "yes" else "x" * int(width)]


LOG = "  a:\n    log: {path: %s}\n"


def test_bad_sources_are_unknown_and_never_ok(
    server: EmbeddedServer, client: redis.Redis, tmp_path: Path
) -> None:
    """A key of the wrong type, a missing stream, a missing log: status 3, a sentence each."""
    client.hset("hash", "a", "b")
    services = {
        "wrong type": ("  a:\n    heartbeat: {key: hash}\n", 'heartbeat "hash" holds a hash, not a string'),
        "missing stream": ("  a:\n    stream: {key: none}\n", 'stream "none" does not exist'),
        "missing log": (LOG % "/no/such.log", "/no/such.log: No such file or directory"),
        "no glob match": (LOG % f"{tmp_path}/*.none", f"no file matches {tmp_path}/*.none"),
    }
    for name, (service, trouble) in services.items():
        ran = typed("audit", "--rules", str(write(tmp_path / "r", server.url, service)), "--format", "json")
        (signal,) = ran.json["services"]["a"]["signals"]
        assert (name, ran.status, ran.json["status"], signal["status"]) == (name, 3, "unknown", "unknown")
        assert signal.get("trouble") == trouble


def test_what_redis_cannot_count_is_counted(
    server: EmbeddedServer, client: redis.Redis, tmp_path: Path
) -> None:
    """A group made in the middle of a stream: its lag is NULL, and one entry waits."""
    entries = [client.xadd("s", {"a": "b"}) for _ in range(3)]
    client.xgroup_create("s", "g", id=entries[1])
    rules = write(tmp_path / "r", server.url, "  a:\n    consumes: {stream: s, group: g}\n")
    ran = typed("audit", "--rules", str(rules), "--format", "json")
    (signal,) = ran.json["services"]["a"]["signals"]
    assert (ran.status, signal["status"]) == (0, "ok")
    assert (signal["values"]["lag"], signal["values"]["provenance"]) == (1, "counted")
    assert signal["evidence"]["redis_lag"] == "NULL"


def test_an_unreadable_log_is_unknown(server: EmbeddedServer, client: redis.Redis, tmp_path: Path) -> None:
    """A file without permission (root reads all, so a folder stands in) is no log without errors."""
    ran = typed(
        "audit", "--rules", str(write(tmp_path / "r", server.url, LOG % tmp_path)), "--format", "json"
    )
    assert (ran.status, ran.json["services"]["a"]["signals"][0]["trouble"]) == (
        3,
        f"{tmp_path}: not a regular file",
    )


def test_binary_junk_and_a_ten_megabyte_line_are_survived(
    server: EmbeddedServer, client: redis.Redis, tmp_path: Path
) -> None:
    """Whatever stands in entries, heartbeats and logs, the answer is a value or unknown."""
    junk = bytes(range(256)) * 4
    now = int(time.time() * 1000)
    client.xadd("out", {b"payload": b"{" + junk, b"status": junk, junk: junk}, id=f"{now - 1000}-0")
    client.xadd(
        "out", {"payload": '{"a":' * 5000, "data": "[1,2]", "details": "{}", "error": "\x1b[31mred\x00"}
    )
    client.xadd("out", {"status": "filled"})
    client.xadd("in", {b"\xff": junk})
    client.xgroup_create("in", junk, id="0")
    client.xgroup_create("in", "g", id="0")
    client.xreadgroup("g", "\x00consumer\x1b", {"in": ">"})
    client.set("beat", junk)
    log = tmp_path / "log"
    log.write_bytes(
        b"2026-02-19 01:33:50,123 | ERROR | a | " + b"x" * 10_000_000 + b"\n" + junk + b"\x00\xff\xfe"
    )
    services = EXECUTION + f"  a:\n    heartbeat: {{key: beat}}\n    log: {{path: {log}}}\n"
    rules = str(write(tmp_path / "r", server.url, services))
    ran = typed("audit", "--rules", rules, "--format", "json")
    assert ran.status == 3
    signals = {s["signal"]: s for service in ran.json["services"].values() for s in service["signals"]}
    assert (signals["heartbeat"]["status"], signals["heartbeat"]["values"]["age"]) == ("unknown", None)
    assert (signals["executions"]["status"], signals["log"]["status"]) == ("ok", "ok")
    assert "\x1b" not in typed("audit", "--rules", rules).out
    assert "\x1b" not in typed("audit", "--rules", rules, "--format", "nagios").out


def test_redis_away_is_one_alert_and_everything_else_unknown(tmp_path: Path) -> None:
    """Refused, or a wrong password: one sentence, status critical, nothing called ok."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    ran = typed(
        "audit", "--rules", str(write(tmp_path / "r", f"redis://{address}", EXECUTION)), "--format", "json"
    )
    assert (ran.status, ran.json["redis"]) == (2, {"up": False, "version": None})
    assert [alert["labels"]["alertname"] for alert in ran.json["alerts"]] == ["RedisDown"]
    assert {s["status"] for s in ran.json["services"]["execution"]["signals"]} == {"unknown"}
    assert address in json.dumps(ran.json["alerts"])


def test_a_wrong_password_is_told_without_the_password(tmp_path: Path) -> None:
    """WRONGPASS is the server's word; the password is nobody's."""
    with start_server(users=["user default off", "user watchdog on >right ~* +@all"]) as guarded:
        wrong = guarded.url.replace("redis://", "redis://watchdog:verysecret@")
        ran = typed("audit", "--rules", str(write(tmp_path / "r", wrong, EXECUTION)), "--format", "json")
        right = guarded.url.replace("redis://", "redis://watchdog:right@")
        fine = typed("audit", "--rules", str(write(tmp_path / "r", right, "  a:\n    heartbeat: {key: k}\n")))
    assert (ran.status, "refuses the password or user" in ran.out, "verysecret" in ran.out + ran.err) == (
        2,
        True,
        False,
    )
    assert "HeartbeatMissing" in fine.out


MISTAKES = [
    (
        ("audit", "--rules", "/no/such.yaml"),
        3,
        "/no/such.yaml:1:1: cannot be read: No such file or directory",
    ),
    (
        ("check", "--rules", "/no/such.yaml"),
        1,
        "/no/such.yaml:1:1: cannot be read: No such file or directory",
    ),
    (("run", "--rules", "/no/such.yaml"), 1, "/no/such.yaml:1:1: cannot be read: No such file or directory"),
    (("demo", "--fault", "W1"), 2, 'there is no fault "W1" (did you mean "W01"?; see --list-faults)'),
    (("demo", "--for", "soon"), 2, '--for: "soon" is not a duration'),
    (("pipeline", "executor"), 2, 'there is no service "executor" (did you mean "execution"?)'),
]


@pytest.mark.parametrize(("arguments", "status", "said"), MISTAKES, ids=[" ".join(a) for a, _, _ in MISTAKES])
def test_a_mistake_is_one_sentence(arguments: tuple[str, ...], status: int, said: str) -> None:
    """A place, a cure, an exit status, no traceback."""
    ran = watchdog(*arguments)
    assert (ran.status, (ran.out + ran.err).startswith(said)) == (status, True), ran


def test_check_says_ok_and_what_holds_for_whom(tmp_path: Path) -> None:
    """Without connecting anywhere."""
    rules = str(write(tmp_path / "r", "redis://127.0.0.1:1", EXECUTION))
    ran = typed("check", "--rules", rules, "--rules-in-force")
    assert ran.status == 0
    assert (
        "execution: NoExecutions (critical, built in): executions.age > 1h and executions.offered[1h] > 0"
        ' and (executions.rhythm == 0 or executions.overdue > 2)  stream="out"\n' in ran.out
    )
    assert ran.out.splitlines()[0].endswith(
        "warning: no receivers: alerts are shown and exported, but nobody is told"
    )


def leaves(command: Any, *names: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command there is."""
    for name, inner in getattr(command, "commands", {}).items():
        yield from leaves(inner, *names, name)
    if names and not hasattr(command, "commands"):
        yield names


@pytest.mark.parametrize("words", [*leaves(get_command(app))], ids=" ".join)
def test_every_command_has_help_with_an_example(words: tuple[str, ...]) -> None:
    """`--help` ends with something to copy."""
    ran = typed(*words, "--help")
    example = " ".join(ran.out.partition("Example: ")[2].split())
    assert (ran.status, f"{example} ".startswith(f"watchdog {' '.join(words)} ")) == (0, True), ran.out


def test_causes_come_before_symptoms(server: EmbeddedServer, client: redis.Redis, tmp_path: Path) -> None:
    """Among the critical, what explains the rest is read first, and says whom it affects."""
    dead(client)
    services = "  trainer:\n    heartbeat: {key: beat}\n" + EXECUTION + "    needs: [trainer]\n"
    ran = typed("audit", "--rules", str(write(tmp_path / "r", server.url, services)), "--format", "json")
    told = [(a["labels"]["alertname"], a["cause"], a["affects"]) for a in ran.json["alerts"]]
    assert told[0] == ("HeartbeatMissing", None, ["execution"])
    assert {cause for _, cause, _ in told[1:]} == {"trainer"}
