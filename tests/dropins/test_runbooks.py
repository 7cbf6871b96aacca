"""docs/runbooks: there is a page for every alert, and what it says can be done."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.docs.commands import understand
from watchdog.builtin import BUILTIN, RUNBOOKS, raw_rules
from watchdog.config import parse
from watchdog.demo.faults import FAULTS
from watchdog.demo.rules import rules_text
from watchdog.demo.server import EmbeddedServer
from watchdog.errors import ConfigError
from watchdog.pipeline import PORTS
from watchdog.rulebook import CATALOGUE
from watchdog.runbooks import IN_CHECKOUT, PACKAGED, in_a_sentence, read_index, read_runbook, runbook_names

from .conftest import ROOT, alerting_rules

HEADINGS = ["What it means", "How to confirm", "Usual causes", "How to fix", "How to silence rightly"]
PAGES = [path for folder in ("templates", "static") for path in (ROOT / "watchdog/web" / folder).iterdir()]
"""What the status page is made of."""
DEMO = set(re.findall(r"/runbooks/(\w+)", rules_text(haste=False)))
"""The alerts of its own that the demo has a page for."""
OF_PROMETHEUS = [str(rule["alert"]) for rule in alerting_rules()]
TEXTS = {name: read_runbook(name) or "" for name in runbook_names()}
IDS = {
    f"{kind}{number:02}"
    for kind, last in {"W": 22, "G": 20, "S": 23, "H": 8, "L": 10, "U": 9, "C": 8, "X": 12}.items()
    for number in range(1, last + 1)
}
"""The incident library: 112 ways in which pipelines have stopped working."""
NO_MEASURES = {("watchdog", "service"), ("watchdog", "yml"), ("watchdog", "client"), ("command", "run")}
READING = {
    *("GET", "TYPE", "EXISTS", "PTTL", "TIME", "PING", "INFO", "DBSIZE", "--scan", "--bigkeys"),
    *("XLEN", "XRANGE", "XREVRANGE", "XPENDING", "XINFO"),
    *("MEMORY USAGE", "CONFIG GET", "CLIENT LIST", "SLOWLOG GET", "ACL WHOAMI"),
}
"""What may be asked of Redis by somebody who only wants to know."""
ELSEWHERE = {
    "watchdog",
    "systemctl",
    "journalctl",
    "curl",
    "tail",
    "grep",
    "ls",
    "df",
    "date",
    "ss",
    "uptime",
    "last",
}
ELSEWHERE |= {"timedatectl", "free", "echo"}
"""The other programs a person has at three in the morning."""


def parts(name: str) -> Mapping[str, str]:
    """Return the sections of a runbook by their headings, in order."""
    _, *pieces = re.split(r"^## (.*)\n", TEXTS[name], flags=re.MULTILINE)
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


def shell_lines(text: str) -> list[str]:
    """Return the lines of all blocks for a shell."""
    return [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]


def code(text: str) -> Iterator[str]:
    """Yield everything written as code, in order: lines for a shell and spans within a sentence."""
    for block, span in re.findall(r"^```sh\n(.*?)^```|`([^`]+)`", text, re.MULTILINE | re.DOTALL):
        yield from block.splitlines() if block else [" ".join(span.split())]


# ---- there is one for every alert --------------------------------------------------------------


def test_there_is_a_runbook_for_each_alert_and_no_other() -> None:
    """A rule that was renamed or removed takes its page along."""
    assert set(runbook_names()) == {*BUILTIN, *DEMO, *OF_PROMETHEUS}


@pytest.mark.parametrize("name", runbook_names())
def test_a_runbook_has_its_five_parts(name: str) -> None:
    """Means, confirm, causes, fix, silence: in this order, none of them empty; what it is not; when it is fixed."""
    sections = parts(name)
    assert TEXTS[name].startswith(f"# {name}\n")
    assert list(sections) == HEADINGS
    assert all(len(text.strip()) > 60 for text in sections.values())
    assert re.search(r"\*not\*|never|Not an alert", sections["What it means"])
    assert in_a_sentence(TEXTS[name]).endswith(".")
    assert "**True" in sections["How to confirm"]
    assert re.search(r"Fixed is when|[Ii]t ends", " ".join(sections["How to fix"].split()))
    assert shell_lines(sections["How to confirm"])
    assert shell_lines(sections["How to silence rightly"])


@pytest.mark.parametrize("name", BUILTIN)
def test_a_runbook_says_when_its_rule_holds(name: str) -> None:
    """Severity, conditions and `for` as the built-in rule has them."""
    rule = BUILTIN[name]
    waits = f" for {rule['for']}" if "for" in rule else ""
    conditions = " and ".join(f"`{condition}`" for condition in rule["when"])
    opening = " ".join(TEXTS[name].partition("## ")[0].split())
    assert f"**{rule['severity']}** when {conditions}{waits}." in opening


def test_alerts_link_to_their_own_page() -> None:
    """Built-in rules, the demo's and those of Prometheus."""
    addresses = {rule["alert"]: rule["runbook"] for rule in raw_rules()}
    addresses |= {rule["alert"]: rule["annotations"]["runbook_url"] for rule in alerting_rules()}
    assert addresses == {name: f"{RUNBOOKS}/{name}.md" for name in addresses}
    assert RUNBOOKS.endswith("/blob/main/docs/runbooks")


