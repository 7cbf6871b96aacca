"""The pages in a real browser: what one sees first, on which screen, by which means, and how it stays true."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser import worlds
from tests.browser.conftest import DESK, PHONE, Scheme, Visitor, keep, visited
from tests.drawn import T0, ids, minutes, rows
from watchdog.units import show_duration

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVIL = quote('evil"><script>window.__pwned=1</script>', safe="")
LONG = quote(f"a_name_{'of_many_words_' * 8}", safe="")
UNFOLD = "document.querySelectorAll('details').forEach(one => { one.open = true })"
WORDS = "one => one.innerText.replace(/\\s+/g, ' ').trim()"


# ---- worlds: each is made once, and nobody changes it ----------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def healthy(window: BrowserContext) -> AsyncIterator[Visitor]:
    """Who looks at the pipeline while it works."""
    async with visited(window, await worlds.healthy()) as visitor:
        yield visitor


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def incident(window: BrowserContext) -> AsyncIterator[Visitor]:
    """Who looks at it 35 minutes after its trainer died."""
    async with visited(window, await worlds.incident()) as visitor:
        yield visitor


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def blind(window: BrowserContext) -> AsyncIterator[Visitor]:
    """Who looks while Redis is away."""
    async with visited(window, await worlds.blind()) as visitor:
        yield visitor


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def many(window: BrowserContext) -> AsyncIterator[Visitor]:
    """Who looks at 200 services, seven of them broken."""
    async with visited(window, await worlds.many()) as visitor:
        yield visitor


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hostile(window: BrowserContext) -> AsyncIterator[Visitor]:
    """Who looks at texts that were made to harm."""
    async with visited(window, await worlds.hostile()) as visitor:
        yield visitor


@pytest.fixture
def visitor(request: pytest.FixtureRequest, state: str) -> Visitor:
    """Who looks at the world named *state*."""
    found: Visitor = request.getfixturevalue(state)
    return found


# ---- what one sees first, on every screen ------------------------------------------------------

FIRST = """
  state    | h1                                                           | seen without scrolling
  healthy  | Working: all 5 services are as they should be                | since the watchdog began to look
  incident | Not working: execution has not succeeded for 35m although work was offered 540 times in the last hour | Cause: rl_trainer restarts again and again; train.sh is not executable; blocks apply_layer, execution; what to do: runbook UnitRestarting
  blind    | Not working: Redis does not answer: everything read from it is unknown | Cause: redis
  many     | Not working: strategy-040-reversion has no heartbeat         | also broken by themselves: strategy-003-momentum
  hostile  | Not working: evil"><script>window.__pwned=1</script>         | since Feb 19 01:03 UTC
"""
IN_SIGHT = """([height, selector]) => {
  const found = document.querySelector(selector), box = found.getBoundingClientRect();
  return box.top >= 0 && box.top < height && (selector !== "h1" || box.bottom <= height) ? found.innerText.replace(/\\s+/g, " ") : "out of sight";
}"""
WIDER = """() => [...document.querySelectorAll("body *")].filter(one => {
  if (one.closest(".graph-sheet, .skip, .hidden-text, svg svg")) return false;
  const box = one.getBoundingClientRect();
  return box.width > 0 && box.right > innerWidth + 1;
}).map(one => one.outerHTML.slice(0, 80)).slice(0, 3)"""


@pytest.mark.parametrize(("state", "h1", "seen"), rows(FIRST), ids=[row[0] for row in rows(FIRST)])
async def test_the_sentence_and_the_cause_are_seen_first(
    visitor: Visitor, state: str, h1: str, seen: str
) -> None:
    """Without scrolling, also on a phone: whether it works, since when, who is the cause, and what to do."""
    page = await visitor.open("/", DESK)
    for size, name in ((DESK, "desk"), (PHONE, "phone")):
        await visitor.show(size)
        await keep(page, f"{state}-first-{name}", whole=False)
        assert h1 in await page.evaluate(IN_SIGHT, [size["height"], "h1"])
        told = await page.evaluate(IN_SIGHT, [size["height"], "#headline"])
        assert [words for words in seen.split("; ") if words not in told] == []
    await fits(page)
    await keep(page, f"{state}-phone")


async def fits(page: Page) -> None:
    """See that nothing on *page*, also of what is folded, is wider than the window."""
    await page.evaluate(UNFOLD)
    assert await page.evaluate(WIDER) == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


PLACES = """
  state    | path
  incident | /services/execution
  incident | /runbooks/UnitRestarting
  incident | /runbooks/
  incident | /services/nobody
  hostile  | /services/EVIL
  hostile  | /services/LONG
