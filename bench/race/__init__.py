"""
From fault to page: the sidecar beside redis_exporter, Prometheus and Alertmanager, in one run.

`python -m bench.race` prints the tables of docs/benchmarks.md; `--quick` only shows that it works.

All watch the same Redis at the same time, for the same faults (`faults.py`), by the same condition, and post
to the same receiver (`postbox.py`). What runs is what a user runs (`sides.py`): Debian's three programs, and
`python -m watchdog run`. The clock runs from the moment before the fault is written until the page is there.
"""
