"""The few figures of a service that one wants to see first, and the values of a signal in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from watchdog.conditions import find_measure, show_value
from watchdog.model import AtLeast, Kind
from watchdog.signals import SIGNALS
from watchdog.units import Unit, parse_duration

Body = Mapping[str, Any]
"""A part of the snapshot: an alert, a signal."""
RECENT = 60.0
"""Seconds a rate is best taken over: long enough to be steady, short enough to be of now."""


class Figure(NamedTuple):
    """A number of a service, None if it is unknown; *at_least* says that it is a lower bound."""

    number: float | None
    at_least: bool = False


NEVER = Figure(math.inf)
"""How long ago something was that never was."""


def figures(signals: Sequence[Body]) -> dict[str, Figure]:
    """Return the figures of a service; what it has not got is absent, what is not known is unknown."""
    by_kind: dict[str, list[Body]] = {}
    for signal in signals:
        by_kind.setdefault(signal["signal"], []).append(signal)

    def of(kind: str, measure: str, *, sure: bool = True) -> list[Figure]:
        signals = (s for s in by_kind.get(kind, ()) if sure or measure in s["values"])
        return [found for s in signals if (found := _figure(s, measure)) is not None]

    def rate(kind: str, measure: str) -> list[Figure]:
        return [found for s in by_kind.get(kind, ()) if (found := _rate(s, measure)) is not None]

    chosen = {
        "success": largest(of("executions", "age") or of("heartbeat", "success_age", sure=False)),
        "in": _summed(rate("executions", "offered") or rate("consumes", "read")),
        "out": _summed(rate("executions", "succeeded") or rate("stream", "added")),
        "lag": largest(of("consumes", "lag")),
        "pending": largest(of("consumes", "pending")),
        "beat": largest(
            of("heartbeat", "age") + [NEVER for s in by_kind.get("heartbeat", ()) if _is_silent(s)]
        ),
        "errors": largest([f for s in by_kind.get("log", ()) if (f := _latest_ratio(s)) is not None]),
    }
    return {name: found for name, found in chosen.items() if found is not None}


def _figure(signal: Body, measure: str) -> Figure | None:
    """Return one value; None if the signal has it not, an unknown one if nothing is known of it."""
    values = signal["values"]
    if measure not in values:
        return Figure(None) if "trouble" in signal else None
    found = values[measure]
    return Figure(found if isinstance(found, int | float) else None, measure in signal.get("bounds", ()))


def _is_silent(heartbeat: Body) -> bool:
    """Say whether there is no beat, nor a time of the last one."""
    return "age" not in heartbeat["values"] and heartbeat["values"].get("present") == 0


def _windowed(signal: Body, measure: str) -> Iterator[tuple[float, str]]:
    """Yield the windows, in seconds, over which *measure* is told, with the names of those figures."""
    for name in signal["values"]:
        plain_name, bracket, window = name.partition("[")
        if bracket and plain_name == measure:
            yield max(1.0, parse_duration(window.removesuffix("]")).total_seconds()), name


def _rate(signal: Body, measure: str) -> Figure | None:
    """Return how many there were a minute, over the window that is nearest to one."""
    windows = list(_windowed(signal, measure))
    if not windows:
        return None
    seconds, name = min(windows, key=lambda w: max(w[0] / RECENT, RECENT / w[0]))
    figure = _figure(signal, name)
    if figure is None or figure.number is None:
        return figure
    return Figure(figure.number * 60 / seconds, figure.at_least)


def _latest_ratio(signal: Body) -> Figure | None:
    """Return the share of errors over the shortest window in which there was anything."""
    known = [(s, f) for s, n in _windowed(signal, "error_ratio") if (f := _figure(signal, n)) is not None]
    if not known:
        return Figure(None) if "trouble" in signal else None
    told = [(seconds, figure) for seconds, figure in known if figure.number is not None]
    return min(told, key=lambda one: one[0])[1] if told else known[0][1]


def largest(figures: Sequence[Figure]) -> Figure | None:
    """Return the largest of *figures*; one that is unknown may be larger still."""
    if not figures or any(figure.number is None for figure in figures):
        return Figure(None) if figures else None
    return max(figures, key=lambda figure: figure.number or 0.0)


def _summed(figures: Sequence[Figure]) -> Figure | None:
    """Return the sum of *figures*; it is unknown if one of them is."""
    if not figures or any(figure.number is None for figure in figures):
        return Figure(None) if figures else None
    return Figure(sum(f.number or 0.0 for f in figures), any(f.at_least for f in figures))


# ---- a signal in words -------------------------------------------------------------------------


def shown_value(signal: Body, name: str) -> str:
    """Return one of the values of *signal* as a person reads it."""
    found = signal["values"][name]
    kind = SIGNALS.get(signal["signal"])
    measure = find_measure(name.partition("[")[0], kind.MEASURES) if kind else None
    unit = measure.unit if measure is not None and measure.kind is not Kind.WORD else Unit.NUMBER
    bounded = isinstance(found, int | float) and name in signal.get("bounds", ())
    return show_value(AtLeast(found) if bounded else found, unit)


def shown_values(signal: Body) -> str:
    """Return the values of *signal* a person wants to see, in one line."""
    return (
        str(signal["trouble"])
        if "trouble" in signal
        else ", ".join(f"{name} {shown_value(signal, name)}" for name in signal["values"])
    )


def signal_name(signal: Body) -> str:
    """Return the signal with what tells it from others."""
    return " ".join([signal["signal"], *signal["labels"].values()])


def why_unseen(signal: Body) -> str:
    """Say why a signal is unknown."""
    missing = [name for name, found in signal["values"].items() if found is None and "[" not in name]
    told = (
        f"{signal['signal']}: no value of {', '.join(missing)}"
        if missing
        else f"{signal['signal']} is unknown"
    )
    return str(signal.get("trouble") or told)
