"""`python -m watchdog.pipeline SERVICE --redis URL`: run one service of the reference pipeline."""

import argparse
import sys
from pathlib import Path

from watchdog.pipeline.start import SERVICES, run


def main() -> int:
    """Run the service that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m watchdog.pipeline", description=__doc__)
    parser.add_argument("service", choices=SERVICES)
    parser.add_argument("--redis", required=True, metavar="URL")
    parser.add_argument("--env", type=Path, metavar="FILE", help="its settings")
    parser.add_argument("--log", type=Path, metavar="FILE", help="its log (stderr, if not given)")
    parser.add_argument("--port", type=int, help="where it answers GET /health")
    given = parser.parse_args()
    return run(given.service, redis_url=given.redis, env_file=given.env, log_file=given.log, port=given.port)


if __name__ == "__main__":
    sys.exit(main())
