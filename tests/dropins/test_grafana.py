"""The dashboard and its provisioning: as files, and on a real Prometheus that scrapes a real sidecar."""

from __future__ import annotations

import asyncio
import re
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from watchdog.demo.server import HOST, free_port, tethered
from watchdog.web.app import build_app
from watchdog.web.server import WebServer, bind

from .conftest import PROMETHEUS, ROOT, Bench, alerting_rules, dashboard, program, queries

PROVISIONING = ROOT / "grafana/provisioning"
ANSWERS_WITHIN = 25.0


def panels() -> list[Mapping[str, Any]]:
    """Return all panels but the headings of rows."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def test_the_dashboard_fits_any_grafana() -> None:
    """It asks the data source its user chose, under ids of its own, in a schema of Grafana 10 or later."""
    found = dashboard()
    ids = [panel["id"] for panel in found["panels"]]
    sources = {panel["datasource"]["uid"] for panel in panels()}
    assert found["schemaVersion"] >= 38
    assert found["uid"] == "pipeline-watchdog"
    assert len(ids) == len(set(ids))
    assert sources == {"${datasource}"}
    assert {var["name"] for var in found["templating"]["list"]} >= {"datasource", "service"}


def test_no_panel_knows_a_service() -> None:
    """Services come from the variables only."""
    for query in [t["expr"] for panel in panels() for t in panel["targets"]]:
        assert not re.search(r'service=~?"[^$]', query), query


def test_figures_have_units_and_panels_an_explanation() -> None:
    """A curve without a unit says nothing, a panel without a sentence not enough."""
    for panel in panels():
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["description"], panel["title"]
        assert panel["type"] != "timeseries" or defaults.get("unit"), panel["title"]


def test_panels_do_not_overlap() -> None:
    """Each square of the grid is taken once."""
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard()["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24, panel["title"]
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]


def test_nothing_known_is_never_green() -> None:
    """A tile whose query has no answer takes the colour of the lowest step: that may not be the good one."""
    for panel in panels():
        if panel["type"] == "stat" and panel["options"]["colorMode"] != "none":
            defaults = panel["fieldConfig"]["defaults"]
            assert defaults["thresholds"]["steps"][0]["color"] != "green", panel["title"]
            assert defaults["noValue"], panel["title"]


def test_provisioning() -> None:
    """Both files are of the version Grafana reads, and name one data source and one directory."""
    source = yaml.safe_load((PROVISIONING / "datasources/prometheus.yml").read_text(encoding="utf-8"))
    boards = yaml.safe_load((PROVISIONING / "dashboards/watchdog.yml").read_text(encoding="utf-8"))
    scraped = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    assert (source["apiVersion"], boards["apiVersion"]) == (1, 1)
    (prometheus,) = source["datasources"]
    assert (prometheus["type"], prometheus["url"]) == ("prometheus", "http://127.0.0.1:9090")
    assert prometheus["jsonData"]["timeInterval"] == scraped["global"]["scrape_interval"]
    (provider,) = boards["providers"]
    assert (provider["type"], provider["options"]["path"]) == ("file", "/var/lib/grafana/dashboards")


# ---- on a real Prometheus ----------------------------------------------------------------------


@pytest.fixture
async def sidecar_address(bench: Bench) -> AsyncIterator[str]:
    """Where the ticking sidecar serves its metrics."""
    listener = bind(HOST, 0)
    web = WebServer(build_app(bench.sidecar), listener)
    web.start()
    bench.sidecar.start()
    yield f"{HOST}:{listener.getsockname()[1]}"
    await web.stop()
    await bench.sidecar.stop()


@pytest.fixture
async def prometheus(sidecar_address: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a Prometheus with the configuration of the repository, quicker and pointed here."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(PROMETHEUS / "rules/*.yml")]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [sidecar_address]}]
    del config["alerting"]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    address = f"{HOST}:{free_port()}"
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            tethered(
                [
                    program("prometheus"),
                    f"--config.file={tmp_path / 'prometheus.yml'}",
                    f"--storage.tsdb.path={tmp_path / 'tsdb'}",
                    f"--web.listen-address={address}",
                ]
            ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}/api/v1", timeout=5) as client:
            yield client
    finally:
        process.terminate()
        process.wait(10)


async def ask(prometheus: httpx.AsyncClient, path: str, **parameters: str) -> Any:
    """Return the data of an answer, None while Prometheus is not up yet; an error is the test's end."""
    try:
        answer = (await prometheus.get(path, params=parameters)).json()
    except (httpx.TransportError, ValueError):
        return None
    assert answer["status"] == "success", answer
    return answer["data"]


async def test_every_query_has_an_answer(bench: Bench, prometheus: httpx.AsyncClient) -> None:
    """Each panel shows something once Prometheus has scraped twice; the rules are evaluated, none fires."""
    deadline = time.monotonic() + ANSWERS_WITHIN
    open_queries = queries()
    unjudged = len(alerting_rules())
    while open_queries or unjudged:
        bench.work()
        still_open = []
        for query in open_queries:
            data = await ask(prometheus, "query", query=query.expr)
            if not (data and data["result"]):
                still_open.append(query)
        open_queries = still_open
        groups = (await ask(prometheus, "rules") or {"groups": []})["groups"]
        unjudged = len(alerting_rules()) - sum(
            r["health"] == "ok" for group in groups for r in group["rules"]
        )
        assert time.monotonic() < deadline, f"no answer to {open_queries}, {unjudged} rules not evaluated"
        await asyncio.sleep(0.2)
    firing = [alert["labels"]["alertname"] for alert in (await ask(prometheus, "alerts"))["alerts"]]
    assert firing == []
