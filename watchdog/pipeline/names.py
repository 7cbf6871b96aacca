"""The names on the bus: streams, consumer groups, keys."""


def stream(name: str) -> str:
    """Return the key of the stream *name*."""
    return f"quantum:stream:{name}"


def heartbeat(service: str) -> str:
    """Return the key under which *service* beats."""
    return f"quantum:svc:{service}:heartbeat"


TRADE_INTENT = stream("trade.intent")
APPLY_PLAN = stream("apply.plan")
APPLY_RESULT = stream("apply.result")
EXECUTION_RESULT = stream("execution.result")
TRADE_EXECUTION_RES = stream("trade.execution.res")
EXITBRAIN_PNL = stream("exitbrain.pnl")
RL_REWARDS = stream("rl_rewards")

INTENT_BRIDGE_GROUP = "quantum:group:intent_bridge"
APPLY_LAYER_GROUP = "apply_layer_entry"
EXECUTION_GROUP = "quantum:group:execution:trade.intent"
EXECUTION_BRIDGE_GROUP = "quantum:group:bridge:execution.result"
RL_FEEDBACK_GROUP = "quantum:group:rl_feedback_v2"
RL_TRAINER_GROUP = "quantum:group:rl_trainer"

KILL_SWITCH = "quantum:global:kill_switch"
POSITIONS = "quantum:ledger:positions"


def seen_plan(plan_id: str) -> str:
    """Return the key that remembers for a while that *plan_id* has been answered."""
    return f"quantum:apply:dedupe:{plan_id}"
