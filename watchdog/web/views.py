"""What the API shows: alerts with what people said and who was told, silences, deliveries, receivers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from typing_extensions import TypedDict

from watchdog.loading import Loading
from watchdog.muting import Silence
from watchdog.notifications import Notice
from watchdog.notifiers import NOTIFIERS
from watchdog.report import AlertBody, alert_json, stamp, stamp_if
from watchdog.sidecar import Sidecar

TOLD = "told"
"""The reason shown for a receiver that has nothing new to hear."""


# ---- alerts ------------------------------------------------------------------------------------


class ToldBody(TypedDict):
    """
    How one receiver stands to an alert.

    *reason* is the last decision's, or `told`; *told_at* is when it was last told, and *since* when
    it has known of this firing, null if it was not. With *waiting* the message is still on its way.
    """

    receiver: str
    reason: str
    told_at: str | None
    since: str | None
    waiting: bool


class AckBody(TypedDict):
    """Who has acknowledged an alert, when and why."""

    by: str
    at: str
    comment: str


class ShownAlert(AlertBody):
    """One alert with what people said to it, and who was told."""

    acknowledged: AckBody | None
    silenced_by: list[str]
    flapping: bool
    receivers: list[ToldBody]


@dataclass(frozen=True, slots=True)
class AlertView:
    """Shows alerts as they stand in *sidecar* at *now*."""

    sidecar: Sidecar
    now: datetime
    silences: tuple[Silence, ...]
    on_their_way: frozenset[tuple[str, str]]
    """Receivers, each with the fingerprint of an alert of which a message waits for it."""

    def show(self, notice: Notice) -> ShownAlert:
        """Return one alert."""
        alert, sidecar = notice.alert, self.sidecar
        ack = sidecar.wishes.acks.get(alert.labels.fingerprint)
        flapping = sidecar.config.policy.flapping
        return {
            **alert_json(notice),
            "acknowledged": {"by": ack.by, "at": stamp(ack.at), "comment": ack.comment}
            if ack is not None and ack.holds(alert)
            else None,
            "silenced_by": [silence.id for silence in self.silences if silence.matches(alert.labels)],
            "flapping": flapping is not None and flapping.holds(alert, self.now),
            "receivers": list(self._told(alert.labels.fingerprint)),
        }

    def _told(self, mark: str) -> Iterator[ToldBody]:
        for name in self.sidecar.config.receivers:
            ticket = (name, mark)
            receipt, reason = self.sidecar.receipts.get(ticket), self.sidecar.reasons.get(ticket)
            if receipt is not None or reason is not None:
                yield {
                    "receiver": name,
                    "reason": TOLD if reason is None else str(reason),
                    "told_at": stamp(receipt.at) if receipt else None,
                    "since": stamp(receipt.since) if receipt else None,
                    "waiting": ticket in self.on_their_way,
                }


def alert_view(sidecar: Sidecar, now: datetime) -> AlertView:
    """Return what shows the alerts of *sidecar* at *now*."""
    active = tuple(silence for silence in sidecar.wishes.silences.values() if silence.active(now))
    on_their_way = frozenset(
        (name, notice.alert.labels.fingerprint)
        for name in sidecar.config.receivers
        for message in sidecar.outbox.waiting(name)
        for notice in message.notices
        if notice.reason
    )
    return AlertView(sidecar, now, active, on_their_way)


# ---- the rules file --------------------------------------------------------------------------


class ConfigurationBody(TypedDict):
    """
    How the rules file was taken when it was last read.

    What is in force was read at *loaded_at*. With *problems* the file as it is now cannot be used, since
    *refused_at*; *at_restart* says what of the file in force takes effect at the next start only.
    """

    loaded_at: str
    refused_at: str | None
    problems: list[str]
    at_restart: list[str]


def loading_json(loading: Loading) -> ConfigurationBody:
    """Return how the rules file was taken."""
    return {
        "loaded_at": stamp(loading.loaded_at),
        "refused_at": stamp_if(loading.refused_at),
        "problems": list(loading.problems),
        "at_restart": list(loading.at_restart),
    }


# ---- silences ----------------------------------------------------------------------------------


class Standing(StrEnum):
    """How a silence stands."""

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"


class MatcherBody(TypedDict):
    """One condition on a label, as in Alertmanager's API."""

    name: str
    value: str
    isRegex: bool
    isEqual: bool