def test_the_demo_links_to_pages_of_its_own() -> None:
    """It has no internet to rely on: its sidecar serves them."""
    places = {f"PORT_{service}": "1" for service in PORTS} | {"PORT": "2", "HOOK_PORT": "3"}
    for haste in (True, False):
        text = rules_text(haste=haste)
        config = parse(text, environment={"REDIS_URL": "redis://127.0.0.1:4", "DEMO": "/nowhere", **places})
        linked = {rule.alert: rule.runbook for rule in config.rules if rule.alert in runbook_names()}
        assert linked == {name: f"http://127.0.0.1:2/runbooks/{name}" for name in linked}
        assert {*BUILTIN, *DEMO} <= set(linked)
    assert "FlatSellFlood" in DEMO


def test_the_index_has_every_runbook_in_a_sentence() -> None:
    """With the severity that it has."""
    severities = {name: rule["severity"] for name, rule in BUILTIN.items()}
    severities |= {rule["alert"]: rule["labels"]["severity"] for rule in alerting_rules()}
    rows = {
        row[0]: row[1:]
        for row in re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| (\w+) \| (.*) \|$", read_index(), re.MULTILINE)
    }
    assert rows == {
        name: (severities.get(name, "critical"), in_a_sentence(text)) for name, text in TEXTS.items()
    }


