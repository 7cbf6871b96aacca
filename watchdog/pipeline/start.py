"""Which services there are, and how one of them is run until it is told to stop."""

import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

from watchdog.pipeline import PORTS
from watchdog.pipeline.apply_layer import ApplyLayer
from watchdog.pipeline.execution import Execution
from watchdog.pipeline.health import Vitals, serve_health
from watchdog.pipeline.intent_bridge import IntentBridge
from watchdog.pipeline.intents import Intents
from watchdog.pipeline.logs import open_log
from watchdog.pipeline.rl_feedback import RlFeedback
from watchdog.pipeline.rl_trainer import RlTrainer
from watchdog.pipeline.runtime import Context, Loop, Service, connect
from watchdog.pipeline.settings import Env, SettingError, read_env

SERVICES: Mapping[str, Callable[[Context], Service]] = {
    "intents": Intents,
    "intent_bridge": IntentBridge,
    "apply_layer": ApplyLayer,
    "execution": Execution,
    "rl_feedback": RlFeedback,
    "rl_trainer": RlTrainer,
}


def run(
    service: str, *, redis_url: str, env_file: Path | None, log_file: Path | None, port: int | None
) -> int:
    """Run *service* on *port*, or its own of `PORTS`, until SIGTERM or SIGINT; return its exit status."""
    vitals = Vitals(service)
    log = open_log(service, log_file, vitals.errors)
    try:
        context = Context(connect(redis_url), Env(read_env(env_file)), log, vitals)
        built = SERVICES[service](context)
        loop = Loop(service, built, context)
        serve_health(PORTS[service] if port is None else port, vitals)
    except (SettingError, OSError) as exc:
        log.error("Cannot start: %s", exc)
        return 1

    def stop(_signal: int, _frame: FrameType | None) -> None:
        loop.stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    log.info("Starting %s", service)
    for name, value in built.settings_in_effect().items():
        log.info("%s: %s", name, value)
    loop.run()
    return 0
