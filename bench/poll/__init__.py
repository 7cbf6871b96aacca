"""
What looking at streams costs: the sidecar beside redis_exporter, on one server, in one run.

`python -m bench.poll` prints the tables of docs/benchmarks.md; `--quick` only shows that it works.

Both look at the same streams (`streams.py`) in turns, so that the ratios hold on a machine whose speed
drifts. The sidecar is the real one, in a process of its own (`ours.py`), and ticks when it is told to;
redis_exporter (`peer.py`) is Debian's. A figure counts only if both sides saw everything.
"""

from bench.poll.process import forget_peak, peak_rss

__all__ = ["forget_peak", "peak_rss"]
