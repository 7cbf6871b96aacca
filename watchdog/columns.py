"""How services stand, in columns that fit: what both the audit and the live view are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from watchdog.gauges import Figure
from watchdog.glance import Row
from watchdog.report import Status
from watchdog.units import plain, show_duration

STYLES: Mapping[str, str] = {
    Status.OK: "green",
    Status.WARNING: "yellow",
    Status.CRITICAL: "bold red",
    Status.UNKNOWN: "magenta",
}
SIGNS: Mapping[str, str] = {
    Status.CRITICAL: "✖",
    Status.UNKNOWN: "?",
    Status.WARNING: "▲",
    Status.OK: "✔",
    "info": "i",
}
ASCII = str.maketrans(
    {"✖": "X", "▲": "!", "✔": "+", "…": "~", "·": "-", "└": "`", "▸": ">", "–": "-", "—": "-", "�": "?"}
)
GAP = 2
SHORTEST_NAME = 14
LONGEST_NAME = 48
WIDEST_STATUS = 10


def spelled(text: str, encoding: str) -> str:
    """Return *text* in signs that *encoding* has, as long as it was."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(ASCII).encode(encoding, "replace").decode(encoding)
    return text


# ---- texts in a width --------------------------------------------------------------------------


def cut(text: str, width: int) -> str:
    """Return *text* in at most *width* cells, the end replaced by an ellipsis if it is longer."""
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)).rstrip() + "…"


def cut_middle(text: str, width: int) -> str:
    """Return *text* in at most *width* cells: of a long name both ends tell it from others."""
    if cell_len(text) <= width:
        return text
    head = width // 2
    tail = width - 1 - head
    end = text[len(text) - tail :] if tail > 0 else ""
    while cell_len(end) > tail:
        end = end[1:]
    return f"{set_cell_size(text, head)}…{end}"


def wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    """Return *text* in lines of at most *width* cells, all but the first *indent* further in."""
    start = min(len(text) - len(text.lstrip(" ")), width // 2)
    indent = min(start + indent, width // 2)
    lines: list[str] = []
    line, room = "", width - start
    for whole in text.strip(" ").split(" "):
        word = whole
        candidate = f"{line} {word}" if line else word
        if cell_len(candidate) <= room:
            line = candidate
            continue
        if line:
            lines.append(line)
            room = width - indent
        while cell_len(word) > room:
            piece = set_cell_size(word, room)
            lines.append(piece.rstrip())
            word = word[len(piece.rstrip()) or 1 :]
            room = width - indent
        line = word
    return [" " * (indent if i else start) + one for i, one in enumerate([*lines, line])]


# ---- figures -----------------------------------------------------------------------------------


def _duration(seconds: float) -> str:
    if math.isinf(seconds):
        return "none"
    return show_duration(round(seconds) if seconds >= 1 else 0)


def _count(number: float) -> str:
    """Return a count in at most five signs: ``950``, ``9.5k``, ``6.3M``."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            scaled = number / (1e3 if sign == "k" else size)
            return f"{scaled:.0f}{sign}" if scaled >= 10 else f"{scaled:.1f}{sign}"
    if 0 < number < 0.1:
        return "<0.1"
    return f"{number:.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"


def _share(ratio: float) -> str:
    percent = ratio * 100
    return f"{percent:.0f}%" if percent >= 10 or percent == int(percent) else f"{percent:.1f}%"


class Column(NamedTuple):
    """A column of figures: its name in a row, its title, how wide it is, how a number is written."""

    name: str
    title: str
    width: int
    write: Callable[[float], str]


COLUMNS = (
    Column("success", "SUCCESS", 8, _duration),
    Column("in", "IN/m", 5, _count),
    Column("out", "OUT/m", 5, _count),
    Column("lag", "LAG", 5, _count),
    Column("pending", "PEND", 5, _count),
    Column("beat", "BEAT", 7, _duration),
    Column("errors", "ERR", 5, _share),
)
WANTED = ("success", "lag", "out", "errors", "beat", "in", "pending")
"""The columns by their weight: on a narrow screen the last of these go first."""


def written(column: Column, figure: Figure | None) -> str:
    """Return a cell: empty where a service has no such figure, a question mark where it is unknown."""
    if figure is None:
        return "-"
    if figure.number is None:
        return "?"
    return cut(f"{'>' if figure.at_least else ''}{column.write(figure.number)}", column.width)


# ---- a table of services -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Layout:
    """How wide what is on a line of *width* cells."""

    width: int
    status: int
    name: int
    columns: tuple[Column, ...]
    why: int
    """What is left for words; 0 if that is too little to say anything."""


def layout(rows: Iterable[Row], width: int) -> Layout:
    """Return what fits on *width* cells, so that the names of *rows* are readable."""
    shown = list(rows)
    name = max([SHORTEST_NAME, *(cell_len(plain(row.service)) for row in shown)])
    name = min(name, LONGEST_NAME)
    status = WIDEST_STATUS if width >= 60 else 1
    left = width - status - GAP
    columns = [c for c in COLUMNS if any(c.name in row.figures for row in shown)]
    for weak in reversed(WANTED):
        if min(name, 22) + sum(c.width + 1 for c in columns) <= left or len(columns) <= 1:
            break
        columns = [c for c in columns if c.name != weak]
    name = max(1, min(name, left - sum(c.width + 1 for c in columns)))
    rest = left - name - sum(c.width + 1 for c in columns) - GAP
    return Layout(width, status, name, tuple(columns), rest if rest >= 16 else 0)


def title_line(how: Layout) -> Text:
    """Return the titles over the services."""
    line = " " * (how.status + GAP) + "SERVICE".ljust(how.name)
    line += "".join(f" {column.title:>{column.width}}" for column in how.columns)
    line += f"{' ' * GAP}WHAT" if how.why else ""
    return Text(cut(line, how.width), style="dim")


def status_cell(status: Status, width: int) -> str:
    """Return the sign of *status*, and its word where there is room."""
    return f"{SIGNS[status]} {status}"[:width].ljust(width)


def service_line(row: Row, how: Layout) -> Text:
    """Return a service in one line."""
    style = STYLES[row.status]
    name = cut_middle(plain(row.service), how.name)
    line = Text.assemble(
        (status_cell(row.status, how.status) + " " * GAP, style),
        (name + " " * (how.name - cell_len(name)), "" if row.status is Status.OK else style),
    )
    for column in how.columns:
        cell = written(column, row.figures.get(column.name))
        line.append(f" {cell:>{column.width}}", style={"?": "magenta", "-": "dim"}.get(cell, ""))
    if how.why and row.why:
        line.append(" " * GAP + cut(plain(row.why), how.why))
    return line


def padded(lines: Sequence[Text], height: int) -> list[Text]:
    """Return exactly *height* lines."""
    return [*lines[:height], *(Text("") for _ in range(height - len(lines)))]
