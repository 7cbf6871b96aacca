"""Debian's Alertmanager, asked what it calls our alerts."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.notify.test_payloads import ALERT, LINK, notification
from watchdog.demo.server import free_port, tethered
from watchdog.model import Labels
from watchdog.notifiers.webhook import payload


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    """A real Alertmanager's address."""
    program = shutil.which("prometheus-alertmanager")
    assert program, "Alertmanager is needed (apt-get install prometheus-alertmanager)"
    (tmp_path / "am.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    port = free_port()
    command = [
        program,
        f"--config.file={tmp_path / 'am.yml'}",
        f"--storage.path={tmp_path}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with subprocess.Popen(tethered(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 20
        while not _ready(url):
            assert time.monotonic() < deadline, "Alertmanager did not become ready"
            time.sleep(0.05)
        yield url
        process.terminate()


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_our_fingerprints_are_alertmanagers(alertmanager: str) -> None:
    """The same labels have the same 16 digits in both, whatever is in them."""
    label_sets = [
        ALERT.labels,
        Labels(alertname="A"),
        Labels(alertname="Ω", service="größe", severity="warning", path="/var/log/a b.log"),
        Labels(alertname="A", key='quote"back\\slash', service="s"),
    ]
    alerts = [{"labels": dict(labels)} for labels in label_sets]
    assert httpx.post(f"{alertmanager}/api/v2/alerts", json=alerts).status_code == 200
    known: list[dict[str, Any]] = httpx.get(f"{alertmanager}/api/v2/alerts").json()
    theirs = {tuple(sorted(alert["labels"].items())): alert["fingerprint"] for alert in known}
    assert theirs == {tuple(sorted(labels.items())): labels.fingerprint for labels in label_sets}


def test_alertmanager_takes_the_alerts_of_our_payload(alertmanager: str) -> None:
    """Labels, annotations and times are of the shape it accepts."""
    (alert,) = payload(notification(ALERT), LINK)["alerts"]
    posted = {name: alert[name] for name in ("labels", "annotations", "generatorURL", "startsAt")}
    assert httpx.post(f"{alertmanager}/api/v2/alerts", json=[posted]).text == ""
    (known,) = httpx.get(f"{alertmanager}/api/v2/alerts").json()
    assert (known["annotations"], known["fingerprint"]) == (alert["annotations"], alert["fingerprint"])
