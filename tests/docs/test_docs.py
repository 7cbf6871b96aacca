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

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_readmes_rules_are_right() -> None:
    """Ten lines to copy, and three, must not be wrong."""
    sample, discovering = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    config = parse(sample, environment={"SLACK_WEBHOOK_URL": "https://hooks.example/x"})
    assert (config.services, config.warnings, len(sample.splitlines())) == (("orders",), (), 10)
    assert (len(parse(discovering).discover), len(discovering.splitlines())) == (1, 3)


def test_every_reason_is_named_where_decisions_are_explained() -> None:
    """Log, metric and API say these words; so does the page."""
    named = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "reference" / "telling.md").read_text()))
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


@pytest.mark.parametrize("alert", BUILTIN)
def test_every_built_in_rule_has_a_runbook_where_its_link_points(alert: str) -> None:
    """A page at three in the morning must not end in a 404."""
    rule = next(r for r in parse("services: {a: {heartbeat: {key: k}}}").rules if r.alert == alert)
    _, _, path = rule.runbook.partition("/blob/main/")
    assert (ROOT / path).read_text().startswith(f"# {alert}\n")


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
