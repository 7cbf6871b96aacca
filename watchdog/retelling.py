"""What a replay brought, for people and for programs; and how two of them differ."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from watchdog.cast import Cast
from watchdog.config import Config
from watchdog.model import Labels
from watchdog.notifications import Notice, Reason
from watchdog.recording import Tick
from watchdog.replaying import Firing, Replay, Sent
from watchdog.rules import ZERO
from watchdog.units import first_of, plain, rfc3339, show_duration

MOST_NAMED = 10
"""So many signals or rules are named in one line."""
NEGLIGIBLE = timedelta(milliseconds=1)


@dataclass(slots=True)
class Story:
    """One replay of a recording under one file of rules, from *begin* to *end*."""

    config: Config
    cast: Cast
    replay: Replay
    begin: datetime | None = None
    end: datetime | None = None
    looks: int = 0
    runs: int = 0

    @property
    def fired(self) -> list[Firing]:
        """Return what fired, in order of time."""
        return [f for f in self.replay.firings if f.fired_at is not None]


def begin_story(config: Config) -> Story:
    """Return a story that has not begun."""
    cast = Cast(config)
    return Story(config, cast, Replay(config.policy, cast.binding, config.keep, cast.asked))


def live(story: Story, tick: Tick) -> None:
    """Go on with *story* by one tick."""
    story.begin = story.begin or tick.at
    story.end = max(story.end or tick.at, tick.at)
    story.looks += 1
    story.runs += tick.anew
    played, grown = story.cast.play(tick)
    if grown:
        story.replay.rebind(story.cast.binding, story.cast.asked)
    story.replay.tick(played)


# ---- what differs --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """How one firing under the new rules differs from the same one under the old; one may be missing."""

    old: Firing | None
    new: Firing | None

    @property
    def labels(self) -> Labels:
        """Return whose it is."""
        found = self.new or self.old
        assert found is not None
        return found.labels

    @property
    def at(self) -> datetime:
        """Return when the first of the two fired."""
        return min(f.fired_at for f in (self.old, self.new) if f is not None and f.fired_at is not None)

    def in_words(self) -> list[str]:
        """Return what is different: nothing if nothing is."""
        if self.old is None:
            return ["added"]
        if self.new is None:
            return ["gone"]
        words = [
            *_shift("fires", self.old.fired_at, self.new.fired_at),
            *_shift("ends", self.old.ended_at, self.new.ended_at),
        ]
        if self.old.labels["severity"] != self.new.labels["severity"]:
            words.append(f"is {self.new.labels['severity']}, was {self.old.labels['severity']}")
        return words


def _shift(what: str, old: datetime | None, new: datetime | None) -> Iterator[str]:
    if old is None or new is None:
        if old is not new:
            yield f"{what} no longer within the recording" if new is None else f"{what} within the recording"
    elif abs(new - old) >= NEGLIGIBLE:
        how = "earlier" if new < old else "later"
        yield f"{what} {show_duration(abs(new - old).total_seconds())} {how}"


def differences(old: Iterable[Firing], new: Iterable[Firing], end: datetime) -> list[Difference]:
    """Return the firings of both, each with the one it overlaps, in order of time."""
    before: defaultdict[Labels, list[Firing]] = defaultdict(list)
    for firing in old:
        before[_whose(firing)].append(firing)
    found: list[Difference] = []
    for firing in new:
        rest = before[_whose(firing)]
        same = next((other for other in rest if _overlap(firing, other, end)), None)
        if same is not None:
            rest.remove(same)
        found.append(Difference(same, firing))
    found += [Difference(firing, None) for rest in before.values() for firing in rest]
    return sorted(found, key=lambda one: (one.at, *one.labels.pairs()))


def _whose(firing: Firing) -> Labels:
    return Labels({name: text for name, text in firing.labels.pairs() if name != "severity"})


def _overlap(one: Firing, other: Firing, end: datetime) -> bool:
    """Say whether both speak of the same time, what came before they fired included."""
    return one.since <= (other.ended_at or end) and other.since <= (one.ended_at or end)


# ---- for people ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a recording that is told."""

    begin: datetime
    end: datetime

    def firings(self, firings: Iterable[Firing]) -> list[Firing]:
        """Return those of *firings* that were on within it."""
        return [
            f for f in firings if f.since <= self.end and (f.ended_at is None or f.ended_at >= self.begin)
        ]


