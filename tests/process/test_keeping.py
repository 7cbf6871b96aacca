"""What of the sidecar's knowledge outlives it: all that must, only when it changed, and as it was."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.crashed import overwrite
from tests.drawn import T0, minutes
from watchdog.alerts import Alert, State
from watchdog.keeping import Keeper, Kept
from watchdog.model import Labels, SignalKey
from watchdog.muting import Ack, Matcher, Silence
from watchdog.signals.base import Signal, SignalConfig
from watchdog.state import StateFile
from watchdog.telling import Receipt, Wishes

KEY = SignalKey("a", "flag", Labels(key="k"))
ALERT = Alert(
    Labels(alertname="FlagSet", service="a", severity="warning", key="k"),
    KEY,
    State.FIRING,
    active_since=T0,
    last_true=T0,
    summary="it is set",
    value=1.0,
    figures=("flag.set (1) == 1",),
    evidence={"value": "on"},
    fired_at=T0 + minutes(1),
    firings=(T0 + minutes(1),),
)
MARK = ALERT.labels.fingerprint
RECEIPT = Receipt(T0 + minutes(1), False, T0 + minutes(1), T0 + minutes(1), "a")
SILENCE = Silence("s1", (Matcher("service", "=", "b"),), T0, T0 + minutes(60), "ana", "night")
ACK = Ack(MARK, T0 + minutes(1), T0 + minutes(2), "bob")
KEPT = Kept(
    {ALERT.labels: ALERT},
    {("ops", MARK): RECEIPT, ("on call", MARK): RECEIPT},
    Wishes({"s1": SILENCE}, {MARK: ACK}),
    {"all_clear": T0},
)
NOTHING = Kept({}, {}, Wishes(), {})
RECEIVERS = ("ops", "on call")


class Diary(Signal[SignalConfig]):
    """A signal that remembers whatever it is told, and must be told it in a text."""

    def __init__(self, key: SignalKey, **known: str) -> None:
        super().__init__(key, SignalConfig(every=None), timedelta(0))
        self.known: Mapping[str, str] = known

    def memory(self) -> Mapping[str, Any]:
        """Return what it knows."""
        return self.known

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Know it again."""
        self.known = {name: text.strip() for name, text in memory.items()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "state.db"


@pytest.fixture
def reopen(path: Path) -> Iterator[Callable[[], StateFile]]:
    """Close the file if it is open, and open it."""
    opened: list[StateFile] = []

    def reopen() -> StateFile:
        for state in opened:
            state.close()
        opened.append(StateFile(str(path), lambda: T0))
        return opened[-1]

    yield reopen
    opened[-1].close()


Reopen = Callable[[], StateFile]


def keep(state: StateFile, kept: Kept, *signals: Signal[Any]) -> Keeper:
    """Keep all that and return who did."""
    keeper = Keeper(state)
    keeper.recall((), RECEIVERS, T0)
    keeper.watch(signals)
    keeper.stage(kept, [signal.key for signal in signals])
    state.commit()
    return keeper


def recalled(state: StateFile, *signals: Signal[Any], receivers: tuple[str, ...] = RECEIVERS) -> Kept:
    """Return what a process that starts five minutes later knows."""
    return Keeper(state).recall(signals, receivers, T0 + minutes(5))


def test_everything_comes_back_as_it_was(reopen: Reopen) -> None:
    """Alerts, what was told, what people said, and when things were last done."""
    keep(reopen(), KEPT)
    assert recalled(reopen()) == replace(
        KEPT, alerts={ALERT.labels: replace(ALERT, last_true=T0 + minutes(5))}
    )


LOOKED_AT = {State.PENDING: 0, State.FIRING: 5, State.BLIND: 0, State.RESOLVED: 0}


@pytest.mark.parametrize(("state", "since"), LOOKED_AT.items())
def test_only_what_fired_counts_as_true_until_now(reopen: Reopen, state: State, since: int) -> None:
    """Nobody looked in between; what nobody could see before that stays as old as it was."""
    keep(reopen(), replace(KEPT, alerts={ALERT.labels: replace(ALERT, state=state)}))
    assert recalled(reopen()).alerts[ALERT.labels].last_true == T0 + minutes(since)


def test_what_is_gone_is_forgotten(reopen: Reopen) -> None:
    """In the file as well."""
    state = reopen()
    keeper = keep(state, KEPT)
    keeper.stage(NOTHING, ())
    state.commit()
    assert recalled(reopen()) == NOTHING


def test_what_was_told_to_a_receiver_that_is_no_more_is_forgotten(reopen: Reopen) -> None:
    """Should one of that name come again, it has been told nothing."""
    keep(reopen(), KEPT)
    state = reopen()
    keeper = Keeper(state)
    kept = keeper.recall((), ("ops",), T0)
    assert set(kept.receipts) == {("ops", MARK)}
    keeper.stage(kept, ())
    state.commit()
    assert set(recalled(reopen()).receipts) == {("ops", MARK)}


# ---- only what changed -------------------------------------------------------------------------


def test_a_quiet_tick_writes_nothing(reopen: Reopen, path: Path) -> None:
    """Figures and words come anew with every look, and so does the time when it was last true."""
    state = reopen()
    signal = Diary(KEY, since="then")
    keeper = keep(state, KEPT, signal)
    before = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    for minute in range(1, 4):
        words = {"summary": f"for {minute}m", "figures": (f"{minute}",), "evidence": {"n": minute}}
        alert = replace(ALERT, value=float(minute), last_true=T0 + minutes(minute), **words)  # type: ignore[arg-type]
        receipts = {ticket: replace(receipt) for ticket, receipt in KEPT.receipts.items()}
        keeper.stage(replace(KEPT, alerts={alert.labels: alert}, receipts=receipts), [signal.key])
        state.commit()
    assert (path.read_bytes(), Path(f"{path}-wal").read_bytes()) == before


ENDED = replace(ALERT, state=State.RESOLVED, resolved_at=T0 + minutes(2))
LATER = T0 + minutes(3)
BONES = {
    "blind": (ALERT, replace(ALERT, state=State.BLIND, blind_since=LATER)),
    "resolved": (ALERT, ENDED),
    "fires": (replace(ALERT, state=State.PENDING, fired_at=None, firings=()), ALERT),
    "pending anew": (
        ENDED,
        replace(ALERT, state=State.PENDING, fired_at=None, active_since=LATER, before=ENDED),
    ),
    "for begins anew": (
        replace(ALERT, state=State.PENDING, fired_at=None),
        replace(ALERT, state=State.PENDING, fired_at=None, active_since=LATER),
    ),
    "fires at once anew": (ENDED, replace(ALERT, fired_at=LATER, firings=(*ALERT.firings, LATER))),
}


@pytest.mark.parametrize(("before", "after"), BONES.values(), ids=BONES.keys())
def test_every_change_of_an_alert_is_kept(reopen: Reopen, before: Alert, after: Alert) -> None:
    """With the words and figures of that moment."""
    state = reopen()
    keeper = keep(state, replace(KEPT, alerts={ALERT.labels: before}))
    keeper.stage(replace(KEPT, alerts={ALERT.labels: replace(after, summary="new words")}), ())
    state.commit()
    found = recalled(reopen()).alerts[ALERT.labels]
    assert replace(found, last_true=after.last_true) == replace(after, summary="new words")


# ---- what signals remember ---------------------------------------------------------------------


def test_each_signal_gets_its_own_memory(reopen: Reopen) -> None:
    """Two of one service and kind are kept apart by their labels; a new one gets nothing."""
    others = [SignalKey("a", "flag", Labels(key=key)) for key in ("other", "new")]
    keep(reopen(), NOTHING, Diary(KEY, since="1"), Diary(others[0], since="2"))
    signals = [Diary(KEY), Diary(others[0]), Diary(others[1])]
    recalled(reopen(), *signals)
    assert [signal.known for signal in signals] == [{"since": "1"}, {"since": "2"}, {}]


def test_a_signal_that_knows_nothing_any_more_forgets(reopen: Reopen) -> None:
    """A flag that is set again was not set all the time."""
    state, signal = reopen(), Diary(KEY, since="1")
    keeper = keep(state, NOTHING, signal)
    signal.known = {}
    keeper.stage(NOTHING, [signal.key])
    state.commit()
    again = Diary(KEY, since="nothing was recalled")
    recalled(reopen(), again)
    assert again.known == {"since": "nothing was recalled"}


def test_what_is_not_watched_for_a_while_is_remembered_all_the_same(reopen: Reopen) -> None:
    """A service that was commented out for a day keeps its last success."""
    keep(reopen(), NOTHING, Diary(KEY, since="1"))
    keep(reopen(), NOTHING)
    again = Diary(KEY)
    recalled(reopen(), again)
    assert again.known == {"since": "1"}


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3), st.text(max_size=5))
def test_memories_of_the_first_version_find_their_signals(
    tmp_path_factory: pytest.TempPathFactory, labels: dict[str, str], service: str
) -> None:
    """Whatever stands in their names."""
    path = tmp_path_factory.mktemp("old") / "state.db"
    key = SignalKey(service, "flag", Labels(labels))
    db = sqlite3.connect(path)
    db.executescript(
        "CREATE TABLE memory (service TEXT NOT NULL, kind TEXT NOT NULL, labels TEXT NOT NULL,"
        " json TEXT NOT NULL, PRIMARY KEY (service, kind, labels)) WITHOUT ROWID; PRAGMA user_version = 1;"
    )
    written = json.dumps(dict(key.labels), sort_keys=True, separators=(",", ":"))
    db.execute("INSERT INTO memory VALUES (?, ?, ?, ?)", (service, "flag", written, '{"since":"then"}'))
    db.commit()
    db.close()
    signal, state = Diary(key), StateFile(str(path), lambda: T0)
    Keeper(state).recall([signal], (), T0)
    state.close()
    assert signal.known == {"since": "then"}


