"""
What the sidecar costs over time: the real process beside a real Redis, everything 20 times as fast as usual.

`python -m bench.soak --minutes 60` runs it and says of each figure whether it stays flat; `--write PAGE` puts
the tables between the marks of a page. The load (`load.py`) is 100 streams with groups, workers, heartbeats,
a log that is rotated, deploys, and alerts that come and go; what is measured (`samples.py`) is asked of the
kernel, of /metrics and of the state file from outside. A figure is flat if its Theil–Sen slope, over the time
that was measured, is within a bound (`verdict.py`). Afterwards the same sidecar runs at the usual speed, and
where nothing moves, for what it costs all day (`table.py` has it all in one).
"""
