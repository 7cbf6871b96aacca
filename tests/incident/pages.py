"""docs/incidents.md: each of its parts is made anew by who measured it, and stands between two marks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import median

from tests.incident.trial import Outcome
from watchdog.demo.faults.fault import LEEWAY, Alarm, Fault
from watchdog.units import show_duration

ORDER = "WGSHLUCX"
Row = tuple[Fault, Outcome, Mapping[Alarm, str] | None]
KINDS = {
    "W": "The process is up, the work is dead",
    "G": "A gate refuses everything",
    "S": "The streams themselves",
    "H": "Heartbeats",
    "L": "Logs",
    "U": "Units, timers, deploys",
    "C": "Settings",
    "X": "Everything else, and the monitoring itself",
}


def put(page: Path, name: str, text: str) -> None:
    """Replace what stands between the marks of part *name* in *page* by *text*."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    whole = page.read_text(encoding="utf-8")
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    assert len(marked.findall(whole)) == 1, f"{page} has no part {name}"
    page.write_text(marked.sub(lambda _: f"{begin}\n{text.strip()}\n\n{end}", whole), encoding="utf-8")


def library_page(rows: Sequence[Row]) -> str:
    """Return the library's figures and its table."""
    rows = sorted(rows, key=lambda row: (ORDER.index(row[0].id[0]), row[0].id))
    return "\n\n".join([_figures(rows), *(_table(kind, rows) for kind in ORDER)])


def _figures(rows: Sequence[Row]) -> str:
    named = [row for row in rows if row[0].expected or row[0].found_by]
    silent = [row for row in rows if row not in named]
    detected = [row for row in named if not row[1].missing and not row[1].trouble]
    intime = [row for row in detected if not row[1].late]
    times = sorted(after for row in intime if (after := _told(row)) is not None)
    at_once = [after for row in intime if not row[0].window and (after := _told(row)) is not None]
    wrong = sum(len(outcome.wrong) for _, outcome, _ in rows)
    twins = [twin for _, _, twin in rows if twin is not None]
    lines = [
        f"**{len(detected)} of {len(named)} named, {len(intime)} of them in time; {len(silent)} rows that must not"
        f" alert, {sum(row[1].ok for row in silent)} silent.** {len(rows)} rows in all, {wrong} alerts that should"
        f" not have come, {sum(map(bool, twins))} of {len(twins)} healthy twins that said anything.",
    ]
    if times:
        lines.append(
            f"Told after: median {_seconds(median(times))}, worst {_seconds(times[-1])}; what is visible at once"
            f" ({len(at_once)} rows): median {_seconds(median(at_once))}, worst {_seconds(max(at_once))}."
            if at_once
            else f"Told after: median {_seconds(median(times))}, worst {_seconds(times[-1])}."
        )
    return "\n\n".join(lines)


def _table(kind: str, rows: Sequence[Row]) -> str:
    lines = [
        f"### {kind}: {KINDS[kind]}\n",
        "| id | what broke | named by | told after | at most | said as well | healthy twin |",
        "| --- | --- | --- | ---: | ---: | --- | --- |",
    ]
    lines += [_line(*row) for row in rows if row[0].id.startswith(kind)]
    notes = [f"- **{fault.id}**: {fault.note}" for fault, *_ in rows if fault.id[0] == kind and fault.note]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def _line(fault: Fault, outcome: Outcome, twin: Mapping[Alarm, str] | None) -> str:
    after = _told((fault, outcome, twin))
    named = [f"{name} of {service}" for name, service in fault.expected[:1]]
    named += [f"`{outcome.found}`"] if outcome.found else []
    named += [] if fault.expected or fault.found_by else ["nothing, rightly"]
    also = [
        f"{name} of {service}" for name, service in outcome.said if (name, service) not in fault.expected[:1]
    ]
    wrong = [f"**{name} of {service}**" for name, service in outcome.wrong]
    state = "**not named**" if outcome.missing else "**late**" if outcome.late else ""
    cells = [
        fault.id,
        fault.title,
        ", ".join(named) or "–",
        state or ("–" if after is None else _seconds(after)),
        show_duration((fault.window + LEEWAY).total_seconds()) if fault.expected else "–",
        ", ".join(a for a in also if f"**{a}**" not in wrong)
        + ("; wrong: " + ", ".join(wrong) if wrong else ""),
        "–"
        if twin is None
        else (f"silent: {fault.twin_title}" if not twin else f"**{', '.join(n for n, _ in twin)}**"),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _told(row: Row) -> float | None:
    """Return when the alert that names it was told, in seconds after the break."""
    fault, outcome, _ = row
    said = [outcome.said[alarm] for alarm in fault.expected[:1] if alarm in outcome.said]
    return said[0].told if said else None


def _seconds(number: float) -> str:
    return (
        f"{number:.1f} s" if number < 60 else show_duration(timedelta(seconds=round(number)).total_seconds())
    )