class StandingBody(TypedDict):
    """How a silence stands, as in Alertmanager's API."""

    state: Standing


class SilenceBody(TypedDict):
    """A silence as in Alertmanager's API; with *untilResolved* it ends once nothing it held back fires."""

    id: str
    matchers: list[MatcherBody]
    startsAt: str
    endsAt: str
    createdBy: str
    comment: str
    untilResolved: bool
    status: StandingBody


def standing(silence: Silence, now: datetime) -> Standing:
    """Return how *silence* stands at *now*."""
    if now >= silence.ends_at:
        return Standing.EXPIRED
    return Standing.ACTIVE if now >= silence.starts_at else Standing.PENDING


def silence_json(silence: Silence, now: datetime) -> SilenceBody:
    """Return *silence* as it stands at *now*."""
    return {
        "id": silence.id,
        "matchers": [
            {"name": m.name, "value": m.value, "isRegex": m.op.endswith("~"), "isEqual": m.op.startswith("=")}
            for m in silence.matchers
        ],
        "startsAt": stamp(silence.starts_at),
        "endsAt": stamp(silence.ends_at),
        "createdBy": silence.created_by,
        "comment": silence.comment,
        "untilResolved": silence.until_resolved,
        "status": {"state": standing(silence, now)},
    }


# ---- deliveries and receivers ------------------------------------------------------------------


class DeliveryBody(TypedDict):
    """What became of one attempt to deliver a message, or of a message that was given up."""

    at: str
    receiver: str
    outcome: str
    key: str
    decided_at: str
    merged: int
    reasons: list[str]
    names: list[str]
    count: int
    alerts: list[str]
    attempt: int | None
    took: float | None
    pause: float | None
    why: str | None


def delivery_json(record: Mapping[str, Any]) -> DeliveryBody:
    """Return one entry of the delivery log."""
    return {
        "at": _moment(record["at"]),
        "receiver": record["receiver"],
        "outcome": record["outcome"],
        "key": record["key"],
        "decided_at": _moment(record["decided_at"]),
        "merged": record["merged"],
        "reasons": record["reasons"],
        "names": record["names"],
        "count": record["count"],
        "alerts": record["alerts"],
        "attempt": record.get("attempt"),
        "took": record.get("took"),
        "pause": record.get("pause"),
        "why": record.get("why"),
    }


def _moment(text: str) -> str:
    return stamp(datetime.fromisoformat(text))


class ReceiverBody(TypedDict):
    """How a receiver stands: what waits for it, since when it takes nothing, and why."""

    receiver: str
    kind: str
    waiting: int
    oldest: str | None
    failing_since: str | None
    why: str | None
    outcomes: dict[str, int]


def receivers_json(sidecar: Sidecar) -> list[ReceiverBody]:
    """Return every receiver in the file's order."""
    return [_receiver(sidecar, name) for name in sidecar.config.receivers]


def _receiver(sidecar: Sidecar, name: str) -> ReceiverBody:
    outbox = sidecar.outbox
    health, oldest = outbox.health(name), outbox.oldest(name)
    return {
        "receiver": name,
        "kind": kind_of(sidecar.config.receivers[name]),
        "waiting": outbox.depth(name),
        "oldest": stamp_if(oldest),
        "failing_since": stamp_if(health.failing_since),
        "why": health.why or None,
        "outcomes": {outcome: count for (who, outcome), count in outbox.outcomes.items() if who == name},
    }


def kind_of(notifier: object) -> str:
    """Return under which name *notifier* stands in rules.yaml."""
    return NOTIFIERS.name_of(type(notifier))


def counted(silences: Iterable[Silence], now: datetime) -> dict[Standing, int]:
    """Return how many of *silences* stand in each way."""
    found = [standing(silence, now) for silence in silences]
    return {state: found.count(state) for state in Standing}
