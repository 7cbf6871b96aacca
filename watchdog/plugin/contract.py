"""
Whether a signal or a receiver keeps to what the watchdog relies on: functions for the tests of its package.

Each returns nothing, or raises an AssertionError that says in one sentence what is wrong. Ours keep to it.
"""

from watchdog.plugin.of_receivers import check_notifier, check_posting, check_sending
from watchdog.plugin.of_signals import check_signal

__all__ = ["check_notifier", "check_posting", "check_sending", "check_signal"]
