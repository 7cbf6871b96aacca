"""
Every error of ours, in one tree.

::

    WatchdogError
    ├── ConfigError      the rules file cannot be used; carries every problem found
    ├── ConditionError   a condition cannot be read; becomes a problem of the rules file
    ├── CollectError     a source was asked and gave no usable answer
    │   ├── SourceDownError the whole source is away, so everything read from it is unknown
    │   └── UnansweredError an endpoint did not answer, and in which way (`watchdog.endpoints.dialing`)
    ├── NotifyError      a notification was not accepted; says whether to try again
    ├── StateError       the state file cannot be used
    ├── PluginError      what another package brings cannot be used; becomes a problem of the rules file
    ├── RecordingError   a recording cannot be written, or is none
    └── RemoteError      the running sidecar cannot be asked, or says no (`watchdog.remote`)

Each message is one sentence for the person who has to act on it, and never holds a secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class WatchdogError(Exception):
    """Base of all errors that a user or an operator can cause."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in a file: where it stands, what it is and what to do about it."""

    line: int
    column: int
    place: str
    what: str
    cure: str = ""

    def render(self, path: str) -> str:
        """Return the problem as ``path:line:column: place: what (cure)``."""
        place = f"{self.place}: " if self.place else ""
        cure = f" ({self.cure})" if self.cure else ""
        return f"{path}:{self.line}:{self.column}: {place}{self.what}{cure}"


class ConfigError(WatchdogError):
    """Say why the rules file *path* cannot be used, every problem at once."""

    def __init__(self, path: str, problems: Sequence[Problem]) -> None:
        self.path = path
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(problem.render(path) for problem in self.problems))


class ConditionError(WatchdogError):
    """Say why a condition cannot be read, and the cure if one is known."""

    def __init__(self, what: str, cure: str = "") -> None:
        self.what = what
        self.cure = cure
        super().__init__(f"{what} ({cure})" if cure else what)


class CollectError(WatchdogError):
    """Say in one sentence why a source gave no usable answer."""


class SourceDownError(CollectError):
    """Say that a whole source is away, not just one key or file of it."""


class NotifyError(WatchdogError):
    """
    Say why a receiver did not take a notification.

    *permanent* means that sending the same again cannot succeed; *retry_after* is the
    number of seconds the receiver asked us to wait, or None.
    """

    def __init__(self, message: str, *, permanent: bool, retry_after: float | None = None) -> None:
        self.permanent = permanent
        self.retry_after = retry_after
        super().__init__(message)


class StateError(WatchdogError):
    """Say why the state file cannot be used."""


class PluginError(WatchdogError):
    """Say why a signal or a receiver that another package brings cannot be used, and the cure."""

    def __init__(self, what: str, cure: str) -> None:
        self.what = what
        self.cure = cure
        super().__init__(f"{what} ({cure})")


class RecordingError(WatchdogError):
    """Say why a recording cannot be written or read."""
