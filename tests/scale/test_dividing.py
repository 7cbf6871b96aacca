"""The same file at every shard: what each watches, under which labels, and what none watches twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

import pytest

from tests.drawn import T0
from watchdog.config import Config, parse
from watchdog.discovery import HEARTBEAT, STREAM
from watchdog.dividing import LATER, share
from watchdog.model import SignalKey
from watchdog.rules import Guard, Severity
from watchdog.scout import Scout
from watchdog.shards import Shard

SERVICES = ("orders", "bridge", "feeder", "risk", "trainer", "shop")
FILE = """
heartbeat: {key: "watchdog:alive"}
pair: {lease: "watchdog:pair"}
services:
  orders: {needs: [feeder], heartbeat: {key: orders}}
  bridge: {heartbeat: {key: bridge}}
  feeder: {heartbeat: {key: feeder}, settings: {file: /etc/feeder.env, require: {MODE: live}}}
  risk: {heartbeat: {key: risk}, health: {url: "http://127.0.0.1:1/"}}
  trainer: {heartbeat: {key: trainer}}
  shop: {heartbeat: {key: shop}}
rules:
  - {alert: RedisSlow, when: redis.latency > 1s, severity: warning}
receivers: {ops: {webhook: {url: "http://127.0.0.1:1/"}}}
"""
FOUND = """
discover:
  - {streams: "queue:{service}:*"}
  - {streams: ["queue:*", "other:*"], heartbeats: "beat:*"}
services:
  orders: {stream: [{key: "other:declared:1"}, {key: "other:declared:2"}, {key: "other:declared:3"}]}
"""


def shares(text: str, of: int) -> list[Config]:
    """Return what each shard has of the file *text*."""
    whole = parse(text)
    return [share(whole, Shard(number, of)) for number in range(1, of + 1)]


def guards(config: Config, key: SignalKey) -> dict[str, Guard]:
    """Return what is asked of the signal *key*, by the alert's name."""
    return {guard.rule.alert: guard for guard in config.binding.guards[key]}


def of_services(config: Config) -> Iterable[SignalKey]:
    """Yield the signals of the file's own services."""
    return (spec.key for spec in config.signals if spec.key.service in SERVICES)


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_every_service_is_watched_by_one_shard_whole(of: int) -> None:
    """No signal twice and none left out; and each shard can say whose the others are."""
    whole, parts = parse(FILE), shares(FILE, of)
    watched = Counter(key for part in parts for key in of_services(part))
    assert watched == Counter(of_services(whole))
    for part in parts:
        assert {key.service for key in of_services(part)} == set(part.services)
        assert {*part.services, *part.elsewhere} == set(whole.services)
        for service, number in part.elsewhere.items():
            assert service in parts[number - 1].services


def test_each_shard_has_its_own_name_where_all_write() -> None:
    """Lease and heartbeat are in one Redis; on its own each would hide that another is gone."""
    first, second = shares(FILE, 2)
    assert [part.pair and part.pair.lease for part in (first, second)] == [
        "watchdog:pair:1",
        "watchdog:pair:2",
    ]
    beats = [part.heartbeat and part.heartbeat.key for part in (first, second)]
    assert beats == ["watchdog:alive:1", "watchdog:alive:2"]


def test_each_shard_watches_the_heartbeat_of_the_next() -> None:
    """With the built-in rules for heartbeats, and no alert of it has the labels of another's."""
    parts = shares(FILE, 3)
    keys = [
        next(k for k in part.binding.guards if (k.service, k.kind) == ("watchdog", "heartbeat"))
        for part in parts
    ]
    assert [key.labels["key"] for key in keys] == ["watchdog:alive:2", "watchdog:alive:3", "watchdog:alive:1"]
    missing = guards(parts[0], keys[0])["HeartbeatMissing"].rule
    assert (missing.severity, missing.for_) == (Severity.CRITICAL, timedelta(seconds=30))


def test_one_shard_of_one_watches_everything_and_no_neighbour() -> None:
    """Somebody who begins with one must not be told that a second is missing."""
    (only,) = shares(FILE, 1)
    assert set(only.services) == set(SERVICES)
    assert [k for k in only.binding.guards if (k.service, k.kind) == ("watchdog", "heartbeat")] == []


