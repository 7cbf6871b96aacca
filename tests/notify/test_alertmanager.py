"""Debian's Alertmanager: asked what it calls our alerts, and told of them by the `alertmanager` receiver."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_httpserver import HTTPServer

from tests.drawn import minutes
from tests.notify.test_payloads import ALERT, ENDED, LINK, notice, notification, receiver, send
from watchdog.clock import utc_now
from watchdog.demo.server import free_port, tethered
from watchdog.errors import NotifyError
from watchdog.model import Labels
from watchdog.notifications import Reason
from watchdog.notifiers.alertmanager import PATH, endpoint, posted
from watchdog.notifiers.webhook import payload

NOBODY = "http://127.0.0.1:1"


@contextmanager
def running(folder: Path, config: str, prefix: str = "") -> Iterator[str]:
    """Run a real Alertmanager and give its address."""
    program = shutil.which("prometheus-alertmanager")
    assert program, "Alertmanager is needed (apt-get install prometheus-alertmanager)"
    (folder / "am.yml").write_text(config)
    port = free_port()
    command = [
        program,
        f"--config.file={folder / 'am.yml'}",
        f"--storage.path={folder}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--web.route-prefix=/{prefix}",
        "--cluster.listen-address=",
    ]
    with subprocess.Popen(tethered(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}/{prefix}".rstrip("/")
        deadline = time.monotonic() + 20
        try:
            while not _ready(url):
                assert time.monotonic() < deadline, "Alertmanager did not become ready"
                time.sleep(0.05)
            yield url
        finally:  # a test that fails must not wait for it
            process.terminate()


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Alertmanager's address, below a path prefix; each test has alerts of its own."""
    quiet = "route: {receiver: none}\nreceivers: [{name: none}]\n"
    with running(tmp_path_factory.mktemp("alertmanager"), quiet, prefix="am") as url:
        yield url


def known(url: str, **labels: str) -> list[dict[str, Any]]:
    """Return the alerts with *labels* that Alertmanager at *url* takes for firing."""
    matchers = [f'{name}="{value}"' for name, value in labels.items()]
    alerts: list[dict[str, Any]] = httpx.get(f"{url}{PATH}", params={"filter": matchers}).json()
    return alerts


def moment(text: str) -> datetime:
    """Return a time as Alertmanager writes it."""
    return datetime.fromisoformat(text)


def test_our_fingerprints_are_alertmanagers(alertmanager: str) -> None:
    """The same labels have the same 16 digits in both, whatever is in them."""
    label_sets = [
        Labels(ALERT.labels, test="prints"),
        Labels(alertname="A", test="prints"),
        Labels(alertname="Ω", service="größe", severity="warning", path="/var/log/a b.log", test="prints"),
        Labels(alertname="A", key='quote"back\\slash', service="s", test="prints"),
    ]
    alerts = [{"labels": dict(labels)} for labels in label_sets]
    assert httpx.post(f"{alertmanager}{PATH}", json=alerts).status_code == 200
    theirs = {
        tuple(sorted(a["labels"].items())): a["fingerprint"] for a in known(alertmanager, test="prints")
    }
    assert theirs == {tuple(sorted(labels.items())): labels.fingerprint for labels in label_sets}


async def test_an_alert_arrives_goes_on_and_ends(alertmanager: str) -> None:
    """Each sending moves the moment at which it would be forgotten; the end takes it away at once."""
    now = utc_now()
    alert = replace(ALERT, labels=Labels(ALERT.labels, test="life"), active_since=now, fired_at=now)
    notifier = receiver("alertmanager", url=alertmanager)
    await send(notifier, notification(alert), now=now)
    (first,) = known(alertmanager, test="life")
    (wanted,) = payload(notification(notice(alert, None)), LINK)["alerts"]
    assert (first["annotations"], first["fingerprint"]) == (wanted["annotations"], wanted["fingerprint"])
    assert first["generatorURL"] == wanted["generatorURL"]
    assert abs(moment(first["startsAt"]) - now) < timedelta(milliseconds=1)
    assert abs(moment(first["endsAt"]) - now - minutes(4)) < timedelta(milliseconds=1)

    await send(notifier, notification(notice(alert, Reason.REPEAT)), now=now + minutes(1))
    (again,) = known(alertmanager, test="life")
    assert moment(again["endsAt"]) - moment(first["endsAt"]) == minutes(1)
    assert again["startsAt"] == first["startsAt"]

    ended = replace(ENDED, labels=alert.labels, active_since=now, fired_at=now, resolved_at=utc_now())
    await send(notifier, notification(ended))
    assert known(alertmanager, test="life") == []


