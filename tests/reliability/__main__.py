"""`python -m tests.reliability --kills 3000`: the long run whose figures are in docs/explanation/reliability.md."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

from tests.reliability.campaign import campaign


def main() -> None:
    """Run a campaign and print its figures; exit status 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("--kills", type=int, default=3_000, metavar="N")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    options = parser.parse_args()
    print(f"seed {options.seed}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as directory:
        figures = asyncio.run(campaign(Path(directory), options.seed, options.kills))
    print(figures)
    for what in figures.wrong:
        print(what, file=sys.stderr)
    sys.exit(bool(figures.wrong))


if __name__ == "__main__":
    main()
