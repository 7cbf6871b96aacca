"""Who needs whom: cycles, causes and what they affect, on small drawn graphs."""

from __future__ import annotations

import pytest

from tests.drawn import ids, rows
from watchdog.topology import Needs, affected, cause_of, find_cycle, inverted, upstream

PIPELINE = "bridge<intents apply<bridge,trainer,feedback execution<apply"


def needs_of(drawn: str) -> dict[str, tuple[str, ...]]:
    """Return the graph drawn as ``a<b,c``: a needs b and c."""
    pairs = (edge.partition("<") for edge in drawn.split())
    return {service: tuple(needed.split(",")) if needed else () for service, _, needed in pairs}


CYCLES = f"""
  needs                    | cycle
  a                        | -
  a<b                      | -
  a<b b<c                  | -
  a<b,c b<d c<d            | -
  {PIPELINE}               | -
  a<a                      | a a
  a<b b<a                  | a b a
  b<a a<b                  | a b a
  a<b b<c c<b              | b c b
  a<x,b b<c c<a            | a b c a
  a<b,c b<d c<d d<e e<c    | d e c d
  z<a a<b b<z              | a b z a
"""


@pytest.mark.parametrize(("drawn", "cycle"), rows(CYCLES), ids=ids(CYCLES))
def test_cycles(drawn: str, cycle: str) -> None:
    """A cycle is shown with its first service again at its end, whoever is written first."""
    assert find_cycle(needs_of(drawn)) == (None if cycle == "-" else cycle.split())


UPSTREAM = f"""
  needs                | of        | upstream
  a                    | a         | -
  a<b                  | unknown   | -
  a<z,b                | a         | b z
  a<c,b b<d c<d d<e    | a         | b c d e
  a<b,d b<c c<d        | a         | b d c
  {PIPELINE}           | execution | apply bridge feedback trainer intents
  a<b b<a              | a         | b
"""


@pytest.mark.parametrize(("drawn", "of", "expected"), rows(UPSTREAM), ids=ids(UPSTREAM))
def test_upstream(drawn: str, of: str, expected: str) -> None:
    """The nearest first, then by name; a cycle ends where it began."""
    assert upstream(of, needs_of(drawn)) == ([] if expected == "-" else expected.split())


AFFECTED = f"""
  needs          | of        | affected
  a              | a         | -
  b<a c<b d      | a         | b c
  {PIPELINE}     | trainer   | apply execution
  {PIPELINE}     | execution | -
  a<b b<a        | a         | b
"""


@pytest.mark.parametrize(("drawn", "of", "expected"), rows(AFFECTED), ids=ids(AFFECTED))
def test_affected(drawn: str, of: str, expected: str) -> None:
    """All who need it, directly or not."""
    assert affected(of, inverted(needs_of(drawn))) == ([] if expected == "-" else expected.split())


CAUSES = f"""
  needs               | failing                 | of        | cause
  {PIPELINE}          | -                       | execution | -
  {PIPELINE}          | execution               | execution | -
  {PIPELINE}          | trainer apply execution | execution | trainer
  {PIPELINE}          | trainer apply execution | apply     | trainer
  {PIPELINE}          | trainer apply execution | trainer   | -
  {PIPELINE}          | trainer execution       | execution | trainer
  {PIPELINE}          | apply intents           | execution | intents
  {PIPELINE}          | trainer feedback        | apply     | feedback
  {PIPELINE}          | trainer intents         | execution | trainer
  a<z,b               | z b                     | a         | b
  a<b                 | unrelated               | a         | -
"""


@pytest.mark.parametrize(("drawn", "failing", "of", "cause"), rows(CAUSES), ids=ids(CAUSES))
def test_causes(drawn: str, failing: str, of: str, cause: str) -> None:
    """The nearest failing service that needs no failing one itself, then by name."""
    found = cause_of(of, frozenset(failing.split()) - {"-"}, needs_of(drawn))
    assert found == (None if cause == "-" else cause)


def ladder(rungs: int) -> Needs:
    """Return a graph in which both services of a rung need both of the next: 2**rungs ways down."""
    return {f"{side}{i:03}": (f"a{i + 1:03}", f"b{i + 1:03}") for i in range(rungs) for side in "ab"}


def test_many_ways_to_one_service_are_walked_once() -> None:
    """A hundred rungs take no longer than their services."""
    needs = ladder(100)
    assert find_cycle(needs) is None
    assert len(upstream("a000", needs)) == 200
    assert len(affected("a100", inverted(needs))) == 200
    assert cause_of("a000", frozenset({"a050", "b100"}), needs) == "b100"
