"""Rule tests on drawn timelines: what the drawing says, what the rules make of it, and that promtool agrees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as Xml

import pytest
import yaml

from tests.drawn import ids, rows
from tests.dropins.conftest import run
from tests.process.conftest import Ran, typed
from watchdog.cast import Cast
from watchdog.config import load
from watchdog.drawn import Mark, parse_values
from watchdog.rulesheet import bind_tests, read_sheet
from watchdog.ruletests import run_test

ROOT = Path(__file__).parents[2]
RULES = """
services:
  feed: {stream: {key: ticks, fields: {price: {range: [1, 9]}}}}
  trainer: {heartbeat: {key: beat, ttl: 30s}}
  apply: {needs: [trainer], consumes: {stream: plan, group: apply}}
  execution:
    needs: [apply]
    executions: {stream: result, success: {status: filled}, reason: error, input: in}
    log: {path: /execution.log, patterns: {late: late}}
  backup: {log: {path: /backup.log}}
builtin_rules: off
rules:
  - {alert: Stale, when: heartbeat.age > 5m, severity: critical, summary: "{service} has not beaten for {heartbeat.age}"}
  - {alert: StaleForLong, when: heartbeat.age > 5m, for: 3m, keep_firing_for: 2m, severity: warning}
  - {alert: Dead, when: [executions.age > 10m, "executions.offered[10m] > 0"], severity: critical}
  - {alert: Quiet, when: "executions.offered[10m] == 0", severity: info}
  - {alert: Rejected, when: "executions.top_reason_share[10m] > 50%", severity: warning}
  - {alert: Errors, when: "log.error_ratio[10m] > 10%", severity: warning}
  - {alert: Stalled, when: "consumes.verdict in [stalled, stuck]", for: 1m, severity: critical}
  - {alert: Unseen, when: signal.known == 0, for: 2m, severity: warning}
  - {alert: Expiring, when: heartbeat.ttl < 10s, severity: warning}
  - {alert: Late, when: "log.matches.late[5m] > 0", severity: info}
"""
DRAWINGS = """
  drawn            | values
  5                | 5
  1 2.5 -3 1e3     | 1 2.5 -3 1000
  0+60x3           | 0 60 120 180
  10-5x2           | 10 5 0
  -2+1x3           | -2 -1 0 1
  7x2              | 7 7 7
  1x0              | 1
  _ _x2            | _ _ _
  1 _ stale 2      | 1 _ stale 2
  5m+30sx2         | 300 330 360
  1h30m 10%        | 5400 0.1
  'ok'x1 stalled   | ok ok stalled
  "a b"            | a b
"""


@pytest.mark.parametrize(("drawn", "values"), rows(DRAWINGS), ids=ids(DRAWINGS))
def test_a_drawing_is_read_as_promtool_reads_it(drawn: str, values: str) -> None:
    """`axn` is a and n more of it, `_xn` is n times no answer; durations, shares and words besides."""
    found = [
        p.value if isinstance(p, Mark) else f"{p:g}" if isinstance(p, float) else p
        for p in parse_values(drawn)
    ]
    assert " ".join(found) == values


@pytest.mark.parametrize("drawn", ["5y", "1+x3", "'open", "1x-2", "{}", "0+1x99999999", "_x999999"])
def test_what_cannot_be_drawn_is_said_with_the_cure(drawn: str) -> None:
    """One sentence."""
    with pytest.raises(ValueError, match=r"cannot be drawn \(write|draws more than 100,000 values \(draw"):
        parse_values(drawn)


def on_rules(directory: Path, text: str, *arguments: str) -> Ran:
    """Run the tests in *text* on `RULES`."""
    (directory / "rules.yaml").write_text(RULES)
    (directory / "t.yaml").write_text(text)
    return typed("test", str(directory / "t.yaml"), "--rules", str(directory / "rules.yaml"), *arguments)


HISTORIES = """
  series                                 | drawn, minute by minute    | alert        | its state at each minute
  heartbeat.age                          | 4m+1mx2 10 10              | Stale        | - - f - -
  trainer.heartbeat.age                  | 6m _ _ 10 10               | Stale        | f b b - -
  heartbeat.age{key="beat"}              | 6m stale stale 6m          | Stale        | f - - f
  heartbeat.age                          | 6m+1mx4 10 10 10           | StaleForLong | p p p f f f - -
  heartbeat.age                          | _x4 10                     | Unseen       | p p f f -
  consumes.verdict                       | ok 'stalled'x2 stuck ok    | Stalled      | - p f f f -
  execution.executions.offered           | 5x12                       | Quiet        | - - - - - - - - - - f f
  execution.executions.offered           | 5x9 6 6 6x9                | Quiet        | - - - - - - - - - - - - - - - - - - -
  execution.executions.offered           | 50 2 2x10                  | Quiet        | - - - - - - - - - - -
  execution.log.matches.late             | 0 0 1 1x4 1x4              | Late         | - - f f f f f -
  heartbeat.ttl                          | 20 5 5 stale               | Expiring     | - f f -
