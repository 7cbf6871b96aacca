"""One condition in PromQL: where it is true, where it is false; and what cannot be said in it."""

from __future__ import annotations

import pytest
import yaml

from tests.drawn import rows
from tests.dropins.conftest import run
from watchdog.conditions import parse_condition
from watchdog.config import parse
from watchdog.export.prometheus import rules_file
from watchdog.export.promql import InexpressibleError, Scope, answers
from watchdog.rulebook import CATALOGUE

SPELT = """
  condition                           | true where                                                         | false where
  executions.offered[1h] > 0          | signal:watchdog_executions_offered:seen1h > 0                      | signal:watchdog_executions_offered:increase1h <= 0
  executions.offered[1h] == 0         | signal:watchdog_executions_offered:increase1h == 0                 | (signal:watchdog_executions_offered:seen1h > 0) or (signal:watchdog_executions_offered:increase1h < 0)
  executions.total[10m] < 20          | signal:watchdog_executions:increase10m < 20                        | signal:watchdog_executions:seen10m >= 20
  log.matches.late[5m] >= 3           | max without (pattern) (signal:watchdog_log_matches:seen5m{pattern="late"}) >= 3 | max without (pattern) (signal:watchdog_log_matches:increase5m{pattern="late"}) < 3
  log.error_ratio[10m] > 10%          | watchdog_log_error_ratio > 0.1                                     | watchdog_log_error_ratio <= 0.1
  log.error_ratio[1h] > 10%           | signal:watchdog_log_errors:increase1h / (signal:watchdog_log_lines:increase1h > 0) > 0.1 | signal:watchdog_log_errors:increase1h / (signal:watchdog_log_lines:increase1h > 0) <= 0.1
  signal.known == 0                   | watchdog_signal_known == 0 unless watchdog_signal_away             | watchdog_signal_known != 0 unless watchdog_signal_away
  executions.top_reason_share[10m] > 95% | watchdog_executions_top_reason_share > 0.95                     | watchdog_executions_top_reason_share <= 0.95
"""


@pytest.mark.parametrize(("written", "true", "false"), rows(SPELT), ids=[row[0] for row in rows(SPELT)])
def test_a_condition_is_true_here_and_false_there(written: str, true: str, false: str) -> None:
    """What is in neither is unknown."""
    found = answers(parse_condition(written, CATALOGUE), Scope())
    assert (found.true, found.false) == (true, false)


def test_what_does_not_apply_is_false() -> None:
    """A measure that is not there although all is known of its signal; a word in its own label."""
    found = answers(parse_condition("unit.state != failed", CATALOGUE), Scope(only=("a",)))
    assert found.true == 'max without (state) (watchdog_unit_state{state!="failed",service="a"} == 1)'
    assert found.false == (
        '(max without (state) (watchdog_unit_state{state="failed",service="a"} == 1)) or'
        ' (max without (signal) (watchdog_signal_known{signal="unit",service="a"} == 1)'
        ' unless max without (state) (watchdog_unit_state{service="a"}))'
    )


INEXPRESSIBLE = """
  condition                              | why not
  executions.top_reason[10m] == full     | is a word without end
  executions.sameness[1h] > 99%          | needs the count of each word
  executions.share.EXECUTE[1h] > 50%     | needs the count of each word
  heartbeat.known == 0                   | write signal.known
"""


@pytest.mark.parametrize(("written", "why"), rows(INEXPRESSIBLE), ids=[row[0] for row in rows(INEXPRESSIBLE)])
def test_what_cannot_be_said_is_refused(written: str, why: str) -> None:
    """With the reason, never as something that looks alike."""
    with pytest.raises(InexpressibleError, match=why):
        answers(parse_condition(written, CATALOGUE), Scope())


HELD = """
  the heartbeat's age, minute by minute | all is known    | the sidecar is ready | at   | the alert
  600x10 stale _x200                    | 1x10 0x200      | 1x210                | 180m | held
  600x10 stale _x200                    | 1x10 stale _x200 | 1x10 stale _x200    | 65m  | held
  600x10 stale _x200                    | 1x10 stale _x200 | 1x10 stale _x200    | 75m  | over
  600x10 stale _x200                    | 1x10 stale _x200 | 1x210               | 15m  | over
  600x10 stale _x20 5x100               | 1x10 stale _x20 1x100 | 1x10 stale _x20 1x100 | 40m | over
  600x10 stale _x20 600x100             | 1x10 stale _x20 1x100 | 1x10 stale _x20 1x100 | 32m | held
"""


@pytest.mark.parametrize(
    "drawn", rows(HELD), ids=["unseen", "away", "away for long", "removed", "well", "still so"]
)
def test_only_what_is_seen_to_be_over_ends(
    drawn: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """An alert outlives what cannot be seen, and a sidecar that is away for less than an hour."""
    age, known, ready, at, stands = drawn
    directory = tmp_path_factory.mktemp("held")
    body = yaml.safe_load(rules_file(parse("services: {a: {heartbeat: {key: k}}}")))
    (group,) = body["groups"]
    group["rules"] = [group["rules"][0], *(r for r in group["rules"] if r.get("alert") == "HeartbeatStale")]
    (directory / "r.yml").write_text(yaml.safe_dump(body), encoding="utf-8")
    who = 'service="a",key="k"'
    target = 'job="watchdog",instance="i"'
    series = {
        f"watchdog_heartbeat_age_seconds{{{who},{target}}}": age,
        f'watchdog_signal_known{{{who},signal="heartbeat",{target}}}': known,
        f"watchdog_ready{{{target}}}": ready,
    }
    alert = f'ALERTS{{alertname="HeartbeatStale",alertstate="firing",severity="critical",{who}}}'
    shown = [{"labels": alert, "value": 1}] if stands == "held" else []
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": "ALERTS", "eval_time": at, "exp_samples": shown}],
    }
    body = {"rule_files": ["r.yml"], "evaluation_interval": "1m", "tests": [test]}
    (directory / "t.yml").write_text(yaml.safe_dump(body), encoding="utf-8")
    status, said = run("promtool", "test", "rules", directory / "t.yml")
    assert status == 0, said
