"""Errors of one kind have one template, errors of different kinds have different ones."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.drawn import T0, minutes, rows
from watchdog.logs.book import Book
from watchdog.logs.exclusions import Exclusion, Exclusions
from watchdog.logs.lines import mask
from watchdog.logs.patterns import compile_patterns
from watchdog.logs.templates import LONGEST_PLAIN, LONGEST_TEMPLATE, NOTHING, Templates, masked, template_of

# Lines between two rules are of one kind, which is what a person would call it; the last one is its template.
KINDS = r"""
2026-02-19 01:33:50,123 | ERROR    | __main__ | ❌ Failed to parse TradeIntent for AAAUSDT: TradeIntent.__init__() missing 2 required positional arguments: 'action' and 'confidence'
2026-02-19 01:33:51,007 | ERROR    | __main__ | ❌ Failed to parse TradeIntent for BTCUSDT: TradeIntent.__init__() missing 2 required positional arguments: 'action' and 'confidence'
Feb 19 01:50:25 host exec[77]: 2026-02-19 01:33:50,123 | ERROR    | __main__ | ❌ Failed to parse TradeIntent for 1000PEPEUSDT: TradeIntent.__init__() missing 2 required positional arguments: 'action' and 'confidence'
= ❌ Failed to parse TradeIntent for <symbol>: TradeIntent.__init__() missing <n> required positional arguments: 'action' and 'confidence'

2026-02-19 01:33:50,123 | ERROR    | __main__ | ❌ Failed to parse TradeIntent for AAAUSDT: TradeIntent.__init__() got an unexpected keyword argument 'reduce_only'
= ❌ Failed to parse TradeIntent for <symbol>: TradeIntent.__init__() got an unexpected keyword argument 'reduce_only'

2026-02-10 23:58:14,363 | ERROR    | __main__ | [PATH1B] RX apply.result msg_id=1770767894362-0 decision=EXECUTE executed=False would_execute=True symbol=AAAUSDT
2026-02-10 23:58:15,001 | ERROR    | __main__ | [PATH1B] RX apply.result msg_id=1770767895011-17 decision=EXECUTE executed=False would_execute=True symbol=ETHUSDT
= [PATH<n>B] RX apply.result msg_id=<id> decision=EXECUTE executed=False would_execute=True symbol=<id>

2026-02-11 00:00:01,951 | ERROR    | __main__ | [PATH1B] SKIP AAAUSDT: blocked by risk (risk_layer0_fail:heartbeat_missing)
= [PATH<n>B] SKIP <symbol>: blocked by risk (risk_layer<n>_fail:heartbeat_missing)

2026-02-10 23:58:47,049 | ERROR | ❌ exchange API error: APIError(code=-4164): Order's notional must be no smaller than 5
2026-02-10 23:58:48,149 | ERROR | ❌ exchange API error: APIError(code=-4164): Order's notional must be no smaller than 100
= ❌ exchange API error: APIError(code=-4164): Order's notional must be no smaller than <n>

2026-01-17 07:05:42,208 | ERROR | 🚫 TERMINAL STATE: FAILED | AAAUSDT BUY | Reason: API error | trace_id=AAAUSDT_2026-01-17T06:27:49.791495
2026-01-17 07:06:42,208 | ERROR | 🚫 TERMINAL STATE: FAILED | XRPUSDT BUY | Reason: API error | trace_id=XRPUSDT_2026-01-17T06:28:00.000001
= 🚫 TERMINAL STATE: FAILED | <symbol> BUY | Reason: API error | trace_id=<id>

2026-01-17 07:05:42,208 | ERROR | 🚫 TERMINAL STATE: FAILED | AAAUSDT SELL | Reason: API error | trace_id=AAAUSDT_2026-01-17T06:27:49.791495
= 🚫 TERMINAL STATE: FAILED | <symbol> SELL | Reason: API error | trace_id=<id>

2026-02-17 21:46:01 [ERROR] XRPUSDT: Result published (executed=False, error=duplicate_plan)
2026-02-17 21:46:09 [ERROR] ADAUSDT: Result published (executed=False, error=duplicate_plan)
= <symbol>: Result published (executed=False, error=duplicate_plan)

2026-02-17 21:46:01 [ERROR] XRPUSDT: Result published (executed=False, error=no_position)
= <symbol>: Result published (executed=False, error=no_position)

2026-02-04 01:56:58,834 | ERROR | HARVEST_TICK scanned=44 evaluated=1 emitted=0 skipped_risk=0 skipped_price=0 api_calls=1
= HARVEST_TICK scanned=<n> evaluated=<n> emitted=<n> skipped_risk=<n> skipped_price=<n> api_calls=<n>

