"""The live view of `watchdog top`, line by line: what is known, in a width and a height."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from shlex import quote as quoted
from typing import NamedTuple
from urllib.parse import quote

from rich.text import Text

from watchdog.brief import listed, symptoms
from watchdog.browsing import HELP, View, of_alert, of_row, shown_alerts, shown_rows
from watchdog.columns import GAP, SIGNS, STYLES, cut, layout, padded, service_line, title_line, wrapped
from watchdog.gauges import Body, shown_values, signal_name
from watchdog.glance import Glance, Told, age
from watchdog.listings import alert_story
from watchdog.report import Status
from watchdog.units import plain

STALE = f"reverse {STYLES[Status.UNKNOWN]}"
MOST_VERDICT = 3
MOST_UNSEEN = 3
MOST_EVENTS = 5
HELP_LINES = """\
  j k  arrows        up and down          PgUp PgDn g G   a page, the ends
  enter or e         all that is known of the alert or service; Esc back
  /                  only what has these words (name, status, summary); Esc all
  s                  order services by status, success, lag, errors, name
  q  Ctrl-C          quit

  SUCCESS  since the last success      LAG   entries nobody has read yet
  IN/m     a minute: offered or read   PEND  read and not acknowledged
  OUT/m    a minute: succeeded, added  BEAT  since the last heartbeat
  ERR      share of errors in the log

  -  there is no such figure     ?  it is unknown, which is never healthy
  >  at least so much
  ✖ critical   ? unknown   ▲ warning   ✔ ok   i info
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """
    What is known: the last answers, and what is wrong with them.

    *stale* says why they are not of now, in words; empty while they are. *link* leads to the sidecar.
    """

    seen: Glance | None = None
    services: Mapping[str, Body] | None = None
    silences: int = 0
    events: Sequence[Body] = ()
    stale: str = ""
    link: str = ""


