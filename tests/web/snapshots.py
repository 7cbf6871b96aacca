"""Snapshots as the API has them, drawn by hand."""

from __future__ import annotations

from typing import Any

from watchdog.glance import Glance, glance

NOW = "2026-02-19T03:00:00Z"


def alert(name: str, service: str, severity: str = "critical", **more: Any) -> dict[str, Any]:
    """Return an alert of *service* that fires since two hours."""
    return {
        "labels": {"alertname": name, "service": service, "severity": severity},
        "fingerprint": f"{name}-{service}",
        "state": "firing",
        "since": "2026-02-19T01:00:00Z",
        "fired_at": "2026-02-19T01:00:00Z",
        "resolved_at": None,
        "value": 1.0,
        "summary": f"{service} has {name}",
        "figures": [],
        "evidence": {},
        "ended": None,
        "cause": None,
        "affects": [],
        "symptoms": [],
        "runbook": "",
        "acknowledged": None,
        "silenced_by": [],
        "flapping": False,
        "receivers": [],
        **more,
    }


def signal(
    kind: str, values: dict[str, float | None] | None = None, status: str = "ok", trouble: str | None = None
) -> dict[str, Any]:
    """Return a signal."""
    body: dict[str, Any] = {"signal": kind, "labels": {}, "status": status, "values": values or {}}
    return body | ({"trouble": trouble} if trouble else {})


def snapshot(
    status: str, services: dict[str, Any], alerts: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Return a snapshot of *services*, each a status with its signals."""
    return {
        "status": status,
        "at": NOW,
        "redis": {"up": True, "version": "7.0.15"},
        "services": {
            name: {"status": standing, "signals": signals} for name, (standing, *signals) in services.items()
        },
        "alerts": alerts or [],
    }


def outage() -> dict[str, Any]:
    """Return the outage: the trainer does not beat, and so two services do no work."""
    figures: dict[str, float | None] = {"age": 7_500, "offered[1h]": 412, "succeeded[10m]": 0}
    stopped = signal("executions", figures, "critical")
    work = signal("consumes", {"lag": 0, "pending": 0})
    return snapshot(
        "critical",
        {
            "intents": ("ok", signal("heartbeat", {"age": 1}), signal("stream", {"added[1h]": 424})),
            "rl_trainer": ("critical", signal("heartbeat", {"age": None, "present": 0}, "critical")),
            "apply_layer": ("critical", work, stopped, signal("log", {"error_ratio[10m]": 0.5})),
            "execution": ("critical", work, stopped),
            "rl_feedback": ("unknown", signal("unit", None, "unknown", "systemctl does not answer")),
        },
        [
            alert(
                "HeartbeatMissing",
                "rl_trainer",
                summary="rl_trainer has no heartbeat",
                figures=["heartbeat.present (0) == 0"],
                evidence={"last beat": "2026-02-19T00:55:00Z", "format": "auto"},
                affects=["apply_layer", "execution"],
                symptoms=["NoExecutions of apply_layer", "NoExecutions of execution"],
            ),
            alert("NoExecutions", "apply_layer", cause="rl_trainer"),
            alert("NoExecutions", "execution", cause="rl_trainer"),
            alert("LogErrors", "apply_layer", "warning", cause="rl_trainer"),
        ],
    )


def healthy(count: int = 3) -> dict[str, Any]:
    """Return a pipeline that works, of so many services."""
    services = {
        f"worker-{n:03}": (
            "ok",
            signal("executions", {"age": n, "succeeded[10m]": 600, "offered[1h]": 3600}),
            signal("consumes", {"lag": 0, "pending": n}),
        )
        for n in range(count)
    }
    return snapshot("ok", services)


def seen(body: dict[str, Any]) -> Glance:
    """Return *body* at one glance."""
    return glance(body)
