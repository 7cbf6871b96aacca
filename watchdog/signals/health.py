"""
`health`: what a service says of itself over HTTP.

A service that does not answer is not unknown but down, and the reason says how: nobody listens, the
name is not known, the connection is taken and then nothing comes. Only what keeps *us* from asking, such
as an unreadable certificate of our own, makes the signal unknown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from watchdog.endpoints.words import PROBLEMS
from watchdog.excerpts import excerpt
from watchdog.fields import Duration, SecretText, Text, one_or_many
from watchdog.later import later
from watchdog.logs.redact import MASK
from watchdog.model import Labels, Measure, Reading, SignalKey, Value, seconds, value, word
from watchdog.signals.base import LocalSignal, SignalConfig
from watchdog.units import rfc3339

if TYPE_CHECKING:
    import httpx

    from watchdog.endpoints import dialing, documents, question
    from watchdog.endpoints.question import Answer, Question
else:  # to ask takes much that to read what the file says does not
    httpx = later("httpx")
    dialing, documents, question = (
        later(f"watchdog.endpoints.{name}") for name in ("dialing", "documents", "question")
    )

LONGEST_REASON = 500
LONGEST_BODY = 200
SHORTEST_SECRET = 8
"""A header as long as this is not shown where the answer repeats it."""
LARGEST_LOOK = 16_000
_METHOD = r"^[A-Z]{1,20}$"
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PATH = r"^[A-Za-z_][\w.-]*$"
_PLAIN = re.compile(
    r"https?://(?:(?:[a-z\d-]+\.)*[a-z][a-z\d-]*|(?:(?:1\d\d|[1-9]?\d)\.){3}(?:1\d\d|[1-9]?\d))"
    r"(?::(?:[1-5]\d{4}|[1-9]\d{3}))?(?:/[A-Za-z\d_~-]+)*/?",
    re.ASCII,
)
"""Addresses that need no reading: httpx leaves them as they are."""
Status = Annotated[int, Field(ge=100, le=599)]


class TlsConfig(BaseModel):
    """Whom to trust over TLS, and what to show of ourselves."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)

    ca: str | None = Field(
        None,
        min_length=1,
        description="a file of certificates, instead of the system's",
        examples=["/etc/ssl/quantum-ca.pem"],
    )
    verify: bool = Field(True, description="false takes any certificate")
    name: str | None = Field(
        None,
        min_length=1,
        description="the name it must be for, if not the url's",
        examples=["orders.internal"],
    )
    cert: str | None = Field(
        None, min_length=1, description="our own certificate", examples=["/etc/watchdog/client.pem"]
    )
    key: str | None = Field(
        None,
        min_length=1,
        description="its key, if in a file of its own",
        examples=["/etc/watchdog/client.key"],
    )

    @model_validator(mode="after")
    def _key_of_something(self) -> TlsConfig:
        if self.key is not None and self.cert is None:
            raise ValueError("a key belongs to a certificate (give cert as well)")
        return self