# ---- broken records ----------------------------------------------------------------------------

STRANGE = {
    "alerts": {"state": "slumbering"},
    "receipts": {"fired_at": "yesterday"},
    "silences": {"id": "s1", "matchers": [["a", "=~", "("]]},
    "acks": [],
    "done": {"at": None},
}


@pytest.mark.parametrize("book", STRANGE)
def test_a_record_that_is_none_costs_no_other(reopen: Reopen, path: Path, book: str) -> None:
    """The file is set aside and told of; all else goes into the new one with the next tick."""
    keep(reopen(), KEPT, Diary(KEY, since="1"))
    state = reopen()
    state.stage(book, "bad", STRANGE[book])  # type: ignore[arg-type]
    state.commit()
    state, signal = reopen(), Diary(KEY)
    keeper = Keeper(state)
    kept = keeper.recall([signal], RECEIVERS, T0)
    assert (kept, signal.known) == (KEPT, {"since": "1"})
    assert (state.renewals, state.set_aside) == (1, f"{path}.corrupt-20260219T010000Z")
    assert (keeper.stage(kept, [signal.key]), keeper.stage(kept, [signal.key])) == (True, False)
    state.commit()
    state, signal = reopen(), Diary(KEY)
    assert (Keeper(state).recall([signal], RECEIVERS, T0), signal.known) == (KEPT, {"since": "1"})
    assert state.renewals == 0


