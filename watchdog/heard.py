"""
What receivers were told by either watchdog of a pair, so that neither tells it again.

A receiver's belief about an alert is a row of *spans*: it was told of a beginning, and then of the
end, or not yet. Beginnings that the two saw are never the same moment; a local one belongs to the
earliest span it fits, each to its own. Whatever was told, only what comes *before* the first untold
thing about an alert is left out, so that the last thing a receiver hears is always true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from watchdog.alerts import Alert, Alerts, State
from watchdog.model import Labels, SignalKey
from watchdog.notifications import Notice, Notification, Reason, build
from watchdog.telling import Receipt, Receipts, Ticket

REMEMBER = timedelta(days=1)
"""For how long it matters what was told; an open span is remembered as long as it is spoken of."""
SAID_AGAIN = (Reason.ACKNOWLEDGED, Reason.FLAPPING, Reason.STEADY)
"""News about a firing that is known already: told only if the other said just that."""


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that *receiver* took at a moment: which firing of which alert, whether its end, and why."""

    receiver: str
    labels: Labels
    fired_at: datetime
    resolved_at: datetime | None
    reason: Reason | None
    at: datetime


def told_by(message: Notification, at: datetime) -> list[Told]:
    """Return what *message*, taken at a moment, told."""
    return [
        Told(message.receiver, n.alert.labels, n.alert.fired_at, n.alert.resolved_at, n.reason, at)
        for n in message.notices
        if n.alert.fired_at is not None
    ]


@dataclass(slots=True)
class Span:
    """A time in which a receiver believed an alert to fire: since when, until when, and what it was told."""

    labels: Labels
    began: datetime
    ended: datetime | None
    said_at: datetime
    began_as: set[datetime] = field(default_factory=set)
    """The beginnings that were told for this span; the two watchdogs may have told one each."""
    reasons: dict[Reason, datetime] = field(default_factory=dict)
    """What the *other* said, and when last."""


_Place = tuple[datetime, bool, datetime]
_Ends = Mapping[tuple[str, datetime | None], datetime]


