"""`python -m bench.silence`: the table of docs/explanation/learned-silence.md."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from statistics import median

from bench.silence.kinds import KINDS
from bench.silence.trial import COLUMNS, LEARNT, Tally, live

HEAD = """\
| pipeline | the hour: told after | false a month | learnt: told after | false a month | of it at first | \
stream's warning | false a month |
| --- | --- | --- | --- | --- | --- | --- | --- |"""
AT_FIRST = 21
"""So many days are told apart: while little is known, the hour holds."""


def span(seconds: float | None) -> str:
    """Return a time as people say it."""
    if seconds is None:
        return "never"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} d"


def told(times: Sequence[float | None]) -> str:
    """Return the middle and the worst of *times*."""
    if not times:
        return "–"
    known = sorted(float("inf") if t is None else t for t in times)
    shown = [None if t == float("inf") else t for t in (median(known), known[-1])]
    return f"{span(shown[0])} ({span(shown[1])})"


def a_month(false: Sequence[float], lives: Sequence[Tally], before: float) -> str:
    """Return how often *false* alerts came in thirty days, those not counted in which nothing was counted."""
    days = sum(life.days - before for life in lives)
    return f"{len(false) / days * 30:.2f}" if false else "0"


def row(name: str, lives: Iterable[Tally]) -> str:
    """Return the line of the table for one kind of pipeline."""
    lives = list(lives)
    cells = [name]
    for column in COLUMNS:
        cells.append(told([t for life in lives for t in life.after[column]]))
        days = [day for life in lives for day in life.false[column]]
        cells.append(a_month([day for day in days if day >= AT_FIRST], lives, AT_FIRST))
        if column == LEARNT:
            cells.append(str(round(sum(day < AT_FIRST for day in days) / len(lives), 1)))
    return f"| {' | '.join(cells)} |"


def one(name: str, weeks: float, deaths: int, seed: int) -> Tally:
    """Live one life of the kind called *name*."""
    return live(KINDS[name], seed, weeks, deaths)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--weeks", type=float, default=12)
    parser.add_argument("--deaths", type=int, default=12)
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    print(HEAD)
    with ProcessPoolExecutor(asked.workers) as pool:
        for name in asked.kind or KINDS:
            lived = pool.map(partial(one, name, asked.weeks, asked.deaths), range(asked.seeds))
            print(row(name, lived), flush=True)


if __name__ == "__main__":
    main()
