"""What the running sidecar says, as people read it in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from watchdog.glance import seconds_between
from watchdog.notifiers.text import evidence_lines
from watchdog.units import plain, show_duration

WIDTH = 160
"""How wide a table is that is not read in a terminal."""
STYLES = {"critical": "bold red", "warning": "yellow"}
Record = Mapping[str, Any]


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return *rows* under *titles*; a severity among them gives its cell a colour in a terminal."""
    colour = sys.stdout.isatty()
    out = StringIO()
    console = Console(
        file=out,
        width=None if colour else WIDTH,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
    )
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        shown.add_column(title, overflow="fold", no_wrap=title in ("state", "severity", "fingerprint"))
    for row in rows:
        shown.add_row(*(Text(plain(cell), style=STYLES.get(cell, "")) for cell in row))
    console.print(shown)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip("\n").split("\n"))


def ago(moment: str | None, now: str) -> str:
    """Return how long before *now* a moment was, both as in RFC 3339."""
    return "-" if moment is None else show_duration(seconds_between(moment, now))


# ---- alerts ------------------------------------------------------------------------------------


def alerts_table(body: Record) -> str:
    """Return the alerts, a line each."""
    titles = ("fingerprint", "state", "severity", "alert", "service", "since", "what", "told")
    return table(titles, [_alert(alert, body["at"]) for alert in body["alerts"]])


def _alert(alert: Record, now: str) -> Sequence[str]:
    labels = alert["labels"]
    return (
        alert["fingerprint"],
        alert["state"],
        labels["severity"],
        labels["alertname"],
        labels["service"],
        ago(alert["since"], now),
        alert["summary"],
        "; ".join([*_said(alert), *(told_line(told, now) for told in alert["receivers"])]),
    )


def _said(alert: Record) -> Iterable[str]:
    if alert["acknowledged"]:
        yield f"acknowledged by {alert['acknowledged']['by']}"
    if alert["flapping"]:
        yield "flapping"


def told_line(told: Record, now: str) -> str:
    """Return how one receiver stands to an alert, in a few words."""
    when = f" {ago(told['told_at'], now)} ago" if told["told_at"] else ""
    return f"{told['receiver']} {told['reason']}{when}{' (on its way)' if told['waiting'] else ''}"


def alert_story(alert: Record, deliveries: Iterable[Record], now: str) -> str:
    """Return all that is known of one alert, a line a fact."""
    labels = alert["labels"]
    others = {n: v for n, v in labels.items() if n not in ("alertname", "service", "severity")}
    ack = alert["acknowledged"]
    facts = [
        ("since", f"{alert['since']} ({ago(alert['since'], now)})"),
        ("ended", alert["resolved_at"] and f"{alert['resolved_at']} {alert['ended'] or ''}"),
        ("where", ", ".join(f"{name}={value}" for name, value in others.items())),
        *(("figure", figure) for figure in alert["figures"]),
        *(("evidence", line) for line in evidence_lines(alert["evidence"])),
        ("cause", alert["cause"]),
        ("affects", ", ".join(alert["affects"])),
        ("also affected", ", ".join(alert["symptoms"])),
        ("acknowledged", ack and f"by {ack['by']} at {ack['at']}: {ack['comment'] or 'no comment'}"),
        ("silenced by", ", ".join(alert["silenced_by"])),
        ("flapping", "nobody is told until it is steady" if alert["flapping"] else ""),
        *(("told", told_line(told, now)) for told in alert["receivers"]),
        *(("delivery", _delivery_line(one, now)) for one in deliveries),
        ("runbook", alert["runbook"]),
        ("fingerprint", alert["fingerprint"]),
    ]
    head = f"{labels['severity'].upper()} {labels['alertname']} of {labels['service']} ({alert['state']})"
    lines = [f"{head}: {alert['summary']}", *(f"  {name}: {said}" for name, said in facts if said)]
    return "\n".join(map(plain, lines))


# ---- silences and deliveries -------------------------------------------------------------------


def silences_table(body: Record) -> str:
    """Return the silences, a line each."""
    titles = ("id", "state", "matchers", "ends", "by", "comment")
    return table(titles, [_silence(silence) for silence in body["silences"]])


def _silence(silence: Record) -> Sequence[str]:
    matchers = " ".join(map(_matcher, silence["matchers"]))
    until = " or when resolved" if silence["untilResolved"] else ""
    return (
        silence["id"],
        silence["status"]["state"],
        matchers,
        silence["endsAt"] + until,
        silence["createdBy"],
        silence["comment"],
    )


def _matcher(matcher: Record) -> str:
    op = ("=" if matcher["isEqual"] else "!") + ("~" if matcher["isRegex"] else "")
    return f'{matcher["name"]}{op if op != "!" else "!="}"{matcher["value"]}"'


def deliveries_table(body: Record) -> str:
    """Return the deliveries, a line each."""
    titles = ("at", "receiver", "outcome", "reasons", "alerts", "attempt", "what")
    return table(titles, [_delivery(one) for one in body["deliveries"]])


def _delivery(one: Record) -> Sequence[str]:
    more = one["count"] - len(one["names"])
    names = ", ".join(one["names"]) + (f" and {more} more" if more > 0 else "")
    return (
        one["at"],
        one["receiver"],
        one["outcome"],
        " ".join(one["reasons"]),
        names,
        str(one["attempt"] or "-"),
        _how(one),
    )


def _how(one: Record) -> str:
    """Say how long it took, or why it was not taken."""
    if one["why"]:
        again = f", again after {show_duration(one['pause'])}" if one["pause"] else ""
        return f"{one['why']}{again}"
    return "" if one["took"] is None else f"took {show_duration(one['took'])}"


def _delivery_line(one: Record, now: str) -> str:
    words = (one["receiver"], one["outcome"], f"{ago(one['at'], now)} ago", f"({' '.join(one['reasons'])})")
    return " ".join([*words, _how(one)]).rstrip()