"""


@pytest.mark.parametrize(("state", "path"), rows(PLACES), ids=ids(PLACES))
async def test_nothing_is_wider_than_a_phone(visitor: Visitor, state: str, path: str) -> None:
    """At 360 px one scrolls down, never sideways, however long the names are."""
    page = await visitor.open(path.replace("EVIL", EVIL).replace("LONG", LONG), PHONE)
    await fits(page)
    await keep(page, f"{state}-{path.strip('/').replace('/', '-').lower()}-phone")


async def test_the_drawing_marks_the_cause_and_what_it_blocks(incident: Visitor) -> None:
    """By words and frames, and on a phone as a list: each there once."""
    page = await incident.open("/")
    boxes = page.locator("svg a.node")
    told = await boxes.evaluate_all("all => all.map(one => one.getAttribute('aria-label').split('; ')[0])")
    assert sorted(told) == [
        "apply_layer: critical, blocked by rl_trainer",
        "execution: critical, blocked by rl_trainer",
        "intent_bridge: ok",
        "rl_feedback: ok",
        "rl_trainer: critical, the cause",
    ]
    frame = "all => all.map(one => getComputedStyle(one.querySelector('rect')).strokeWidth)"
    assert await page.locator("svg a.cause").evaluate_all(frame) == ["2.5px"]
    assert await page.locator("svg a.blocked").evaluate_all(frame) == ["1.25px", "1.25px"]
    shown = []
    for size in (DESK, PHONE):
        await incident.show(size)
        shown.append([await page.locator(part).is_visible() for part in (".graph-sheet", ".graph-list")])
    assert shown == [[True, False], [False, True]]
    assert "rl_trainer critical: cause" in await page.locator(".graph-list").evaluate(WORDS)


# ---- by everybody ------------------------------------------------------------------------------

AXE = files("axe_playwright_python") / "axe.min.js"
ALL = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
COLOURS = {"type": "rule", "values": ["color-contrast"]}
CLEAN = """
  state    | path                     | light   | dark
  healthy  | /                        | all     | colours
  incident | /                        | all     | colours
  incident | /services/rl_trainer     | all     | colours
  incident | /runbooks/UnitRestarting | all     | colours
  blind    | /                        | -       | all
"""
RUN_AXE = """async (tags) => {
  const found = await axe.run(document, {runOnly: tags, resultTypes: ["violations"]});
  return found.violations.map(one => `${one.id}: ${one.nodes.map(node => node.target + " " + node.failureSummary).join(" | ")}`);
}"""


@pytest.mark.parametrize(("state", "path", "light", "dark"), rows(CLEAN), ids=ids(CLEAN))
async def test_no_barrier_is_known(visitor: Visitor, state: str, path: str, light: str, dark: str) -> None:
    """Whatever axe-core looks for in WCAG 2.1 AA and best practice; in the dark colours need another look."""
    page = await visitor.open(path)
    await keep(page, f"{state}-{path.strip('/').replace('/', '-').lower() or 'overview'}-light")
    await page.evaluate(UNFOLD)
    await page.evaluate(AXE.read_text())
    schemes: dict[Scheme, str] = {"light": light, "dark": dark}
    for scheme, looked_for in schemes.items():
        if looked_for != "-":
            await visitor.show(scheme=scheme)
            assert await page.evaluate(RUN_AXE, ALL if looked_for == "all" else COLOURS) == []
    await keep(page, f"{state}-{path.strip('/').replace('/', '-').lower() or 'overview'}-dark")


REACHABLE = """() => [...document.querySelectorAll("a[href], summary, input, [tabindex='0']")]
  .filter(one => one.checkVisibility() && !one.closest("details:not([open]) > :not(summary)"))
  .map(one => one.outerHTML.slice(0, 90))"""
FOCUSED = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const shown = getComputedStyle(one), rect = one.querySelector(":scope > rect");
  const frame = shown.outlineStyle !== "none" && parseFloat(shown.outlineWidth) >= 2;
  const drawn = rect !== null && getComputedStyle(rect).strokeWidth === "3px";
  const box = one.getBoundingClientRect();
  return {name: one.outerHTML.slice(0, 90), seen: (frame || drawn) && box.right > 0 && box.bottom > 0};
}"""


