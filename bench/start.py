"""
How long commands take to start: `python -m bench.start [RUNS]`.

Of each the median of the CPU time (user and system), of the wall time, and the least of both: on a machine
that does other things as well the least is nearest to the truth. Modules are compiled first, as pip does.
"""

from __future__ import annotations

import compileall
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import watchdog
from watchdog.demo.server import start_server

ROOT = Path(__file__).parents[1]
RUNS = 10
LIBRARIES = "import pydantic.main, typer._adapters, yaml"
"""What every command has loaded before a line of ours has run."""
QUIET = 'redis: {{url: "{url}"}}\nservices: {{one: {{heartbeat: {{key: beat}}}}}}\n'


def measured(arguments: Sequence[str]) -> tuple[float, float]:
    """Return the CPU time and the wall time of one run of the command, in seconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> None:
    """Measure each command and print a row of it."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    compileall.compile_dir(str(Path(watchdog.__file__).parent), quiet=2)
    with start_server() as server, tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.yaml"
        rules.write_text(QUIET.format(url=server.url))
        commands = {
            "Python and nothing else": ["-c", "pass"],
            "Python with pydantic, typer and PyYAML": ["-c", LIBRARIES],
            "`--help`": ["-m", "watchdog", "--help"],
            "`check`, the repository's rules.yaml": [
                "-m",
                "watchdog",
                "check",
                "--rules",
                str(ROOT / "rules.yaml"),
            ],
            "`check`, one service": ["-m", "watchdog", "check", "--rules", str(rules)],
            "`audit`, one service": ["-m", "watchdog", "audit", "--rules", str(rules)],
            "`explain signal heartbeat`": ["-m", "watchdog", "explain", "signal", "heartbeat"],
            "`explain rule NoExecutions`": ["-m", "watchdog", "explain", "rule", "NoExecutions"],
        }
        print("| command | CPU, median | CPU, least | wall, median | wall, least |")
        print("| --- | --- | --- | --- | --- |")
        for name, arguments in commands.items():
            found = [measured(arguments) for _ in range(runs)]
            columns = [f(values) for values in zip(*found, strict=True) for f in (statistics.median, min)]
            print(f"| {name} |", " | ".join(f"{seconds * 1000:.0f} ms" for seconds in columns), "|")


if __name__ == "__main__":
    main()
