"""
The entries on the bus: what is read from them, whatever their shape, and how each shape is written.

All fields and values are strings. The same thing comes flat, or as JSON in `payload`, `data` or `details`.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from watchdog.traceparent import TRACEPARENT

Fields = Mapping[str, str]
Body = Mapping[str, Any]

ENVELOPES = ("payload", "data", "details")
NOT_SAID = frozenset({*ENVELOPES, TRACEPARENT})
ORDERING = frozenset({"EXECUTE", "RECONCILE_CLOSE"})
REFUSING = frozenset({"SKIP", "BLOCKED", "ERROR", "HALT", "DENIED", "REJECTED"})
LONGEST_TEXT = 200
SIDES = frozenset({"BUY", "SELL"})


class UnreadableError(ValueError):
    """An entry does not say what its reader needs to know."""


def body(fields: Fields) -> dict[str, Any]:
    """Return what an entry says, flat fields and the content of its envelopes together, but not its trace."""
    said: dict[str, Any] = {key: value for key, value in fields.items() if key not in NOT_SAID}
    for envelope in ENVELOPES:
        if envelope in fields:
            content = _json(fields[envelope], envelope)
            if not isinstance(content, dict):
                raise UnreadableError(f"{envelope} is no object")
            said |= content
    return said


def text(said: Body, key: str) -> str:
    """Return the non-empty text under *key*, which is one that can be logged."""
    value = said.get(key)
    if not isinstance(value, str) or not value:
        raise UnreadableError(f"no {key}")
    if len(value) > LONGEST_TEXT or not value.isprintable():
        raise UnreadableError(f"{key} is no name: {value[:40]!r}")
    return value


def side_of(said: Body) -> str:
    """Return the side, which half of the bus writes under `action`."""
    return str(said["action"]) if not said.get("side") and said.get("action") in SIDES else text(said, "side")


def number(said: Body, key: str, default: float | None = None) -> float:
    """Return the finite number under *key*; without *default* it has to be there."""
    value = said.get(key, default)
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise UnreadableError(f"{key} is no number: {str(value)[:40]!r}")
    return found


def truth(value: object) -> bool:
    """Say whether *value* is one of the ways in which the bus writes true."""
    return str(value).lower() in {"true", "1"}


def decision_of(said: Body) -> str:
    """Return the decision of an apply.result, also of the shapes that do not name it."""
    if explicit := said.get("decision"):
        return str(explicit)
    if truth(said.get("executed")):
        return "EXECUTE"
    return "BLOCKED" if said.get("error") else "SKIP"


def moment(said: Body, key: str, default: float) -> float:
    """Return the ISO 8601 time under *key* as epoch seconds; naive ones are UTC."""
    value = said.get(key)
    if not isinstance(value, str):
        return default
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise UnreadableError(f"{key} is no time: {value[:40]!r}") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def iso(now: float) -> str:
    """Return *now* as most of the bus writes it: `2026-02-09T23:20:25.849497Z`."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def envelope(event_type: str, payload: Body, source: str, now: float) -> dict[str, str]:
    """Return the fields of an entry that carries *payload* as JSON."""
    return {
        "event_type": event_type,
        "payload": compact(payload),
        "timestamp": iso(now),
        "source": source,
    }


@dataclass(frozen=True)
class Plan:
    """What the intent bridge proposes to the apply layer."""

    plan_id: str
    symbol: str
    decision: str
    action: str
    side: str = ""
    qty: float = 0.0
    source: str = ""
    kill_score: float = 0.0
    r_net: float = 0.0
    reduce_only: bool = False
    reason_codes: Sequence[str] = ()

    def order_fields(self, leverage: int, now: float) -> dict[str, str]:
        """Return the plan in shape A, which proposes an order."""
        return {
            "plan_id": self.plan_id,
            "decision": self.decision,
            "symbol": self.symbol,
            "side": self.side,
            "type": "MARKET",
            "qty": f"{self.qty:g}",
            "reduceOnly": str(self.reduce_only or self.side == "SELL").lower(),
            "source": self.source,
            "action": self.action,
            "leverage": str(leverage),
            "kill_score": f"{self.kill_score:g}",
            "timestamp": str(int(now)),
        }

    def hold_fields(self, now: float) -> dict[str, str]:
        """Return the plan in shape B, which proposes to leave things as they are."""
        return {
            "plan_id": self.plan_id,
            "symbol": self.symbol,
            "action": self.action,
            "kill_score": f"{self.kill_score:g}",
            "R_net": f"{self.r_net:g}",
            "decision": self.decision,
            "reason_codes": ",".join(self.reason_codes),
            "steps": "[]",
            "close_qty": "0.0",
            "reduceOnly": "true",
            "timestamp": str(int(now)),
        }


def plan_of(fields: Fields) -> Plan:
    """Read a plan of either shape."""
    said = body(fields)
    return Plan(
        plan_id=text(said, "plan_id"),
        symbol=text(said, "symbol"),
        decision=text(said, "decision"),
        action=str(said.get("action", "")),
        side=str(said.get("side", "")),
        qty=number(said, "qty", 0.0),
        source=str(said.get("source", "")),
        kill_score=number(said, "kill_score", 0.0),
        r_net=number(said, "R_net", 0.0),
        reduce_only=truth(said.get("reduceOnly", said.get("reduce_only"))),
        reason_codes=tuple(filter(None, str(said.get("reason_codes", "")).split(","))),
    )


def plan_id_of(*parts: object) -> str:
    """Return the id that a plan gets: the same for the same intent, so that a repeated one is noticed."""
    return hashlib.sha256(":".join(map(str, parts)).encode()).hexdigest()[:16]


def order_id_of(plan_id: str) -> int:
    """Return the exchange's id for the order of a plan."""
    return int.from_bytes(hashlib.sha256(plan_id.encode()).digest()[:4])


def compact(value: object) -> str:
    """Return *value* as JSON without blanks."""
    return json.dumps(value, separators=(",", ":"))


def _json(content: str, name: str) -> object:
    try:
        parsed: object = json.loads(content)
    except (ValueError, RecursionError):
        raise UnreadableError(f"{name} is no JSON") from None
    return parsed
