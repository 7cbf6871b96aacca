"""
The reference pipeline: small, real services over real streams, each a process of its own.

It exists to be watched, and to be broken on purpose. Here are only its services' names: who watches
it need not load it.
"""

from collections.abc import Mapping

PORTS: Mapping[str, int] = {
    "intents": 8000,
    "intent_bridge": 8001,
    "execution": 8002,
    "apply_layer": 8003,
    "rl_feedback": 8004,
    "rl_trainer": 8005,
    "exits": 8006,
    "permits": 8007,
}
"""The services, and where each answers `GET /health` unless it is told otherwise."""