async def test_everything_is_reached_by_keyboard_and_one_sees_where_one_is(incident: Visitor) -> None:
    """One after another, in the order of the page, each with a frame around it."""
    page = await incident.open("/")
    wanted = await page.evaluate(REACHABLE)
    reached: list[str] = []
    for _ in wanted:
        await page.keyboard.press("Tab")
        found: dict[str, Any] = await page.evaluate(FOCUSED)
        assert found["seen"], found
        reached.append(found["name"])
    assert reached == wanted
    assert len(wanted) > 30


async def test_the_first_key_leads_past_the_frame(incident: Visitor) -> None:
    """And what is folded opens by Enter."""
    page = await incident.open("/")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "To the content"
    assert await page.locator(".skip").evaluate("one => one.getBoundingClientRect().left >= 0")
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"
    fold = page.locator("details.symptoms").first
    await fold.locator("summary").focus()
    await page.keyboard.press("Enter")
    assert await fold.locator("li").first.is_visible()


async def test_without_script_it_is_the_same_page(browser: Browser, incident: Visitor) -> None:
    """The same words, ages included, and it loads itself anew."""
    live = await (await standing_still(browser)).new_page()  # else its ages count on meanwhile
    await live.goto(incident.site.url)
    await live.clock.run_for(SOON)
    await expect(live.locator(".look")).to_have_text("live")
    plain = await browser.new_page(java_script_enabled=False)
    await plain.goto(incident.site.url)
    for part in ("#headline", "#alerts", "#cards"):
        assert await plain.locator(part).evaluate(WORDS) == await live.locator(part).evaluate(WORDS)
    assert await plain.locator("meta[http-equiv=refresh]").get_attribute("content") == "10"
    assert not await plain.locator("#filter").is_visible()  # what only a script could do is not there
    assert "as of Feb 19 02:15 UTC" in await plain.locator(".look").inner_text()
    await plain.close()


async def test_a_filter_leaves_what_one_looks_for(many: Visitor) -> None:
    """Of 200 services those with all the words; Escape brings all back."""
    page = await many.open("/")
    await page.locator("#filter").fill("04 critical")
    shown = "all => all.filter(one => one.checkVisibility()).map(one => one.dataset.name)"
    assert await page.locator("[data-name]").evaluate_all(shown) == [
        "strategy-040-reversion",
        "strategy-041-market_making_with_a_long_name",
    ]
    await page.locator("#filter").press("Escape")
    assert len(await page.locator("[data-name]").evaluate_all(shown)) == 200
    await keep(page, "many-filtered", whole=False)


async def test_nothing_moves_and_paper_is_white(incident: Visitor) -> None:
    """Whoever wants no motion has none; printed there is what can be read."""
    page = await incident.open("/", scheme="dark")
    assert await page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    assert await page.evaluate("document.getAnimations().length") == 0
    await incident.show(scheme="dark", media="print")
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert [await page.locator(part).is_visible() for part in ("#filter", ".top nav", "h1")] == [
        False,
        False,
        True,
    ]
    await keep(page, "incident-printed")


# ---- as it happens -----------------------------------------------------------------------------

NEVER = T0 + timedelta(days=9)


