"""Mail: what is written, compared whole, and handed over to a real SMTP server."""

from __future__ import annotations

import asyncio
import shutil
import smtplib
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.drawn import T0, minutes
from tests.notify.test_payloads import ALERT, ENDED, LINK, STALE, notification, receiver, send
from watchdog.errors import NotifyError
from watchdog.notifications import Notification
from watchdog.notifiers.email import compose, refusal
from watchdog.notifiers.text import text

SENDER = "Pipeline Watchdog <watchdog@example.com>"
TO = ("ana@example.com", "ben@example.com")
PASSWORD = "correct-horse"


def mail(message: Notification, thread: str | None = None) -> EmailMessage:
    """Return *message* as a mail to Ana and Ben."""
    return compose(message, LINK, T0, thread=thread, sender=SENDER, to=TO)


def parsed(raw: bytes) -> EmailMessage:
    """Return a mail as its reader's program understands it."""
    return message_from_bytes(raw, policy=WIRE)


def test_a_mail_is_a_subject_and_a_text() -> None:
    """The headers say that no human wrote it, and which message it is."""
    assert mail(notification(ALERT)).as_string() == (
        "From: Pipeline Watchdog <watchdog@example.com>\r\n"
        "To: ana@example.com, ben@example.com\r\n"
        "Subject: CRITICAL: rl_trainer has no heartbeat at\r\n"
        " quantum:svc:rl_trainer:heartbeat; needed by apply_layer, execution\r\n"
        " [HeartbeatMissing]\r\n"
        "Date: Thu, 19 Feb 2026 01:00:00 +0000\r\n"
        "Message-ID: <8a4f@example.com>\r\n"
        "Auto-Submitted: auto-generated\r\n"
        "X-Auto-Response-Suppress: All\r\n"
        'Content-Type: text/plain; charset="utf-8"\r\n'
        "Content-Transfer-Encoding: quoted-printable\r\n"
        "MIME-Version: 1.0\r\n"
        "\r\n"
        "CRITICAL: rl_trainer has no heartbeat at quantum:svc:rl_trainer:heartbeat; ne=\r\n"
        "eded by apply_layer, execution [HeartbeatMissing]\r\n"
        "  since: 2026-02-19 01:00:00 UTC\r\n"
        "  figure: the heartbeat exists: no (heartbeat.present =3D=3D 0)\r\n"
        "  evidence: last beat: never seen\r\n"
        "  affects: apply_layer, execution\r\n"
        "  next: watchdog explain HeartbeatMissing --service rl_trainer\r\n"
        "  silence: watchdog silence add alertname=3DHeartbeatMissing service=3Drl_tra=\r\n"
        "iner --for 1h --comment WHY\r\n"
        "  status page: http://127.0.0.1:9821/services/rl_trainer#alert-c6a265f33e8e06=\r\n"
        "73\r\n"
        "  runbook: https://runbooks.example/#heartbeatmissing\r\n"
        "\r\n"
        "everything: http://127.0.0.1:9821\r\n"
    )


@pytest.mark.parametrize(
    "thread", ["<1@example.com>", None, "#ops/1.5", "<1@x>\r\nBcc: eve@example.com", "<>"]
)
def test_a_mail_answers_the_first_of_its_outage(thread: str | None) -> None:
    """What is not the name of a mail is no thread."""
    answer = mail(notification(ENDED), thread)
    known = "<1@example.com>" if thread == "<1@example.com>" else None
    assert (answer["In-Reply-To"], answer["References"], answer["Bcc"]) == (known, known, None)


HEADERS = parsed(mail(notification(ALERT)).as_bytes()).keys()


@settings(deadline=None)
@given(st.text() | st.text("\r\n\0 \t:é\ud800\u2028", max_size=300), st.text())
def test_nothing_from_outside_becomes_a_header(summary: str, by: str) -> None:
    """Whatever an alert says, the mail has the headers we gave it, and its text is what we wrote."""
    nasty = notification(
        replace(ALERT, summary=summary, evidence={by: f"{summary}\r\nBcc: eve@example.com\r\n\r\n"})
    )
    arrived = parsed(mail(nasty).as_bytes())
    assert arrived.keys() == HEADERS
    subject = arrived["Subject"].strip()  # it may begin on a line of its own
    assert subject.startswith("CRITICAL: ")
    assert len(subject) <= 200
    assert arrived.get_content().replace("\r\n", "\n") == text(nasty, LINK, T0)


