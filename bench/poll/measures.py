"""What both sides' looks cost: on this machine, over a network, over many ticks, as /metrics."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.poll.ours import Ours, Spent, running_sidecar
from bench.poll.peer import Exporter, Scraped, compare, running_exporter, scrape, series
from bench.poll.process import cpu_of, forget_peak, peak_rss, rss
from bench.poll.proxy import running_proxy
from bench.poll.streams import World, rules_text, running_world

FIRST_LOOKS = 3
COMPAT = "compat: redis_exporter"


@dataclass(frozen=True, slots=True)
class Plan:
    """
    How the sidecar is told of the streams, and how much is measured.

    The clock it is told goes on by 5 s a tick; with a *pace* of as much, so does everybody else's.
    """

    directory: Path
    form: str
    runs: int
    warm: int
    series: int
    pace: float = 0.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one piece of work cost; None where it was not measured."""

    wall: float
    cpu: float
    redis_cpu: float | None = None
    commands: float | None = None
    rss: float | None = None
    peak: float | None = None


def measured(world: World, pid: int, work: Callable[[], Spent | Scraped]) -> Cost:
    """Do *work*, and see what it cost its process *pid* and Redis."""
    before: Any = world.client.info()
    spent = work()
    after: Any = world.client.info()
    redis_cpu = sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys"))
    commands = after["total_commands_processed"] - before["total_commands_processed"] - 1  # our INFO
    return Cost(spent.wall, spent.cpu, redis_cpu, commands, rss(pid), peak_rss(pid))


def column(costs: Iterable[Cost], how: Callable[[Sequence[float]], float]) -> Cost:
    """Return *how* (a median, a mean) of each column; of the peaks always the highest."""
    costs = list(costs)

    def of(name: str) -> float | None:
        numbers = [number for cost in costs if (number := getattr(cost, name)) is not None]
        return (max(numbers) if name == "peak" else how(numbers)) if numbers else None

    wall, cpu, *rest = (of(name) for name in Cost.__dataclass_fields__)
    assert wall is not None
    assert cpu is not None
    return Cost(wall, cpu, *rest)


# ---- ticks beside scrapes ----------------------------------------------------------------------


@dataclass(slots=True)
class Looks:
    """
    What each look cost, in order.

    *theirs*, *moving* and *quiet* were taken in turns. *many* and *many_quiet* are ticks in a row.
    """

    streams: int
    theirs: list[Cost] = field(default_factory=list)
    moving: list[Cost] = field(default_factory=list)
    quiet: list[Cost] = field(default_factory=list)
    many: list[Cost] = field(default_factory=list)
    many_quiet: list[Cost] = field(default_factory=list)
    first: list[Cost] = field(default_factory=list)
    first_ticks: int = 1
    load: Cost | None = None
    round_trip: float | None = None


def measure_ticks(plan: Plan, streams: int) -> Looks:
    """Let both sides look at so many streams, in turns; then only ours, tick after tick."""
    found = Looks(streams)
    with (
        running_world(streams) as world,
        begun(plan, world, world.server.url, found) as ours,
        running_exporter(world.server.url, streams) as peer,
    ):
        _in_turns(plan.runs, world, ours, peer, found)
        found.many = in_a_row(world, ours, plan.series, pace=plan.pace, moving=True)
        found.many_quiet = in_a_row(world, ours, plan.series, pace=plan.pace, moving=False)
        for _ in range(min(FIRST_LOOKS, plan.runs) - 1):  # last, for two sidecars need more memory than one
            ours.build()
            again = measured(world, ours.pid, ours.settle)
            found.first.append(replace(again, rss=None, peak=None))
    return found


def measure_distance(plan: Plan, streams: int, round_trip: float) -> Looks:
    """Let both sides look in turns at a Redis that is *round_trip* seconds away."""
    found = Looks(streams)
    with running_world(streams) as world, running_proxy(world.server.port, round_trip) as proxy:
        found.round_trip = proxy.round_trip
        with (
            begun(plan, world, proxy.url, found) as ours,
            running_exporter(proxy.url, streams) as peer,
        ):
            _in_turns(plan.runs, world, ours, peer, found)
    return found


@contextmanager
def begun(plan: Plan, world: World, url: str, found: Looks | None = None, *more: str) -> Iterator[Ours]:
    """Run a sidecar that has seen everything and is warm, as long as the block lasts."""
    rules = plan.directory / f"rules-{len(list(plan.directory.iterdir()))}.yaml"
    rules.write_text(rules_text(url, world.names, plan.form, *more))
    with running_sidecar(rules, len(world.names)) as ours:
        spent = [ours.load(), ours.build()]
        wall, cpu = sum(one.wall for one in spent), sum(one.cpu for one in spent)
        load = Cost(wall, cpu, rss=rss(ours.pid), peak=peak_rss(ours.pid))
        forget_peak(ours.pid)
        ticks = 0

        def settle() -> Spent:
            nonlocal ticks
            spent = ours.settle()
            ticks = spent.ticks
            return spent

        first = measured(world, ours.pid, settle)
        world.moved = 0
        in_a_row(world, ours, plan.warm, moving=True)
        forget_peak(ours.pid)
        if found is not None:
            found.load, found.first_ticks = load, ticks
            found.first.append(first)
        yield ours


