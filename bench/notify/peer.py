"""Debian's Alertmanager, told through its API as fast as it can be."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.notify.child import BenchError
from bench.notify.ours import ALERT, SUMMARY, key_name, service_name, spread
from bench.poll import forget_peak, peak_rss
from watchdog.demo.server import HOST, free_port, tethered
from watchdog.units import rfc3339

PROGRAM = "prometheus-alertmanager"
Alert = Mapping[str, object]


def alerts_of(flags: int, services: int, names: str = "") -> list[Alert]:
    """Return the alerts the sidecar would raise for as many flags, with *names* before the services' own."""
    began = datetime.now(UTC)
    return [
        {
            "labels": {"alertname": ALERT, "key": key_name(flag), "service": service, "severity": "critical"},
            "annotations": {"summary": SUMMARY.format(service=service, key=key_name(flag))},
            "startsAt": rfc3339(began),
        }
        for number, own in enumerate(spread(flags, services))
        for service in [names + service_name(number)]
        for flag in own
    ]


def ended(alerts: Sequence[Alert]) -> list[Alert]:
    """Return *alerts* as they end now."""
    return [{**alert, "endsAt": rfc3339(datetime.now(UTC))} for alert in alerts]


def config_text(receivers: Mapping[str, str], group_interval: str) -> str:
    """Return a configuration that tells every one of *receivers* (name: URL) of each service."""
    hooks = [{"name": name, "webhook_configs": [{"url": url}]} for name, url in receivers.items()]
    pace = {"group_wait": "0s", "group_interval": group_interval, "repeat_interval": "4h"}
    routes = [{"receiver": name, "continue": True} for name in receivers]
    top = {"receiver": "nobody", "group_by": ["service"], **pace, "routes": routes}
    return json.dumps({"route": top, "receivers": [{"name": "nobody"}, *hooks]})


@dataclass(frozen=True, slots=True)
class Peer:
    """The running Alertmanager."""

    process: subprocess.Popen[bytes]
    connection: socket.socket

    def post(self, alerts: Sequence[Alert]) -> float:
        """Post *alerts* in one request; return when that began (`time.perf_counter`)."""
        body = json.dumps(alerts, separators=(",", ":")).encode()
        head = (
            f"POST /api/v2/alerts HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        request = head.encode() + body
        began = time.perf_counter()
        self.connection.sendall(request)
        said = b""
        while b"\r\n\r\n" not in said:
            said += self.connection.recv(65536)
        if not said.startswith(b"HTTP/1.1 200 ") or b"Content-Length: 0\r\n" not in said:
            raise BenchError(f"{PROGRAM} does not take alerts: {said.decode(errors='replace')[:300]}")
        return began

    def peak(self) -> int:
        """Return the most memory it had since it was started or `forget_peak`, in bytes."""
        return peak_rss(self.process.pid)

    def forget_peak(self) -> int:
        """Let the peak begin anew, and return what it begins at."""
        forget_peak(self.process.pid)
        return peak_rss(self.process.pid)


@contextmanager
def running_alertmanager(
    directory: Path, receivers: Mapping[str, str], group_interval: str = "1m"
) -> Iterator[Peer]:
    """Run Alertmanager as long as the block lasts."""
    if shutil.which(PROGRAM) is None:
        raise BenchError(f"{PROGRAM} is needed (apt-get install {PROGRAM})")
    port = free_port()
    place = directory / f"theirs-{port}"
    place.mkdir()
    (place / "am.yml").write_text(config_text(receivers, group_interval))
    argv = [
        PROGRAM,
        f"--config.file={place / 'am.yml'}",
        f"--storage.path={place}",
        f"--web.listen-address={HOST}:{port}",
        "--cluster.listen-address=",
    ]
    with (
        (place / "log").open("w") as log,
        subprocess.Popen(tethered(argv), stdout=log, stderr=log) as process,
    ):
        try:
            with closing(_connected(port, process)) as connection:
                yield Peer(process, connection)
        finally:
            process.kill()


def _connected(port: int, process: subprocess.Popen[bytes]) -> socket.socket:
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection((HOST, port))
        except OSError as exc:
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"{PROGRAM} does not start: {exc}") from exc
            time.sleep(0.02)
