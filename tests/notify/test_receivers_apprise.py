"""Apprise: the real library, which posts to a local server."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import replace

import pytest
from pydantic import ValidationError
from pytest_httpserver import HTTPServer

from tests.drawn import T0
from tests.notify.test_payloads import ALERT, ENDED, LINE, LINK, STALE, notification, receiver, send
from watchdog.alerts import Alert
from watchdog.errors import NotifyError
from watchdog.notifiers.apprise import quiet, wording
from watchdog.notifiers.text import text


def at(httpserver: HTTPServer, path: str = "/") -> str:
    """Return the Apprise URL of a local server that takes JSON."""
    return httpserver.url_for(path).replace("http://", "json://")


async def test_a_text_arrives_with_its_title(httpserver: HTTPServer) -> None:
    """Whatever Apprise makes of it, it is given one line and the whole."""
    httpserver.expect_request("/").respond_with_data("")
    assert await send(receiver("apprise", url=at(httpserver)), notification(ALERT)) is None
    posted = json.loads(httpserver.log[0][0].data)
    assert (posted["title"], posted["message"].rstrip(), posted["type"]) == (
        LINE,
        text(notification(ALERT), LINK, T0).rstrip(),
        "failure",
    )


@pytest.mark.parametrize(
    ("alert", "type_"),
    [(ALERT, "failure"), (STALE, "warning"), (ENDED, "success")],
    ids=["critical", "warning", "resolved"],
)
def test_the_type_is_that_of_the_worst(alert: Alert, type_: str) -> None:
    """Many services colour it."""
    assert wording(notification(alert), LINK, T0)["notify_type"] == type_


async def test_one_of_several_addresses_is_enough(
    httpserver: HTTPServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """The others would be told twice; that one failed is logged."""
    httpserver.expect_request("/good").respond_with_data("")
    httpserver.expect_request("/bad").respond_with_data("", status=500)
    await send(
        receiver("apprise", url=[at(httpserver, "/good"), at(httpserver, "/bad")]), notification(ALERT)
    )
    assert sorted(request.path for request, _ in httpserver.log) == ["/bad", "/good"]
    assert "partly_taken" in capfd.readouterr().out


async def test_what_nobody_took_is_tried_again(httpserver: HTTPServer) -> None:
    """Apprise does not say whether it could ever succeed."""
    httpserver.expect_request("/").respond_with_data("", status=500)
    with pytest.raises(NotifyError) as caught:
        await send(receiver("apprise", url=at(httpserver)), notification(ALERT))
    assert (str(caught.value), caught.value.permanent) == (
        "was not taken (`apprise -vv URL` tells why)",
        False,
    )


@pytest.mark.parametrize(
    "url", ["slakc://verysecret/a/b", "slack://verysecret", "https://x.example/verysecret"]
)
def test_a_url_that_apprise_cannot_use_is_an_error_without_it(
    url: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the error nor what Apprise logs shows it."""
    with caplog.at_level(logging.DEBUG), pytest.raises(ValidationError) as caught:
        receiver("apprise", url=url)
    assert [error["msg"] for error in caught.value.errors()] == [
        "Value error, Apprise cannot use this URL (see which it understands with `apprise --details`)"
    ]
    assert "verysecret" not in str(caught.value) + caplog.text + "".join(capfd.readouterr())


def test_without_the_extra_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apprise is only needed by those who use it."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(
        ValidationError, match=r"Apprise is not installed \(pip install 'pipeline-watchdog\[apprise\]'\)"
    ):
        receiver("apprise", url="json://127.0.0.1/")


def test_nobody_is_called_by_what_stands_in_a_log() -> None:
    """Chats take some words for calls; an invisible sign within is all that changes."""
    said = "@everyone @Here <@123> <!channel> mail a@b.example @ 5 <x"
    assert quiet(said) == "@\u2060everyone @\u2060Here <\u2060@123> <\u2060!channel> mail a@b.example @ 5 <x"
    nasty = replace(ALERT, summary="@everyone look")
    body = wording(notification(nasty), LINK, T0)["body"]
    assert "@everyone" not in body
