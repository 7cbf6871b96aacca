"""The runbooks as pages: every one is there, says what the file says, and names the places of what is open."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import httpx
import pytest
from starlette.applications import Starlette

from tests.web.conftest import HERE, Ask, Desk
from watchdog.config import parse
from watchdog.runbooks import places, read_index, read_runbook, runbook_names
from watchdog.web.pages.runbook import nearby, runbook_routes, to_html, written

HEADINGS = ["What it means", "How to confirm", "Usual causes", "How to fix", "How to silence rightly"]


class Parsed(HTMLParser):
    """A page as a browser reads it: its tags, its headings, where it leads, its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.headings: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self._in_heading = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag, and where a link leads."""
        self.tags.append(tag)
        self._in_heading = tag == "h2"
        self.links += [found for name, found in attrs if name == "href" and found and tag == "a"]

    def handle_data(self, data: str) -> None:
        """Note the text."""
        self.text += data
        if self._in_heading:
            self.headings.append(data)
            self._in_heading = False


async def got(desk: Desk, path: str, **headers: str) -> httpx.Response:
    """Return the answer of the pages alone."""
    transport = httpx.ASGITransport(Starlette(routes=runbook_routes(desk.sidecar)))
    async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
        return await client.get(path, headers=headers)


@pytest.mark.parametrize("name", runbook_names())
def test_every_runbook_is_a_page(name: str) -> None:
    """Five headings, no tag but Markdown's own, and every link leads to a page of ours or the project's."""
    page = Parsed(str(written(name)))
    assert page.headings == HEADINGS
    assert set(page.tags) <= {"h1", "h2", "p", "ul", "ol", "li", "a", "code", "pre", "em", "strong"}
    for link in page.links:
        own = link.removeprefix("/runbooks/").partition("#")[0]
        assert own in ("", *runbook_names()) or link.startswith("https://github.com/"), link
    source = read_runbook(name)
    assert source is not None
    for shell in re.findall(r"```sh\n(.*?)```", source, re.DOTALL):
        assert shell in page.text, "what is to be copied stands there letter by letter"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("<script>x()</script>", "<p>&lt;script&gt;x()&lt;/script&gt;</p>\n"),
        (
            "<div onclick=x>\n\nhe <b>said</b>",
            "<p>&lt;div onclick=x&gt;</p>\n<p>he &lt;b&gt;said&lt;/b&gt;</p>\n",
        ),
        ("[x](javascript:alert)", "<p>[x](javascript:alert)</p>\n"),
        ("`<b>`", "<p><code>&lt;b&gt;</code></p>\n"),
        ("[a](GroupStalled.md#how-to-fix)", '<p><a href="/runbooks/GroupStalled#how-to-fix">a</a></p>\n'),
        ("[a](README.md)", '<p><a href="/runbooks/">a</a></p>\n'),
        ("[a](#b)", '<p><a href="#b">a</a></p>\n'),
        (
            "[a](../reference/logs.md#b)",
            '<p><a href="https://github.com/pipeline-watchdog/pipeline-watchdog/blob/main/docs/reference/logs.md#b"'
            ' rel="noreferrer">a</a></p>\n',
        ),
        ("## How to fix", '<h2 id="how-to-fix">How to fix</h2>\n'),
    ],
)
def test_markdown_is_all_there_is(text: str, html: str) -> None:
    """Tags are text, links lead to where files are shown, headings can be linked to."""
    assert to_html(text) == html


def test_the_index_leads_to_every_runbook() -> None:
    """Nobody has to know a name."""
    assert {f"/runbooks/{name}" for name in runbook_names()} <= set(Parsed(str(written("README"))).links)


async def test_a_page_stands_in_the_frame_with_its_policy(desk: Desk) -> None:
    """HTML for a browser, under a policy that lets nothing in; also before the first look."""
    answer = await got(desk, "/runbooks/NoExecutions")
    page = Parsed(answer.text)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert page.tags.count("h1") == page.tags.count("main") == 1
    assert page.headings == HEADINGS


async def test_a_terminal_gets_the_text(desk: Desk) -> None:
    """`curl -H 'Accept: text/plain'` is the runbook where there is no browser."""
    answer = await got(desk, "/runbooks/NoExecutions", accept="text/plain")
    index = await got(desk, "/runbooks/", accept="text/plain")
    assert (answer.text, index.text) == (read_runbook("NoExecutions"), read_index())


async def test_what_is_open_stands_above_with_its_places(desk: Desk) -> None:
    """The alert's labels, as a shell takes them; of another alert nothing."""
    (desk.directory / "worker.log").unlink()
    for seconds in (1, 60, 60, 60):
        await desk.tick(seconds)
    unknown, other = await got(desk, "/runbooks/SignalUnknown"), await got(desk, "/runbooks/NoExecutions")
    shown = Parsed(unknown.text)
    assert "Open now" in shown.headings
    assert "SERVICE=worker\n" in shown.text
    assert "export WATCHDOG_URL=http://127.0.0.1:9821\n" in shown.text
    assert "Open now" not in Parsed(other.text).headings


