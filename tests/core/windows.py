"""
Windows of looks at a consumer group, drawn look by look, `;` between them.

What is not drawn stays as in the look before. `t` seconds, `at` position, `new` newest entry, `first` oldest
entry kept, `len` length, `gone` entries ever removed, `del` the highest ever deleted, `read` entries-read,
`lag` backlog (`9+` at least 9), `wait` seconds for which the oldest undelivered entry waits, `pend` pending,
`old` age of the oldest pending, `most` deliveries of one entry, `who` consumers, `quiet` seconds since one of
them succeeded, `tried` since one tried. `-` is unknown or none.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.drawn import T0
from watchdog.backlog import NO_BACKLOG, Backlog, Provenance
from watchdog.entries import EntryId
from watchdog.facts import GroupFacts, StreamFacts
from watchdog.groups import Delivery, Found, GroupLook, Holders, look_on

HEALTHY: dict[str, int | None] = {
    "at": 100, "new": 100, "first": 1, "len": 100, "gone": 0, "del": 0, "read": 100, "lag": 0, "wait": None,
    "pend": 0, "old": None, "most": 1, "who": 1, "quiet": 0, "tried": None,
}  # fmt: skip
"""All read, all acknowledged, one consumer that has just been there."""
START = T0.timestamp()


def looks(text: str) -> list[GroupLook]:
    """Return the looks of a drawn window."""
    drawn: dict[str, Any] = dict(HEALTHY)
    made: list[GroupLook] = []
    for part in text.split(";"):
        drawn |= {"bound": False}
        for item in part.split():
            name, _, said = item.partition("=")
            drawn["bound"] |= said.endswith("+")
            drawn[name] = None if said == "-" else int(said.rstrip("+"))
        before = made[-1] if made else None
        now = T0 + timedelta(seconds=drawn["t"])
        made.append(look_on(before, before and before.place, found(drawn), now))
    return made


def found(drawn: dict[str, Any]) -> Found:
    """Return what a look finds that is drawn as *drawn*."""
    at = START + drawn["t"]
    new, first = EntryId(drawn["new"], 0), EntryId(drawn["first"], 0)
    empty = drawn["len"] == 0
    stream = StreamFacts(
        length=drawn["len"],
        generated=new,
        first=None if empty else first,
        last=None if empty else new,
        added=drawn["len"] + drawn["gone"],
        deleted=EntryId(drawn["del"], 0),
        groups=1,
        radix_keys=1,
        radix_nodes=1,
    )
    group = GroupFacts(
        EntryId(drawn["at"], 0), drawn["pend"], drawn["who"], drawn["read"], drawn["lag"], counts=True
    )
    backlog = NO_BACKLOG
    if drawn["lag"] != 0 or drawn["wait"] is not None:
        told = Provenance.AT_LEAST if drawn["bound"] else Provenance.REPORTED
        backlog = Backlog(drawn["lag"], told, _aged(at, drawn["wait"]))
    holders = Holders(
        at,
        quiet_at=None if drawn["quiet"] is None else at - drawn["quiet"],
        tried_at=None if drawn["tried"] is None else at - drawn["tried"],
        deliveries=(Delivery(EntryId(1, 0), "host_1", drawn["most"]),),
    )
    return Found(stream, group, backlog, _aged(at, drawn["old"]), holders=holders)


def _aged(at: float, age: int | None) -> EntryId | None:
    return None if age is None else EntryId(round((at - age) * 1000), 0)
