"""`python -m tests.groups --histories 3000 --seed 1 --server valkey-9`: the campaign, and its figures."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.groups.campaign import MANNERS, campaign
from tests.groups.wire import SERVERS, served


def main() -> int:
    """Run the campaign on the servers named and print what was seen; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.groups", description=__doc__)
    parser.add_argument("--histories", type=int, default=1000, help="how many on each server, in each manner")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--server", action="append", choices=list(SERVERS), help="default: all")
    parser.add_argument("--manner", action="append", choices=MANNERS, help="how to look; default: all")
    chosen = parser.parse_args()
    bad = 0
    for server in chosen.server or SERVERS:
        for manner in chosen.manner or MANNERS:
            began = time.perf_counter()
            with served(server) as wire:
                tally, failures = campaign(wire, server, manner, chosen.histories, chosen.seed)
            print(f"== {server}, {manner}, seed {chosen.seed}: {time.perf_counter() - began:.0f} s")
            print("\n".join(shares(tally)))
            for failure in failures:
                bad += 1
                print("\n".join(["-- wrong:", *failure.wrong, *failure.told]))
            sys.stdout.flush()
    return int(bad > 0)


def shares(tally: Counter[str]) -> list[str]:
    """Return a line for every kind of figure: how often each answer came, and its share."""
    kinds: dict[str, dict[str, int]] = {}
    for name, count in tally.most_common():
        kind, _, which = name.partition(" ")
        kinds.setdefault(kind, {})[which] = count
    lines = []
    for kind, counts in kinds.items():
        total = sum(counts.values()) or 1
        told = (
            f"{which} {count:,} ({count / total:.2%})" if which else f"{count:,}"
            for which, count in counts.items()
        )
        lines.append(f"   {kind}: {', '.join(told)}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
