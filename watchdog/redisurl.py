"""
Redis URLs: what they say, checked once, and shown without what is secret in them.

::

    redis://[user:password@]host[:6379][/db]                        plain
    rediss://…                                                      over TLS
    unix://[user:password@]/path/to.sock[?db=1]                     a socket of this machine
    redis+sentinel://[user:password@]host[:26379],…/master[/db]     the master that Sentinel names
    redis+cluster://[user:password@]host[:6379],…                   a cluster, by any of its nodes

`rediss+sentinel://` and `rediss+cluster://` are the last two over TLS; `valkey` stands for `redis`
everywhere. The options behind `?` have the names that redis-py gives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

REDIS_PORT, SENTINEL_PORT = 6379, 26379
OPTIONS = ("db", "username", "password", "sentinel_username", "sentinel_password")
TLS_OPTIONS = (
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_password",
    "ssl_check_hostname",
    "ssl_cert_reqs",
)
NOT_OURS = (
    "client_name",
    "decode_responses",
    "encoding",
    "encoding_errors",
    "health_check_interval",
    "legacy_responses",
    "max_connections",
    "protocol",
    "retry_on_timeout",
    "socket_connect_timeout",
    "socket_keepalive",
    "socket_read_size",
    "socket_timeout",
    "timeout",
)
"""What a URL that is shared with a client program may also say, and the watchdog settles itself."""


class Deployment(Enum):
    """What stands at the other end."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Node:
    """Where a server listens: host and port, or the path of a socket."""

    host: str = ""
    port: int = REDIS_PORT
    socket: str = ""

    def __str__(self) -> str:
        if self.socket:
            return self.socket
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are; neither is ever shown."""

    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.user or self.password)


@dataclass(frozen=True, slots=True)
class Tls:
    """How a server is trusted, and how we are."""

    ca: str | None = None
    ca_folder: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: str | None = field(default=None, repr=False)
    check_hostname: bool = True
    verify: bool = True


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """What a Redis URL says."""

    deployment: Deployment
    nodes: tuple[Node, ...]
    login: Login
    db: int = 0
    tls: Tls | None = None
    master: str = ""
    sentinel_login: Login = field(default_factory=Login)

    @property
    def place(self) -> str:
        """Return where that is, for people: hosts and ports, or the socket's path; nothing secret."""
        nodes = ",".join(map(str, self.nodes))
        return f"{self.master} of Sentinel {nodes}" if self.master else nodes


def same_place(one: str, other: str) -> bool:
    """Say whether two URLs lead to the same data, whoever asks for it and however it is guarded."""
    places = [
        replace(parse_redis_url(url), login=Login(), sentinel_login=Login(), tls=None) for url in (one, other)
    ]
    return places[0] == places[1]


def place_of(url: str) -> str:
    """Return where *url* leads, for people, without user and password."""
    return parse_redis_url(url).place


def parse_redis_url(url: str) -> ServerUrl:
    """Read a Redis URL; raise ValueError with the cure, and nothing of what stands in it, if it is none."""
    try:
        parts = urlsplit(url)
    except ValueError:  # it says what is wrong with the host, and so shows a part of it
        raise ValueError("this Redis URL cannot be read (write redis://host:6379/0)") from None
    scheme, _, deployment = parts.scheme.replace("valkey", "redis").partition("+")
    if scheme not in ("redis", "rediss", "unix") or deployment not in ("", "sentinel", "cluster"):
        raise ValueError("this is not a Redis URL (write redis://host:6379/0)")
    options = _options(parts, tls=scheme == "rediss", sentinel=deployment == "sentinel")
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    login = Login(
        unquote(user) or options.get("username", ""), unquote(password) or options.get("password", "")
    )
    tls = _tls(options) if scheme == "rediss" else None
    path = unquote(parts.path).strip("/")
    if scheme == "unix":
        if hosts or not path or deployment:
            raise ValueError("a socket is named by its whole path (write unix:///run/redis/redis.sock)")
        nodes: tuple[Node, ...] = (Node(socket=unquote(parts.path)),)
        return ServerUrl(Deployment.SINGLE, nodes, login, _db(options.get("db", "0")))
    if deployment == "sentinel":
        master, _, path = path.partition("/")
        if not master:
            raise ValueError("which master? (write redis+sentinel://host:26379/mymaster/0)")
        asked_as = Login(options.get("sentinel_username", ""), options.get("sentinel_password", ""))
        nodes, db = _nodes(hosts, SENTINEL_PORT), _db(options.get("db", path or "0"))
        return ServerUrl(Deployment.SENTINEL, nodes, login, db, tls, master, asked_as)
    nodes, db = _nodes(hosts, REDIS_PORT), _db(options.get("db", path or "0"))
    if deployment == "cluster":
        if db:
            raise ValueError("a cluster has no database but 0 (leave it out)")
        return ServerUrl(Deployment.CLUSTER, nodes, login, 0, tls)
    if len(nodes) > 1:
        raise ValueError("a URL of several hosts is redis+sentinel:// or redis+cluster:// (say which)")
    return ServerUrl(Deployment.SINGLE, nodes, login, db, tls)


def _options(parts: SplitResult, *, tls: bool, sentinel: bool) -> Mapping[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in options:
        if name in TLS_OPTIONS and not tls:
            raise ValueError(f"{name} needs TLS (write rediss:// or take it out)")
        if name.startswith("sentinel_") and name in OPTIONS and not sentinel:
            raise ValueError(f"{name} is for redis+sentinel:// (take it out)")
        if name not in (*OPTIONS, *TLS_OPTIONS, *NOT_OURS):
            known = ", ".join((*OPTIONS, *TLS_OPTIONS))
            raise ValueError(f"a Redis URL has an option that is not known (known: {known})")
    return options


def _tls(options: Mapping[str, str]) -> Tls:
    checks = options.get("ssl_check_hostname", "true").lower() not in ("false", "no", "off", "0", "f", "n")
    reqs = options.get("ssl_cert_reqs", "required").lower()
    if reqs not in ("none", "optional", "required"):
        raise ValueError("ssl_cert_reqs is required, optional or none")
    return Tls(
        ca=options.get("ssl_ca_certs"),
        ca_folder=options.get("ssl_ca_path"),
        certificate=options.get("ssl_certfile"),
        key=options.get("ssl_keyfile"),
        key_password=options.get("ssl_password"),
        check_hostname=checks and reqs == "required",
        verify=reqs != "none",
    )


def _db(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("the database of a Redis URL is a number (write redis://host:6379/0)")
    return int(text)


def _nodes(hosts: str, port: int) -> tuple[Node, ...]:
    return tuple(_node(host, port) for host in hosts.split(","))


def _node(text: str, default: int) -> Node:
    try:
        parts = urlsplit(f"//{text}")
        port = parts.port or default
    except ValueError:
        what = "host and port of this Redis URL cannot be read"
        cure = "write host:6379, and %40 %3A %2F for @ : / in a password"
        raise ValueError(f"{what} ({cure})") from None
    return Node(unquote(parts.hostname or "localhost"), port)
