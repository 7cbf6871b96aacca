"""The one sentence before all others: is the pipeline working, since when not, and who is the cause."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from watchdog.alerts import State
from watchdog.model import AtLeast, Since, as_of
from watchdog.notifications import Notice
from watchdog.report import Snapshot, Status
from watchdog.rules import Severity
from watchdog.runbooks import runbook_names
from watchdog.topology import Needs
from watchdog.units import first_of
from watchdog.web.pages.alerting import CULPRIT, told_best

VERDICTS = {
    Status.CRITICAL: "Not working",
    Status.UNKNOWN: "Cannot tell",
    Status.WARNING: "Working, with warnings",
    Status.OK: "Working",
}
QUIET = "Quiet, not broken"
NAMED = 4
"""So many services are named in a sentence."""
MOST_SUCCESSES = 3


@dataclass(frozen=True, slots=True)
class Success:
    """When *service* last did its work; *at_least* says that it may be longer ago, None that nobody knows."""

    service: str
    since: datetime | None
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Headline:
    """
    What is told first: how all stands, and in one *sentence* why.

    *cause* is the service where the fault lies and *reason* what is wrong there, where the sentence
    is about another one; *culprit* is what is to be mended, as far as it was found, *runbook* what tells
    how; *blocks* are the services that cannot work because of it, *beside* those that are broken by
    themselves. *since* is when it began; with *looking* nothing else was ever seen.
    """

    status: Status
    verdict: str
    sentence: str
    cause: str = ""
    reason: str = ""
    culprit: str = ""
    runbook: str = ""
    blocks: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    since: datetime | None = None
    looking: bool = False
    successes: tuple[Success, ...] = ()
    stale: bool = False

    @property
    def spoken(self) -> str:
        """Return what a screen reader is told when it changes; figures that count on are not in it."""
        return ", ".join([self.verdict, *([f"cause: {self.cause}"] if self.cause else [])])

    @property
    def title(self) -> str:
        """Return what stands in the tab: the verdict and the cause, for there is little room."""
        return f"{self.verdict}: {self.cause}" if self.cause else self.verdict


def not_looking(last: datetime | None) -> Headline:
    """Return what is told while there are no looks: the last one was at *last*."""
    sentence = "the watchdog itself has stopped looking; what stands below was true once"
    return Headline(Status.UNKNOWN, "Unknown", sentence, since=last, stale=True)


def headline_of(
    latest: Snapshot, needs: Needs, changed: datetime | None, started: datetime, troubles: Sequence[str]
) -> Headline:
    """
    Return what is told first of *latest*.

    *changed* is when all together last changed how they stand, as far as known; *started* when the
    watchdog began to look; *troubles* say what is unknown.
    """
    active = [n for n in latest.notices if not n.resolved]
    status, verdict = latest.status, VERDICTS[latest.status]
    since, looking = (changed, False) if changed is not None else (started, True)
    successes = tuple(successes_of(latest, needs))
    if status is Status.CRITICAL:
        return _broken([n for n in active if n.alert.severity is Severity.CRITICAL], changed, successes)
    if status is Status.UNKNOWN:
        who = [name for name, standing in latest.services.items() if standing is Status.UNKNOWN]
        sentence = _unknown(who, troubles)
    elif status is Status.WARNING:
        warnings = [n for n in active if n.alert.severity is Severity.WARNING]
        more = f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""
        sentence = warnings[0].alert.summary + more
    else:
        quiet = [n for n in active if n.alert.signal.kind == "executions"]
        sentence = quiet[0].alert.summary if quiet else _fine(len(latest.services))
        verdict = QUIET if quiet else verdict
    return Headline(status, verdict, sentence, since=since, looking=looking, successes=successes)


def _broken(critical: Sequence[Notice], changed: datetime | None, successes: tuple[Success, ...]) -> Headline:
    """Return the sentence about the work that is not done, with the cause of that."""
    told = min(critical, key=_telling)
    cause = told.cause or told.alert.service
    roots = sorted((n for n in critical if n.alert.service == cause), key=lambda n: not told_best(n))
    root = roots[0] if roots else told
    reason = _without(cause, root.alert.summary) if root is not told else ""
    began = min(n.alert.active_since for n in critical)
    since = began if changed is None else min(began, changed)
    return Headline(
        Status.CRITICAL,
        VERDICTS[Status.CRITICAL],
        told.alert.summary,
        cause,
        reason,
        str(root.alert.evidence.get(CULPRIT, "")),
        root.alert.name if root.alert.name in runbook_names() else "",
        root.affects,
        tuple(
            dict.fromkeys(n.alert.service for n in critical if n.cause is None and n.alert.service != cause)
        ),
        since,
        successes=successes,
    )


def _without(service: str, summary: str) -> str:
    """Return *summary* without the name of *service* at its beginning, which stands there already."""
    return summary.removeprefix(service).removeprefix(":").lstrip()


def _telling(notice: Notice) -> tuple[bool, bool, int, bool, datetime]:
    """Order alerts by how much they say of the whole: work that is not done, then whoever blocks most."""
    alert = notice.alert
    return (
        alert.state is State.PENDING,
        alert.signal.kind != "executions",
        len(notice.affects) if alert.signal.kind == "executions" else -len(notice.affects),
        not told_best(notice),
        alert.active_since,
    )


def _unknown(who: Sequence[str], troubles: Sequence[str]) -> str:
    names = listed(who) if who else "the watchdog's own server"
    return f"nothing certain is known of {names}" + (f": {troubles[0]}" if troubles else "")


def _fine(count: int) -> str:
    return f"all {count} services are as they should be" if count != 1 else "the service is as it should be"


def listed(names: Sequence[str]) -> str:
    """Return *names* as in a sentence, the first few of them if they are many."""
    if len(names) > NAMED:
        return first_of(names, NAMED)
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def successes_of(latest: Snapshot, needs: Needs) -> Iterable[Success]:
    """Yield when the work at the ends of the pipeline was last done: of those that no other worker needs."""
    workers = {key.service: report for key, report in latest.signals.items() if key.kind == "executions"}
    needed: Collection[str] = {name for who in workers for name in needs.get(who, ())}
    ends = [who for who in workers if who not in needed][:MOST_SUCCESSES]
    for who in ends:
        report = workers[who]
        if report.reading.trouble is not None:  # the sentence says that nobody can tell
            continue
        held = report.reading.values.get("age")
        if isinstance(held, Since):
            yield Success(who, datetime.fromtimestamp(held.moment, latest.at.tzinfo), held.at_least)
        elif isinstance(found := as_of(held, latest.at), AtLeast | float):
            number = found.number if isinstance(found, AtLeast) else found
            moment = datetime.fromtimestamp(latest.at.timestamp() - number, latest.at.tzinfo)
            yield Success(who, moment, isinstance(found, AtLeast))
        else:
            yield Success(who, None)
