"""What the file may say of results: what is a success, what is decided, how many there may be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from watchdog.fields import Duration
from watchdog.model import Kind, Labels, Measure, counter, seconds, value
from watchdog.signals.base import SignalConfig
from watchdog.signals.contents import FieldCheck, Words, constant_share
from watchdog.signals.pace import Ceilings
from watchdog.units import Unit

Wanted = dict[str, Any]


class InputConfig(BaseModel):
    """The stream that offers work, which of its entries are an offer, and whether each gets an answer."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)
    stream: str = Field(
        min_length=1, description="the stream that offers work", examples=["quantum:stream:apply.plan"]
    )
    where: Wanted = Field(
        default_factory=dict,
        description="only entries with these fields are offers",
        examples=[{"decision": "EXECUTE"}],
    )
    all_answered: bool = Field(False, description="whether every offer leads to a result, whatever it says")


class DecisionConfig(BaseModel):
    """The field that says what was decided, which decisions there are, and whether they vary."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)
    field: str = Field(
        min_length=1, description="the field that says what was decided", examples=["decision"]
    )
    of: Words | None = Field(
        None,
        description="decisions whose shares are told, as share.<decision>",
        examples=[["EXECUTE", "SKIP", "BLOCKED"]],
    )
    varies: bool = Field(False, description="whether healthy work brings more than one decision an hour")


def _input(raw: object) -> object:
    return {"stream": raw} if isinstance(raw, str) else raw


def _decision(raw: object) -> object:
    return {"field": raw} if isinstance(raw, str) else raw


def share(of: str) -> Measure:
    """Return the measure of how large a part of all decisions one is."""
    return Measure(Kind.RATIO, Unit.RATIO, "Share of one decision in all", parts=(f"decided.{of}", "decided"))


def top_share(help_: str, part: str, whole: str) -> Measure:
    """Return the measure of how large a part of *whole* the most frequent variant of *part* is."""
    return Measure(Kind.SHARE, Unit.RATIO, help_, parts=(part, whole))


MEASURES: Mapping[str, Measure] = {
    "total": counter("Results"),
    "succeeded": counter("Results that are a success"),
    "answered": counter("Results, those that are ignored included"),
    "attempted": counter("Results, where the file says which are ignored"),
    "offered": counter("Entries that offered work"),
    "offered_since": value("Entries that offered work since the last success"),
    "age": seconds("Time since the last success", grows=True),
    "overdue": value("Time since the last success by the longest usual time between two"),
    "expected": seconds("The longest usual time between two successes as the file declares it"),
    "usual": seconds("The longest usual time between two successes at this hour as it was learnt"),
    "rhythm": value("1 while a longest usual time between two successes is declared or learnt"),
    "success_ratio": Measure(
        Kind.RATIO, Unit.RATIO, "Share of results that are a success", parts=("succeeded", "total")
    ),
    "answered_ratio": Measure(
        Kind.RATIO, Unit.RATIO, "Results by entries that offered work", parts=("answered", "offered")
    ),
    "top_reason_share": top_share("Share of the most frequent reason in all results", "reason", "total"),
    "top_reason": Measure(
        Kind.TOP, Unit.WORD, "The most frequent reason for not succeeding", parts=("reason",)
    ),
    "decided": counter("Results with a decision, those that are ignored included"),
    "top_decision_share": top_share("Share of the most frequent decision", "decision", "decided"),
    "top_decision": Measure(Kind.TOP, Unit.WORD, "The most frequent decision", parts=("decision",)),
    "share.*": share("*"),
    "sameness": top_share("Share of the most frequent decision, where they vary", "decision", "decided"),
    "forbidden": counter("Results with a reason or a decision that must never occur"),
    "bad_values": counter("Results with a field outside what the file allows"),
    "constant_share.*": constant_share("*"),
    "skew": seconds("Time of the newest result's ID less the time in its payload"),
    "old": counter("Results whose payload is older than its ID by more than it may be"),
    "of_limit": value("Successes in their window by the most there may be"),
}
NEEDED: Mapping[str, tuple[str, ...]] = {
    "input": ("offered", "answered", "offered_since"),
    "expect_every": ("expected",),
    "reason": ("top_reason", "top_reason_share"),
    "decision": ("decided", "top_decision", "top_decision_share"),
    "never": ("forbidden",),
    "fields": ("bad_values",),
    "timestamp": ("skew", "old"),
    "at_most": ("of_limit",),
}
"""Which measures only a file with a certain key offers."""


class ExecutionsConfig(SignalConfig):
    """Keys of `executions`."""

    stream: str = Field(
        min_length=1,
        description="the stream that holds the results",
        examples=["quantum:stream:execution.result"],
    )
    success: Wanted = Field(
        min_length=1,
        description="what every field of a success must be",
        examples=[{"status": "filled", "entry_price": "> 0"}, {"executed": True}],
    )
    reason: str | None = Field(
        None, description="the field that says why it did not succeed", examples=["error"]
    )
    input: Annotated[InputConfig, BeforeValidator(_input)] | None = Field(
        None,
        description="the stream that offers the work: only it tells quiet from dead",
        examples=[
            "quantum:stream:apply.result",
            {"stream": "quantum:stream:apply.plan", "where": {"decision": "EXECUTE"}},
        ],
    )
    ignore: Wanted = Field(
        default_factory=dict,
        description="results that were never meant to succeed, such as {decision: SKIP}; {} if all were",
        examples=[{"decision": "SKIP"}],
    )
    decision: Annotated[DecisionConfig, BeforeValidator(_decision)] | None = Field(
        None,
        description="the field that says what was decided, or field, of and varies",
        examples=["decision", {"field": "decision", "of": ["EXECUTE", "SKIP"], "varies": True}],
    )
    never: Words | None = Field(
        None,
        description="reasons and decisions that must never occur, such as unknown_*",
        examples=["unknown_*"],
    )
    fields: dict[str, FieldCheck] = Field(
        default_factory=dict,
        description="what fields may hold: words of all results, numbers of successes",
        examples=[{"entry_price": {"range": [0, 1000000]}}],
    )
    timestamp: str | None = Field(
        None, description="the field that says of when the work is", examples=["timestamp"]
    )
    max_skew: Duration = Field(
        timedelta(minutes=10), description="by how much `timestamp` may be older than the ID (10m)"
    )
    expect_every: Duration | None = Field(
        None,
        description="the longest usual time between two successes; learnt if not told",
        examples=["30m"],
    )
    at_most: Ceilings = Field(
        (),
        description="how many successes there may be, such as 30/1h; or several",
        examples=["30/1h", ["2000/1h", "200/1m"]],
    )

    def labels(self) -> Labels:
        """Return the result stream."""
        return Labels(stream=self.stream)

    def offered(self) -> Mapping[str, Measure]:
        """Return what this configuration can tell."""
        absent = {"share.*", "constant_share.*"}
        absent |= {name for key, names in NEEDED.items() if not getattr(self, key) for name in names}
        absent |= {"usual"} if self.expect_every else set()
        absent |= set() if self.input and self.input.all_answered else {"answered_ratio"}
        absent |= set() if self.decision and self.decision.varies else {"sameness"}
        absent |= set() if "ignore" in self.model_fields_set else {"attempted"}
        found = {name: measure for name, measure in MEASURES.items() if name not in absent}
        found |= {f"share.{word}": share(word) for word in (self.decision and self.decision.of) or ()}
        return found | {f"constant_share.{name}": constant_share(name) for name in self.fields}
