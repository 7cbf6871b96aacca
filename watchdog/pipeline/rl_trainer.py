"""
The RL trainer: learns from rewards.

Its heartbeat comes from its loop, after a step in which it trained or found that there was nothing to train
on. A thread of its own would go on beating for a trainer that hangs.
"""

from collections.abc import Sequence

from watchdog.pipeline import names
from watchdog.pipeline.messages import body, number, text
from watchdog.pipeline.runtime import Context, Entry, Input, Service, Write

LEARNING_RATE = 0.1


def learn(value: float, reward: float) -> float:
    """Return the estimate *value* after one more *reward*."""
    return value + LEARNING_RATE * (reward - value)


class RlTrainer(Service):
    """Read `rl_rewards`, keep an estimate per symbol."""

    inputs = (Input(names.RL_REWARDS, names.RL_TRAINER_GROUP),)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.estimates: dict[str, float] = {}

    def handle(self, entry: Entry, now: float) -> Sequence[Write]:
        """Learn from one reward."""
        said = body(entry.fields)
        symbol = text(said, "symbol")
        estimate = learn(self.estimates.get(symbol, 0.0), number(said, "reward"))
        self.estimates[symbol] = estimate
        self.vitals.last_work = now
        self.log.info("Trained on %s: estimate %.4f", symbol, estimate)
        return ()
