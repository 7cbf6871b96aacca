"""Finding one's way in the live view: what is picked, opened, looked for; what each key does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from watchdog.glance import Glance, Row, Told
from watchdog.report import RANK

HELP = "help"
PAGE = 10
LONGEST_FILTER = 60


class Sort(StrEnum):
    """The order of the services."""

    STATUS = "status"
    SUCCESS = "success"
    LAG = "lag"
    ERRORS = "errors"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class View:
    """
    What the user has chosen: the item *picked*, the one *opened* and how far it is scrolled.

    Items are known by what stays when the order changes: `alert:` and a fingerprint, `service:` and a name.
    """

    picked: str = ""
    opened: str = ""
    scrolled: int = 0
    wanted: str = ""
    typing: bool = False
    sort: Sort = Sort.STATUS


# ---- what is shown -----------------------------------------------------------------------------


def shown_alerts(seen: Glance, view: View) -> list[Told]:
    """Return the alerts that fit what is *wanted*, with their symptoms."""
    return [told for told in seen.told if any(_fits(a, view.wanted) for a in (told.alert, *told.symptoms))]


def _fits(alert: Mapping[str, object], wanted: str) -> bool:
    labels = alert["labels"]
    assert isinstance(labels, Mapping)
    return _in(wanted, *map(str, labels.values()), str(alert["summary"]))


def _in(wanted: str, *texts: str) -> bool:
    return all(word in " ".join(texts).lower() for word in wanted.lower().split())


def shown_rows(seen: Glance, view: View) -> list[Row]:
    """Return the services that fit what is *wanted*, in the order asked for."""
    rows = [row for row in seen.rows if _in(view.wanted, row.service, row.status, row.why)]
    if view.sort is Sort.NAME:
        return sorted(rows, key=lambda row: row.service)
    if view.sort is Sort.STATUS:
        return sorted(rows, key=lambda row: RANK[row.status])
    return sorted(rows, key=lambda row: _weight(row, view.sort))


def _weight(row: Row, sort: Sort) -> tuple[int, float]:
    """Return where a service stands by a figure: unknown first, then the largest, those without last."""
    figure = row.figures.get(sort)
    if figure is None:
        return 2, 0.0
    return (0, 0.0) if figure.number is None else (1, -figure.number)


def items(seen: Glance, view: View) -> list[str]:
    """Return what can be picked, from top to bottom."""
    return [*map(of_alert, shown_alerts(seen, view)), *map(of_row, shown_rows(seen, view))]


def of_alert(told: Told) -> str:
    """Return by what an alert is picked."""
    return f"alert:{told.alert['fingerprint']}"


def of_row(row: Row) -> str:
    """Return by what a service is picked."""
    return f"service:{row.service}"


# ---- keys --------------------------------------------------------------------------------------


def pressed(view: View, key: str, seen: Glance | None) -> View | None:
    """Return what *view* becomes by a key; None if it ends."""
    if key == "ctrl-c" or (key == "q" and not view.typing):
        return None
    if view.typing:
        return _typed(view, key)
    if view.opened:
        return _reading(view, key)
    there = items(seen, view) if seen else []
    if key in STEPS:
        return replace(view, picked=_moved(view.picked, there, STEPS[key]))
    if key in ("enter", "e", "right", "l"):
        chosen = view.picked if view.picked in there else next(iter(there), "")
        return replace(view, picked=chosen, opened=chosen, scrolled=0)
    if key == "s":
        order = list(Sort)
        return replace(view, sort=order[(order.index(view.sort) + 1) % len(order)])
    if key == "/":
        return replace(view, typing=True)
    if key in ("?", "h"):
        return replace(view, opened=HELP, scrolled=0)
    return replace(view, wanted="") if key == "escape" else view


STEPS: Mapping[str, int] = {
    "down": 1,
    "j": 1,
    "up": -1,
    "k": -1,
    "page-down": PAGE,
    " ": PAGE,
    "page-up": -PAGE,
    "home": -(10**6),
    "g": -(10**6),
    "end": 10**6,
    "G": 10**6,
}


def _moved(picked: str, there: Sequence[str], steps: int) -> str:
    if not there:
        return ""
    if picked not in there:
        return there[-1 if steps > PAGE else 0]
    return there[min(max(there.index(picked) + steps, 0), len(there) - 1)]


def _reading(view: View, key: str) -> View:
    """Return what becomes of a view in which something is opened."""
    if key in STEPS:
        return replace(view, scrolled=max(0, view.scrolled + STEPS[key]))
    if key in ("escape", "enter", "e", "left", "h", "?", "backspace"):
        return replace(view, opened="", scrolled=0)
    return view


def _typed(view: View, key: str) -> View:
    """Return what becomes of a view while a filter is typed."""
    if key == "enter":
        return replace(view, typing=False)
    if key == "escape":
        return replace(view, typing=False, wanted="")
    if key == "backspace":
        return replace(view, wanted=view.wanted[:-1])
    if len(key) == 1 and key.isprintable():
        return replace(view, wanted=(view.wanted + key)[:LONGEST_FILTER])
    return view


# ---- bytes of a terminal -----------------------------------------------------------------------

SEQUENCES: Mapping[bytes, str] = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1b[C": "right",
    b"\x1b[D": "left",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1bOC": "right",
    b"\x1bOD": "left",
    b"\x1b[5~": "page-up",
    b"\x1b[6~": "page-down",
    b"\x1b[H": "home",
    b"\x1b[1~": "home",
    b"\x1b[F": "end",
    b"\x1b[4~": "end",
    b"\r": "enter",
    b"\n": "enter",
    b"\x7f": "backspace",
    b"\x08": "backspace",
    b"\x03": "ctrl-c",
    b"\x06": "page-down",
    b"\x02": "page-up",
}


def keys_in(data: bytes) -> Iterator[str]:
    """Yield the keys that *data* from a terminal stands for; sequences nobody knows are skipped whole."""
    while data:
        known = next((s for s in sorted(SEQUENCES, key=len, reverse=True) if data.startswith(s)), None)
        if known is not None:
            yield SEQUENCES[known]
            data = data[len(known) :]
        elif data.startswith((b"\x1b[", b"\x1bO")):
            end = next((i for i, byte in enumerate(data[2:], 3) if 0x40 <= byte <= 0x7E), len(data))
            data = data[end:]
        elif data.startswith(b"\x1b"):
            yield "escape"
            data = data[1:]
        else:
            size = next((n for n, least in ((4, 0xF0), (3, 0xE0), (2, 0xC0)) if data[0] >= least), 1)
            sign = data[:size].decode("utf-8", "ignore")
            if sign.isprintable() and sign:
                yield sign
            data = data[size:]
