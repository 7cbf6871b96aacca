"""Readings onto a tape and back, whatever becomes of the file in between."""

from __future__ import annotations

import gzip
import os
import resource
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.drawn import T0, minutes
from watchdog.errors import RecordingError
from watchdog.model import AtLeast, Counted, Labels, Reading, SignalKey, Since
from watchdog.muting import Ack, Matcher, Silence
from watchdog.recording import SegmentReader, SegmentWriter, Tick
from watchdog.tape import Tape, read_ticks
from watchdog.telling import Wishes
from watchdog.units import EPOCH

MIB = 2**20
EVERY = timedelta(seconds=5)
BEAT = SignalKey("trainer", "heartbeat", Labels(key="beat"))
WORK = SignalKey("execution", "executions", Labels(stream="result"))

words = st.sampled_from(["", "a", "é", "x\ny", '"', "\ud83d\ude00", "none"])
moments = st.integers(-(10**15), 4 * 10**15).map(lambda us: EPOCH + us * timedelta(microseconds=1))
numbers = st.floats(allow_nan=False)
held = (
    st.none()
    | numbers
    | words
    | st.builds(AtLeast, numbers)
    | st.builds(Since, numbers, st.booleans(), numbers)
)
counted = st.builds(Counted, moments, st.lists(st.tuples(moments, numbers), max_size=2).map(tuple))
readings = st.builds(
    Reading,
    st.sampled_from([BEAT, WORK]),
    moments,
    st.dictionaries(words, held, max_size=2),
    st.dictionaries(st.tuples(words, words), counted, max_size=2),
    st.dictionaries(words, words | st.lists(numbers, max_size=1), max_size=1),
    st.none() | words,
    st.none() | words,
    st.sampled_from([(), ("total",), ("a", "b")]),
)
ticks = st.lists(st.builds(Tick, moments, st.lists(readings, max_size=3).map(tuple)), min_size=1, max_size=4)


@given(st.lists(readings, max_size=2, unique_by=lambda reading: reading.signal), ticks)
@settings(max_examples=40, deadline=None)
def test_what_is_read_equals_what_was_written(latest: list[Reading], seen: Sequence[Tick]) -> None:
    """
    Whatever a signal says, and whatever it said before: only what differs is written.

    Where a segment begins, of the counters it is known that nothing was counted since, and nothing of before.
    """
    writer, reader = SegmentWriter(), SegmentReader()
    stands, follows = reader.head(writer.head(T0, latest, program="test", follows=True))
    assert follows
    assert [replace(r, counts={}) for r in stands.readings] == [replace(r, counts={}) for r in latest]
    for then, now in zip(latest, stands.readings, strict=True):
        covered = {series: max(found.since, T0) for series, found in then.counts.items()}
        assert now.counts == {series: Counted(since) for series, since in covered.items()}
    for tick in seen:
        assert reader.tick(writer.tick(tick)) == tick


def test_what_stands_still_costs_a_number() -> None:
    """A resting signal says nothing, and one that says the same again next to nothing."""
    writer = SegmentWriter()
    writer.head(T0, [], program="test", follows=False)
    reading = Reading(WORK, T0, {"age": Since(1.0)}, {("total", ""): Counted(T0)}, {"seen": ["1-0"]})
    assert len(writer.tick(Tick(T0, (reading,)))) > 100
    again = replace(reading, at=T0 + EVERY)
    assert writer.tick(Tick(T0 + EVERY, (again,))) == '{"t":1771462805000000,"r":[0]}\n'


def test_what_people_said_is_kept() -> None:
    """A silence holds in the replay as it held then."""
    silence = Silence("s1", (Matcher("service", "=", "execution"),), T0, T0 + minutes(60), "ann", "moving")
    ack = Ack("f" * 16, T0, T0, "bob", "on it")
    tick = Tick(T0, (), (BEAT,), (WORK,), Wishes({"s1": silence}, {"f" * 16: ack}), anew=True)
    writer, reader = SegmentWriter(), SegmentReader()
    reader.head(writer.head(T0, [], program="test", follows=False))
    assert reader.tick(writer.tick(tick)) == tick