def test_the_wheel_has_them(tmp_path: Path) -> None:
    """Where there is no checkout they lie in the package, letter by letter; a checkout has no copy of them."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = {name: wheel.read(name) for name in wheel.namelist() if f"/{PACKAGED.name}/" in name}
        assert {str(path.relative_to(ROOT)) for path in PAGES} <= set(wheel.namelist())
    assert packed == {
        f"watchdog/{PACKAGED.name}/{path.name}": path.read_bytes() for path in IN_CHECKOUT.iterdir()
    }
    assert (len(packed), PACKAGED.exists()) == (len(TEXTS) + 1, False)


# ---- what they name exists ---------------------------------------------------------------------


def test_every_way_to_stop_working_is_on_some_page() -> None:
    """The ids are those of the incident library, and none of them is left out."""
    named = {found for text in TEXTS.values() for found in re.findall(r"\b([WGSHLUCX]\d\d)\b", text)}
    assert named == IDS
    assert len(IDS) == 112


def test_the_demo_is_named_where_it_can_show_it() -> None:
    """`watchdog demo --fault ID` stands on the page of each alert that names a fault, and only where it comes."""
    brought = {fault.id: {alert for alert, _ in fault.expected} for fault in FAULTS.values()}
    shown = {name: set(re.findall(r"demo\s+--fault\s+(\w+)", text)) for name, text in TEXTS.items()}
    for name, faults in shown.items():
        assert {fault for fault in faults if name not in brought.get(fault, ())} == set(), name
    namers = {fault.expected[0][0] for fault in FAULTS.values() if fault.expected}
    assert {name for name in namers & set(shown) if not shown[name]} == set()


@pytest.mark.parametrize("name", runbook_names())
def test_measures_and_metrics_exist(name: str) -> None:
    """A figure that must move is one that can be seen."""
    for span in code(TEXTS[name]):
        for kind, measure in re.findall(r"\b([a-z]+)\.([a-z_]+)\b", span):
            if kind in CATALOGUE and (kind, measure) not in NO_MEASURES:
                assert measure in CATALOGUE[kind], f"{kind}.{measure}"
    metrics = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")
    assert [found for found in re.findall(r"\bwatchdog_[a-z_]+", TEXTS[name]) if found not in metrics] == []


# ---- what they offer to copy works -------------------------------------------------------------


@pytest.mark.parametrize("name", [*runbook_names(), "README"])
def test_watchdog_commands_are_understood(name: str) -> None:
    """Each is parsed as the command line does it: no unknown command, option or missing argument."""
    text = read_index() if name == "README" else TEXTS[name]
    for span in code(text):
        for command in re.findall(r"(?:^|\| |; )(watchdog [^|;#]+)", span):
            words = shlex.split(re.sub(r"\b(NAME|ALERT|ID)\b|…", "x", command))[1:]
            understand(words)


@pytest.mark.parametrize("name", [name for name in runbook_names() if "redis-cli" in TEXTS[name]])
def test_redis_is_asked_as_it_understands(name: str, asked: Asked) -> None:
    """What confirms only reads; what writes says so; no line is refused; every field that is picked out is there."""
    sections = parts(name)
    lines = [line for line in shell_lines(sections["How to confirm"]) if "redis-cli" in line]
    said = asked.run(lines)
    assert {words for words in asked.words() if words not in READING} == set()
    for line, printed in said.items():
        picked = re.search(r"(?:XINFO|INFO) .*grep (?:-A1 )?-E '\^\(([^)]*)\)", line)
        for field in picked[1].split("|") if picked else ():
            assert field in printed, f"{line}: there is no {field}"
    for span in code(sections["How to fix"]):
        if span.startswith("redis-cli"):
            asked.run([span])
            written = {words for words in asked.words() if words not in READING}
            assert not written or "# writes:" in span, span


def test_lines_to_confirm_need_nothing_special() -> None:
    """redis-cli, systemctl, journalctl, curl, watchdog, and what every server has."""
    for name in runbook_names():
        for line in shell_lines(parts(name)["How to confirm"]):
            first = line.split()[0].rstrip(";")
            assert first == "redis-cli" or first in ELSEWHERE or ASSIGNS.match(line), f"{name}: {line}"


ASSIGNS = re.compile(r"[A-Z]+=")


class Asked:
    """A shell whose redis-cli asks the server of this test, and notes what it was told to ask."""

    def __init__(self, server: EmbeddedServer, client: Any, folder: Path) -> None:
        real = shutil.which("redis-cli")
        assert real is not None, "redis-cli is not installed: apt-get install redis-tools"
        self._client, self._noted = client, folder / "noted"
        (folder / "redis-cli").write_text(
            f'#!/bin/sh\necho "$1 $2" >>{shlex.quote(str(self._noted))}\nexec {real} -p {server.port} "$@"\n',
            encoding="utf-8",
        )
        (folder / "redis-cli").chmod(0o755)
        self._environment = {
            "PATH": f"{folder}:/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "SERVICE": "execution",
            "KEY": "svc:execution:heartbeat",
            "STREAM": "q:stream:result",
            "INPUT": "q:stream:input",
            "GHOST": "old",
        }

    def run(self, lines: list[str]) -> dict[str, str]:
        """Run *lines* in one shell; return what each printed. Redis must have understood every one."""
        self._noted.unlink(missing_ok=True)
        self._client.config_resetstat()
        newest = self._client.xinfo_stream("q:stream:result")["last-generated-id"].decode()
        group = "newcomers" if any("XGROUP CREATE" in line for line in lines) else "workers"
        script = "".join(f"{line}\nprintf '\\036'\n" for line in lines)
        done = subprocess.run(
            ["/bin/bash"],
            input=script,
            env={**self._environment, "ID": newest, "GROUP": group},
            cwd=self._noted.parent,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        errors = self._client.info("errorstats")
        assert (done.stderr, errors) == ("", {}), lines
        return dict(zip(lines, done.stdout.split("\036"), strict=False))

    def words(self) -> set[str]:
        """Return the commands that were sent, with the subcommand where READING has one."""
        noted = self._noted.read_text(encoding="utf-8").splitlines() if self._noted.exists() else []
        return {line if line in READING else line.split()[0] for line in noted}


@pytest.fixture
def asked(server: EmbeddedServer, tmp_path: Path) -> Asked:
    """A shell on a server with a heartbeat, two streams, a group and a ghost that holds an entry."""
    client: Any = redis.Redis.from_url(server.url)
    client.flushall()
    client.set("svc:execution:heartbeat", "1771465997", ex=30)
    for stream in ("q:stream:result", "q:stream:input"):
        client.xgroup_create(stream, "workers", "0", mkstream=True)
        for symbol in ("AAAUSDT", "BBBUSDT"):
            client.xadd(stream, {"symbol": symbol, "error": "no_position"})
    client.xreadgroup("workers", "old", {"q:stream:result": ">"}, count=1)
    return Asked(server, client, tmp_path)


# ---- rules.yaml --------------------------------------------------------------------------------

EVERYTHING = """
services:
  a:
    heartbeat: {{key: k, ttl: 30s}}
    stream: {{key: s, expect_every: 5s, expect_groups: true, fields: {{price: {{range: [0, 1]}}}}}}
    consumes: {{stream: s, group: g, single: true}}
    executions: {{stream: r, success: {{status: filled}}, reason: error, input: s}}
    trace: {{stages: {{one: s, two: r}}, at_most: 1m}}
    log: {{path: /var/log/a.log, expect_every: 1m}}
    unit: [{{name: a.service}}, {{name: a.timer, expect_every: 1h}}]
    health: {{url: "https://127.0.0.1/health"}}
    command: {{run: [check_queue]}}
    settings: {{file: /etc/a.env, unit: a.service, baseline: /etc/a.accepted}}
    flag: {{key: f}}
    {override}
