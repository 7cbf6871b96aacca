"""`email`: a plain text over SMTP; all attempts have one Message-ID, all mails of an outage one thread."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from watchdog.errors import NotifyError
from watchdog.fields import Address, Duration, Secret
from watchdog.later import later
from watchdog.links import Links
from watchdog.notifications import Notification
from watchdog.notifiers.base import Notifier, Sending, listed, none_took, note_partial
from watchdog.notifiers.text import headline, text
from watchdog.threads import in_thread

if TYPE_CHECKING:
    import asyncio
    import email.utils as lines
    import smtplib
    import ssl
    from email.headerregistry import Address as Mailbox
    from email.message import EmailMessage
else:
    asyncio, lines, smtplib, ssl = map(later, ("asyncio", "email.utils", "smtplib", "ssl"))
headers, messages, policies = map(later, ("email.headerregistry", "email.message", "email.policy"))
MAX_SUBJECT = 200
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]*[A-Za-z0-9]")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]+>")
ANSWERED = {
    "SMTPHeloError": "answered our greeting with",
    "SMTPAuthenticationError": "answered the login with",
    "SMTPSenderRefused": "answered the sender's address with",
    "SMTPDataError": "answered the text with",
}
"""What was refused, by smtplib's names."""


def _mailbox(text: str) -> str:
    name, address = lines.parseaddr(text)
    if not text.isprintable() or not _ADDRESS.fullmatch(address) or "@" in name:
        raise ValueError("this is not a mail address (write name@example.com, or Name <name@example.com>)")
    return text


MailAddress = Annotated[str, AfterValidator(_mailbox)]
"""``name@host`` or ``Name <name@host>``."""
MailAddresses = Annotated[tuple[MailAddress, ...], BeforeValidator(listed)]


