"""The API of the past: what happened, and the curves of the last hours."""

from __future__ import annotations

import pytest

from tests.drawn import ids, rows
from tests.web.conftest import Ask, Desk

LOUD = "it burns"


async def test_what_happened_is_told_latest_first(desk: Desk, ask: Ask) -> None:
    """Since when it stands so, with the alerts that made it; of everything without a name."""
    await desk.tick(1)
    for second in range(2, 4):
        desk.log("worker", LOUD, "ERROR")
        desk.log("shop", "sold")
        await desk.tick(second)
    told = (await ask("GET", "/api/v1/timeline?service=shop")).json()
    assert (told["at"], told["status"], told["since"]) == (
        "2026-02-19T01:00:06Z",
        "ok",
        "2026-02-19T01:00:03Z",
    )
    assert told["events"][0] == {
        "at": "2026-02-19T01:00:03Z",
        "service": "shop",
        "what": "status",
        "text": "nothing is wrong and all is known",
        "status": "ok",
        "was": "critical",
        "alertname": None,
    }
    assert [event["what"] for event in told["events"]] == [
        "status",
        "resolved",
        "status",
        "firing",
        "started",
    ]
    whole = (await ask("GET", "/api/v1/timeline")).json()
    assert (whole["status"], whole["since"]) == ("critical", None), "Redis is down"
    assert {event["service"] for event in whole["events"]} == {"", "shop", "worker"}


ASKED = """
  query                              | events
  ?service=shop&limit=2              | 2
  ?service=nobody                    | 1
  ?since=2026-02-19T01:00:01Z        | 5
  ?since=2026-02-19T01:00:02Z        | 0
"""


@pytest.mark.parametrize(("query", "count"), rows(ASKED), ids=ids(ASKED))
async def test_only_what_is_asked_for_is_told(desk: Desk, ask: Ask, query: str, count: str) -> None:
    """Two services fall silent at the first look; that somebody looks is told of every service."""
    await desk.tick(1)
    told = (await ask("GET", f"/api/v1/timeline{query}")).json()
    assert len(told["events"]) == int(count)


async def test_curves_are_shown_by_signal_and_measure(desk: Desk, ask: Ask) -> None:
    """All of one length, with the moment of the first point and the step; null is unknown."""
    await desk.tick(1)
    for _ in range(2):
        desk.log("worker", LOUD, "ERROR")
        desk.log("worker", "fine")
        await desk.tick(59)
        await desk.tick(1)
    told = (await ask("GET", "/api/v1/trends?service=worker")).json()
    lines = {line["measure"]: line for line in told["lines"]}
    assert lines.keys() == {"lines", "errors"}
    assert (lines["errors"]["signal"], lines["errors"]["labels"]) == (
        "log",
        {"path": str(desk.directory / "worker.log")},
    )
    assert (lines["errors"]["start"], lines["errors"]["step"]) == ("2026-02-18T22:02:00Z", 60.0)
    assert len(lines["errors"]["points"]) == 180
    assert [lines[name]["points"][-2:] for name in ("errors", "lines")] == [[1.0, 1.0], [2.0, 2.0]]
    assert (await ask("GET", "/api/v1/trends?service=nobody")).json()["lines"] == []


async def test_nothing_is_told_before_the_first_look_nor_of_no_service(ask: Ask) -> None:
    """One sentence, as for everything else."""
    assert (await ask("GET", "/api/v1/timeline")).status_code == 503
    answer = await ask("GET", "/api/v1/trends")
    assert (answer.status_code, answer.json()) == (422, {"error": "service: is missing"})
