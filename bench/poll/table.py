"""The figures as tables of docs/benchmarks.md."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence

from bench.poll.bystanders import Hurt, Patience, Slowest
from bench.poll.measures import Cost, Growth, Looks, Parts, Rendered, column

SMALL = 0.01
"""Stages with a smaller share in a tick are summed up."""


def looks_table(found: Iterable[Looks]) -> Iterator[str]:
    """Yield the lines about scrapes and ticks; in brackets: how many times less than the scrape."""
    yield "| streams | what | wall | own CPU | Redis CPU | commands | RSS | peak RSS |"
    yield "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for looks in found:
        peer = column(looks.theirs, statistics.median)
        yield _row(looks.streams, "redis_exporter: scrape", peer)
        for what, costs in (("tick, a tenth moved", looks.moving), ("tick, nothing moved", looks.quiet)):
            yield _row(looks.streams, what, column(costs, statistics.median), peer)
        series = (("a tenth moving", looks.many), ("nothing moving", looks.many_quiet))
        for what, costs in series:
            if costs:
                row = f"mean of {len(costs)} ticks, {what}"
                yield _row(looks.streams, row, column(costs, statistics.mean), peer)
                yield _row(looks.streams, f"most of {len(costs)} ticks, {what}", column(costs, max), peer)
        often = (
            "first tick" if looks.first_ticks == 1 else f"first {looks.first_ticks} ticks, until all is seen"
        )
        yield _row(looks.streams, often, column(looks.first, statistics.median), peer)
        if looks.load is not None:
            yield _row(looks.streams, "load rules.yaml, build", looks.load)


def spread_table(found: Iterable[Looks]) -> Iterator[str]:
    """Yield the lines about how far the ratios of single runs lie apart."""
    yield "| streams | how many times less than the scrape before it | wall | own CPU | Redis CPU |"
    yield "| ---: | --- | ---: | ---: | ---: |"
    for looks in found:
        for what, costs in (("tick, a tenth moved", looks.moving), ("tick, nothing moved", looks.quiet)):
            cells = [_spread(looks.theirs, costs, name) for name in ("wall", "cpu", "redis_cpu")]
            yield f"| {looks.streams:,} | {what} | {' | '.join(cells)} |"


def distance_table(looks: Looks) -> Iterator[str]:
    """Yield the lines about a Redis that is far away."""
    assert looks.round_trip is not None
    yield f"| {looks.streams:,} streams, PING {_seconds(looks.round_trip)} | wall | own CPU | commands |"
    yield "| --- | ---: | ---: | ---: |"
    peer = column(looks.theirs, statistics.median)
    rows = {
        "redis_exporter: scrape": (peer, None),
        "tick, a tenth moved": (column(looks.moving, statistics.median), peer),
        "tick, nothing moved": (column(looks.quiet, statistics.median), peer),
    }
    for what, (cost, other) in rows.items():
        cells = list(_cells(cost, other))
        yield f"| {what} | {cells[0]} | {cells[1]} | {cells[3]} |"


def growth_table(found: Sequence[Growth]) -> Iterator[str]:
    """Yield the lines about more and more streams."""
    yield (
        "| streams | tick, a tenth moving: own CPU | a stream | Redis CPU a stream |"
        " nothing moving: own CPU | a stream | RSS | peak RSS |"
    )
    yield "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for one in found:
        each = [
            _micro(number / one.streams)
            for number in (one.moving.cpu, one.moving.redis_cpu or 0.0, one.quiet.cpu)
        ]
        yield (
            f"| {one.streams:,} | {_seconds(one.moving.cpu)} | {each[0]} | {each[1]} |"
            f" {_seconds(one.quiet.cpu)} | {each[2]} |"
            f" {_megabytes(one.quiet.rss or 0)} | {_megabytes(one.quiet.peak or 0)} |"
        )


def metrics_table(found: Iterable[Rendered]) -> Iterator[str]:
    """Yield the lines about /metrics; in brackets: how many times less than the exporter's scrape."""
    yield "| streams | what | wall | own CPU | size | loop blocked at most |"
    yield "| ---: | --- | ---: | ---: | ---: | ---: |"
    for one in found:
        theirs, ours = (column(costs, statistics.median) for costs in (one.theirs, one.ours))
        for what, cost, peer, size, gap in (
            (f"redis_exporter: {one.series:,} series", theirs, None, one.sizes[0], "–"),
            (_page(one.page), ours, theirs, one.sizes[1], _seconds(max(one.gaps))),
        ):
            wall, cpu, *_ = _cells(cost, peer)
            yield f"| {one.streams:,} | {what} | {wall} | {cpu} | {_megabytes(size)} | {gap} |"
        yield f"| {one.streams:,} | the tick before it | – | – | – | {_seconds(max(one.tick_gaps))} |"