# ---- the file ------------------------------------------------------------------------------------


def lived(count: int, begin: datetime = T0, noise: int = 0) -> Iterator[Tick]:
    """Yield so many ticks of a service that works; *noise* is evidence that no compressor makes smaller."""
    for i in range(count):
        now = begin + i * EVERY
        counts = {("total", ""): Counted(begin, ((now, 1.0),))}
        evidence = {"seen": os.urandom(noise).hex()} if noise else {}
        beat = (Reading(BEAT, now, {"age": 1.0}),) if i % 10 == 0 else ()
        yield Tick(now, (*beat, Reading(WORK, now, {"age": float(i)}, counts, evidence)), anew=i == 0)


def write(path: Path, seen: Iterable[Tick], most: int = MIB, *, close: bool = True) -> Tape:
    """Return the tape onto which *seen* was put."""
    tape, latest = Tape(str(path), most, "test"), dict[SignalKey, Reading]()
    for tick in seen:
        latest.update({reading.signal: reading for reading in tick.readings})
        tape.take(tick, latest.values())
    if close:
        tape.close()
    return tape


def read(path: Path) -> list[Tick]:
    """Return all ticks at *path*."""
    with path.open("rb") as file:
        return list(read_ticks(file))


def test_a_tape_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Nobody else may read it, and zcat can."""
    seen = list(lived(100))
    write(tmp_path / "a.rec", seen)
    assert read(tmp_path / "a.rec") == seen
    assert stat.S_IMODE((tmp_path / "a.rec").stat().st_mode) == 0o600
    assert len(gzip.decompress((tmp_path / "a.rec").read_bytes()).splitlines()) == 101


def test_a_kill_costs_some_seconds_and_the_next_process_goes_on(tmp_path: Path) -> None:
    """What was flushed is there; the segment it cut short is completed, so that zcat still reads all."""
    path, seen = tmp_path / "a.rec", list(lived(100))
    tape = write(path, seen, close=False)
    copy = tmp_path / "killed.rec"
    copy.write_bytes(path.read_bytes())
    tape.close()
    survived = read(copy)
    assert survived == seen[: len(survived)]
    assert seen[-1].at - survived[-1].at <= timedelta(seconds=10)
    later = list(lived(50, T0 + minutes(60)))
    write(copy, later)
    assert read(copy) == survived + later
    assert gzip.decompress(copy.read_bytes()).count(b'"t":') == len(survived) + len(later) + 2


@pytest.mark.parametrize("share", [0.1, 0.4, 0.9])
def test_a_file_that_ends_in_the_middle_is_read_up_to_there(tmp_path: Path, share: float) -> None:
    """Wherever that is."""
    path, seen = tmp_path / "a.rec", list(lived(400, noise=50))
    write(path, seen)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    found = read(path)
    assert found == seen[: len(found)]
    assert abs(len(found) / len(seen) - share) < 0.1


def test_a_tape_stays_small_by_dropping_the_oldest(tmp_path: Path) -> None:
    """What is left begins where things stood, and counts nothing as covered that is gone."""
    path, seen = tmp_path / "a.rec", list(lived(2500, noise=500))
    tape, latest, largest = Tape(str(path), MIB, "test"), dict[SignalKey, Reading](), 0
    for tick in seen:
        latest.update({reading.signal: reading for reading in tick.readings})
        tape.take(tick, latest.values())
        largest = max(largest, path.stat().st_size)
    tape.close()
    stands, *rest = read(path)
    assert MIB / 2 < path.stat().st_size <= largest <= MIB
    assert [t.at for t in rest] == [t.at for t in seen[-len(rest) :]]
    assert {reading.signal for reading in stands.readings} == {BEAT, WORK}
    assert stands.anew
    first = stands.at
    assert all(c.since == first for t in rest for r in t.readings for c in r.counts.values())
    assert not list(tmp_path.glob("*.new"))


def test_a_disk_that_takes_nothing_costs_a_gap_and_no_more(tmp_path: Path) -> None:
    """What comes after it begins anew where things stand; what was before can be read."""
    path, seen = tmp_path / "a.rec", list(lived(300, noise=300))
    tape, latest, failed = Tape(str(path), MIB, "test"), dict[SignalKey, Reading](), 0
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for i, tick in enumerate(seen):
        latest.update({reading.signal: reading for reading in tick.readings})
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000 if i < 200 else before[0], before[1]))
        try:
            tape.take(tick, latest.values())
        except OSError:
            failed += 1
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    tape.close()
    found = read(path)
    gap = next(i for i, tick in enumerate(found[1:], 1) if tick.anew)
    assert (failed > 50, found[:gap]) == (True, seen[:gap])
    assert [t.at for t in found[-100:]] == [t.at for t in seen[200:]]
    assert {c.since for t in found[-100:] for r in t.readings for c in r.counts.values()} <= {
        t.at for t in found if t.anew
    } - {T0}


def test_opening_a_recording_to_go_on_changes_nothing(tmp_path: Path) -> None:
    """Nor does closing it before anything was seen."""
    write(tmp_path / "a.rec", lived(30))
    before = (tmp_path / "a.rec").read_bytes()
    Tape(str(tmp_path / "a.rec"), MIB, "test").close()
    assert (tmp_path / "a.rec").read_bytes() == before


def test_two_do_not_write_one_file(tmp_path: Path) -> None:
    """The second says so in one sentence."""
    tape = write(tmp_path / "a.rec", lived(3), close=False)
    with pytest.raises(RecordingError, match="is being written by another watchdog"):
        Tape(str(tmp_path / "a.rec"), MIB, "test")
    tape.close()


FOREIGN = {
    "a text": (b"hello, this is no recording\n", "is not a recording of the watchdog"),
    "somebody's gzip": (gzip.compress(b"{}\n"), "is not a recording of the watchdog"),
    "nothing": (b"", "holds nothing yet"),
}


@pytest.mark.parametrize(("raw", "said"), FOREIGN.values(), ids=FOREIGN)
def test_what_is_no_recording_is_said_to_be_none(tmp_path: Path, raw: bytes, said: str) -> None:
    """And is never written over."""
    (tmp_path / "a.rec").write_bytes(raw)
    with pytest.raises(RecordingError, match=said):
        read(tmp_path / "a.rec")
    if raw:
        with pytest.raises(RecordingError, match=said):
            Tape(str(tmp_path / "a.rec"), MIB, "test")
        assert (tmp_path / "a.rec").read_bytes() == raw


LINES = {
    "a newer version": ('{"watchdog_recording":2,"t":0,"r":[]}', "newer than this program's 1"),
    "another program's JSON": ('{"t":0,"r":[]}', "is not a recording"),
    "no JSON": ("\x00", "no JSON"),
    "a signal that was never named": ('{"watchdog_recording":1,"t":0,"r":[7]}', "no watchdog has written"),
    "a moment beyond the calendar": ('{"watchdog_recording":1,"t":1e30,"r":[]}', "no watchdog has written"),
    "a list": ("[]", "is not a recording"),
}


@pytest.mark.parametrize(("line", "said"), LINES.values(), ids=LINES)
def test_a_head_that_cannot_be_read_is_one_sentence(line: str, said: str) -> None:
    """With what to do about it."""
    with pytest.raises(RecordingError, match=said):
        SegmentReader().head(line)


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    """Who takes the recording of an incident away takes it for good."""
    path, latest = tmp_path / "a.rec", dict[SignalKey, Reading]()
    tape = Tape(str(path), MIB, "test")
    for i, tick in enumerate(lived(600, noise=300)):
        latest.update({reading.signal: reading for reading in tick.readings})
        if i == 50:
            path.rename(tmp_path / "incident.rec")
        tape.take(tick, latest.values())
    tape.close()
    assert read(tmp_path / "incident.rec")[0].at == T0
    assert read(path)[-1].at == T0 + 599 * EVERY
