"""What happened between two ticks, as events: a plain comparison of what is known after each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from watchdog.alerts import Alert, Alerts, State
from watchdog.model import Labels, Reading, SignalKey
from watchdog.muting import Silence
from watchdog.report import OF_SEVERITY, Snapshot, Status
from watchdog.telling import Wishes
from watchdog.timeline import EVERYTHING, LONGEST_TEXT, Event, What
from watchdog.units import show_duration

MOST_NAMED = 5
"""So many alerts or signals are named in one event."""
MOST_MEANT = 20
"""A silence that is about more services than that is one event for all of them."""
WELL = "nothing is wrong and all is known"

Marks = Mapping[SignalKey, float]
"""What of a signal's last good reading tells of a change in the next."""


@dataclass(frozen=True, slots=True)
class Moment:
    """
    What was known after one tick; without a *snapshot* that of the process before.

    *fresh* are the signals that brought a reading. While it is not *settled* the process is so young
    that what is unknown may only not have been looked at yet.
    """

    at: datetime
    alerts: Alerts
    wishes: Wishes
    snapshot: Snapshot | None = None
    fresh: Collection[SignalKey] = ()
    settled: bool = True
    marks: Marks = field(default_factory=dict)


def marked(before: Marks, snapshot: Snapshot, fresh: Iterable[SignalKey]) -> Marks:
    """Return the marks of *before* with those of the *fresh* readings; the same if there are none."""
    found = {}
    for key in fresh:
        if key.kind in MARKS and (report := snapshot.signals.get(key)) is not None:
            mark = MARKS[key.kind](report.reading)
            if mark is not None and _differ(key, before.get(key), mark):
                found[key] = mark
    return {**before, **found} if found else before


def happened(
    before: Moment, after: Moment, stands: Mapping[str, Event], longest_pause: timedelta
) -> tuple[Event, ...]:
    """
    Return what happened from *before* to *after*, causes first.

    *stands* are the last known changes of status by service. That nobody looked for more than
    *longest_pause* is an event as well.
    """
    return (
        *_pause(before, after, longest_pause),
        *_readings(before, after),
        *_alerts(before.alerts, after.alerts, after.at),
        *_silences(before, after),
        *_acks(before, after),
        *_statuses(before, after, stands),
    )


def cut(text: str) -> str:
    """Return *text* no longer than an event's may be."""
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def _pause(before: Moment, after: Moment, longest: timedelta) -> Iterator[Event]:
    if before.snapshot is not None and after.at - before.at > longest:
        length = show_duration((after.at - before.at).total_seconds())
        yield Event(before.at, EVERYTHING, What.STOPPED, f"the watchdog did not look for {length}")
        yield Event(after.at, EVERYTHING, What.STARTED, "the watchdog looks again")


# ---- signals -----------------------------------------------------------------------------------


def _number(reading: Reading, name: str) -> float | None:
    found = reading.values.get(name)
    return found if isinstance(found, float) else None


def _written(reading: Reading) -> float | None:
    """Return when the files were written; what was written in the future cannot be told."""
    age = _number(reading, "age")
    return reading.at.timestamp() - age if age else None


def _uptime(reading: Reading) -> float | None:
    return _number(reading, "uptime")


def _is_set(reading: Reading) -> float | None:
    return _number(reading, "set")


MARKS: Mapping[str, Callable[[Reading], float | None]] = {
    "redis": _uptime,
    "settings": _written,
    "flag": _is_set,
}


def _differ(key: SignalKey, was: float | None, mark: float) -> bool:
    """Say whether a mark is another one; a moment reckoned back from an age is not exact."""
    return was is None or (abs(mark - was) > 1 if key.kind == "settings" else mark != was)