@dataclass(slots=True)
class Retelling:
    """What is told of a *story*, and of the one *against* which it is held."""

    story: Story
    window: Window
    against: Story | None = None
    lines: list[str] = field(default_factory=list)

    @property
    def differing(self) -> list[Difference]:
        """Return what differs within the window."""
        if self.against is None:
            return []
        old, new = self.window.firings(self.against.fired), self.window.firings(self.story.fired)
        return [one for one in differences(old, new, self.window.end) if one.in_words()]

    def as_text(self) -> str:
        """Return it as people read it; all times are UTC."""
        story, window = self.story, self.window
        day = window.begin.date() == window.end.date()
        self.lines = [
            f"{_moment(window.begin)} to {_moment(window.end, day=day)} UTC: {story.looks:,} looks at"
            f" {len(story.cast.seen)} signals, under {story.config.path}"
        ]
        fired = window.firings(story.fired)
        self._part("fired", [line for f in fired for line in self._firing(f)] or ["nothing"])
        self._part("never long enough", self._pendings())
        self._part("sent", [*self._messages()] or ["nothing"])
        self._part("not told", self._spared())
        if self.against is not None:
            differing = [self._difference(d) for d in self.differing] or ["nothing"]
            self._part("different", [f"from {self.against.config.path}:", *differing])
        self._part("not in the recording", self._missing())
        return "\n".join(self.lines) + "\n"

    def _part(self, heading: str, lines: Sequence[str]) -> None:
        if lines:
            self.lines += ["", heading.upper(), *(f"  {line}" for line in lines)]

    def _within(self, sent: Iterable[Sent]) -> list[Sent]:
        return [one for one in sent if self.window.begin <= one.at <= self.window.end]

    def _when(self, moment: datetime) -> str:
        """Return a moment; the day stands there only where there are several."""
        return _moment(moment, day=self.window.begin.date() == self.window.end.date())

    def _firing(self, firing: Firing) -> Iterator[str]:
        assert firing.fired_at is not None
        end = self.window.end
        lasted = show_duration(firing.lasted(end).total_seconds())
        ended = f"resolved {self._when(firing.ended_at)}" if firing.ended_at else "still firing at the end"
        blind, cause = firing.unseen(end), f", because of {firing.cause}" if firing.cause else ""
        unseen = f", {show_duration(blind.total_seconds())} of it blind" if blind else ""
        pending = ""
        if firing.since < firing.fired_at:
            pending = f", pending since {self._when(firing.since)}"
        yield (
            f"{self._when(firing.fired_at)} {name_of(firing.labels)}: {ended}, after {lasted}"
            f"{unseen}{pending}{cause}"
        )
        yield f"    {plain(firing.summary)}"

    def _pendings(self) -> list[str]:
        longest: dict[Labels, list[timedelta]] = {}
        for firing in self.window.firings(self.story.replay.firings):
            if firing.fired_at is None:
                span = (firing.ended_at or self.window.end) - firing.since
                longest.setdefault(firing.labels, []).append(span)
        return [
            f"{name_of(labels)}: pending {len(spans)} {'time' if len(spans) == 1 else 'times'},"
            f" at most {show_duration(max(spans).total_seconds())}"
            for labels, spans in sorted(longest.items(), key=lambda item: tuple(item[0].pairs()))
        ]

    def _messages(self) -> Iterator[str]:
        """Yield a line for each message that tells something new, and how many reminders there were."""
        reminders: Counter[str] = Counter()
        for one in self._within(self.story.replay.sent):
            if all(notice.reason in (None, Reason.REPEAT) for notice in one.message.notices):
                reminders[plain(one.message.receiver)] += 1
            else:
                yield self._sent(one)
        if reminders:
            told = (f"{count} to {name}" for name, count in sorted(reminders.items()))
            yield f"and reminders: {', '.join(told)}"

    def _sent(self, sent: Sent) -> str:
        said = [f"{notice.reason} {_notice(notice)}" for notice in sent.message.notices if notice.reason]
        goes_on = sum(notice.reason is None for notice in sent.message.notices)
        more = f" (and {goes_on} that go on)" if goes_on else ""
        return f"{self._when(sent.at)} to {plain(sent.message.receiver)}: {', '.join(said)}{more}"

    def _spared(self) -> list[str]:
        found: dict[tuple[str, Labels], list[str]] = {}
        for one in self.story.replay.spared:
            if self.window.begin <= one.at <= self.window.end:
                found.setdefault((str(one.reason), one.labels), []).append(one.receiver)
        return [
            f"{name_of(labels)}: {reason} ({', '.join(plain(r) for r in dict.fromkeys(receivers))})"
            for (reason, labels), receivers in found.items()
        ]

    def _difference(self, one: Difference) -> str:
        return f"{self._when(one.at)} {name_of(one.labels)}: {', '.join(one.in_words())}"

    def _missing(self) -> list[str]:
        unseen = [plain(str(key)) for key in self.story.cast.unseen()]
        idle = self.story.cast.idle()
        lines = [f"signals, so all is unknown of them: {first_of(unseen, MOST_NAMED)}"] if unseen else []
        if idle:
            lines.append(f"what these rules ask for, so they could not fire: {first_of(idle, MOST_NAMED)}")
        return lines

    # ---- for programs ----------------------------------------------------------------------------

    def as_json(self) -> str:
        """Return it as JSON."""
        story, window = self.story, self.window
        body: dict[str, Any] = {
            "from": rfc3339(window.begin),
            "to": rfc3339(window.end),
            "rules": story.config.path,
            "looks": story.looks,
            "signals": len(story.cast.seen),
            "alerts": [_as_json(f, window.end) for f in window.firings(story.replay.firings)],
            "sent": [
                {
                    "at": rfc3339(one.at),
                    "receiver": one.message.receiver,
                    "alerts": [
                        {"labels": dict(n.alert.labels), "reason": n.reason and str(n.reason)}
                        for n in one.message.notices
                    ],
                }
                for one in self._within(story.replay.sent)
            ],
            "not_told": [
                {
                    "at": rfc3339(one.at),
                    "receiver": one.receiver,
                    "labels": dict(one.labels),
                    "reason": str(one.reason),
                }
                for one in story.replay.spared
                if window.begin <= one.at <= window.end
            ],
            "unseen": [str(key) for key in story.cast.unseen()],
            "idle": story.cast.idle(),
        }
        if self.against is not None:
            body["against"] = self.against.config.path
            body["differences"] = [
                {
                    "labels": dict(one.labels),
                    "old": one.old and _as_json(one.old, window.end),
                    "new": one.new and _as_json(one.new, window.end),
                    "what": one.in_words(),
                }
                for one in self.differing
            ]
        return json.dumps(body, indent=1, ensure_ascii=False) + "\n"


