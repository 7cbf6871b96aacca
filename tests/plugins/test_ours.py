"""Our own signals and receivers keep to the contract that is demanded of others; breaches of it are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from watchdog.conditions import KNOWN
from watchdog.model import Reading
from watchdog.notifiers import NOTIFIERS
from watchdog.notifiers.webhook import Webhook
from watchdog.plugin.contract import check_notifier, check_posting, check_sending, check_signal
from watchdog.schema import IMPLICIT
from watchdog.signals import SIGNALS
from watchdog.signals.flag import Flag
from watchdog.signals.heartbeat import Heartbeat

EXAMPLES: Mapping[str, list[dict[str, Any]]] = {
    "heartbeat": [{"key": "beat"}, {"hash": "beats", "field": "one"}, {"stream": "beats"}],
    "stream": [{"key": "orders"}, {"key": "orders", "expect_every": "1m", "timestamp": "ts"}],
    "consumes": [{"stream": "orders", "group": "workers"}, {"stream": "o", "group": "w", "single": True}],
    "executions": [{"stream": "results", "success": {"status": "filled"}, "input": "orders"}],
    "trace": [{"stages": {"asked": "orders", "done": "results"}, "at_most": "1m"}],
    "log": [{"path": "/no/such/file.log", "patterns": {"late": "late"}, "expect_every": "1m"}],
    "unit": [{"name": "no-such-unit.service"}],
    "health": [{"url": "http://127.0.0.1:9/health", "expect": {"ok": True}, "numbers": ["age"]}],
    "command": [{"run": ["/bin/echo", "fine"]}],
    "settings": [{"file": "/no/such.env", "require": {"MODE": "paper"}}],
    "flag": [{"key": "halt"}],
}
RECEIVERS: Mapping[str, dict[str, Any]] = {
    "webhook": {"url": "http://127.0.0.1:9/", "secret": "a-secret-word"},
    "slack": {"url": "http://127.0.0.1:9/"},
    "alertmanager": {"url": "http://127.0.0.1:9/"},
    "pagerduty": {"routing_key": "0123456789abcdef"},
    "email": {"to": "ops@example.com", "from": "w@example.com", "smtp": "mail.example.com:587"},
    "apprise": {"url": "json://127.0.0.1:9/"},
}
POSTING = ("webhook", "slack", "alertmanager")


def test_each_of_ours_has_an_example() -> None:
    """None is left out."""
    assert set(EXAMPLES) == set(SIGNALS) - set(IMPLICIT)
    assert set(RECEIVERS) == set(NOTIFIERS)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_our_signals_keep_to_the_contract(kind: str) -> None:
    """Without answers, refused and, where they read this machine, as it is."""
    check_signal(kind, SIGNALS[kind], *EXAMPLES[kind])


@pytest.mark.parametrize("name", RECEIVERS)
def test_our_receivers_keep_to_the_contract(name: str) -> None:
    """Their keys are refused when misspelt, and what is secret in them is not shown."""
    check_notifier(name, NOTIFIERS[name], RECEIVERS[name])


@pytest.mark.parametrize("name", POSTING)
def test_our_receivers_take_answers_for_what_they_mean(name: str) -> None:
    """2xx is taken, 4xx for good, the rest to be tried again."""
    keys = {**RECEIVERS[name], "timeout": "200ms"}
    check_posting(name, lambda url: NOTIFIERS[name].model_validate({**keys, "url": url}))


def test_whoever_is_known_to_the_contract_is_known_to_rules() -> None:
    """The measure that no signal may define is the one that all have."""
    assert KNOWN == "known"


class Forgets(Flag):
    """Its memory cannot be kept."""

    def memory(self) -> Mapping[str, Any]:
        return {"since": self.keep}


class Writes(Flag):
    """Changes what it watches."""

    def _questions(self, key: str) -> list[Any]:
        return [("GETDEL", key), ("PTTL", key)]


class Stumbles(Flag):
    """Takes no answer for an answer."""

    def look(self, now: Any) -> Any:
        (reply,) = yield [("GET", "a")]
        return Reading(self.key, now, {"set": float(len(reply))})


class Pretends(Stumbles):
    """Takes a refusal for all is well."""

    def look(self, now: Any) -> Any:
        yield [("GET", "a")]
        return Reading(self.key, now, {"set": 0.0})


class Invents(Stumbles):
    """Tells what it does not offer."""

    def look(self, now: Any) -> Any:
        yield [("GET", "a")]
        return Reading(self.key, now, {"set": None, "colour": 1.0})


class Guesses(Stumbles):
    """Has no unknown, only something that is no number."""

    def look(self, now: Any) -> Any:
        yield [("GET", "a")]
        return Reading(self.key, now, {"set": None, "age": float("nan")})


BREACHES = {
    Forgets: "cannot be kept as JSON",
    Writes: "it asks GETDEL, which is not known only to read",
    Stumbles: "it fails with TypeError",
    Pretends: "it says that all is known where Redis refused it",
    Invents: "it tells colour, which is not in MEASURES",
    Guesses: "age is nan, which is no number",
}


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: breach.__name__)
def test_a_breach_of_the_contract_is_told(breach: type[Flag]) -> None:
    """In one sentence that names the signal."""
    with pytest.raises(AssertionError, match=f"^halt: .*{BREACHES[breach]}"):
        check_signal("halt", breach, {"key": "a"}, answers=lambda _: None)


class Loses(Webhook):
    """Takes every answer for a yes."""

    async def send(self, notification: Any, sending: Any) -> None:
        await self.ask(self.url.get_secret_value(), sending, b"{}")


class Blabs(Loses):
    """Shows its password."""

    password: str


def test_a_receiver_that_loses_messages_is_told() -> None:
    """So is one that answers sending with something else than a thread, or shows a secret."""
    with pytest.raises(AssertionError, match="500 Internal Server Error is taken for success"):
        check_posting("loser", lambda url: Loses.model_validate({"url": url, "timeout": "200ms"}))
    with pytest.raises(AssertionError, match="its key password has no description"):
        check_notifier("blabber", Blabs, {"url": "http://127.0.0.1:9/", "password": "x"})


def test_a_heartbeat_that_answers_is_read() -> None:
    """What a test's Redis answers comes out as a reading, and a signal's memory is taken up again."""
    replies = {"GET": b"1771466100", "PTTL": 1000, "TTL": 1, "TYPE": b"string"}
    check_signal("heartbeat", Heartbeat, {"key": "beat"}, answers=lambda c: replies.get(str(c[0])))


def test_sending_is_tried() -> None:
    """One message is taken by a receiver that takes it."""
    taken: list[str] = []

    class Notes(Webhook):
        """Keeps what it is told."""

        async def send(self, notification: Any, sending: Any) -> None:
            taken.append(notification.receiver)

    check_sending("notes", Notes.model_validate({"url": "http://127.0.0.1:9/"}))
    assert taken == ["tested"]
