"""
`slack`: Block Kit within Slack's limits, one sentence first; untrusted text stays text.

How bad it is is said by a sign and a word, not by a bar of colour: only attachments have bars, which
Slack calls legacy and folds away when they are long, and no lock screen shows one.

With a bot token an outage stays in one thread: what follows its first message is a reply to it,
shown in the channel as well unless it merely says that somebody has acknowledged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from watchdog.errors import NotifyError
from watchdog.fields import Secret, SecretUrl
from watchdog.links import Links
from watchdog.notifications import Notice, Notification, Reason, one_line
from watchdog.notifiers.base import Notifier, Sending, check, encode, retry_after
from watchdog.notifiers.text import Fact, delay, facts, flat, headline, links_of
from watchdog.routing import Habit
from watchdog.rules import Severity

if TYPE_CHECKING:
    import httpx

MAX_BLOCKS = 50
MAX_HEADER = 150
MAX_SECTION = 3_000
MAX_TEXT = 300
MAX_NAME, MAX_SUMMARY, MAX_FACT, MAX_URL = 60, 300, 190, 200
"""So much of each that all but figures and evidence always fit into a section."""
BRIEF = 2
"""So many lines a section has where there is room for no more: the alert, and since when."""
MORE = "• …"
SOFT = frozenset({"figure", "evidence"})
"""The facts that are left out where there is no room for them."""
TYPED = frozenset({"next", "silence"})
"""The facts that are commands."""
CONTROL = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "'"}
LOOKALIKES = {"*": "∗", "_": "＿", "~": "∼"}
_OPENS = re.compile(r"(?<![A-Za-z0-9])[*_~](?=\S)")
"""A sign that would begin bold, italic or struck text."""
SIGNS = {Severity.CRITICAL: "🔴", Severity.WARNING: "🟠", Severity.INFO: "🔵"}
ENDED, NO_ALERT = "✅", "💬"
MAX_JSON = 12_000
"""All blocks together; not documented, but beyond some 13,200 characters Slack says `msg_blocks_too_long`."""
SHOWN = MAX_BLOCKS - 3
"""Alerts beyond so many are only counted."""

TEMPORARY = frozenset(
    {
        "fatal_error",
        "internal_error",
        "rate_limited",
        "ratelimited",
        "request_timeout",
        "service_unavailable",
        "team_added_to_org",
    }
)
NO_THREAD = frozenset(
    {
        "cannot_reply_to_message",
        "invalid_thread_ts",
        "message_not_found",
        "restricted_action_thread_locked",
        "thread_not_found",
    }
)
"""The thread is gone or closed; the message is posted without it."""
CURES = {
    "channel_not_found": "check `channel`, and invite the bot to it if it is private",
    "invalid_auth": "check the token",
    "missing_scope": "give the bot the scope chat:write",
    "not_in_channel": "invite the bot to the channel",
    "token_revoked": "make a new token",
}
_WORD = re.compile(r"[a-z_]{3,60}")
_MOMENT = re.compile(r"\d+\.\d+")


class Slack(Notifier):
    """Posts to an incoming webhook (`url`), or with a bot's `token` to a `channel`, an outage a thread."""

    pause: ClassVar[timedelta] = timedelta(seconds=1)

    url: SecretUrl | None = Field(
        None,
        description="the incoming webhook",
        examples=["${SLACK_WEBHOOK_URL}", {"file": "/run/secrets/slack"}],
    )
    token: Secret | None = Field(
        None,
        description="a bot token with the scope chat:write, instead of a url",
        examples=[{"file": "/run/secrets/slack"}],
    )
    channel: str | None = Field(
        None, min_length=1, description="the channel's ID or name, with a token", examples=["C0123456789"]
    )
    api: SecretUrl = Field("https://slack.com/api", validate_default=True, description="the API's address")

    @model_validator(mode="after")
    def _one_way(self) -> Slack:
        if self.url is not None and (self.token is not None or self.channel is not None):
            raise ValueError("has both a url and a token or channel (keep the url, or the other two)")
        if self.url is None and (self.token is None or self.channel is None):
            raise ValueError("nobody would ever hear (give a webhook's url, or a token and a channel)")
        return self

    @property
    def habit(self) -> Habit:
        """Return that a thread can show who has acknowledged."""
        return Habit(hears_acks=self.token is not None)

    async def send(self, notification: Notification, sending: Sending) -> str | None:
        """Post the message and return its thread, if it can have one; NotifyError if it is not taken."""
        body = message(notification, sending.links, sending.now)
        if self.url is not None:
            response = await self.ask(self.url.get_secret_value(), sending, encode(body))
            check(response, sending.now, _word(response.text))
            return None
        body["channel"] = self.channel
        root = self._root(sending.thread)
        error, moment = await self._say(body | (reply(notification, root) if root else {}), sending)
        if root and error in NO_THREAD:
            root = ""
            error, moment = await self._say(body, sending)
        if error:
            cure = f" ({CURES[error]})" if error in CURES else ""
            raise NotifyError(f"answered {error}{cure}", permanent=True)
        return f"{self.channel}/{root or moment}" if root or moment else None

    def _root(self, thread: str | None) -> str:
        """Return the moment of the message that began *thread*, if that is in this channel."""
        channel, _, moment = (thread or "").rpartition("/")
        return moment if channel == self.channel and _MOMENT.fullmatch(moment) else ""

    async def _say(self, body: dict[str, Any], sending: Sending) -> tuple[str, str]:
        """Call chat.postMessage; return Slack's word for a lasting error, and the message's moment."""
        assert self.token is not None
        headers = {"Authorization": f"Bearer {self.token.get_secret_value()}"}
        url = self.api.get_secret_value().rstrip("/") + "/chat.postMessage"
        response = await self.post(url, sending, encode(body), headers)
        answer = _answer(response)
        if answer.get("ok") is True:
            moment = str(answer.get("ts", ""))
            return "", moment if _MOMENT.fullmatch(moment) else ""
        error = _word(str(answer.get("error", ""))) or "no reason"
        if error in TEMPORARY:
            wait = retry_after(response, sending.now)
            raise NotifyError(f"answered {error}", permanent=False, retry_after=wait)
        return error, ""


