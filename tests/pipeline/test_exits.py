"""The second path of orders: what is proposed of which position, and what becomes of it."""

from collections.abc import Callable, Mapping

import pytest

from watchdog.pipeline import names
from watchdog.pipeline.broken import EvaluatesNothing, RenamedArgument
from watchdog.pipeline.execution import Order
from watchdog.pipeline.exits import PLACED, PROPOSED, Exits, proposal
from watchdog.pipeline.messages import Plan, UnreadableError, body
from watchdog.pipeline.results import decided, placed
from watchdog.pipeline.runtime import Context, Entry, Write

NOW = 1771364540.0
BOUGHT = Plan("p", "ETHUSDT", "EXECUTE", "ENTRY_PROPOSED", side="BUY", qty=0.6)
SOLD = Plan("q", "ETHUSDT", "EXECUTE", "FULL_CLOSE_PROPOSED", side="SELL", qty=0.6)
SMALL = Plan("r", "XRPUSDT", "EXECUTE", "ENTRY_PROPOSED", side="BUY", qty=5)
ContextOf = Callable[[str, Mapping[str, str]], Context]

POSITIONS = {
    "bought": ([placed(BOUGHT, "EXECUTE", True, NOW)], ["ETHUSDT 0.15"]),
    "refused": ([decided(BOUGHT, "EXECUTE", "kill_switch_active", NOW)], []),
    "sold": ([placed(BOUGHT, "EXECUTE", True, NOW), placed(SOLD, "EXECUTE", True, NOW)], []),
    "too small": ([placed(SMALL, "EXECUTE", True, NOW)], []),
}


def written(writes: list[Write] | tuple[Write, ...]) -> list[tuple[str, dict[str, object]]]:
    """Return what *writes* add, as stream and body."""
    found = []
    for write in writes:
        (
            _,
            stream,
            *_,
        ) = write.command
        rest = [str(part) for part in write.command[6:]]
        found.append((str(stream), body(dict(zip(rest[::2], rest[1::2], strict=True)))))
    return found


@pytest.mark.parametrize(("results", "expected"), POSITIONS.values(), ids=POSITIONS)
def test_a_part_of_what_was_bought_is_proposed(
    results: list[dict[str, str]], expected: list[str], context: Callable[[str, Mapping[str, str]], Context]
) -> None:
    """A quarter of each open position, if that is worth an order."""
    exits = Exits(context("exits", {}))
    for fields in results:
        assert exits.handle(Entry(PLACED, "1-0", fields), NOW) == ()
    proposed = written(tuple(exits.tick(NOW)))
    assert [f"{said['symbol']} {said['qty']}" for _, said in proposed] == expected
    assert {stream for stream, _ in proposed} <= {names.HARVEST_INTENT}


def test_it_is_proposed_again_until_it_is_closed(context: ContextOf) -> None:
    """What nobody closes is due at the next scan as well, what was closed is not; between scans nothing is."""
    exits = Exits(context("exits", {}))
    exits.handle(Entry(PLACED, "1-0", placed(BOUGHT, "EXECUTE", True, NOW)), NOW)
    assert [len(exits.tick(NOW + after)) for after in (0, 1, 2, 5)] == [1, 0, 1, 1]
    proposed = proposal(Order("ETHUSDT", "BUY", 0.6), NOW)
    ((stream, said),) = written(tuple(exits.handle(Entry(PROPOSED, "2-0", proposed), NOW + 6)))
    assert (stream, said["status"], said["close_qty"]) == (names.TRADE_CLOSED, "closed", 0.15)
    assert said["proposed_at"] == "2026-02-17T21:42:20.000000Z"
    assert not exits.tick(NOW + 10)


def test_a_proposal_without_a_quantity_is_unreadable(context: ContextOf) -> None:
    """It says which entry of which stream, and is dropped by the loop."""
    with pytest.raises(UnreadableError, match="qty"):
        Exits(context("exits", {})).handle(Entry(PROPOSED, "1-0", {"symbol": "ETHUSDT"}), NOW)


def test_broken_exits_break_as_they_did(context: ContextOf) -> None:
    """One names an argument that does not exist, the other a variable; only the first one is stopped by it."""
    with pytest.raises(TypeError, match="quantity"):
        RenamedArgument(context("exits", {})).handle(
            Entry(PROPOSED, "1-0", proposal(Order("ETHUSDT", "BUY", 0.6), NOW)), NOW
        )
    blind = EvaluatesNothing(context("exits", {}))
    blind.handle(Entry(PLACED, "1-0", placed(BOUGHT, "EXECUTE", True, NOW)), NOW)
    assert blind.tick(NOW) == []
