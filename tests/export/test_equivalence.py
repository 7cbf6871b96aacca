"""Prometheus itself, given the exported rules and what the page showed, raises and ends the sidecar's alerts."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.drawn import rows
from tests.dropins.conftest import program
from watchdog.builtin import BUILTIN
from watchdog.export.prometheus import rules_file
from watchdog.export.promql import quoted
from watchdog.model import Labels

from .histories import Lived, Phases, Row, Seen, live, parsed, stale

SHORT = """
  alert              | signal     | while it is well                | once it is broken
  HeartbeatStale     | heartbeat  | age=10                          | age=600
  HeartbeatMissing   | heartbeat  | present=1                       | present=0
  HeartbeatFrozen    | heartbeat  | unchanged=10                    | unchanged=400
  HeartbeatAhead     | heartbeat  | ahead=0                         | ahead=60
  HeartbeatNoExpiry  | heartbeat  | ttl=20                          | ttl=-1
  SyntheticHeartbeat | heartbeat  | synthetic=0                     | synthetic=1
  HeartbeatIdle      | heartbeat  | overdue=0.5                     | overdue=2
  HeartbeatFailing   | heartbeat  | done+1 failed+0                 | done+0 failed+1
  NoExecutions       | executions | age=10 offered+1 rhythm=0       | age=7200 offered+1 rhythm=0
  ExecutionsOverdue  | executions | overdue=1 offered_since=0       | overdue=3 offered_since=5
  OneReason          | executions | total+5 succeeded+5             | total+5 succeeded+0 reason.full+5
  Unanswered         | executions | answered+5 offered+5            | answered+1 offered+5
  RateExceeded       | executions | of_limit=0.5                    | of_limit=2
  BadResults         | executions | bad_values+0                    | bad_values+1
  ForbiddenResult    | executions | forbidden+0                     | forbidden+1
  OldWork            | executions | old+0 skew=0                    | old+1 skew=900
  SlowOrders         | trace      | overdue=0.5                     | overdue=2
  LogErrors          | log        | lines+10 errors+0               | lines+10 errors+5
  NewLogErrors       | log        | new_errors+0                    | new_errors+1
  LogBehind          | log        | late=0                          | late=90
  LogSilent          | log        | overdue=0.5                     | overdue=2
  GroupStalled       | consumes   | verdict=ok                      | verdict=stalled
  LossImminent       | consumes   | verdict=ok                      | verdict=losing_soon
  GroupFallingBehind | consumes   | verdict=ok                      | verdict=falling_behind
  PoisonEntry        | consumes   | deliveries=1                    | deliveries=9
  PendingBodiesGone  | consumes   | bodies_gone=0                   | bodies_gone=2
  GhostConsumers     | consumes   | ghosts=0                        | ghosts=1
  SecondInstance     | consumes   | alive=1                         | alive=2
  StreamSilent       | stream     | overdue=1 expected=60           | overdue=4 expected=60
  StreamOverdue      | undeclared | overdue=1 usual=60              | overdue=4 usual=60
  StreamUnbounded    | stream     | length=9 capped=1 added+1       | length=200000 capped=0 added+1
  StreamUnread       | stream     | unread=0 added+1                | unread=1 added+1
  StreamAbandoned    | stream     | age=9 unread=0 length=5         | age=90000 unread=0 length=5
  BadValues          | stream     | bad_values+0                    | bad_values+1
  UnitDown           | unit       | active=1 wanted=1 state=active | active=0 wanted=1 state=failed
  UnitRestarting     | unit       | restarts+0 failed_runs=0 state=active | restarts+1 failed_runs=4 state=activating/auto-restart
  UnitOutdated       | unit       | outdated=0                      | outdated=1000
  TimerLate          | timer      | late=1 scheduled=1              | late=3 scheduled=1
  HealthFailing      | health     | up=1                            | up=0
  HealthDisagrees    | health     | up=1                            | up=0
  HealthDisagrees    | executions | succeeded+1                     | succeeded+1
  CertificateExpiring | health    | certificate=9000000             | certificate=1000
  CommandFailing     | command    | status=ok                       | status=critical
  CommandWarning     | command    | status=ok                       | status=warning
  SettingsViolated   | settings   | violations=0                    | violations=1
  SettingsSuspicious | settings   | warnings=0                      | warnings=1
  SettingsChanged    | settings   | changed=0                       | changed=1
  SettingsStale      | settings   | stale=0                         | stale=900
  FlagSet            | flag       | set=0                           | set=1
  FlagForgotten      | flag       | set=0                           | overdue=2
  RedisDown          | redis      | up=1                            | up=0
  RedisMemory        | redis      | memory_ratio=0.5                | memory_ratio=0.95
  RedisEvicting      | redis      | evicted+0                       | evicted+1
  NothingDiscovered  | discovery  | found=3                         | found=0
  DiscoveryLimited   | discovery  | left_out=0                      | left_out=5
  DiscoveryLate      | discovery  | age=10                          | age=400
  ReceiverFailing    | receiver   | refused+0                       | refused+1 failing=90
  StateLost          | watchdog   | self_test=0 config_rejected=0   | self_test=1 unsaved=60 set_aside=60 config_rejected=1
  SignalUnknown      | heartbeat  | age=1                           | age=?
  SourceAway         | flag       | set=0                           | set=0