def _readings(before: Moment, after: Moment) -> Iterator[Event]:
    assert after.snapshot is not None
    for key in after.fresh:
        if key.kind == "unit":
            yield from _restarts(before, after, key)
        elif key.kind in MARKS:
            was, mark = before.marks.get(key), after.marks.get(key)
            if was is not None and mark is not None and _differ(key, was, mark):
                yield from _change(key, after.snapshot.signals[key].reading, was, mark)


def _restarts(before: Moment, after: Moment, key: SignalKey) -> Iterator[Event]:
    """Yield the restarts the reading brought; a first one may tell again what an earlier process knew."""
    assert after.snapshot is not None
    report = after.snapshot.signals.get(key)
    counted = report.reading.counts.get(("restarts", "")) if report is not None else None
    if report is None or counted is None or not counted.steps:
        return
    known = before.snapshot is not None and key in before.snapshot.signals
    for at, count in counted.steps:
        if known or at > before.at:
            times = "restarted" if count == 1 else f"restarted {count:.0f} times"
            words = [f"{key.labels.get('unit', 'the unit')} {times}"]
            result, status = report.reading.values.get("result"), _number(report.reading, "exit_status")
            words += [f"({result})"] if isinstance(result, str) and result != "success" else []
            words += [f"exit status {status:.0f}"] if status else []
            yield Event(min(at, after.at), key.service, What.RESTART, cut(" ".join(words)))


def _change(key: SignalKey, reading: Reading, was: float, mark: float) -> Iterator[Event]:
    if key.kind == "redis":
        if mark < was:
            began = reading.at - timedelta(seconds=mark)
            yield Event(began, key.service, What.RESTART, "Redis restarted")
    elif key.kind == "settings":
        name = next(iter(key.labels.values()), "the settings")
        wrong = reading.evidence.get("violations")
        first = f"; {wrong[0]}" if isinstance(wrong, list) and wrong else ""
        written = min(reading.at, reading.at.fromtimestamp(mark, reading.at.tzinfo))
        yield Event(written, key.service, What.SETTINGS, cut(f"{name} was written{first}"))
    elif mark:
        told = [f"{n}: {reading.evidence[n]}" for n in ("by", "reason") if n in reading.evidence]
        text = "; ".join([f"{_flag(key)} was set", *told])
        yield Event(reading.at, key.service, What.FLAG, cut(text))
    else:
        yield Event(reading.at, key.service, What.FLAG, cut(f"{_flag(key)} is no longer set"))


def _flag(key: SignalKey) -> str:
    return next(iter(key.labels.values()), "the flag")


# ---- alerts and what people say ----------------------------------------------------------------


def _alerts(before: Alerts, after: Alerts, now: datetime) -> Iterator[Event]:
    for labels, alert in after.items():
        was = before.get(labels)
        if was is not alert and (what := _turn(was, alert)) is not None:
            text = _end(alert, now) if what is What.RESOLVED else alert.summary
            status = OF_SEVERITY[alert.severity]
            yield Event(now, alert.service, what, cut(text), status, alert.name)


def _turn(was: Alert | None, alert: Alert) -> What | None:
    """Return what became of the alert, None if nothing a person would look back on."""
    state = None if was is None else was.state
    if alert.state is state:
        return None
    if alert.state is State.FIRING:
        return What.FIRING
    if alert.state is State.BLIND:
        return What.BLIND
    return What.RESOLVED if was is not None and was.firing and alert.state is State.RESOLVED else None


def _end(alert: Alert, now: datetime) -> str:
    lasted = show_duration(max(0.0, ((alert.resolved_at or now) - alert.active_since).total_seconds()))
    why = alert.ended or alert.ended_by
    return f"after {lasted}" + (f": {why}" if why else "")


