"""What the live view and the audit show of a snapshot, line by line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from rich.text import Text

from tests.drawn import ids, rows
from tests.web.snapshots import alert, healthy, outage, seen, signal, snapshot
from watchdog.brief import brief
from watchdog.browsing import View, keys_in, pressed
from watchdog.columns import COLUMNS, cut, cut_middle, spelled, wrapped, written
from watchdog.gauges import Figure
from watchdog.glance import Glance
from watchdog.screen import Picture, screen

RUNBOOKS = ("HeartbeatMissing",)


def drawn(lines: Sequence[Text]) -> list[str]:
    """Return lines as one reads them."""
    return [line.plain.rstrip() for line in lines]


def picture(body: dict[str, Any], **more: Any) -> Picture:
    """Return what is known of a snapshot."""
    return Picture(seen(body), body["services"], **more)


# ---- the live view -----------------------------------------------------------------------------


def test_the_outage_on_a_small_screen() -> None:
    """At 80 × 24: whether it works, since when not, why, what it blocks; then how each service stands."""
    assert drawn(screen(picture(outage(), silences=2), View(), 80, 24)) == [
        "✖ NOT WORKING for 2h 5m: rl_trainer has no heartbeat (blocks apply_layer,",
        "  execution)",
        "03:00:00Z  5 services: 3 critical, 1 unknown, 1 ok  2 silences",
        "✖ 2h      rl_trainer has no heartbeat",
        "  └ explains NoExecutions of apply_layer, execution; LogErrors of apply_layer",
        "? unknown systemctl does not answer (rl_feedback)",
        "            SERVICE         SUCCESS  IN/m OUT/m   LAG  PEND    BEAT   ERR",
        "✖ critical  rl_trainer            -     -     -     -     -       ?     -",
        "✖ critical  apply_layer       2h 5m   6.9     0     0     0       -   50%",
        "✖ critical  execution         2h 5m   6.9     0     0     0       -     -",
        "? unknown   rl_feedback           -     -     -     -     -       -     -",
        "✔ ok        intents               -     -   7.1     -     -      1s     -",
        *[""] * 11,
        "j/k move  enter detail  / filter  s sort: status  ? help  q quit",
    ]


def test_the_outage_on_a_very_small_screen() -> None:
    """At 40 × 12 the less telling columns go; no line is broken, and what is left out is said."""
    assert drawn(screen(picture(outage()), View(), 40, 12)) == [
        "✖ NOT WORKING for 2h 5m: rl_trainer has",
        "  no heartbeat (blocks apply_layer,",
        "  execution)",
        "03:00:00Z  5 services: 3 critical, 1 un…",
        "✖ 2h      rl_trainer has no heartbeat",
        "  └ explains NoExecutions of apply_laye…",
        "? unknown systemctl does not answer (rl…",
        "   SERVICE         SUCCESS OUT/m   LAG",
        "✖  rl_trainer            -     -     -",
        "✖  apply_layer       2h 5m     0     0",
        "  … 3 more",
        "j/k move  enter detail  / filter  s sor…",
    ]


@pytest.mark.parametrize("size", ["80x24", "40x12", "200x60", "20x4", "1x1"])
@pytest.mark.parametrize(
    "opened", ["", "help", "service:execution", "alert:HeartbeatMissing-rl_trainer", "alert:gone"]
)
@pytest.mark.parametrize("stale", ["", "the sidecar does not answer"])
def test_every_screen_is_full_and_no_line_is_too_long(size: str, opened: str, stale: str) -> None:
    """Whatever is shown fits exactly."""
    width, height = map(int, size.split("x"))
    name = "\x1b[2J" + "長" * 40
    body = outage()
    body["services"][name] = body["services"]["execution"]
    lines = screen(picture(body, stale=stale, link="http://h"), View(opened=opened), width, height)
    assert len(lines) == height
    assert max(line.cell_len for line in lines) <= width
    assert all(line.plain.isprintable() for line in lines)


def test_a_picture_that_is_not_of_now_is_unknown() -> None:
    """What was seen stays, greyed; the first line no longer says how it stands."""
    lines = screen(
        picture(healthy(), stale="the sidecar does not answer; what follows is 40s old"), View(), 80, 12
    )
    assert drawn(lines)[0] == "? UNKNOWN: the sidecar does not answer; what follows is 40s old"
    assert "magenta" in str(lines[0].style)
    assert {str(line.style) for line in lines[1:-1] if line.plain} == {"dim"}
    assert "✔ ok" in lines[3].plain


def test_two_hundred_services_scroll_to_what_is_picked() -> None:
    """The titles and the first line stay where they are."""
    view = View(picked="service:worker-100")
    lines = drawn(screen(picture(healthy(200)), view, 80, 12))
    assert lines[0] == "✔ WORKING: 200 services succeeded in the last 3m 19s"
    assert lines[2].split()[0] == "SERVICE"
    assert any("worker-100" in line for line in lines)
    assert lines[3].endswith("more above")
    assert lines[-2].endswith("more")


def test_many_alerts_leave_room_for_services() -> None:
    """Half of the screen at most, unless one of them is picked."""
    alerts = [alert("HealthFailing", f"worker-{n:03}") for n in range(30)]
    body = healthy(30) | {"alerts": alerts, "status": "critical"}
    lines = drawn(screen(picture(body), View(), 80, 24))
    assert sum("has HealthFailing" in line for line in lines[1:]) == 10
    assert sum("✔ ok" in line for line in lines) == 8


def test_what_people_said_of_an_alert_is_seen() -> None:
    """Acknowledged, silenced, blind: who looks next knows."""
    said: dict[str, Any] = {
        "acknowledged": {"by": "ana"},
        "silenced_by": ["1"],
        "state": "blind",
        "flapping": True,
    }
    body = snapshot("critical", {"a": ("critical", signal("flag"))}, [alert("FlagSet", "a", **said)])
    shown = drawn(screen(picture(body), View(), 80, 10))
    assert "✖ 2h      [blind, acknowledged, silenced, flapping] a has FlagSet" in shown


GAUGES = """
  of two signals                | shown
  lag 0, lag 7                  | LAG 7
  lag 7, lag unknown            | LAG ?
  lag 7, trouble                | LAG ?
  offered[1h] 60, offered[1h] 60 | IN/m 2
  offered[10m] 50, offered[1h] 60 | IN/m 6
  offered[10m] unknown, offered[1h] 60 | IN/m ?
  present 0, present 0          | BEAT none
  present 0, age 5              | BEAT none
  age 5, age 9                  | BEAT 9s
