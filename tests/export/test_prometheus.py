"""What `watchdog export` writes: for Prometheus, for Alertmanager, for editors."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.drawn import rows
from tests.dropins.conftest import run
from tests.process.conftest import typed
from watchdog.config import load, parse
from watchdog.export.alertmanager import alertmanager_file
from watchdog.export.prometheus import expressible, rules_file, variants
from watchdog.export.promql import Gain, among
from watchdog.export.promtests import promtests_file

ROOT = Path(__file__).parents[2]
COMMITTED = {
    "rules": ("prometheus/rules/pipeline.yml", "prometheus"),
    "tests": ("prometheus/tests/pipeline_test.yml", "prometheus --tests"),
    "alertmanager": ("prometheus/alertmanager-pipeline.yml", "alertmanager"),
}
TWO = """
services:
  front: {needs: [worker], heartbeat: {key: f}}
  worker: {heartbeat: {key: a}, rules: {HeartbeatStale: {when: heartbeat.age > 1h, for: 5m}}}
  helper: {heartbeat: {key: b}, rules: {HeartbeatStale: {when: heartbeat.age > 1h, for: 5m}}}
  retired: {heartbeat: {key: c}, rules: {HeartbeatStale: {off: "switched off for good"}}}
"""


def exported(text: str) -> dict[str, list[dict[str, Any]]]:
    """Return the alerting rules by name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for rule in yaml.safe_load(rules_file(parse(text)))["groups"][0]["rules"]:
        found.setdefault(rule.get("alert", ""), []).append(rule)
    return found


