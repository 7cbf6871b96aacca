"""The shape of what the sidecar itself does for others: signs of life, spans, recordings, a pair, an API."""

from __future__ import annotations

from pydantic import Field

from watchdog.fields import Duration, Model, Secret, SecretUrl, Size
from watchdog.notifiers.base import Headers
from watchdog.units import Unit, parse_number


class TracesModel(Model):
    """Where finished traces are sent as spans."""

    otlp: SecretUrl = Field(
        description="OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces",
        examples=["http://127.0.0.1:4318/v1/traces"],
    )
    headers: Headers = Field(
        default_factory=dict,
        description="headers to send along; never shown",
        examples=[{"Authorization": {"file": "/run/secrets/otlp"}}],
    )
    timeout: Duration = Field("10s", validate_default=True, description="how long to wait for an answer")


class RecordModel(Model):
    """What is seen, kept in a file for `watchdog replay`."""

    path: str = Field(
        min_length=1, description="the file; nobody else may read it", examples=["watchdog.rec"]
    )
    max_size: Size = Field("64MiB", description="so large it may grow; then the oldest is dropped")

    @property
    def most(self) -> int:
        """Return the largest size in bytes."""
        return int(parse_number(self.max_size, Unit.BYTES))


class PingModel(Model):
    """An address outside that must hear from us, and raises the alarm when it does not."""

    url: SecretUrl = Field(
        description="asked with GET while all is well with the watchdog itself",
        examples=["${PING_URL}", "https://hc-ping.com/your-uuid"],
    )
    every: Duration = Field("1m", validate_default=True, description="how often")
    timeout: Duration = Field("10s", validate_default=True, description="how long to wait for an answer")


class BeatModel(Model):
    """A heartbeat of the watchdog's own, for another one to watch: the only key it ever writes."""

    key: str = Field(min_length=1, description="the key to SET", examples=["quantum:svc:watchdog:heartbeat"])
    ttl: Duration = Field("1m", validate_default=True, description="when it expires without us")


class PairModel(Model):
    """Two watchdogs on one pipeline: a lease in Redis says who sends."""

    lease: str = Field(min_length=1, description="the key both use", examples=["watchdog:lease"])
    ttl: Duration = Field("15s", validate_default=True, description="how soon the other takes over")
    name: str = Field("", description="who we are (default: host and process)", examples=["host-a"])


class ApiModel(Model):
    """Who may write to the API, and read it from elsewhere."""

    tokens: Secret | None = Field(
        None,
        description="a token, or {file: path} with one on each line, `name: token` or just the token",
        examples=[{"file": "/etc/watchdog/tokens"}, "${WATCHDOG_TOKEN}"],
    )