async def test_an_alert_that_is_asked_for_stands_alone(desk: Desk) -> None:
    """Of several alerts of one name, the link from one shows that one; the index links to each."""
    for name in ("worker", "shop"):
        (desk.directory / f"{name}.log").unlink()
    for seconds in (1, 60, 60, 60):
        await desk.tick(seconds)
    mark = desk.fingerprint("SignalUnknown", "shop")
    one = Parsed((await got(desk, f"/runbooks/SignalUnknown?alert={mark}")).text)
    assert "SERVICE=shop\n" in one.text
    assert "SERVICE=worker\n" not in one.text
    index = Parsed((await got(desk, "/runbooks/")).text)
    assert f"/runbooks/SignalUnknown?alert={mark}" in index.links


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("NoExecution", "Did you mean &#34;NoExecutions&#34;?"),
        ("<script>", "The index has all there are."),
        ("..%5C..%5Cpasswd", "The index has all there are."),
        ("README", "The index has all there are."),
    ],
)
async def test_a_name_that_is_none_is_told(desk: Desk, name: str, hint: str) -> None:
    """A page with a way on; nothing of the name is taken for a tag or a path."""
    answer = await got(desk, f"/runbooks/{name}")
    assert answer.status_code == 404
    assert hint in answer.text
    assert "<script>" not in answer.text


async def test_the_sidecar_serves_them(ask: Ask) -> None:
    """Behind the guard, as every page."""
    assert (await ask("GET", "/runbooks/HeartbeatMissing")).status_code == 200
    assert (await ask("GET", "/runbooks/")).status_code == 200


def test_a_service_has_places_beside_its_alerts() -> None:
    """Its unit (not its timer) and what it is offered, where the file knows them; a label says it better."""
    config = parse("""
services:
  a:
    executions: {stream: r, success: {status: filled}, input: offers}
    unit: [{name: a.timer}, {name: a.service}]
  b: {heartbeat: {key: k}}
""")
    assert nearby(config, "a") == {"unit": "a.service", "input": "offers"}
    assert nearby(config, "b") == nearby(config, "redis") == {}
    assert places({**nearby(config, "a"), "unit": "a.timer"}) == ("INPUT=offers", "UNIT=a.timer")


def test_places_are_safe_in_a_shell() -> None:
    """Labels come from the file and from Redis; each becomes one word, whatever is in it."""
    labels = {"alertname": "X", "service": "a b", "key": "k'; rm -rf ~ #", "path": "/var/log/$HOME.log"}
    assert places(labels) == (
        "SERVICE='a b'",
        """KEY='k'"'"'; rm -rf ~ #'""",
        "FILE='/var/log/$HOME.log'",
    )
