"""rules.yaml: read whole, or refused whole with every problem in its author's words."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from tests.drawn import rows
from watchdog.builtin import BUILTIN
from watchdog.config import Config, load, parse
from watchdog.errors import ConfigError
from watchdog.routing import Escalation, Pace
from watchdog.rules import Severity
from watchdog.schedule import Schedule
from watchdog.signals import SIGNALS

ROOT = Path(__file__).parents[2]
CONTRACT = """
redis: {url: "${REDIS_URL:-redis://127.0.0.1:6379/0}"}
every: 5s                                  # how often to look; a signal may set its own
state: watchdog.db                         # alerts, silences, undelivered notifications

services:
  rl_trainer:
    heartbeat: {key: "quantum:svc:rl_trainer:heartbeat"}
    unit:      {name: quantum-rl-trainer.service}

  apply_layer:
    needs: [intent_bridge, rl_trainer, rl_feedback]         # who must work for it to work
    consumes: {stream: "quantum:stream:apply.plan", group: apply_layer_entry}
    stream:   {key: "quantum:stream:apply.result"}

  execution:
    needs: [apply_layer]
    consumes: {stream: "quantum:stream:apply.result", group: "quantum:group:execution:trade.intent"}
    executions:
      stream: "quantum:stream:execution.result"
      success: {status: filled}            # every field must match
      reason: error                        # which field says why not
      input: "quantum:stream:apply.result" # quiet or dead? only input can tell
    log:      {path: /var/log/quantum/execution.log}
    health:   {url: "http://127.0.0.1:8002/health"}
    settings: {file: /etc/quantum/execution.env}
    rules:                                 # this service's own thresholds, or `off: "reason"`
      NoExecutions: {when: executions.age > 30m}

rules:
  - alert: HeartbeatStale
    when: heartbeat.age > 5m
    severity: critical
    summary: "{service} has not beaten for {heartbeat.age}"
    runbook: "https://…"
  - alert: NoExecutions
    when: [executions.age > 1h, executions.offered[1h] > 0]   # a list means: all of them
    severity: critical
  - alert: LogErrors
    when: [log.error_ratio[10m] > 10%, log.lines[10m] >= 20]
    for: 2m
    severity: warning

receivers:
  ops:  {slack: {url: "${SLACK_WEBHOOK_URL}"}}
  hook: {webhook: {url: "http://127.0.0.1:9000/alerts"}}
routes:
  - {severity: critical, to: [ops, hook]}
  - {to: [ops]}
"""
SLACK = {"SLACK_WEBHOOK_URL": "https://hooks.slack.example/T0/B0/verysecret"}
SERVICE = "services:\n  a:\n    heartbeat: {key: k}\n"
HEARD = SERVICE + "receivers: {ops: {webhook: {url: 'http://x'}}}\n"


def problems(text: str, environment: dict[str, str] | None = None) -> list[str]:
    """Return what is wrong with *text*, a line each, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "r", environment or {})
    return [line.removeprefix("r:") for line in str(caught.value).splitlines()]


def watched(config: Config) -> set[tuple[str, str]]:
    """Return which rule watches which service."""
    return {(watch.rule.alert, watch.service) for watch in config.binding.watches}


def test_the_contracts_own_example_is_understood() -> None:
    """The file of SPEC §2, letter for letter, brackets in flow sequences included."""
    config = parse(CONTRACT, environment=SLACK)
    assert config.services == ("rl_trainer", "apply_layer", "execution")
    assert config.policy.needs["apply_layer"] == ("intent_bridge", "rl_trainer", "rl_feedback")
    own = {rule.alert: rule for rule in config.rules if not rule.builtin}
    assert [str(c) for c in own["NoExecutions"].conditions] == [
        "executions.age > 1h",
        "executions.offered[1h] > 0",
    ]
    assert [str(c) for c in own["LogErrors"].conditions] == [
        "log.error_ratio[10m] > 10%",
        "log.lines[10m] >= 20",
    ]
    assert (own["LogErrors"].for_, own["LogErrors"].severity) == (timedelta(minutes=2), Severity.WARNING)
    (stricter,) = (w.rule for w in config.binding.watches if w.rule.alert == "NoExecutions")
    assert [str(c) for c in stricter.conditions] == ["executions.age > 30m"]
    assert [route.to for route in config.policy.routes] == [("ops", "hook"), ("ops",)]
    assert config.warnings == (
        'service "apply_layer" needs "intent_bridge", which this file does not watch',
        'service "apply_layer" needs "rl_feedback", which this file does not watch',
    )


