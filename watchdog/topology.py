"""Who needs whom: the cause of a symptom, and what a cause affects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Needs = Mapping[str, Sequence[str]]


def find_cycle(needs: Needs) -> list[str] | None:
    """Return one cycle in *needs* as the services along it (first = last), or None."""
    done: set[str] = set()
    for start in sorted(needs):
        path: list[str] = []
        stack = [(start, 0)]
        while stack:
            service, depth = stack.pop()
            del path[depth:]
            if service in path:
                return [*path[path.index(service) :], service]
            if service in done:
                continue
            path.append(service)
            stack += [(needed, depth + 1) for needed in reversed(needs.get(service, ()))]
            if not needs.get(service):
                done.add(service)
        done.add(start)
    return None


def upstream(service: str, needs: Needs) -> list[str]:
    """Return all that *service* needs, directly or not, the nearest first."""
    found: list[str] = []
    ring = list(needs.get(service, ()))
    while ring:
        found += [s for s in dict.fromkeys(ring) if s not in found and s != service]
        ring = [n for s in ring for n in needs.get(s, ()) if n not in found and n != service]
    return found


def affected(service: str, needs: Needs) -> list[str]:
    """Return all services that need *service*, directly or not, by name."""
    return sorted(other for other in needs if other != service and service in upstream(other, needs))


def cause_of(service: str, failing: frozenset[str], needs: Needs) -> str | None:
    """
    Return the service that explains why *service* does not work, or None if it is its own.

    Among the *failing* services it needs, the cause is one that needs no failing service itself:
    the nearest such, then by name.
    """
    candidates = [s for s in upstream(service, needs) if s in failing]
    roots = [s for s in candidates if not failing.intersection(upstream(s, needs))]
    return roots[0] if roots else None
