"""
What other packages build signals and receivers from: names that stay, whatever becomes of our modules.

A package offers a signal in the entry points of the group ``pipeline_watchdog.signals`` and a receiver in
``pipeline_watchdog.receivers``; `watchdog.plugin.contract` tells whether they are right.
docs/how-to/write-a-signal.md and write-a-receiver.md go through both, docs/examples/plugin has them whole.
"""

from watchdog.errors import CollectError, NotifyError
from watchdog.fields import Duration, Secret, SecretText, SecretUrl, Text, one_or_many
from watchdog.links import Links
from watchdog.model import (
    AtLeast,
    Counted,
    Kind,
    Labels,
    Measure,
    Reading,
    SignalKey,
    Since,
    Value,
    counter,
    seconds,
    value,
    word,
)
from watchdog.notifications import Notice, Notification, Reason
from watchdog.notifiers.base import Headers, HttpNotifier, Notifier, Sending, encode, revealed
from watchdog.notifiers.text import headline
from watchdog.notifiers.text import text as message_text
from watchdog.routing import Habit
from watchdog.signals.base import (
    Command,
    GatheredSignal,
    LocalSignal,
    Look,
    NextLook,
    Question,
    RedisSignal,
    Refused,
    Reply,
    RestingSignal,
    Signal,
    SignalConfig,
)
from watchdog.signals.replies import integer, require, text
from watchdog.threads import in_thread
from watchdog.timestamps import parse_timestamp
from watchdog.units import Unit

__all__ = [
    "AtLeast",
    "CollectError",
    "Command",
    "Counted",
    "Duration",
    "GatheredSignal",
    "Habit",
    "Headers",
    "HttpNotifier",
    "Kind",
    "Labels",
    "Links",
    "LocalSignal",
    "Look",
    "Measure",
    "NextLook",
    "Notice",
    "Notification",
    "Notifier",
    "NotifyError",
    "Question",
    "Reading",
    "Reason",
    "RedisSignal",
    "Refused",
    "Reply",
    "RestingSignal",
    "Secret",
    "SecretText",
    "SecretUrl",
    "Sending",
    "Signal",
    "SignalConfig",
    "SignalKey",
    "Since",
    "Text",
    "Unit",
    "Value",
    "counter",
    "encode",
    "headline",
    "in_thread",
    "integer",
    "message_text",
    "one_or_many",
    "parse_timestamp",
    "require",
    "revealed",
    "seconds",
    "text",
    "value",
    "word",
]
