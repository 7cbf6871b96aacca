"""Reports: when they are due, and that they never say more than is known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from tests.drawn import T0, ids, rows
from watchdog.alerts import Alert, State
from watchdog.audience import Report
from watchdog.bulletin import MOST_LINES, audit_lines, bulletin, clear_lines, headline, reports_due, week
from watchdog.history import History
from watchdog.model import Labels, Reading, SignalKey
from watchdog.notifications import Notice, Notification, Reason
from watchdog.report import Reports, Snapshot, Status, worst
from watchdog.schedule import Schedule

DAILY = Report("all_clear", ("ops",), Schedule("0 8 * * *", "Europe/Berlin"))
DUE = """
  last done        | now              | due
  01-09 07:00      | 01-10 06:59      | -
  01-09 07:00      | 01-10 07:00      | 01-10 07:00
  01-10 07:00      | 01-10 07:00      | -
  01-10 07:00      | 01-11 06:59      | -
  01-09 07:00      | 01-10 09:30      | 01-10 07:00
  01-02 07:00      | 01-10 09:30      | 01-10 07:00
  07-09 06:00      | 07-10 05:59      | -
  07-09 06:00      | 07-10 06:00      | 07-10 06:00
  01-10 07:30      | 01-10 06:59      | -
  03-01 00:00      | 01-10 09:30      | 01-10 07:00
