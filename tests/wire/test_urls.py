"""What a Redis URL says, what is wrong with one, and what is never shown of it."""

from __future__ import annotations

import pytest

from tests.drawn import ids, rows
from watchdog.redisurl import Login, Tls, parse_redis_url

PLACES = """
  URL                                                        | place                                | db
  redis://                                                   | localhost:6379                       | 0
  redis://host                                               | host:6379                            | 0
  redis://ann:secret@host:7000/3                             | host:7000                            | 3
  redis://:secret@host?db=3                                  | host:6379                            | 3
  valkey://host                                              | host:6379                            | 0
  rediss://:secret@host/3                                    | host:6379                            | 3
  redis://:se%40cret@[::1]:7000                              | [::1]:7000                           | 0
  redis://host?decode_responses=true&protocol=3&timeout=2    | host:6379                            | 0
  unix:///run/redis.sock?password=secret&db=1                | /run/redis.sock                      | 1
  unix://ann:secret@/run/redis%20one.sock                    | /run/redis one.sock                  | 0
  redis+sentinel://:secret@h1,h2:7000/mymaster/2             | mymaster of Sentinel h1:26379,h2:7000 | 2
  redis+sentinel://h1/mymaster?sentinel_password=secret      | mymaster of Sentinel h1:26379        | 0
  rediss+cluster://:secret@h1,h2:7001                        | h1:6379,h2:7001                      | 0
"""


@pytest.mark.parametrize(("url", "place", "db"), rows(PLACES), ids=ids(PLACES))
def test_places(url: str, place: str, db: str) -> None:
    """Hosts and ports with their defaults; neither user nor password, not even in the `repr`."""
    found = parse_redis_url(url)
    assert (found.place, str(found.db)) == (place, db)
    assert "cret" not in found.place + repr(found)


WRONG = """
  URL                                          | what is wrong
  http://:secret@host                          | this is not a Redis URL
  redis+magic://:secret@host                   | this is not a Redis URL
  redis://:secret@host:port/0                  | host and port of this Redis URL cannot be read
  redis://:sec/ret@host:6379/0                 | host and port of this Redis URL cannot be read
  redis://:secret@[::1/0                       | this Redis URL cannot be read
  redis://:secret@host/secret                  | the database of a Redis URL is a number
  redis://:secret@h1,h2/0                      | a URL of several hosts is redis+sentinel:// or redis+cluster://
  redis://:secret@host?ssl_ca_certs=secret     | ssl_ca_certs needs TLS
  redis://:secret@host?sentinel_password=secret | sentinel_password is for redis+sentinel://
  redis://:secret@host?tmieout=secret          | a Redis URL has an option that is not known
  rediss://:secret@host?ssl_cert_reqs=secret   | ssl_cert_reqs is required, optional or none
  unix://run/redis.sock                        | a socket is named by its whole path
  unix://:secret@                              | a socket is named by its whole path
  redis+sentinel://:secret@host                | which master?
  redis+cluster://:secret@host/1               | a cluster has no database but 0
"""


@pytest.mark.parametrize(("url", "what"), rows(WRONG), ids=ids(WRONG))
def test_what_is_wrong(url: str, what: str) -> None:
    """One sentence with the cure; nothing of the URL itself is in it."""
    with pytest.raises(ValueError, match="^" + what.replace("?", r"\?").replace("+", r"\+")) as told:
        parse_redis_url(url)
    assert "ret@" not in str(told.value)
    assert "secret" not in str(told.value).removeprefix("sentinel_password")
    assert str(told.value).endswith(")") or " is " in str(told.value)
    assert told.value.__cause__ is None


def test_logins() -> None:
    """User and password are percent-decoded; those behind `?` do as well; Sentinel has a login of its own."""
    one = parse_redis_url("redis://a%40b:p%3Aq%2Fr@host")
    two = parse_redis_url("unix:///s.sock?username=ann&password=p%20q")
    three = parse_redis_url("redis+sentinel://:redis@h/m?sentinel_username=sen&sentinel_password=tinel")
    assert one.login == Login("a@b", "p:q/r")
    assert two.login == Login("ann", "p q")
    assert (three.login, three.sentinel_login) == (Login("", "redis"), Login("sen", "tinel"))
    assert [bool(one.login), bool(one.sentinel_login)] == [True, False]


def test_tls() -> None:
    """Options have redis-py's names; without any the server must have a name and a CA that is known."""
    files = "ssl_ca_certs=/ca&ssl_certfile=/crt&ssl_keyfile=/key&ssl_password=x&ssl_check_hostname=False"
    assert parse_redis_url("redis://h").tls is None
    assert parse_redis_url("rediss://h").tls == Tls()
    assert parse_redis_url(f"rediss+cluster://h?{files}").tls == Tls(
        "/ca", None, "/crt", "/key", "x", False, True
    )
    assert parse_redis_url("rediss://h?ssl_cert_reqs=none").tls == Tls(check_hostname=False, verify=False)
