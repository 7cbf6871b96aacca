"""`--shard` as it is typed, or set for a whole unit: what it shows, and how it refuses what makes no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.conftest import typed

RULES = """
services:
  feeder: {heartbeat: {key: feeder}}
  orders: {needs: [feeder], heartbeat: {key: orders}}
receivers: {ops: {webhook: {url: "http://127.0.0.1:1/"}}}
"""
"""Of two shards the first has `orders`, the second `feeder`."""
NONE = '"2/1": there is no shard 2 of 1 (they are 1/1 to 1/1)'


@pytest.fixture
def rules(tmp_path: Path) -> str:
    """Return the path of the file that all shards have."""
    path = tmp_path / "rules.yaml"
    path.write_text(RULES, encoding="utf-8")
    return str(path)


def test_check_says_what_a_shard_has(rules: str) -> None:
    """The whole file is checked, and the rules in force are those of the shard; the option wins."""
    ran = typed("check", "--rules", rules, "--rules-in-force", environment={"WATCHDOG_SHARD": "2/2"})
    services = {line.partition(":")[0] for line in ran.out.splitlines() if "HeartbeatStale" in line}
    assert (ran.status, services) == (0, {"feeder"})
    ran = typed("check", "--rules", rules, "--shard", "1/2", environment={"WATCHDOG_SHARD": "2/2"})
    assert ran.out.endswith(" (shard 1 of 2 has 1 of 2 services)\n")


def test_an_empty_variable_is_no_shard(rules: str) -> None:
    """As a unit has it that sets the variable for some only."""
    ran = typed("check", "--rules", rules, environment={"WATCHDOG_SHARD": ""})
    assert (ran.status, "shard" in ran.out, "2 services" in ran.out) == (0, False, True)


@pytest.mark.parametrize(("command", "status"), [("run", 2), ("audit", 3), ("check", 2)])
def test_a_shard_that_cannot_be_is_refused_in_a_sentence(command: str, status: int, rules: str) -> None:
    """With the status that says *unusable* for this command, before anything is looked at."""
    ran = typed(command, "--rules", rules, "--shard", "2/1")
    assert (ran.status, ran.out, ran.err) == (status, "", f"--shard: {NONE}\n")
