"""
How alerts, receipts, messages and people's wishes are written down, and read back.

Plain JSON with the full precision of every moment: what comes back equals what went in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from watchdog.alerts import Alert, State
from watchdog.model import Labels, SignalKey
from watchdog.muting import Ack, Matcher, Silence, checked_matcher
from watchdog.notifications import Notice, Notification, Reason
from watchdog.telling import Receipt, Wishes

Record = dict[str, Any]


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def write_alert(alert: Alert) -> Record:
    """Return *alert* as JSON has it; what is empty is left out."""
    record: Record = {
        "labels": dict(alert.labels),
        "signal": [alert.signal.service, alert.signal.kind, dict(alert.signal.labels)],
        "state": str(alert.state),
        "active_since": alert.active_since.isoformat(),
        "last_true": alert.last_true.isoformat(),
        "summary": alert.summary,
        "runbook": alert.runbook,
        "value": alert.value,
        "figures": list(alert.figures),
        "words": list(alert.words),
        "evidence": dict(alert.evidence),
        "fired_at": _written(alert.fired_at),
        "resolved_at": _written(alert.resolved_at),
        "blind_since": _written(alert.blind_since),
        "firings": [moment.isoformat() for moment in alert.firings],
        "ended": alert.ended,
        "ended_by": alert.ended_by,
        "before": write_alert(alert.before) if alert.before else None,
    }
    return {name: found for name, found in record.items() if found not in (None, "", [], {})}


def read_alert(record: Mapping[str, Any]) -> Alert:
    """Return the alert that `write_alert` wrote."""
    service, kind, labels = record["signal"]
    return Alert(
        Labels(record["labels"]),
        SignalKey(service, kind, Labels(labels)),
        State(record["state"]),
        active_since=datetime.fromisoformat(record["active_since"]),
        last_true=datetime.fromisoformat(record["last_true"]),
        summary=record.get("summary", ""),
        runbook=record.get("runbook", ""),
        value=record.get("value"),
        figures=tuple(record.get("figures", ())),
        words=tuple(record.get("words", ())),
        evidence=dict(record.get("evidence", {})),
        fired_at=_moment(record.get("fired_at")),
        resolved_at=_moment(record.get("resolved_at")),
        blind_since=_moment(record.get("blind_since")),
        firings=tuple(datetime.fromisoformat(text) for text in record.get("firings", ())),
        ended=record.get("ended", ""),
        ended_by=record.get("ended_by", ""),
        before=read_alert(record["before"]) if record.get("before") else None,
    )


def write_receipt(receipt: Receipt) -> Record:
    """Return *receipt* as JSON has it."""
    return {
        "fired_at": receipt.fired_at.isoformat(),
        "resolved": receipt.resolved,
        "since": receipt.since.isoformat(),
        "at": receipt.at.isoformat(),
        "group": receipt.group,
        "flapping": receipt.flapping,
        "acked": receipt.acked,
    }


def read_receipt(record: Mapping[str, Any]) -> Receipt:
    """Return the receipt that `write_receipt` wrote."""
    return Receipt(
        fired_at=datetime.fromisoformat(record["fired_at"]),
        resolved=record["resolved"],
        since=datetime.fromisoformat(record["since"]),
        at=datetime.fromisoformat(record["at"]),
        group=record["group"],
        flapping=record["flapping"],
        acked=record["acked"],
    )


def write_notice(notice: Notice) -> Record:
    """Return *notice* as JSON has it."""
    record: Record = {
        "alert": write_alert(notice.alert),
        "cause": notice.cause,
        "affects": list(notice.affects),
        "symptoms": list(notice.symptoms),
        "reason": str(notice.reason) if notice.reason else None,
        "ack": write_ack(notice.ack) if notice.ack else None,
        "unannounced": notice.unannounced,
    }
    return {name: found for name, found in record.items() if found not in (None, [], False)}


def read_notice(record: Mapping[str, Any]) -> Notice:
    """Return the notice that `write_notice` wrote."""
    return Notice(
        read_alert(record["alert"]),
        record.get("cause"),
        tuple(record.get("affects", ())),
        tuple(record.get("symptoms", ())),
        Reason(record["reason"]) if "reason" in record else None,
        read_ack(record["ack"]) if "ack" in record else None,
        record.get("unannounced", False),
    )


def write_notification(message: Notification) -> Record:
    """Return *message* as JSON has it."""
    return {
        "key": message.key,
        "receiver": message.receiver,
        "group": dict(message.group),
        "notices": [write_notice(notice) for notice in message.notices],
        "at": message.at.isoformat(),
        "due": message.due.isoformat(),
        "merged": message.merged,
        "waits": str(message.waits) if message.waits else None,
    }


def read_notification(record: Mapping[str, Any]) -> Notification:
    """Return the message that `write_notification` wrote."""
    return Notification(
        record["key"],
        record["receiver"],
        Labels(record["group"]),
        tuple(read_notice(notice) for notice in record["notices"]),
        at=datetime.fromisoformat(record["at"]),
        due=datetime.fromisoformat(record["due"]),
        merged=record["merged"],
        waits=Reason(record["waits"]) if record["waits"] else None,
    )


def write_ack(ack: Ack) -> Record:
    """Return *ack* as JSON has it."""
    return {
        "fingerprint": ack.fingerprint,
        "fired_at": ack.fired_at.isoformat(),
        "at": ack.at.isoformat(),
        "by": ack.by,
        "comment": ack.comment,
    }


def read_ack(record: Mapping[str, Any]) -> Ack:
    """Return the acknowledgement that `write_ack` wrote."""
    return Ack(
        record["fingerprint"],
        datetime.fromisoformat(record["fired_at"]),
        datetime.fromisoformat(record["at"]),
        record["by"],
        record["comment"],
    )


def write_silence(silence: Silence) -> Record:
    """Return *silence* as JSON has it."""
    return {
        "id": silence.id,
        "matchers": [[m.name, m.op, m.value] for m in silence.matchers],
        "starts_at": silence.starts_at.isoformat(),
        "ends_at": silence.ends_at.isoformat(),
        "created_by": silence.created_by,
        "comment": silence.comment,
        "until_resolved": silence.until_resolved,
        "matched": silence.matched,
    }


def read_silence(record: Mapping[str, Any]) -> Silence:
    """Return the silence that `write_silence` wrote."""
    return Silence(
        record["id"],
        tuple(checked_matcher(Matcher(*matcher)) for matcher in record["matchers"]),
        datetime.fromisoformat(record["starts_at"]),
        datetime.fromisoformat(record["ends_at"]),
        record["created_by"],
        record["comment"],
        record["until_resolved"],
        record["matched"],
    )


def with_wish(wishes: Wishes, book: str, record: Mapping[str, Any], *, known: bool) -> Wishes:
    """Return *wishes* and what *record* of a *book* says; unless *known*, what is there stays as it is."""
    silences, acks = wishes.silences, wishes.acks
    if book == "silences" and (known or record["id"] not in silences):
        return replace(wishes, silences={**silences, record["id"]: read_silence(record)})
    if book == "acks" and (known or record["fingerprint"] not in acks):
        return replace(wishes, acks={**acks, record["fingerprint"]: read_ack(record)})
    return wishes


def written_wishes(wishes: Wishes) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield all silences and acknowledgements as records, each with its book."""
    yield from (("silences", write_silence(silence)) for silence in wishes.silences.values())
    yield from (("acks", write_ack(ack)) for ack in wishes.acks.values())
