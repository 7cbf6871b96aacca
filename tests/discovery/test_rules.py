"""What is raised of streams that nobody reads and groups that nobody writes for (S01, W11, G10), and what is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.drawn import ids, rows
from watchdog.audit import audit
from watchdog.config import parse

from .conftest import Lookout

STREAMS = """
  entries so many minutes ago | groups | raised
  50 30 10 1                  | -      | StreamUnread
  50 30 10 1                  | g      | -
  3000 1500                   | g      | StreamAbandoned
  3000 1500                   | g h    | StreamAbandoned
  3000 1500                   | -      | -
  3000 50 1                   | g      | -
  -                           | g      | -
  -                           | g h    | -
"""


def raised_by(text: str, lookout: Lookout, now: datetime) -> list[str]:
    """Return the alerts that an audit of the file *text* raises."""
    found = audit(parse(f"{text}\nredis: '{lookout.url}'\n"), now)
    return [notice.alert.labels["alertname"] for notice in found.notices]


@pytest.mark.parametrize(("entries", "groups", "raised"), rows(STREAMS), ids=ids(STREAMS))
def test_streams_that_reach_nobody(lookout: Lookout, entries: str, groups: str, raised: str) -> None:
    """Written and not read; read and not written; driven by rare events and empty for weeks (S22)."""
    seconds, micros = lookout.client.time()
    now = datetime.fromtimestamp(seconds + micros / 1e6, UTC)
    for group in groups.replace("-", "").split():
        lookout.client.xgroup_create("q:s", group, "0", mkstream=True)
    for minutes in entries.replace("-", "").split():
        at = now - timedelta(minutes=float(minutes))
        lookout.client.xadd("q:s", {"n": "1"}, id=f"{int(at.timestamp() * 1000)}-0")
    for group in groups.replace("-", "").split():
        lookout.client.xreadgroup(group, "me", {"q:s": ">"}, noack=True)
    assert raised == (" ".join(raised_by("discover: {streams: 'q:*'}", lookout, now)) or "-")


def test_a_stream_of_the_file_is_held_to_it_only_where_it_says_so(lookout: Lookout) -> None:
    """A declared stream may be read without groups."""
    seconds, _ = lookout.client.time()
    lookout.client.xadd("q:s", {"n": "1"})
    now = datetime.fromtimestamp(seconds + 1, UTC)
    for keys, raised in (("key: 'q:s'", []), ("key: 'q:s', expect_groups: true", ["StreamUnread"])):
        text = f"services: {{a: {{stream: {{{keys}}}}}}}\ndiscover: {{streams: 'q:*'}}"
        assert raised == raised_by(text, lookout, now)


def test_a_typo_in_the_pattern_is_not_health(lookout: Lookout) -> None:
    """Nothing found is told, and so is more than the limit."""
    for name in "abc":
        lookout.client.xgroup_create(f"q:{name}", "g", mkstream=True)
    seconds, _ = lookout.client.time()
    now = datetime.fromtimestamp(seconds, UTC)
    for item, raised in (
        ("streams: 'p:*'", ["NothingDiscovered"]),
        ("streams: 'q:*', limit: 5", ["DiscoveryLimited"]),
        ("streams: 'q:*', limit: 6", []),
    ):
        assert raised == raised_by(f"discover: {{{item}}}", lookout, now)