def test_the_shipped_rules_show_every_kind_of_signal() -> None:
    """The repository's rules.yaml is right as it stands, and teaches by example."""
    config = load(ROOT / "rules.yaml", {})
    assert {spec.key.kind for spec in config.signals} == set(SIGNALS)
    assert config.warnings == ()


def test_a_file_with_nothing_but_services_is_a_working_watchdog() -> None:
    """The built-in rules hold for every signal they know."""
    config = parse(SERVICE)
    assert {alert for alert, service in watched(config) if service == "a"} == {
        "HeartbeatStale",
        "HeartbeatMissing",
        "HeartbeatFrozen",
        "HeartbeatAhead",
        "SyntheticHeartbeat",
        "SignalUnknown",
    }
    assert config.warnings == ("no receivers: alerts are shown and exported, but nobody is told",)


def test_a_measure_that_is_not_offered_does_not_apply() -> None:
    """Without a declared TTL nobody asks for an expiry; with one, somebody does."""
    declared = SERVICE.replace("{key: k}", "{key: k, ttl: 30s}")
    assert ("HeartbeatNoExpiry", "a") not in watched(parse(SERVICE))
    assert ("HeartbeatNoExpiry", "a") in watched(parse(declared))


def test_built_in_rules_can_be_replaced_changed_and_dropped() -> None:
    """By name in the file, by name in a service, by name with a reason, or all at once."""
    own = "rules:\n  - {alert: HeartbeatStale, when: heartbeat.age > 1m}\n"
    (replaced,) = (r for r in parse(SERVICE + own).rules if r.alert == "HeartbeatStale")
    assert (str(replaced.conditions[0]), replaced.builtin) == ("heartbeat.age > 1m", False)
    off = '    rules: {HeartbeatStale: {off: "beats once a day"}, HeartbeatMissing: {for: 5m}}\n'
    config = parse(SERVICE + off)
    assert ("HeartbeatStale", "a") not in watched(config)
    (changed,) = (w.rule for w in config.binding.watches if w.rule.alert == "HeartbeatMissing")
    assert (changed.for_, changed.severity) == (timedelta(minutes=5), Severity.CRITICAL)
    assert watched(parse(SERVICE + "builtin_rules: off\n")) == set()


def test_every_built_in_rule_can_be_read_and_has_a_summary_and_a_runbook() -> None:
    """Their own file is held to the same checks as a user's."""
    rules = {rule.alert: rule for rule in parse(SERVICE).rules}
    assert set(rules) == set(BUILTIN)
    assert all(rule.summary and rule.runbook for rule in rules.values())


