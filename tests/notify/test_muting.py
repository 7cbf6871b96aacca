"""What people say to alerts: matchers, silences, acknowledgements, maintenance windows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.drawn import T0, ids, minutes, rows
from tests.notify.test_decisions import alert
from watchdog.model import Labels
from watchdog.muting import (
    Ack,
    Maintenance,
    Matcher,
    Silence,
    parse_matcher,
    settle,
    settle_acks,
    silenced,
)
from watchdog.notifications import Notice, Reason
from watchdog.routing import Policy
from watchdog.schedule import Schedule
from watchdog.telling import Wishes, why_muted

MATCHES = """
  matcher             | labels             | matches
  service=a           | service=a          | yes
  service=a           | service=ab         | no
  service=a           | -                  | no
  service=            | -                  | yes
  service=            | service=a          | no
  service!=a          | service=b          | yes
  service!=a          | service=a          | no
  service!=a          | -                  | yes
  service!=           | -                  | no
  service=~a          | service=a          | yes
  service=~a          | service=ab         | no
  service=~a.*        | service=ab         | yes
  service=~[ab]       | service=b          | yes
  service=~[ab]       | service=bb         | no
  service=~           | -                  | yes
  service=~.*         | -                  | yes
  service=~.+         | -                  | no
  service!~a.*        | service=ab         | no
  service!~a.*        | service=ba         | yes
  service!~a.*        | -                  | yes
  service!~.*         | -                  | no
"""


@pytest.mark.parametrize(("matcher", "labels", "matches"), rows(MATCHES), ids=ids(MATCHES))
def test_a_matcher_says_which_alerts_are_meant(matcher: str, labels: str, matches: str) -> None:
    """As in Alertmanager: a label that is absent is empty, a pattern matches the whole value."""
    given_ = Labels({} if labels == "-" else dict([labels.split("=")]))
    assert parse_matcher(matcher).matches(given_) is (matches == "yes")


READ = """
  text                    | matcher
  service=a               | service="a"
  service = a             | service="a"
  service="a b"           | service="a b"
  service=" a "           | service=" a "
  service=""              | service=""
  service=                | service=""
  service=~"Heart.*"      | service=~"Heart.*"
  service!~"a=b"          | service!~"a=b"
  service!=a              | service!="a"
"""


@pytest.mark.parametrize(("text", "matcher"), rows(READ), ids=ids(READ))
def test_matchers_are_read_as_people_write_them(text: str, matcher: str) -> None:
    """With and without quotes and blanks."""
    assert str(parse_matcher(text)) == matcher


UNREADABLE = """
  text          | why
  service       | "service" is not a matcher (write service=execution or alertname=~"Heart.*")
  =a            | "=a" is not a matcher (write service=execution or alertname=~"Heart.*")
  1service=a    | "1service=a" is not a matcher (write service=execution or alertname=~"Heart.*")
  service>a     | "service>a" is not a matcher (write service=execution or alertname=~"Heart.*")
  service=~(    | "(" is not a regular expression: missing ), unterminated subpattern at position 0
  service=~a{99999999999} | "a{99999999999}" is not a regular expression: the repetition number is too large
"""


@pytest.mark.parametrize(("text", "why"), rows(UNREADABLE), ids=ids(UNREADABLE))
def test_what_is_no_matcher_is_refused_in_one_sentence(text: str, why: str) -> None:
    """Whatever is asked for, it is the writer's mistake and says so."""
    with pytest.raises(ValueError) as caught:
        parse_matcher(text)
    assert str(caught.value) == why


@settings(deadline=None)
@given(st.sampled_from(["=", "!="]), st.text())
def test_a_matcher_reads_what_it_writes(op: str, value: str) -> None:
    """Whatever the value, quotes, blanks and lines included."""
    matcher = Matcher("service", op, value)
    assert parse_matcher(str(matcher)) == matcher


# ---- silences ----------------------------------------------------------------------------------


def silence(*matchers: str, until_resolved: bool = False, matched: bool = False) -> Silence:
    """Return a silence from T0 on, for an hour."""
    meant = tuple(map(parse_matcher, matchers))
    return Silence("s", meant, T0, T0 + minutes(60), "ada", "known", until_resolved, matched)


TIMES = """
  minute | active
  -1     | no
  0      | yes
  59     | yes
  60     | no
"""