receivers: {{ops: {{webhook: {{url: "http://127.0.0.1/ops"}}}}}}
discover: {{streams: "s:*"}}
rules:
  - {{alert: FlatSellFlood, when: "executions.top_reason[20s] == no_position"}}
  {rule}
"""
CHANGES = [
    (name, span)
    for name in runbook_names()
    for span in code(parts(name)["How to silence rightly"])
    if re.match(r"rules:\s|\{alert:\s", span)
]


@pytest.mark.parametrize(("name", "yaml_text"), CHANGES, ids=[f"{name}: {text}" for name, text in CHANGES])
def test_changes_of_rules_can_be_copied(name: str, yaml_text: str) -> None:
    """What a page offers to write into rules.yaml is taken there, and is about its own rule."""
    override = yaml_text if yaml_text.startswith("rules:") else ""
    rule = f"- {yaml_text}" if yaml_text.startswith("{alert:") else ""
    assert name in yaml_text
    parse(EVERYTHING.format(override=override, rule=rule))


def test_every_builtin_rule_can_be_changed() -> None:
    """No page of a rule in rules.yaml leaves its reader without something to copy."""
    assert {name for name, _ in CHANGES} >= set(BUILTIN)


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("", f"{RUNBOOKS}/HeartbeatStale.md"),
        ('runbooks: "https://wiki.example/runbooks/"', "https://wiki.example/runbooks/HeartbeatStale"),
        ("runbooks: here", "http://127.0.0.1:9821/runbooks/HeartbeatStale"),
        ('runbooks: here\nlink: "https://ops.example/watchdog/"', "https://ops.example/watchdog/runbooks/HeartbeatStale"),
        ("runbooks: here\nrules: [{alert: HeartbeatStale, when: heartbeat.age > 1m}]", "http://127.0.0.1:9821/runbooks/HeartbeatStale"),
        ('runbooks: here\nrules: [{alert: HeartbeatStale, when: heartbeat.age > 1m, runbook: "https://x.example/"}]', "https://x.example/"),
        ("builtin_rules: off\nrules: [{alert: HeartbeatStale, when: heartbeat.age > 1m}]", ""),
    ],
    ids=["project", "wiki", "here", "here by its link", "replaced", "replaced with its own", "no built-in"],
)  # fmt: skip
def test_the_base_of_links_can_be_set(written: str, address: str) -> None:
    """`runbooks` says where the built-in rules' pages are; a rule that replaces one keeps the page."""
    config = parse(f"services: {{a: {{heartbeat: {{key: k}}}}}}\n{written}\n")
    assert {rule.runbook for rule in config.rules if rule.alert == "HeartbeatStale"} == {address}


@pytest.mark.parametrize(
    "written", ["there", "ftp://wiki.example", "https://", "https://x.example/?page=", "http://[x"]
)
def test_a_base_that_is_none_is_refused(written: str) -> None:
    """With its place and the cure."""
    with pytest.raises(ConfigError) as refused:
        parse(f'services: {{a: {{heartbeat: {{key: k}}}}}}\nrunbooks: "{written}"\n')
    assert str(refused.value) == (
        'rules.yaml:2:11: runbooks: is neither an http(s) URL nor "here"'
        " (give the address below which the pages are)"
    )