WRONG = [
    ("", "1:1: the file has no services (start with `services:` (see README))"),
    ("services: {}\n", "1:11: services: is empty (fill it in or remove it)"),
    ("every: 5s\n", '1:1: "services" is missing (add services: …)'),
    (SERVICE + "evry: 5s\n", '4:1: unknown key "evry" (did you mean "every"?)'),
    (
        "services:\n  a:\n    heartbeat: {kye: k}\n",
        '3:17: service "a": heartbeat: unknown key "kye" (did you mean "key"?)',
    ),
    (
        "services:\n  a:\n    heartbeet: {key: k}\n",
        '3:5: service "a": unknown key "heartbeet" (did you mean "heartbeat"?)',
    ),
    (
        SERVICE + "every: 5 minutes\n",
        '4:8: every: "5 minutes" is not a duration (write it like 90s, 5m, 1h30m or 2d)',
    ),
    (SERVICE + "every: 0s\n", "4:8: every: must be more than 0s"),
    (SERVICE + "every: [1]\n", "4:8: every: expected a duration, found a list"),
    (
        "services:\n  a:\n    consumes: {stream: s}\n",
        '3:15: service "a": consumes: "group" is missing (add group: …)',
    ),
    (
        "services:\n  a:\n",
        '2:3: service "a": has no signal, so nothing can be said of it (give it at least one, such as heartbeat or executions)',
    ),
    (
        SERVICE + "rules:\n  - {alert: X, when: heartbeat.age > 5m, fro: 5m}\n",
        '5:42: rule 1 "X": unknown key "fro" (did you mean "for"?)',
    ),
    (
        SERVICE + "rules:\n  - {alert: X, when: heartbeat.agee > 5m}\n",
        '5:22: rule 1 "X": when: signal heartbeat has no measure "agee" (did you mean "age"?)',
    ),
    (
        SERVICE + "rules:\n  - {alert: X, when: heartbeat.age > 5m, severity: fatal}\n",
        '5:52: rule 1 "X": severity: "fatal" is not one of critical, warning or info',
    ),
    (
        SERVICE + "rules:\n  - {alert: X, when: log.lines[5m] == 0}\n",
        '5:5: rule 1 "X": can never fire: no service it applies to has the signal log (give a service that signal, or remove the rule)',
    ),
    (
        SERVICE + "rules:\n  - {alert: X, when: heartbeat.ttl == -1}\n",
        '5:5: rule 1 "X": can never fire: a: heartbeat does not offer ttl as it is configured (give a service that signal, or remove the rule)',
    ),
    (
        SERVICE + "rules:\n  - {alert: X, when: heartbeat.age > 5m, services: [b]}\n",
        '5:52: rule 1 "X": services: service "b" is not defined (known: a, redis, watchdog)',
    ),
    (
        SERVICE + "rules:\n  - {alert: X, when: heartbeat.age > 5m, summary: '{heartbeat.agee}'}\n",
        '5:51: rule 1 "X": summary: in {heartbeat.agee}: signal heartbeat has no measure "agee" (did you mean "age"?)',
    ),
    (
        SERVICE + "    rules: {NoBeat: {off: x}}\n",
        '4:13: service "a": rules.NoBeat: there is no rule "NoBeat" (known: ',
    ),
    (
        SERVICE + "    rules: {LogErrors: {for: 5m}}\n",
        '4:13: service "a": rules.LogErrors: can never fire for this service (give the service the signal, or remove the override)',
    ),
    (
        SERVICE + "    needs: [aa]\n",
        '4:13: service "a": needs: service "aa" is not defined (did you mean "a"?)',
    ),
    (
        SERVICE
        + "  bb:\n    heartbeat: {key: j}\n    needs: [cc]\n  cc:\n    heartbeat: {key: l}\n    needs: [bb]\n",
        '6:12: service "bb": needs: needs form a cycle: bb → cc → bb (cut it)',
    ),
    (
        SERVICE + "receivers: {ops: {slack: {url: ''}}}\n",
        '4:32: receiver "ops": slack.url: the URL is empty, so nobody would ever hear (give the receiver\'s http(s) URL)',
    ),
    (
        SERVICE + "receivers: {ops: {slak: {url: 'http://x'}}}\n",
        '4:19: receiver "ops": unknown key "slak" (did you mean "slack"?)',
    ),
    (SERVICE + "routes: [{to: [ops]}]\n", '4:16: route 1: receiver "ops" is not defined (defined: none)'),
    (
        SERVICE
        + "receivers: {ops: {webhook: {url: 'http://x'}}}\nroutes: [{to: ops}, {to: ops, severity: info}]\n",
        "5:21: route 2: is never reached: route 1 takes everything (move it up)",
    ),
    (
        SERVICE + "receivers: {ops: {webhook: {url: 'http://x'}}}\nroutes: [{to: ops, severity: fatal}]\n",
        '5:30: route 1: no alert has severity "fatal" (known: critical, info, warning)',
    ),
    (
        SERVICE
        + "receivers: {ops: {webhook: {url: 'http://x'}}}\nroutes: [{to: ops, alertname: Hartbeat}]\n",
        '5:31: route 1: no alert has alertname "Hartbeat"',
    ),
    (
        SERVICE + "redis: {url: 'http://x'}\n",
        "4:14: redis.url: this is not a Redis URL (write redis://host:6379/0)",
    ),
    (
        SERVICE + "redis: {url: '${REDIS_ADDRESS}'}\n",
        "4:14: the environment variable REDIS_ADDRESS is not set (set it, or write ${REDIS_ADDRESS:-default})",
    ),
    (SERVICE + "listen: nowhere\n", '4:9: listen: "nowhere" is not host:port (write 127.0.0.1:9821)'),
    (
        SERVICE + "every: 5s\nevery: 6s\n",
        '5:1: key "every" stands twice (first in line 4) (remove one of them)',
    ),
    (SERVICE + "every: [5s\n", "5:1: not YAML: while parsing a flow sequence"),
    (
        "services:\n  a:\n    executions: {stream: s, success: {}}\n",
        '3:38: service "a": executions.success: is empty (fill it in or remove it)',
    ),
    ("services:\n  a:\n    log: {path: /l, patterns: {bad: '('}}\n", '3:31: service "a": log.patterns:'),
    (
        "services:\n  a:\n    log: {path: /l, format: nope}\n",
        '3:29: service "a": log.format: "nope" is not a log format',
    ),
    (
        HEARD + "routes: [{to: ops, escalate: {after: 5m, to: bos}}]\n",
        '5:46: route 1: receiver "bos" is not defined (defined: ops)',
    ),
    (
        HEARD + "maintenance: [{cron: '0 2 * * sunn', for: 2h}]\n",
        '5:22: maintenance window 1: cron: "0 2 * * sunn" is not a cron line: Bad day-of-week (write "0 2 * * sun")',
    ),
    (
        HEARD + "maintenance: [{cron: '0 2 * * sun', time_zone: Berlin, for: 2h}]\n",
        '5:48: maintenance window 1: time_zone: "Berlin" is not a time zone (write Europe/Berlin or UTC)',
    ),
    (
        HEARD + "maintenance: [{cron: '0 2 * * sun', for: 2h, service: [aa]}]\n",
        '5:55: maintenance window 1: service: no alert has service "aa" (did you mean "a"?)',
    ),
    (
        HEARD + "reports: [{cron: '@daily', what: all_clear, to: [opps]}]\n",
        '5:50: report 1: to: receiver "opps" is not defined (defined: ops)',
    ),
    (
        HEARD + "reports: [{cron: '@daily', what: audit}]\n",
        "5:11: report 1: all_clear and audit need `to`, a self_test goes where the routes send it",
    ),
    (
        HEARD + "reports: [{cron: '@daily', what: self_test, to: ops}]\n",
        "5:11: report 1: all_clear and audit need `to`, a self_test goes where the routes send it",
    ),
    (
        HEARD + "notifications: {flapping: {times: 99}}\n",
        "5:35: notifications.flapping.times: must be at most 10",
    ),
    (
        HEARD + "notifications: {repeat_interval: 0s}\n",
        "5:34: notifications.repeat_interval: must be more than 0s",
    ),
    (
        HEARD + "api: {tokens: ''}\n",
        "5:15: api.tokens: this secret is empty (give the text itself or {file: path})",
    ),
    (
        HEARD + "api: {tokens: short}\n",
        "5:15: api.tokens: a token is shorter than 16 characters (make one with `openssl rand -hex 32`)",
    ),
    (
        HEARD + "ping: {url: ''}\n",
        "5:13: ping.url: the URL is empty, so nobody would ever hear (give the receiver's http(s) URL)",
    ),
    (HEARD + "pair: {ttl: 5s}\n", '5:7: pair: "lease" is missing (add lease: …)'),
]


