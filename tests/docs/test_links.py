"""Every link leads to a page and heading that are there, and every page can be found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .pages import DOCS, KINDS, PAGES, ROOT, anchors, links, name

INDEX = DOCS / "README.md"
FOLDERS = ("watchdog", "bench", "tests", "deploy", "grafana", "prometheus")
NAMED = re.compile(r"(?<![\w/.-])(?:https://github\.com/[\w/-]+/blob/main/)?(docs/[\w/-]+\.md)\b")
SUBJECTS = {DOCS / "benchmarks.md", DOCS / "incidents.md", DOCS / "scale.md"}
"""Pages beside the four kinds: what was measured."""


def dead(page: Path) -> list[str]:
    """Return the links of *page* that lead nowhere: no such file, or no such heading in it."""
    found = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """Relative links name files that are there, and headings that are in them."""
    assert dead(page) == []


def test_a_dead_link_would_be_seen(tmp_path: Path) -> None:
    """A missing file, a missing heading; code is no link."""
    page = tmp_path / "page.md"
    page.write_text("# A `b`, c\n\n[x](#a-b-c) [y](#d) [z](no.md) `[q](nor.md)` [w](https://x.example/)\n")
    assert dead(page) == ["#d", "no.md"]


def test_pages_that_the_code_names_are_there() -> None:
    """In comments, errors, links of alerts and dashboards; pages move, and those who name them stay behind."""
    files = [ROOT / "rules.yaml", ROOT / "Makefile", ROOT / "pyproject.toml"]
    files += [
        path
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".yaml", ".yml", ".json", ".service", ".toml", ".txt"}
    ]
    named = {
        (page, name(path))
        for path in files
        if path.is_file() and "samples" not in path.parts
        for page in NAMED.findall(path.read_text(encoding="utf-8"))
    }
    assert {(page, who) for page, who in named if not (ROOT / page).exists()} == set()
    assert len(named) > 50


def test_the_index_has_every_page_in_a_line_under_its_kind() -> None:
    """Whoever looks for something finds it from docs/README.md."""
    sections = re.split(r"^## ", INDEX.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    listed = [re.findall(r"^- \[[^\]]+\]\(([^)#]+)\): \S", section, re.MULTILINE) for section in sections]
    there = [sorted(f"{kind}/{page.name}" for page in (DOCS / kind).glob("*.md")) for kind in KINDS]
    assert [sorted(pages) for pages in listed[: len(KINDS)]] == there
    beside = {str(page.relative_to(DOCS)) for page in SUBJECTS if page.exists()} | {"runbooks/README.md"}
    assert {page for pages in listed[len(KINDS) :] for page in pages} == beside
    assert {page for page in DOCS.glob("*.md") if page != INDEX} <= SUBJECTS
