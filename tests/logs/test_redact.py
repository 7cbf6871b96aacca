"""What is secret in a log line is masked, and nothing else."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from watchdog.logs.redact import redact

SECRETS = """
password=hunter2 user=ops                    | password=*** user=ops
db_password: "two words" next                | db_password: *** next
{"api_key": "abc123", "symbol": "BTC"}       | {"api_key": ***, "symbol": "BTC"}
{\\"token\\": \\"abc\\"}                     | {\\"token\\": ***}
?token=abc&limit=5                           | ?token=***&limit=5
apiKey=abc, signature=def                    | apiKey=***, signature=***
BINANCE_API_SECRET=abc                       | BINANCE_API_SECRET=***
Authorization: Bearer abc.def-ghi            | Authorization: ***
'Authorization': 'Basic b3BzOng='            | 'Authorization': '***'
got header bearer abcdef123456               | got header bearer ***
redis://:hunter2@127.0.0.1:6379/0            | redis://***@127.0.0.1:6379/0
postgres://ops:hunter2@db/x failed           | postgres://***@db/x failed
https://hooks.slack.com/services/T0/B0/xyz   | https://hooks.slack.com/***
--password hunter2 --limit 5                 | --password *** --limit 5
jwt eyJhbGciOi.eyJzdWIiOi.sflKxw here        | jwt *** here
"""

TOKENS = """
key AKIAIOSFODNN7EXAMPLE used                              | key *** used
aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY | aws_secret_access_key = ***
slack says xoxb-123456789012-abcdefGHIJ                    | slack says ***
push with ghp_abcdefghijklmnopqrstuvwxyz0123456789         | push with ***
/bot123456789:AAabcdefghijklmnopqrstuvwxyz0123456/sendMessage | /bot***/sendMessage
https://discord.com/api/webhooks/123/abc-DEF failed        | https://discord.com/api/webhooks/*** failed
https://acme.webhook.office.com/webhookb2/1@2/x            | https://acme.webhook.office.com/***
key vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A | key ***
"""

EXCHANGES = """
POST /api/v3/order?symbol=BTCUSDT&timestamp=1&signature=c8db5682 HTTP/1.1 | POST /api/v3/order?symbol=BTCUSDT&timestamp=1&signature=*** HTTP/1.1
GET /v5/order?api_key=XXX&sign=abc&symbol=BTC              | GET /v5/order?api_key=***&sign=***&symbol=BTC
{'X-MBX-APIKEY': 'abc', 'symbol': 'BTC'}                   | {'X-MBX-APIKEY': ***, 'symbol': 'BTC'}
OK-ACCESS-KEY: abc OK-ACCESS-SIGN: def OK-ACCESS-PASSPHRASE: ghi | OK-ACCESS-KEY: *** OK-ACCESS-SIGN: *** OK-ACCESS-PASSPHRASE: ***
API-Key: abc API-Sign: def                                 | API-Key: *** API-Sign: ***
X-BAPI-SIGN=abc                                            | X-BAPI-SIGN=***
wss://stream.example.com/ws?listenKey=abc opened           | wss://stream.example.com/ws?listenKey=*** opened
"""

HEADERS = """
Cookie: session=abc; theme=dark                            | Cookie: ***
{"Cookie":["session=abc; a=b"],"Host":["x"]}               | {"Cookie":[***],"Host":["x"]}
{"Authorization":["Bearer abc"],"X-Api-Key":["abc"]}       | {"Authorization":["***"],"X-Api-Key":[***]}
{:password=>"abc", :user=>"ops"}                           | {:password=>***, :user=>"ops"}
curl -u ops:hunter2 http://127.0.0.1                       | curl -u ops:*** http://127.0.0.1
redis://ops:p@ss@127.0.0.1:6379/0                          | redis://***@127.0.0.1:6379/0
{"token": "cut in the midd                                 | {"token": ***
{"token": "cut behind a backslash\\                        | {"token": ***
-----BEGIN RSA PRIVATE KEY----- MIIE cut                   | ***
a -----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY----- b | a *** b
"""

HARMLESS = """
2026-02-19 01:33:50,123 | ERROR | __main__ | Failed to parse TradeIntent for AAAUSDT
APIError(code=-2007) at http://127.0.0.1:8002/health
tokens_used: many; the token expired
quantum:stream:apply.result 1770767894362-0
mail to ops@example.org
http://127.0.0.1:8002/find?mail=ops@example.org
sudo: ops : TTY=pts/6 ; PWD=/opt/quantum ; USER=root ; COMMAND=/usr/bin/tail
Basic authentication is required
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 is the digest
a good sign: it works
"""


@pytest.mark.parametrize("row", (SECRETS + TOKENS[1:] + EXCHANGES[1:] + HEADERS[1:]).strip().splitlines())
def test_secrets(row: str) -> None:
    """`line | as shown`."""
    line, _, expected = row.partition(" | ")
    assert expected == redact(line.rstrip())


@pytest.mark.parametrize("line", HARMLESS.strip().splitlines())
def test_harmless(line: str) -> None:
    """A line without secrets is left alone."""
    assert line == redact(line)


WORDS = [
    "password",
    "token",
    "api_key",
    "cookie",
    "authorization",
    "bearer",
    "basic",
    "pwd",
    "auth",
    "sign",
    "secret",
    "-u",
    "--user",
    "eyJ",
    "AKIA",
    "xoxb-",
]
SIGNS = [
    "=",
    ":",
    ": ",
    " ",
    '"',
    "'",
    "\\",
    '\\"',
    "[",
    "]",
    "{",
    "}",
    "&",
    "?",
    ",",
    ";",
    "-",
    "--",
    ".",
    "://",
    "@",
    "/",
    "*",
]
TEXTS = st.one_of(
    st.text(max_size=80),
    st.lists(st.sampled_from([*WORDS, *SIGNS, "abc123DEF", "\n"]), max_size=14).map("".join),
)


@given(TEXTS)
@settings(max_examples=200, deadline=None)
@example("password=password=abc")
def test_what_is_masked_stays_as_it_is(text: str) -> None:
    """Evidence goes through several hands, each of which masks it."""
    assert redact(text) == redact(redact(text))


@given(
    st.sampled_from(["password", "db_token", "API-KEY", "apiSecret"]),
    st.from_regex(r"[A-Za-z0-9/+]{8,40}", fullmatch=True),
)
@settings(max_examples=60, deadline=None)
def test_no_value_of_a_secret_key_is_left(key: str, value: str) -> None:
    """In any of the ways in which lines name it."""
    quoted = "Z" + value
    for line in (
        f"{key}={quoted}",
        f'"{key}": "{quoted}"',
        f"x={quoted}&{key}={quoted}".replace("x=", "token="),
        f"--{key} {quoted}",
    ):
        assert quoted not in redact(line)


@pytest.mark.parametrize(
    "pump", [*WORDS, *SIGNS, "a.", "a-", "eyJaaaaa-", "-----BEGIN PRIVATE KEY", 'token="', "token= ", "Aa1"]
)
def test_no_line_takes_long(pump: str) -> None:
    """5,000 characters of anything, behind anything."""
    for before in ("", "password=", 'token: "', "eyJabcdef.", "http://", "Cookie: "):
        began = time.process_time()
        redact(before + pump * (5_000 // len(pump)))
        assert time.process_time() - began < 0.1, before
