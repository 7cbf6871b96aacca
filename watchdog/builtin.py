"""
The built-in rules (SPEC §2): with nothing but `services`, a file is a working watchdog.

Written as rules.yaml would have them, so that a user can copy one and change it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RUNBOOKS = "https://github.com/pipeline-watchdog/pipeline-watchdog/blob/main/docs/runbooks"
"""Where the project keeps the runbooks: a file NAME.md for each."""

BUILTIN: Mapping[str, Mapping[str, Any]] = {
    "NoExecutions": {
        "when": [
            "executions.age > 1h",
            "executions.offered[1h] > 0",
            "executions.rhythm == 0 or executions.overdue > 2",  # where longer silences are usual
        ],
        "severity": "critical",
        "summary": "{service} has not succeeded for {executions.age} although work was offered"
        " {executions.offered[1h]} times in the last hour",
    },
    "ExecutionsOverdue": {
        "when": ["executions.overdue > 2", "executions.offered_since > 0"],
        "for": "1m",  # for what has just been offered
        "severity": "critical",
        "summary": "{service} has not succeeded for {executions.age}, {executions.overdue} times as long as"
        " is usual, although work was offered {executions.offered_since} times since",
    },
    "HeartbeatStale": {
        "when": ["heartbeat.age > 5m"],
        "severity": "critical",
        "summary": "{service} has sent no heartbeat for {heartbeat.age}",
    },
    "HeartbeatMissing": {
        "when": ["heartbeat.present == 0"],
        "for": "30s",
        "severity": "critical",
        "summary": "{service} has no heartbeat at {key}",
    },
    "LogErrors": {
        "when": ["log.error_ratio[10m] > 10%", "log.lines[10m] >= 20"],
        "for": "2m",
        "severity": "warning",
        "summary": "{service} logs errors in {log.error_ratio[10m]} of its lines ({log.lines[10m]} lines in"
        " 10 minutes)",
    },
    "OneReason": {
        "when": [
            "executions.top_reason_share[10m] > 95%",
            "executions.total[10m] >= 20",
            "executions.succeeded[10m] == 0",
        ],
        "severity": "critical",
        "summary": "{service} refuses {executions.top_reason_share[10m]} of its work for one reason:"
        " {executions.top_reason[10m]}",
    },
    "OnlyFailures": {
        "when": ["executions.attempted[1h] >= 20", "executions.succeeded[1h] == 0"],
        "severity": "critical",
        "summary": "{service} has tried {executions.attempted[1h]} times in an hour and never succeeded",
    },
    "Unanswered": {
        "when": ["executions.answered_ratio[15m] < 50%", "executions.offered[15m] >= 20"],
        "for": "5m",
        "severity": "critical",
        "summary": "{service} has answered only {executions.answered_ratio[15m]} of the"
        " {executions.offered[15m]} entries offered in 15 minutes",
    },
    "RateExceeded": {
        "when": ["executions.of_limit > 1"],
        "severity": "critical",
        "summary": "{service} succeeds {executions.of_limit} times as often as it ever should",
    },
    "BadResults": {
        "when": ["executions.bad_values[10m] > 0"],
        "severity": "critical",
        "summary": "{service} writes results that cannot be right: {executions.bad_values[10m]} in 10"
        " minutes ({stream})",
    },
    "ForbiddenResult": {
        "when": ["executions.forbidden[10m] > 0"],
        "severity": "warning",
        "summary": "{service} writes results with a reason or a decision that must never occur:"
        " {executions.forbidden[10m]} in 10 minutes ({stream})",
    },
    "OldWork": {
        "when": ["executions.old[10m] > 0"],
        "severity": "warning",
        "summary": "{service} takes old work for new: {executions.old[10m]} results in 10 minutes, the"
        " newest {executions.skew} late",
    },
    "OneDecision": {
        "when": ["executions.sameness[1h] > 99%", "executions.decided[1h] >= 50"],
        "severity": "warning",
        "summary": "{service} decides {executions.top_decision[1h]} nearly every time: in"
        " {executions.sameness[1h]} of {executions.decided[1h]} cases within an hour",
    },
    "NothingOffered": {
        "when": ["executions.age > 1h", "executions.offered[1h] == 0"],
        "severity": "info",
        "summary": "{service} has had nothing to do for over an hour (last success {executions.age} ago)",
    },
    "SlowOrders": {
        "when": ["trace.overdue > 1"],
        "severity": "warning",
        "summary": "{service}: an order has been under way for {trace.unfinished} and has not come to"
        " {trace.missing_stage}",
    },
    "HeartbeatFrozen": {
        "when": ["heartbeat.unchanged > 5m"],
        "for": "1m",
        "severity": "warning",
        "summary": "{service} sends the same heartbeat again and again, unchanged for {heartbeat.unchanged}",
    },
    "HeartbeatAhead": {
        "when": ["heartbeat.ahead > 30s"],
        "for": "1m",
        "severity": "warning",
        "summary": "{service} sends heartbeats from {heartbeat.ahead} in the future: its clock or the unit"
        " of its time is wrong",
    },
    "HeartbeatNoExpiry": {
        "when": ["heartbeat.ttl == -1"],
        "for": "1m",
        "severity": "warning",
        "summary": "{service} writes a heartbeat that never expires although a TTL is declared ({key})",
    },
    "SyntheticHeartbeat": {
        "when": ["heartbeat.synthetic == 1"],
        "severity": "warning",
        "summary": "{service} does not send its heartbeat itself: an emergency heartbeat keeps {key} alive",
    },
    "HeartbeatIdle": {
        "when": ["heartbeat.overdue > 1"],
        "for": "1m",
        "severity": "critical",
        "summary": "{service} is alive but gets nothing done (last success {heartbeat.success_age} ago)",
    },
    "HeartbeatFailing": {
        "when": ["heartbeat.failed[10m] >= 5", "heartbeat.done[10m] == 0"],
        "severity": "critical",
        "summary": "{service} is alive but all its work fails: {heartbeat.failed[10m]} times in 10 minutes",
    },
    "GroupStalled": {
        "when": ["consumes.verdict in [unread, no_consumers, stalled, stuck, rewound, missing]"],
        "for": "1m",
        "severity": "critical",
        "summary": "{service} does not work off {stream}: {consumes.verdict} (oldest unread entry"
        " {consumes.behind}, unacknowledged {consumes.pending}, group {group})",
    },
    "EntriesLost": {
        "when": ["consumes.lost[1h] > 0"],
        "severity": "critical",
        "summary": "{service} has missed {consumes.lost[1h]} entries of {stream}: trimmed before group"
        " {group} read them",
    },
    "LossImminent": {
        "when": ["consumes.verdict == losing_soon"],
        "severity": "critical",
        "summary": "{service} will lose entries of {stream} in {consumes.time_to_loss} at this pace (group"
        " {group})",
    },
    "GroupFallingBehind": {
        "when": ["consumes.verdict == falling_behind"],
        "for": "5m",
        "severity": "warning",
        "summary": "{service} falls behind on {stream}: {consumes.lag} entries wait (group {group})",
    },
    "PoisonEntry": {
        "when": ["consumes.deliveries >= 5"],  # the verdict may name what is worse
        "for": "5m",
        "severity": "warning",
        "summary": "{service} fails on one entry of {stream} again and again: delivered"
        " {consumes.deliveries} times (group {group})",
    },
    "PendingBodiesGone": {
        "when": ["consumes.bodies_gone > 0"],
        "for": "5m",
        "severity": "warning",
        "summary": "{service} can never finish {consumes.bodies_gone} entries of {stream}: what they said is"
        " gone (group {group})",
    },
    "GhostConsumers": {
        "when": ["consumes.ghosts > 0"],
        "for": "5m",
        "severity": "warning",
        "summary": "{service} has consumers that are gone and still hold unfinished entries:"
        " {consumes.ghosts} of group {group}",
    },
    "SecondInstance": {
        "when": ["consumes.alive > 1"],
        "for": "30s",
        "severity": "critical",
        "summary": "{service} runs {consumes.alive} times although it must be alone: so many consumers work"
        " on {stream} (group {group})",
    },
    "StreamSilent": {
        "when": ["stream.overdue > 3", "stream.expected > 0s"],
        "severity": "critical",
        "summary": "{service}: nothing has been added to {stream} for {stream.age}",
    },
    "StreamOverdue": {
        "when": ["stream.overdue > 3", "stream.usual > 0s"],
        "severity": "warning",
        "summary": "{service}: nothing has been added to {stream} for {stream.age}, where {stream.usual} at"
        " most is usual",
    },
    "StreamUnbounded": {
        "when": ["stream.length > 100000", "stream.capped == 0", "stream.added[1h] > 0"],
        "severity": "warning",
        "summary": "{service}: {stream} grows without limit, {stream.length} entries by now",
    },
    "StreamUnread": {
        "when": ["stream.unread == 1", "stream.added[1h] > 0"],
        "for": "15m",
        "severity": "warning",
        "summary": "{service}: nobody reads {stream}, though {stream.added[1h]} entries were added in an"
        " hour",
    },
    "StreamAbandoned": {
        "when": ["stream.age > 1d", "stream.unread == 0", "stream.length > 0"],
        "severity": "info",
        "summary": "{service}: nothing has been added to {stream} for {stream.age}, and still somebody waits"
        " for it (consumer groups: {stream.groups})",
    },
    "StreamReset": {
        "when": ["stream.resets[1h] > 0"],
        "severity": "warning",
        "summary": "{service}: {stream} was deleted and made anew, or set back to an older copy",
    },
    "BadValues": {
        "when": ["stream.bad_values[10m] > 0"],
        "severity": "warning",
        "summary": "{service}: entries of {stream} hold values that cannot be right,"
        " {stream.bad_values[10m]} in 10 minutes",
    },
    "NewLogErrors": {
        "when": ["log.new_errors[10m] > 0"],
        "severity": "info",
        "summary": "{service} logs errors that never came before (new kinds in 10 minutes:"
        " {log.new_errors[10m]})",
    },
    "LogBehind": {
        "when": ["log.late > 1m"],
        "for": "1m",
        "severity": "warning",
        "summary": "{service} logs faster than it can be read: what is seen of its log is {log.late} old",
    },
    "LogSilent": {
        "when": ["log.overdue > 1"],
        "severity": "warning",
        "summary": "{service} has logged nothing for {log.age}",
    },
    "UnitDown": {
        "when": [
            "unit.active == 0",
            "unit.wanted == 1 or unit.state in [failed, not-found, bad-setting, error]",
            "unit.state != activating/auto-restart",  # UnitRestarting says it better
            "unit.state != activating/auto-restart-queued",
        ],
        "for": "1m",
        "severity": "critical",
        "summary": "{service} does not run: {unit} is {unit.state}",
    },
    "UnitRestarting": {
        "when": [
            "unit.restarts[15m] >= 3 or unit.failed_runs >= 3 or"
            " unit.state in [activating/auto-restart, activating/auto-restart-queued]"
        ],
        "for": "1m",
        "severity": "critical",
        "summary": "{service} restarts again and again: {unit.restarts[15m]} times in 15 minutes,"
        " {unit.failed_runs} failed runs in a row, now {unit.state} ({unit})",
    },
    "UnitOutdated": {
        "when": ["unit.outdated > 15m"],
        "severity": "warning",
        "summary": "{service} still runs what was there before its files changed {unit.outdated} ago"
        " ({unit})",
    },
    "TimerLate": {
        "when": ["unit.late > 2 or unit.overdue > 5m or unit.scheduled == 0"],
        "for": "1m",
        "severity": "warning",
        "summary": "{service} is not started when it should be: {unit} last triggered {unit.last_trigger}"
        " ago",
    },
    "HealthFailing": {
        "when": ["health.up == 0"],
        "for": "1m",
        "severity": "critical",
        "summary": "{service} fails its health check: {health.problem} ({url})",
    },
    "HealthDisagrees": {
        "when": ["health.up == 0", "executions.succeeded[5m] > 0"],
        "for": "6m",  # longer than the window, so that a success came after it began to fail
        "severity": "warning",
        "summary": "{service} works ({executions.succeeded[5m]} successes in 5 minutes) but its health check"
        " fails: suspect the check ({url})",
    },
    "CertificateExpiring": {
        "when": ["health.certificate < 14d"],
        "for": "1m",
        "severity": "warning",
        "summary": "{service} has a TLS certificate that ends in {health.certificate} ({url})",
    },
    "CommandFailing": {
        "when": ["command.status == critical"],
        "for": "1m",
        "severity": "critical",
        "summary": "{service} fails the check {command}",
    },
    "CommandWarning": {
        "when": ["command.status == warning"],
        "for": "1m",
        "severity": "warning",
        "summary": "{service} is near failing the check {command}",
    },
    "SettingsViolated": {
        "when": ["settings.violations > 0"],
        "for": "1m",
        "severity": "warning",
        "summary": "{service} has settings that are not as required: {settings.violations} in {path}",
    },
    "SettingsSuspicious": {
        "when": ["settings.warnings > 0"],
        "for": "1m",
        "severity": "warning",
        "summary": "{service} has settings that hardly anybody meant so: {settings.warnings} in {path}",
    },
    "SettingsChanged": {
        "when": ["settings.changed > 0"],
        "for": "1m",
        "severity": "warning",
        "summary": "{service} has settings that were changed since they were accepted: {settings.changed} in"
        " {path}",
    },
    "SettingsStale": {
        "when": ["settings.stale > 10m"],
        "severity": "warning",
        "summary": "{service} has not been restarted since {path} was changed {settings.stale} ago",
    },
    "FlagSet": {
        "when": ["flag.set == 1"],
        "for": "1m",
        "severity": "warning",
        "summary": "{service}: flag {key} has been set for {flag.age}",
    },
    "FlagForgotten": {
        "when": ["flag.overdue > 1"],
        "severity": "critical",
        "summary": "{service}: flag {key} has been set for {flag.age}, longer than it may be",
    },
    "RedisDown": {
        "when": ["redis.up == 0"],
        "for": "10s",
        "severity": "critical",
        "summary": "Redis does not answer: everything read from it is unknown",
    },
    "RedisMemory": {
        "when": ["redis.memory_ratio > 90%"],
        "for": "5m",
        "severity": "warning",
        "summary": "Redis uses {redis.memory_ratio} of its memory limit",
    },
    "RedisEvicting": {
        "when": ["redis.evicted[5m] > 0"],
        "severity": "critical",
        "summary": "Redis has thrown away {redis.evicted[5m]} keys in 5 minutes for want of memory: streams"
        " and heartbeats may vanish",
    },
    "NothingDiscovered": {
        "when": ["discovery.found == 0"],
        "for": "5m",
        "severity": "warning",
        "summary": "No key fits {discover}, so nothing is watched by it",
    },
    "DiscoveryLimited": {
        "when": ["discovery.left_out > 0"],
        "severity": "warning",
        "summary": "About {discovery.left_out} streams, groups or heartbeats that fit {discover}"
        " are not watched: there are more than its limit allows",
    },
    "DiscoveryLate": {
        "when": ["discovery.age > 5m"],
        "severity": "warning",
        "summary": "The keys were last gone over {discovery.age} ago:"
        " what is new of {discover} is not watched",
    },
    "ReceiverFailing": {
        "when": ["receiver.failing > 1m or receiver.refused[10m] > 0"],
        "severity": "warning",
        "summary": "Receiver {receiver} takes no messages ({receiver.waiting} wait,"
        " {receiver.refused[10m]} refused in 10 minutes)",
    },
    "StateLost": {
        "when": ["watchdog.set_aside < 1h"],
        "severity": "critical",
        "summary": "The state file was unreadable and was set aside {watchdog.set_aside} ago:"
        " silences, acknowledgements and undelivered messages of before may be lost",
    },
    "StateUnwritable": {
        "when": ["watchdog.unsaved > 30s"],
        "severity": "critical",
        "summary": "The state file could not be written for {watchdog.unsaved}:"
        " a crash now would lose what has happened since",
    },
    "ConfigRejected": {
        "when": ["watchdog.config_rejected == 1"],
        "severity": "warning",
        "summary": "The rules file was changed and cannot be used as it is: what was read before is in force",
    },
    "SelfTest": {
        "when": ["watchdog.self_test == 1"],
        "severity": "info",
        "summary": "the watchdog tests the whole way from alert to receiver: nothing is wrong",
    },
    "SignalUnknown": {
        "when": ["signal.known == 0"],
        "for": "2m",
        "severity": "warning",
        "summary": "{service} cannot be judged: nothing is known of its {signal}",
    },
}


def runbook_of(alert: str, base: str = "") -> str:
    """Return the address of the runbook of *alert*: below *base*, or else the project's own."""
    return f"{base}/{alert}" if base else f"{RUNBOOKS}/{alert}.md"


def raw_rules(base: str = "") -> list[dict[str, Any]]:
    """Return the built-in rules as items of `rules:` would be; *base* is where their runbooks are."""
    return [{"alert": alert, **rule, "runbook": runbook_of(alert, base)} for alert, rule in BUILTIN.items()]
