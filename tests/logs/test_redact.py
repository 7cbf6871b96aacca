"""What is secret in a log line is masked, and nothing else."""

import pytest

from watchdog.logs import redact

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

HARMLESS = """
2026-02-19 01:33:50,123 | ERROR | __main__ | Failed to parse TradeIntent for AAAUSDT
APIError(code=-2007) at http://127.0.0.1:8002/health
tokens_used: many; the token expired
quantum:stream:apply.result 1770767894362-0
mail to ops@example.org
"""


@pytest.mark.parametrize("row", SECRETS.strip().splitlines())
def test_secrets(row: str) -> None:
    """`line | as shown`."""
    line, _, expected = row.partition(" | ")
    assert expected == redact(line.rstrip())


@pytest.mark.parametrize("line", HARMLESS.strip().splitlines())
def test_harmless(line: str) -> None:
    """A line without secrets is left alone."""
    assert line == redact(line)
