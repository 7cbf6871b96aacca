"""`discover` in the file: what it means, what is wrong with it in words, what `check` prints of it."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.drawn import ids, rows
from watchdog.cli import app
from watchdog.config import Config, discovery_key, parse
from watchdog.errors import ConfigError
from watchdog.globs import parse_exclusion, parse_pattern
from watchdog.model import Labels, SignalKey

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "discovery.md"
BOTH = 'discover: {streams: "q:*", heartbeats: "svc:{service}"}\n'


def problems(text: str) -> list[str]:
    """Return what is wrong with a file."""
    with pytest.raises(ConfigError) as refused:
        parse(text)
    return [problem.render("rules.yaml").removeprefix("rules.yaml:") for problem in refused.value.problems]


def test_an_item_is_a_plan() -> None:
    """Every key, as it is written; all but the patterns have defaults."""
    (plan,) = parse(
        "redis: {main: {url: 'redis://a'}, cache: {url: 'redis://b'}}\n"
        "discover: {streams: 's:*', heartbeats: ['h:*', 'svc:{service}'], exclude: '*:test',"
        " limit: 7, every: 1m, forget_after: 1h, redis: cache}"
    ).discover
    assert (plan.streams, plan.heartbeats) == (
        (parse_pattern("s:*"),),
        (parse_pattern("h:*"), parse_pattern("svc:{service}")),
    )
    assert plan.exclude == (parse_exclusion("*:test"),)
    assert (plan.limit, plan.every, plan.forget_after) == (7, timedelta(minutes=1), timedelta(hours=1))
    assert discovery_key(plan) == SignalKey(
        "watchdog", "discovery", Labels(discover="s:* h:* svc:{service}", redis="cache")
    )
    (plan,) = parse("discover: {streams: 's:*'}").discover
    assert (plan.limit, plan.every, plan.forget_after) == (
        20_000,
        timedelta(seconds=30),
        timedelta(days=1),
    )


def test_a_file_with_nothing_but_discover_is_a_working_watchdog() -> None:
    """Discovery itself is watched, and the rules wait for what it finds."""
    config = parse(BOTH)
    watched = {watch.rule.alert for watch in config.binding.watches if watch.lead.kind == "discovery"}
    assert watched == {"NothingDiscovered", "DiscoveryLimited", "DiscoveryLate", "SignalUnknown"}


MISTAKES = """
  discover                                   | problem
  []                                         | 1:11: discover: is empty (fill it in or remove it)
  {limit: 3}                                 | 1:11: discover: nothing is looked for (give streams or heartbeats)
  {streams: []}                              | 1:21: discover: streams: is empty (fill it in or remove it)
  {streams: [7]}                             | 1:22: discover: streams: expected a text, found a number
  {streams: "*"}                             | 1:21: discover: streams: "*" has no fixed beginning, so it could be any key (begin as the names begin: orders:*)
  {streams: ["a:*", "b["]}                   | 1:29: discover: streams: "b[" has a [ without its ] (write \\[ for the sign itself)
  {heartbeats: "a:{sevice}"}                 | 1:24: discover: heartbeats: "{sevice}" names nothing (did you mean "{service}"?)
  {streams: "a:*", exclude: "*"}             | 1:37: discover: exclude: "*" leaves everything out (say what the names to leave out have in common)
  {streams: "a:*", exclude: ["x", "a:*"]}    | 1:11: discover: "a:*" is looked for and excluded (remove one of the two)
  {streams: "a:{service}", exclude: "a:*"}   | 1:11: discover: "a:{service}" is looked for and excluded (remove one of the two)
  {streams: "a:*", limit: 0}                 | 1:35: discover: limit: must be at least 1
  {streams: "a:*", every: soon}              | 1:35: discover: every: "soon" is not a duration (write it like 90s, 5m, 1h30m or 2d)
  {steams: "a:*", heartbeats: "b:*"}         | 1:12: discover: unknown key "steams" (did you mean "streams"?)
  {streams: "a:*", redis: cache}             | 1:35: discover: redis: no server of `redis:` is called "cache" (name it: `redis: {cache: {url: …}}`)
  [{streams: "a:*"}, {streams: "a:*", limit: 3}] | 1:30: discover: looks for the same as another one (make them one)
"""


@pytest.mark.parametrize(("discover", "problem"), rows(MISTAKES), ids=[row[0] for row in rows(MISTAKES)])
def test_mistakes(discover: str, problem: str) -> None:
    """Each in one sentence with its place and the cure."""
    assert problems(f"discover: {discover}\n") == [problem]


ALIVE = """
  rule                                                                      | what becomes of it
  {alert: X, when: stream.unread == 1}                                      | it may fire
  {alert: X, when: consumes.pending > 9, services: [discovered]}            | it may fire
  {alert: X, when: heartbeat.age > 1m, services: [trainer]}                 | it may fire
  {alert: X, when: heartbeat.age > 1m, except: [trainer]}                   | it may fire
  {alert: X, when: [heartbeat.age > 1m, executions.age > 1h]}               | can never fire: no service it applies to has the signal heartbeat, executions
  {alert: X, when: consumes.pending > 9, services: [trainer]}               | can never fire: no service it applies to has the signal consumes
  {alert: X, when: stream.expected > 3s}                                    | can never fire: discovered: stream does not offer expected as it is configured
  {alert: X, when: heartbeat.age > 1m, services: [discoverd]}               | service "discoverd" is not defined
"""


@pytest.mark.parametrize(("rule", "fate"), rows(ALIVE), ids=ids(ALIVE))
def test_rules_that_only_discovery_can_bring_to_life(rule: str, fate: str) -> None:
    """A rule is dead only if nothing that may be found could ever make it fire."""
    text = f"{BOTH}rules: [{rule}]\n"
    if fate == "it may fire":
        assert "X" in {found.alert for found in parse(text).rules}
    else:
        assert fate in "\n".join(problems(text))


def test_history_reaches_as_far_back_as_a_rule_on_what_may_be_found() -> None:
    """Nobody knows when it will be needed."""
    text = f'{BOTH}rules: [{{alert: X, when: "stream.added[7h] == 0"}}]\n'
    assert parse(text).keep == timedelta(hours=7)


def test_a_service_may_be_there_for_its_rules_alone() -> None:
    """Its signals are to be found; without a pattern that could name it that is an error."""
    text = "services: {trainer: {needs: [other], rules: {HeartbeatMissing: {off: 'restarts'}}}}\n"
    config = parse(
        BOTH + text + "routes: [{service: trainer, to: ops}, {service: somebody, to: ops}]\n" + OPS
    )
    assert config.warnings == ()
    assert problems("discover: {streams: 'q:*'}\n" + text)[-1] == (
        '2:12: service "trainer": has no signal, so nothing can be said of it'
        " (give it at least one, such as heartbeat or executions)"
    )


OPS = "receivers: {ops: {webhook: {url: 'http://127.0.0.1/x'}}}\n"


def test_check_prints_what_is_covered_without_connecting(tmp_path: Path) -> None:
    """One line for each item."""
    file = tmp_path / "rules.yaml"
    file.write_text(
        "redis: {main: {url: 'redis://127.0.0.1:1'}, cache: {url: 'redis://127.0.0.1:1'}}\n"
        "discover:\n"
        "  - {streams: 'q:*', heartbeats: 'svc:{service}', exclude: ['*:a:*', '*:b']}\n"
        "  - {heartbeats: '{service}:alive', redis: cache, limit: 9, every: 1m, forget_after: 2h}\n" + OPS
    )
    said = CliRunner().invoke(app, ["check", "--rules", str(file)])
    assert said.exit_code == 0
    assert [
        line.partition(": discover: ")[2] for line in said.output.splitlines() if ": discover: " in line
    ] == [
        "streams q:* (of discovered), heartbeats svc:{service} (of the service so named)"
        " without *:a:* and *:b; every 30s, at most 20000 signals, vanished ones for 1d",
        "heartbeats {service}:alive (of the service so named) on cache; every 1m, at most 9 signals,"
        " vanished ones for 2h",
    ]


def samples() -> list[str]:
    """Return the files that the page offers to copy."""
    return re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("sample", samples(), ids=["short", "long"])
def test_what_the_page_offers_to_copy_is_right(sample: str) -> None:
    """Each is a whole rules file."""
    config: Config = parse(sample)
    assert config.discover
    assert config.warnings == ("no receivers: alerts are shown and exported, but nobody is told",)
