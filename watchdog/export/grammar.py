"""
How durations, sizes and conditions are written, as regular expressions for the schema.

They say no more than the readers in `watchdog.units` and `watchdog.conditions` do, in the part of the
language that all regular expressions share; a test holds each against the reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from watchdog.model import Kind, Measure
from watchdog.units import BYTES, SECONDS, Unit

_NUMBER = r"[-+]?([0-9][0-9_]*\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?"
_TIME = rf"([0-9]+(\.[0-9]+)?({'|'.join(sorted(SECONDS, key=len, reverse=True))}))+"
_SIZE = rf"[0-9]+(\.[0-9]+)?\s*({'|'.join(sorted(BYTES, key=len, reverse=True))})"
_SHARE = r"[0-9]+(\.[0-9]+)?\s*%"
DURATION = rf"^\s*(?=.*[1-9]){_TIME}\s*$"
"""Above zero."""
WAIT = rf"^\s*{_TIME}\s*$"
SIZE = rf"^\s*({_NUMBER}|{_SIZE})\s*$"
CEILING = rf"^\s*0*[1-9][0-9]*\s*/\s*(?=.*[1-9]){_TIME}\s*$"
OPERANDS: Mapping[Unit, str] = {
    Unit.SECONDS: rf"({_NUMBER}|-?{_TIME})",
    Unit.RATIO: rf"({_NUMBER}|{_SHARE})",
    Unit.BYTES: rf"({_NUMBER}|{_SIZE})",
    Unit.NUMBER: rf"({_NUMBER})",
    Unit.ANY: rf"({_NUMBER}|-?{_TIME}|{_SHARE}|{_SIZE})",
}
"""How a number of each unit may be written."""
_NAME = r"[A-Za-z_][A-Za-z0-9_.\-]*"


def condition(catalogue: Mapping[str, Mapping[str, Measure]]) -> str:
    """Return what fits one item of `when` that asks for measures of *catalogue*."""
    comparisons = "|".join(_comparisons(catalogue))
    return rf"^(\s*({comparisons})\s*( or |$))+$"


def _comparisons(catalogue: Mapping[str, Mapping[str, Measure]]) -> Iterator[str]:
    """Yield what fits one comparison, for measures that are compared alike at once."""
    alike: dict[tuple[str, str], list[str]] = {}
    for signal, measures in catalogue.items():
        for name, measure in measures.items():
            how = _window(measure), _compared(measure)
            alike.setdefault(how, []).append(f"{re.escape(signal)}\\.{_named(name)}")
    for (window, compared), names in alike.items():
        yield f"({'|'.join(names)}){window}{compared}"


def _named(measure: str) -> str:
    """Return what fits the name of a measure; of a family each member's."""
    family, dot, _ = measure.partition(".")
    return rf"{re.escape(family)}\.{_NAME}" if dot else re.escape(measure)


def _window(measure: Measure) -> str:
    window = rf"\[\s*{_TIME}\s*\]"
    if measure.kind is Kind.COUNTER:
        return window
    return f"({window})?" if measure.windowed else ""


def _compared(measure: Measure) -> str:
    if measure.unit is not Unit.WORD:
        return rf"\s*(>=|<=|==|!=|>|<)\s*{OPERANDS[measure.unit]}"
    word = "[^\\s,\\[\\]\"']+"
    one = f"[\"']?({'|'.join(map(re.escape, measure.words)) or word})[\"']?"
    return rf"\s*((==|!=)\s*{one}|in\s*\[\s*{one}\s*(,\s*{one}\s*)*\])"
