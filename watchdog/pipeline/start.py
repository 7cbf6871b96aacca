"""Which services there are, and how one of them is run until it is told to stop."""

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from watchdog.pipeline import PORTS, broken
from watchdog.pipeline.apply_layer import ApplyLayer
from watchdog.pipeline.execution import Execution
from watchdog.pipeline.exits import Exits
from watchdog.pipeline.health import Vitals, serve_health
from watchdog.pipeline.intent_bridge import IntentBridge
from watchdog.pipeline.intents import Intents
from watchdog.pipeline.logs import open_log
from watchdog.pipeline.permits import Permits
from watchdog.pipeline.rl_feedback import RlFeedback
from watchdog.pipeline.rl_trainer import RlTrainer
from watchdog.pipeline.runtime import Context, Ended, Loop, Service, connect
from watchdog.pipeline.settings import Env, SettingError, read_env

LEVELS = frozenset({"DEBUG", "INFO", "WARNING", "ERROR"})
SERVICES: Mapping[str, Callable[[Context], Service]] = {
    "intents": Intents,
    "intent_bridge": IntentBridge,
    "apply_layer": ApplyLayer,
    "execution": Execution,
    "rl_feedback": RlFeedback,
    "rl_trainer": RlTrainer,
    "exits": Exits,
    "permits": Permits,
}


@dataclass(frozen=True)
class Started:
    """A service that is ready to run, and what ends its `/health`."""

    loop: Loop
    end_health: Callable[[], None]


def start(
    service: str,
    *,
    redis_url: str,
    env_file: Path | None,
    log_file: Path | None,
    port: int | None,
    clock: Callable[[], float] = time.time,
) -> Started | None:
    """Build *service* and answer for it on *port*, or its own of `PORTS`; None if it cannot start."""
    vitals = Vitals(service, clock=clock)
    log = open_log(service, log_file, vitals.errors, clock)
    try:
        env = Env(read_env(env_file))
        log.setLevel(env.word("LOG_LEVEL", "INFO", LEVELS))
        context = Context(connect(env.values.get("REDIS_URL", redis_url)), env, log, vitals, clock)
        how = context.env.word("BREAK", "", broken.WORDS)  # empty: as it should be
        built = broken.SERVICES.get(how, SERVICES[service])(context)
        loop = broken.LOOPS.get(how, Loop)(service, built, context)
        given = PORTS[service] if port is None else port
        end_health = serve_health(int(env.number("HEALTH_PORT", given)), vitals)
    except (SettingError, OSError) as exc:
        log.error("Cannot start: %s", exc)
        return None
    log.info("Starting %s", service)
    for name, value in built.settings_in_effect().items():
        log.info("%s: %s", name, value)
    return Started(loop, end_health)


def run(
    service: str, *, redis_url: str, env_file: Path | None, log_file: Path | None, port: int | None
) -> int:
    """Run *service* until SIGTERM or SIGINT, or until it ends itself; return its exit status."""
    started = start(service, redis_url=redis_url, env_file=env_file, log_file=log_file, port=port)
    if started is None:
        return 1

    def stop(_signal: int, _frame: FrameType | None) -> None:
        started.loop.stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        started.loop.run()
    except Ended as exc:
        return exc.status
    return 0