class Pane(NamedTuple):
    """Lines of which a part is shown, so that the one *at* is among them."""

    lines: Sequence[Text]
    at: int | None

    def window(self, height: int) -> list[Text]:
        """Return *height* lines at most; the first and last say how many are left out."""
        lines = list(self.lines)
        if len(lines) <= height:
            return lines
        first = min(max((self.at or 0) - height // 2, 0), len(lines) - height)
        part, above, below = lines[first : first + height], first, len(lines) - first - height
        if above and height > 2:
            part[0] = Text(f"  … {above + 1} more above", style="dim")
        if below and height > 1:
            part[-1] = Text(f"  … {below + 1} more", style="dim")
        return part


def screen(picture: Picture, view: View, width: int, height: int) -> list[Text]:
    """Return exactly *height* lines of at most *width* cells."""
    head = list(_head(picture, width))[: max(1, height - 2)]
    room = max(0, height - len(head) - 1)
    if view.opened == HELP:
        body = [Text(cut(line, width)) for line in HELP_LINES.splitlines()][:room]
    elif picture.seen is None:
        body = []
    elif view.opened:
        body = _scrolled(list(_opened(picture, view, width)), view.scrolled, room)
    else:
        body = _overview(picture.seen, view, width, room)
    if picture.stale:
        body = [Text(line.plain, style="dim") for line in body]
    return [*padded([*head, *body], height - 1), _foot(view, width)][:height]


def _head(picture: Picture, width: int) -> Iterator[Text]:
    """Yield whether it works, since when not and why; then how many stand how."""
    seen = picture.seen
    if seen is None or picture.stale:
        text = f"{SIGNS[Status.UNKNOWN]} UNKNOWN: {picture.stale or 'asking the sidecar …'}"
        yield from _bar(text, STALE, width)
    else:
        yield from _bar(f"{SIGNS[seen.status]} {seen.headline}", f"reverse {STYLES[seen.status]}", width)
    if seen is not None:
        parts = [f"{seen.at[11:19]}Z", seen.counts]
        parts += (
            [f"{picture.silences} silence{'s' if picture.silences > 1 else ''}"] if picture.silences else []
        )
        parts += [f"{len(seen.ended)} ended lately"] if seen.ended else []
        yield Text(cut(plain("  ".join(parts)), width), style="dim" if picture.stale else "")


def _bar(text: str, style: str, width: int) -> Iterator[Text]:
    lines = wrapped(plain(text), width, GAP)
    if len(lines) > MOST_VERDICT:
        lines = [*lines[: MOST_VERDICT - 1], cut(f"{lines[MOST_VERDICT - 1]} …", width)]
    for line in lines:
        yield Text(line.ljust(width), style=style)


# ---- alerts over services ----------------------------------------------------------------------


def _overview(seen: Glance, view: View, width: int, room: int) -> list[Text]:
    """Return alerts and what is unknown over the services; neither may push the other off the screen."""
    alerts, unseen, services = _alerts(seen, view, width), _unknown(seen, width), _services(seen, view, width)
    title, rows = services.lines[0], Pane(services.lines[1:], services.at)
    upper = len(alerts.lines) + len(unseen)
    least = min(len(rows.lines) + 1, room // 2)
    above = min(upper, room - least)
    told = alerts.window(max(min(len(alerts.lines), above - len(unseen)), above // 2))
    unseen = unseen[: max(0, above - len(told))]
    return [*told, *unseen, *[title, *rows.window(room - len(told) - len(unseen) - 1)][:room]]


def _alerts(seen: Glance, view: View, width: int) -> Pane:
    lines: list[Text] = []
    at = None
    for told in shown_alerts(seen, view):
        is_picked = of_alert(told) == view.picked
        at = len(lines) if is_picked else at
        lines.append(_marked(_alert(told, seen.at, width), is_picked, width))
        if told.symptoms:
            lines.append(Text(cut(plain(f"  └ explains {'; '.join(symptoms(told))}"), width), style="dim"))
    return Pane(lines, at)


def _alert(told: Told, now: str, width: int) -> Text:
    alert = told.alert
    severity = alert["labels"]["severity"]
    marks = [alert["state"]] if alert["state"] != "firing" else []
    marks += ["acknowledged"] if alert.get("acknowledged") else []
    marks += ["silenced"] if alert.get("silenced_by") else []
    marks += ["flapping"] if alert.get("flapping") else []
    said = f"[{', '.join(marks)}] {alert['summary']}" if marks else alert["summary"]
    head = f"{SIGNS.get(severity, 'i')} {age(alert['since'], now):<7} "
    return Text(cut(plain(head + said), width), style=STYLES.get(severity, ""))


def _unknown(seen: Glance, width: int) -> list[Text]:
    """Return what could not be told, and why."""
    lines = []
    for one in seen.unseen[:MOST_UNSEEN]:
        text = f"{SIGNS[Status.UNKNOWN]} unknown {one.why} ({listed(one.services)})"
        lines.append(Text(cut(plain(text), width), style=STYLES[Status.UNKNOWN]))
    rest = len(seen.unseen) - MOST_UNSEEN
    return [*lines, Text(f"  … {rest} more that is unknown", style="dim")] if rest > 0 else lines


def _services(seen: Glance, view: View, width: int) -> Pane:
    """Return the titles and a line a service."""
    rows = shown_rows(seen, view)
    how = layout(seen.rows, width)  # of all, so that no filter moves the columns
    picked = next((i for i, row in enumerate(rows) if of_row(row) == view.picked), None)
    lines = [_marked(service_line(row, how), i == picked, width) for i, row in enumerate(rows)]
    return Pane([title_line(how), *lines], picked)


def _marked(line: Text, is_picked: bool, width: int) -> Text:
    """Return *line* as the one that is picked, if it is."""
    if is_picked:
        line.pad_right(max(0, width - line.cell_len))
        line.stylize("reverse")
    return line


# ---- one thing, and the foot -------------------------------------------------------------------


def _opened(picture: Picture, view: View, width: int) -> Iterator[Text]:
    """Yield all that is known of what is opened."""
    kind, _, name = view.opened.partition(":")
    told = _alert_lines(picture, name) if kind == "alert" else _service_lines(picture, name)
    for line in told:
        for part in wrapped(plain(line), width, 4):
            yield Text(part)


def _alert_lines(picture: Picture, mark: str) -> Iterator[str]:
    seen = picture.seen
    assert seen is not None
    known = (alert for told in seen.told for alert in (told.alert, *told.symptoms))
    alert = next((a for a in (*known, *seen.ended) if a["fingerprint"] == mark), None)
    if alert is None:
        yield "this alert is over, and no longer remembered"
        return
    yield from alert_story(alert, (), seen.at).split("\n")
    name, service = alert["labels"]["alertname"], alert["labels"]["service"]
    meant = f"alertname={quoted(name)} service={quoted(service)}"
    yield ""
    yield f"  watchdog explain {quoted(name)} --service {quoted(service)}"
    yield f"  watchdog ack {quoted(name)} --service {quoted(service)} --comment WHY"
    yield f"  watchdog silence {meant} --for 2h --comment WHY"
    yield f"  watchdog runbook {quoted(name)}"
    if picture.link:
        yield f"  {picture.link}/services/{quote(service, safe='')}#alert-{mark}"


def _service_lines(picture: Picture, name: str) -> Iterator[str]:
    seen, services = picture.seen, picture.services or {}
    row = seen.row(name) if seen else None
    if seen is None or row is None or name not in services:
        yield "this service is no longer watched"
        return
    yield f"{SIGNS[row.status]} {name}: {row.status}"
    for told in seen.told:
        for alert in (told.alert, *told.symptoms):
            if alert["labels"]["service"] == name:
                cause = f" (cause: {alert['cause']})" if alert["cause"] else ""
                yield f"  {alert['labels']['severity'].upper()} {alert['summary']}{cause}"
    for signal in services[name]["signals"]:
        yield f"{SIGNS[signal['status']]} {signal_name(signal)}"
        yield f"    {shown_values(signal)}"
        if look := signal.get("evidence", {}).get("look"):
            yield f"    look: {look}"
    for event in [one for one in picture.events if one["service"] == name][:MOST_EVENTS]:
        yield f"{age(event['at'], seen.at)} ago  {event['what']}: {event['text']}"
    if picture.link:
        yield f"  {picture.link}/services/{quote(name, safe='')}"


def _scrolled(lines: list[Text], scrolled: int, room: int) -> list[Text]:
    first = min(scrolled, max(0, len(lines) - room))
    part = lines[first : first + room]
    if first + room < len(lines) and room > 1:
        part[-1] = Text(f"  … {len(lines) - first - room + 1} more lines", style="dim")
    return part


def _foot(view: View, width: int) -> Text:
    if view.typing:
        return Text(cut(f"/{plain(view.wanted)}_  enter: keep  esc: drop", width), style="reverse")
    if view.opened:
        keys = "j/k scroll  esc back  q quit"
    else:
        filtered = f"/{plain(view.wanted)} (esc: all)" if view.wanted else "/ filter"
        keys = f"j/k move  enter detail  {filtered}  s sort: {view.sort}  ? help  q quit"
    return Text(cut(keys, width), style="dim")
