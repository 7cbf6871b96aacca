"""Random histories on real servers, every look held to a model that knows what became of every entry."""

from __future__ import annotations

import pytest

from tests.groups.campaign import MANNERS, campaign
from tests.groups.wire import Wire

HISTORIES = 60
"""In each manner on each server; docs/explanation/consumer-groups.md has the figures of thousands."""
SEED = 20260219


@pytest.mark.redis
@pytest.mark.parametrize("manner", MANNERS)
def test_never_wrong(server: tuple[str, Wire], manner: str) -> None:
    """Backlog, pending entries, loss and verdict are right, or say that they are not known."""
    name, wire = server
    tally, failures = campaign(wire, name, manner, HISTORIES, SEED)
    told = ["\n".join([*failure.wrong, *failure.told]) for failure in failures]
    assert not told, "\n\n".join(
        [f"python -m tests.groups --server {name} --manner {manner} --seed {SEED}", *told]
    )
    assert tally["histories"] == HISTORIES
    assert tally["looks"] > 5 * HISTORIES
