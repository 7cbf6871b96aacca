"""The status page as a browser gets it: what stands on it, in which order, and that nothing on it is ours by mistake."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.drawn import T0, ids, rows
from tests.web.conftest import Ask, Desk, Hands, asking
from watchdog.config import parse
from watchdog.model import AtLeast, Held, Labels, Reading, SignalKey, Since
from watchdog.muting import Silence, parse_matcher
from watchdog.report import SignalReport, Status
from watchdog.sidecar import Sidecar
from watchdog.trends import Line
from watchdog.units import show_duration
from watchdog.web.pages.assets import assets
from watchdog.web.pages.cards import figures_of, rate_of
from watchdog.web.pages.rendering import POLICY, TEMPLATES, ago, link, with_ages

STATIC = TEMPLATES.parent / "static"
HTML = {"accept": "text/html"}
VOID = {"meta", "link", "input", "br", "hr", "img"}


@dataclass
class Page(HTMLParser):
    """What a browser would make of a page."""

    text: list[str] = field(default_factory=list)
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    by_id: dict[str, dict[str, str | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin."""
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        found = dict(attrs)
        assert len(found) == len(attrs), f"{tag} has an attribute twice"
        self.tags.append((tag, found))
        if (id_ := found.get("id")) is not None:
            assert id_ not in self.by_id, f"{id_} is there twice"
            self.by_id[id_] = found
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element without content."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Leave an element: the one that was entered last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text.append(data)

    @property
    def words(self) -> str:
        """Return all text, spaces as one sees them."""
        return " ".join("".join(self.text).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every *tag*."""
        return [found for name, found in self.tags if name == tag]


def read(html: str) -> Page:
    """Return *html* as a browser reads it; every element must be closed."""
    page = Page()
    page.feed(html)
    page.close()
    assert page.open == []
    return page


async def seen(ask: Ask, path: str = "/") -> Page:
    """Return a page."""
    answer = await ask("GET", path, headers=HTML)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return read(answer.text)


# ---- what stands on it -------------------------------------------------------------------------


async def test_before_the_first_look_the_page_says_so_and_asks_again(ask: Ask) -> None:
    """Nothing is known yet, which is not health."""
    page = await seen(ask)
    assert "Nothing is known yet" in page.words
    assert page.by_id["icon"]["href"] == assets()["unknown.svg"].address
    assert {"http-equiv": "refresh", "content": "2"} in page.all("meta")


async def test_a_broken_pipeline_is_told_in_one_sentence_with_its_cause(desk: Desk, ask: Ask) -> None:
    """Then what it blocks, the alert, what to do, and the symptom folded under its cause."""
    desk.log("worker", "begins")
    await desk.tick()
    desk.log("shop", "begins")
    await desk.tick(360)
    page = await seen(ask)
    headline = page.by_id["headline"]
    assert (headline["data-status"], headline["data-title"]) == ("critical", "Not working: worker")
    rest = page.words
    for words in (
        "Not working:",
        "Cause: worker",
        "blocks shop",
        "Alerts 3 critical",
        "Quiet of worker",
        "watchdog ack Quiet --service worker",
        "Services all",
    ):
        assert words in rest
        rest = rest.partition(words)[2]
    assert "1 alert that follows from it Quiet of shop" in page.words
    assert page.by_id["icon"]["href"] == assets()["critical.svg"].address
    assert {"aria-live": "polite"}.items() <= page.by_id["spoken"].items()


async def test_a_pipeline_that_works_says_since_when(desk: Desk, ask: Ask) -> None:
    """As long as nobody has seen it otherwise that is since the watchdog looks."""
    await quiet_and_fine(desk)
    page = await seen(ask)
    assert page.by_id["headline"]["data-status"] == "ok"
    assert (
        "Working: all 2 services are as they should be since the watchdog began to look, Feb 19 01:00 UTC"
        in page.words
    )
    assert "Alerts none" in page.words


async def quiet_and_fine(desk: Desk) -> None:
    """Have both services log, so that nothing is wrong; Redis is not there, and nobody needs it."""
    for _ in range(2):
        desk.log("worker", "works")
        desk.log("shop", "works")
        await desk.tick()
    latest = desk.sidecar.latest
    assert latest is not None
    fine = dict.fromkeys(latest.services, Status.OK)
    desk.sidecar.latest = replace(latest, status=Status.OK, notices=(), services=fine)
    desk.sidecar.alerts = {}


async def test_what_is_unknown_is_said_with_the_reason(desk: Desk, ask: Ask) -> None:
    """And it makes nothing healthy."""
    (desk.directory / "worker.log").unlink()
    await desk.tick()
    page = await seen(ask)
    section = page.words.partition("What is unknown, and why")[2].partition("Services")[0]
    assert "worker.log" in section
    assert page.by_id["service-worker"]["data-status"] != "ok"


async def test_a_watchdog_that_stopped_looking_knows_nothing(desk: Desk, ask: Ask) -> None:
    """Whatever it last saw: the whole page turns to unknown, and says when the last look was."""
    await quiet_and_fine(desk)
    desk.clock.time += timedelta(minutes=3)
    page = await seen(ask)
    assert "Unknown: the watchdog itself has stopped looking" in page.words
    assert "last look Feb 19 01:00 UTC, 3m ago" in page.words
    assert page.all("html")[0]["class"] == "stale"
    assert page.by_id["icon"]["href"] == assets()["unknown.svg"].address


async def test_silences_stand_with_author_reason_and_end(desk: Desk, ask: Ask) -> None:
    """And with what they are for; one that has ended is gone."""
    await desk.tick()
    until, matchers = desk.clock.time + timedelta(hours=2), (parse_matcher("service=shop"),)
    for id_, ends in (("one", until), ("gone", desk.clock.time)):
        desk.sidecar.silence(Silence(id_, matchers, T0, ends, "zoë", f"moving it {id_}"))
    await desk.tick()
    page = await seen(ask)
    assert 'service="shop" moving it one · zoë · until Feb 19 03:00 UTC' in page.words
    assert "moving it gone" not in page.words


FILTERS = """
  query            | shown
  ?status=critical | shop worker
  ?status=ok       | -
  ?a=b             | shop worker
"""


@pytest.mark.parametrize(("query", "shown"), rows(FILTERS), ids=ids(FILTERS))
async def test_services_are_sifted_without_script(desk: Desk, ask: Ask, query: str, shown: str) -> None:
    """By a link, by how they stand."""
    desk.log("worker", "begins")
    await desk.tick(400)
    page = await seen(ask, f"/{query}")
    names = sorted(str(found["data-name"]) for _, found in page.tags if "data-name" in found)
    assert (" ".join(names) or "-") == shown


async def test_a_status_that_is_none_is_refused(desk: Desk, ask: Ask) -> None:
    """A filter with a typing error would show the wrong thing without a word."""
    await desk.tick()
    answer = await ask("GET", "/?status=criticl")
    assert (answer.status_code, answer.json()) == (
        422,
        {"error": "status: there are critical, unknown, warning, ok"},
    )


async def test_many_services_are_folded_and_the_worst_come_first(tmp_path: Path) -> None:
    """Those that are not as they should be have cards, up to a bound; every one is on the page once."""
    names = [f"s{n:03}" for n in range(100)]
    async with crowd(tmp_path, names) as (desk, ask):
        latest = desk.sidecar.latest
        assert latest is not None
        standing = {name: Status.CRITICAL if n % 3 == 2 else Status.OK for n, name in enumerate(names)}
        desk.sidecar.latest = replace(latest, services=standing)
        page = await seen(ask)
    shown = [(tag, str(found["data-name"])) for tag, found in page.tags if "data-name" in found]
    assert sorted(name for _, name in shown) == names
    assert [name for tag, name in shown if tag == "article"] == names[2::3][:24]
    assert [name for tag, name in shown if tag == "tr"] == names[2::3][24:] + [
        n for n in names if n not in names[2::3]
    ]
    assert "open" not in page.by_id["rows-fold"]


@asynccontextmanager
async def crowd(tmp_path: Path, names: list[str]) -> AsyncIterator[tuple[Desk, Ask]]:
    """A sidecar with many services, and whoever may ask it."""
    (tmp_path / "a.log").touch()
    services = {name: {"log": {"path": str(tmp_path / "a.log")}} for name in names}
    rules = {"redis": {"url": "redis://127.0.0.1:1", "timeout": "500ms"}, "every": "1s", "services": services}
    clock = Hands()
    desk = Desk(Sidecar(parse(json.dumps(rules)), clock.now), clock, tmp_path)
    await desk.tick()
    async with asking(desk.sidecar) as ask:
        yield desk, ask
    await desk.sidecar.stop()


# ---- nothing is ours by mistake ----------------------------------------------------------------

HOSTILE = {
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "quotes": '"\' onmouseover="alert(1)" x=\'',
    "template": "{{ 7*7 }}{% raw %}",
    "comment": "--><!-- ]]> </textarea></title>",
    "mrkdwn": "<!channel> *bold* <https://evil.example|click>",
    "steering": "\x1b[2J\x1b]0;owned\x07\u202egnp\u2066\u200f",
    "endless": "very " * 2_000,
    "spaces": "a b\tc\nd",
    "slashes": "../../etc/passwd?x#y&z=1;",
    "javascript": "javascript:alert(1)",
    "emoji": "Zoë 🧨 мир",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_text_from_outside_stays_text(desk: Desk, ask: Ask, text: str) -> None:
    """In names, summaries, figures, evidence, comments and runbooks: no element, no attribute, no sign that steers."""
    desk.log("worker", "breaks", "ERROR")
    await desk.tick(400)
    plain_page = read((await ask("GET", "/")).text)
    latest = desk.sidecar.latest
    assert latest is not None
    desk.sidecar.silence(
        Silence("one", (parse_matcher(f'service="{text}"'),), T0, T0 + timedelta(days=1), text, text)
    )
    notices = tuple(
        replace(
            notice,
            alert=replace(
                notice.alert, summary=text, figures=(text,), evidence={text: [text]}, runbook=text, ended=text
            ),
            affects=(text,),
        )
        for notice in latest.notices
    )
    services = {**latest.services, text: Status.CRITICAL}
    desk.sidecar.latest = replace(latest, notices=notices, services=services)
    answer = await ask("GET", "/", headers=HTML)
    page = read(answer.text)
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain_page.tags} | {
        "article",
        "dl",
        "ul",
        "li",
    }
    assert not [name for _, found in page.tags for name in found if name.startswith("on") or name == "style"]
    assert all(sign.isprintable() or sign == "\n" for sign in answer.text)
    assert len(answer.text) < 200_000
    assert f"/services/{quote(text, safe='')}" in [found.get("href") for found in page.all("a")]
    followed = {str(found.get("href")) for found in page.all("a")}
    assert all(target.startswith(("/", "#", "https://github.com/")) for target in followed)


LINKS = """
  text                             | link
  https://wiki.example/runbooks#x  | yes
  http://10.0.0.1:8080/a?b=c       | yes
  javascript:alert(1)              | no
  JavaScript:alert(1)              | no
  data:text/html,x                 | no
  //evil.example/x                 | no
  /runbooks/x                      | no
  https:///nowhere                 | no
  https://[::1                     | no
  see the wiki                     | no
  -                                | no
"""


@pytest.mark.parametrize(("text", "answer"), rows(LINKS), ids=ids(LINKS))
def test_only_addresses_of_the_web_are_followed(text: str, answer: str) -> None:
    """Whatever a rule has for a runbook."""
    assert ("yes" if link(text) else "no") == answer


TEMPLATE_FILES = sorted(TEMPLATES.glob("*.html"))


@pytest.mark.parametrize("path", TEMPLATE_FILES, ids=lambda path: path.stem)
def test_no_template_needs_more_than_the_policy_allows(path: Path) -> None:
    """No style or script within, no handler, nothing from elsewhere, nothing that switches escaping off for a text."""
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"""\sstyle\s*=|<style|\son\w+\s*=|https?:|src\s*=\s*["']//|javascript:""", text)
    assert not re.findall(r"<script(?![^>]*\ssrc=)", text)
    for written in re.findall(r"(\S+)\s*\|\s*safe\b", text):  # a part is a template's own work
        assert re.fullmatch(r'parts\[(id|"[\w-]+")\]|"[^"]*"', written), written
    assert "autoescape" not in text


def test_the_script_and_the_style_ask_nobody_else() -> None:
    """No address but our own, no code from text."""
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.findall(r"https?:|//[a-z]+\.|@import|url\(|\beval\b|new Function", text), path.name


async def test_every_page_has_the_strict_policy(desk: Desk, ask: Ask) -> None:
    """And is never kept."""
    before = await ask("GET", "/", headers=HTML)
    await desk.tick()
    for answer in (
        before,
        await ask("GET", "/", headers=HTML),
        await ask("GET", "/services/worker", headers=HTML),
    ):
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["cache-control"] == "no-store"
        scripts = read(answer.text).all("script")
        assert [found.get("src") for found in scripts] == [assets()["watchdog.js"].address]


# ---- text, files, heads ------------------------------------------------------------------------

ACCEPTS = """
  accept                                | type
  */*                                   | text/html
  text/html,application/xhtml+xml;q=0.9 | text/html
  text/plain                            | text/plain
  text/plain, */*;q=0.1                 | text/plain
  text/html, text/plain;q=0.5           | text/html
"""


@pytest.mark.parametrize(("accept", "type_"), rows(ACCEPTS), ids=ids(ACCEPTS))
async def test_who_asks_for_text_gets_text(desk: Desk, ask: Ask, accept: str, type_: str) -> None:
    """`curl -H 'Accept: text/plain'` for a terminal, a page for everybody else."""
    await desk.tick()
    answer = await ask("GET", "/", headers={"accept": accept})
    assert answer.headers["content-type"] == f"{type_}; charset=utf-8"
    assert answer.headers["vary"] == "accept"
    head = await ask("HEAD", "/", headers={"accept": accept})
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("name", sorted(assets()))
async def test_a_file_is_kept_for_good_under_the_address_of_its_content(ask: Ask, name: str) -> None:
    """Who has it is told that it is the same; another content has another address."""
    asset = assets()[name]
    answer = await ask("GET", asset.address)
    assert (answer.status_code, answer.headers["content-type"]) == (200, asset.type)
    assert "immutable" in answer.headers["cache-control"]
    again = await ask("GET", asset.address, headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (await ask("GET", f"/static/{name}")).status_code == 404
    assert (await ask("HEAD", asset.address)).content == b""


AGES = """
  seconds | shown
  -5      | 0s
  0       | 0s
  59.9    | 59s
  61      | 1m 1s
  3600    | 1h
  7500    | 2h 5m
  932400  | 10d 19h
"""


@pytest.mark.parametrize(("seconds", "shown"), rows(AGES), ids=ids(AGES))
def test_ages_are_filled_in_as_everywhere(seconds: str, shown: str) -> None:
    """What is sent to open pages has none: the browser counts, and nothing is sent for the passing of time."""
    written = str(ago(T0))
    assert written.endswith('"></time>')
    assert with_ages(written, T0 + timedelta(seconds=float(seconds))).endswith(f">{shown}</time>")
    assert show_duration(max(0, int(float(seconds)))) == shown


# ---- the figures of a service ------------------------------------------------------------------

NOW = T0.timestamp()
FIGURES = """
  kind       | values                                   | shown
  executions | age=since:60                             | last success 60s ago, offered 3/min, succeeded 3/min
  executions | age=since:59                             | last success under 1m, offered 3/min, succeeded 3/min
  executions | age=atleast:3600                         | last success at least 3600s ago, offered 3/min, succeeded 3/min
  executions | age=?                                    | last success never seen!, offered 3/min, succeeded 3/min
  consumes   | lag=0 behind=0 pending=0 verdict=ok      | read 3/min, waiting 0, unacked 0
  consumes   | lag=7 behind=since:9 pending=2 oldest_pending=since:5 verdict=stalled | read 3/min, waiting 7, under 1m, unacked 2, under 1m, group stalled
  consumes   | lag=? pending=? verdict=unknown          | read 3/min, waiting unknown!, unacked unknown!, group unknown
  consumes   | lag=atleast:5 behind=since:90 pending=0  | read 3/min, waiting at least 5, oldest 90s ago, unacked 0
  stream     | age=since:4                              | added 3/min, newest entry under 1m
  heartbeat  | present=1 age=since:2                    | heartbeat under 1m
  heartbeat  | present=0                                | heartbeat missing
  heartbeat  | present=1 age=?                          | heartbeat unknown!
  unit       | state=auto_restart                       | unit auto restart
  health     | up=0 problem=wrong_status                | health fails: wrong status
  health     | up=?                                     | health unknown!
  settings   | violations=0                             | settings as required
  settings   | violations=2                             | settings 2 not as required
  flag       | set=0                                    | flag not set
  flag       | set=1 age=since:30                       | flag set for under 1m
  flag       | set=?                                    | flag unknown!
  command    | status=warning                           | check warning
"""


class Told(dict[SignalKey, SignalReport]):
    """Says of every signal that it is fine, and has no figures over windows."""

    def status(self, _reading: Reading) -> Status:
        """Return how it stands."""
        return Status.OK

    def figures(self, _key: SignalKey) -> dict[str, Any]:
        """Return nothing."""
        return {}


def held(text: str) -> Held:
    """Read a value: ``since:60``, ``atleast:5``, ``?``, a number or a word."""
    how, _, number = text.partition(":")
    if how == "since":
        return Since(NOW - float(number))
    if how == "atleast":
        return AtLeast(float(number))
    return None if text == "?" else float(text) if text.replace(".", "").isdigit() else text


@pytest.mark.parametrize(("kind", "values", "shown"), rows(FIGURES), ids=ids(FIGURES))
def test_figures_are_told_as_people_say_them(kind: str, values: str, shown: str) -> None:
    """What is not known is marked (`!`) as that, and is never zero."""
    read_values = {name: held(text) for name, _, text in (part.partition("=") for part in values.split())}
    reading = Reading(SignalKey("s", kind, Labels()), T0, read_values)
    report = SignalReport(reading, T0, Told())  # type: ignore[arg-type]
    line = Line(T0 - timedelta(minutes=4), timedelta(minutes=1), (None, 3.0, 3.0, 3.0))
    figures = figures_of([report], lambda key, measure: line, T0)
    told = [
        f"{f.name} {f.text}{' ' if f.text and f.since else ''}"
        + (f"{NOW - f.since.timestamp():.0f}s ago" if f.since else "")
        + ("!" if f.status is Status.UNKNOWN else "")
        for f in figures
    ]
    assert sorted(", ".join(told).split(", ")) == sorted(shown.split(", "))


RATES = """
  points        | a minute
  _ _ _         | unknown
  0 0 0         | 0
  _ 6 _         | 6
  60 0 3        | 21
"""


@pytest.mark.parametrize(("points", "rate"), rows(RATES), ids=ids(RATES))
def test_a_rate_is_of_the_minutes_that_are_known(points: str, rate: str) -> None:
    """A minute in which nobody looked is not one in which nothing came."""
    found = tuple(None if point == "_" else float(point) for point in points.split())
    known = rate_of(Line(T0, timedelta(minutes=1), found))
    assert ("unknown" if known is None else f"{known:g}") == rate
    assert rate_of(None) is None