@pytest.mark.parametrize(("minute", "active"), rows(TIMES), ids=ids(TIMES))
def test_a_silence_holds_from_its_start_until_its_end(minute: str, active: str) -> None:
    """Before it is pending, afterwards expired; neither holds anything back."""
    now = T0 + minutes(float(minute))
    assert silence("service=a").active(now) is (active == "yes")
    assert bool(silenced([silence("service=a")], [Labels(service="a")], now)) is (active == "yes")


WORDS = st.sampled_from(["", "a", "b", "ab"])
LABELS = st.dictionaries(st.sampled_from(["alertname", "service", "key"]), WORDS).map(Labels)
MATCHERS = st.builds(
    Matcher,
    st.sampled_from(["alertname", "service", "other"]),
    st.sampled_from(["=", "!=", "=~", "!~"]),
    st.sampled_from(["", "a", "b", "a.*", ".*", "a|b"]),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LABELS, max_size=8), st.lists(st.lists(MATCHERS, min_size=1, max_size=3), max_size=4))
def test_all_alerts_at_once_are_silenced_like_each_by_itself(
    everything: list[Labels], wishes: list[list[Matcher]]
) -> None:
    """Looking only at those that have a label's value leaves nobody out."""
    silences = [replace(silence(), matchers=tuple(matchers)) for matchers in wishes]
    one_by_one = {labels for labels in everything if any(s.matches(labels) for s in silences)}
    assert silenced(silences, everything, T0) == one_by_one


SETTLED = """
  silence                | alerts           | minute | then
  until_resolved         | -                | 1      | holds
  until_resolved         | firing           | 1      | holds matched
  until_resolved         | pending          | 1      | holds
  until_resolved         | resolved         | 1      | holds
  until_resolved matched | firing           | 1      | holds matched
  until_resolved matched | blind            | 1      | holds matched
  until_resolved matched | resolved firing  | 1      | holds matched
  until_resolved matched | pending          | 1      | ended matched
  until_resolved matched | resolved         | 1      | ended matched
  until_resolved matched | -                | 1      | ended matched
  until_resolved matched | -                | -1     | pending matched
  matched                | resolved         | 1      | holds matched
  -                      | firing           | 1      | holds
  until_resolved         | -                | 61     | expired
  -                      | firing           | 7260   | gone
"""


@pytest.mark.parametrize(("drawn", "states", "minute", "then"), rows(SETTLED), ids=ids(SETTLED))
def test_a_silence_ends_with_its_alerts_if_asked_to(drawn: str, states: str, minute: str, then: str) -> None:
    """Not before it held something back; five days after its end it is forgotten."""
    before = silence("service=a", until_resolved="until" in drawn, matched=drawn.endswith("matched"))
    alerts = [alert(f"A{i}", "a", state) for i, state in enumerate(states.split()) if state != "-"]
    now = T0 + minutes(float(minute))
    after = settle({"s": before}, [*alerts, alert("B", "b")], now).get("s")
    if after is None:
        found = "gone"
    elif after.active(now):
        found = "holds"
    elif now < after.starts_at:
        found = "pending"
    else:
        found = "ended" if after.ends_at == now else "expired"
    assert found + " matched" * (after is not None and after.matched) == then


ACKS = """
  alert            | of the firing | then
  firing           | this          | holds
  blind            | this          | holds
  firing           | earlier       | void
  resolved         | this          | void
  pending          | this          | void
  -                | this          | void
"""


@pytest.mark.parametrize(("state", "of", "then"), rows(ACKS), ids=ids(ACKS))
def test_an_acknowledgement_is_of_one_firing(state: str, of: str, then: str) -> None:
    """It is void once that ended, or a new one began."""
    fires = alert("A", "a")
    mark = fires.labels.fingerprint
    acks = {mark: Ack(mark, T0 if of == "this" else T0 - minutes(9), T0, "ada")}
    alerts = [alert("B", "b")] + ([] if state == "-" else [alert("A", "a", state)])
    assert list(settle_acks(acks, alerts)) == ([mark] if then == "holds" else [])


MUTED = """
  silence   | window    | cause | why
  service=a | service=a | b     | silenced
  service=b | service=a | b     | maintenance
  service=b | service=b | b     | held_by_cause
  service=b | service=b | -     | -
"""