class HealthConfig(SignalConfig):
    """Keys of `health`."""

    url: str = Field(description="the address to ask", examples=["http://127.0.0.1:8002/health"])
    status: Annotated[tuple[Status, ...], BeforeValidator(one_or_many)] = Field(
        (),
        description="the status or statuses that are well; if not told, all 2xx",
        examples=[200, [200, 204]],
    )
    expect: dict[str, Any] = Field(
        default_factory=dict,
        description='what the JSON body must say: dotted path and value, "< 5", a list of values, or null',
        examples=[{"status": "ok", "errors_last_hour": "< 100"}],
    )
    numbers: tuple[Annotated[str, Field(pattern=_PATH)], ...] = Field(
        (),
        description="paths that must be numbers: without them the signal is unknown",
        examples=[["errors_last_hour"]],
    )
    timeout: Duration = Field(timedelta(seconds=5), description="how long to wait for the whole answer")
    method: str = Field("GET", pattern=_METHOD, description="how to ask", examples=["GET", "POST"])
    headers: dict[str, SecretText] = Field(
        default_factory=dict,
        description="what to send with it; never shown, {file: path} reads one",
        examples=[{"Authorization": {"file": "/run/secrets/health"}}],
    )
    body: Text = Field(
        "", description="what to ask with, for methods that take a body", examples=['{"probe": true}']
    )
    tls: TlsConfig | None = Field(
        None,
        description="ca, verify, name, cert, key: for https",
        examples=[{"ca": "/etc/ssl/quantum-ca.pem"}],
    )
    socket: str | None = Field(
        None,
        min_length=1,
        description="a Unix socket to connect to, not the url's host",
        examples=["/run/orders/http.sock"],
    )

    @field_validator("url")
    @classmethod
    def _can_be_asked(cls, url: str) -> str:
        if _PLAIN.fullmatch(url):
            return url
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as exc:
            raise ValueError(f"not an address: {exc}") from exc
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError("not a web address (write it like http://127.0.0.1:8002/health)")
        return url

    @field_validator("expect")
    @classmethod
    def _can_be_compared(cls, expect: dict[str, Any]) -> dict[str, Any]:
        documents.parse_expectations(expect)
        return expect

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: dict[str, SecretText]) -> dict[str, SecretText]:
        for name, text in headers.items():
            if not _HEADER.fullmatch(name):
                raise ValueError(f'"{name}" is no name of a header (write it like X-Api-Key)')
            if re.search(r"[^\t\x20-\x7e\x80-\xff]", text.get_secret_value().strip()):
                raise ValueError(f"the header {name} holds a sign that cannot be sent (is it one line?)")
        return headers

    @model_validator(mode="after")
    def _tls_only_there(self) -> HealthConfig:
        if self.tls is not None and not self.secure:
            raise ValueError("tls is for https (write https:// in the url, or remove it)")
        return self

    @property
    def secure(self) -> bool:
        """Say whether it is asked over TLS."""
        return self.url[:6].lower() == "https:"

    def labels(self) -> Labels:
        """Return the address without what may be secret in it: user, password and query."""
        own = {"socket": self.socket} if self.socket else {}
        return Labels(own, url=self.url if _PLAIN.fullmatch(self.url) else address_of(httpx.URL(self.url)))

    def offered(self) -> Mapping[str, Measure]:
        """Return what can be told of it: only where there is TLS, there is a certificate."""
        absent = set() if self.secure else {"certificate"}
        declared = {f"body.{path}": Health.MEASURES["body.*"] for path in self.numbers}
        return {name: found for name, found in Health.MEASURES.items() if name not in absent} | declared

    def question(self) -> Question:
        """Return what to ask."""
        tls = self.tls
        return question.Question(
            url=httpx.URL(self.url),
            method=self.method,
            headers={name: text.get_secret_value().strip() for name, text in self.headers.items()},
            body=self.body.encode(),
            trust=dialing.Trust(tls.ca, tls.verify, tls.name, tls.cert, tls.key) if tls else dialing.Trust(),
            unix=self.socket,
            final=frozenset(self.status),
        )