"""


def test_what_the_rules_make_of_a_drawing(tmp_path: Path) -> None:
    """No answer resolves nothing; a window that is not covered tells nothing; a total that falls began anew."""
    words = {"-": [], "f": [{}], "p": [{"state": "pending"}], "b": [{"state": "blind"}]}
    tests = []
    for series, drawn, alert, states in rows(HISTORIES):
        asked = [
            {"eval_time": f"{i}m", "alertname": alert, "exp_alerts": words[state]}
            for i, state in enumerate(states.split())
        ]
        tests.append({"input_series": [{"series": series, "values": drawn}], "alert_rule_test": asked})
    ran = on_rules(tmp_path, yaml.safe_dump({"tests": tests}))
    assert (ran.status, ran.err) == (0, ""), ran.out


SEVERAL = """
evaluation_interval: 30s
tests:
  - name: counters meet in a ratio, variants in a share
    interval: 1m
    since: 1h
    input_series:
      - {series: 'log.lines{service="execution"}', values: 0+10x30}
      - {series: 'log.errors{service="execution"}', values: 0x9 0+2x20}
      - {series: executions.total, values: 0+10x30}
      - {series: 'executions.reason{reason="no_position"}', values: 0+6x30}
      - {series: 'executions.reason{reason="too_late"}', values: 0+1x30}
      - {series: executions.age, values: 0+1mx30}
      - {series: executions.offered, values: 0 1x29}
    alert_rule_test:
      - {eval_time: 5m, alertname: Errors}
      - {eval_time: 25m, alertname: Errors, exp_alerts: [{exp_labels: {path: /execution.log}}]}
      - {eval_time: 10m, alertname: Rejected, exp_alerts: [{exp_labels: {service: execution, stream: result}}]}
      - {eval_time: 10m30s, alertname: Dead}
      - {eval_time: 20m, alertname: Dead}
  - name: the cause
    input_series:
      - {series: heartbeat.age, values: 10m+1mx10}
      - {series: consumes.verdict, values: "'stuck'x10"}
    alert_rule_test:
      - {eval_time: 5m, alertname: Stalled, exp_alerts: [{cause: trainer}]}
      - eval_time: 5m
        alertname: Stale
        exp_alerts: [{exp_annotations: {summary: trainer has not beaten for 15m}}]
"""


def test_several_series_meet_as_they_do_in_the_sidecar(tmp_path: Path) -> None:
    """Ratios and shares over windows, conditions on a service, the graph of needs, words."""
    ran = on_rules(tmp_path, SEVERAL.replace("10m+1mx10", "10m+30sx20"))
    assert (ran.status, ran.err) == (0, ""), ran.out
    assert ran.out.endswith("SUCCESS (7 checks)\n")


FAILING = """
tests:
  - name: dead
    input_series:
      - {series: executions.age, values: 0+5mx10}
      - {series: heartbeat.age, values: 10m+1mx10}
    alert_rule_test:
      - {eval_time: 5m, alertname: Dead, exp_alerts: [{exp_labels: {severity: critical}}]}
      - {eval_time: 5m, alertname: Stale}
      - {eval_time: 5m, alertname: Stale, exp_alerts: [{cause: nobody}]}
      - {eval_time: 5m, alertname: Stale, exp_alerts: [{}]}
"""
SAID = """\
Unit Testing:  t.yaml
  FAILED (3 of 4 checks):
    t.yaml:8:9: dead: alertname Dead, time 5m:
        exp: firing {severity="critical"}
        got: no alert
        not drawn, though the rule asks for it: executions.offered
    t.yaml:9:9: dead: alertname Stale, time 5m:
        exp: no alert
        got: firing {key="beat", service="trainer", severity="critical"} summary: 'trainer has not beaten for 15m'
    t.yaml:10:9: dead: alertname Stale, time 5m:
        exp: firing {} cause: 'nobody'
        got: firing {key="beat", service="trainer", severity="critical"} summary: 'trainer has not beaten for 15m'
