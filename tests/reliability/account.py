"""
The model of a run, and what must be true of all that each receiver was told.

A place is a service and a key of its: what an alert is about. Its episodes are numbered, and so are
their *steps*: the beginning of the n-th is step 2n, its end 2n + 1.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tests.reliability.receivers import Request
from tests.reliability.script import PLACES
from watchdog.units import rfc3339

Place = tuple[str, str]


@dataclass(frozen=True)
class Episode:
    """One firing of one alert: when it began, and when it ended if it did."""

    began: str
    ended: str | None = None


Lives = Mapping[Place, tuple[Episode, ...]]


def after(lives: Lives, truths: Sequence[bool | None], now: str) -> Lives:
    """Return what the episodes become at a look that found *truths* at *now*."""
    found = dict(lives)
    for place, holds in zip(PLACES, truths, strict=True):
        episodes = lives[place]
        fires = bool(episodes) and episodes[-1].ended is None
        if holds is True and not fires:
            found[place] = (*episodes, Episode(now))
        elif holds is False and fires:
            found[place] = (*episodes[:-1], Episode(episodes[-1].began, now))
    return found


@dataclass
class Model:
    """
    What is known to have been decided.

    *lives* is what the last commit made it, *tried* what a commit would make it that may or may
    not have come to pass: the next life, which reads the file, tells.
    """

    lives: Lives = field(default_factory=lambda: dict.fromkeys(PLACES, ()))
    tried: Lives | None = None
    undecided: int = 0
    kept_after_all: int = 0

    def recalled(self, found: Mapping[str, Sequence[str | None]]) -> None:
        """Settle by what a new life *found* in the file whether the last look was committed."""
        shown = {(place.split()[0], place.split()[1]): tuple(times) for place, times in found.items()}
        options = [lives for lives in (self.lives, self.tried) if lives is not None]
        odd = [list(_disagreements(lives, shown)) for lives in options]
        assert [] in odd, f"the file shows neither the last commit nor the one under way: {odd}"
        fits = [lives for lives, found in zip(options, odd, strict=True) if not found]
        if self.tried is not None and self.tried != self.lives:
            self.undecided += 1
            self.kept_after_all += fits[-1] is self.tried
        self.lives, self.tried = fits[-1], None

    def looking(self, truths: Sequence[bool | None], now: str) -> None:
        """Note that a look at *truths* may be committed from now on."""
        self.tried = after(self.lives, truths, now)

    def kept(self) -> None:
        """Note that it was."""
        assert self.tried is not None
        self.lives, self.tried = self.tried, None

    @property
    def transitions(self) -> int:
        """Return how many beginnings and ends there were."""
        return sum(1 + (e.ended is not None) for episodes in self.lives.values() for e in episodes)


def _disagreements(lives: Lives, shown: Mapping[Place, tuple[str | None, ...]]) -> Iterator[object]:
    """Yield each place of which *shown* is not the latest episode; what ended may be forgotten."""
    for place, episodes in lives.items():
        last = episodes[-1] if episodes else None
        if place not in shown:
            if last is not None and last.ended is None:
                yield place, last, None
        elif last is None or shown[place] != (last.began, last.ended):
            yield place, last, shown[place]


# ---- what was told -----------------------------------------------------------------------------


@dataclass
class Account:
    """What the comparison of the model with one receiver's requests brought."""

    requests: int
    taken: int
    doubles: int
    lost: list[str]
    odd: list[str]

    @property
    def wrong(self) -> list[str]:
        """Return everything that must not be."""
        return self.lost + self.odd


def settle(
    lives: Lives, requests: Sequence[Request], spared: Container[tuple[Place, str]] = frozenset()
) -> Account:
    """
    Compare what happened with what one receiver was told, in the order in which it came.

    Of an episode that is *spared*, by its place and its beginning, it need not have heard; but if
    it did, then of its end as well.
    """
    seen = Counter(request.key for request in requests if request.taken)
    told = list(words(lives, requests))
    return Account(
        requests=len(requests),
        taken=sum(request.taken for request in requests),
        doubles=sum(count - 1 for count in seen.values()),
        lost=list(untold(lives, told, spared)),
        odd=[*keys(requests), *order(told)],
    )


@dataclass(frozen=True)
class Word:
    """What one message that was taken said of one place; without *steps*, something that never was."""

    key: str
    place: Place
    steps: frozenset[int]


def words(lives: Lives, requests: Sequence[Request]) -> Iterator[Word]:
    """Yield what was taken, in the order in which it came."""
    known = {
        (place, shown(episode.began)): (2 * number, shown(episode.ended))
        for place, episodes in lives.items()
        for number, episode in enumerate(episodes)
    }
    for request in requests:
        said: defaultdict[Place, set[int]] = defaultdict(set)
        for alert in request.alerts if request.taken else ():
            place = (alert["labels"]["service"], alert["labels"]["key"])
            step, end = known.get((place, alert["startsAt"]), (-1, ""))
            if alert["status"] == "resolved":
                step = step + 1 if end == alert["endsAt"] else -1
            said[place].add(step)
        for place, steps in said.items():
            yield Word(request.key, place, frozenset() if -1 in steps else frozenset(steps))


def order(told: Sequence[Word]) -> Iterator[str]:
    """Yield what was told too late, or never was; a double of the last word changes nothing."""
    last: dict[Place, Word] = {}
    for word in told:
        before = last.get(word.place)
        if not word.steps:
            yield f"{word.place} was never as {word.key} says"
            continue
        if before is not None and before.key != word.key and min(word.steps) < max(before.steps):
            yield f"{word.place}: {sorted(word.steps)} was told after {sorted(before.steps)}"
        last[word.place] = word


def untold(
    lives: Lives, told: Sequence[Word], spared: Container[tuple[Place, str]] = frozenset()
) -> Iterator[str]:
    """Yield every transition of which nothing was told; an end tells of its beginning too."""
    heard: defaultdict[Place, set[int]] = defaultdict(set)
    for word in told:
        heard[word.place] |= word.steps | {step - 1 for step in word.steps if step % 2}
    for place, episodes in lives.items():
        for number, episode in enumerate(episodes):
            steps = {2 * number, 2 * number + 1} if episode.ended else {2 * number}
            left = steps - heard[place]
            if left and not (left == steps and (place, episode.began) in spared):
                yield f"{place}: {sorted(left)} was never told, {episode}"


def keys(requests: Sequence[Request]) -> Iterator[str]:
    """Yield what breaks this: a key says one thing, and a piece of news goes under one key, taken or not."""
    bodies: dict[str, bytes] = {}
    news: dict[tuple[str, ...], str] = {}
    for request in requests:
        if bodies.setdefault(request.key, request.body) != request.body:
            yield f"{request.key} says two things: {bodies[request.key]!r} {request.body!r}"
        for alert in request.alerts:
            reason = alert["annotations"].get("reason")
            piece = (alert["fingerprint"], alert["startsAt"], alert["status"], str(reason))
            if reason not in (None, "repeat") and news.setdefault(piece, request.key) != request.key:
                yield f"{piece} was sent under {news[piece]} and {request.key}"


def shown(moment: str | None) -> str:
    """Return *moment* as the payload has it."""
    return "" if moment is None else rfc3339(datetime.fromisoformat(moment))