"""
KIND = {"lag": "consumes", "offered": "executions", "present": "heartbeat", "age": "heartbeat"}


@pytest.mark.parametrize(("signals", "shown"), rows(GAUGES), ids=ids(GAUGES))
def test_a_figure_of_several_signals(signals: str, shown: str) -> None:
    """The worst of them, or their sum; one that is unknown makes it unknown."""
    kind = next(k for name, k in KIND.items() if signals.startswith(name))
    made = []
    for one in signals.split(", "):
        name, _, number = one.partition(" ")
        value = None if number in ("", "unknown") else float(number)
        made.append(signal(kind, {name: value}) if number else signal(kind, None, "unknown", "it is away"))
    body = snapshot("ok", {"a": ("ok", *made)})
    lines = drawn(screen(picture(body), View(), 80, 8))
    at = next(i for i, line in enumerate(lines) if line.split()[:1] == ["SERVICE"])
    title, line = lines[at : at + 2]
    wanted, _, figure = shown.partition(" ")
    assert line.split()[title.split().index(wanted) + 2] == figure


# ---- finding one's way -------------------------------------------------------------------------

KEYS = """
  keys           | view
  j              | picked alert:HeartbeatMissing-rl_trainer
  j j            | picked service:rl_trainer
  j j k          | picked alert:HeartbeatMissing-rl_trainer
  k              | picked alert:HeartbeatMissing-rl_trainer
  G              | picked service:intents
  G g            | picked alert:HeartbeatMissing-rl_trainer
  page-down page-down | picked service:intents
  enter          | picked alert:HeartbeatMissing-rl_trainer, opened alert:HeartbeatMissing-rl_trainer
  G e            | picked service:intents, opened service:intents
  G e j          | picked service:intents, opened service:intents, scrolled 1
  G e escape     | picked service:intents
  G e escape k   | picked service:rl_feedback
  / e x e        | wanted exe, typing True
  / e x e enter  | wanted exe
  / e x backspace enter G | wanted e, picked service:intents
  / e x e enter j j | wanted exe, picked service:execution
  / q escape     | -
  s              | sort success
  s s s s s      | sort status
  ?              | opened help
  ? ?            | -
  x              | -
