"""Log lines become evidence in notifications, so what is secret in them has to go."""

import re

MASK = "***"

_KEY = (
    r"(?:[\w.-]*(?:password|passwd|passphrase|secret|token|credential|api[_-]?key|apikey|access[_-]?key"
    r"|private[_-]?key|signature|session[_-]?id|cookie)|pwd|auth)"
)
_QUOTED = r"\\?\"(?:[^\"\\]|\\[^\"])*\\?\"|'[^']*'"
_RULES = (
    # A whole header first: its scheme would otherwise be taken for the value.
    (
        re.compile(r"(?i)((?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?)(?:(\w+)\s+)?[^\s\"',;]+"),
        rf"\1{MASK}",
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), rf"\1 {MASK}"),
    (re.compile(r"(\b[a-zA-Z][\w+.-]*://)[^\s/@]*@"), rf"\1{MASK}@"),
    (re.compile(rf"(?i)(\b{_KEY}\\?[\"']?\s*[:=]\s*)(?:{_QUOTED}|[^\s,;&\"'}}\])]+)"), rf"\1{MASK}"),
    (re.compile(rf"(?i)(--?{_KEY}\s+)(?!-)\S+"), rf"\1{MASK}"),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*"), MASK),  # a JSON Web Token anywhere
    (re.compile(r"https://hooks\.slack\.com/\S+"), f"https://hooks.slack.com/{MASK}"),
)


def redact(text: str) -> str:
    """Mask what looks like a secret in *text*; everything else stays readable."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