# ---- handing over ------------------------------------------------------------------------------


class Postbox:
    """Takes mail, or answers as told: to recipients by their address, to texts in turn."""

    def __init__(self, *answers: str, refused: dict[str, str] | None = None) -> None:
        self.answers = list(answers)
        self.refused = refused or {}
        self.mails: list[EmailMessage] = []
        self.envelopes: list[tuple[str | None, list[str]]] = []
        self.tls: list[bool] = []

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept a recipient, or not."""
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take a mail, or not."""
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            self.mails.append(parsed(envelope.content))
            self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
            self.tls.append(_ssl(server))
        return answer


def _ssl(server: SMTP) -> bool:
    assert server.transport is not None
    return server.transport.get_extra_info("ssl_object") is not None


@asynccontextmanager
async def listening(
    postbox: Postbox, tls: ssl.SSLContext | None = None, *, implicit: bool = False, login: bool = False
) -> AsyncIterator[str]:
    """Run an SMTP server and give its ``host:port``."""

    def check(
        server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        return AuthResult(success=data == LoginPassword(b"ana", PASSWORD.encode()), handled=False)

    def protocol() -> SMTP:
        return SMTP(
            postbox,
            hostname="mail.example.com",
            tls_context=None if implicit else tls,
            require_starttls=tls is not None and not implicit,
            authenticator=check if login else None,
            auth_required=login,
            loop=loop,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls if implicit else None)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


def plain(address: str, **keys: object) -> dict[str, object]:
    """Return the keys of a receiver at *address*."""
    return {"to": list(TO), "from": SENDER, "smtp": address, "tls": "none", "timeout": "5s", **keys}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for this host that nobody has signed but itself; its key stands beside it."""
    openssl = shutil.which("openssl")
    assert openssl, "openssl is needed (apt-get install openssl)"
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    named = ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(path.with_suffix(".key")), "-out", str(path)]
    subprocess.run([*command, *named, *files], check=True, capture_output=True)
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """The server's side of TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context


async def test_a_mail_arrives_under_one_name_however_often_it_is_sent() -> None:
    """A mailbox drops the double; what follows answers the first."""
    postbox = Postbox("451 4.3.0 come back later")
    async with listening(postbox) as address:
        mailer = receiver("email", **plain(address))
        with pytest.raises(NotifyError) as caught:
            await send(mailer, notification(ALERT))
        assert (str(caught.value), caught.value.permanent) == ("answered the text with 451", False)
        thread = await send(mailer, notification(ALERT), now=T0 + minutes(2))
        assert thread == "<8a4f@example.com>"
        later = replace(notification(ENDED), key="9b50")
        assert await send(mailer, later, thread=thread) == thread
    first, second = postbox.mails
    assert (first["Message-ID"], second["Message-ID"], second["References"]) == (
        thread,
        "<9b50@example.com>",
        thread,
    )
    assert first.get_content().startswith(
        "decided at 2026-02-19 01:00:00 UTC, 2m late\r\n\r\nCRITICAL: rl_tr"
    )
    assert postbox.envelopes[0] == ("watchdog@example.com", list(TO))


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
async def test_mail_and_login_go_through_tls(mode: str, tls: ssl.SSLContext, certificate: Path) -> None:
    """With a certificate that we are told to trust; the server knows of logins only after STARTTLS."""
    postbox = Postbox()
    implicit = mode == "implicit"
    login = {} if implicit else {"username": "ana", "password": PASSWORD}
    async with listening(postbox, tls, implicit=implicit, login=not implicit) as address:
        await send(
            receiver("email", **plain(address, tls=mode, ca_file=str(certificate), **login)),
            notification(ALERT),
        )
    assert (len(postbox.mails), postbox.tls) == (1, [True])


async def test_a_certificate_that_nobody_vouches_for_gets_no_mail(tls: ssl.SSLContext) -> None:
    """It may be mended, so it is tried again."""
    postbox = Postbox()
    async with listening(postbox, tls) as address:
        with pytest.raises(NotifyError) as caught:
            await send(receiver("email", **plain(address, tls="starttls")), notification(ALERT))
    assert (str(caught.value), caught.value.permanent) == (
        "has no certificate we trust: self-signed certificate",
        False,
    )
    assert postbox.mails == []


async def test_without_starttls_nothing_is_said(certificate: Path) -> None:
    """Somebody in between may have taken the offer away."""
    postbox = Postbox()
    async with listening(postbox) as address:
        with pytest.raises(NotifyError) as caught:
            await send(receiver("email", **plain(address, tls="starttls")), notification(ALERT))
    assert (str(caught.value), caught.value.permanent) == (
        "cannot do what is asked for: STARTTLS extension not supported by server.",
        True,
    )


async def test_a_wrong_password_is_final_and_stays_secret(tls: ssl.SSLContext, certificate: Path) -> None:
    """Trying again would only lock the account."""
    async with listening(Postbox(), tls, login=True) as address:
        keys = plain(address, tls="starttls", ca_file=str(certificate), username="ana", password="verysecret")
        with pytest.raises(NotifyError) as caught:
            await send(receiver("email", **keys), notification(ALERT))
    assert (str(caught.value), caught.value.permanent) == ("answered the login with 535", True)


UNKNOWN, LATER = "550 5.1.1 who?", "450 4.2.0 greylisted"
ANSWERS: dict[str, tuple[tuple[str, ...], dict[str, str], tuple[str, bool] | None]] = {
    "one recipient is unknown": ((), {TO[1]: UNKNOWN}, None),
    "all are unknown": ((), dict.fromkeys(TO, UNKNOWN), ("answered every recipient with 550", True)),
    "one is unknown, one to be tried later": (
        (),
        {TO[0]: UNKNOWN, TO[1]: LATER},
        ("answered every recipient with 550; answered every recipient with 450", False),
    ),
    "the text is refused": (("554 5.7.1 spam",), {}, ("answered the text with 554", True)),
    "the text is too early": (("452 4.3.1 no room",), {}, ("answered the text with 452", False)),
}


@pytest.mark.parametrize(("answers", "refused", "expected"), ANSWERS.values(), ids=ANSWERS)
async def test_a_mail_is_taken_if_one_recipient_is_accepted(
    answers: tuple[str, ...], refused: dict[str, str], expected: tuple[str, bool] | None
) -> None:
    """5xx is final, 4xx is not."""
    said = None
    postbox = Postbox(*answers, refused=refused)
    async with listening(postbox) as address:
        try:
            await send(receiver("email", **plain(address)), notification(STALE))
        except NotifyError as exc:
            said = (str(exc), exc.permanent)
    assert said == expected
    assert len(postbox.mails) == (expected is None)


async def test_a_server_that_says_nothing_is_waited_for_only_so_long() -> None:
    """The whole dialogue has one time-out."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(NotifyError, match=r"^no answer within 0\.2s$") as caught:
            await send(receiver("email", **plain(address, timeout="200ms")), notification(ALERT))
    assert not caught.value.permanent
    with pytest.raises(NotifyError, match=r"^cannot be reached \(ConnectionRefusedError\)$"):
        await send(receiver("email", **plain(address)), notification(ALERT))


FAILURES = {
    "gone": (smtplib.SMTPServerDisconnected("bye verysecret"), "closed the connection", False),
    "busy": (smtplib.SMTPConnectError(421, "verysecret"), "answered 421", False),
    "no greeting": (smtplib.SMTPHeloError(504, "verysecret"), "answered our greeting with 504", True),
    "a later login": (
        smtplib.SMTPAuthenticationError(454, "verysecret"),
        "answered the login with 454",
        False,
    ),
    "the sender": (
        smtplib.SMTPSenderRefused(553, b"verysecret", "a@b"),
        "answered the sender's address with 553",
        True,
    ),
    "no login we know": (smtplib.SMTPException("verysecret"), "offers no way to log in that we know", True),
    "nonsense": (smtplib.SMTPResponseException(-1, "verysecret"), "answered -1", False),
}


@pytest.mark.parametrize(("failure", "said", "permanent"), FAILURES.values(), ids=FAILURES)
def test_what_a_server_says_is_left_out(failure: smtplib.SMTPException, said: str, permanent: bool) -> None:
    """It may repeat anything; its number is enough."""
    error = refusal(failure)
    assert (str(error), error.permanent) == (said, permanent)
