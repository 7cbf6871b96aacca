"""The drawing of who needs whom: places, order of rows, and what a fault blocks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.drawn import ids, rows
from watchdog.report import Status
from watchdog.topology import cause_of
from watchdog.web.pages.graph import Role, causes_of, graph_of
from watchdog.web.pages.layout import HEIGHT, WIDTH, Layout, columns_of, layout_of

INCIDENT = {
    "intent_bridge": ("intents",),
    "apply_layer": ("intent_bridge", "rl_trainer", "rl_feedback"),
    "execution": ("apply_layer",),
}
PIPELINE = ("intents", "intent_bridge", "rl_feedback", "rl_trainer", "apply_layer", "execution")
Needs = dict[str, tuple[str, ...]]


def needs_in(text: str) -> Needs:
    """Return the needs drawn as ``a>b a>c``: b and c need a."""
    needs: dict[str, list[str]] = {}
    for needed, needing in (pair.split(">") for pair in text.split()):
        needs.setdefault(needing, []).append(needed)
    return {name: tuple(found) for name, found in needs.items()}


@some.composite
def graphs(draw: some.DrawFn) -> Needs:
    """Any needs without a cycle: each service may need some of those before it."""
    count = draw(some.integers(1, 14))
    names = [f"s{i}" for i in range(count)]
    return {
        name: tuple(draw(some.lists(some.sampled_from(names[:i]), max_size=3, unique=True)))
        for i, name in enumerate(names)
        if i
    }


def crossings(layout: Layout) -> int:
    """Count how many stretches of links between two columns cross, pair by pair."""
    stretches = [
        (link.points[i], link.points[i + 1])
        for link in layout.links
        for i in range(0, len(link.points) - 1, 2)
    ]
    return sum(
        a[0][0] == b[0][0] and (a[0][1] - b[0][1]) * (a[1][1] - b[1][1]) < 0
        for i, a in enumerate(stretches)
        for b in stretches[:i]
    )


def named(needs: Needs) -> list[str]:
    """Return all services in the order of their numbers."""
    names = {*needs, *(n for needed in needs.values() for n in needed)}
    return sorted(names, key=lambda name: int(name[1:]))


def naive_crossings(names: list[str], needs: Needs) -> int:
    """Count the crossings if each column has its services in the order of *names*, and links pass below."""
    column = columns_of(names, needs)
    links = [(needed, needing) for needing in names for needed in needs.get(needing, ())]
    stretches = []
    for i, (needed, needing) in enumerate(links):
        ends = {column[needed]: (0, names.index(needed)), column[needing]: (0, names.index(needing))}
        for at in range(column[needed], column[needing]):
            stretches.append((at, ends.get(at, (1, i)), ends.get(at + 1, (1, i))))
    return sum(
        a[0] == b[0] and a[1] != b[1] and a[2] != b[2] and (a[1] < b[1]) != (a[2] < b[2])
        for i, a in enumerate(stretches)
        for b in stretches[:i]
    )


# ---- where everything stands -------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_nothing_lies_on_anything_else(needs: Needs) -> None:
    """No two services overlap, no link passes through a service, and all is on the sheet."""
    layout = layout_of(needs, needs)
    boxes = layout.boxes
    for i, a in enumerate(boxes):
        assert 0 <= a.x <= layout.width - WIDTH
        assert 0 <= a.y <= layout.height - HEIGHT
        for b in boxes[:i]:
            assert abs(a.x - b.x) >= WIDTH or abs(a.y - b.y) >= HEIGHT
    for link in layout.links:
        for (x, y), (to_x, _) in zip(link.points[1::2], link.points[2::2], strict=False):
            assert not any(b.x < to_x and x < b.x + WIDTH and b.y <= y <= b.y + HEIGHT for b in boxes)


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_every_link_leads_to_the_right(needs: Needs) -> None:
    """Whoever needs something stands right of it, and the link goes from one's edge to the other's."""
    layout = layout_of(needs, needs)
    at = {box.name: box for box in layout.boxes}
    assert {(link.needed, link.needing) for link in layout.links} == {
        (needed, needing) for needing, all_needed in needs.items() for needed in all_needed
    }
    for link in layout.links:
        xs = [x for x, _ in link.points]
        assert xs == sorted(xs)
        assert link.points[0] == (at[link.needed].x + WIDTH, at[link.needed].y + HEIGHT // 2)
        assert link.points[-1] == (at[link.needing].x, at[link.needing].y + HEIGHT // 2)


def test_the_same_graph_is_always_drawn_alike() -> None:
    """Two processes whose sets have different orders draw the same: a page does not jump at a restart."""
    program = """if True:
        from watchdog.web.pages.layout import layout_of
        names = [f"service {i}" for i in range(40)]
        needs = {name: names[i // 3 : i : 5] for i, name in enumerate(names)}
        print(layout_of(names, needs))
    """
    drawn = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert drawn[0] == drawn[1] != ""


COLUMNS = """
  who needs whom                 | columns
  a>b b>c                        | a=0 b=1 c=2
  a>b b>c a>c                    | a=0 b=1 c=2
  a>b b>d c>d                    | a=0 b=1 c=1 d=2
  a>c b>c c>d c>e                | a=0 b=0 c=1 d=2 e=2
  a>b b>c c>d x>b x>d            | a=0 b=1 c=2 d=3 x=0
"""


@pytest.mark.parametrize(("drawn", "expected"), rows(COLUMNS), ids=ids(COLUMNS))
def test_columns(drawn: str, expected: str) -> None:
    """A service stands right of all it needs; an input that only feeds others stands right before them."""
    needs = needs_in(drawn)
    names = sorted({name for pair in drawn.split() for name in pair.split(">")})
    found = columns_of(names, needs)
    assert " ".join(f"{name}={found[name]}" for name in names) == expected


KNOWN = """
  graph               | who needs whom                                                  | fewest crossings
  incident            | i>b b>a t>a f>a a>e                                             | 0
  a knot              | a>y b>x c>w                                                     | 0
  a ladder, twisted   | a>z b>y c>x z>p y>q x>r                                         | 0
  fan out, fan in     | s>a s>b s>c a>t b>t c>t                                         | 0
  all to all          | a>x a>y b>x b>y                                                 | 1
  long way round      | a>b b>c c>d a>d                                                 | 0
  two lanes, crossed  | a>p b>q p>y q>x a>x b>y                                         | 1
"""


@pytest.mark.parametrize(("name", "drawn", "fewest"), rows(KNOWN), ids=[row[0] for row in rows(KNOWN)])
def test_as_few_links_cross_as_can(name: str, drawn: str, fewest: str) -> None:
    """Graphs whose least number of crossings is known are drawn with so many."""
    needs = needs_in(drawn)
    assert crossings(layout_of(needs, needs)) == int(fewest), name


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_ordering_is_never_worse_than_none(needs: Needs) -> None:
    """Not more links cross than if services stood in each column as they stand in the file."""
    names = named(needs)
    assert crossings(layout_of(names, needs)) <= naive_crossings(names, needs)


def test_pipelines_that_have_nothing_in_common_stand_side_by_side() -> None:
    """Two short ones share a row, and who needs nobody is not drawn at all."""
    layout = layout_of(["a", "b", "x", "y", "alone"], {"b": ["a"], "y": ["x"]})
    at = {box.name: box for box in layout.boxes}
    assert at["a"].y == at["x"].y
    assert at["b"].x + WIDTH < at["x"].x
    assert layout.apart == ("alone",)


def test_two_hundred_services_are_laid_out_before_anybody_notices() -> None:
    """A large graph takes tens of milliseconds once, and nothing the next time."""
    names = [f"service_{i}" for i in range(200)]
    needs = {name: tuple(names[max(0, i - 7) : i : 3]) for i, name in enumerate(names) if i % 9}
    began = time.process_time()
    layout = layout_of(names, needs)
    assert time.process_time() - began < 0.3  # measured: 0.02; a shared machine may be slow
    assert layout_of(list(names), dict(needs)) is layout


# ---- what is painted over it -------------------------------------------------------------------


def test_the_incident_shows_its_cause_and_what_it_blocks() -> None:
    """The trainer is dead: apply layer and execution are blocked by it, everything else is fine."""
    status = dict.fromkeys(PIPELINE, Status.OK) | {
        "rl_trainer": Status.CRITICAL,
        "execution": Status.CRITICAL,
    }
    graph = graph_of(status, INCIDENT, frozenset({"rl_trainer", "execution"}))
    assert {node.name: (node.role, node.blocked_by, node.words) for node in graph.nodes} == {
        "intents": (Role.FINE, None, "ok"),
        "intent_bridge": (Role.FINE, None, "ok"),
        "rl_feedback": (Role.FINE, None, "ok"),
        "rl_trainer": (Role.CAUSE, None, "critical: cause"),
        "apply_layer": (Role.BLOCKED, "rl_trainer", "blocked"),
        "execution": (Role.BLOCKED, "rl_trainer", "critical, blocked"),
    }
    assert [f"{edge.needed}>{edge.needing}" for edge in graph.edges if edge.blocked] == [
        "rl_trainer>apply_layer",
        "apply_layer>execution",
    ]
    told = {node.name: node.told for node in graph.nodes}
    assert told["apply_layer"] == (
        "apply_layer: ok, blocked by rl_trainer; needs intent_bridge, rl_trainer, rl_feedback"
    )
    assert told["rl_trainer"] == "rl_trainer: critical, the cause"


@settings(max_examples=50, deadline=None)
@given(graphs(), some.sets(some.sampled_from([f"s{i}" for i in range(14)])))
def test_the_cause_is_the_one_alerts_name(needs: Needs, failing: set[str]) -> None:
    """What the drawing calls the cause is what notifications call it, for every service."""
    causes = causes_of(layout_of(needs, needs), needs, failing)
    names = {*needs, *(n for needed in needs.values() for n in needed)}
    assert {name: causes.get(name) for name in names} == {
        name: cause_of(name, frozenset(failing), needs) for name in names
    }


def test_what_nobody_watches_is_drawn_as_such() -> None:
    """A need that the file does not watch has no status, and is not taken for healthy."""
    graph = graph_of({"shop": Status.OK, "alone": Status.OK}, {"shop": ("bank",)}, frozenset())
    assert [(node.name, node.status, node.words) for node in graph.nodes] == [
        ("bank", None, "not watched"),
        ("shop", Status.OK, "ok"),
    ]
    assert [node.name for node in graph.apart] == ["alone"]


def test_a_long_name_ends_in_an_ellipsis_and_a_path_is_only_a_path() -> None:
    """What is too long for its box is cut; no name gets into the data of a path."""
    long = "an_uncommonly_long_name_<b>of_a_service"
    graph = graph_of({long: Status.OK, "b": Status.OK}, {"b": (long,)}, frozenset())
    assert graph.nodes[0].label == "an_uncommonly_lon…"
    assert all(re.fullmatch(r"[MCHml0-9 -]+", edge.path) for edge in graph.edges)


def test_nothing_to_draw() -> None:
    """Services without needs make an empty sheet, and are all listed."""
    graph = graph_of({"a": Status.OK, "b": Status.WARNING}, {}, frozenset())
    assert (graph.width, graph.height, graph.nodes, graph.edges) == (0, 0, (), ())
    assert [node.name for node in graph.apart] == ["a", "b"]
