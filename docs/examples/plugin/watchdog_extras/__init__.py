"""A signal and a receiver for Pipeline Watchdog."""