Feb 19 01:50:25 host systemd[1]: quantum-rl-trainer.service: Main process exited, code=exited, status=203/EXEC
= quantum-rl-trainer.service: Main process exited, code=exited, status=203/EXEC

Feb 19 01:50:25 host systemd[1]: quantum-rl-trainer.service: Main process exited, code=exited, status=1/FAILURE
= quantum-rl-trainer.service: Main process exited, code=exited, status=1/FAILURE

Feb 19 01:50:25 host systemd[1]: quantum-rl-trainer.service: Scheduled restart job, restart counter is at 30206.
Feb 19 01:50:30 host systemd[1]: quantum-rl-trainer.service: Scheduled restart job, restart counter is at 4.
= quantum-rl-trainer.service: Scheduled restart job, restart counter is at <n>.

Feb 14 13:10:07 host quantum-ai-engine[1851507]: {"ts": "2026-02-14T13:10:07.727659Z", "level": "ERROR", "service": "ai_engine", "event": "LOG", "correlation_id": null, "msg": "CLOSE 100%", "extra": {"levelno": 40}}
= CLOSE <n>

{"timestamp": "2025-11-23T01:39:04.411302+00:00", "level": "ERROR", "logger": "backend.position_monitor", "message": "Failed to set TP/SL: APIError(code=-2007)", "module": "position_monitor"}
{"timestamp": "2025-11-24T11:39:04.4+00:00", "level": "ERROR", "logger": "backend.position_monitor", "message": "Failed to set TP/SL: APIError(code=-2007)", "module": "position_monitor"}
= Failed to set TP/SL: APIError(code=-2007)

{"timestamp": "2025-11-23T01:39:04.411302+00:00", "level": "ERROR", "logger": "backend.position_monitor", "message": "Failed to set TP/SL: APIError(code=-4164)", "module": "position_monitor"}
= Failed to set TP/SL: APIError(code=-4164)

ERROR:root:HTTP 503 from https://api.example.com/v1/order?symbol=A&nonce=17
ERROR:app.client:HTTP 503 from https://api.example.com/v2/account
= HTTP 503 from <url>

ERROR:root:HTTP 429 from https://api.example.com/v1/order
= HTTP 429 from <url>

2026-02-19 01:33:50,123 - my.mod - ERROR - [Errno 111] Connect call failed ('127.0.0.1', 6379)
= [Errno 111] Connect call failed (<str>, <n>)

2026-02-19 01:33:50,123 ERROR [http-nio-8080-exec-12] com.foo.Bar - plan 0aef85be-1111-4222-8333-444455556666 refused after 12.5ms
2026-02-19 01:33:50,124 ERROR [http-nio-8080-exec-3] com.foo.Bar - plan 1bef85be-1111-4222-8333-4444555566aa refused after 1.2s
= plan <id> refused after <n>

2026-02-19 01:33:50 ERROR plan_id=bb96aaa801020304 order_id=85440001 of bob@example.com at 0x7f3a99: 10,000 > 9.5e3
2026-02-19 01:33:50 ERROR plan_id=48b33c2d7aafb9f2 order_id=1098140001 of eve@example.org at 0x1f: 7 > -3
= plan_id=<id> order_id=<id> of <email> at <hex>: <n> > <n>

2026-02-19 01:33:50 ERROR cannot read /etc/quantum/execution.env: Permission denied
2026-02-19 01:33:50 ERROR cannot read ./harvest.env: Permission denied
= cannot read <path>: Permission denied

2026-02-19 01:33:50 ERROR peers [10.0.0.1:6379, 10.0.0.2:6379] and "orders" timed out, 'a', 'b' left
2026-02-19 01:33:50 ERROR peers [10.0.0.3:6379] and "plan \"x\"" timed out, 'c' left
= peers [<ip>] and <str> timed out, <str> left

time="2026-02-19T01:33:50Z" level=error msg="dial tcp 10.0.0.1:6379: connect: connection refused" id=77
time="2026-02-20T02:33:50Z" level=error msg="dial tcp 10.0.0.9:6379: connect: connection refused" id=12
= dial tcp <ip>: connect: connection refused

{"level":50,"time":1531171074631,"pid":657,"hostname":"x","msg":"call failed","err":{"type":"E","message":"socket 17 hung up","code":"ECONNRESET","stack":"a\nb"}}
= call failed | socket <n> hung up | code=ECONNRESET