def test_a_memory_that_is_none_is_forgotten(reopen: Reopen) -> None:
    """The signal begins anew; the others do not."""
    other = SignalKey("b", "flag", Labels())
    state = reopen()
    keep(state, KEPT, Diary(KEY, since=5), Diary(other, since="2"))  # type: ignore[arg-type]
    state, signals = reopen(), [Diary(KEY, new="yes"), Diary(other)]
    assert recalled(state, *signals).wishes == KEPT.wishes
    assert (state.renewals, [signal.known for signal in signals]) == (1, [{"new": "yes"}, {"since": "2"}])


def test_a_file_lost_while_running_is_written_anew(reopen: Reopen, path: Path) -> None:
    """All that the process knows, and nothing that has just ended."""
    state, signal = reopen(), Diary(KEY, since="1")
    silences = {"s1": SILENCE, "s2": replace(SILENCE, id="s2")}
    keeper = keep(state, replace(KEPT, wishes=Wishes(silences, {MARK: ACK})), signal)
    state.renew("as if it were broken")
    assert keeper.stage(KEPT, [signal.key])
    state.commit()
    again = Diary(KEY)
    state = reopen()
    kept = Keeper(state).recall([again], RECEIVERS, T0)
    assert (kept, again.known, state.renewals) == (KEPT, {"since": "1"}, 0)


def test_a_file_of_which_nothing_is_left_is_written_anew(reopen: Reopen, path: Path) -> None:
    """From memory alone."""
    state, signal = reopen(), Diary(KEY, since="1")
    keeper = keep(state, KEPT, signal)
    overwrite(path, 0, b"\xff" * 100)
    path.rename(path.with_name("somewhere else"))
    Path(f"{path}-wal").unlink()
    state.stage("done", "something", {"at": T0.isoformat()})
    state.commit()
    assert keeper.stage(KEPT, [signal.key])
    state.commit()
    again = Diary(KEY)
    kept = Keeper(reopen()).recall([again], RECEIVERS, T0)
    assert replace(kept, done=KEPT.done) == KEPT
    assert again.known == {"since": "1"}
