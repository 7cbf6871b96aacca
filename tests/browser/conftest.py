"""One browser for all tests of a file, and sidecars of drawn readings that it looks at over real connections."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, ViewportSize, async_playwright

from tests.web.outage import Outage
from watchdog.web.app import build_app
from watchdog.web.server import WebServer, bind

CHROMIUM = "/usr/bin/chromium"
ARGS = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]
SHOTS = Path(os.environ.get("WATCHDOG_SHOTS") or Path(__file__).parents[2] / ".artefacts" / "shots")
"""Every run leaves its pictures here."""
DESK = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=360, height=740)
Scheme = Literal["light", "dark"]
Medium = Literal["screen", "print"]


@dataclass
class Site:
    """A sidecar and where it is served."""

    world: Outage
    port: int
    web: WebServer

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        """End it, as a crash of the sidecar would."""
        await self.web.stop()

    def start(self) -> None:
        """Serve at the same port, by a process that knows nothing of the one before."""
        self.web = serving(self.world, self.port)[0]


def serving(world: Outage, port: int = 0) -> tuple[WebServer, int]:
    """Serve *world* at *port*, or at one that is free."""
    listener = bind("127.0.0.1", port)
    listener.listen()  # whoever connects before it serves waits
    web = WebServer(build_app(world.sidecar), listener)
    web.start()
    return web, listener.getsockname()[1]


@dataclass
class Watch:
    """What a browser did that no page of ours may have it do."""

    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def over(self, page: Page) -> None:
        """Note what *page* does."""
        page.on("console", lambda said: self._said(said.type, said.text))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", lambda request: self.asked.append(request.url))

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"{kind}: {text}")


@dataclass
class Visitor:
    """Somebody who looks at a site on one page of the browser; *watch* sees what that does."""

    page: Page
    site: Site
    watch: Watch

    async def open(
        self, path: str = "/", size: ViewportSize = DESK, scheme: Scheme = "light", media: Medium = "screen"
    ) -> Page:
        """Load *path* on the page, in a window of *size*."""
        await self.page.bring_to_front()  # what lies behind another page is slowed down
        await self.show(size, scheme, media)
        await self.page.goto(self.site.url + path, wait_until="load")
        return self.page

    async def show(
        self, size: ViewportSize = DESK, scheme: Scheme = "light", media: Medium = "screen"
    ) -> None:
        """Have the page that is loaded look so from now on."""
        await self.page.set_viewport_size(size)
        await self.page.emulate_media(media=media, color_scheme=scheme, reduced_motion="reduce")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Debian's chromium, without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def window(browser: Browser) -> BrowserContext:
    """One window for all pages; another one costs as much as loading two pages."""
    return await browser.new_context()


@asynccontextmanager
async def visited(window: BrowserContext, world: Outage) -> AsyncIterator[Visitor]:
    """Serve *world* to a visitor with a page of his own."""
    web, port = serving(world)
    page, watch = await window.new_page(), Watch()
    page.set_default_timeout(15_000)
    watch.over(page)
    visitor = Visitor(page, Site(world, port, web), watch)
    try:
        yield visitor
    finally:
        await page.close()
        await visitor.site.stop()


async def keep(page: Page, name: str, whole: bool = True) -> None:
    """Keep a picture of *page* for people to look at."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SHOTS / f"{name}.png", full_page=whole)