@pytest.mark.parametrize(("matcher", "window", "cause", "why"), rows(MUTED), ids=ids(MUTED))
def test_the_first_reason_to_say_nothing_is_the_one_that_is_named(
    matcher: str, window: str, cause: str, why: str
) -> None:
    """A silence, a window, a cause: in this order."""
    match = dict([window.split("=")])
    always = Maintenance(Schedule("* * * * *"), minutes(5), {k: frozenset({v}) for k, v in match.items()})
    policy = Policy((), {}, {}, maintenance=(always,))
    notice = Notice(alert("A", "a"), None if cause == "-" else cause, ())
    found = why_muted(notice, policy, Wishes({"s": silence(matcher)}), T0)
    assert found == (None if why == "-" else Reason(why))


# ---- maintenance windows -----------------------------------------------------------------------

WINDOWS = """
  window                        | length | now (UTC)         | active
  0 2 * * * Europe/Berlin       | 2h     | 2026-02-19T00:59  | no
  0 2 * * * Europe/Berlin       | 2h     | 2026-02-19T01:00  | yes
  0 2 * * * Europe/Berlin       | 2h     | 2026-02-19T02:59  | yes
  0 2 * * * Europe/Berlin       | 2h     | 2026-02-19T03:00  | no
  0 2 * * * Europe/Berlin       | 2h     | 2026-03-29T00:59  | no
  0 2 * * * Europe/Berlin       | 2h     | 2026-03-29T01:00  | yes
  0 2 * * * Europe/Berlin       | 2h     | 2026-03-29T02:59  | yes
  0 2 * * * Europe/Berlin       | 2h     | 2026-03-29T03:00  | no
  0 2 * * * Europe/Berlin       | 2h     | 2026-10-25T00:00  | yes
  0 2 * * * Europe/Berlin       | 2h     | 2026-10-25T01:59  | yes
  0 2 * * * Europe/Berlin       | 2h     | 2026-10-25T02:00  | no
  0 1 * * * America/New_York    | 3h     | 2026-11-01T05:00  | yes
  0 1 * * * America/New_York    | 3h     | 2026-11-01T07:59  | yes
  0 1 * * * America/New_York    | 3h     | 2026-11-01T08:00  | no
  0 1 * * * America/New_York    | 3h     | 2026-11-02T05:59  | no
  30 2 * * * Asia/Kolkata       | 1h     | 2026-03-28T21:00  | yes
  30 2 * * * Asia/Kolkata       | 1h     | 2026-03-28T22:00  | no
  0 22 * * fri Europe/Berlin    | 56h    | 2026-03-27T20:59  | no
  0 22 * * fri Europe/Berlin    | 56h    | 2026-03-27T21:00  | yes
  0 22 * * fri Europe/Berlin    | 56h    | 2026-03-28T23:00  | yes
  0 22 * * fri Europe/Berlin    | 56h    | 2026-03-30T04:59  | yes
  0 22 * * fri Europe/Berlin    | 56h    | 2026-03-30T05:00  | no
  0 2 * * * Europe/Berlin       | 30h    | 2026-02-19T00:30  | yes
  0 0 29 2 * UTC                | 1h     | 2026-02-28T23:30  | no
  0 0 29 2 * UTC                | 1h     | 2028-02-29T00:30  | yes
"""


@pytest.mark.parametrize(("line", "hours", "now", "active"), rows(WINDOWS), ids=ids(WINDOWS))
def test_a_window_is_as_long_as_it_says_wherever_and_whenever(
    line: str, hours: str, now: str, active: str
) -> None:
    """Through both changes of the clocks, over a weekend, longer than the time between two of them."""
    cron, _, zone = line.rpartition(" ")
    window = Maintenance(Schedule(cron, zone), timedelta(hours=int(hours[:-1])), {})
    assert window.active(datetime.fromisoformat(now).replace(tzinfo=UTC)) is (active == "yes")


def test_a_window_is_for_the_alerts_it_names() -> None:
    """All of its labels must be among the allowed ones; without any it is for all."""
    named = {"service": frozenset({"a", "b"}), "severity": frozenset({"warning"})}
    window = Maintenance(Schedule("0 2 * * *"), minutes(60), named)
    meant = [
        window.matches(Labels(service=s, severity=w)) for s in ("a", "c") for w in ("warning", "critical")
    ]
    assert meant == [True, False, False, False]
    assert replace(window, match={}).matches(Labels(service="c"))
