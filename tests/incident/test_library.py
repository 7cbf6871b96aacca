"""The incident library: it is whole, some of it is lived through at every run of the tests, and the page tells all of it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.drawn import ids, rows
from tests.incident import chaos, month
from tests.incident.library import TWIN_AT_LEAST
from tests.incident.lockstep import Past, lived
from tests.incident.pages import put
from tests.incident.trial import broken, healthy
from watchdog.demo.faults import FAULTS

PAGE = Path(__file__).parents[2] / "docs" / "incidents.md"
LIBRARY = {
    f"{kind}{number:02}"
    for kind, last in {"W": 22, "G": 20, "S": 23, "H": 8, "L": 10, "U": 9, "C": 8, "X": 12}.items()
    for number in range(1, last + 1)
}
"""The 112 ways in which it stopped working."""

LIVED = """
  fault | what is named
  G01   | a process that cannot be started, and whoever waits for it
  W02   | a consumer that has died in a process that lives
  S08   | entries trimmed before they were read
  C08   | a secret that everybody can read
  X09   | a server that is away
"""  # fmt: skip
MORNING = [kind for kind in month.KINDS if kind.name in {"restarts", "log rotations"}]
MORNING += [kind for kind in month.KINDS if kind.name in {"restarts of the watchdog", "steps of the clock"}]


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    """Twenty healthy minutes, about which nothing may be said."""
    return asyncio.run(lived(tmp_path_factory.mktemp("past"), timedelta(minutes=20)))


def test_every_row_has_a_fault() -> None:
    """Each of them can be brought about, in the demo as well."""
    assert set(FAULTS) == LIBRARY


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_fault_is_whole(fault: str) -> None:
    """It is named by something, or must not alert and is watched for a while."""
    found = FAULTS[fault]
    assert found.title
    assert found.expected or found.found_by or found.window, "nothing is expected, and nothing is waited for"
    assert bool(found.twin) == bool(found.twin_title)


@pytest.mark.parametrize("fault", [row[0] for row in rows(LIVED)], ids=ids(LIVED))
async def test_a_fault_is_named_in_time(tmp_path: Path, past: Past, fault: str) -> None:
    """With the built-in rules, at a poll of 5 s: the right alert within its window, and nothing else."""
    outcome = await broken(FAULTS[fault], tmp_path, past)
    assert (outcome.missing, outcome.wrong, outcome.late, outcome.trouble) == ((), (), False, ""), outcome


@pytest.mark.parametrize("fault", ["W02", "L08"])
async def test_its_healthy_twin_is_silent(tmp_path: Path, past: Past, fault: str) -> None:
    """What looks alike and is none raises nothing above info."""
    twin = FAULTS[fault].twin
    assert twin is not None
    assert await healthy(twin, tmp_path, past, TWIN_AT_LEAST) == {}


async def test_what_is_missing_and_what_is_wrong_is_told(tmp_path: Path, past: Past) -> None:
    """The judge of the trials can say no."""
    other = replace(FAULTS["U04"], expected=(("UnitOutdated", "housekeeping"),), possible=())
    outcome = await broken(other, tmp_path, past)
    assert not outcome.ok
    assert outcome.missing == other.expected
    assert set(outcome.wrong) >= {("UnitDown", "housekeeping")}


async def test_some_minutes_of_chaos(tmp_path: Path, past: Past) -> None:
    """Two faults and more, begun and mended: what is named is what is there."""
    score = await chaos.run(7, past, tmp_path, timedelta(minutes=8))
    assert len(score.spells) >= 2
    assert (score.unnamed, score.false) == ({}, {})
    assert score.due > 0


async def test_a_morning_in_which_much_happens(tmp_path: Path) -> None:
    """A restart, rotated logs, a step of the clock, the watchdog itself started anew: nothing is told."""
    begin = month.BEGIN + timedelta(hours=9)
    lived_through = await month.lived(
        3, 0.08, tmp_path, begin=begin, before=timedelta(minutes=30), kinds=MORNING
    )
    assert set(lived_through.happened) == {kind.name for kind in MORNING}
    assert (lived_through.of("critical"), lived_through.of("warning")) == (0, 0), lived_through.said


def test_the_page_has_every_row() -> None:
    """docs/incidents.md names all of them, and none as missed or late."""
    page = PAGE.read_text(encoding="utf-8")
    told = {
        line.split(" | ")[0].removeprefix("| "): line for line in page.splitlines() if line.startswith("| ")
    }
    assert set(told) >= LIBRARY
    assert not [
        line for fault, line in told.items() if fault in LIBRARY and re.search(r"\*\*(not named|late)", line)
    ]


def test_a_part_of_the_page_is_replaced(tmp_path: Path) -> None:
    """Only what stands between its marks."""
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- one -->\nold\n<!-- /one -->\n<!-- two -->\n<!-- /two -->\nz\n")
    put(page, "one", "new")
    assert page.read_text() == "a\n<!-- one -->\n\nnew\n\n<!-- /one -->\n<!-- two -->\n<!-- /two -->\nz\n"