"""
"""Windows of a quarter of an hour at most."""
LONG = """
  alert          | signal     | while it is well         | once it is broken
  OnlyFailures   | executions | attempted+1 succeeded+1  | attempted+1 succeeded+0
  NothingOffered | executions | age=10 offered+1         | age=7200 offered+0
  EntriesLost    | consumes   | lost+0                   | lost+1
  StreamReset    | stream     | resets+0                 | resets+1
"""
"""Windows of an hour."""
NOT_HERE = {"OneDecision": "executions.sameness[1h] needs the count of each word"}
"""Built-in rules that Prometheus cannot evaluate, and why not."""
WITH_OTHERS = dict.fromkeys(("StateUnwritable", "SelfTest", "ConfigRejected"), "StateLost")
"""Rules on a signal of which there is one only; they are in that row."""
DECIDING = "executions: {stream: r, success: {a: b}, decision: {field: d, of: [A, B], varies: true}}"
MINUTE = timedelta(minutes=1)
HALF = MINUTE / 2
OF_SHORT = Phases(well=11, broken=18, unseen=4, again=14)
OF_LONG = Phases(well=70, broken=66, unseen=5, again=72)


def drawn(table: str) -> list[Row]:
    """Return the histories of a *table*."""
    return [
        Row(alert, kind, Seen.drawn(well), Seen.drawn(broken), away=alert in ("SourceAway", "SignalUnknown"))
        for alert, kind, well, broken in rows(table)
    ]


# ---- asking Prometheus -------------------------------------------------------------------------


def seconds(step: timedelta, i: int) -> str:
    """Return the time of step *i*."""
    return f"{int(step.total_seconds()) * i}s"


def sample(labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the alert with *labels* as promtool expects it."""
    told = ", ".join(f"{name}={quoted(text)}" for name, text in sorted(labels.items()))
    return {"labels": f'ALERTS{{alertstate="firing", {told}}}', "value": 1}