class Heard:
    """The beliefs of all receivers, as far as either watchdog brought them about."""

    def __init__(self, tolerance: timedelta, since: datetime) -> None:
        """Two looks at one thing differ by *tolerance* at most; we have been looking *since* a moment."""
        self.tolerance = tolerance
        self._since = since
        self._spans: dict[Ticket, list[Span]] = {}

    def add(self, told: Told, *, own: bool) -> None:
        """Take in what a receiver was told, by us or by the other; the last word is what it believes."""
        spans = self._spans.setdefault((told.receiver, told.labels.fingerprint), [])
        last = spans[-1] if spans else None
        if last is None or last.ended is not None:
            if last is not None and told.resolved_at is not None and told.fired_at in last.began_as:
                return  # its end, once more
            last = Span(told.labels, told.fired_at, None, told.at)
            spans.append(last)
        last.said_at = max(last.said_at, told.at)
        last.began_as.add(told.fired_at)
        last.ended = told.resolved_at
        if told.reason is not None and not own:
            last.reasons[told.reason] = told.at

    def forget(self, now: datetime) -> None:
        """Forget what is of no more use at *now*."""
        for ticket, spans in list(self._spans.items()):
            spans[:] = [span for span in spans if now - span.said_at < REMEMBER]
            if not spans:
                del self._spans[ticket]

    # ---- what need not be told -------------------------------------------------------------------

    def shorten(self, messages: Sequence[Notification]) -> Callable[[Notification], Notification | None]:
        """
        Return what makes of each of *messages*, which wait for one receiver, what is still to be told.

        Nothing is left out that would make an older word the receiver's last one.
        """
        news = sorted(_news(messages), key=lambda item: item[0])
        ends = {n.episode: n.alert.resolved_at for _, n, _ in news if n.alert.resolved_at is not None}
        untold: dict[str, _Place] = {}
        for place, notice, message in news:
            mark = notice.alert.labels.fingerprint
            if mark not in untold and not self._told(message, notice, ends):
                untold[mark] = place

        def known(message: Notification, notice: Notice) -> bool:
            mark = notice.alert.labels.fingerprint
            return mark not in untold or _place(message, notice) < untold[mark]

        def shortened(message: Notification) -> Notification | None:
            return self._without(message, known, ends)

        return shortened

    def _without(
        self, message: Notification, known: Callable[[Notification, Notice], bool], ends: _Ends
    ) -> Notification | None:
        kept: list[Notice] = []
        for notice in message.notices:
            if notice.reason is not None and known(message, notice):
                if not notice.resolved:
                    kept.append(replace(notice, reason=None))
            elif notice.unannounced and self._span(message.receiver, notice.alert, ends) is not None:
                kept.append(replace(notice, unannounced=False))
            else:
                kept.append(notice)
        if not any(notice.reason for notice in kept):
            return None
        if tuple(kept) == message.notices:
            return message
        return build(
            message.receiver,
            message.group,
            kept,
            message.at,
            due=message.due,
            merged=message.merged,
            waits=message.waits,
        )

    def _told(self, message: Notification, notice: Notice, ends: _Ends) -> bool:
        """Say whether the receiver knows what *notice* says."""
        span = self._span(message.receiver, notice.alert, ends)
        if span is None:
            return False
        if notice.resolved:
            return span.ended is not None
        if notice.reason in SAID_AGAIN:
            said = span.reasons.get(notice.reason) if notice.reason else None
            return said is not None and said >= message.at - self.tolerance
        if notice.reason is Reason.REPEAT:
            return any(said >= message.at - self.tolerance for said in span.reasons.values())
        return True

    def _span(self, receiver: str, alert: Alert, ends: _Ends) -> Span | None:
        """Return the span to which the present firing of *alert* belongs: beginnings and spans in order."""
        spans = self._spans.get((receiver, alert.labels.fingerprint))
        if not spans or alert.fired_at is None:
            return None
        rest = list(spans)
        beginnings = sorted({*(b for b in alert.firings if b < alert.fired_at), alert.fired_at})
        for began in beginnings:
            ended = ends.get((alert.labels.fingerprint, began))
            found = next((i for i, span in enumerate(rest) if self._fits(span, began, ended, alert)), None)
            if began == alert.fired_at:
                return None if found is None else rest[found]
            if found is not None:
                del rest[: found + 1]
        return None

    def _fits(self, span: Span, began: datetime, ended: datetime | None, alert: Alert) -> bool:
        """
        Say whether what *began* and maybe *ended* here is the firing the receiver was told of in *span*.

        What was firing when we began to look may have been told long before.
        """
        if began in span.began_as:
            return True
        if (ended is not None and ended < span.began) or (span.ended is not None and began >= span.ended):
            return False
        if began < span.began - self.tolerance:
            return False
        fresh = alert.active_since <= self._since + self.tolerance
        return fresh or began <= span.said_at + self.tolerance

    # ---- what is to be ended ---------------------------------------------------------------------

    def adopt(
        self, alerts: Alerts, receipts: Receipts, lead_of: Callable[[Labels], SignalKey | None]
    ) -> tuple[dict[Labels, Alert], dict[Ticket, Receipt]]:
        """
        Return *alerts* and *receipts* with what the other announced and can no longer end.

        The next look finds each such alert to go on or to be over, and tells its end.
        """
        alerts, receipts = dict(alerts), dict(receipts)
        for ticket, spans in self._spans.items():
            span, receipt = spans[-1], receipts.get(ticket)
            if span.ended is not None or not span.reasons or (receipt and not receipt.resolved):
                continue
            alert = alerts.get(span.labels)
            if alert is None or not alert.firing:
                if alert is not None and any(b >= span.began - self.tolerance for b in alert.firings):
                    continue  # its end was decided here
                alert = alerts[span.labels] = _adopted(span, lead_of)
            fired_at = alert.fired_at or span.began
            receipts[ticket] = Receipt(fired_at, False, span.began, span.said_at, alert.service)
        return alerts, receipts


def _adopted(span: Span, lead_of: Callable[[Labels], SignalKey | None]) -> Alert:
    labels = span.labels
    return Alert(
        labels,
        lead_of(labels) or SignalKey(labels["service"], "", Labels()),
        State.FIRING,
        active_since=span.began,
        last_true=span.said_at,
        summary="announced by the other watchdog of the pair",
        fired_at=span.began,
        firings=(span.began,),
    )


def _place(message: Notification, notice: Notice) -> _Place:
    """Return where in the course of things *notice* stands."""
    return notice.alert.fired_at or message.at, notice.resolved, message.at


def _news(
    messages: Iterable[Notification],
) -> Iterable[tuple[_Place, Notice, Notification]]:
    return [(_place(m, n), n, m) for m in messages for n in m.notices if n.reason is not None]


# ---- as JSON -----------------------------------------------------------------------------------


def write_told(told: Told) -> dict[str, Any]:
    """Return *told* as JSON has it."""
    return {
        "receiver": told.receiver,
        "labels": dict(told.labels),
        "fired_at": told.fired_at.isoformat(),
        "resolved_at": told.resolved_at and told.resolved_at.isoformat(),
        "reason": told.reason,
        "at": told.at.isoformat(),
    }


def read_told(record: Mapping[str, Any]) -> Told:
    """Return what `write_told` wrote."""
    ended, reason = record["resolved_at"], record["reason"]
    return Told(
        record["receiver"],
        Labels(record["labels"]),
        datetime.fromisoformat(record["fired_at"]),
        ended and datetime.fromisoformat(ended),
        reason and Reason(reason),
        datetime.fromisoformat(record["at"]),
    )
