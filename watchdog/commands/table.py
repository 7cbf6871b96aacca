"""
Which commands there are, and where each lives: read without loading any of them.

Loading everything takes a second, and most commands need little of it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from watchdog.garbage import undisturbed
from watchdog.later import without


class Entry(NamedTuple):
    """One command: in which module of the package under what name, what it does, and an example."""

    home: str
    does: str
    example: str


LASTING = "run"
"""Its process is a service, and its memory is taken all day."""
USELESS = ("rich", "pygments", "watchfiles")
"""What libraries would load for it where it is installed: colours, and a new start when a source changes."""
TABLE: Mapping[str, Entry] = {
    "run": Entry(
        "commands.running:run_command",
        "Run the sidecar until it is told to stop.",
        "run --rules /etc/watchdog/rules.yaml --listen 127.0.0.1:9821",
    ),
    "audit": Entry(
        "commands.auditing:audit_command",
        "Look once and say how every service stands: what is wrong and why first, each service in one line.",
        "audit --rules rules.yaml --format nagios",
    ),
    "check": Entry(
        "commands.checking:check_command",
        "Validate the rules file; without --connect it connects nowhere.",
        "check --rules rules.yaml --rules-in-force",
    ),
    "init": Entry(
        "commands.init:init_command",
        "Look at a Redis once, change nothing, write a first rules.yaml; each guess says what it rests on.",
        "init redis://127.0.0.1:6379/0 --log '/var/log/quantum/*.log'",
    ),
    "demo": Entry(
        "demo.command:demo_command",
        "Run server, pipeline and sidecar, break something, and report what was detected.",
        "demo --fault W01 --for 90s",
    ),
    "top": Entry(
        "commands.top:top_command",
        "Show live what the running sidecar sees: does it work, since when not, why; `?` tells the keys.",
        "top --every 5s",
    ),
    "alerts": Entry(
        "commands.alerts:alerts_command",
        "Show the alerts of the running sidecar, and who was told of them.",
        "alerts --service execution --state firing",
    ),
    "explain": Entry(
        "commands.explaining:explain_command",
        "Tell all that is known of an alert; or what a `rule`, `signal`, `measure`, `key` or `receiver` is.",
        "explain rule NoExecutions",
    ),
    "runbook": Entry(
        "commands.runbook:runbook_command",
        "Print what an alert means, how to confirm, what it usually was, how to fix and how to silence it.",
        "runbook NoExecutions",
    ),
    "export": Entry(
        "commands.exporting:export_app",
        "The rules in force for `prometheus`, `alertmanager`, `grafana`; the `schema`, `reference`, `man`.",
        "export prometheus --out /etc/prometheus/rules",
    ),
    "ack": Entry(
        "commands.alerts:ack_command",
        "Say that somebody has seen an alert: no reminders and no escalation until it fires anew.",
        "ack NoExecutions --comment 'restarting it'",
    ),
    "silence": Entry(
        "commands.silences:silence_app",
        "Tell nobody of some alerts for a while: `silence add`, `list` and `end`.",
        "silence service=execution --for 2h --comment 'moving it'",
    ),
    "deliveries": Entry(
        "commands.alerts:deliveries_command",
        "Show what became of messages, the latest first.",
        "deliveries --receiver ops --since 1h",
    ),
    "logs": Entry(
        "commands.logs:logs_command",
        "Show what the watchdog sees in a log: its format, records by level, errors by template.",
        "logs /var/log/quantum/*.log",
    ),
    "settings": Entry(
        "commands.settings:settings_app",
        "Env files: `settings check` them before a commit, `baseline` to accept them, `show`.",
        "settings check etc/*.env",
    ),
    "heartbeat": Entry(
        "commands.heartbeat:heartbeat_command",
        "Beat in the place of a service, for a time, and say so: SyntheticHeartbeat is reported meanwhile.",
        "heartbeat svc:rl:heartbeat --until 2h --reason 'moving it'",
    ),
    "self-test": Entry(
        "commands.trying:self_test_command",
        "Have the running sidecar send a test alert the whole way, and wait until every receiver took it.",
        "self-test --timeout 30s",
    ),
    "test-receiver": Entry(
        "commands.trying:try_receiver_command",
        "Send one test message straight to a receiver, and say what it answered; needs no running sidecar.",
        "test-receiver ops",
    ),
    "record": Entry(
        "commands.recording:record_command",
        "Look as the sidecar does, tell nobody, and keep what is seen for `watchdog replay`.",
        "record incident.rec --for 1h",
    ),
    "replay": Entry(
        "commands.recording:replay_command",
        "Tell what these rules would have said of what was recorded: what fired when, and who was told.",
        "replay incident.rec --rules new.yaml --against rules.yaml",
    ),
    "test": Entry(
        "commands.testing:rule_tests_command",
        "Run rule tests: a drawn timeline, and which alerts the rules make of it (as `promtool test rules`).",
        "test tests/*.yaml",
    ),
    "state": Entry(
        "commands.state:state_app",
        "The state file: `state check` it, `backup` it while the sidecar runs, `restore` a copy.",
        "state backup /var/backups/watchdog",
    ),
    "support": Entry(
        "commands.support:support_command",
        "Write a bundle for a bug report, without secrets; with or without a running sidecar.",
        "support --out /tmp/watchdog.tar.gz",
    ),
    "pipeline": Entry(
        "demo.command:pipeline_command",
        "Run one service of the reference pipeline.",
        "pipeline execution --port 8002",
    ),
}


class Commands(TyperGroup):
    """The group of all commands of the table; each is loaded when it is asked for."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": {}})
        self.commands = Loaded()  # type: ignore[assignment]

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return the names of all commands."""
        return list(TABLE)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return what may stand here; the names are the table's, so that nothing is loaded for them."""
        loaded, self.commands = self.commands, {n: TyperCommand(n, help=e.does) for n, e in TABLE.items()}
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self.commands = loaded

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write what every command does, as the table has it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.does) for name, entry in TABLE.items()])


class Loaded(Mapping[str, Any]):
    """The commands by name, as typer runs them."""

    def __getitem__(self, name: str) -> Any:
        return load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(TABLE)

    def __len__(self) -> int:
        return len(TABLE)


def load(name: str) -> Any:
    """Return the command called *name* as typer runs it; KeyError if there is none."""
    entry = TABLE[name]
    module, _, attribute = entry.home.partition(":")
    with undisturbed(), without(*USELESS) if name == LASTING else nullcontext():
        found = getattr(importlib.import_module(f"watchdog.{module}"), attribute)
    example = f"\b\nExample: watchdog {entry.example}"  # \b: in one line, to be copied
    holder = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    holder.callback()(lambda: None)
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name, help=entry.does, epilog=example)
    else:
        holder.command(name, epilog=example)(found)
    return get_group(holder).commands[name]