def questions(lived: Lived, step: timedelta) -> list[dict[str, Any]]:
    """
    Return what to ask, and what the sidecar says: of each alert around its turns, of all now and then.

    An alert is asked for where it has stood as it stands for one step, and will for another.
    """
    ever = frozenset[Labels]().union(*lived.firing)
    stood = {labels: [labels in now for now in lived.firing] for labels in ever}
    last = len(lived.firing) - 1

    def stable(labels: Labels, i: int) -> bool:
        return len(set(stood[labels][i - 1 : i + 2])) == 1

    asked = []
    for labels, stands in sorted(stood.items(), key=str):
        turns = [i for i in range(1, last + 1) if stands[i] != stands[i - 1]]
        near = {j for i in turns for j in (i - 2, i + 1)}
        for i in sorted(j for j in near if 0 < j < last and stable(labels, j)):
            told = ",".join(f"{n}={quoted(v)}" for n, v in labels.items())
            expr = f'ALERTS{{alertstate="firing",{told}}}'
            shown = [sample(labels)] if stands[i] else []
            asked.append({"expr": expr, "eval_time": seconds(step, i), "exp_samples": shown})
    calm = [i for i in range(1, last) if all(stable(labels, i) for labels in ever)]
    for i in calm[:: max(1, len(calm) // 40)]:
        shown = [sample(labels) for labels in sorted(lived.firing[i], key=str)]
        expr = 'ALERTS{alertstate="firing"}'
        asked.append({"expr": expr, "eval_time": seconds(step, i), "exp_samples": shown})
    return asked


def prometheus_says(rules: str, lived: Lived, step: timedelta, directory: Path) -> str:
    """Have Prometheus judge what was scraped; return what it sees otherwise than the sidecar did."""
    count = len(lived.firing)
    series = {name: stale(values) for name, values in lived.series.items()}
    series['watchdog_ready{job="watchdog",instance="a"}'] = ["1"] * count
    every = seconds(step, 1)
    body = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": every,
        "tests": [
            {
                "interval": every,
                "input_series": [{"series": s, "values": packed(values)} for s, values in series.items()],
                "promql_expr_test": questions(lived, step),
            }
        ],
    }
    (directory / "rules.yml").write_text(rules, encoding="utf-8")
    (directory / "test.yml").write_text(
        yaml.dump(body, width=10_000, Dumper=yaml.CSafeDumper), encoding="utf-8"
    )
    done = subprocess.run(
        [program("promtool"), "test", "rules", "test.yml"],
        capture_output=True,
        check=False,
        cwd=directory,
        text=True,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def packed(values: Sequence[str]) -> str:
    """Return *values* in promtool's notation, what repeats written once."""
    found: list[tuple[str, int]] = []
    for value in values:
        if found and found[-1][0] == value and value != "stale":
            found[-1] = value, found[-1][1] + 1
        else:
            found.append((value, 1))
    return " ".join(v if n == 1 else f"{v}x{n}" if v == "_" else f"{v}x{n - 1}" for v, n in found)


def only(alert: str, rules: str, lived: Lived) -> tuple[str, Lived]:
    """Return the file *rules* with nothing but what is needed for one alert, and what happened to that one."""
    found = yaml.safe_load(rules)
    (group,) = found["groups"]
    wanted = [rule for rule in group["rules"] if rule.get("alert") == alert]
    asked = "".join(rule["expr"] for rule in wanted)
    records = [rule for rule in group["rules"] if "record" in rule]
    asked += "".join(rule["expr"] for rule in records if rule["record"] in asked)
    group["rules"] = [rule for rule in records if rule["record"] in asked] + wanted
    firing = [frozenset(labels for labels in now if labels["alertname"] == alert) for now in lived.firing]
    return yaml.safe_dump(found, sort_keys=False, width=10_000), Lived(firing, lived.series)


# ---- tests -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "phases", "step"),
    [(SHORT, OF_SHORT, HALF), (LONG, OF_LONG, 2 * MINUTE)],
    ids=["windows of minutes", "windows of an hour"],
)
def test_prometheus_says_what_the_sidecar_says(
    table: str, phases: Phases, step: timedelta, tmp_path: Path
) -> None:
    """Every built-in rule: well, broken, unseen, well again; the same alerts, labels and ends within a step."""
    histories = drawn(table)
    config = parsed(histories)
    lived = live(histories, config, phases, step)
    fired = {labels["alertname"] for labels in frozenset[Labels]().union(*lived.firing)}
    assert {row.alert for row in histories} - fired <= {"SourceAway"}
    assert not lived.firing[-1]
    assert prometheus_says(rules_file(config), lived, step, tmp_path) == ""


def test_every_builtin_rule_is_drawn_or_said_to_be_left_out() -> None:
    """Nobody adds a rule without showing that Prometheus agrees, or saying why it cannot."""
    alerts = {row.alert for row in drawn(SHORT) + drawn(LONG)} - {"SourceAway"}
    assert alerts | set(NOT_HERE) | set(WITH_OTHERS) == set(BUILTIN)


@pytest.fixture(scope="module")
def some() -> tuple[str, Lived]:
    """The exported rules, and the histories on which mistakes in them are to be noticed."""
    histories = [
        row for row in drawn(SHORT) if row.alert in {name for name, _, _ in rows(MISTAKES)} | {"SourceAway"}
    ]
    config = parsed(histories)
    return rules_file(config), live(histories, config, OF_SHORT, HALF)


MISTAKES = """
  alert           | what is written              | and what instead
  HeartbeatStale  | > 300                        | > 900
  HeartbeatStale  | severity: critical           | severity: warning
  HeartbeatStale  | without (job, instance)      | without (job)
  HeartbeatStale  | ALERTS{                      | ALARMS{
  HeartbeatStale  | <= 300                       | <= 1
  HeartbeatMissing | for: 30s                    | for: 3m
  LogErrors       | for: 2m                      | for: 4m
  LogErrors       | >= 20                        | >= 2000
  HeartbeatFailing | offset 10m                  | offset 3m
  OneReason       | increase10m == 0             | increase10m == 7
  GroupStalled    | stalled                      | stopped
  HealthDisagrees | and on (service              | unless on (service
  SignalUnknown   | unless watchdog_signal_away  | unless watchdog_signal_nowhere
  UnitRestarting  | failed_runs < 3              | failed_runs < 0
"""
"""Ways in which an exported rule could be wrong."""


@pytest.mark.parametrize(
    ("alert", "right", "wrong"), rows(MISTAKES), ids=[" ".join(r) for r in rows(MISTAKES)]
)
def test_a_mistake_would_be_noticed(
    some: tuple[str, Lived], alert: str, right: str, wrong: str, tmp_path: Path
) -> None:
    """The comparison can fail: for each part of a rule there is a history that tells."""
    rules, lived = only(alert, *some)
    assert right in rules
    assert prometheus_says(rules.replace(right, wrong), lived, HALF, tmp_path) != ""
