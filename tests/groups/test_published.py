"""The published cases of a wrong lag, on each server: what it says, what is true, what we say."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.drawn import T0, rows
from tests.groups.eyes import Eyes
from tests.groups.wire import SERVERS, Wire
from watchdog.signals.base import Refused

HISTORIES: Mapping[str, str] = {
    # https://github.com/redis/redis/issues/13337: an entry ahead is deleted, and so is all before it
    "redis 13337": """
        XGROUP CREATE s g $ MKSTREAM; XADD s 0-1 n 1; XADD s 0-2 n 1; XREADGROUP GROUP g c STREAMS s >
        XADD s 0-3 n 1; XADD s 0-4 n 1; XDEL s 0-1; XDEL s 0-2; XDEL s 0-3""",
    "redis 13337, read on": """
        XGROUP CREATE s g $ MKSTREAM; XADD s 0-1 n 1; XADD s 0-2 n 1; XREADGROUP GROUP g c STREAMS s >
        XADD s 0-3 n 1; XADD s 0-4 n 1; XDEL s 0-1; XDEL s 0-2; XDEL s 0-3; XREADGROUP GROUP g c STREAMS s >""",
    # https://github.com/redis/redis/issues/13957: trimmed past the group, which then reads on
    "redis 13957": """
        XADD s 1-0 n 1; XADD s 2-0 n 1; XADD s 3-0 n 1; XADD s 4-0 n 1; XADD s 5-0 n 1; XGROUP CREATE s g 0
        XREADGROUP GROUP g c COUNT 1 STREAMS s >; XTRIM s MAXLEN 1""",
    "redis 13957, read on": """
        XADD s 1-0 n 1; XADD s 2-0 n 1; XADD s 3-0 n 1; XADD s 4-0 n 1; XADD s 5-0 n 1; XGROUP CREATE s g 0
        XREADGROUP GROUP g c COUNT 1 STREAMS s >; XTRIM s MAXLEN 1; XREADGROUP GROUP g c COUNT 1 STREAMS s >""",
    # https://github.com/redis/redis/issues/14257: a counter set by hand, higher than anything was added
    "redis 14257": "XADD s 1-0 n 1; XGROUP CREATE s g $ ENTRIESREAD 100",
    "redis 14257, one more": "XADD s 1-0 n 1; XGROUP CREATE s g $ ENTRIESREAD 100; XADD s 2-0 n 1",
    # https://github.com/valkey-io/valkey/issues/1951: deleted ahead of the group, which then reads past it
    "valkey 1951": """
        XADD s 1-0 n 1; XADD s 2-0 n 1; XADD s 3-0 n 1; XADD s 4-0 n 1; XGROUP CREATE s g 0
        XREADGROUP GROUP g c COUNT 2 STREAMS s >; XDEL s 3-0""",
    "valkey 1951, read on": """
        XADD s 1-0 n 1; XADD s 2-0 n 1; XADD s 3-0 n 1; XADD s 4-0 n 1; XGROUP CREATE s g 0
        XREADGROUP GROUP g c COUNT 2 STREAMS s >; XDEL s 3-0; XREADGROUP GROUP g c COUNT 2 STREAMS s >""",
    # https://github.com/redis/redis/issues/10569: a claim moves the position, and forgets the counter
    "redis 10569": """
        XADD s 1-0 n 1; XADD s 2-0 n 1; XADD s 3-0 n 1; XADD s 4-0 n 1; XADD s 5-0 n 1; XGROUP CREATE s g 0
        XREADGROUP GROUP g c COUNT 1 STREAMS s >; XCLAIM s g c 0 1-0 LASTID 4-0""",
    # https://github.com/redis/redis/issues/15488: the stream's own counter set by hand
    "redis 15488": """
        XADD s 1-0 n 1; XADD s 2-0 n 1; XADD s 3-0 n 1; XADD s 4-0 n 1; XADD s 5-0 n 1; XGROUP CREATE s g 0
        XREADGROUP GROUP g c COUNT 4 STREAMS s >; XTRIM s MAXLEN 1; XSETID s 5-0 ENTRIESADDED 1 MAXDELETEDID 0-0""",
    # incident/pipeline.md: made at the end, never read from
    "never started": "XADD s 1-0 n 1; XADD s 2-0 n 1; XADD s 3-0 n 1; XDEL s 2-0; XGROUP CREATE s g $; XADD s 4-0 n 1",
}
SAID = """
  history                | true | redis-6.2 | redis-7.0 | valkey-9
  redis 13337            | 1    | silent    | 2         | NULL
  redis 13337, read on   | 0    | silent    | 1         | 0
  redis 13957            | 1    | silent    | 4         | 4
  redis 13957, read on   | 0    | silent    | 3         | 0
  redis 14257            | 0    | silent    | -99       | -99
  redis 14257, one more  | 1    | silent    | -98       | -98
  valkey 1951            | 1    | silent    | NULL      | NULL
  valkey 1951, read on   | 0    | silent    | 1         | 0
  redis 10569            | 1    | silent    | 4         | 4
  redis 15488            | 1    | silent    | -3        | -3
  never started          | 1    | silent    | NULL      | NULL
"""
NOT_BEFORE_7 = (" ENTRIESREAD 100", " ENTRIESADDED 1 MAXDELETEDID 0-0")


def happen(wire: Wire, history: str, counts: bool) -> None:
    """Let *history* happen on an empty server; what came with 7.0 is left out before."""
    wire.one("FLUSHALL")
    for gone in () if counts else NOT_BEFORE_7:
        history = history.replace(gone, "")
    for command in history.replace("\n", ";").split(";"):
        if command.strip():
            reply = wire.one(*command.split())
            assert not isinstance(reply, Refused), f"{command.strip()}: {reply}"


def lag_said(wire: Wire) -> str:
    """Return the server's own lag of the group: a number, NULL, or `silent` where it tells none."""
    (row,) = wire.one("XINFO", "GROUPS", "s")
    said = dict(zip(row[::2], row[1::2], strict=True))
    return "silent" if b"lag" not in said else "NULL" if said[b"lag"] is None else str(said[b"lag"])


def truly_waiting(wire: Wire) -> int:
    """Return how many entries lie above the group's position, by walking over all of them."""
    (row,) = wire.one("XINFO", "GROUPS", "s")
    position = dict(zip(row[::2], row[1::2], strict=True))[b"last-delivered-id"].decode()
    return len(wire.one("XRANGE", "s", f"({position}", "+"))


@pytest.mark.redis
@pytest.mark.parametrize("row", rows(SAID), ids=[row[0] for row in rows(SAID)])
def test_published_cases(server: tuple[str, Wire], row: tuple[str, ...]) -> None:
    """Beside what the server says stands what is true, and we say what is true."""
    name, wire = server
    history, true, *said = row
    happen(wire, HISTORIES[history], SERVERS[name].counts)
    eyes = Eyes(wire, "s", ["g"])
    eyes.whole("g", T0)
    expected = (int(true), dict(zip(SERVERS, said, strict=True))[name], float(true))
    assert (truly_waiting(wire), lag_said(wire), eyes.readings["g"].values["lag"]) == expected
