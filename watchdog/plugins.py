"""
What a monitoring plugin says, by the guidelines that Nagios, Icinga and their kin share.

The exit status is the verdict. The first line is for people, further lines are details, and behind a
``|`` stands performance data: ``'label'=value[UOM];[warn];[crit];[min];[max]``, separated by spaces.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from watchdog.units import BYTES

STATUSES = ("ok", "warning", "critical")
"""What the exit statuses 0, 1 and 2 mean; 3 means that the plugin could not tell."""
UNKNOWN = 3
MOST_FIGURES = 100
BASE: Mapping[str, float] = MappingProxyType(
    {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9, "%": 0.01, **BYTES}
)
"""How many base units one of a unit is: seconds, shares, bytes. Any other is left as it is."""

# Possessive, so that no input makes them go back: every sign is looked at once.
_LABEL = re.compile(r"(?:'(?P<quoted>(?:[^']|'')++)'|(?P<bare>[^'=\s][^=\s]*+))=")
_VALUE = re.compile(
    r"(?P<number>[-+]?(?:\d++(?:[.,]\d*+)?|[.,]\d++)(?:[eE][-+]?\d++)?)(?P<uom>[^\d;.,\s]*+)(?:;\S*+)?"
)
_UNDETERMINED = re.compile(r"U(?:;\S*+)?")
_WORD = re.compile(r"\S++")
_SPACE = re.compile(r"\s*+")
_FOREIGN = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class Said:
    """What a plugin printed: its line, its details, and its figures in base units (None: undetermined)."""

    text: str
    details: str
    figures: Mapping[str, float | None]


def parse_output(printed: str) -> Said:
    """Return what is in a plugin's output; whatever cannot be read as a figure is left out."""
    first, _, rest = printed.strip("\r\n").partition("\n")
    text, _, figures = first.partition("|")
    details, _, more = rest.partition("|")
    return Said(text.strip(), details.strip(), parse_figures(f"{figures} {more}"))


def parse_figures(perfdata: str) -> dict[str, float | None]:
    """
    Return the first `MOST_FIGURES` figures of *perfdata* by name, in base units.

    A name is the label with every sign that a rule could not write as ``_``; of two that are the
    same the first counts.
    """
    found: dict[str, float | None] = {}
    for label, value in _figures(perfdata):
        name = _FOREIGN.sub("_", label)
        if name not in found and len(found) < MOST_FIGURES:
            found[name] = value
    return found


def _figures(perfdata: str) -> Iterator[tuple[str, float | None]]:
    """Yield every label with its value; skip what is neither."""
    at = _end(_SPACE.match(perfdata), 0)
    while at < len(perfdata):
        label = _LABEL.match(perfdata, at)
        stands = _WORD.match(perfdata, at if label is None else label.end())
        if label is not None and stands is not None:
            name = label["bare"] or label["quoted"].replace("''", "'")
            if (figure := _VALUE.fullmatch(stands[0])) is not None:
                number = in_base_units(figure["number"], figure["uom"])
                if math.isfinite(number):
                    yield name, number
            elif _UNDETERMINED.fullmatch(stands[0]):
                yield name, None
        at = _end(stands, at if label is None else label.end())
        at = _end(_SPACE.match(perfdata, at), at)


def _end(match: re.Match[str] | None, at: int) -> int:
    return at if match is None else match.end()


def in_base_units(number: str, uom: str) -> float:
    """Return *number* of the unit *uom* in seconds, as a share or in bytes; of any other as it stands."""
    return float(number.replace(",", ".")) * BASE.get(uom, 1.0)
