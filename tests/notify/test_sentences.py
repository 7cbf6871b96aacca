"""Every built-in rule's sentence, as a person reads it: with figures in it."""

from __future__ import annotations

import pytest

from tests.drawn import rows
from watchdog.builtin import BUILTIN
from watchdog.conditions import TERM, find_measure, show_value
from watchdog.rulebook import CATALOGUE
from watchdog.rules import placeholders
from watchdog.units import Unit

SAMPLES: dict[Unit, float] = {Unit.SECONDS: 7_500, Unit.RATIO: 0.973, Unit.NUMBER: 42}
WORDS = {
    "consumes.verdict": "stalled",
    "unit.state": "failed",
    "executions.top_reason": "no_position",
    "executions.top_decision": "HOLD",
    "trace.missing_stage": "result",
    "health.problem": "status",
}
LABELS = {
    "service": "execution",
    "stream": "apply.result",
    "group": "entry",
    "key": "svc:beat",
    "path": "/etc/q.env",
    "unit": "q.service",
    "url": "http://127.0.0.1:8002/health",
    "command": "check_disk",
    "signal": "log",
    "receiver": "ops",
    "discover": "svc:*",
}


def filled(summary: str) -> str:
    """Return *summary* with what a label or a measure of its unit may say."""
    for name in placeholders(summary):
        term = TERM.fullmatch(name)
        shown = LABELS.get(name, "")
        if term is not None:
            measure = find_measure(term["measure"], CATALOGUE[term["signal"]])
            assert measure is not None, name
            word = WORDS.get(f"{term['signal']}.{term['measure']}")
            shown = word or show_value(SAMPLES[measure.unit], measure.unit)
        assert shown, name
        summary = summary.replace("{" + name + "}", shown)
    return summary


