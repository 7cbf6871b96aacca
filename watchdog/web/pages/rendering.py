"""How a page is written: templates that escape everything, ages that count on, the headers of pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from markupsafe import Markup, escape
from starlette.responses import Response

from watchdog import __version__
from watchdog.later import later
from watchdog.notifiers.text import clip
from watchdog.threads import in_thread
from watchdog.units import plain, rfc3339, show_duration
from watchdog.web.pages.assets import address_of

if TYPE_CHECKING:
    from jinja2 import Environment

jinja2 = later("jinja2")
TEMPLATES = Path(__file__).parents[1] / "templates"
LONGEST = 600
"""So much of a text from outside is shown in one place."""
LONGEST_LINK = 2_000
SOON = 2
REFRESH = 10
"""After so many seconds a browser without script asks again; *soon* where nothing is known yet."""
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_AGE = re.compile(r'(<time [^>]*data-since="(\d+)"[^>]*>)(?=</time>)')


def harmless(found: object) -> object:
    """Return what a template is to print: texts without signs that steer, none of them endless."""
    if not isinstance(found, str) or isinstance(found, Markup):
        return found
    text = clip(found, LONGEST)
    return text if text.isprintable() else plain(text)


@lru_cache(maxsize=4_096)
def ago(moment: datetime) -> Markup:
    """Return the time since *moment*; the browser counts it on, `with_ages` writes it for all others."""
    second = int(moment.timestamp())
    return Markup('<time datetime="{}" data-since="{}" title="{}"></time>').format(
        rfc3339(moment.replace(microsecond=0)), second, at(moment)
    )


def with_ages(html: str, now: datetime) -> str:
    """Return *html* with all that `ago` left open filled in as of *now*."""
    second = int(now.timestamp())
    return _AGE.sub(lambda found: found[1] + show_duration(max(0, second - int(found[2]))), html)


@lru_cache(maxsize=4_096)
def at(moment: datetime) -> str:
    """Return *moment* as people read it, in UTC."""
    return f"{moment.astimezone(UTC):%b %-d %H:%M} UTC"


def lasting(duration: timedelta) -> str:
    """Return *duration* as people say it."""
    return show_duration(duration.total_seconds())


def link(text: object) -> Markup:
    """Return *text* if it is an address that one may follow; otherwise nothing."""
    try:
        parts = urlsplit(str(text))
    except ValueError:
        return Markup()
    fit = parts.scheme in ("http", "https") and parts.netloc and str(text).isprintable()
    return escape(text) if fit and len(str(text)) <= LONGEST_LINK else Markup()


def address(name: str) -> Markup:
    """Return *name* as a part of an address, or of an element's id; never cut, for it must lead there."""
    return escape(quote(name, safe=""))


@cache
def environment() -> Environment:
    """Return where templates live."""
    found: Environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=harmless,
    )
    found.filters |= {"ago": ago, "at": at, "lasting": lasting, "link": link, "address": address}
    found.globals |= {"static": address_of, "version": __version__}
    return found


async def templates_read() -> None:
    """Return once all templates are read; for what that takes (5 MB, 0.2 s) it waits for a first page."""
    if not _read_all.cache_info().currsize:
        await in_thread(_read_all)


@cache
def _read_all() -> None:
    for name in environment().list_templates():
        environment().get_template(name)


def render(template: str, context: Mapping[str, Any]) -> str:
    """Return *template* with what *context* has."""
    return environment().get_template(template).render(context)


def page(html: str, now: datetime, status: int = 200) -> Response:
    """Return *html* as the answer to a browser."""
    body = with_ages(html, now).encode("utf-8", "replace")
    headers = {"content-security-policy": POLICY}
    return Response(body, status, headers, "text/html; charset=utf-8")