"""


def test_a_failure_says_where_what_was_expected_and_what_came(tmp_path: Path) -> None:
    """And what nobody has drawn though the rule asks for it; for CI the same as JUnit."""
    ran = on_rules(tmp_path, FAILING)
    assert (ran.status, ran.out.replace(f"{tmp_path}/", "")) == (1, SAID)
    junit = on_rules(tmp_path, FAILING, "--format", "junit")
    suite = Xml.fromstring(junit.out)[0]
    assert (junit.status, suite.get("tests"), suite.get("failures")) == (1, "4", "3")
    failure = suite[0].find("failure")
    assert failure is not None
    assert "not drawn, though the rule asks for it: executions.offered" in str(failure.text)


WRONG = """
tests:
  - nmae: typo
    input_series: [{series: heartbeat.age, values: 1}]
    alert_rule_test: [{eval_time: 1m, alertname: Stale, exp_alerts: [{state: firign}]}]
"""
WRONG_SAID = """\
t.yaml:3:5: test 1: unknown key "nmae" (did you mean "name"?)
t.yaml:5:78: test 1: alert_rule_test 1: exp_alerts.state: "firign" is not one of pending, firing, blind or resolved
"""
SERIES = """
  series                        | values  | what is said
  heartbeat.agee                | 1       | trainer/heartbeat{key="beat"} has no measure "agee" (did you mean "age"?)
  hartbeat.age                  | 1       | there is no signal "hartbeat" (did you mean "heartbeat"?)
  heartbeat                     | 1       | "heartbeat" names no measure (write executions.age{service="execution"})
  log.lines                     | 1       | log is not one signal here, but 2 (name one of execution/log{path="/execution.log"}, backup/log{path="/backup.log"})
  trainer.log.lines             | 1       | service trainer has no log in the rules (those of backup, execution can be drawn)
  flag.set                      | 1       | there is no flag in the rules (no service has one)
  executions.top_reason_share   | 1       | executions.top_reason_share is made of counters (draw executions.reason and executions.total)
  executions.reason             | 1       | executions.reason has variants (write executions.reason{reason="…"})
  executions.total              | stale   | executions.total is a counter (draw numbers, or _ for no answer)
  consumes.verdict              | 1       | consumes.verdict is a word, not 1.0 (draw 'ok'x3)
  consumes.verdict              | okx3    | consumes.verdict is never "okx3"
  heartbeat.age                 | old     | heartbeat.age is a number, not 'old' (draw 5 or 0+60x10)
  heartbeat.age                 | 5y      | "5y" cannot be drawn (write
  heartbeat.age{key=beat}       | 1       | the labels of "heartbeat.age{key=beat}" cannot be read (write {service="execution"})
"""


def test_a_series_that_cannot_be_is_said_where_it_stands(tmp_path: Path) -> None:
    """With what was meant, if that can be guessed; all of them in one run."""
    wrong = rows(SERIES)
    drawn = "".join(f"      - {{series: '{series}', values: {values}}}\n" for series, values, _ in wrong)
    asked = "    alert_rule_test: [{eval_time: 0, alertname: Stale}]\n"
    ran = on_rules(tmp_path, f"tests:\n  - input_series:\n{drawn}{asked}")
    places = [f"t.yaml:{i + 2}:9: test 1: input_series {i}: " for i in range(1, len(wrong) + 1)]
    expected = [place + said for place, (_, _, said) in zip(places, wrong, strict=True)]
    found = ran.err.replace(f"{tmp_path}/", "").splitlines()
    assert (ran.status, ran.out, len(found)) == (2, "", len(expected))
    assert [line[: len(said)] for line, said in zip(found, expected, strict=True)] == expected


FILES = {
    "keys": (WRONG, WRONG_SAID),
    "an alert that is none": (
        "tests: [{alert_rule_test: [{eval_time: 1m, alertname: Stal}]}]\n",
        't.yaml:1:55: test 1: alert_rule_test 1: alertname: there is no rule "Stal" (did you mean "Stale"?)\n',
    ),
    "drawn twice": (
        "tests: [{input_series: [{series: heartbeat.age, values: 1}, {series: trainer.heartbeat.age, values: 2}],"
        " alert_rule_test: [{eval_time: 1m, alertname: Stale}]}]\n",
        't.yaml:1:61: test 1: input_series 2: trainer/heartbeat{key="beat"} has age twice (draw it once)\n',
    ),
    "too far away": (
        "tests: [{interval: 1ms, alert_rule_test: [{eval_time: 1d, alertname: Stale}]}]\n",
        "t.yaml:1:55: test 1: alert_rule_test 1: eval_time: is too far away (draw and evaluate less often)\n",
    ),
    "no tests": (
        "[]\n",
        "t.yaml:1:1: the file has no tests (start with `tests:` (see docs/how-to/replay.md))\n",
    ),
}


@pytest.mark.parametrize(("text", "said"), FILES.values(), ids=FILES)
def test_a_file_that_is_wrong_says_so_whole(tmp_path: Path, text: str, said: str) -> None:
    """Every problem in one run, with its place and its cure; exit status 2."""
    ran = on_rules(tmp_path, text)
    assert (ran.status, ran.out, ran.err.replace(f"{tmp_path}/", "")) == (2, "", said)


def test_the_repositorys_rules_pass_their_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of the page, on the file it is for."""
    monkeypatch.chdir(ROOT)
    ran = typed("test", "docs/examples/rules_test.yaml")
    assert (ran.status, ran.err) == (0, ""), ran.out


AGREED = """
  series drawn                           | alert  | until
  age 0+60x20 _x3 1 1 1                  | Old    | 26m
  age 600 stale stale 600x3              | Old    | 6m
  age 700x5 10x5 700x9                   | OldFor | 19m
  gained 0+0x3 0+2x10 20x15              | Gains  | 28m
  gained 5 9 0 4 4x9 4x9                 | Gains  | 22m
"""


def test_promtool_says_the_same_of_the_same_drawings(tmp_path: Path) -> None:
    """Where both can: an alert for a value, with `for`, for the increase of a counter, minute by minute."""
    (tmp_path / "rules.yaml").write_text(
        """
services:
  a: {executions: {stream: s, success: {ok: "1"}, input: in}}
builtin_rules: off
rules:
  - {alert: Old, when: executions.age > 9m, severity: critical}
  - {alert: OldFor, when: executions.age > 9m, for: 3m, severity: critical}
  - {alert: Gains, when: "executions.offered[5m] > 0", severity: critical}
"""
    )
    (tmp_path / "prom.yml").write_text(
        """
groups:
  - name: g
    rules:
      - {alert: Old, expr: age > 540, labels: {severity: critical}}
      - {alert: OldFor, expr: age > 540, for: 3m, labels: {severity: critical}}
      - {alert: Gains, expr: "increase(gained[5m]) > 0", labels: {severity: critical}}
"""
    )
    drawings = [Drawing(*row) for row in rows(AGREED)]
    (tmp_path / "ours.yaml").write_text(yaml.safe_dump(sheet(drawings, "rules.yaml", OURS)))
    read = read_sheet(tmp_path / "ours.yaml")
    cast = Cast(load(read.rules(tmp_path), {}))
    every = read.model.evaluation_interval
    firing = [
        [not answer.passed for answer in run_test(test, cast, every)] for test in bind_tests(read, cast)
    ]
    assert [(any(states), all(states)) for states in firing] == [(True, False)] * len(drawings)
    (tmp_path / "theirs.yml").write_text(yaml.safe_dump(sheet(drawings, "prom.yml", THEIRS, firing)))
    status, told = run("promtool", "test", "rules", tmp_path / "theirs.yml")
    assert status == 0, told


OURS = {"age": "executions.age", "gained": "executions.offered"}
THEIRS = {"age": "age", "gained": "gained"}


class Drawing(NamedTuple):
    """One series, the alert that looks at it, and how many minutes are looked at."""

    series: str
    alert: str
    until: str


def sheet(
    drawings: Sequence[Drawing], rules: str, names: Mapping[str, str], firing: Sequence[Sequence[bool]] = ()
) -> dict[str, object]:
    """Return a file of tests that asks for every minute whether the alert fires; it is expected not to if unsaid."""
    tests = []
    for i, drawing in enumerate(drawings):
        name, _, values = drawing.series.partition(" ")
        asked = [
            {
                "eval_time": f"{minute}m",
                "alertname": drawing.alert,
                "exp_alerts": [{"exp_labels": {"severity": "critical"}}]
                if firing and firing[i][minute]
                else [],
            }
            for minute in range(int(drawing.until.removesuffix("m")) + 1)
        ]
        series = [{"series": names[name], "values": values}]
        tests.append({"interval": "1m", "input_series": series, "alert_rule_test": asked})
    return {"rule_files": [rules], "evaluation_interval": "1m", "tests": tests}
