"""What a stream's facts prove: whether it is the one of before, since when all was counted, what trims it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.drawn import ids, rows
from watchdog.entries import ORIGIN, EntryId
from watchdog.facts import StreamFacts
from watchdog.intake import begun_anew, is_capped, last_cap, remembered
from watchdog.units import EPOCH

NOW = EPOCH + timedelta(seconds=100)


def facts_of(drawn: str, told: str = "counted") -> StreamFacts:
    """
    Return what is said of a stream drawn second by second.

    `e` is an entry it keeps, `t` one that was trimmed, `d` one that was deleted; before 7.0 nothing is *told*.
    """
    kept = [EntryId(at * 1000, 0) for at, sign in enumerate(drawn, 1) if sign == "e"]
    ever = [EntryId(at * 1000, 0) for at, sign in enumerate(drawn, 1) if sign in "etd"]
    deleted = [EntryId(at * 1000, 0) for at, sign in enumerate(drawn, 1) if sign == "d"]
    return StreamFacts(
        length=len(kept),
        generated=max(ever, default=ORIGIN),
        first=min(kept, default=None),
        last=max(kept, default=None),
        added=len(ever) if told == "counted" else None,
        deleted=max(deleted, default=ORIGIN) if told == "counted" else None,
        groups=0,
        radix_keys=1,
        radix_nodes=2,
    )


LIVES = """
  before   | after       | counted  | 6.2
  eee      | eee         | the same | the same
  eee      | eeeee       | the same | the same
  eee      | tteee       | the same | the same
  eee      | ttttte      | the same | the same
  eee      | tttttt      | the same | the same
  eee      | ede.e       | the same | the same
  ttt      | ttte        | the same | the same
  .        | e           | the same | the same
  eee      | .           | anew     | anew
  eee      | ee          | anew     | anew
  eee      | ...e        | anew     | the same
  eee      | ...eeee     | anew     | the same
  eee      | ...teee     | anew     | the same
  ttteee   | ......eeeee | anew     | the same
  ttteee   | ......e     | anew     | the same
  dee      | .eeee       | anew     | the same
"""


@pytest.mark.parametrize(("before", "after", "counted", "old"), rows(LIVES), ids=ids(LIVES))
def test_a_stream_that_cannot_be_the_one_of_before(before: str, after: str, counted: str, old: str) -> None:
    """No counter goes back, and what is gone counts as removed; before 7.0 only IDs tell."""
    found = [begun_anew(facts_of(before, told), facts_of(after, told)) for told in ("counted", "6.2")]
    assert ["anew" if anew else "the same" for anew in found] == [counted, old]


@given(st.text("etd.", max_size=12), st.lists(st.sampled_from("+-x"), max_size=12), st.data())
def test_what_goes_on_is_never_taken_for_a_new_beginning(
    drawn: str, deeds: list[str], data: st.DataObject
) -> None:
    """Whatever is added (`+`), trimmed (`-`) or deleted (`x`)."""
    before = facts_of(drawn)
    for deed in deeds:
        if deed == "+":
            drawn += "e"
        elif deed == "-":
            drawn = drawn.replace("e", "t", 1)
        elif "e" in drawn:
            at = data.draw(st.sampled_from([i for i, sign in enumerate(drawn) if sign == "e"]))
            drawn = f"{drawn[:at]}d{drawn[at + 1 :]}"
    assert not begun_anew(before, facts_of(drawn))


REMEMBERED = """
  stream   | read  | reached | since | steps
  .        | -     | -       | ever  | -
  e.e.e    | 1 3 5 | -       | ever  | 1:1 3:1 5:1
  t.e.e    | 3 5   | -       | 3     | 3:1 5:1
  e.e.e    | 3 5   | 3       | 3     | 1:1 3:1 5:1
  eeeee    | 4 5   | 4       | 4     | 1:3 4:1 5:1
  eeeee    | 1 5   | 5       | 5     | 1:3 1:1 5:1
  eedee    | 4 5   | 2       | 3     | 1:2 4:1 5:1
  ttt      | -     | -       | 3     | -
  ddd      | -     | -       | 3     | -
"""


def ids_of(cell: str) -> list[EntryId]:
    """Return the IDs of the seconds in *cell*."""
    return [EntryId(int(at) * 1000, 0) for at in cell.split() if at != "-"]


@pytest.mark.parametrize(("stream", "told"), [(r[0], r[1:]) for r in rows(REMEMBERED)], ids=ids(REMEMBERED))
def test_what_is_remembered_of_the_intake(stream: str, told: tuple[str, ...]) -> None:
    """What was not read counts at the oldest entry, and nothing is vouched for before what was."""
    read, reached, since, steps = told
    covered, found = remembered(facts_of(stream), ids_of(read), next(iter(ids_of(reached)), None), NOW)
    assert covered == (EPOCH if since == "ever" else EPOCH + timedelta(seconds=int(since)))
    assert " ".join(f"{at:.0f}:{by:.0f}" for at, by in found) == steps.replace("-", "")


def test_what_comes_from_the_future_counts_now() -> None:
    """An ID ahead of the clock was added all the same, and was not added later than now."""
    found = remembered(facts_of("." * 200 + "te"), ids_of("202"), None, NOW)
    assert found == (NOW, [(NOW.timestamp(), 1.0)])


CAPS = """
  look after look             | counted     | 6.2
  e ee eee                    | 0 0 0       | ? ? ?
  tee teee teeee              | 2 2 2       | ? ? ?
  eee tee teee                | 0 2 2       | ? 2 2
  eee tee ttee tteee          | 0 2 2 2     | ? 2 2 2
  eeeee tttee ttteeee tttteee | 0 2 2 3     | ? 2 2 3
  eee ttt ttte                | 0 1 1       | ? 1 1
"""


@pytest.mark.parametrize(("looks", "counted", "old"), rows(CAPS), ids=ids(CAPS))
def test_how_long_it_was_when_it_was_last_trimmed(looks: str, counted: str, old: str) -> None:
    """0: never, ?: that cannot be told."""
    for told, expected in (("counted", counted), ("6.2", old)):
        cap, before, found = None, None, []
        for drawn in looks.split():
            after = facts_of(drawn, told)
            cap, before = last_cap(cap, before, after), after
            found.append("?" if cap is None else str(cap))
        assert " ".join(found) == expected


CAPPED = """
  length | cap    | capped
  5      | 0      | no
  5      | -      | -
  900    | 5      | yes
  1100   | 5      | no
  29000  | 10000  | no
  20500  | 10000  | yes
"""


@pytest.mark.parametrize(("length", "cap", "capped"), rows(CAPPED), ids=ids(CAPPED))
def test_a_cap_that_was_outgrown_holds_nothing(length: str, cap: str, capped: str) -> None:
    """Twice as long as when it was last trimmed, and a little more for the sake of small ones."""
    facts = facts_of("e")._replace(length=int(length))
    found = is_capped(facts, None if cap == "-" else int(cap))
    assert {None: "-", True: "yes", False: "no"}[found] == capped
