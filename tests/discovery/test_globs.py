"""Patterns: what they take, whose a key is by them, and which of them are refused, in words."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.drawn import ids, rows
from watchdog.globs import Pattern, common_match, parse_exclusion, parse_pattern

from .conftest import Lookout

TAKES = r"""
  pattern                        | name                          | whose
  quantum:stream:*               | quantum:stream:apply.plan     | (nobody's)
  quantum:stream:*               | quantum:stream:               | (nobody's)
  quantum:stream:*               | quantum:streams:apply.plan    | (not taken)
  quantum:stream:{service}       | quantum:stream:apply.plan     | apply.plan
  quantum:stream:{service}       | quantum:stream:               | (not taken)
  quantum:svc:{service}:beat     | quantum:svc:rl_trainer:beat   | rl_trainer
  quantum:svc:{service}:beat     | quantum:svc:eu:orders:beat    | eu:orders
  quantum:svc:{service}:*        | quantum:svc:eu:orders:beat    | eu
  {service}:events               | orders:events                 | orders
  {service}:events               | :events                       | (not taken)
  q:?:x                          | q:1:x                         | (nobody's)
  q:?:x                          | q:é:x                         | (not taken)
  q:??:x                         | q:é:x                         | (nobody's)
  q:[a-c][^0-9]                  | q:bx                          | (nobody's)
  q:[a-c][^0-9]                  | q:b7                          | (not taken)
  q:[c-a]                        | q:b                           | (nobody's)
  q:\*                           | q:*                           | (nobody's)
  q:\*                           | q:x                           | (not taken)
  q:\{service}                   | q:{service}                   | (nobody's)
  {orders}:stream:*              | {orders}:stream:new           | (nobody's)
  q:*:*:end                      | q:1:2:3:end                   | (nobody's)
  q:*:*:end                      | q:1:end                       | (not taken)
"""


@pytest.mark.parametrize(("pattern", "name", "whose"), rows(TAKES), ids=ids(TAKES))
def test_pattern_and_name(pattern: str, name: str, whose: str) -> None:
    """Whose key a name is by a pattern, if the pattern takes it at all."""
    read = parse_pattern(pattern)
    if not read.takes(name.encode()):
        assert whose == "(not taken)"
        assert read.service_of(name.encode()) is None
        return
    service = read.service_of(name.encode())
    assert whose == ("(nobody's)" if service is None else service.decode())


REFUSED = r"""
  pattern          | why
  *                | "*" has no fixed beginning, so it could be any key (begin as the names begin: orders:*)
  ?:x              | "?:x" has no fixed beginning, so it could be any key (begin as the names begin: orders:*)
  {service}?x      | "{service}?x" has no fixed beginning, so it could be any key (begin as the names begin: orders:*)
  q:[abc           | "q:[abc" has a [ without its ] (write \[ for the sign itself)
  q:[a-]           | "q:[a-]" has a [ without its ] (write \[ for the sign itself)
  q:[]             | "q:[]" has a [] with nothing in it (write \[ for the sign itself)
  q:[é]            | "q:[é]" has a sign between [ and ] that is several bytes long (write * instead)
  q:x\             | "q:x\" ends with a \ that takes nothing (write \\ for the sign itself)
  q:{servce}:x     | "{servce}" names nothing (did you mean "{service}"?)
  q:{services}:x   | "{services}" names nothing (did you mean "{service}"?)
  q:{service}*     | "q:{service}*" has * beside {service}, so a name has no end (put a sign between them)
  {service}:{service} | "{service}:{service}" names the service twice (write * for one of them)
"""


@pytest.mark.parametrize(("pattern", "why"), rows(REFUSED), ids=ids(REFUSED))
def test_patterns_that_will_not_do(pattern: str, why: str) -> None:
    """Each is refused with the reason and the cure."""
    with pytest.raises(ValueError) as refused:
        parse_pattern(pattern)
    assert why == str(refused.value)


NOT_EXCLUDED = """
  pattern          | why
  *                | "*" leaves everything out (say what the names to leave out have in common)
  **               | "**" leaves everything out (say what the names to leave out have in common)
  q:{service}      | "q:{service}" names a service, but only leaves names out (write * instead)
"""


@pytest.mark.parametrize(("pattern", "why"), rows(NOT_EXCLUDED), ids=ids(NOT_EXCLUDED))
def test_exclusions_that_will_not_do(pattern: str, why: str) -> None:
    """What leaves nothing, or speaks of services, is refused."""
    with pytest.raises(ValueError) as refused:
        parse_exclusion(pattern)
    assert why == str(refused.value)


TOGETHER = r"""
  patterns                          | MATCH
  q:svc:{service}:beat              | q:svc:?*:beat
  q:svc:{service}:beat q:exit:beat  | q:*
  q:[ab]:x q:[cd]:x                 | q:*
  a*b:x a*b:y                       | a*
  a\*b:x a\*b:y                     | a\*b:*
  orders:* trades:*                 | (none)
  {service}:beat q:beat             | (none)
"""


@pytest.mark.parametrize(("patterns", "match"), rows(TOGETHER), ids=ids(TOGETHER))
def test_patterns_that_are_looked_for_together(patterns: str, match: str) -> None:
    """One MATCH for all that begins alike; none where nothing does."""
    found = common_match([parse_pattern(pattern) for pattern in patterns.split()])
    assert match == ("(none)" if found is None else found.decode())


def test_a_hostile_name_costs_no_time() -> None:
    """Thirty stars against half a kilobyte that almost fits: backtracking would outlive us."""
    pattern = parse_pattern("a" + "*a" * 30 + "*b")
    assert not pattern.takes(b"a" * 512)
    assert pattern.takes(b"a" * 512 + b"b")


SIGNS = st.text(st.sampled_from("ab-]^[\\*?:é"), max_size=8)
NAMES = st.lists(
    st.lists(
        st.sampled_from([b"a", b"b", b"-", b"]", b"^", b"[", b"\\", b"*", b":", b"\xc3", b"\xa9", b"\n"]),
        max_size=6,
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(signs=st.tuples(SIGNS, st.sampled_from(["", "{service}"]), SIGNS), name_parts=NAMES)
def test_every_pattern_takes_what_the_server_takes(
    lookout: Lookout, signs: tuple[str, str, str], name_parts: list[list[bytes]]
) -> None:
    """SCAN with our MATCH brings exactly those of some names that the pattern takes here as well."""
    try:
        pattern = parse_pattern("k" + "".join(signs))
    except ValueError:
        return
    candidates = {b"k" + b"".join(parts) for parts in name_parts}
    lookout.client.flushall()
    lookout.client.mset(dict.fromkeys(candidates, "x"))
    brought = set(lookout.client.scan_iter(match=pattern.match, count=1_000))
    assert brought == {name for name in candidates if pattern.takes(name)}
    assert all(takes_with_service(pattern, name) for name in brought)


def takes_with_service(pattern: Pattern, name: bytes) -> bool:
    """Say whether the service of *name* is a part of it, and is there if the pattern names one."""
    service = pattern.service_of(name)
    return (service is not None and len(service) > 0 and service in name) == pattern.names_service
