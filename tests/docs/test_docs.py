"""What the documents name exists, and what exists is documented."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from watchdog.builtin import BUILTIN
from watchdog.cli import app
from watchdog.config import parse
from watchdog.notifications import Reason
from watchdog.signals import SIGNALS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
RULES = (ROOT / "docs" / "rules.md").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_readmes_rules_are_right() -> None:
    """Ten lines to copy, and three, must not be wrong."""
    sample, discovering = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    config = parse(sample, environment={"SLACK_WEBHOOK_URL": "https://hooks.example/x"})
    assert (config.services, config.warnings, len(sample.splitlines())) == (("orders",), (), 10)
    assert (len(parse(discovering).discover), len(discovering.splitlines())) == (1, 3)


def test_every_yaml_sample_of_the_reference_is_right() -> None:
    """Each stands for itself."""
    samples = re.findall(r"```yaml\n(.*?)```", RULES, re.DOTALL)
    assert [parse(sample).services for sample in samples] == [("orders",)]


@pytest.mark.parametrize(
    "name",
    [
        "telling",
        "ha",
        "watching-the-watcher",
        "discovery",
        "redis",
        "clients",
        "metrics",
        "checks",
        "heartbeats",
        "executions",
        "settings",
        "logs",
    ],
)
def test_every_other_yaml_sample_is_right(name: str) -> None:
    """What a page offers to copy is a whole rules file."""
    samples = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / f"{name}.md").read_text(), re.DOTALL)
    assert samples
    for sample in samples:
        parse(sample)


def test_every_reason_is_named_where_decisions_are_explained() -> None:
    """Log, metric and API say these words; so does the page."""
    named = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "telling.md").read_text()))
    assert {str(reason) for reason in Reason} <= named


def test_every_command_is_in_the_readme_and_every_one_named_there_exists() -> None:
    """Commands and their options, both ways."""
    commands = get_command(app).commands  # type: ignore[attr-defined]
    named = set(re.findall(r"`?watchdog ([a-z-]+)", README))
    assert named - {"run", "audit"} <= set(commands)
    assert set(commands) <= named
    options = {option for c in commands.values() for p in c.params for option in p.opts}
    lines = [line for line in README.splitlines() if "watchdog " in line and "--" in line]
    assert {found for line in lines for found in re.findall(r"--[a-z-]+", line)} <= options | {"--strict"}


def test_every_signal_key_measure_and_rule_is_in_the_reference() -> None:
    """By its name, under its signal."""
    sections = dict(re.findall(r"### `(\w+)`\n(.*?)(?=\n### |\n## )", RULES, re.DOTALL))
    assert set(sections) == set(SIGNALS)
    for kind, signal in SIGNALS.items():
        names = set(re.findall(r"^\| `([\w.*]+)` \|", sections[kind], re.MULTILINE))
        assert names == {*signal.MEASURES, *signal.Config.model_fields} - {"every"}, kind
    rows = dict(re.findall(r"^\| \[`(\w+)`\]\(runbooks/\1\.md\) \| (.*?) \| ", RULES, re.MULTILINE))
    assert rows == {alert: "<br>".join(f"`{c}`" for c in rule["when"]) for alert, rule in BUILTIN.items()}


@pytest.mark.parametrize("alert", BUILTIN)
def test_every_built_in_rule_has_a_runbook_where_its_link_points(alert: str) -> None:
    """A page at three in the morning must not end in a 404."""
    rule = next(r for r in parse("services: {a: {heartbeat: {key: k}}}").rules if r.alert == alert)
    _, _, path = rule.runbook.partition("/blob/main/")
    assert (ROOT / path).read_text().startswith(f"# {alert}\n")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    """Relative links name files that are there."""
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#[^)]*)?\)", document.read_text())
    assert [link for link in links if link and not (document.parent / link).exists()] == []


def test_the_lock_names_no_index_and_holds_every_dependency() -> None:
    """Hashes only; what pyproject asks for is in it."""
    lock = (ROOT / "requirements.lock").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [
        *project["dependencies"],
        *(d for extra in project["optional-dependencies"].values() for d in extra),
    ]
    names = {re.split(r"[\[<>=~; ]", dependency)[0].lower() for dependency in asked} - {"pipeline-watchdog"}
    locked = {name.lower() for name in re.findall(r"^([A-Za-z0-9_.-]+)==", lock, re.MULTILINE)}
    assert names <= locked
    assert "://" not in lock