[ERROR] [TAG] password=hunter2 of token=abc refused
[ERROR] [TAG] password=sesame of token=def refused
= [TAG] password=<secret> of token=<secret> refused
"""
BLOCKS = [block.strip().split("\n") for block in KINDS.strip().split("\n\n")]


@pytest.mark.parametrize("block", BLOCKS, ids=[block[-1][2:50] for block in BLOCKS])
def test_one_kind_one_template(block: list[str]) -> None:
    """As a person would sort them, whatever the format."""
    *lines, expected = block
    assert [template_of(line.encode()) for line in lines] == [expected.removeprefix("= ")] * len(lines)


def test_different_kinds_have_different_templates() -> None:
    """No two blocks of the table share one."""
    templates = [block[-1] for block in BLOCKS]
    assert len(set(templates)) == len(templates) >= 20


def test_remembered_templates_are_those_worked_out() -> None:
    """A code is told apart from another although the digits of lines are masked to find them again."""
    templates = Templates()
    templates.renew(1_000)
    lines = [line.encode() for block in BLOCKS for line in block[:-1]]
    lines += [line.replace(b"503", b"504").replace(b"-4164", b"-2011") for line in lines]
    for _ in range(2):
        assert [templates.of(line) for line in lines] == [template_of(line) for line in lines]
    assert all(masked(line) == mask(line[:LONGEST_PLAIN]) for line in lines)  # as the tally has them


def test_an_exception_is_part_of_its_error() -> None:
    """One message, two exceptions: two kinds; where the exception was cut off it is the last one."""
    templates = Templates()
    templates.renew(10)

    def of(first: bytes, exception: bytes = b"") -> str | None:
        return templates.of_record(mask(first), first + (b" | " + exception if exception else b""))

    assert of(b"ERROR:root:entry 7 failed") == "entry <n> failed"
    assert of(b"ERROR:root:entry 8 failed", b"KeyError: 'action'") == "entry <n> failed | KeyError: 'action'"
    assert of(b"ERROR:root:entry 9 failed", b"ValueError: 'x1'") == "entry <n> failed | ValueError: <str>"
    assert of(b"ERROR:root:entry 7 failed") == "entry <n> failed | ValueError: <str>"


def test_a_flood_of_ever_new_lines_is_worked_out_in_part() -> None:
    """What is beyond the allowance has no template; what is known has."""
    templates = Templates()
    templates.renew(2)
    lines = [b"ERROR:root:a", b"ERROR:root:b", b"ERROR:root:c", b"ERROR:root:a"]
    assert [templates.of(line) for line in lines] == ["a", "b", None, "a"]
    templates.renew(2)
    assert templates.of(lines[2]) == "c"
    assert {templates.of(b"ERROR:root:HTTP 503 after %d s" % number) for number in range(9)} == {
        "HTTP 503 after <n> s"
    }


PIECES = [
    *(
        '{"msg": "',
        "ERROR",
        "2026-02-19 01:33:50 ",
        "'",
        '"',
        "\\",
        "\x1b[31m",
        "\u202e",
        "\0",
        "\n",
        " | ",
        "é",
    ),
    *("code=", "-17", "/", "a/b.c", "@", "://", "=", "msg=", "x" * 400, "1" * 400, "token=", "}", "[", "<n>"),
]


@settings(max_examples=150, deadline=None)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=30))
def test_whatever_the_line_a_template_is_short_and_printable(pieces: list[str]) -> None:
    """Hostile lines neither fail nor get through to a terminal."""
    found = template_of("".join(pieces).encode())
    assert 0 < len(found) <= LONGEST_TEMPLATE
    assert found.isprintable()
    assert found == " ".join(found.split())


@pytest.mark.parametrize(
    "piece", ["a", "1", "a1", "a.", "/a", "@", "'", '"', "\\", "=", "a=", ":", "-", "[", " ", "é"]
)
def test_no_line_takes_long(piece: str) -> None:
    """A megabyte of anything is a template in far less than a look."""
    began = time.process_time()
    for line in (
        piece * (1_000_000 // len(piece)),
        '{"msg": "' + piece.replace('"', "").replace("\\", "") * 100_000,
    ):
        assert template_of(line.encode())
    assert time.process_time() - began < 0.5
    assert template_of(b"") == template_of(b"\0\0") == NOTHING


# ---- the book ----------------------------------------------------------------------------------

NEWS = """
  what comes, minute by minute | new
  a a a a                      | n - - -
  (a) a b a b                  | - - n - -
  a _ _ _ a                    | n - - - -
  a b c d e a b c d e          | n n n n n - - - - -
  a a b b c d e f g h i j a b  | n - n - n n n n n n n n - -
