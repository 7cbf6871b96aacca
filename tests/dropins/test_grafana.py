"""The dashboards and their provisioning: as files, and on a real Prometheus that scrapes a real sidecar."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.process.conftest import typed
from watchdog.config import Config, load, parse
from watchdog.demo.server import HOST, free_port, tethered
from watchdog.export.grafana import grafana_files
from watchdog.model import Kind
from watchdog.naming import series_name
from watchdog.signals import SIGNALS
from watchdog.web.app import build_app
from watchdog.web.server import WebServer, bind

from .conftest import (
    PROMETHEUS,
    ROOT,
    Bench,
    Board,
    alerting_rules,
    dashboards,
    metrics_in,
    panels_of,
    program,
    queries,
)

PROVISIONING = ROOT / "grafana/provisioning"
ANSWERS_WITHIN = 25.0
BOARDS = dashboards()
each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


def the_rules() -> Config:
    """Return the configuration the committed dashboards are made from."""
    return load(ROOT / "rules.yaml", {})


def boards_for(config: Config) -> list[Board]:
    """Return the dashboards for *config*."""
    return [json.loads(text) for text in grafana_files(config).values()]


# ---- as files ----------------------------------------------------------------------------------


def test_the_files_are_what_the_command_makes() -> None:
    """Nobody edits a dashboard by hand; `make dashboards` writes them anew."""
    files = {file.name: file.read_text(encoding="utf-8") for file in (ROOT / "grafana/dashboards").iterdir()}
    assert files == grafana_files(the_rules())


@each_board
def test_a_dashboard_fits_any_grafana(board: Board) -> None:
    """It asks the data source its user chose, under ids of its own, in a schema of Grafana 10 or later."""
    ids = [one["id"] for one in board["panels"]]
    ids += [one["id"] for row in board["panels"] for one in row.get("panels", ())]
    assert board["schemaVersion"] >= 38
    assert len(ids) == len(set(ids))
    assert {one["datasource"]["uid"] for one in panels_of(board)} == {"${datasource}"}
    assert {v["name"] for v in board["templating"]["list"]} >= {"datasource", "service"}


def test_addresses_stay_the_same() -> None:
    """Links to dashboards outlive their titles."""
    assert {name: board["uid"] for name, board in BOARDS.items()} == {
        "overview.json": "pipeline-watchdog",
        "streams.json": "pipeline-watchdog-streams",
        "logs-units.json": "pipeline-watchdog-logs-units",
        "watchdog.json": "pipeline-watchdog-self",
    }


@each_board
def test_each_dashboard_leads_to_the_others(board: Board) -> None:
    """Services and time range are taken along; the status page is one click away."""
    others = {f"/d/{other['uid']}?${{service:queryparam}}" for other in BOARDS.values()} - {
        f"/d/{board['uid']}?${{service:queryparam}}"
    }
    kept = {link["url"] for link in board["links"] if link["keepTime"]}
    assert kept == others
    assert f"{the_rules().link}/" in {link["url"] for link in board["links"]}


@each_board
def test_no_panel_knows_a_service(board: Board) -> None:
    """Services come from the variables only."""
    for expr in [target["expr"] for one in panels_of(board) for target in one["targets"]]:
        assert not re.search(r'service=~?"[^$]', expr), expr


@each_board
def test_figures_have_units_and_panels_an_explanation(board: Board) -> None:
    """A curve without a unit says nothing, a panel without a sentence not enough."""
    for one in panels_of(board):
        assert one["description"], one["title"]
        assert one["type"] != "timeseries" or one["fieldConfig"]["defaults"]["unit"], one["title"]


@each_board
def test_panels_do_not_overlap(board: Board) -> None:
    """Each square of the grid is taken once; a folded row opens below all that stands above it."""
    taken: dict[tuple[int, int], str] = {}
    for one in [*board["panels"], *panels_of(board)]:
        grid = one["gridPos"]
        assert grid["x"] + grid["w"] <= 24, one["title"]
        squares = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        lies_on = {taken[square] for square in squares if square in taken} - {one["title"]}
        assert not lies_on, f"{one['title']} lies on {lies_on}"
        taken |= dict.fromkeys(squares, one["title"])


@each_board
def test_nothing_known_is_never_green(board: Board) -> None:
    """A tile whose query has no answer says so, in a colour that is not the good one."""
    for one in panels_of(board):
        defaults = one["fieldConfig"]["defaults"]
        if one["type"] == "stat":
            assert defaults["thresholds"]["steps"][0]["color"] == "purple", one["title"]
        if one["type"] != "table":  # there an empty cell is what a row does not have
            assert defaults["noValue"] == "unknown", one["title"]
        for mapped in defaults.get("mappings", ()):
            if mapped["type"] == "special":
                said = mapped["options"]["result"]
                assert (said["text"], said["color"]) == ("unknown", "purple"), one["title"]


# ---- made from the rules -----------------------------------------------------------------------


def asked_for(config: Config) -> set[str]:
    """Return the metrics of every measure that a rule in force asks for; names of things are told in the pages."""
    options = [
        (watch.lead if option.signal is None else option.signal, option.condition.term)
        for watch in config.binding.watches
        for clause in watch.clauses
        for option in clause
    ]
    found = set()
    for key, term in options:
        name = (
            term.measure
            if term.measure in SIGNALS[key.kind].MEASURES
            else f"{term.measure.partition('.')[0]}.*"
        )
        measure = SIGNALS[key.kind].MEASURES.get(name)
        if measure is not None and measure.kind is not Kind.TOP:
            found.add(series_name(key.kind, name, measure))
    return found


def test_all_that_the_rules_ask_for_stands_on_a_panel() -> None:
    """Whoever is woken by a rule finds the curve that woke him."""
    shown = metrics_in("\n".join(query.expr for query in queries(BOARDS.values())))
    assert asked_for(the_rules()) - shown == set()


OWN = """
services:
  fast: {executions: &work {stream: r, success: {ok: 1}, input: w}, rules: {NoExecutions: {when: executions.age > 90s}}}
  slow: {executions: *work, log: {path: x.log, patterns: {oops: oops}}}
  shadow: {executions: *work, rules: {NoExecutions: {off: "it only watches"}}}