SENTENCES = """
  rule                | what it says
  NoExecutions        | execution has not succeeded for 2h 5m although work was offered 42 times in the last hour
  ExecutionsOverdue   | execution has not succeeded for 2h 5m, 42 times as long as is usual, although work was offered 42 times since
  HeartbeatStale      | execution has sent no heartbeat for 2h 5m
  HeartbeatMissing    | execution has no heartbeat at svc:beat
  LogErrors           | execution logs errors in 97.3% of its lines (42 lines in 10 minutes)
  OneReason           | execution refuses 97.3% of its work for one reason: no_position
  OnlyFailures        | execution has tried 42 times in an hour and never succeeded
  Unanswered          | execution has answered only 97.3% of the 42 entries offered in 15 minutes
  RateExceeded        | execution succeeds 42 times as often as it ever should
  BadResults          | execution writes results that cannot be right: 42 in 10 minutes (apply.result)
  ForbiddenResult     | execution writes results with a reason or a decision that must never occur: 42 in 10 minutes (apply.result)
  OldWork             | execution takes old work for new: 42 results in 10 minutes, the newest 2h 5m late
  OneDecision         | execution decides HOLD nearly every time: in 97.3% of 42 cases within an hour
  NothingOffered      | execution has had nothing to do for over an hour (last success 2h 5m ago)
  SlowOrders          | execution: an order has been under way for 2h 5m and has not come to result
  HeartbeatFrozen     | execution sends the same heartbeat again and again, unchanged for 2h 5m
  HeartbeatAhead      | execution sends heartbeats from 2h 5m in the future: its clock or the unit of its time is wrong
  HeartbeatNoExpiry   | execution writes a heartbeat that never expires although a TTL is declared (svc:beat)
  SyntheticHeartbeat  | execution does not send its heartbeat itself: an emergency heartbeat keeps svc:beat alive
  HeartbeatIdle       | execution is alive but gets nothing done (last success 2h 5m ago)
  HeartbeatFailing    | execution is alive but all its work fails: 42 times in 10 minutes
  GroupStalled        | execution does not work off apply.result: stalled (oldest unread entry 2h 5m, unacknowledged 42, group entry)
  EntriesLost         | execution has missed 42 entries of apply.result: trimmed before group entry read them
  LossImminent        | execution will lose entries of apply.result in 2h 5m at this pace (group entry)
  GroupFallingBehind  | execution falls behind on apply.result: 42 entries wait (group entry)
  PoisonEntry         | execution fails on one entry of apply.result again and again: delivered 42 times (group entry)
  PendingBodiesGone   | execution can never finish 42 entries of apply.result: what they said is gone (group entry)
  GhostConsumers      | execution has consumers that are gone and still hold unfinished entries: 42 of group entry
  SecondInstance      | execution runs 42 times although it must be alone: so many consumers work on apply.result (group entry)
  StreamSilent        | execution: nothing has been added to apply.result for 2h 5m
  StreamOverdue       | execution: nothing has been added to apply.result for 2h 5m, where 2h 5m at most is usual
  StreamUnbounded     | execution: apply.result grows without limit, 42 entries by now
  StreamUnread        | execution: nobody reads apply.result, though 42 entries were added in an hour
  StreamAbandoned     | execution: nothing has been added to apply.result for 2h 5m, and still somebody waits for it (consumer groups: 42)
  StreamReset         | execution: apply.result was deleted and made anew, or set back to an older copy
  BadValues           | execution: entries of apply.result hold values that cannot be right, 42 in 10 minutes
  NewLogErrors        | execution logs errors that never came before (new kinds in 10 minutes: 42)
  LogBehind           | execution logs faster than it can be read: what is seen of its log is 2h 5m old
  LogSilent           | execution has logged nothing for 2h 5m
  UnitDown            | execution does not run: q.service is failed
  UnitRestarting      | execution restarts again and again: 42 times in 15 minutes, 42 failed runs in a row, now failed (q.service)
  UnitOutdated        | execution still runs what was there before its files changed 2h 5m ago (q.service)
  TimerLate           | execution is not started when it should be: q.service last triggered 2h 5m ago
  HealthFailing       | execution fails its health check: status (http://127.0.0.1:8002/health)
  HealthDisagrees     | execution works (42 successes in 5 minutes) but its health check fails: suspect the check (http://127.0.0.1:8002/health)
  CertificateExpiring | execution has a TLS certificate that ends in 2h 5m (http://127.0.0.1:8002/health)
  CommandFailing      | execution fails the check check_disk
  CommandWarning      | execution is near failing the check check_disk
  SettingsViolated    | execution has settings that are not as required: 42 in /etc/q.env
  SettingsSuspicious  | execution has settings that hardly anybody meant so: 42 in /etc/q.env
  SettingsChanged     | execution has settings that were changed since they were accepted: 42 in /etc/q.env
  SettingsStale       | execution has not been restarted since /etc/q.env was changed 2h 5m ago
  FlagSet             | execution: flag svc:beat has been set for 2h 5m
  FlagForgotten       | execution: flag svc:beat has been set for 2h 5m, longer than it may be
  RedisDown           | Redis does not answer: everything read from it is unknown
  RedisMemory         | Redis uses 97.3% of its memory limit
  RedisEvicting       | Redis has thrown away 42 keys in 5 minutes for want of memory: streams and heartbeats may vanish
  NothingDiscovered   | No key fits svc:*, so nothing is watched by it
  DiscoveryLimited    | About 42 streams, groups or heartbeats that fit svc:* are not watched: there are more than its limit allows
  DiscoveryLate       | The keys were last gone over 2h 5m ago: what is new of svc:* is not watched
  ReceiverFailing     | Receiver ops takes no messages (42 wait, 42 refused in 10 minutes)
  StateLost           | The state file was unreadable and was set aside 2h 5m ago: silences, acknowledgements and undelivered messages of before may be lost
  StateUnwritable     | The state file could not be written for 2h 5m: a crash now would lose what has happened since
  ConfigRejected      | The rules file was changed and cannot be used as it is: what was read before is in force
  SelfTest            | the watchdog tests the whole way from alert to receiver: nothing is wrong
  SignalUnknown       | execution cannot be judged: nothing is known of its log
"""


@pytest.mark.parametrize(("rule", "said"), rows(SENTENCES), ids=[rule for rule, _ in rows(SENTENCES)])
def test_a_sentence_says_whose_and_what_in_one_glance(rule: str, said: str) -> None:
    """One sentence without an end, short enough for a phone, the name first where it is a service's own."""
    assert filled(BUILTIN[rule]["summary"]) == said
    assert len(said) <= 160
    assert not said.endswith(".")
    own = {lead.partition(".")[0] for lead in BUILTIN[rule]["when"]} & {
        "redis",
        "watchdog",
        "receiver",
        "discovery",
    }
    assert said.startswith("execution") or own


def test_no_rule_is_without_its_row() -> None:
    """A new one is read as well."""
    assert [rule for rule, _ in rows(SENTENCES)] == list(BUILTIN)
