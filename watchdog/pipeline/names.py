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
HARVEST_INTENT = stream("harvest.intent")
TRADE_CLOSED = stream("trade.closed")
PERMIT_P26 = stream("permit.p26")

INTENT_BRIDGE_GROUP = "quantum:group:intent_bridge"
APPLY_LAYER_GROUP = "apply_layer_entry"
EXECUTION_GROUP = "quantum:group:execution:trade.intent"
EXECUTION_BRIDGE_GROUP = "quantum:group:bridge:execution.result"
RL_FEEDBACK_GROUP = "quantum:group:rl_feedback_v2"
RL_TRAINER_GROUP = "quantum:group:rl_trainer"
EXITS_GROUP = "quantum:group:exits"
EXIT_EXECUTOR_GROUP = "quantum:group:exit_executor"
PERMITS_GROUP = "p33"

KILL_SWITCH = "quantum:global:kill_switch"
OTHER_SWITCHES = (
    "quantum:kill_switch",
    "quantum:emergency_stop",
    "quantum:trading:halted",
    "quantum:risk:kill",
    "quantum:governor:freeze",
)
SAFE_MODE = "quantum:safe_mode"
POLICY = "quantum:policy:current"
P33_SNAPSHOT = "quantum:p33:snapshot"
EXECUTED_TODAY = "quantum:governor:executed_today"
POSITIONS = "quantum:ledger:positions"


def permit(plan_id: str) -> str:
    """Return the key under which *plan_id* is permitted, or not."""
    return f"quantum:permit:p26:{plan_id}"


def seen_plan(plan_id: str) -> str:
    """Return the key that remembers for a while that *plan_id* has been answered."""
    return f"quantum:apply:dedupe:{plan_id}"
