"""
How Python's garbage collector is told that most of what we hold is there to stay.

Signals, rules and readings live as long as the process, by the hundred thousand. Going over them at
every full collection took up to half of a tick's time (docs/benchmarks.md); what does end with a tick is
nearly all freed by its reference count.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

YOUNG, MIDDLE, OLD = 10_000, 20, 500
"""New objects before a small collection, small ones before a middle one, middle ones before a full one."""


def collect_seldom() -> None:
    """Collect what is new less often, and all there is hardly ever."""
    gc.set_threshold(YOUNG, MIDDLE, OLD)


def keep_for_good() -> None:
    """Take what is there now out of every later collection."""
    gc.freeze()


def sort_out() -> None:
    """Collect what is no more of all that was there for good, and take out the rest once more."""
    if gc.get_freeze_count():
        gc.unfreeze()
        gc.collect()
        gc.freeze()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Collect nothing meanwhile: what is made while modules are loaded is there to stay, all of it."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
