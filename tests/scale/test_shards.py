"""Which shard has what: written by people, the same for ever, evenly, and moved as little as can be."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.drawn import ids, rows
from watchdog.shards import Shard, jump, owner, parse_shard

WRITTEN = """
  --shard        | which one, or why not
  3/10           | shard 3 of 10
  1/1            | shard 1 of 1
  10 / 10        | shard 10 of 10
  0/3            | "0/3": there is no shard 0 of 3 (they are 1/3 to 3/3)
  11/10          | "11/10": there is no shard 11 of 10 (they are 1/10 to 10/10)
  1/0            | "1/0": there are 1 to 1000 shards (write which one of how many: 3/10)
  1/5000         | "1/5000": there are 1 to 1000 shards (write which one of how many: 3/10)
  3              | "3" is no shard (write which one of how many: 3/10)
  -1/3           | "-1/3" is no shard (write which one of how many: 3/10)
  3 of 10        | "3 of 10" is no shard (write which one of how many: 3/10)
  ٣/10           | "٣/10" is no shard (write which one of how many: 3/10)
"""
PUBLISHED = """
  key                  | buckets | bucket
  1                    | 1       | 0
  42                   | 57      | 43
  3735883980           | 666     | 361
  256                  | 1024    | 520
  10863919174838991    | 11      | 6
  2016238256797177309  | 11      | 3
  1673758223894951030  | 11      | 5
"""
FOR_EVER = """
  service    | of 2 | of 3 | of 10
  redis      | 1    | 3    | 6
  orders     | 1    | 1    | 10
  feeder     | 2    | 2    | 2
"""


@pytest.mark.parametrize(("written", "expected"), rows(WRITTEN), ids=ids(WRITTEN))
def test_a_shard_is_written_as_which_of_how_many(written: str, expected: str) -> None:
    """Counted from one; whatever makes no sense is refused in one sentence with the cure."""
    try:
        said = str(parse_shard(written))
    except ValueError as exc:
        said = str(exc)
    assert said == expected


@pytest.mark.parametrize(("key", "buckets", "bucket"), rows(PUBLISHED), ids=ids(PUBLISHED))
def test_the_hash_is_the_published_one(key: str, buckets: str, bucket: str) -> None:
    """Values that other people's implementations test as well."""
    assert jump(int(key), int(buckets)) == int(bucket)


@pytest.mark.parametrize(("service", "of_2", "of_3", "of_10"), rows(FOR_EVER), ids=ids(FOR_EVER))
def test_a_service_stays_where_it_is_for_ever(service: str, of_2: str, of_3: str, of_10: str) -> None:
    """Another Python, another machine or a new version must not move all alerts."""
    assert [owner(service, count) for count in (2, 3, 10)] == [int(of_2), int(of_3), int(of_10)]


@given(st.text(), st.integers(1, 200))
def test_one_more_shard_takes_and_nothing_else_moves(name: str, count: int) -> None:
    """From n to n + 1 a service stays or goes to the new shard."""
    before, after = owner(name, count), owner(name, count + 1)
    assert 1 <= before <= count
    assert after in (before, count + 1)


def test_ten_shards_have_a_tenth_each_and_an_eleventh_takes_an_eleventh() -> None:
    """Within what chance does: a tenth of 10,000 services is 1,000 and some 30."""
    names = [f"service-{i}" for i in range(10_000)]
    each = Counter(owner(name, 10) for name in names)
    assert set(each) == set(range(1, 11))
    assert all(900 < count < 1_100 for count in each.values()), each
    moved = sum(owner(name, 10) != owner(name, 11) for name in names)
    assert 800 < moved < 1_020


def test_each_watches_the_next_and_all_are_watched() -> None:
    """The shards stand in a ring."""
    assert [Shard(number, 3).next for number in (1, 2, 3)] == [Shard(2, 3), Shard(3, 3), Shard(1, 3)]
