"""An audit that one reads at one glance: the verdict first and last, what is wrong in between."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from rich.text import Text

from watchdog.columns import GAP, SIGNS, STYLES, cut, layout, service_line, title_line, wrapped
from watchdog.glance import Glance, Row, Told, Unseen, age
from watchdog.notifiers.text import evidence_lines
from watchdog.report import Status
from watchdog.units import first_of, plain, show_duration

NAMED = 12
"""So many services that are fine have a line each; more of them share one."""
SAME = ("top_errors", "new_errors", "last_error")
"""Evidence that says the same in different ways; the first that is there is enough."""
ADDRESSES = ("http://", "https://")
MOST_LINES = 2
"""So many lines a piece of evidence has at most."""
SYMPTOMS = 4
SERVICES = 6
EVIDENCE = 3
HOW_SEEN = frozenset({"look", "format", "value", "backlog"})
"""Evidence that is of no help where there is little room, or has a line of its own."""


def brief(seen: Glance, runbooks: Collection[str], width: int) -> Iterator[Text]:
    """
    Yield the lines, of at most *width* cells each; only an address is longer, so that it can be followed.

    *runbooks* are the alerts for which `watchdog runbook` has a page.
    """
    verdict = [Text(line, style=STYLES[seen.status]) for line in verdict_lines(seen, width)]
    yield from verdict
    shown: set[str] = set()
    for told in seen.told:
        yield Text("")
        yield from _alert(told, runbooks, shown, seen.at, width)
    if seen.unseen:
        yield Text("")
        yield from _unseen(seen.unseen, width)
    yield Text("")
    yield from _services(seen, width)
    if seen.told or seen.unseen:  # on a long output the end is what is left on the screen
        yield Text("")
        yield Text(cut(plain(seen.counts), width))
        yield from verdict


def verdict_lines(seen: Glance, width: int) -> list[str]:
    """Return in words whether it works, since when not, and why."""
    return wrapped(plain(f"{SIGNS[seen.status]} {seen.headline}"), width, GAP)


# ---- what is wrong -----------------------------------------------------------------------------


def _alert(told: Told, runbooks: Collection[str], shown: set[str], now: str, width: int) -> Iterator[Text]:
    """Yield an alert, what shows it and what to do; its symptoms are named under it, its evidence once."""
    alert = told.alert
    labels = alert["labels"]
    severity = labels["severity"]
    head = f"{SIGNS[severity]} {severity.upper()} {alert['summary']}"
    for line in wrapped(plain(head), width, GAP):
        yield Text(line, style=STYLES.get(severity, ""))
    lasted = age(alert["since"], now)
    standing = f"{labels['alertname']} of {labels['service']}, {alert['state']}"
    standing += "" if lasted == "0s" else f" for {lasted}"
    evidence = [line for line in telling(alert["evidence"]) if line not in shown]
    shown.update(evidence)
    name = labels["alertname"]
    facts = [
        ("alert", standing),
        *(("figure", figure) for figure in alert["figures"]),
        *(("evidence", line) for line in evidence),
        ("cause", alert["cause"] or ""),
        ("blocks", ", ".join(alert["affects"])),
        ("explains", "; ".join(symptoms(told))),
        ("look", str(alert["evidence"].get("look", ""))),
        ("next", f"watchdog runbook {name}" if name in runbooks else alert["runbook"]),
    ]
    if severity == "info":
        facts = facts[:1]
    before = ""
    for name, said in facts:
        if said:
            yield from _fact(name, "" if name == before else name, said, width)
            before = name


def _fact(name: str, title: str, said: str, width: int) -> Iterator[Text]:
    """Yield a fact behind its *name*; what is to be copied or followed stays whole."""
    title = f"  {title:<8}  "
    text = plain(" ".join(said.split()))
    if text.startswith(ADDRESSES):
        yield Text.assemble((title, "dim"), text)
        return
    lines = wrapped(text, width - len(title))
    if name == "evidence" and len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], cut(f"{lines[MOST_LINES - 1]} …", width - len(title))]
    for i, line in enumerate(lines):
        yield Text.assemble((title if i == 0 else " " * len(title), "dim"), line)


def telling(evidence: Mapping[str, Any]) -> list[str]:
    """Return the few pieces of evidence that say most, a line each."""
    same = [name for name in SAME if name in evidence][1:]
    told = {n: _first(found) for n, found in evidence.items() if n not in HOW_SEEN and n not in same}
    return evidence_lines(told)[:EVIDENCE]


def _first(found: Any) -> Any:
    """Return the first of several, and how many more there are: they are sorted by their weight."""
    if isinstance(found, list) and len(found) > 1:
        return f"{found[0]} (and {len(found) - 1} more)"
    return found


def symptoms(told: Told) -> Iterable[str]:
    """Yield the alerts that this one explains, in a few words each."""
    by_name: dict[str, list[str]] = {}
    for alert in told.symptoms:
        by_name.setdefault(alert["labels"]["alertname"], []).append(alert["labels"]["service"])
    for name, services in list(by_name.items())[:SYMPTOMS]:
        yield f"{name} of {listed(services)}"
    if len(by_name) > SYMPTOMS:
        yield f"{len(by_name) - SYMPTOMS} more kinds of alert"


def listed(names: Iterable[str]) -> str:
    """Return *names*, the first few of them if they are many."""
    return first_of(list(dict.fromkeys(names)), SERVICES)


def _unseen(found: Iterable[Unseen], width: int) -> Iterator[Text]:
    """Yield what could not be told, and why; that is no good news."""
    for one in found:
        many = f", {one.signals} signals" if one.signals > len(one.services) else ""
        text = f"? UNKNOWN {one.why} ({listed(one.services)}{many})"
        for line in wrapped(plain(text), width, GAP):
            yield Text(line, style=STYLES[Status.UNKNOWN])


# ---- services ----------------------------------------------------------------------------------


def _services(seen: Glance, width: int) -> Iterator[Text]:
    """Yield a line for every service; those of which there is nothing to tell share one if they are many."""
    unknown = [row for row in seen.rows if row.status is Status.UNKNOWN and not _tells(row)]
    fine = [row for row in seen.rows if row.status is Status.OK]
    folded = [rows for rows in (unknown, fine) if len(rows) > NAMED]
    hidden = {row.service for rows in folded for row in rows}
    shown = [row for row in seen.rows if row.service not in hidden]
    how = replace(layout(shown, width), why=0)  # the words stand above
    if shown:
        yield title_line(how)
    for row in shown:
        yield service_line(row, how)
    for rows in folded:
        status = rows[0].status
        words = f"{SIGNS[status]} {len(rows)} services are {status}{_within(rows)} (-v names them)"
        yield Text(cut(words, width), STYLES[status])


def _tells(row: Row) -> bool:
    """Say whether anything is known of a service."""
    return any(figure.number is not None for figure in row.figures.values())


def _within(rows: Iterable[Row]) -> str:
    """Say how long ago the last success of any of *rows* was, where that is known of all that have one."""
    ages = [row.figures["success"].number for row in rows if "success" in row.figures]
    known = [number for number in ages if number is not None]
    return f", each succeeded within {show_duration(round(max(known)))}" if known and known == ages else ""