@pytest.mark.parametrize(("text", "said"), WRONG, ids=[said[said.index(" ") + 1 :][:60] for _, said in WRONG])
def test_a_problem_is_told_with_its_place_and_its_cure(text: str, said: str) -> None:
    """`LINE:COL: where: what (what to do)`, and nothing besides."""
    told = problems(text)
    assert len(told) == 1, told
    assert told[0].startswith(said)


def test_all_problems_come_in_one_run() -> None:
    """A broken shape in one place hides no wrong name in another."""
    text = """\
evry: 5s
services:
  a:
    heartbeat: {kye: x}
  b:
    heartbeat: {key: x}
    needs: [aa]
    rules: {NoExecutons: {off: x}}
rules:
  - alert: LagHigh
    when: consumes.lagg > 100
    fro: 5m
  - {alert: X, when: heartbeat.age > 10%, severity: fatal}
receivers:
  ops: {slack: {url: ""}}
routes:
  - {to: [pagr]}
"""
    assert problems(text) == [
        '1:1: unknown key "evry" (did you mean "every"?)',
        '4:17: service "a": heartbeat: unknown key "kye" (did you mean "key"?)',
        '7:13: service "b": needs: service "aa" is not defined (did you mean "a"?)',
        '8:13: service "b": rules.NoExecutons: there is no rule "NoExecutons" (did you mean "NoExecutions"?)',
        '11:11: rule 1 "LagHigh": when: signal consumes has no measure "lagg" (did you mean "lag"?)',
        '12:5: rule 1 "LagHigh": unknown key "fro" (did you mean "for"?)',
        '13:22: rule 2 "X": when: heartbeat.age: "10%" is not a duration (write it like 90s, 5m, 1h30m or 2d)',
        '13:53: rule 2 "X": severity: "fatal" is not one of critical, warning or info',
        '15:22: receiver "ops": slack.url: the URL is empty, so nobody would ever hear (give the receiver\'s http(s) URL)',
        '17:11: route 1: receiver "pagr" is not defined (defined: ops)',
    ]


