"""What was measured, as a page has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.soak.phases import Ran
from bench.soak.samples import FIGURES, series
from bench.soak.verdict import Verdict, judge, settled
from watchdog.units import show_duration

WARM_UP = 1 / 3
"""Of the time, before figures count: windows of an hour fill until then, and what is learnt is learnt."""


def verdicts(ran: Ran) -> Mapping[str, Verdict]:
    """Return how each figure did once it had settled."""
    return {
        name: judge(settled(points, WARM_UP), FIGURES[name].bound)
        for name, points in series(ran.samples).items()
    }


def not_flat(ran: Ran) -> list[str]:
    """Return what grows."""
    return [FIGURES[name].title for name, verdict in verdicts(ran).items() if not verdict.flat]


def flat_table(ran: Ran) -> Iterator[str]:
    """Yield the verdict on each figure."""
    yield "| figure | middle | most | grew | may grow | |"
    yield "| --- | ---: | ---: | ---: | ---: | --- |"
    for name, found in verdicts(ran).items():
        figure = FIGURES[name]
        finer = figure.digits or 1
        numbers = (
            (found.middle, figure.digits),
            (found.most, figure.digits),
            (found.grew, finer),
            (found.allowed, finer),
        )
        cells = [f"{number:.{digits}f} {figure.unit}".strip() for number, digits in numbers]
        yield f"| {figure.title} | {' | '.join(cells)} | {'flat' if found.flat else '**grows**'} |"


def cost_table(phases: Sequence[Ran]) -> Iterator[str]:
    """Yield what it costs at each speed."""
    titles = (
        "how fast",
        "poll",
        "for",
        "ticks",
        "alerts told",
        "CPU, of a core",
        "RSS",
        "ready after",
        "CPU until then",
    )
    yield f"| {' | '.join(titles)} | stopped after |"
    yield "| --- |" + " ---: |" * len(titles)
    for ran in phases:
        last = ran.samples[-1]
        cells = [
            ran.phase.name,
            f"{ran.phase.poll:g} s",
            show_duration(round(ran.phase.seconds)),
            f"{last.ticks:,}",
            f"{ran.told.total():,}",
            f"{ran.cpu * 100:.2f} %",
            f"{last.rss / 1e6:.0f} MB",
            f"{ran.start_seconds:.2f} s",
            f"{ran.start_cpu:.2f} s",
            f"{ran.stop_seconds:.2f} s",
        ]
        yield f"| {' | '.join(cells)} |"


def report(found: Sequence[Ran], line: str) -> str:
    """Return what was measured, as a page has it; the soak comes first."""
    fast = found[0]
    warm_up = show_duration(round(WARM_UP * fast.phase.seconds))
    began = ", ".join(
        f"{name} {count}" for (name, how), count in sorted(fast.told.items()) if how == "firing"
    )
    ended = sum(count for (_, how), count in fast.told.items() if how == "resolved")
    about = (
        f"{show_duration(round(fast.phase.seconds))} at {fast.phase.speed:g} times the usual speed, the first"
        f" {warm_up} of them not counted. Alerts that came: {began or 'none'}; {ended} ends were told."
    )
    return "\n".join([about, "", *flat_table(fast), "", *cost_table(found), "", line])
