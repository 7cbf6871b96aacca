"""`watchdog explain`: the reference in a terminal, with what is in force, and without anybody to ask."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.process.conftest import typed
from watchdog.builtin import BUILTIN
from watchdog.config import parse
from watchdog.filekeys import all_keys, find_keys
from watchdog.handbook import changing, key_lines, list_lines, rule_lines
from watchdog.notifiers import NOTIFIERS
from watchdog.reference import measure_names, measure_pages, rule_page, rule_pages, signal_pages
from watchdog.signals import SIGNALS

NARROW = {"COLUMNS": "80"}
RULES = """\
services:
  orders:
    executions: {stream: orders:done, success: {ok: true}, input: orders:new}
    rules: {NoExecutions: {when: executions.age > 30m, severity: warning}}
  bills:
    executions: {stream: bills:done, success: {ok: true}, input: bills:new}
rules:
  - {alert: TooQuiet, when: "executions.total[1h] < 5", for: 3m, summary: "{service} is too quiet"}
receivers: {ops: {webhook: {url: http://127.0.0.1:9/}}}
"""


@pytest.fixture
def rules(tmp_path: Path) -> str:
    """A rules file."""
    (tmp_path / "rules.yaml").write_text(RULES)
    return str(tmp_path / "rules.yaml")


def explain(*arguments: str, rules: str = "no such file") -> str:
    """Return what is explained."""
    ran = typed("explain", *arguments, "--rules", rules, environment=NARROW)
    assert (ran.status, ran.err) == (0, "")
    return ran.out


def test_a_rule_is_told_with_its_meaning_and_how_to_change_it() -> None:
    """Letter for letter, on 80 columns, where there is no rules file."""
    assert (
        explain("rule", "HeartbeatMissing")
        == """\
HeartbeatMissing  critical, built in
  There is no key at all.

  holds when   heartbeat.present == 0
  for          30s
  says         {service} has no heartbeat at {key}
  asks for     heartbeat.present

To change it for one service, in rules.yaml:
  services:
    NAME:
      rules:
        HeartbeatMissing:
          when:
            - heartbeat.present == 0
          for: 30s
or `HeartbeatMissing: {off: "the reason"}`, and it holds for that service no longer.

What to do when it fires: `watchdog runbook HeartbeatMissing`
"""
    )


def test_where_there_is_a_rules_file_it_is_told_for_whom_a_rule_is_in_force(rules: str) -> None:
    """And how, where a service has its own words for it."""
    said = explain("rule", "NoExecutions", rules=rules)
    assert 'in force     orders stream="orders:done": executions.age > 30m, warning\n' in said
    assert '             bills stream="bills:done"\n' in said
    assert "nowhere here" in explain("rule", "UnitDown", rules=rules)


def test_a_rule_of_the_file_is_explained_as_a_built_in_one_is(rules: str) -> None:
    """It has no runbook of ours, and is called what it is."""
    said = explain("rule", "tooquiet", rules=rules)
    assert said.startswith("TooQuiet  warning, of the file\n")
    assert "holds when   executions.total[1h] < 5" in said
    assert "watchdog runbook" not in said


def test_a_signal_a_measure_and_a_receiver_tell_where_the_file_has_them(rules: str) -> None:
    """What is watched by it, which rules ask for it, what it is called."""
    assert "watched of   orders, bills\n" in explain("signal", "executions", rules=rules)
    assert "in force     TooQuiet\n" in explain("measure", "executions.total", rules=rules)
    assert "metric       watchdog_executions_total\n" in explain("measure", "executions.total", rules=rules)
    assert "in the file  ops\n" in explain("receiver", "webhook", rules=rules)


def test_a_broken_rules_file_hides_nothing_of_the_reference(tmp_path: Path) -> None:
    """It is said that it is broken."""
    (tmp_path / "r.yaml").write_text("services: {a: {hartbeat: {}}}")
    ran = typed("explain", "rule", "NoExecutions", "--rules", str(tmp_path / "r.yaml"))
    assert (ran.status, "NoExecutions  critical" in ran.out) == (0, True)
    assert "has problems, so what is in force is not shown (`watchdog check`)" in ran.err


MISTAKES = [
    (("rule", "NoExecution"), 'there is no rule "NoExecution" (did you mean "NoExecutions"?)'),
    (("signal", "consume"), 'there is no signal "consume" (did you mean "consumes"?)'),
    (
        ("measure", "executions.agee"),
        'there is no measure "executions.agee" (did you mean "executions.age"?)',
    ),
    (("receiver", "slak"), 'there is no receiver "slak" (did you mean "slack"?)'),
    (("key", "zzz"), 'there is no key "zzz" (`watchdog explain key` lists them)'),
    (("rul", "NoExecutions"), '"rul" is none of rule, signal, measure, key, receiver (did you mean "rule"?)'),
    (("rule", "\x1b[31mX"), 'there is no rule "�[31mX" (`watchdog explain rule` lists them)'),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES, ids=[said[:40] for _, said in MISTAKES])
def test_a_mistake_is_one_sentence_with_its_cure(arguments: tuple[str, ...], said: str) -> None:
    """Whatever was typed cannot steer the terminal."""
    ran = typed("explain", *arguments, "--rules", "no such file")
    assert (ran.status, ran.out, ran.err) == (2, "", said + "\n")


def test_one_word_that_is_no_alert_is_looked_up() -> None:
    """A signal, a measure of one, a kind of receiver."""
    assert explain("consumes").startswith("consumes  a signal\n")
    assert explain("log.error_ratio").startswith("log.error_ratio[10m]  ratio over a window\n")
    assert explain("slack").startswith("slack  a receiver\n")
    assert explain("log.matches.late").startswith("log.matches.*[10m]  counter\n")


def test_an_alert_is_asked_of_the_sidecar_and_its_rule_is_named_where_there_is_none(rules: str) -> None:
    """As ever; whoever has no sidecar learns how to go on."""
    ran = typed("explain", "NoExecutions", "--rules", rules, "--url", "http://127.0.0.1:9")
    assert ran.status == 3
    assert ran.err.endswith("(what it means, without a sidecar: `watchdog explain rule NoExecutions`)\n")


def test_a_name_that_several_have_is_a_list() -> None:
    """So that one can be chosen; of keys those that end so to the letter."""
    assert {page.signal for page in measure_pages("age")} >= {"heartbeat", "stream", "executions", "log"}
    assert "signals measure age:\n  heartbeat.age" in explain("measure", "age")
    assert [key.path for key in find_keys("consumes.stream")] == ["services.*.consumes.stream"]
    assert [key.path for key in find_keys("services.orders.log.ignore")] == ["services.*.log.ignore"]
    assert len(find_keys("timeout")) > 5


@pytest.mark.parametrize("subject", ["rule", "signal", "measure", "key", "receiver"])
def test_without_a_name_all_are_listed(subject: str) -> None:
    """Each in a line with what it is, within 80 columns."""
    said = explain(subject)
    count = {
        "rule": len(BUILTIN),
        "signal": len(SIGNALS),
        "measure": len(measure_names()) - len(SIGNALS) - 1,
        "key": len(all_keys()),
        "receiver": len(NOTIFIERS),
    }[subject]
    assert said.startswith(f"{count} {subject}s:\n")
    assert [line for line in said.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", BUILTIN)
def test_what_is_offered_to_change_a_rule_is_right(name: str) -> None:
    """It can be copied: plain YAML, with the very conditions of the rule."""
    page = rule_page(name)
    written = yaml.safe_load("\n".join(changing(page)))
    assert written["services"]["NAME"]["rules"][name]["when"] == list(page.when)
    assert page.meaning.endswith(".")


def test_every_page_is_within_its_columns_and_without_control_signs() -> None:
    """Rules, keys and lists, as narrow as 60."""
    lines = [line.plain for page in rule_pages() for line in rule_lines(page, [], "built in", 60)]
    lines += [line.plain for key in all_keys() for line in key_lines(key, 60)]
    lines += [line.plain for line in list_lines("t", [("a\x1b[2J", "b\x07" * 40)], 60)]
    offered = re.compile(r"^\s*(- |[A-Z]\w+: \{|or `|To change|What to do|services\.)")
    assert [line for line in lines if len(line) > 60 and not offered.match(line)] == []
    assert all(line.isprintable() for line in lines)


def test_every_measure_says_what_it_is_exported_as() -> None:
    """But words over a window, which are no series."""
    pages = [measure for page in signal_pages() for measure in page.measures]
    assert {page.kind for page in pages if not page.series} == {"word over a window"}
    config = parse("services: {a: {heartbeat: {key: k}}}")
    asked = {f"{c.term.signal}.{c.term.measure}" for rule in config.rules for c in rule.conditions}
    assert {page.whole for page in pages if page.rules} == asked - {"signal.known"}
