"""RL feedback: turns what closed positions earned into rewards."""

from collections.abc import Sequence

from watchdog.pipeline import names
from watchdog.pipeline.messages import Body, body, envelope, number, text
from watchdog.pipeline.runtime import Entry, Input, Service, Write, append


def reward_of(pnl: Body) -> float:
    """Return the reward for a closed position: its return in percent, between -1 and 1."""
    size = number(pnl, "position_size_usd")
    return max(-1.0, min(1.0, number(pnl, "pnl_usd") / size * 100)) if size > 0 else 0.0


class RlFeedback(Service):
    """Read `exitbrain.pnl`, write `rl_rewards`."""

    inputs = (Input(names.EXITBRAIN_PNL, names.RL_FEEDBACK_GROUP),)
    beats_as = "rl_feedback_v2"
    heartbeat_ttl_seconds = 10

    def handle(self, entry: Entry, now: float) -> Sequence[Write]:
        """Answer a closed position with a reward."""
        pnl = body(entry.fields)
        reward = {"symbol": text(pnl, "symbol"), "reward": round(reward_of(pnl), 6)}
        self.vitals.last_work = now
        self.log.info("Reward %s: %g", reward["symbol"], reward["reward"])
        return [append(names.RL_REWARDS, envelope("rl.reward", reward, "rl_feedback_v2", now))]

    def heartbeat_value(self, now: float) -> str:
        """Return the time with its fractions."""
        return str(now)