def _page(page: str) -> str:
    return f"/metrics{page}, the same" if page else "/metrics, the same among others"


def hurt_table(found: Hurt) -> Iterator[str]:
    """Yield the lines about another client, and those about our slowest commands."""
    yield f"| {found.streams:,} streams; meanwhile | PING p50 | p99 | XADD p50 | p99 | looks |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for one in found.felt:
        cells = [_micro(quantile(took, share)) for took in (one.ping, one.xadd) for share in (0.5, 0.99)]
        yield f"| {one.who} | {' | '.join(cells)} | {one.looks or '–'} |"
    yield ""
    yield (
        f"Our commands in SLOWLOG (5 ms): {found.slow or 'none'}."
        f" The slowest of a tick: {_slowest(found.steady)}; of the first: {_slowest(found.first)}."
    )


def patience_table(found: Iterable[Patience]) -> Iterator[str]:
    """Yield the lines about a Redis that does not keep up."""
    yield (
        "| Redis is | for | connections at most | unread at most | all is seen again after |"
        " ticks until then | commands until then, in ticks |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for one in found:
        worth = one.commands / max(one.a_tick, 1)
        waited = f"{one.connections} | {_bytes(one.waiting)} | {one.back_after:.1f} s"
        yield f"| {one.how} | {one.seconds:.0f} s | {waited} | {one.ticks} | {worth:.1f} |"


def parts_table(found: Sequence[Parts]) -> Iterator[str]:
    """Yield the lines about where a tick's CPU goes."""
    heads = " | ".join(f"{one.what} ({_seconds(one.cpu)})" for one in found)
    yield f"| {found[0].streams:,} streams, share of a tick's CPU | {heads} |"
    yield f"| --- |{' ---: |' * len(found)}"
    stages = list(dict.fromkeys(stage for one in found for stage in one.shares))
    shown = [stage for stage in stages if any(one.shares.get(stage, 0.0) >= SMALL for one in found)]
    for stage in shown:
        yield f"| {stage} | {' | '.join(_percent(one.shares.get(stage, 0.0)) for one in found)} |"
    rest = (sum(share for stage, share in one.shares.items() if stage not in shown) for one in found)
    yield f"| the rest | {' | '.join(map(_percent, rest))} |"
    yield f"| of all, garbage collection | {' | '.join(_percent(one.collecting) for one in found)} |"


# ---- cells -------------------------------------------------------------------------------------


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest of *values* that at least so large a share of them does not exceed."""
    order = sorted(values)
    return order[max(0, -int(-share * len(order) // 1) - 1)]


def _row(streams: int, what: str, cost: Cost, peer: Cost | None = None) -> str:
    return f"| {streams:,} | {what} | {' | '.join(_cells(cost, peer))} |"


def _cells(cost: Cost, peer: Cost | None) -> Iterator[str]:
    shows: tuple[tuple[str, Callable[[float], str]], ...] = (
        ("wall", _seconds),
        ("cpu", _seconds),
        ("redis_cpu", _seconds),
        ("commands", lambda number: f"{number:,.0f}"),
        ("rss", _megabytes),
        ("peak", _megabytes),
    )
    for name, show in shows:
        own, other = getattr(cost, name), getattr(peer, name, None)
        if own is None:
            yield "–"
        else:
            yield show(own) + (f" ({_times(other / own)})" if own and other is not None else "")


def _spread(theirs: Iterable[Cost], ours: Iterable[Cost], name: str) -> str:
    pairs = [(getattr(their, name), getattr(our, name)) for their, our in zip(theirs, ours, strict=True)]
    ratios = [their / our for their, our in pairs if our]
    return f"{_times(min(ratios))} to {_times(max(ratios))}" if ratios else "–"


def _slowest(found: Slowest) -> str:
    return f"`{found.command}`, {_micro(found.seconds)}"


def _seconds(seconds: float) -> str:
    if seconds < 0.01:
        return f"{seconds * 1e3:.2f} ms"
    return f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.3g} s"


def _micro(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} µs"


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB"


def _bytes(size: int) -> str:
    return f"{size / 1e3:.0f} kB" if size >= 10_000 else f"{size:,} B"


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def _times(ratio: float) -> str:
    return f"{ratio:.0f}×" if ratio >= 10 else f"{ratio:.2g}×"
