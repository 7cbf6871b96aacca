"""What is wrong when: a pure function of a seed and a step, so that two processes agree without talking."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

SERVICES = ("bridge", "apply", "execution", "trainer")
KEYS = ("halt", "drain", "stale")
PLACES: tuple[tuple[str, str], ...] = tuple((service, key) for service in SERVICES for key in KEYS)
"""Each alert of the run by service and key."""
STEADY_UNTIL = 1_000_000
"""From this step on nothing changes any more."""


@dataclass(frozen=True)
class Script:
    """Says of every place at every step whether its condition holds; None is that nobody can tell."""

    seed: int
    change: float = 0.08

    def truths(self, step: int) -> Sequence[bool | None]:
        """Return what holds at *step*, in the order of `PLACES`."""
        block, left = divmod(min(step, STEADY_UNTIL), BLOCK)
        return _block(self.seed, self.change, block)[left]


BLOCK = 256


@lru_cache(maxsize=64)
def _block(seed: int, change: float, block: int) -> list[tuple[bool | None, ...]]:
    """Return a stretch of steps; each begins anew, which is a change like any other."""
    luck = random.Random(f"{seed} {block}")
    holds = [luck.random() < 0.4 for _ in PLACES]
    steps: list[tuple[bool | None, ...]] = []
    for _ in range(BLOCK):
        holds = [not is_so if luck.random() < change else is_so for is_so in holds]
        steps.append(tuple(None if luck.random() < 0.03 else is_so for is_so in holds))
    return steps


def rules_file(urls: Mapping[str, str]) -> str:
    """Return the rules.yaml of the run, with the receivers at *urls*: one prompt, one slow to speak, one between."""
    services = "\n".join(
        f"  {service}: {{flag: [{', '.join(f'{{key: {key}}}' for key in KEYS)}]}}" for service in SERVICES
    )
    receivers = "\n".join(
        f'  {name}: {{webhook: {{url: "{url}", timeout: 300ms}}}}' for name, url in urls.items()
    )
    return f"""
every: 1s
builtin_rules: off
services:
{services}
rules:
  - {{alert: Stopped, when: flag.set == 1, severity: critical, services: [bridge, apply], summary: "{{key}} is set"}}
  - {{alert: Slowed, when: flag.set == 1, severity: warning, services: [execution, trainer], summary: "{{key}} is set"}}
receivers:
{receivers}
notifications: {{flapping: off}}
routes:
  - {{to: [prompt], continue: true, group_wait: 0s, group_interval: 0s}}
  - {{to: [calm], continue: true, group_wait: 40ms, group_interval: 120ms}}
  - {{to: [usual], continue: true, group_wait: 0s, group_interval: 60ms}}
"""