class Email(Notifier):
    """Sends mail over SMTP, by default with STARTTLS."""

    to: MailAddresses = Field(description="one address or several", examples=["ops@example.com"])
    from_: MailAddress = Field(
        alias="from", description="the sender's address", examples=["watchdog@example.com"]
    )
    smtp: Address = Field(description="host:port of the mail server", examples=["mail.example.com:587"])
    username: str | None = Field(
        None, min_length=1, description="for the login, with a password", examples=["watchdog"]
    )
    password: Secret | None = Field(
        None, description="for the login", examples=[{"file": "/run/secrets/smtp"}]
    )
    tls: Literal["starttls", "implicit", "none"] = Field(
        "starttls", description="starttls, implicit (often port 465), or none on this very host"
    )
    ca_file: str | None = Field(
        None, description="certificates to trust instead of the system's", examples=["/etc/ssl/mail-ca.pem"]
    )
    timeout: Duration = Field("30s", validate_default=True, description="how long handing over may take")

    @model_validator(mode="after")
    def _consistent(self) -> Email:
        if (self.username is None) != (self.password is None):
            raise ValueError("a login needs a username and a password (give both or neither)")
        password = "" if self.password is None else self.password.get_secret_value()
        if not f"{self.username}{password}".isascii():
            raise ValueError("the login has signs beyond ASCII, which cannot be sent (choose another)")
        if self.tls == "none" and not _is_loopback(self.smtp[0]):
            raise ValueError("without TLS the mail could be read on its way (set tls: starttls or implicit)")
        if self.ca_file is not None:
            if self.tls == "none":
                raise ValueError("ca_file is of no use without TLS (remove it)")
            try:
                ssl.create_default_context(cafile=self.ca_file)
            except OSError as exc:
                raise ValueError(
                    f"the ca_file cannot be used: {exc.strerror or exc.__class__.__name__}"
                ) from None
        return self

    async def send(self, notification: Notification, sending: Sending) -> str | None:
        """Hand the mail over and return the thread it is in; NotifyError if no recipient was accepted."""
        mail = await in_thread(lambda: self._mail(notification, sending))  # what it needs may yet be loaded
        seconds = self.timeout.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                refused = await in_thread(lambda: self._hand_over(mail, seconds))
        except TimeoutError as exc:
            raise NotifyError(f"no answer within {seconds:g}s", permanent=False) from exc
        except (smtplib.SMTPException, OSError) as exc:
            raise refusal(exc) from exc
        if refused:
            note_partial(notification.receiver, len(self.to), refused)
        return str(mail["References"] or mail["Message-ID"])

    def _mail(self, notification: Notification, sending: Sending) -> EmailMessage:
        return compose(
            notification, sending.links, sending.now, thread=sending.thread, sender=self.from_, to=self.to
        )

    def _hand_over(self, mail: EmailMessage, seconds: float) -> list[NotifyError]:
        """Do the whole dialogue (in a thread) and return what was said of recipients that were refused."""
        host, port = self.smtp
        context = None if self.tls == "none" else ssl.create_default_context(cafile=self.ca_file)
        if self.tls == "implicit":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=seconds, context=context)
        else:
            server = smtplib.SMTP(host, port, timeout=seconds)
        try:
            if self.tls == "starttls":
                server.starttls(context=context)
            if self.username is not None and self.password is not None:
                server.login(self.username, self.password.get_secret_value())
            recipients = [lines.parseaddr(address)[1] for address in self.to]
            refused = server.send_message(mail, lines.parseaddr(self.from_)[1], recipients)
            with contextlib.suppress(smtplib.SMTPException, OSError):  # it has been taken, whatever follows
                server.quit()
        finally:
            server.close()
        return [_answered("answered a recipient with", code) for code, _ in refused.values()]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def compose(
    notification: Notification,
    links: Links,
    now: datetime,
    *,
    thread: str | None,
    sender: str,
    to: Sequence[str],
) -> EmailMessage:
    """Return the mail; its Message-ID follows from the message, so that a double can be told."""
    mail: EmailMessage = messages.EmailMessage(policy=policies.SMTP)
    mail["From"] = _header(sender)
    mail["To"] = tuple(_header(address) for address in to)
    mail["Subject"] = headline(notification, MAX_SUBJECT)
    mail["Date"] = lines.format_datetime(now)
    mail["Message-ID"] = f"<{notification.key}@{lines.parseaddr(sender)[1].rpartition('@')[2]}>"
    if thread is not None and _MESSAGE_ID.fullmatch(thread):
        mail["In-Reply-To"] = thread
        mail["References"] = thread
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(text(notification, links, now), cte="quoted-printable")
    return mail


def _header(address: str) -> Mailbox:
    name, spec = lines.parseaddr(address)
    found: Mailbox = headers.Address(name, addr_spec=spec)
    return found


def refusal(exc: smtplib.SMTPException | OSError) -> NotifyError:
    """Return what a failed dialogue means; what the server said is left out, it may hold anything."""
    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in exc.recipients.values()]
        return none_took([_answered("answered every recipient with", code) for code in codes])
    if isinstance(exc, smtplib.SMTPResponseException):
        return _answered(ANSWERED.get(type(exc).__name__, "answered"), exc.smtp_code)
    if isinstance(exc, smtplib.SMTPServerDisconnected):
        return NotifyError("closed the connection", permanent=False)
    if isinstance(exc, smtplib.SMTPNotSupportedError):
        return NotifyError(f"cannot do what is asked for: {exc}", permanent=True)
    if isinstance(exc, smtplib.SMTPException):
        return NotifyError("offers no way to log in that we know", permanent=True)
    if isinstance(exc, ssl.SSLCertVerificationError):
        return NotifyError(f"has no certificate we trust: {exc.verify_message}", permanent=False)
    return NotifyError(f"cannot be reached ({type(exc).__name__})", permanent=False)


def _answered(said: str, code: int) -> NotifyError:
    return NotifyError(f"{said} {code}", permanent=500 <= code < 600)