def test_what_a_shard_says_of_itself_no_other_can_end() -> None:
    """`StateUnwritable` of one and of another are two alerts; Redis is one, and so is its alert."""
    first, second = shares(FILE, 2)
    for kind, more in (("watchdog", {}), ("receiver", {"receiver": "ops"})):
        keys = [part.own(kind, **more) for part in (first, second)]
        assert [dict(key.labels) for key in keys] == [{**more, "shard": "1"}, {**more, "shard": "2"}]
        assert keys[0] in first.binding.guards
        assert keys[1] in second.binding.guards
    redis = [{key for key in part.binding.guards if key.service == "redis"} for part in (first, second)]
    assert redis[0] == redis[1] == {SignalKey("redis", "redis", parse(FILE).signals[0].key.labels)}


def test_one_shard_tells_of_redis_and_the_others_only_that_it_stays_away() -> None:
    """Of two, the first has `redis`; the second cannot see the owner die, so it is late rather than silent."""
    (first, second), (key,) = (
        shares(FILE, 2),
        {k for k in shares(FILE, 2)[0].binding.guards if k.service == "redis"},
    )
    assert {"RedisDown", "RedisMemory", "RedisEvicting", "RedisSlow"} <= set(guards(first, key))
    assert set(guards(second, key)) == {"RedisDown", "SignalUnknown"}
    waits = [guards(part, key)["RedisDown"].rule.for_ for part in (first, second)]
    assert waits == [timedelta(seconds=10), timedelta(seconds=10) + LATER]


def test_the_graph_of_needs_stays_whole() -> None:
    """A shard that watches the cause can say whom it affects elsewhere."""
    for part in shares(FILE, 2):
        assert part.policy.needs["orders"] == ("feeder",)


def test_a_shard_says_that_it_is_bound_to_a_machine() -> None:
    """An env file is on one machine; a URL can be asked from anywhere."""
    first, second = shares(FILE, 2)
    assert [w for w in first.warnings if "shard" in w] == []
    assert [w for w in second.warnings if "shard" in w] == [
        "shard 2 of 2 has to run where these services' files, units and commands are: feeder"
        " (or watch them with a sidecar of that machine)"
    ]


# ---- what is discovered ------------------------------------------------------------------------


def found(config: Config, keys: Iterable[tuple[str, str]]) -> Counter[tuple[str, str]]:
    """Return which service each discovered key is watched for, and how often."""
    seen: Counter[tuple[str, str]] = Counter()
    for plan in config.discover:
        roster = Scout(plan, config).roster
        roster.begin_round()
        for kind, name in keys:
            if roster.sight(kind, name.encode()):
                change = roster.take(kind, name.encode(), ("g",) if kind == STREAM else None, T0)
                seen.update((key.service, f"{key.kind} {name}") for key in change.added)
        roster.end_round(T0)
    return seen


@pytest.mark.parametrize("of", [2, 5])
def test_what_is_discovered_is_watched_once(of: int) -> None:
    """By service where the name has one, else key by key; what is declared elsewhere is found nowhere."""
    keys = [(STREAM, f"queue:team{i}:{j}") for i in range(8) for j in range(3)]
    keys += [(STREAM, f"other:{i}") for i in range(24)] + [(HEARTBEAT, f"beat:{i}") for i in range(24)]
    keys += [(STREAM, f"other:declared:{i}") for i in (1, 2, 3)]
    parts = shares(FOUND, of)
    each = [found(part, keys) for part in parts]
    assert sum(each, Counter()) == found(parse(FOUND), keys)
    assert all(each)  # nobody's keys are spread, too
    owners = {
        (service, i) for i, mine in enumerate(each) for service, _ in mine if service.startswith("team")
    }
    assert len(owners) == 8  # a team is at one shard with all its streams


def test_a_shard_of_which_nothing_is_found_does_not_say_that_nothing_is_there() -> None:
    """`NothingDiscovered` is about the pattern; where all of it is elsewhere, `found` does not apply."""
    parts = shares("discover: {streams: 'queue:*'}", 2)
    told = []
    for part in parts:
        scout = Scout(part.discover[0], part)
        scout.roster.begin_round()
        scout.roster.sight(STREAM, b"queue:1")
        scout.roster.end_round(T0)
        scout.roster.take(STREAM, b"queue:1", (), T0)
        reading = scout.reading(T0)
        assert reading is not None
        told.append((reading.signal.labels["shard"], reading.values.get("found", "does not apply")))
    assert sorted(told, key=lambda one: str(one[1])) == [("1", 1.0), ("2", "does not apply")]
