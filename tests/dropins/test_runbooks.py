"""docs/runbooks.md: there is a section for every alert, and what it says can be done."""

from __future__ import annotations

import re

import pytest
from typer.main import get_command

from watchdog.builtin import BUILTIN, RUNBOOKS, raw_rules
from watchdog.cli import app
from watchdog.config import parse
from watchdog.demo.run import RULES as DEMO_RULES

from .conftest import ROOT, alerting_rules

TEXT = (ROOT / "docs/runbooks.md").read_text(encoding="utf-8")
SECTIONS = {
    found[1]: found[2].strip()
    for found in re.finditer(r"^## (\w+)\n(.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL)
}
PARTS = ("```sh\n", "- **Usual causes.** ", "- **Do.** ", "- **Adjust.** ")
DEMO = re.findall(r"^  - alert: (\w+)$", DEMO_RULES.read_text(encoding="utf-8"), re.MULTILINE)

EVERYTHING = """
services:
  a:
    heartbeat: {{key: k, ttl: 30s}}
    stream: {{key: s, expect_every: 5s, expect_groups: true, fields: {{price: {{range: [0, 1]}}}}}}
    consumes: {{stream: s, group: g}}
    executions: {{stream: r, success: {{status: filled}}, reason: error, input: s}}
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


@pytest.mark.parametrize("alert", [*BUILTIN, *DEMO, *(rule["alert"] for rule in alerting_rules())])
def test_every_alert_has_a_section(alert: str) -> None:
    """What it means, how to confirm, usual causes, what to do, how to adjust: in this order."""
    assert alert in SECTIONS, f"docs/runbooks.md has no section ## {alert}"
    places = [SECTIONS[alert].find(part) for part in PARTS]
    assert -1 not in places, f"{alert} lacks {PARTS[places.index(-1)]}"
    assert places == sorted(places)
    assert places[0] > 40, f"{alert}: what does it mean?"


def test_every_section_is_about_an_alert_that_exists() -> None:
    """A rule that was renamed or removed takes its section along."""
    assert set(SECTIONS) == {*BUILTIN, *DEMO, *(rule["alert"] for rule in alerting_rules())}


def test_links_inside_lead_somewhere() -> None:
    """An anchor is a section's name in lower case."""
    assert set(re.findall(r"\]\(#([^)]*)\)", TEXT)) <= {name.lower() for name in SECTIONS}


def test_alerts_link_to_their_own_section() -> None:
    """The page exists under the name that alerts give it, and each anchor is the alert's."""
    assert RUNBOOKS.endswith("/blob/main/docs/runbooks.md")
    assert {r["alert"]: r["runbook"] for r in raw_rules()} == {r: f"{RUNBOOKS}#{r.lower()}" for r in BUILTIN}
    linked = re.findall(r'runbook: "\$\{RUNBOOKS\}#(\w+)"', DEMO_RULES.read_text(encoding="utf-8"))
    assert linked == [name.lower() for name in DEMO]


ADJUSTMENTS = [
    (name, " ".join(span.split()))
    for name, text in SECTIONS.items()
    for span in re.findall(r"`([^`]+)`", text.partition("- **Adjust.** ")[2])
    if re.match(r"rules:\s|\{alert:\s", span)
]


@pytest.mark.parametrize(("name", "yaml_text"), ADJUSTMENTS, ids=[f"{n}: {text}" for n, text in ADJUSTMENTS])
def test_adjustments_can_be_copied(name: str, yaml_text: str) -> None:
    """What a section offers to write into rules.yaml is taken there, and is about its own rule."""
    override = yaml_text if yaml_text.startswith("rules:") else ""
    rule = f"- {yaml_text}" if yaml_text.startswith("{alert:") else ""
    assert name in yaml_text
    parse(EVERYTHING.format(override=override, rule=rule))


def test_every_builtin_rule_can_be_adjusted() -> None:
    """No section of a rule in rules.yaml leaves its reader without something to copy."""
    assert {name for name, _ in ADJUSTMENTS} >= set(BUILTIN)


def test_commands_exist() -> None:
    """A `watchdog` command that a runbook names is one."""
    named = set(re.findall(r"(?:^|`)watchdog ([a-z-]+)", TEXT, re.MULTILINE))
    assert named
    assert named <= set(get_command(app).list_commands(None))  # type: ignore[attr-defined]
