"""Whether a process knows its settings, drawn minute by minute."""

from __future__ import annotations

import pytest

from tests.drawn import ids, rows
from watchdog.settings.uptake import Uptake

STORIES = """
what happens                     | contents | written     | started     | stale for (minutes)
restarted after the change       | a b b    | 1 10 10     | 5 5 12      | 0 1 0
never restarted                  | a b b b  | 1 10 10 10  | 5 5 5 5     | 0 1 2 3
changed long before we looked    | b b      | 8 8         | 5 5         | 2 3
started long after the change    | b b      | 1 1         | 5 5         | 0 0
touched, nothing changed         | a a a    | 1 11 12     | 5 5 5       | 0 0 0
put back to what it was          | a b a    | 1 10 12     | 5 5 5       | 0 1 0
an old backup moved into place   | a b b    | 3 1 1       | 5 5 5       | 0 0 1
a second change                  | a b c c  | 1 10 12 12  | 5 5 5 13    | 0 1 2 0
written in the second of its start | b b    | 5 5         | 5 5         | 0 0
not running                      | a b b    | 1 10 10     | - - -       | 0 0 0
"""


@pytest.mark.parametrize(("what", "contents", "written", "started", "stale"), rows(STORIES), ids=ids(STORIES))
@pytest.mark.parametrize("forgets", [False, True], ids=["one process", "a watchdog restarted each time"])
def test_stories(what: str, contents: str, written: str, started: str, stale: str, *, forgets: bool) -> None:
    """The first look is in minute 10, then one a minute; times are minutes."""
    uptake, found = Uptake("salt"), []
    looks = zip(contents.split(), written.split(), started.split(), strict=True)
    for now, (content, at, start) in enumerate(looks, start=10):
        begun = None if start == "-" else float(start) * 60
        found.append(uptake.stale(content, float(at) * 60, begun, now * 60.0) / 60)
        if forgets:
            memory, uptake = uptake.memory(), Uptake("other salt")
            uptake.remember(memory)
    assert [float(minutes) for minutes in stale.split()] == found