"""


@pytest.mark.parametrize(("keys", "expected"), rows(KEYS), ids=ids(KEYS))
def test_keys(keys: str, expected: str) -> None:
    """What each does; what is picked stays picked wherever it moves."""
    body = outage()
    body["alerts"] = body["alerts"][:1]
    view: View | None = View()
    for key in keys.split():
        assert view is not None
        view = pressed(view, key, seen(body))
    changed = [part.split(" ", 1) for part in expected.split(", ") if part != "-"]
    wanted: Mapping[str, Any] = {
        name: int(text) if text.isdigit() else text == "True" if name == "typing" else text
        for name, text in changed
    }
    assert view == replace(View(), **wanted)


@pytest.mark.parametrize("keys", ["q", "ctrl-c", "? q", "/ ctrl-c"])
def test_keys_that_end_it(keys: str) -> None:
    """Wherever one is; a q in a filter is a letter."""
    *before, last = keys.split()
    view = View()
    for key in before:
        view = pressed(view, key, None) or view
    assert pressed(view, last, None) is None


BYTES = """
  bytes            | keys
  jk               | j k
  \\x1b[A\\x1b[B   | up down
  \\x1bOA          | up
  \\x1b[5~\\x1b[6~ | page-up page-down
  \\x1b            | escape
  \\x1b[1;5Cq      | q
  \\x1b[200~q      | q
  \\r\\x7f         | enter backspace
  \\x00\\x01       | -
  é                | é
"""


@pytest.mark.parametrize(("data", "keys"), rows(BYTES), ids=ids(BYTES))
def test_bytes_of_a_terminal(data: str, keys: str) -> None:
    """Sequences nobody knows press nothing."""
    raw = data.encode("latin-1", "backslashreplace").decode("unicode_escape").encode()
    assert " ".join(keys_in(raw)) == keys.removeprefix("-")


@pytest.mark.parametrize(
    ("order", "first"),
    [("success", "worker-002"), ("lag", "worker-000"), ("name", "worker-000"), ("errors", "worker-000")],
)
def test_services_in_another_order(order: Any, first: str) -> None:
    """The longest without a success first, unknown before known."""
    lines = drawn(screen(picture(healthy()), View(sort=order), 80, 10))
    assert lines[3].split()[2] == first
    body = healthy()
    body["services"]["worker-001"]["signals"][0]["values"]["age"] = None
    assert drawn(screen(picture(body), View(sort="success"), 80, 10))[3].split()[2:4] == ["worker-001", "?"]  # type: ignore[arg-type]


# ---- the audit ---------------------------------------------------------------------------------


def told(body: dict[str, Any] | Glance, width: int = 80) -> list[str]:
    """Return an audit as it is read."""
    at_a_glance = body if isinstance(body, Glance) else seen(body)
    return drawn(list(brief(at_a_glance, RUNBOOKS, width)))


def test_the_outage_in_an_audit() -> None:
    """The verdict first and last; the cause with what shows it and what to do, its symptoms folded."""
    verdict = [
        "✖ NOT WORKING for 2h 5m: rl_trainer has no heartbeat (blocks apply_layer,",
        "  execution)",
    ]
    assert told(outage()) == [
        *verdict,
        "",
        "✖ CRITICAL rl_trainer has no heartbeat",
        "  alert     HeartbeatMissing of rl_trainer, firing for 2h",
        "  figure    heartbeat.present (0) == 0",
        "  evidence  last beat: 2026-02-19T00:55:00Z",
        "  blocks    apply_layer, execution",
        "  explains  NoExecutions of apply_layer, execution; LogErrors of apply_layer",
        "  next      watchdog runbook HeartbeatMissing",
        "",
        "? UNKNOWN systemctl does not answer (rl_feedback)",
        "",
        "            SERVICE         SUCCESS  IN/m OUT/m   LAG  PEND    BEAT   ERR",
        "✖ critical  rl_trainer            -     -     -     -     -       ?     -",
        "✖ critical  apply_layer       2h 5m   6.9     0     0     0       -   50%",
        "✖ critical  execution         2h 5m   6.9     0     0     0       -     -",
        "? unknown   rl_feedback           -     -     -     -     -       -     -",
        "✔ ok        intents               -     -   7.1     -     -      1s     -",
        "",
        "5 services: 3 critical, 1 unknown, 1 ok",
        *verdict,
    ]


def test_a_healthy_pipeline_is_said_once() -> None:
    """No news takes few lines."""
    assert told(healthy()) == [
        "✔ WORKING: worker-000, worker-001, worker-002 succeeded in the last 2s",
        "",
        "            SERVICE         SUCCESS  IN/m OUT/m   LAG  PEND",
        "✔ ok        worker-000           0s    60    60     0     0",
        "✔ ok        worker-001           1s    60    60     0     1",
        "✔ ok        worker-002           2s    60    60     0     2",
    ]


def test_two_hundred_services_of_which_one_fails() -> None:
    """What is fine shares one line."""
    body = healthy(200) | {"status": "warning", "alerts": [alert("LogErrors", "worker-007", "warning")]}
    body["services"]["worker-007"]["status"] = "warning"
    assert told(body)[3:] == [
        "  alert     LogErrors of worker-007, firing for 2h",
        "",
        "            SERVICE         SUCCESS  IN/m OUT/m   LAG  PEND",
        "▲ warning   worker-007           7s    60    60     0     7",
        "✔ 199 services are ok, each succeeded within 3m 19s (-v names them)",
        "",
        "200 services: 1 warning, 199 ok",
        "▲ WORKING, WITH WARNINGS for 2h: worker-007 has LogErrors",
    ]


def test_redis_away_is_one_reason() -> None:
    """However much is read from it."""
    away = signal("consumes", None, "unknown", "Redis at 127.0.0.1:1 refuses connections")
    services = dict.fromkeys("abcdefgh", ("unknown", away, away))
    body = snapshot("unknown", services)
    assert told(body)[:3] == [
        "? UNKNOWN: a, b, c and 5 more cannot be told: Redis at 127.0.0.1:1 refuses",
        "  connections",
        "",
    ]
    assert "? UNKNOWN Redis at 127.0.0.1:1 refuses connections (a, b, c, d, e, f and 2 more," in told(body)


def test_an_address_is_whole_and_all_else_fits() -> None:
    """It is to be followed; a log line is to be seen."""
    evidence = {"top_errors": ["x" * 500, "y"], "last_error": "z", "new_errors": ["w"]}
    runbook = f"https://wiki.example/{'r' * 90}"
    body = snapshot(
        "critical",
        {"a" * 90: ("critical", signal("flag"))},
        [alert("Ours", "a" * 90, evidence=evidence, runbook=runbook, summary="word " * 60)],
    )
    lines = told(body)
    assert [line for line in lines if len(line) > 80] == [f"  next      {runbook}"]
    assert sum("xxxx" in line for line in lines) == 1
    assert not any("z" in line or "www" in line for line in lines)


def test_nothing_from_outside_steers_the_terminal() -> None:
    """Neither a name, nor a summary, nor evidence, nor why something is unknown."""
    evil = "\x1b]0;owned\x07\r\n\u202e"
    body = snapshot(
        "critical",
        {evil: ("critical", signal("flag", None, "unknown", evil))},
        [
            alert(
                "Ours",
                evil,
                summary=evil,
                figures=[evil],
                evidence={evil: evil},
                runbook=evil,
                affects=[evil],
            )
        ],
    )
    assert all(line.isprintable() for line in told(body))


# ---- texts in a width --------------------------------------------------------------------------

MIDDLES = """
  name                        | width | shown
  execution                   | 9     | execution
  quantum:stream:apply.result | 15    | quantum….result
  quantum:stream:apply.result | 2     | q…
  長長長長長長長              | 9     | 長長…長長
"""


@pytest.mark.parametrize(("name", "width", "shown"), rows(MIDDLES), ids=ids(MIDDLES))
def test_long_names_keep_both_ends(name: str, width: str, shown: str) -> None:
    """They are what tells them apart."""
    assert cut_middle(name, int(width)) == shown


FIGURES = """
  column  | number    | shown
  success | 7500      | 2h 5m
  success | 0.02      | 0s
  in      | 0.14      | 0.1
  in      | 950       | 950
  in      | 12345     | 12k
  lag     | 6300000   | 6.3M
  errors  | 0.004     | 0.4%
  errors  | 0.5       | 50%
"""


@pytest.mark.parametrize(("name", "number", "shown"), rows(FIGURES), ids=ids(FIGURES))
def test_figures_are_short(name: str, number: str, shown: str) -> None:
    """A bound says that it is one, and what is unknown is no number."""
    column = next(column for column in COLUMNS if column.name == name)
    assert written(column, Figure(float(number))) == shown
    assert written(column, Figure(float(number), at_least=True)) == cut(f">{shown}", column.width)
    assert (written(column, Figure(None)), written(column, None)) == ("?", "-")


def test_a_terminal_without_our_signs_gets_others_as_long() -> None:
    """No question mark where a letter of ours stands for something."""
    assert spelled("✖ ✔ ▲ … └ é", "ascii") == "X + ! ~ ` ?"
    assert spelled("✖ é", "utf-8") == "✖ é"


def test_wrapped_lines_keep_their_place() -> None:
    """What goes on stands further in than where it began; a word that is too long is cut into pieces."""
    assert wrapped("  one two three", 8, 2) == ["  one", "    two", "    thre", "    e"]
    assert wrapped("", 8) == [""]
