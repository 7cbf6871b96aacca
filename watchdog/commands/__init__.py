"""The commands that talk to the running sidecar, and those that need none."""

from __future__ import annotations

import typer

from watchdog.commands.alerts import ack_command, alerts_command, deliveries_command, explain_command
from watchdog.commands.heartbeat import heartbeat_command
from watchdog.commands.logs import logs_command
from watchdog.commands.settings import settings_app
from watchdog.commands.silences import silence_app
from watchdog.commands.trying import self_test_command, try_receiver_command


def add_commands(app: typer.Typer) -> None:
    """Put these commands into *app*."""
    example = "Example: watchdog"
    app.command("alerts", epilog=f"{example} alerts --service execution --state firing")(alerts_command)
    app.command("explain", epilog=f"{example} explain NoExecutions --service execution")(explain_command)
    app.command("ack", epilog=f"{example} ack NoExecutions --comment 'restarting it'")(ack_command)
    app.add_typer(
        silence_app,
        name="silence",
        help="Tell nobody of some alerts for a while: `silence add`, `list` and `end`.",
        epilog=f"{example} silence service=execution --for 2h --comment 'moving it'",
    )
    app.add_typer(
        settings_app,
        name="settings",
        help="Env files: `settings check` them before a commit, `baseline` to accept them, `show`.",
        epilog=f"{example} settings check etc/*.env",
    )
    app.command("deliveries", epilog=f"{example} deliveries --receiver ops --since 1h")(deliveries_command)
    app.command("heartbeat", epilog=f"{example} heartbeat svc:rl:heartbeat --until 2h --reason 'moving it'")(
        heartbeat_command
    )
    app.command("logs", epilog=f"{example} logs /var/log/quantum/*.log")(logs_command)
    app.command("self-test", epilog=f"{example} self-test --timeout 30s")(self_test_command)
    app.command("test-receiver", epilog=f"{example} test-receiver ops")(try_receiver_command)