def _answer(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError as exc:
        raise NotifyError("gave an answer that is not JSON", permanent=False) from exc
    return answer if isinstance(answer, dict) else {}


def _word(text: str) -> str:
    """Return *text* if it is a word as Slack names errors; nothing otherwise, since it may hold anything."""
    return text.strip() if _WORD.fullmatch(text.strip()) else ""


# ---- the message -------------------------------------------------------------------------------


def message(notification: Notification, links: Links, now: datetime) -> dict[str, Any]:
    """Return the message: a line for the phone, then a section an alert."""
    notices = notification.notices
    sign = f"{_sign(notices[0])} "
    line = headline(notification, MAX_HEADER - len(sign))
    title = {"type": "plain_text", "text": sign + line, "emoji": False}
    top: list[dict[str, Any]] = [{"type": "header", "text": title}]
    if late := delay(notification, now):
        top.append(_context(late))
    everything = _link("everything", links.base)
    longest = _context(f"{len(notices)} more alerts · {everything}")
    whole = not line.endswith("…")
    told = (_lines(n, links, titled=i > 0 or not whole) for i, n in enumerate(notices[:SHOWN]))
    sections = _sections(told, MAX_JSON - _size([*top, longest]))
    left_out = len(notices) - len(sections)
    footer = f"{left_out} more alerts · {everything}" if left_out else everything
    return {
        "text": sign + escape(headline(notification, MAX_TEXT)),
        "blocks": [*top, *sections, _context(footer)],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _sign(notice: Notice) -> str:
    if notice.reason in (Reason.REPORT, Reason.TEST):
        return NO_ALERT
    return ENDED if notice.resolved else SIGNS[notice.alert.severity]


def reply(notification: Notification, moment: str) -> dict[str, Any]:
    """Return what makes a message a reply to that of *moment*, seen in the channel if it has to be."""
    quiet = {n.reason for n in notification.notices if n.reason} == {Reason.ACKNOWLEDGED}
    return {"thread_ts": moment, "reply_broadcast": not quiet}


def _sections(told: Iterable[list[str]], room: int) -> list[dict[str, Any]]:
    """Return a section for each of the first *told* for which there is *room*, if need be a brief one."""
    sections: list[dict[str, Any]] = []
    for lines in told:
        section = _section(lines)
        if _size(section) > room:
            section = _section(lines[:BRIEF])
        room -= _size(section)
        if room < 0:
            break
        sections.append(section)
    return sections


def _section(lines: Iterable[str]) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn("\n".join(lines))}


def _size(blocks: object) -> int:
    return len(encode(blocks)) + 1


def _lines(notice: Notice, links: Links, *, titled: bool) -> list[str]:
    """
    Return what is said of an alert; of figures and evidence only as much as there is room for.

    It is *titled* with its sentence unless that stands above it already.
    """
    title = [f"{_sign(notice)} *{escape(one_line(notice), MAX_SUMMARY)}*"] if titled else []
    found = [(fact.name in SOFT, _line(fact, notice)) for fact in facts(notice)]
    found.append((False, " · ".join(_link(name, url) for name, url in links_of(notice, links))))
    firm = [*title, *(line for soft, line in found if not soft)]
    room = MAX_SECTION - sum(len(line) + 1 for line in firm) - len(MORE)
    lines = title
    for soft, line in found:
        if not soft:
            lines.append(line)
        elif room > 0:
            room -= len(line) + 1
            lines.append(line if room >= 0 else MORE)
    return lines


def _line(fact: Fact, notice: Notice) -> str:
    """Return *fact* as a line; what somebody may want to copy or to compare stands as it is."""
    if fact.name == "figure":
        return f"• {escape(fact.text, MAX_FACT)}"
    if fact.name == "evidence":
        name, _, said = fact.text.partition(": ")
        return f"• {escape(name, MAX_NAME)}: {_code(said)}"
    if fact.name in TYPED:
        return f"*{fact.name}* {_code(fact.text)}"
    if fact.name == "since":
        return f"*since* {_local(notice.alert.active_since)} · {escape(fact.text, MAX_FACT)}"
    return f"*{fact.name}* {escape(fact.text, MAX_FACT)}"


def _code(text: str) -> str:
    """Return *text* set as it is: in it nothing is bold, and all of it is copied at once."""
    return f"`{_replaced(flat(text), MAX_FACT) or ' '}`"


def _local(at: datetime) -> str:
    """Return *at* in the time zone of whoever reads it."""
    return f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|{at.astimezone(UTC):%H:%M} UTC>"


def _link(word: str, url: str) -> str:
    """Return *url* behind *word*; as a text if it is no web address or too long for a link."""
    target = _replaced(flat(url).replace("|", "%7C"))
    if url.startswith(("http://", "https://")) and len(target) <= MAX_URL:
        return f"<{target}|{word}>"
    return f"{word}: {escape(url, MAX_FACT)}"


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [_mrkdwn(text)]}


def _mrkdwn(text: str) -> dict[str, Any]:
    """Return a text object; `verbatim` keeps Slack from finding mentions and links in plain words."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def escape(text: str, most: int | None = None) -> str:
    """
    Return *text* in one line of at most *most* characters, so that it links, mentions and formats nothing.

    Slack's three control signs are replaced, and backticks, which would take all that follows for
    code; a sign that would make what follows bold or struck gives way to one that looks like it.
    No replacement is cut in the middle.
    """
    return _replaced(_OPENS.sub(lambda sign: LOOKALIKES[sign[0]], flat(text)), most)


def _replaced(text: str, most: int | None = None) -> str:
    signs = [CONTROL.get(sign, sign) for sign in text]
    if most is None or sum(map(len, signs)) <= most:
        return "".join(signs)
    kept: list[str] = []
    room = most - 1
    for sign in signs:
        room -= len(sign)
        if room < 0:
            break
        kept.append(sign)
    return "".join(kept) + "…"