async def test_a_fault_changes_the_open_page_and_its_end_changes_it_back(window: BrowserContext) -> None:
    """Sentence, title, sign of the tab and the service's card, without the page being loaded anew."""
    world = worlds.pipeline(dead_after=1e6)
    await world.go_on(minutes(2))
    async with visited(window, world) as visitor:
        page = await visitor.open("/")
        await page.evaluate("window.here = true")
        card, icon = page.locator("#service-rl_trainer"), page.locator("#icon")
        await expect(page).to_have_title("Working · Pipeline Watchdog")
        world.dead_at = world.now
        await world.go_on(minutes(2))
        await expect(page.locator("h1")).to_contain_text("Not working:")
        await expect(page).to_have_title("Not working: rl_trainer · Pipeline Watchdog")
        await expect(page.locator("#spoken")).to_have_text("Not working, cause: rl_trainer")
        await expect(card).to_have_attribute("data-status", "critical")
        assert await icon.get_attribute("href") == await icon.get_attribute("data-critical")
        assert await page.locator("#cards > :first-child").get_attribute("id") == "service-rl_trainer"
        await keep(page, "live-broken", whole=False)
        world.dead_at = NEVER
        await world.go_on(minutes(20))
        await expect(page.locator("h1")).to_contain_text("Working:")
        await expect(page).to_have_title("Working · Pipeline Watchdog")
        await expect(card).to_have_attribute("data-status", "ok")
        assert await icon.get_attribute("href") == await icon.get_attribute("data-ok")
        assert await page.evaluate("window.here")
        assert visitor.watch.complaints == []


async def test_what_one_reads_stays_where_it_is(window: BrowserContext) -> None:
    """News leave the focus, what is unfolded and the place on the page alone; a watchdog that stops looking says so."""
    world = worlds.pipeline(dead_after=2)
    await world.go_on(minutes(6))
    async with visited(window, world) as visitor:
        page = await visitor.open("/")
        fold = page.locator("#alerts details", has_text="Commands").first
        await fold.locator("summary").click()
        place = await page.evaluate("scrollTo(0, 150), scrollY")
        before = await page.locator("h1").inner_text()
        await world.go_on(minutes(1))
        await expect(page.locator("h1")).not_to_have_text(before)
        assert await page.evaluate("document.activeElement.textContent") == "Commands, and who was told"
        assert await fold.get_attribute("open") is not None
        assert await page.evaluate("scrollY") == place
        world.clock.time += minutes(10)
        await expect(page.locator("h1")).to_contain_text("the watchdog itself has stopped looking")
        await expect(page.locator("html")).to_have_class("stale")
        await keep(page, "stopped-looking", whole=False)


SOON = 200
"""So many milliseconds after it was loaded the page listens."""


async def standing_still(browser: Browser) -> BrowserContext:
    """Return a window in which no time passes but what is said to."""
    window = await browser.new_context()
    await window.clock.install(time=T0)
    await window.clock.pause_at(T0)
    return window


async def test_ages_count_on_in_the_words_of_the_server(browser: Browser) -> None:
    """Second by second without a word from it, and after an hour as it would say it."""
    world = worlds.pipeline(dead_after=2)
    await world.go_on(minutes(6))
    async with visited(await standing_still(browser), world) as visitor:
        page = await visitor.open("/")
        await page.clock.run_for(SOON)
        await expect(page.locator(".look")).to_have_text("live")
        for seconds in (1, 58, 3_600, 90_000):
            await page.clock.fast_forward(seconds * 1000)
            await page.clock.run_for(1000)
            found = await page.evaluate(AGES)
            assert len(found) > 5
            for since, now, text in found:  # it counts once a second, and so is at most that much behind
                assert text in (show_duration(now - since), show_duration(now - since - 1))


AGES = """() => [...document.querySelectorAll("time[data-since]")].map(one => [
  Number(one.dataset.since),
  Math.floor((Date.now() - START) / 1000) + Number(document.documentElement.dataset.now),
  one.textContent,
])""".replace("START", str(int(T0.timestamp() * 1000)))