class Health(LocalSignal[HealthConfig]):
    """Tells a service that is down from one that answers, and one that answers from one that is well."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "up": value("1 if it answers with the right status and all expectations hold"),
        "problem": word(
            "What is wrong with it, in one word", "ok", *PROBLEMS, "status", "body", "expectation"
        ),
        "latency": seconds("Time until the whole answer was there"),
        "status": value("HTTP status of the answer"),
        "certificate": seconds("Time until its TLS certificate ends, below zero if it did"),
        "body.*": value("Number in the JSON body, by its dotted path; true is 1, false is 0"),
    }
    Config = HealthConfig

    def __init__(self, key: SignalKey, config: HealthConfig, keep: timedelta) -> None:
        super().__init__(key, config, keep)
        self._question = config.question()
        self._expect = documents.parse_expectations(config.expect)
        self._resolver = dialing.Resolver()

    def look_here(self, now: datetime) -> Reading:
        """Ask once; no answer is a reading as well."""
        try:
            answer = question.ask(self._question, self.config.timeout.total_seconds(), self._resolver)
        except dialing.UnansweredError as exc:
            values, evidence = certificate(exc.certificate_ends, now)
            values |= {"up": 0.0, "problem": exc.problem}
            return Reading(self.key, now, values, evidence={"reason": str(exc), **evidence})
        document = parse_body(answer)
        found = list(self._complaints(answer, document))
        values, evidence = certificate(answer.certificate_ends, now)
        values |= {
            "up": float(not found),
            "problem": found[0][0] if found else "ok",
            "latency": answer.took,
            "status": float(answer.status),
            **{f"body.{path}": number for path, number in documents.numbers(document).items()},
            **{
                f"body.{path}": documents.number_of(documents.find(document, path))
                for path in self.config.numbers
            },
        }
        reason = excerpt("; ".join(sentence for _, sentence in found), LONGEST_REASON)
        evidence |= {"reason": reason, "body": self._excerpt(answer)} if found else {}
        evidence |= self._beside(answer, values)
        return Reading(self.key, now, values, evidence={n: text for n, text in evidence.items() if text})

    def _complaints(self, answer: Answer, document: object) -> Iterator[tuple[str, str]]:
        """Yield a word and a sentence for everything that speaks against the service."""
        wanted = self.config.status
        if not (answer.status in wanted if wanted else 200 <= answer.status < 300):
            expected = f", expected {' or '.join(map(str, wanted))}" if wanted else ""
            yield "status", f"it answers {answer.status}{expected}"
        if self._expect and document is documents.MISSING:
            yield "body", why_unread(answer)
        elif document is not documents.MISSING:
            yield from (
                ("expectation", sentence) for sentence in documents.complaints(document, self._expect)
            )

    def _beside(self, answer: Answer, values: Mapping[str, Value]) -> dict[str, object]:
        """Return what is worth knowing although nothing need be wrong."""
        lacking = [path for path in self.config.numbers if values[f"body.{path}"] is None]
        where = address_of(answer.url)
        return {
            "answered_by": where if answer.url != self._question.url else "",
            "unknown": f"no number in the answer: {', '.join(lacking)}" if lacking else "",
        }

    def _excerpt(self, answer: Answer) -> str:
        """Return the beginning of the body, harmless, and without what we sent in confidence."""
        text = "" if answer.packed else answer.body[:LARGEST_LOOK].decode("utf-8", "replace")
        for secret in self.config.headers.values():
            told = secret.get_secret_value().strip()
            text = text.replace(told, MASK) if len(told) >= SHORTEST_SECRET else text
        return excerpt(text, LONGEST_BODY)


def address_of(url: httpx.URL) -> str:
    """Return *url* without what may be secret in it: user, password and query."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def certificate(ends: datetime | None, now: datetime) -> tuple[dict[str, Value], dict[str, object]]:
    """Return measure and evidence of a certificate that ends then."""
    if ends is None:
        return {}, {}
    return {"certificate": (ends - now).total_seconds()}, {"certificate_ends": rfc3339(ends)}


def parse_body(answer: Answer) -> object:
    """Return the body's JSON, or `MISSING` if it is none."""
    try:
        return json.loads(answer.body) if answer.whole and not answer.packed else documents.MISSING
    except (ValueError, RecursionError):
        return documents.MISSING


def why_unread(answer: Answer) -> str:
    """Say why the body has no JSON to be compared."""
    if answer.packed:
        return f"its answer is compressed ({answer.packed}) although it was asked not to be"
    return (
        "its answer is not JSON"
        if answer.whole
        else f"its answer is longer than {question.LARGEST_BYTES >> 20} MiB"
    )