def name_of(labels: Labels) -> str:
    """Return an alert's name and what tells it from others: ``NoExecutions{service="execution"}``."""
    told = ", ".join(f'{name}="{plain(text)}"' for name, text in labels.pairs() if name != "alertname")
    return f"{labels['alertname']}{{{told}}}"


def _notice(notice: Notice) -> str:
    cause = f" because of {notice.cause}" if notice.cause else ""
    return f"{notice.alert.name} of {plain(notice.alert.service)}{cause}"


def _as_json(firing: Firing, end: datetime) -> dict[str, Any]:
    return {
        "labels": dict(firing.labels),
        "active_since": rfc3339(firing.since),
        "fired_at": firing.fired_at and rfc3339(firing.fired_at),
        "ended_at": firing.ended_at and rfc3339(firing.ended_at),
        "fired_seconds": firing.lasted(end).total_seconds(),
        "blind_seconds": (firing.unseen(end) if firing.fired_at else ZERO).total_seconds(),
        "cause": firing.cause,
        "summary": firing.summary,
        "figures": list(firing.figures),
        "ended_by": firing.ended_by,
    }


def _moment(moment: datetime, *, day: bool = False) -> str:
    return moment.astimezone(UTC).strftime("%H:%M:%S" if day else "%Y-%m-%d %H:%M:%S")
