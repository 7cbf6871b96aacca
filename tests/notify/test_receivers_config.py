"""Receivers of every kind in a rules file: what is asked of them, and that no secret is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from watchdog.config import parse
from watchdog.errors import ConfigError
from watchdog.notifiers import NOTIFIERS
from watchdog.notifiers.base import OUR_HEADERS
from watchdog.routing import Habit

HOOK = "https://user:verysecret@hook.example/verysecret"
MAIL = {"to": "ana@example.com", "from": "Watchdog <dog@example.com>", "smtp": "mail.example.com:587"}
KINDS = {
    "webhook": {"webhook": {"url": HOOK, "secret": "verysecret", "headers": {"Authorization": "verysecret"}}},
    "slack webhook": {"slack": {"url": HOOK}},
    "slack bot": {"slack": {"token": "verysecret", "channel": "#ops"}},
    "alertmanager": {"alertmanager": {"url": HOOK, "headers": {"Authorization": "Basic verysecret"}}},
    "alertmanagers": {"alertmanager": {"url": [HOOK, "http://am:9093/prefix/"], "resend": "30s"}},
    "pagerduty": {"pagerduty": {"routing_key": "verysecret"}},
    "email": {"email": {**MAIL, "username": "ana", "password": "verysecret"}},
    "email here": {"email": {**MAIL, "to": ["ana@example.com", "b@c"], "smtp": "[::1]:25", "tls": "none"}},
    "apprise": {"apprise": {"url": ["json://user:verysecret@127.0.0.1/", "jsons://x.example/verysecret"]}},
}


def rules(receiver: object) -> str:
    """Return a rules file with one receiver."""
    file = {"services": {"s": {"heartbeat": {"key": "k"}}}, "receivers": {"r": receiver}}
    return yaml.safe_dump(file, sort_keys=False)


def problems(receiver: object) -> list[str]:
    """Return what is wrong with *receiver*, without its place in the file."""
    with pytest.raises(ConfigError) as caught:
        parse(rules(receiver))
    return [f"{problem.place}: {problem.what} ({problem.cure})" for problem in caught.value.problems]


@pytest.mark.parametrize("receiver", KINDS.values(), ids=KINDS)
def test_every_kind_is_loaded_and_keeps_its_secrets(receiver: dict[str, object]) -> None:
    """Nothing that is printed of the configuration holds one."""
    config = parse(rules(receiver))
    assert "verysecret" not in repr(config) + str(config.receivers["r"]) + repr(
        config.receivers["r"].model_dump()
    )
    assert isinstance(config.receivers["r"], NOTIFIERS[next(iter(receiver))])


@pytest.mark.parametrize("kind", ["webhook", "slack", "pagerduty", "email", "apprise"])
def test_only_alertmanager_forgets(kind: str) -> None:
    """All others are told once, and reminded at the pace of their route."""
    receiver = next(value for name, value in KINDS.items() if name.startswith(kind))
    assert parse(rules(receiver)).receivers["r"].habit.resend is None


def test_how_often_an_alertmanager_is_told_is_said_in_the_file() -> None:
    """A minute unless told otherwise."""
    habits = [parse(rules(KINDS[name])).receivers["r"].habit for name in ("alertmanager", "alertmanagers")]
    assert [habit.resend and habit.resend.total_seconds() for habit in habits] == [60, 30]
    assert all(habit == Habit(resend=habit.resend) for habit in habits)


URL = "the URL is empty, so nobody would ever hear (give the receiver's http(s) URL)"
SECRET = "this secret is empty (give the text itself or {file: path})"
LIST = "the list is empty, so nobody would ever hear (give at least one)"
ADDRESS = "this is not a mail address (write name@example.com, or Name <name@example.com>)"
EMPTY = {
    "webhook.url": ({"webhook": {"url": ""}}, URL),
    "webhook.url is missing": ({"webhook": {}}, '"url" is missing (add url: …)'),
    "webhook.secret": ({"webhook": {"url": HOOK, "secret": " "}}, SECRET),
    "webhook.headers.Authorization": ({"webhook": {"url": HOOK, "headers": {"Authorization": ""}}}, SECRET),
    "slack.url": ({"slack": {"url": ""}}, URL),
    "slack.token": ({"slack": {"token": "", "channel": "C1"}}, SECRET),
    "slack.channel": ({"slack": {"token": "t", "channel": ""}}, "is empty (fill it in or remove it)"),
    "alertmanager.url": ({"alertmanager": {"url": ""}}, URL),
    "alertmanager.url, one of two": ({"alertmanager": {"url": [HOOK, ""]}}, URL),
    "alertmanager.url, none": ({"alertmanager": {"url": []}}, LIST),
    "pagerduty.routing_key": ({"pagerduty": {"routing_key": ""}}, SECRET),
    "pagerduty.url": ({"pagerduty": {"routing_key": "k", "url": ""}}, URL),
    "email.to": ({"email": {**MAIL, "to": ""}}, ADDRESS),
    "email.to, none": ({"email": {**MAIL, "to": []}}, LIST),
    "email.from": ({"email": {**MAIL, "from": ""}}, ADDRESS),
    "email.password": ({"email": {**MAIL, "username": "ana", "password": ""}}, SECRET),
    "apprise.url": ({"apprise": {"url": ""}}, SECRET),
    "apprise.url, none": ({"apprise": {"url": []}}, LIST),
}


@pytest.mark.parametrize(("receiver", "said"), EMPTY.values(), ids=EMPTY)
def test_a_receiver_that_nobody_could_hear_through_is_an_error(
    receiver: dict[str, object], said: str
) -> None:
    """An empty key is one that was forgotten: exactly one problem, with its cure."""
    (problem,) = problems(receiver)
    assert problem.split(": ", 2)[-1].removeprefix("slack: ") == said


WRONG = {
    "both ways to slack": (
        {"slack": {"url": HOOK, "token": "verysecret", "channel": "C1"}},
        'receiver "r": slack: has both a url and a token or channel (keep the url, or the other two)',
    ),
    "a bot without a channel": (
        {"slack": {"token": "verysecret"}},
        'receiver "r": slack: nobody would ever hear (give a webhook\'s url, or a token and a channel)',
    ),
    "no way to slack": (
        {"slack": {}},
        'receiver "r": slack: nobody would ever hear (give a webhook\'s url, or a token and a channel)',
    ),
    "mail in the clear": (
        {"email": {**MAIL, "tls": "none"}},
        'receiver "r": email: without TLS the mail could be read on its way (set tls: starttls or implicit)',
    ),
    "half a login": (
        {"email": {**MAIL, "password": "verysecret"}},
        'receiver "r": email: a login needs a username and a password (give both or neither)',
    ),
    "a login nobody can send": (
        {"email": {**MAIL, "username": "ana", "password": "verysecret-é"}},
        'receiver "r": email: the login has signs beyond ASCII, which cannot be sent (choose another)',
    ),
    "certificates that are not there": (
        {"email": {**MAIL, "ca_file": "/no/such"}},
        'receiver "r": email: the ca_file cannot be used: No such file or directory ()',
    ),
    "certificates for nothing": (
        {"email": {**MAIL, "smtp": "localhost:25", "tls": "none", "ca_file": "/no/such"}},
        'receiver "r": email: ca_file is of no use without TLS (remove it)',
    ),
    "no port": (
        {"email": {**MAIL, "smtp": "mail.example.com"}},
        'receiver "r": email.smtp: "mail.example.com" is not host:port (write 127.0.0.1:9821)',
    ),
    "a header of ours": (
        {"webhook": {"url": HOOK, "headers": {"idempotency-key": "verysecret"}}},
        'receiver "r": webhook.headers: the header idempotency-key is the watchdog\'s own (remove it)',
    ),
    "a header in two lines": (
        {"webhook": {"url": HOOK, "headers": {"Authorization": "a\nX-Evil: verysecret"}}},
        'receiver "r": webhook.headers: the header Authorization cannot be sent (use one line of ASCII signs)',
    ),
    "a name of two lines": (
        {"alertmanager": {"url": HOOK, "headers": {"a\nb": "verysecret"}}},
        'receiver "r": alertmanager.headers: this is not a header\'s name (use letters, digits and -)',
    ),
    "apprise does not know it": (
        {"apprise": {"url": "slakc://verysecret/"}},
        'receiver "r": apprise.url: Apprise cannot use this URL (see which it understands with `apprise --details`)',
    ),
    "a typo": (
        {"pagerduty": {"routing_key": "verysecret", "ruoting_key": "verysecret"}},
        'receiver "r": pagerduty: unknown key "ruoting_key" (did you mean "routing_key"?)',
    ),
    "two notifiers": (
        {"slack": {"url": HOOK}, "pagerduty": {"routing_key": "verysecret"}},
        'receiver "r": a receiver has one notifier (one of alertmanager, apprise, email, pagerduty, slack, webhook)',
    ),
}


@pytest.mark.parametrize(("receiver", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_work_is_told_with_its_cure_and_without_its_secrets(
    receiver: dict[str, object], said: str
) -> None:
    """Each is one problem."""
    assert problems(receiver) == [said]
    assert "verysecret" not in said


@pytest.mark.parametrize(
    "url", ["ftp://verysecret", "verysecret", "http://", "http://[verysecret", "http://a:verysecret/"]
)
def test_a_url_that_is_none_is_not_shown(url: str) -> None:
    """It may be a secret in the wrong place."""
    assert problems({"webhook": {"url": url}}) == ['receiver "r": webhook.url: this is not an http(s) URL ()']


def test_secrets_are_read_from_files(tmp_path: Path) -> None:
    """Every secret may be one, also in lists and headers."""
    (tmp_path / "url").write_text(f"{HOOK}\n")
    (tmp_path / "empty").write_text("\n")
    url, empty = {"file": str(tmp_path / "url")}, {"file": str(tmp_path / "empty")}
    config = parse(rules({"alertmanager": {"url": [url, HOOK], "headers": {"Authorization": url}}}))
    dumped = config.receivers["r"].model_dump()
    assert [found.get_secret_value() for found in dumped["url"]] == [HOOK, HOOK]
    assert dumped["headers"]["Authorization"].get_secret_value() == HOOK
    assert problems({"alertmanager": {"url": empty}}) == [f'receiver "r": alertmanager.url: {URL[:-1]})']
    assert problems({"pagerduty": {"routing_key": empty}}) == [
        f'receiver "r": pagerduty.routing_key: {SECRET}'
    ]


def test_an_error_of_a_notifier_alone_shows_no_input() -> None:
    """Pydantic would, and a traceback holds what it says."""
    with pytest.raises(ValueError, match="not an http") as caught:
        NOTIFIERS["webhook"].model_validate({"url": "ftp://verysecret"})
    assert "verysecret" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(OUR_HEADERS))
def test_our_own_headers_are_ours(name: str) -> None:
    """In whatever case they are written."""
    (problem,) = problems({"webhook": {"url": HOOK, "headers": {name.title(): "x"}}})
    assert problem.endswith("is the watchdog's own (remove it)")