@pytest.mark.parametrize(("path", "command"), COMMITTED.values(), ids=COMMITTED)
def test_the_repository_has_what_comes_of_its_rules(
    path: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte by byte, so the output is the same each time; made anew with `watchdog export`."""
    monkeypatch.chdir(ROOT)
    assert typed("export", *command.split()).out == (ROOT / path).read_text(encoding="utf-8")


def test_promtool_has_nothing_to_say() -> None:
    """Not of the rules, and each fires on one history and is quiet on another."""
    assert run("promtool", "check", "rules", "--lint-fatal", ROOT / "prometheus/rules/pipeline.yml")[0] == 0
    status, said = run("promtool", "test", "rules", ROOT / "prometheus/tests/pipeline_test.yml")
    assert status == 0, said


def test_every_rule_is_tested_or_said_to_be_left_out(tmp_path: Path) -> None:
    """No rule is dropped in silence: not from the file, not from its tests."""
    config = load(ROOT / "rules.yaml", {})
    able, left = expressible(config)
    tests, rules = promtests_file(config, "x.yml"), rules_file(config)
    assert {v.rule.alert for v in variants(config)} == {v.rule.alert for v in able} | {
        one.alert for one in left
    }
    assert [one.alert for one in left] == ["FlatSellFlood"]
    assert "# Not here: FlatSellFlood, because executions.top_reason[10m] is a word without end" in rules
    for variant in able:
        asked = f'ALERTS{{alertname="{variant.rule.alert}",alertstate="firing"'
        assert tests.count(asked) >= 2, variant.rule.alert


def test_what_a_service_changes_is_a_rule_of_its_own() -> None:
    """The same change of several services is one; who switched the rule off is in none."""
    general, changed = exported(TWO)["HeartbeatStale"]
    assert 'service!~"helper|retired|worker"' in general["expr"]
    assert 'service=~"helper|worker"' in changed["expr"]
    assert "heartbeat_age_seconds" in changed["expr"]
    assert "> 3600" in changed["expr"]
    assert (general.get("for"), changed["for"]) == (None, "5m")
    assert general["labels"] == {"severity": "critical"}
    assert changed["labels"] == {"severity": "critical", "override_1": ""}


def test_rules_for_some_services_are_asked_of_those_only() -> None:
    """`services` and `except` become selectors."""
    rule = '{{alert: A, when: heartbeat.age > 5m, {}: ["front"]}}'
    some = exported(f"{TWO}rules: [{rule.format('services')}]")["A"][0]["expr"]
    rest = exported(f"{TWO}rules: [{rule.format('except')}]")["A"][0]["expr"]
    assert 'service="front"' in some
    assert 'service!="front"' in rest


NAMES = {
    "a": 'service="a"',
    "a.b c+": 'service=~"a\\\\.b|c\\\\+"',
    '"x"': 'service="\\"x\\""',
    "a\\b": 'service="a\\\\b"',
}


@pytest.mark.parametrize(("names", "matcher"), NAMES.items(), ids=["plain", "signs", "quotes", "backslash"])
def test_names_are_quoted(names: str, matcher: str) -> None:
    """A dot in a service's name is a dot, a quote ends nothing."""
    assert among("service", names.split()) == matcher


def test_text_with_braces_stays_text() -> None:
    """What an author writes is no template of Go, whatever it looks like."""
    text = TWO + "rules: [{alert: A, when: heartbeat.age > 5m, runbook: 'http://x/{{.}}'}]"
    (rule,) = exported(text)["A"]
    assert rule["annotations"]["runbook_url"] == 'http://x/{{ "{{" }}.}}'


COUNTS = """
  the counter, scrape by scrape                | seen | exact
  0x40 1+1x18                                  | 19   | 19
  0x60                                         | 0    | 0
  _x50 0+1x9                                   | 9    | -
  0x20 5x39                                    | 5    | 5
  7x30 8x10 _x3 8x16                           | 1    | 1
  100x30 0x29                                  | 0    | 0
  0x19 3x40                                    | 3    | 3
  100x30 0+1x28                                | 28   | 28
"""
"""Over ten minutes with a scrape each 15 s; `-` is not there."""


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What promtool says of all the counts."""
    directory = tmp_path_factory.mktemp("counts")
    gain = Gain("x_total", timedelta(minutes=10))
    rules = [{"record": name, "expr": expr} for name, expr in gain.records()]
    asked = []
    for i, (_, seen, exact) in enumerate(rows(COUNTS)):
        for name, number in ((gain.at_least, seen), (gain.exact, exact)):
            who = f'{name}{{row="{i}"}}'
            shown = [] if number == "-" else [{"labels": who, "value": float(number)}]
            asked.append({"expr": who, "eval_time": "885s", "exp_samples": shown})
    series = [{"series": f'x_total{{row="{i}"}}', "values": v} for i, (v, _, _) in enumerate(rows(COUNTS))]
    test = {"interval": "15s", "input_series": series, "promql_expr_test": asked}
    body = {"rule_files": ["r.yml"], "evaluation_interval": "15s", "tests": [test]}
    (directory / "r.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "g", "rules": rules}]}), encoding="utf-8"
    )
    (directory / "t.yml").write_text(yaml.safe_dump(body), encoding="utf-8")
    return run("promtool", "test", "rules", directory / "t.yml")[1]


def test_counts_are_exact(counted: str) -> None:
    """No extrapolation, nothing lost at the window's beginning, no jump where a counter begins anew."""
    assert "SUCCESS" in counted, counted


# ---- Alertmanager ------------------------------------------------------------------------------


def test_a_cause_inhibits_whoever_needs_it_be_it_through_others(tmp_path: Path) -> None:
    """As `needs` says; amtool accepts the file."""
    chain = """
services:
  a: {heartbeat: {key: a}}
  b: {needs: [a], heartbeat: {key: b}}
  c: {needs: [b], heartbeat: {key: c}}
"""
    (tmp_path / "am.yml").write_text(alertmanager_file(parse(chain)), encoding="utf-8")
    rules = yaml.safe_load((tmp_path / "am.yml").read_text(encoding="utf-8"))["inhibit_rules"]
    critical = 'severity="critical"'
    assert rules == [
        {"source_matchers": ['service="a"', critical], "target_matchers": ['service=~"b|c"']},
        {"source_matchers": ['service="b"', critical], "target_matchers": ['service="c"']},
    ]
    status, said = run("amtool", "check-config", tmp_path / "am.yml")
    assert status == 0, said


# ---- the command -------------------------------------------------------------------------------


def test_files_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    """And of what is not exported one is told."""
    ran = typed("export", "prometheus", "--rules", str(ROOT / "rules.yaml"), "--out", str(tmp_path / "new"))
    assert (ran.status, ran.out) == (0, "")
    assert "not exported: FlatSellFlood, because" in ran.err
    assert (
        (tmp_path / "new/pipeline.yml")
        .read_text(encoding="utf-8")
        .startswith("# The rules in force of rules.yaml")
    )


def test_what_cannot_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    """With the place and the cure."""
    (tmp_path / "file").touch()
    ran = typed("export", "schema", "--out", str(tmp_path / "file"))
    assert ran.status == 1
    assert "rules.schema.json cannot be written: " in ran.err


def test_the_schema_is_json() -> None:
    """As it is printed."""
    assert json.loads(typed("export", "schema").out)["title"] == "rules.yaml of Pipeline Watchdog"