def _in_turns(runs: int, world: World, ours: Ours, peer: Exporter, found: Looks) -> None:
    """Have both look once after every move, now this one first and now that one; then ours once more."""
    peer.scrape()  # the first one makes what lasts
    sides: list[tuple[list[Cost], int, Callable[[], Spent | Scraped]]] = [
        (found.theirs, peer.pid, peer.scrape),
        (found.moving, ours.pid, ours.tick),
    ]
    for turn in range(runs):
        world.move(turn)
        for costs, pid, look in sides:
            costs.append(measured(world, pid, look))
        sides.reverse()
        ours.check(world.moved)
        found.quiet.append(measured(world, ours.pid, ours.tick))


def in_a_row(world: World, ours: Ours, ticks: int, *, moving: bool, pace: float = 0.0) -> list[Cost]:
    """Let the sidecar tick so often, *pace* seconds apart; what it does in between counts as well."""
    costs = []
    began = cpu_of(ours.pid)
    for turn in range(ticks):
        if moving:
            world.move(turn)
        costs.append(measured(world, ours.pid, ours.tick))
        time.sleep(max(0.0, pace - costs[-1].wall))
    between = (cpu_of(ours.pid) - began - sum(cost.cpu for cost in costs)) / max(ticks, 1)
    ours.check(world.moved)
    return [replace(cost, cpu=cost.cpu + between) for cost in costs]


# ---- more and more streams ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Growth:
    """What a tick costs with so many streams: the mean of ticks in a row."""

    streams: int
    moving: Cost
    quiet: Cost


def measure_growth(plan: Plan, streams: int) -> Growth:
    """Let only the sidecar look."""
    with running_world(streams) as world, begun(plan, world, world.server.url) as ours:
        moving = in_a_row(world, ours, plan.series, pace=plan.pace, moving=True)
        quiet = in_a_row(world, ours, plan.series, pace=plan.pace, moving=False)
    return Growth(streams, column(moving, statistics.mean), column(quiet, statistics.mean))


# ---- /metrics ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Rendered:
    """Scrapes of both sides, and for how long ours kept its loop from everybody else."""

    streams: int
    series: int = 0
    theirs: list[Cost] = field(default_factory=list)
    ours: list[Cost] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    tick_gaps: list[float] = field(default_factory=list)
    sizes: tuple[int, int] = (0, 0)
    page: str = ""


PAGES = ("", "?only=redis_exporter")
"""All we export, and what both do."""


def measure_metrics(plan: Plan, streams: int, page: str) -> Rendered:
    """Scrape both sides in turns, after every tick, for the same series with the same numbers."""
    found = Rendered(streams, page=page)
    with (
        running_world(streams) as world,
        begun(plan, world, world.server.url, None, COMPAT) as ours,
        running_exporter(world.server.url, streams) as peer,
    ):
        url = ours.serve() + page
        for turn in range(-1, plan.runs):  # the first scrape of each makes what lasts, and does not count
            world.move(turn)
            ours.longest_gap()
            ours.tick()
            ticked = ours.longest_gap()
            theirs = peer.scrape()
            ours.longest_gap()
            mine = scrape(url, ours.pid)
            gap = ours.longest_gap()
            found.series = compare(series(theirs.body), series(mine.body))
            found.sizes = len(theirs.body), len(mine.body)
            if turn >= 0:
                found.theirs.append(Cost(theirs.wall, theirs.cpu, peak=peak_rss(peer.pid)))
                found.ours.append(Cost(mine.wall, mine.cpu, peak=peak_rss(ours.pid)))
                found.gaps.append(gap)
                found.tick_gaps.append(ticked)
        ours.check(world.moved)
    return found


# ---- where it goes -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parts:
    """The share of each stage in a tick's CPU, and that of garbage collection in all of them."""

    streams: int
    what: str
    cpu: float
    shares: dict[str, float]
    collecting: float


def measure_parts(plan: Plan, streams: int) -> Iterator[Parts]:
    """Sample the sidecar through many ticks, while a tenth moves and while nothing does."""
    with running_world(streams) as world, begun(plan, world, world.server.url) as ours:
        for what, moving in (("a tenth moves", True), ("nothing moves", False)):
            ours.sample()
            costs = in_a_row(world, ours, plan.series, pace=plan.pace, moving=moving)
            shares, collecting = ours.sampled()
            yield Parts(streams, what, statistics.mean(cost.cpu for cost in costs), shares, collecting)