def test_secrets_come_from_files_and_are_never_told(tmp_path: Path) -> None:
    """A URL that carries its own key is in no error, no repr and no warning."""
    (tmp_path / "slack").write_text("https://hooks.slack.example/T0/B0/verysecret\n")
    config = parse(SERVICE + f"receivers: {{ops: {{slack: {{url: {{file: {tmp_path}/slack}}}}}}}}\n")
    assert cast(Any, config.receivers["ops"]).url.get_secret_value().endswith("/verysecret")
    assert "verysecret" not in repr(config)
    (tmp_path / "slack").write_text("ftp://verysecret")
    said = problems(SERVICE + f"receivers: {{ops: {{slack: {{url: {{file: {tmp_path}/slack}}}}}}}}\n")
    assert said == ['4:32: receiver "ops": slack.url: this is not an http(s) URL']
    (missing,) = problems(SERVICE + "receivers: {ops: {slack: {url: {file: /no/such}}}}\n")
    assert missing.endswith("the secret in /no/such cannot be read: No such file or directory")
    hidden = problems(SERVICE + "every: ${TOKEN}\n", {"TOKEN": "verysecret"})
    assert "verysecret" not in str(hidden)


def test_variables_are_filled_in_and_can_be_written_literally() -> None:
    """`${VAR}`, a default for what is unset or empty, and `$${` for itself."""
    text = "services:\n  a:\n    heartbeat: {key: '${NAME:-none}:$${x}:${EMPTY:-full}'}\n"
    keys = [
        spec.key.labels.get("key") for spec in parse(text, environment={"NAME": "n", "EMPTY": ""}).signals
    ]
    assert keys[1] == "n:${x}:full"


UNREADABLE = [
    (
        "missing",
        "cannot be read: No such file or directory (`watchdog init URL` writes a first one; --rules PATH names another)",
    ),
    ("folder", "cannot be read: Is a directory (check its permissions)"),
    ("latin1", "is not a UTF-8 text (save it as UTF-8)"),
    ("nul", "not YAML: unacceptable character"),
]


@pytest.mark.parametrize(("name", "said"), UNREADABLE, ids=[name for name, _ in UNREADABLE])
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, name: str, said: str) -> None:
    """Missing, a folder, not UTF-8, not even text."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin1").write_bytes("services: é".encode("latin-1"))
    (tmp_path / "nul").write_bytes(b"services: \x00")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / name, dict(os.environ))
    assert str(caught.value).startswith(f"{tmp_path / name}:1:1: {said}")


def test_yaml_tricks_end_in_words() -> None:
    """Deep nesting, self-reference and odd keys are problems, not crashes."""
    deep = "a: " + "[" * 200 + "]" * 200
    assert any("nested too deeply" in said for said in problems(deep))
    assert any("nested too deeply" in said for said in problems("a: &x [*x]\n"))
    assert any("a key must be a plain word" in said for said in problems(SERVICE + "? [1, 2]\n: 3\n"))
    assert problems(SERVICE + "x: !!python/object:os.system {}\n")


TOLD = (
    HEARD
    + """\
notifications: {group_wait: 5s, repeat_interval: 2h, flapping: off, expire_after: 2d}
routes:
  - {severity: critical, to: ops, repeat_interval: 30m, escalate: {after: 15m, to: ops}}
  - {to: [ops], group_interval: 0s}
