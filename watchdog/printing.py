"""Lines on standard output: as wide as the terminal, in colours only where somebody sees them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from io import StringIO

from rich.console import Console
from rich.text import Text

from watchdog.columns import spelled

WIDTH = 100
"""How wide lines are that are not read in a terminal."""
NARROWEST = 40


def printed(lines: Callable[[int], Iterable[Text]]) -> str:
    """
    Return the *lines* of a width as they are printed here.

    NO_COLOR and FORCE_COLOR are honoured; what is piped is plain, and without spaces at the ends of lines.
    """
    there = Console(file=sys.stdout)
    coloured = is_coloured()
    sized = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    width = max(NARROWEST, there.width if sized else WIDTH)
    out = StringIO()
    console = Console(
        file=out,
        width=width,
        force_terminal=coloured,
        color_system="standard" if coloured else None,
        highlight=False,
        markup=False,
    )
    for line in lines(width):
        line.rstrip()
        console.print(line, soft_wrap=True)
    return spelled(out.getvalue().rstrip("\n"), there.encoding)


def is_coloured() -> bool:
    """Say whether standard output takes colours."""
    there = Console(file=sys.stdout)
    return there.is_terminal and not there.is_dumb_terminal and not there.no_color