"""


@pytest.mark.parametrize(("comes", "new"), rows(NEWS), ids=[row[0] for row in rows(NEWS)])
def test_what_came_before_is_never_new_again(comes: str, new: str) -> None:
    """A book of two templates and five marks; `(a)` was there before anybody watched, `_` is nothing."""
    book = Book(most_shown=2, most_marked=5)
    found = []
    for minute, sign in enumerate(comes.split()):
        if sign != "_":
            news = book.note(sign.strip("()"), 1, T0 + minutes(minute), b"", news=sign.isalpha())
        found.append("n" if sign != "_" and news else "-")
        assert len(list(book)) <= 2
    assert new.split() == found


def test_a_flood_of_others_does_not_make_old_noise_new() -> None:
    """What came twice stands apart from thousands that came once; also in the next process."""
    book = Book()
    for minute in range(2):
        assert book.note("noise", 3, T0 + minutes(minute), b"") is (minute == 0)
    for number in range(10_000):
        book.note(f"flood {number}", 1, T0 + minutes(2), b"")
    assert book.note("noise", 1, T0 + minutes(3), b"") is False
    later = Book()
    later.remember(book.memory())
    assert len(str(book.memory())) < 40_000
    assert later.memory() == book.memory()
    assert later.note("noise", 1, T0 + minutes(4), b"") is False
    assert later.note("other", 1, T0 + minutes(4), b"") is True


def test_memory_is_made_anew_only_for_another_template() -> None:
    """A quiet tick compares one object with itself."""
    book = Book()
    book.note("a", 1, T0, b"")
    before = book.memory()
    book.note("a", 1, T0, b"")
    assert book.memory() is before
    book.note("b", 1, T0, b"")
    assert book.memory() != before


def test_rates_and_news_of_a_window() -> None:
    """The most frequent first, the newest first, and what lies before the window is not in it."""
    book = Book()
    for minute, (template, count) in enumerate([("old", 50), ("a", 1), ("b", 7), ("a", 2)]):
        book.note(template, count, T0 + minutes(minute * 5), template.encode())
    now = T0 + minutes(17)
    assert [(n, entry.template, entry.example) for n, entry in book.top(minutes(15), now)] == [
        (7, "b", "b"),
        (3, "a", "a"),
    ]
    assert [entry.template for entry in book.new(minutes(10), now)] == ["b"]
    a = next(entry for entry in book if entry.template == "a")
    assert (a.count, a.first_seen, a.last_seen) == (3, T0 + minutes(5), T0 + minutes(15))


# ---- what is ignored ---------------------------------------------------------------------------

NOISE = b"2026-02-19 01:33:50,123 | ERROR | trace of plan 17: seen"
EXCLUSIONS = """
  what the file says                          | day of February | ignored
  template: trace of plan <n>: seen           | 19              | yes
  template: trace of  plan <n>: seen          | 19              | yes
  template: 2026-02-18 00:00:00,000 | ERROR | trace of plan 4: seen | 19 | yes
  template: trace of plan <n>                 | 19              | no
  regex: plan [0-9]+: seen$                   | 19              | yes
  regex: ^trace                               | 19              | no
  template: trace of plan <n>: seen until 19  | 19              | yes
  template: trace of plan <n>: seen until 18  | 19              | no
"""


@pytest.mark.parametrize("row", EXCLUSIONS.strip().splitlines()[1:], ids=lambda row: " ".join(row.split()))
def test_what_is_excluded(row: str) -> None:
    """By the template, or a line of it, or a regex; until the end of a day."""
    said, day, expected = (part.strip() for part in row.rsplit("|", 2))
    said, _, until = said.partition(" until ")
    kind, _, text = said.partition(": ")
    one = Exclusion(
        "noise",
        template=text if kind == "template" else None,
        patterns=compile_patterns({"ignore": text}) if kind == "regex" else None,
        until=T0.replace(day=int(until)).date() if until else None,
    )
    exclusions = Exclusions([one])
    exclusions.renew(T0.replace(day=int(day)))
    assert ("yes" if exclusions(NOISE) else "no") == expected
    assert exclusions(NOISE.replace(b"trace", b"loss")) is (kind == "regex" and expected == "yes")


def test_an_exclusion_says_what_it_kept_out_and_that_it_has_ended() -> None:
    """The count while it holds, a sentence once it does not."""
    end: datetime = T0 + timedelta(days=3)
    exclusions = Exclusions(
        [Exclusion("ticket 12", template="a", until=end.date()), Exclusion("b", template="b")]
    )
    exclusions.renew(T0)
    assert exclusions.told() == []
    assert list(map(exclusions, chain([b"ERROR:root:a"] * 2, [b"ERROR:root:c"]))) == [True, True, False]
    assert exclusions.told() == ["2 not counted: ticket 12 (until 2026-02-22)"]
    exclusions.renew(end + timedelta(days=1))
    assert not exclusions(b"ERROR:root:a")
    assert exclusions.told() == ["ended on 2026-02-22, so they count again: ticket 12"]
