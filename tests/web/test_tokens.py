"""Tokens: written down, made, kept, and told apart."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drawn import ids, rows
from tests.web.conftest import TOKEN, Ask
from watchdog.errors import WatchdogError
from watchdog.tokens import _holder, local_tokens, read_tokens, token_file, whose, whose_password

HAVE = {TOKEN: "ana", "zażółć-gęślą-jaźń-9": "zoë", "f" * 64: "ben"}
GIVEN = """
  Authorization                                | whose
  Bearer 0123456789abcdef0123456789abcdef      | ana
  bearer 0123456789abcdef0123456789abcdef      | ana
  BEARER    0123456789abcdef0123456789abcdef   | ana
  Bearer zażółć-gęślą-jaźń-9                   | zoë
  Bearer 0123456789abcdef0123456789abcde       | nobody
  Bearer 0123456789abcdef0123456789abcdef0     | nobody
  Bearer 0123456789ABCDEF0123456789ABCDEF      | nobody
  Bearer 0123456789abcdef, Bearer x            | nobody
  Bearer                                       | nobody
  Bearer ana                                   | nobody
  Bearer ana: 0123456789abcdef0123456789abcdef | nobody
  Basic 0123456789abcdef0123456789abcdef       | nobody
  Bearer0123456789abcdef0123456789abcdef       | nobody
  Token 0123456789abcdef0123456789abcdef       | nobody
  0123456789abcdef0123456789abcdef             | nobody
"""


@pytest.mark.parametrize(("given", "who"), rows(GIVEN), ids=ids(GIVEN))
def test_whose_token_it_is(given: str, who: str) -> None:
    """The whole of it, in the one scheme there is, whatever signs are in it."""
    assert (whose([given.encode()], HAVE) or "nobody") == who


PASSWORDS = """
  name and password                         | whose
  x:0123456789abcdef0123456789abcdef        | ana
  :0123456789abcdef0123456789abcdef         | ana
  ana:0123456789abcdef0123456789abcdef      | ana
  Zoë:zażółć-gęślą-jaźń-9                   | zoë
  0123456789abcdef0123456789abcdef          | nobody
  0123456789abcdef0123456789abcdef:         | nobody
  ana:x:0123456789abcdef0123456789abcdef    | nobody
  ana:                                      | nobody
  :                                         | nobody
"""


@pytest.mark.parametrize(("given", "who"), rows(PASSWORDS), ids=ids(PASSWORDS))
def test_whose_token_was_given_as_a_password(given: str, who: str) -> None:
    """A browser asks for a name as well; whichever is given, the password is the token."""
    sent = b"Basic " + base64.b64encode(given.encode())
    assert (whose_password([sent], HAVE) or "nobody") == who
    assert whose([sent], HAVE) is None


@pytest.mark.parametrize(
    "given", ["Basic", "Basic ====", "Basic Zg", "Basic ä", f"Bearer {TOKEN}", f"Basic {TOKEN}"]
)
def test_what_is_no_password_is_nobodys(given: str) -> None:
    """Whatever is wrong with its form."""
    assert whose_password([given.encode()], HAVE) is None


ODD = {
    "none": [],
    "empty": [b""],
    "two headers": [f"Bearer {TOKEN}".encode(), f"Bearer {TOKEN}".encode()],
    "a very long one": [b"Bearer " + b"0" * 1_000_000],
    "not a text": [b"Bearer \xff\xfe\x00\x01"],
    "spaces": [b"Bearer      "],
    "a second line": [f"Bearer {TOKEN}\nX: y".encode()],
}


@pytest.mark.parametrize("given", ODD.values(), ids=ODD)
def test_what_is_no_token_is_nobodys(given: list[bytes]) -> None:
    """And breaks nothing."""
    assert whose(given, HAVE) is None
    assert whose(given, {}) is None
    assert whose_password(given, HAVE) is None


class Watched(dict[str, str]):
    """Tokens that count how many of them were looked at."""

    looked = 0

    def items(self) -> Iterator[tuple[str, str]]:  # type: ignore[override]
        """Yield the tokens one by one."""
        for item in super().items():
            self.looked += 1
            yield item


@pytest.mark.parametrize("given", [TOKEN, "f" * 64, "g" * 64], ids=["the first", "the last", "none"])
def test_every_token_is_compared_whichever_is_right(given: str) -> None:
    """The time it takes tells neither which one it is nor how much of it was right."""
    tokens = Watched(HAVE)
    whose([f"Bearer {given}".encode()], tokens)
    assert tokens.looked == len(HAVE)
    assert "compare_digest" in _holder.__code__.co_names


async def test_a_token_opens_over_http_and_nothing_else_does(ask: Ask) -> None:
    """The refusal names the scheme."""
    assert (await ask("DELETE", "/api/v1/silences/none")).status_code == 404
    for given in (
        "",
        f"Bearer {TOKEN}x",
        "Bearer",
        f"Basic {TOKEN}",
        "Bearer " + "0" * 50_000,
        "Bearer żółć",
    ):
        headers = {"authorization": given.encode()}
        refused = await ask("DELETE", "/api/v1/silences/none", token=None, headers=headers)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert refused.json() == {
            "error": "this needs a token: Authorization: Bearer TOKEN (see api.tokens in rules.yaml)"
        }


WRITTEN = """
# who may write
ana: 0123456789abcdef0123456789abcdef
  ben :  ffffffffffffffffffffffffffffffff

eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee
nobody:
  # carol: dddddddddddddddddddddddddddddddd
"""


def test_a_file_of_tokens() -> None:
    """A line each, with or without a name; comments and empty lines are none."""
    assert read_tokens(WRITTEN) == {
        "0123456789abcdef0123456789abcdef": "ana",
        "f" * 32: "ben",
        "e" * 32: "api",
    }


def test_a_token_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    """64 hex digits that the next start finds again."""
    state = str(tmp_path / "state")
    made = local_tokens(state)
    ((token, who),) = made.items()
    assert (len(bytes.fromhex(token)), who) == (32, "local")
    assert stat.S_IMODE(token_file(state).stat().st_mode) == 0o600
    assert local_tokens(state) == made
    assert os.listdir(tmp_path) == ["state.token"]
    assert local_tokens(str(tmp_path / "other")) != made


@pytest.mark.parametrize("left", ["", "short\n"], ids=["empty", "half"])
def test_what_is_left_of_a_token_is_replaced(tmp_path: Path, left: str) -> None:
    """A disk that was full must not leave a token that anybody could guess."""
    path = tmp_path / "state.token"
    path.write_text(left)
    (tmp_path / "state.token.new").write_text("left by a crash")
    ((token, _),) = local_tokens(str(tmp_path / "state")).items()
    assert (len(token), path.read_text().strip()) == (64, token)


def test_a_token_file_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    """A folder in its place, or no folder to put it into."""
    (tmp_path / "state.token").mkdir()
    for state, why in ((tmp_path / "state", "Is a directory"), (tmp_path / "no" / "state", "No such file")):
        with pytest.raises(WatchdogError, match=rf"^the token file \S+ cannot be used: {why}.* \(remove it"):
            local_tokens(str(state))