rules:
  - {alert: Oops, when: "log.matches.oops[3m] > 4", severity: critical}
  - {alert: LogErrors, when: "log.error_ratio[10m] > 25%", severity: warning}
"""


def test_thresholds_are_those_of_the_rules() -> None:
    """A service's own threshold, a rule that is off, a user's rule and a replaced one are all respected."""
    overview, _, logs, _ = boards_for(parse(OWN))
    (allowed,) = [v["query"] for v in overview["templating"]["list"] if v["name"] == "work_allowed"]
    assert 'label_replace(vector(90), "service", "fast", "", "")' in allowed
    assert "0 * max by (service) (watchdog_executions_age_seconds) + 3600" in allowed
    assert 'unless on (service) (label_replace(vector(0), "service", "shadow", "", ""))' in allowed
    lines = {one["title"]: one["fieldConfig"]["defaults"].get("thresholds", {}) for one in panels_of(logs)}
    assert lines["Lines with a pattern, in 3m"]["steps"][1:] == [{"value": 4, "color": "red"}]
    assert lines["Share of errors"]["steps"][1:] == [{"value": 0.25, "color": "yellow"}]


def test_only_what_is_watched_has_panels() -> None:
    """A file without units and streams has no empty panels for them."""
    shown = metrics_in(
        "\n".join(q.expr for q in queries(boards_for(parse("services: {a: {heartbeat: {key: k}}}"))))
    )
    others = {name for name in shown if re.match(r"watchdog_(unit|consumes|executions|log|flag)_", name)}
    assert others <= {"watchdog_executions_total"}
    assert "watchdog_heartbeat_age_seconds" in shown


def test_no_rule_no_countdown() -> None:
    """With the built-in rules off nothing says how old a success may be, and nothing pretends to know."""
    text = "services: {a: {executions: {stream: r, success: {ok: 1}}}}\nbuiltin_rules: off"
    boards = boards_for(parse(text))
    assert not any(v["name"] == "work_allowed" for board in boards for v in board["templating"]["list"])
    assert not any(
        title.startswith("Time left") for board in boards for title in (p["title"] for p in panels_of(board))
    )


def test_the_command_writes_them_all(tmp_path: Path) -> None:
    """With --out the directory has every dashboard."""
    ran = typed("export", "grafana", "--rules", str(ROOT / "rules.yaml"), "--out", str(tmp_path / "new"))
    assert (ran.status, ran.out) == (0, "")
    assert {file.name for file in (tmp_path / "new").iterdir()} == set(BOARDS)


def test_the_command_prints_one() -> None:
    """Without --out it is the overview, or the one that is named."""
    rules = ("--rules", str(ROOT / "rules.yaml"))
    assert json.loads(typed("export", "grafana", *rules).out)["uid"] == "pipeline-watchdog"
    streams = typed("export", "grafana", *rules, "--dashboard", "streams").out
    assert json.loads(streams)["uid"] == "pipeline-watchdog-streams"


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


@each_board
def test_alerts_are_marks_in_the_curves(board: Board) -> None:
    """Critical alerts are shown where they begin, warnings on demand."""
    marks = {
        mark["name"]: (mark["enable"], metrics_in(mark["expr"])) for mark in board["annotations"]["list"][1:]
    }
    assert marks == {
        "Critical alerts": (True, {"watchdog_alerts"}),
        "Warnings": (False, {"watchdog_alerts"}),
    }


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
    config["rule_files"] = [str(PROMETHEUS / "rules/watchdog.yml")]
    (job,) = [job for job in config["scrape_configs"] if job["job_name"] == "watchdog"]
    config["scrape_configs"] = [{**job, "static_configs": [{"targets": [sidecar_address]}]}]
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
        process.wait()


async def ask(prometheus: httpx.AsyncClient, path: str, **parameters: str) -> Any:
    """Return what Prometheus answers, or None while it does not; an expression it cannot read is an end."""
    try:
        answer = (await prometheus.get(path, params=parameters)).json()
    except (httpx.TransportError, ValueError):
        return None
    assert answer["status"] == "success", answer
    return answer["data"]


async def test_every_query_has_an_answer(bench: Bench, prometheus: httpx.AsyncClient) -> None:
    """Each panel shows something once Prometheus has scraped twice; the rules are evaluated, none fires."""
    deadline = time.monotonic() + ANSWERS_WITHIN
    open_queries = queries(boards_for(bench.sidecar.config))
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


def test_the_bench_has_all_that_the_repository_has(bench: Bench) -> None:
    """What is shown to have an answer there is all that the committed dashboards ask."""
    on_the_bench = metrics_in("\n".join(q.expr for q in queries(boards_for(bench.sidecar.config))))
    assert metrics_in("\n".join(q.expr for q in queries(BOARDS.values()))) - on_the_bench == set()
