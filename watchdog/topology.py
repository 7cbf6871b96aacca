"""Who needs whom: the cause of a symptom, and what a cause affects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Needs = Mapping[str, Sequence[str]]


def find_cycle(needs: Needs) -> list[str] | None:
    """Return one cycle in *needs* as the services along it (first = last), or None."""
    done: set[str] = set()
    for start in sorted(needs):
        path = [start]
        ahead = [iter(needs[start])]
        while path:
            service = next(ahead[-1], None)
            if service is None:
                done.add(path.pop())
                ahead.pop()
            elif service in path:
                return [*path[path.index(service) :], service]
            elif service not in done:
                path.append(service)
                ahead.append(iter(needs.get(service, ())))
    return None


def upstream(service: str, needs: Needs) -> list[str]:
    """Return all that *service* needs, directly or not, the nearest first, then by name."""
    found: dict[str, None] = {}
    ring = sorted(set(needs.get(service, ())) - {service})
    while ring:
        found |= dict.fromkeys(ring)
        ring = sorted({n for s in ring for n in needs.get(s, ())} - {service, *found})
    return list(found)


def inverted(needs: Needs) -> Needs:
    """Return who is needed by whom: the same graph read the other way."""
    needed_by: dict[str, list[str]] = {}
    for service, needed in needs.items():
        for name in needed:
            needed_by.setdefault(name, []).append(service)
    return needed_by


def affected(service: str, needed_by: Needs) -> list[str]:
    """Return all services that need *service*, directly or not, by name."""
    return sorted(upstream(service, needed_by))


def cause_of(service: str, failing: frozenset[str], needs: Needs) -> str | None:
    """
    Return the service that explains why *service* does not work, or None if it is its own.

    Among the *failing* services it needs, the cause is one that needs no failing service itself:
    the nearest such, then by name.
    """
    candidates = [s for s in upstream(service, needs) if s in failing]
    roots = [s for s in candidates if not failing.intersection(upstream(s, needs))]
    return roots[0] if roots else None