async def test_a_page_that_hears_nothing_says_so_until_the_watchdog_is_back(browser: Browser) -> None:
    """It turns unknown, says since when, tries again by itself, and then shows what is."""
    world = worlds.pipeline(dead_after=1e6)
    await world.go_on(minutes(2))
    async with visited(await standing_still(browser), world) as visitor:
        page = await visitor.open("/")
        await page.clock.run_for(SOON)
        await expect(page.locator(".look")).to_have_text("live")
        await visitor.site.stop()
        await page.clock.fast_forward(45_000)
        await expect(page.locator("#stale")).to_be_visible()
        told = await page.locator("#stale").inner_text()
        assert told.startswith("No news from the watchdog since 01:02:00 UTC, for 45s:")
        await expect(page).to_have_title("Unknown: no news · Pipeline Watchdog")
        icon = page.locator("#icon")
        assert await icon.get_attribute("href") == await icon.get_attribute("data-unknown")
        assert not await page.locator("h1").is_visible()  # nothing says that it works
        await keep(page, "lost", whole=False)
        world.dead_at = world.now
        await world.go_on(minutes(2))
        visitor.site.start()
        await expect(page.locator("h1")).to_contain_text("Not working:")
        assert not await page.locator("#stale").is_visible()


async def test_before_the_first_look_it_says_so_and_then_shows_what_was_seen(window: BrowserContext) -> None:
    """Nobody has to load it anew."""
    async with visited(window, worlds.beginning()) as visitor:
        page = await visitor.open("/")
        await expect(page.locator("h1")).to_have_text("Looking for the first time")
        await keep(page, "beginning", whole=False)
        await visitor.site.world.go_on(minutes(1))
        await expect(page.locator("h1")).to_contain_text("Working:")
        assert visitor.watch.complaints == []


# ---- nothing else happens ----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", f"/services/{EVIL}"], ids=["overview", "service"])
async def test_no_text_from_outside_runs(hostile: Visitor, path: str) -> None:
    """Names, summaries, evidence and runbooks are text."""
    page = await hostile.open(path)
    await page.evaluate(UNFOLD)
    assert await page.evaluate("window.__pwned") is None
    assert await page.locator("main img, main script, main svg[onload], a[href^='javascript:']").count() == 0


async def test_the_policy_is_in_force(healthy: Visitor) -> None:
    """Were a text to get through, it would not run: neither as a handler, nor a script, nor elsewhere."""
    page = await healthy.open("/")
    said = list(healthy.watch.complaints)
    assert await page.evaluate(ATTACKS) == ["connect-src", "img-src", "script-src-attr", "script-src-elem"]
    assert await page.evaluate("window.__pwned") is None
    healthy.watch.complaints = said


ATTACKS = """async () => {
  const seen = new Set();
  const whole = new Promise((done) => document.addEventListener("securitypolicyviolation", (event) => {
    seen.add(event.effectiveDirective);
    if (seen.size === 4) done();
  }));
  const tried = document.createElement("div");
  tried.innerHTML = "<b onclick='window.__pwned=1'></b><img src='http://127.0.0.1:1/x.png'>";
  document.body.append(tried);
  tried.firstChild.click();
  const script = document.createElement("script");
  script.textContent = "window.__pwned=1";
  document.body.append(script);
  fetch("http://127.0.0.1:1/").catch(() => {});
  await whole;
  return [...seen].sort();
}"""


@pytest.mark.parametrize("state", ["healthy", "incident", "blind", "many", "hostile"])
async def test_nothing_is_asked_of_anybody_else_and_nobody_complains(visitor: Visitor, state: str) -> None:
    """Of all that was done here: no request but to the sidecar, no error, no breach of the policy."""
    await visitor.open("/runbooks/")
    outside = [url for url in visitor.watch.asked if not url.startswith(visitor.site.url + "/")]
    assert [url for url in outside if not url.startswith("http://127.0.0.1:1/")] == []
    assert [said for said in visitor.watch.complaints if "404" not in said] == []
