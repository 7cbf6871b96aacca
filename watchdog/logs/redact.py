"""Log lines become evidence in notifications, so what is secret in them has to go."""

import re
from functools import cache

MASK = "***"

_KEY = (
    r"(?:password|passwd|passphrase|secret|token|credentials?|signature|session[_-]?id|cookie|x-[\w-]{1,20}-sign"
    r"|(?:api|access|private|secret|signing|encryption|routing|integration|listen|account)[_-]?key"
    r"|api-sign|access-sign|(?<=[?&])sign|(?<![\w.-])(?:auth|pwd(?!\s*[:=]\s*/)))"  # PWD=/opt is a directory
)
# The end of the text ends a quoted value too: long lines are cut before they are shown.
_QUOTED = r"\\\"(?:[^\"\\]|\\[^\"])*+(?:\\?\"|\\?\Z)|\"(?:[^\"\\]|\\[\s\S])*+(?:\"|\\?\Z)|'[^']*+(?:'|\Z)"
_IS = r"\\?[\"']?\s*+[:=]>?\s*+\[?\s*+"
_TOKENS = (  # that tell themselves, wherever they stand
    r"(?<![\w-])eyJ[\w-]{5,}+\.[\w-]{5,}+\.[\w-]*+"  # JSON Web Token
    r"|(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"  # AWS
    r"|(?<![\w-])(?:xox[abeoprs]|xapp)-[\w-]{8,}+"  # Slack
    r"|(?<![\w-])(?:gh[pousr]_[A-Za-z0-9]{20,}+|github_pat_\w{20,}+|glpat-[\w-]{16,}+)"
    r"|(?<![\w-])(?:AIza[\w-]{35}|sk-[\w-]{16,}+|[rs]k_(?:live|test)_\w{10,}+)"  # Google, OpenAI, Stripe
    r"|(?<![0-9])[0-9]{8,10}:[\w-]{35}(?![\w-])"  # a Telegram bot's
    r"|(?<![A-Za-z0-9])(?=[a-z0-9]*+[A-Z])(?=[A-Z0-9]*+[a-z])(?=[A-Za-z]*+[0-9])[A-Za-z0-9]{64}(?![A-Za-z0-9])"
)


@cache  # ten patterns take longer to compile than most commands have to do
def _rules() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return what is looked for, and what takes its place."""
    return (
        (
            re.compile(
                r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)"
            ),
            MASK,
        ),
        # A whole header first: its scheme would otherwise be taken for the value.
        (
            re.compile(rf"(?i)((?:proxy-)?authorization{_IS}\\?[\"']?)(?:(\w+)\s++)?[^\s\"',;\\]+"),
            rf"\1{MASK}",
        ),
        (re.compile(r"(?i)(cookie\\?[\"']?\s*+:\s*+\[?\s*+\\?[\"']?)[^\"'\\\r\n]+"), rf"\1{MASK}"),
        (re.compile(r"(?i)\b(bearer|basic)\s++(?=[A-Za-z._~+/-]*+[0-9=])[\w.~+/=-]{6,}+"), rf"\1 {MASK}"),
        (re.compile(r"://[^\s/\"'<>]*@"), f"://{MASK}@"),
        (re.compile(rf"(?i)({_KEY}{_IS})(?:{_QUOTED}|[^\s,;&\"'}}\])\\]+)"), rf"\1{MASK}"),
        (re.compile(rf"(?i)((?<![\w-])--?(?:[\w-]{{0,40}}?{_KEY}|pass)\s++)(?!-)\S+"), rf"\1{MASK}"),
        (re.compile(r"((?<!\S)(?:-u|--user)\s++[^\s:]++:)\S+"), rf"\1{MASK}"),
        (re.compile(_TOKENS), MASK),
        (
            re.compile(
                r"(?i)((?:hooks\.slack\.com|discord(?:app)?\.com/api/webhooks|[\w-]{1,60}\.webhook\.office\.com)/)[^\s\"'<>]+"
            ),
            rf"\1{MASK}",
        ),
    )


def redact(text: str) -> str:
    """Mask what looks like a secret in *text*; everything else stays readable."""
    for pattern, replacement in _rules():
        text = pattern.sub(replacement, text)
    return text
