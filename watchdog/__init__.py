"""Pipeline Watchdog: says within a minute that a pipeline has stopped working while it still runs."""

__version__ = "0.1.0"
