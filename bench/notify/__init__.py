"""
What telling costs: the sidecar's messages beside those of Alertmanager, in one run.

`python -m bench.notify` prints the tables of docs/benchmarks.md; `--quick` only shows that it works.

Both tell the same receiver (`receiver.py`), a process that does nothing but note when a message had
come whole. The sidecar runs in a process of its own (`ours.py`) and is given readings instead of a
Redis to look at; from there on it is the real one, state file and log included. Alertmanager
(`peer.py`) is Debian's, and is told through its API.
"""
