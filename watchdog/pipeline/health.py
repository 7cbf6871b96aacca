"""`GET /health`, as every service of the pipeline answers it: by being there, not by what it gets done."""

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer

from watchdog.pipeline.logs import ErrorCount
from watchdog.pipeline.messages import iso

HOST = "127.0.0.1"


@dataclass
class Vitals:
    """What a service knows about its own work; written by its loop, read by `/health`."""

    service: str
    errors: ErrorCount = field(default_factory=ErrorCount)
    last_work: float | None = None
    connected: bool = False
    clock: Callable[[], float] = time.time

    def report(self, now: float) -> dict[str, object]:
        """Return the body of `/health`."""
        return {
            "status": "ok",
            "service": self.service,
            "last_execution": None if self.last_work is None else iso(self.last_work),
            "errors_last_hour": self.errors.last_hour(now),
            "eventbus": "UP" if self.connected else "DOWN",
        }


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, vitals: Vitals) -> None:
        super().__init__((HOST, port), _Handler)
        self.vitals = vitals


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5.0

    def do_GET(self) -> None:
        """Answer `/health`; there is nothing else."""
        if self.path.partition("?")[0] != "/health":
            self.send_error(404)
            return
        report = json.dumps(self.server.vitals.report(self.server.vitals.clock())).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(report)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # whoever asked has gone
            self.wfile.write(report)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: requests are not the service's work."""


def serve_health(port: int, vitals: Vitals) -> Callable[[], None]:
    """Answer `/health` on *port* from a thread that ends with the process; return what ends it before."""
    server = _Server(port, vitals)
    threading.Thread(target=server.serve_forever, args=(0.1,), name="health", daemon=True).start()

    def end() -> None:
        server.shutdown()
        server.server_close()

    return end
