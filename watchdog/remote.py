"""Talking to the running sidecar: where it is, with what token, and what it answers."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError

from watchdog.config import load
from watchdog.errors import ConfigError, WatchdogError
from watchdog.outward import ApiModel
from watchdog.schema import FileBase
from watchdog.tokens import read_tokens, token_file
from watchdog.units import plain
from watchdog.yamlfile import read_yaml

REFUSED = 1
UNREACHABLE = 3
TOKEN_VARIABLE = "WATCHDOG_TOKEN"  # noqa: S105
PATIENCE = 10.0
ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
LONGEST_ERROR = 2_000
Environment = Mapping[str, str]
_trust = functools.cache(ssl.create_default_context)  # it takes longer than an answer


class RemoteError(WatchdogError):
    """Say why the sidecar did not do what was asked, and the exit *status* for that."""

    def __init__(self, message: str, status: int) -> None:
        self.status = status
        super().__init__(plain(message[:LONGEST_ERROR]))


# ---- where it is -------------------------------------------------------------------------------


class Whereabouts(NamedTuple):
    """What a rules file says about reaching the sidecar: its address, and a token or why there is none."""

    url: str
    token: str | None
    why_none: str


def whereabouts(rules: Path, environment: Environment) -> Whereabouts:
    """
    Read how to reach the sidecar of the file at *rules*; raise ConfigError if it does not say.

    Whoever asks need not have the environment of the sidecar: the rest of the file does not matter.
    """
    raw, place = _base(rules, environment)
    host, port = place.listen
    host = ANY_HOST.get(host, host)
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return Whereabouts(url, *_token(raw, place.state))


def state_of(rules: Path, environment: Environment) -> str | None:
    """Return where the state file of the rules file at *rules* is; raise ConfigError if it does not say."""
    return _base(rules, environment)[1].state


def _base(rules: Path, environment: Environment) -> tuple[Mapping[str, Any], FileBase]:
    """Return what a rules file says, and of that where things are; the rest may be wrong."""
    try:
        raw = dict(read_yaml(rules.read_text(encoding="utf-8-sig"), environment).value)
        return raw, FileBase.model_validate({name: raw[name] for name in ("listen", "state") if name in raw})
    except (OSError, UnicodeDecodeError, ValidationError, TypeError, ValueError):
        load(rules, environment)  # it says what is wrong, and where
        raise


def _token(raw: Mapping[str, Any], state: str | None) -> tuple[str | None, str]:
    """Return the first token the file names, or else the one made beside the state file."""
    try:
        tokens = ApiModel.model_validate(raw.get("api", {})).tokens
    except ValidationError as exc:
        return None, f"api.tokens: {exc.errors()[0]['msg'].removeprefix('Value error, ')}"
    if tokens is not None:
        return next(iter(read_tokens(tokens.get_secret_value())), None), "api.tokens has none"
    if state is None:
        return None, "rules.yaml has neither api.tokens nor a state file"
    path = token_file(state)
    try:
        return path.read_text(encoding="utf-8").strip() or None, f"{path} is empty"
    except OSError as exc:
        return None, f"{path}: {exc.strerror}"


def find_sidecar(rules: Path, url: str | None, file: Path | None, environment: Environment) -> Whereabouts:
    """
    Return where the sidecar is and with which token to ask it.

    *url* and the token in *file* or the environment come first; only what is missing is read from
    the rules. Raises WatchdogError in one sentence if it cannot be told where it is.
    """
    token = _from_file(file) if file is not None else environment.get(TOKEN_VARIABLE, "").strip() or None
    if url is not None and token is not None:
        return Whereabouts(_checked(url), token, "")
    try:
        found = whereabouts(rules, environment)
    except ConfigError:
        if url is None:
            raise
        return Whereabouts(_checked(url), None, f"{rules} cannot be read")
    return Whereabouts(found.url if url is None else _checked(url), token or found.token, found.why_none)


def _from_file(path: Path) -> str:
    try:
        tokens = read_tokens(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "not a text"
        raise RemoteError(f"the token file {path} cannot be read: {why}", REFUSED) from exc
    if not tokens:
        raise RemoteError(f"the token file {path} has no token in it", REFUSED)
    return next(iter(tokens))


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise RemoteError("--url is not an http(s) URL (write http://127.0.0.1:9821)", UNREACHABLE)
    if "@" in parts.netloc:  # it would be sent instead of the token
        raise RemoteError("--url holds a name or password (give a token with --token-file)", UNREACHABLE)
    return url


# ---- asking it ---------------------------------------------------------------------------------


class Remote:
    """The running sidecar, as others see it."""

    def __init__(self, where: Whereabouts) -> None:
        """Be ready to ask the sidecar that is *where*; nothing is sent yet."""
        self._why_none = where.why_none if where.token is None else ""
        parts = urlsplit(where.url)
        self._shown = f"{parts.scheme}://{parts.netloc}"
        headers = [(b"Authorization", f"Bearer {where.token}".encode())] if where.token else []
        self._client = httpx.Client(
            base_url=where.url,
            headers=headers,
            timeout=PATIENCE,
            trust_env=False,  # a token is not for whatever proxy the environment names
            verify=_trust(),
        )

    def __enter__(self) -> Self:
        """Return itself, to be closed at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._client.close()

    def get(self, path: str, **query: object) -> Any:
        """Return what stands at *path*; what of the *query* is None is not asked."""
        return self._ask("GET", path, params=dict(_given(query)))

    def text(self, path: str) -> str:
        """Return what stands at *path*, which is no JSON."""
        return self._asked("GET", path).text

    def post(self, path: str, body: object) -> Any:
        """Send *body* to *path* and return the answer."""
        return self._ask("POST", path, json=body)

    def delete(self, path: str) -> Any:
        """Have what is at *path* removed and return the answer."""
        return self._ask("DELETE", path)

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        response = self._asked(method, path, **more)
        try:
            body = response.json()
            error = body["error"] if response.is_error else None
        except (ValueError, KeyError, TypeError) as exc:
            what = f"what answers at {self._shown} is no watchdog (status {response.status_code})"
            raise RemoteError(what, UNREACHABLE) from exc
        if response.is_success:
            return body
        why = (
            f"; no token was found: {self._why_none}"
            if response.status_code == 401 and self._why_none
            else ""
        )
        raise RemoteError(f"the sidecar says no: {error}{why}", REFUSED)

    def _asked(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **more)
        except httpx.TimeoutException as exc:
            raise RemoteError(f"the sidecar at {self._shown} does not answer", UNREACHABLE) from exc
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            cure = "is `watchdog run` running? else say where it is with --url"
            raise RemoteError(
                f"the sidecar at {self._shown} cannot be reached ({cure})", UNREACHABLE
            ) from exc


def _given(query: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, wanted in query.items():
        if wanted is not None:
            yield name, wanted
