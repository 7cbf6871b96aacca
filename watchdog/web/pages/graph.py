"""The graph of who needs whom as it is shown: what stands where, what is the cause and what it blocks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from watchdog.report import Status
from watchdog.topology import Needs
from watchdog.web.pages.layout import HEIGHT, WIDTH, Layout, layout_of

NAME_SHOWN = 18
LONG_NAME = 14
"""So many characters of a name fit into its box."""
DEEPEST = 5
"""A list on a narrow screen is indented so often at most."""
ARROW = 5


class Role(StrEnum):
    """What a service is in an outage."""

    CAUSE = "cause"
    BLOCKED = "blocked"
    FINE = "fine"


@dataclass(frozen=True, slots=True)
class Node:
    """
    A service as it is drawn, or listed with *depth* steps of indentation.

    *blocked_by* names the cause if it is not itself; *status* None: it is needed, and nobody watches it.
    """

    name: str
    status: Status | None
    role: Role
    blocked_by: str | None
    needs: tuple[str, ...]
    x: int = 0
    y: int = 0
    depth: int = 0

    @property
    def label(self) -> str:
        """Return the name as far as it fits."""
        return self.name if len(self.name) <= NAME_SHOWN else self.name[: NAME_SHOWN - 1] + "…"

    @property
    def long(self) -> bool:
        """Say whether the name fits only in small letters."""
        return len(self.label) > LONG_NAME

    @property
    def words(self) -> str:
        """Return how it stands, as shown in its box."""
        if self.status is None:
            return "not watched"
        if self.blocked_by is not None:
            return f"{self.status}, blocked" if self.status is not Status.OK else "blocked"
        return f"{self.status}: cause" if self.role is Role.CAUSE else str(self.status)

    @property
    def told(self) -> str:
        """Return all that the drawing says of it, for who hears it."""
        state = "not watched" if self.status is None else str(self.status)
        if self.blocked_by is not None:
            state += f", blocked by {self.blocked_by}"
        elif self.role is Role.CAUSE:
            state += ", the cause"
        return f"{self.name}: {state}" + (f"; needs {', '.join(self.needs)}" if self.needs else "")


@dataclass(frozen=True, slots=True)
class Edge:
    """A link as the data of an SVG path, its arrow included; *blocked* if a fault comes down it."""

    needed: str
    needing: str
    path: str
    blocked: bool


@dataclass(frozen=True, slots=True)
class Graph:
    """What the template draws: *nodes* from input to output, and those *apart* that need nobody."""

    width: int
    height: int
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    apart: tuple[Node, ...]
    box_width: int = WIDTH
    box_height: int = HEIGHT


def graph_of(services: Mapping[str, Status], needs: Needs, failing: Collection[str]) -> Graph:
    """Return how *services* are drawn; *failing* have a critical alert (`watchdog.alerts.failing`)."""
    layout = layout_of(services, needs)
    causes = causes_of(layout, needs, failing)

    def node(name: str) -> Node:
        cause = causes.get(name)
        role = Role.BLOCKED if cause is not None else Role.CAUSE if name in failing else Role.FINE
        return Node(name, services.get(name), role, cause, tuple(needs.get(name, ())))

    nodes = tuple(
        replace(node(box.name), x=box.x, y=box.y, depth=min(box.column, DEEPEST)) for box in layout.boxes
    )
    edges = tuple(
        Edge(link.needed, link.needing, path_of(link.points), link.needed in causes or link.needed in failing)
        for link in layout.links
    )
    return Graph(layout.width, layout.height, nodes, edges, tuple(map(node, layout.apart)))


def causes_of(layout: Layout, needs: Needs, failing: Collection[str]) -> dict[str, str]:
    """
    Return for every service that is blocked what blocks it, as `watchdog.topology.cause_of` would say.

    That is the nearest failing service which needs no failing one itself, then the first by name. Columns
    go from input to output, so one pass tells it of all.
    """
    nearest: dict[str, tuple[int, str]] = {}
    for box in layout.boxes:  # in the order of their columns
        found = [_one_further(name, failing, nearest) for name in needs.get(box.name, ())]
        if known := [way for way in found if way is not None]:
            nearest[box.name] = min(known)
    return {name: cause for name, (_, cause) in nearest.items()}


def _one_further(
    needed: str, failing: Collection[str], nearest: Mapping[str, tuple[int, str]]
) -> tuple[int, str] | None:
    """Return how far the cause is by way of *needed*, and which it is."""
    if (before := nearest.get(needed)) is not None:
        return before[0] + 1, before[1]
    return (1, needed) if needed in failing else None


def path_of(points: tuple[tuple[int, int], ...]) -> str:
    """Return the path along *points*: curves between columns, straight through them, an arrow at its end."""
    x, y = points[0]
    steps = [f"M{x} {y}"]
    for i, (to_x, to_y) in enumerate(points[1:]):
        middle = (x + to_x) // 2
        steps.append(f"H{to_x}" if i % 2 or y == to_y else f"C{middle} {y} {middle} {to_y} {to_x} {to_y}")
        x, y = to_x, to_y
    return " ".join([*steps, f"m-{ARROW} -{ARROW} l{ARROW} {ARROW} l-{ARROW} {ARROW}"])
