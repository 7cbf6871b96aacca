"""numpy, which is loaded with the first log that is read: a sidecar without logs does without its 12 MB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from watchdog.later import later

if TYPE_CHECKING:
    import numpy as np
else:
    np = later("numpy")

__all__ = ["np"]