def _silences(before: Moment, after: Moment) -> Iterator[Event]:
    was, now = before.wishes.silences, after.wishes.silences
    if not was and not now:
        return
    for id_ in {**was, **now}:
        old, new = was.get(id_), now.get(id_)
        held = old is not None and old.active(before.at)
        holds = new is not None and new.active(after.at)
        if holds and not held and new is not None:
            begins = _within(new.starts_at, before, after)
            text = cut(f"by {new.created_by}, {_until(new)}: {new.comment}")
            yield from (Event(begins, s, What.SILENCE, text) for s in _meant(new, after))
        elif held and not holds and old is not None:
            ends = _within((new or old).ends_at, before, after)
            text = cut(f"of {old.created_by}: {old.comment}")
            yield from (Event(ends, s, What.SILENCE_END, text) for s in _meant(old, after))


def _until(silence: Silence) -> str:
    length = show_duration((silence.ends_at - silence.starts_at).total_seconds())
    return f"for {length}" + (" or until all is over" if silence.until_resolved else "")


def _within(moment: datetime, before: Moment, after: Moment) -> datetime:
    return moment if before.at < moment <= after.at else after.at


def _meant(silence: Silence, after: Moment) -> list[str]:
    """Return the services *silence* is about: those it names, else those with alerts it holds back."""
    assert after.snapshot is not None
    named = [matcher for matcher in silence.matchers if matcher.name == "service"]
    if named:
        names = [s for s in after.snapshot.services if all(m.matches(Labels(service=s)) for m in named)]
    else:
        alerts = after.alerts.items()
        firing = {a.service for labels, a in alerts if a.firing and silence.matches(labels)}
        names = sorted(firing)
    return names if 0 < len(names) <= MOST_MEANT else [EVERYTHING]


def _acks(before: Moment, after: Moment) -> Iterator[Event]:
    new = {mark: ack for mark, ack in after.wishes.acks.items() if before.wishes.acks.get(mark) != ack}
    if not new:
        return
    for labels, alert in after.alerts.items():
        ack = new.get(labels.fingerprint)
        if ack is not None and ack.holds(alert):
            said = f"by {ack.by}" + (f": {ack.comment}" if ack.comment else "")
            at = _within(ack.at, before, after)
            yield Event(at, alert.service, What.ACK, cut(said), OF_SEVERITY[alert.severity], alert.name)


# ---- statuses ----------------------------------------------------------------------------------


def _statuses(before: Moment, after: Moment, stands: Mapping[str, Event]) -> Iterator[Event]:
    was, now = before.snapshot, after.snapshot
    assert now is not None
    same = was is not None and (was.status, was.services) == (now.status, now.services)
    if same and before.settled is after.settled:
        return
    for service, status in (*now.services.items(), (EVERYTHING, now.status)):
        last = stands.get(service)
        early = status is Status.UNKNOWN and not after.settled
        if not early and (last is None or last.status is not status):
            text = cut(_why(now, service, status, after.alerts))
            yield Event(after.at, service, What.STATUS, text, status, was=last.status if last else None)


def _why(snapshot: Snapshot, service: str, status: Status, alerts: Alerts) -> str:
    """Say what makes *service* stand as it does."""
    if status is Status.OK:
        return WELL
    whole = service == EVERYTHING
    names = [
        f"{a.service}: {a.name}" if whole else a.name
        for a in alerts.values()
        if a.state is not State.RESOLVED
        and (whole or a.service == service)
        and OF_SEVERITY[a.severity] is status
    ]
    if status is Status.UNKNOWN:
        unknown = (
            [n for n, s in snapshot.services.items() if s is status] if whole else _unknown(snapshot, service)
        )
        names = [f"{name} cannot be told" for name in unknown]
    left = len(names) - MOST_NAMED
    more = [f"and {left} more"] if left > 0 else []
    return ", ".join([*itertools.islice(names, MOST_NAMED), *more])


def _unknown(snapshot: Snapshot, service: str) -> list[str]:
    """Return the signals of *service* that are not known; none were seen of one that has no others."""
    reports = snapshot.of_service(service)
    found = [r.reading.signal.kind for r in reports if r.reading.known is not True]
    return list(dict.fromkeys(found)) or ["what it does"]
