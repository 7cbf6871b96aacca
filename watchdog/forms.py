"""The forms an audit is printed in: for people, and for other programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from io import StringIO
from xml.etree import ElementTree as Xml

from rich.console import Console
from rich.table import Table
from rich.text import Text

from watchdog.columns import STYLES
from watchdog.gauges import shown_values as told_values
from watchdog.gauges import signal_name as told_name
from watchdog.notifications import Notice
from watchdog.report import SignalReport, Snapshot, Status, signal_json, snapshot_json, to_json
from watchdog.units import plain, show_duration


def as_json(found: Snapshot) -> str:
    """Return the audit as SPEC §4 writes it."""
    return to_json(snapshot_json(found), indent=1)


def as_nagios(found: Snapshot) -> str:
    """Return one line of text and performance data, then a line an alert (Monitoring Plugins guidelines)."""
    counts = {status: sum(s is status for s in found.services.values()) for status in Status}
    telling = [n for n in found.notices if n.alert.severity != "info"]
    head = telling[0].alert.summary if telling else f"{counts[Status.OK]} services work"
    if not telling and found.status is Status.UNKNOWN:
        head = "; ".join(f"{who} cannot be told" for who, s in found.services.items() if s is Status.UNKNOWN)
    data = [f"'services_{status}'={count};;;0" for status, count in counts.items()]
    for key, report in found.signals.items():
        age = report.values.get("age") if key.kind == "executions" else None
        if isinstance(age, float):
            data.append(f"'{_nagios(key.service)}_last_success'={age:.0f}s;;;0")
    lines = [f"WATCHDOG {str(found.status).upper()} - {_nagios(head)} | {' '.join(data)}"]
    lines += [_nagios(f"{n.alert.severity} {n.alert.name}: {n.alert.summary}") for n in telling]
    return "\n".join(lines)


def _nagios(text: str) -> str:
    """Return *text* without the signs that mean something in plugin output."""
    return plain(text).replace("|", "/").replace("'", "`")


def as_junit(found: Snapshot) -> str:
    """Return a JUnit report: a suite a service, a case a signal."""
    root = Xml.Element("testsuites", name="watchdog audit")
    for service in found.services:
        reports = found.of_service(service)
        failed = [r for r in reports if r.status in (Status.WARNING, Status.CRITICAL)]
        errors = [r for r in reports if r.status is Status.UNKNOWN]
        suite = Xml.SubElement(
            root,
            "testsuite",
            name=service,
            tests=str(len(reports)),
            failures=str(len(failed)),
            errors=str(len(errors)),
        )
        for report in reports:
            key = report.reading.signal
            case = Xml.SubElement(
                suite, "testcase", classname=service, name=plain(f"{key.kind} {key.labels!r}")
            )
            if report in failed:
                said = "; ".join(n.alert.summary for n in found.notices if n.alert.signal == key)
                Xml.SubElement(case, "failure", message=plain(said), type=str(report.status))
            elif report in errors:
                Xml.SubElement(case, "error", message=plain(trouble_of(report)), type="unknown")
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True)


def as_markdown(found: Snapshot) -> str:
    """Return two tables for a report or a merge request."""
    lines = [f"**{found.status}** as of {found.at.isoformat(timespec='seconds')}", ""]
    lines += ["| service | signal | status | values |", "| --- | --- | --- | --- |"]
    for service in found.services:
        for report in found.of_service(service):
            cells = (service, report.reading.signal.kind, str(report.status), shown_values(report))
            lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    if found.notices:
        lines += ["", "| alert | service | state | what | cause |", "| --- | --- | --- | --- | --- |"]
        for n in found.notices:
            told = (n.alert.name, n.alert.service, str(n.alert.state), n.alert.summary, n.cause or "")
            lines.append(f"| {' | '.join(_cell(cell) for cell in told)} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    escaped = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return escaped.replace("`", "'")


def as_table(found: Snapshot, *, width: int | None = None, colour: bool = False) -> str:
    """Return tables for a terminal; colours only if *colour*."""
    out = StringIO()
    console = Console(
        file=out,
        width=width or (None if colour else 160),
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("service", "status", "signal", "what was seen"):
        table.add_column(title, overflow="fold", no_wrap=title in ("service", "status"))
    for service, status in found.services.items():
        for i, report in enumerate(found.of_service(service)):
            name = Text(service if not i else "", style=STYLES[status])
            told = Text(str(report.status), style=STYLES[report.status])
            table.add_row(name, told, Text(signal_name(report)), Text(shown_values(report)))
    console.print(table)
    for notice in found.notices:
        console.print(Text(""))
        _print_alert(console, notice, found.at)
    console.print(Text(f"\n{headline(found)}", style=STYLES[found.status]))
    return out.getvalue().rstrip("\n")


def _print_alert(console: Console, notice: Notice, now: datetime) -> None:
    alert = notice.alert
    style = {"critical": "bold red", "warning": "yellow"}.get(str(alert.severity), "")
    console.print(
        Text(
            plain(f"{str(alert.severity).upper()} {alert.name} ({alert.state}): {alert.summary}"), style=style
        )
    )
    lines = [
        f"since {show_duration((now - alert.active_since).total_seconds())}: " + "; ".join(alert.figures)
    ]
    lines += [f"cause: {notice.cause}"] if notice.cause else []
    lines += [f"affects: {', '.join(notice.affects)}"] if notice.affects else []
    lines += [f"{name}: {told}" for name, told in alert.evidence.items()]
    for line in lines:
        console.print(Text(f"  {plain(line)}"))


def headline(found: Snapshot) -> str:
    """Return the audit in one line."""
    counts = [(status, [who for who, s in found.services.items() if s is status]) for status in Status]
    parts = [
        f"{len(who)} {status} ({', '.join(who)})" for status, who in counts if who and status is not Status.OK
    ]
    fine = len(dict(counts)[Status.OK])
    return f"{found.status}: " + ", ".join([*parts, f"{fine} ok"])


def signal_name(report: SignalReport) -> str:
    """Return the signal with what tells it from others, shortened to the last part of its keys."""
    return plain(told_name(signal_json(report)))


def trouble_of(report: SignalReport) -> str:
    """Say why the signal is not known."""
    reading = report.reading
    missing = [*reading.gaps, *(name for name, found in reading.values.items() if found is None)]
    return reading.trouble or f"unknown: {', '.join(missing)}"


def shown_values(report: SignalReport) -> str:
    """Return the values a person wants to see, in one line."""
    return plain(told_values(signal_json(report)))


FORMS: Mapping[str, Callable[[Snapshot], str]] = {
    "json": as_json,
    "nagios": as_nagios,
    "junit": as_junit,
    "markdown": as_markdown,
}
