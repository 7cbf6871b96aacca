"""Where a process' CPU goes: after every few milliseconds of it the kernel knocks, and what runs is noted."""

from __future__ import annotations

import gc
import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import watchdog

HOME = str(Path(watchdog.__file__).parent)
EVERY = 0.001
STAGES = {
    "ask Redis, parse": ("wire", "sources"),
    "compare with the tick before": ("reader",),
    "read what changed": ("signals/asking", "signals/replies", "facts"),
    "look on": ("signals", "verdicts", "backlog", "intake", "groups", "dossier"),
    "find streams": ("discovery", "scout", "fleet", "globs", "prospects"),
    "history": ("history",),
    "rules": ("judging", "agenda", "rules", "alerts", "conditions", "topology"),
    "decide whom to tell": ("telling", "muting", "notifications", "routing", "delivery", "lane", "writer"),
    "snapshot": ("report", "web"),
    "keep": ("keeping", "state", "records"),
    "the loop": ("sidecar",),
}
"""Stages by the modules they are made of; a folder stands for what is in it and in no other stage."""
ELSEWHERE = "elsewhere"


def stage_of(module: str) -> str | None:
    """Return the stage of *module* of the watchdog, or None for one that helps in many."""
    for name in (module, module.partition("/")[0]):
        for stage, modules in STAGES.items():
            if name in modules:
                return stage
    return None


def stage_at(frame: FrameType | None) -> str:
    """Return for which stage *frame* is at work: the one nearest to it among those that wait for it."""
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(HOME) and (stage := stage_of(path[len(HOME) + 1 :].removesuffix(".py"))):
            return stage
        frame = frame.f_back
    return ELSEWHERE


class Sampler:
    """Notes, as long as it runs, for which stage the CPU works."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.collecting = 0.0
        """The share of the CPU that garbage collection took, in whatever stage."""

    def start(self) -> None:
        """Begin."""
        self.seen.clear()
        self._in_gc = 0.0
        self._cpu = time.process_time()
        gc.callbacks.append(self._collects)
        signal.signal(signal.SIGPROF, self._knock)
        signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)

    def stop(self) -> Mapping[str, float]:
        """End, and return the share of each stage, the largest first."""
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        gc.callbacks.remove(self._collects)
        self.collecting = self._in_gc / max(time.process_time() - self._cpu, 1e-9)
        total = self.seen.total() or 1
        return {stage: count / total for stage, count in self.seen.most_common()}

    def _knock(self, _number: int, frame: FrameType | None) -> None:
        self.seen[stage_at(frame)] += 1

    def _collects(self, phase: str, _info: Mapping[str, int]) -> None:
        self._in_gc += time.process_time() * (1 if phase == "stop" else -1)