"""


def at(text: str) -> datetime:
    """Return the moment of 2026 that a table names."""
    return datetime.fromisoformat(f"2026-{text.replace(' ', 'T')}:00+00:00")


@pytest.mark.parametrize(("done", "now", "due"), rows(DUE), ids=ids(DUE))
def test_a_report_is_due_once_its_moment_has_passed(done: str, now: str, due: str) -> None:
    """
    Once for each moment, once for all that were missed; at eight in Berlin, summer and winter.

    What a clock in the future had done is not waited for.
    """
    found = [moment for _, moment in reports_due([DAILY], {DAILY.name: at(done)}, at(now))]
    assert found == ([] if due == "-" else [at(due)])


def test_a_new_report_waits_for_its_moment() -> None:
    """Nothing is sent for the time before it was asked for."""
    assert list(reports_due([DAILY], {}, at("01-10 09:30"))) == []


# ---- what it says ------------------------------------------------------------------------------


def alert(name: str, service: str, severity: str, state: State = State.FIRING) -> Notice:
    """Return an alert as a snapshot shows it."""
    labels = Labels(alertname=name, service=service, severity=severity)
    signal = SignalKey(service, "heartbeat", Labels())
    return Notice(Alert(labels, signal, state, T0, T0, summary=f"{service} is ill"), None, ())


def known(services: Mapping[str, Status], *notices: Notice) -> Snapshot:
    """Return a snapshot of services that have a heartbeat each."""
    keys = {SignalKey(service, "heartbeat", Labels(key=service)): s for service, s in services.items()}
    trouble = {Status.UNKNOWN: "Redis does not answer"}
    history = History(timedelta(hours=1)).add(Reading(k, T0, trouble=trouble.get(s)) for k, s in keys.items())
    reports = Reports(history, dict.fromkeys(keys, ()), keys, T0)
    return Snapshot(T0, reports, services, notices, worst(services.values()))


OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
HEADLINES = {
    "all is well": (known({"a": OK, "b": OK}), "All 2 services work"),
    "one service": (known({"a": OK}), "The only service works"),
    "a warning": (
        known({"a": WARNING, "b": OK}, alert("LogErrors", "a", "warning")),
        "All 2 services work; 1 alert fires: LogErrors of a",
    ),
    "nobody can tell": (known({"a": UNKNOWN, "b": OK}), "1 of 2 services does not work: a (unknown)"),
    "critical": (
        known({"a": OK, "b": CRITICAL, "c": CRITICAL}, alert("NoExecutions", "b", "critical")),
        "2 of 3 services do not work: b (critical), c (critical); 1 alert fires: NoExecutions of b",
    ),
    "blind": (
        known({"a": UNKNOWN, "b": OK}, alert("NoExecutions", "a", "critical", State.BLIND)),
        "1 of 2 services does not work: a (unknown); 1 alert fires: NoExecutions of a",
    ),
    "about none of them": (
        known({"a": OK}, alert("StateUnwritable", "watchdog", "critical")),
        "The only service works; 1 alert fires: StateUnwritable of watchdog",
    ),
    "what is over": (
        known({"a": OK}, alert("NoExecutions", "a", "critical", State.RESOLVED)),
        "The only service works",
    ),
    "many": (
        known(dict.fromkeys("abcde", CRITICAL)),
        "5 of 5 services do not work: a (critical), b (critical), c (critical) and 2 more",
    ),
}


@pytest.mark.parametrize(("latest", "said"), HEADLINES.values(), ids=HEADLINES)
def test_the_headline_never_says_that_all_is_well_when_it_is_not(latest: Snapshot, said: str) -> None:
    """Unknown is not working, and whatever fires is named."""
    assert headline(latest) == said


def test_an_all_clear_has_a_line_for_each_service() -> None:
    """The worst first, with what is wrong; then what is about no service of the file."""
    latest = known(
        {"a": OK, "b": UNKNOWN, "c": CRITICAL},
        alert("NoExecutions", "c", "critical"),
        alert("HeartbeatMissing", "c", "critical", State.PENDING),
        alert("ReceiverFailing", "watchdog", "warning"),
        alert("LogErrors", "a", "warning", State.RESOLVED),
    )
    assert clear_lines(latest) == [
        "c: critical – NoExecutions: c is ill; HeartbeatMissing (pending): c is ill",
        "b: unknown – heartbeat: Redis does not answer",
        "a: ok",
        "watchdog: ReceiverFailing: watchdog is ill",
    ]


def record(receiver: str, reasons: list[str], *names: str) -> dict[str, object]:
    """Return what the delivery log says of a message."""
    return {"receiver": receiver, "outcome": "sent", "reasons": reasons, "names": list(names)}


TOLD = [
    record("ops", ["first"], "NoExecutions/execution", "LogErrors/execution"),
    record("ops", ["repeat"], "NoExecutions/execution"),
    record("ops", ["resolved"], "NoExecutions/execution"),
    record("ops", ["first", "resolved"], "NoExecutions/execution"),
    record("hook", ["first"], "NoExecutions/execution"),
    record("hook", ["report"], "AllClear/watchdog"),
]


def test_an_audit_has_a_line_for_each_service_and_signal_and_the_past_week() -> None:
    """What several receivers were told counts once; reminders and ends do not count."""
    assert week(TOLD) == {"NoExecutions": 2, "LogErrors": 1}
    assert audit_lines(known({"a": OK, "b": UNKNOWN}), TOLD) == [
        "alerts told in the past week: NoExecutions 2×, LogErrors 1×",
        "b: unknown",
        'b/heartbeat{key="b"}: unknown – Redis does not answer',
        "a: ok",
        'a/heartbeat{key="a"}: ok',
    ]
    assert audit_lines(known({}), [])[0] == "alerts told in the past week: none"


def report(what: str, latest: Snapshot) -> list[Notification]:
    """Return the report as it is told to two receivers, ten seconds after its moment."""
    asked = Report(what, ("ops", "hook"), DAILY.schedule)
    return bulletin(asked, latest, T0 - timedelta(seconds=10))


def test_a_report_is_a_message_to_each_receiver_that_is_no_alert() -> None:
    """Nothing fires in it; both sidecars of a pair give it the same labels and the same moment."""
    ops, hook = report("all_clear", known({"a": OK}))
    (notice,) = ops.notices
    assert (ops.receiver, hook.receiver, ops.status, ops.due) == ("ops", "hook", "resolved", T0)
    assert notice.reason is Reason.REPORT
    assert dict(notice.alert.labels) == {"alertname": "AllClear", "service": "watchdog", "severity": "info"}
    assert (notice.alert.fired_at, notice.alert.resolved_at) == (T0 - timedelta(seconds=10), T0)
    assert (notice.alert.summary, notice.alert.figures) == ("The only service works", ("a: ok",))
    assert ops.key != hook.key


def test_a_report_has_an_end() -> None:
    """Of thousands of signals the first few hundred are told: the worst."""
    services = {f"s{number}": OK for number in range(MOST_LINES)} | {"ill": CRITICAL}
    (message, _) = report("audit", known(services))
    figures = message.notices[0].alert.figures
    assert (len(figures), figures[1], figures[-1]) == (
        MOST_LINES + 1,
        "ill: critical",
        f"… and {MOST_LINES + 3} more lines",
    )