async def test_of_two_outages_the_latter_goes_on(alertmanager: str) -> None:
    """What waited tells the end of the first one as well."""
    now = utc_now()
    labels = Labels(ALERT.labels, test="twice")
    old = replace(ENDED, labels=labels, active_since=now - minutes(9), fired_at=now - minutes(9))
    old = replace(old, resolved_at=now - minutes(5))
    new = replace(ALERT, labels=labels, active_since=now - minutes(1), fired_at=now - minutes(1))
    message = notification(new, notice(old, unannounced=True), merged=2)
    await send(receiver("alertmanager", url=alertmanager), message, now=now)
    (alert,) = known(alertmanager, test="twice")
    assert abs(moment(alert["startsAt"]) - now + minutes(1)) < timedelta(milliseconds=1)


async def test_a_receiver_behind_alertmanager_hears_beginning_and_end(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    """The whole way: our receiver, Alertmanager's routes, its own webhook."""
    httpserver.expect_request("/").respond_with_data("")
    config = (
        "route: {receiver: hook, group_wait: 0s, group_interval: 100ms, repeat_interval: 1h}\n"
        f"receivers: [{{name: hook, webhook_configs: [{{url: '{httpserver.url_for('/')}'}}]}}]\n"
    )
    now = utc_now()
    alert = replace(ALERT, active_since=now, fired_at=now)
    with running(tmp_path, config) as url:
        notifier = receiver("alertmanager", url=url)
        with httpserver.wait(timeout=20) as waiting:
            httpserver.expect_oneshot_request("/").respond_with_data("")
            await send(notifier, notification(alert), now=now)
        assert waiting.result
        with httpserver.wait(timeout=20) as waiting:
            httpserver.expect_oneshot_request("/").respond_with_data("")
            ended = replace(ENDED, active_since=now, fired_at=now, resolved_at=utc_now())
            await send(notifier, notification(ended))
        assert waiting.result
    told = [json.loads(request.data) for request, _ in httpserver.log]
    assert [message["status"] for message in told] == ["firing", "resolved"]
    assert {message["alerts"][0]["annotations"]["summary"] for message in told} == {ALERT.summary}


# ---- several peers -----------------------------------------------------------------------------


async def test_one_peer_is_enough(
    alertmanager: str, httpserver: HTTPServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """One is down, one refuses, one takes it: it is taken, each was asked, and the failures are logged."""
    httpserver.expect_request(PATH).respond_with_data("", status=503)
    now = utc_now()
    alert = replace(ALERT, labels=Labels(ALERT.labels, test="peers"), active_since=now, fired_at=now)
    peers = [NOBODY, httpserver.url_for("/"), alertmanager]
    message = notification(alert)
    await send(receiver("alertmanager", url=peers, headers={"Authorization": "Bearer abc"}), message, now=now)
    assert len(known(alertmanager, test="peers")) == 1
    request = httpserver.log[0][0]
    assert request.get_json() == posted(message, LINK, now, minutes(1))
    assert (request.headers["Authorization"], request.headers["Content-Type"]) == (
        "Bearer abc",
        "application/json",
    )
    out = capfd.readouterr().out
    assert "partly_taken" in out
    assert NOBODY not in out


@pytest.mark.parametrize(
    ("statuses", "said", "permanent", "wait"),
    [
        ([404, 400], "answered 404; answered 400", True, None),
        ([404, 503], "answered 404; answered 503", False, 20.0),
        ([429, 503], "answered 429; answered 503", False, 10.0),
    ],
    ids=["both for good", "one may take it later", "both are busy"],
)
async def test_when_no_peer_takes_it_the_most_hopeful_counts(
    httpserver: HTTPServer, statuses: list[int], said: str, permanent: bool, wait: float | None
) -> None:
    """It is permanent only if it is for all of them."""
    patience: dict[int, dict[str, str]] = {
        404: {},
        400: {},
        429: {"Retry-After": "10"},
        503: {"Retry-After": "20"},
    }
    for peer, status in enumerate(statuses):
        request = httpserver.expect_request(f"/{peer}{PATH}")
        request.respond_with_data("", status=status, headers=patience[status])
    peers = [httpserver.url_for(f"/{peer}/") for peer in range(len(statuses))]
    with pytest.raises(NotifyError) as caught:
        await send(receiver("alertmanager", url=peers), notification(ALERT))
    assert (str(caught.value), caught.value.permanent, caught.value.retry_after) == (said, permanent, wait)


async def test_what_is_no_state_is_not_posted() -> None:
    """A report is taken without a word, whoever is down."""
    report = replace(notice(ENDED), reason=Reason.REPORT)
    assert await send(receiver("alertmanager", url=NOBODY), notification(report)) is None


ADDRESSES = {
    "http://am:9093": "http://am:9093/api/v2/alerts",
    "http://am:9093/": "http://am:9093/api/v2/alerts",
    "https://ops.example/am/": "https://ops.example/am/api/v2/alerts",
    "https://ops.example/am?tenant=a": "https://ops.example/am/api/v2/alerts?tenant=a",
}


@pytest.mark.parametrize(("url", "target"), ADDRESSES.items())
def test_a_path_prefix_is_kept(url: str, target: str) -> None:
    """Behind a proxy Alertmanager does not live at the root."""
    assert endpoint(url) == target