maintenance: [{cron: "0 2 * * sun", time_zone: Europe/Berlin, for: 2h, service: a, reason: restart}]
reports: [{cron: "@daily", what: all_clear, to: ops}, {cron: "0 9 * * mon", what: self_test}]
ping: {url: "https://ping.example/1"}
heartbeat: {key: "svc:watchdog"}
pair: {lease: "svc:watchdog:lease"}
api: {tokens: "alice: 0123456789abcdef\\n# old\\n  fedcba9876543210"}
"""
)


def test_what_is_said_about_telling_is_understood() -> None:
    """A route's own pace goes before everybody's; the rest is the default."""
    config = parse(TOLD)
    minute, hour = timedelta(minutes=1), timedelta(hours=1)
    first, second = config.policy.routes
    assert first.pace == Pace(timedelta(seconds=5), timedelta(seconds=10), 30 * minute)
    assert second.pace == Pace(timedelta(seconds=5), timedelta(0), 2 * hour)
    assert first.escalations == (Escalation(15 * minute, ("ops",)),)
    assert (config.policy.flapping, config.expire_after) == (None, 48 * hour)
    (window,) = config.policy.maintenance
    assert (window.schedule, window.length) == (Schedule("0 2 * * sun", "Europe/Berlin"), 2 * hour)
    assert (window.match, window.reason) == ({"service": frozenset({"a"})}, "restart")
    assert [(r.what, r.to, r.schedule.cron) for r in config.reports] == [
        ("all_clear", ("ops",), "0 0 * * *"),
        ("self_test", (), "0 9 * * mon"),
    ]
    assert config.ping is not None
    assert config.heartbeat is not None
    assert config.pair is not None
    assert (config.ping.every, config.heartbeat.ttl, config.pair.ttl.total_seconds()) == (minute, minute, 15)
    assert config.tokens == {"0123456789abcdef": "alice", "fedcba9876543210": "api"}
    assert "0123456789abcdef" not in str(config.ping) + str(problems(TOLD + "x: 1\n"))


HOLES = """
  where    | summary                                    | what is said of it
  rule     | "{servce} is late"                         | "{servce}" cannot be filled in: Late has no such label (did you mean "service"?)
  rule     | "{key} of {stream}"                        | "{stream}" cannot be filled in: Late has no such label (known: alertname, key, service, severity)
  rule     | "{service}: {key} is {heartbeat.age} old"  | -
  override | "{kee} is gone"                            | "{kee}" cannot be filled in: HeartbeatMissing has no such label (did you mean "key"?)
  override | "{service}: {heartbeat.agee}"              | in {heartbeat.agee}: signal heartbeat has no measure "agee" (did you mean "age"?)
  override | "{service} has no {key} ({severity})"      | -
"""


@pytest.mark.parametrize(
    ("where", "summary", "said"), rows(HOLES), ids=[summary for _, summary, _ in rows(HOLES)]
)
def test_a_summary_has_no_hole(where: str, summary: str, said: str) -> None:
    """What no alert of the rule has would be filled in with nothing, in the middle of the night."""
    own, changed = (summary, '"{service}"') if where == "rule" else ('"{service}"', summary)
    text = (
        f"services: {{a: {{heartbeat: {{key: k}}, rules: {{HeartbeatMissing: {{summary: {changed}}}}}}}}}\n"
        f"rules: [{{alert: Late, when: heartbeat.age > 5m, summary: {own}}}]\n"
    )
    problems: list[str] = []
    try:
        parse(text)
    except ConfigError as exc:
        problems = str(exc).splitlines()[:1]
    assert [problem.split("summary: ")[1] for problem in problems] == ([] if said == "-" else [said])


GRAFANA = """
  grafana                         | links
  https://g.example/d/overview    | https://g.example/d/overview?var-service=a
  http://g.example/d/x?orgId=2    | http://g.example/d/x?orgId=2&var-service=a
  http://g.example/               | http://g.example?var-service=a
  ""                              |
  g.example/d/x                   | error
  https://u:pw@g.example/d/x      | error
  https://g.example/#x            | error
  javascript:alert(1)             | error
"""


@pytest.mark.parametrize(("written", "link"), rows(GRAFANA), ids=[written for written, _ in rows(GRAFANA)])
def test_grafana_is_an_address_that_everybody_may_see(written: str, link: str) -> None:
    """It stands in messages; a password in it is refused, and not repeated."""
    text = f"services: {{a: {{heartbeat: {{key: k}}}}}}\ngrafana: {written}\n"
    if link != "error":
        assert parse(text).links.dashboard("a") == link
        return
    with pytest.raises(ConfigError, match=r"grafana: this is not an http\(s\) URL to link to") as caught:
        parse(text)
    assert "pw" not in str(caught.value)
