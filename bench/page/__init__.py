"""
What the status page costs: until it is there, until it is seen, and while it stays open.

`python -m bench.page` prints the tables of docs/benchmarks.md; `--quick` only shows that it works.

The sidecar runs in a process of its own (`served.py`), looks every 5 s and is given readings instead of
a Redis to look at; from there on it is the real one. Open pages are connections that read what comes,
as a browser does; how soon something is seen is asked of Debian's chromium.
"""
