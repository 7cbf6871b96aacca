"""The runbooks as pages: what an alert means and what to do, and which alerts it is about just now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from watchdog.builtin import RUNBOOKS
from watchdog.conditions import suggest
from watchdog.config import Config
from watchdog.later import later
from watchdog.notifications import Notice
from watchdog.report import OF_SEVERITY, Status, worst
from watchdog.rules import Severity
from watchdog.runbooks import INDEX, places, read_index, read_runbook, runbook_names
from watchdog.sidecar import Sidecar
from watchdog.threads import in_thread
from watchdog.web.pages.rendering import page, render

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

markdown_it = later("markdown_it")
PAGES = "/runbooks/"


@dataclass(frozen=True, slots=True)
class Open:
    """An alert that is open: whose, and the lines for a shell that name its places."""

    name: str
    service: str
    severity: str
    state: str
    summary: str
    fingerprint: str
    lines: tuple[str, ...]


def open_alerts(sidecar: Sidecar, name: str, fingerprint: str = "") -> tuple[Open, ...]:
    """Return the open alerts of *name* (empty: of any); only that with *fingerprint*, if it is one."""
    latest = sidecar.latest
    notices = latest.notices if latest else ()
    mine = [n for n in notices if not n.resolved and name in ("", n.alert.name)]
    asked = [n for n in mine if n.alert.labels.fingerprint == fingerprint]
    return tuple(_open(notice, sidecar.config) for notice in asked or mine)


def nearby(config: Config, service: str) -> Mapping[str, str]:
    """Return the places that an alert's labels lack: the unit of *service*, and what it is offered."""
    found: dict[str, str] = {}
    for spec in config.signals:
        if spec.key.service == service:
            unit, offers = spec.key.labels.get("unit", ".timer"), getattr(spec.config, "input", None)
            found |= {} if unit.endswith(".timer") else {"unit": unit}
            found |= {} if offers is None else {"input": offers.stream}
    return found


def _open(notice: Notice, config: Config) -> Open:
    alert = notice.alert
    known = places({**nearby(config, alert.service), **alert.labels})
    lines = (f"export WATCHDOG_URL={config.link}", *known)
    mark = alert.labels.fingerprint
    return Open(alert.name, alert.service, str(alert.severity), str(alert.state), alert.summary, mark, lines)


@cache
def written(name: str) -> Markup:
    """Return the runbook called *name*, or the index, as HTML."""
    text = read_index() if name == INDEX else read_runbook(name)
    assert text is not None, "only those that are there are asked for"
    return to_html(text)


@cache
def _written() -> MarkdownIt:
    """Return what reads Markdown."""
    found: MarkdownIt = markdown_it.MarkdownIt("commonmark", {"html": False}).enable("table")
    return found


def to_html(text: str) -> Markup:
    """Return Markdown as HTML in which there is no tag but Markdown's own."""
    written = _written()
    tokens = written.parse(text)
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            before.attrSet("id", token.content.lower().replace(" ", "-"))
        for each in token.children or ():
            if each.type == "link_open":
                _lead(each)
    html = written.renderer.render(tokens, written.options, {})
    return Markup(html)  # noqa: S704  every tag of the text is escaped


def _lead(link: Token) -> None:
    """Have *link*, which leads to a file, lead to where the file is shown."""
    place, _, anchor = str(link.attrGet("href")).partition("#")
    stem = place.removesuffix(".md")
    if stem in (*runbook_names(), INDEX, ""):
        own = "" if stem == INDEX else stem
        link.attrSet("href", (PAGES + own if stem else "") + (f"#{anchor}" if anchor else ""))
    else:
        link.attrSet("href", urljoin(f"{RUNBOOKS}/", place) + (f"#{anchor}" if anchor else ""))
        link.attrSet("rel", "noreferrer")


def runbook_routes(sidecar: Sidecar) -> list[Route]:
    """Return the routes of the runbooks and their index."""

    async def index(request: Request) -> Response:
        await in_thread(_written)
        return _answer(request, sidecar, INDEX, open_alerts(sidecar, ""))

    async def runbook(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in runbook_names():
            return _missing(sidecar, name)
        await in_thread(_written)
        found = open_alerts(sidecar, name, request.query_params.get("alert", ""))
        return _answer(request, sidecar, name, found)

    return [Route(PAGES, index), Route(PAGES + "{name}", runbook)]


def _answer(request: Request, sidecar: Sidecar, name: str, found: tuple[Open, ...]) -> Response:
    accepted = request.headers.get("accept", "")
    if "text/plain" in accepted and "text/html" not in accepted:
        return PlainTextResponse(read_index() if name == INDEX else read_runbook(name))
    context = {**_frame(sidecar), "name": name, "html": written(name), "open": found, "index": name == INDEX}
    if found:
        context["status"] = worst(OF_SEVERITY[Severity(each.severity)] for each in found)
    return page(render("runbook.html", context), sidecar.clock())


def _missing(sidecar: Sidecar, name: str) -> Response:
    cure = suggest(name, runbook_names())
    near = cure.startswith("did you mean")
    hint = cure.replace("did", "Did", 1) if near else "The index has all there are."
    text = Markup("<h1>There is no runbook “{}”</h1>\n<p>{}</p>").format(name, hint)
    context = {**_frame(sidecar), "name": name, "html": text, "open": (), "index": False}
    return page(render("runbook.html", context), sidecar.clock(), 404)


def _frame(sidecar: Sidecar) -> dict[str, object]:
    """Return what the frame of a page asks for; the text of a runbook does not grow old."""
    latest = sidecar.latest
    return {
        "status": latest.status if latest else Status.UNKNOWN,
        "live": None,
        "seen": "",
        "refresh": 0,
        "now": latest.at if latest else sidecar.clock(),
        "stale": False,
        "fresh": sidecar.fitness.fresh(sidecar.clock()),
    }
