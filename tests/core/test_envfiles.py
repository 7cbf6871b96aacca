"""Env files: what systemd reads from them, and what their authors hardly meant."""

from __future__ import annotations

import ctypes
import glob
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchdog.settings.envfiles import read_env, statements

PARSED = [
    ("plain", "A=1\nB=two words\n", {"A": "1", "B": "two words"}),
    ("no end of line", "A=1", {"A": "1"}),
    ("empty", "A=\nB=", {"A": "", "B": ""}),
    ("comments", "# A=1\n; B=2\n  # C=3\nD=4", {"D": "4"}),
    ("comment behind a value", "A=true # for now\n", {"A": "true # for now"}),
    ("comment behind quotes", 'A="true" # for now\n', {"A": "true# for now"}),
    ("comment ends in a backslash", "# A \\\nB=1\n", {"B": "1"}),
    ("blanks", "  A =  1  \n\tB\t=2\n", {"A": "1", "B": "2"}),
    ("escaped blank at the end", "A=1\\  \n", {"A": "1 "}),
    ("double quotes", 'A=" 1 "\nB="a\\"b\\\\c\\d\\$"\n', {"A": " 1 ", "B": 'a"b\\c\\d$'}),
    ("single quotes", "A=' \\1 '\n", {"A": " \\1 "}),
    ("quotes side by side", "A=\"a\" 'b' c\n", {"A": "abc"}),
    ("quotes inside", 'A=it\'s "so"\n', {"A": 'it\'s "so"'}),
    ("lines in quotes", 'A="1\n2"\nB=3', {"A": "1\n2", "B": "3"}),
    ("quotes never closed", "A='1\nB=2", {"A": "1\nB=2"}),
    ("continued", "A=1\\\n2\nB=3", {"A": "12", "B": "3"}),
    ("continued in quotes", 'A="1\\\n2"\n', {"A": "12"}),
    ("escapes", "A=a\\bc\\\\\n", {"A": "abc\\"}),
    ("CRLF", "A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
    ("twice, the last counts", "A=1\nA=2\n", {"A": "2"}),
    ("equals signs", "A=b=c\n", {"A": "b=c"}),
    ("no equals sign", "A\nB=1\n", {"B": "1"}),
    ("names nobody can have", "export A=1\n1A=2\n=3\nB-C=4\nD=5\n", {"D": "5"}),
    ("equals sign first", "=;\\\nA=1\n", {"A": "1"}),
    ("byte order mark", "\ufeffA=1\nB=2\n", {"B": "2"}),
    ("backslash at the very end", "A=1\\", {"A": "1"}),
    ("backslash at the end of open quotes", 'A="1\\', {"A": "1"}),
    ("nothing", "", {}),
]


@pytest.mark.parametrize(("text", "expected"), [p[1:] for p in PARSED], ids=[p[0] for p in PARSED])
def test_parsed_as_systemd_does(text: str, expected: dict[str, str]) -> None:
    """What the service gets, not what the author meant."""
    assert expected == {key: setting.value for key, setting in read_env(text).settings.items()}


def test_lines() -> None:
    """Each value knows its line, also behind comments, empty lines and continued ones."""
    text = 'A=1\n\n# no\nB="2\n2"\nC=3\\\n3\nnone\nD=\r\nA=4\nE=5'
    found = {key: setting.line for key, setting in read_env(text).settings.items()}
    assert found == {"A": 10, "B": 4, "C": 6, "D": 9, "E": 11}


REFUSED = [
    ("a NUL byte", "A=1\nB=\0\n", (2, 3, "a NUL byte, so systemd refuses the file as a whole")),
    ("a value in Latin-1", "A=1\nB=\udce9\n", (2, 1, "is not UTF-8, so systemd refuses the file as a whole")),
    ("a sign that is none", "A=\ufffe\n", (1, 1, "is not UTF-8, so systemd refuses the file as a whole")),
    ("a comment in Latin-1", "# \udce9\nA=1\n", None),
    ("a line in Latin-1 without =", "\udce9\nA=1\n", None),
]


@pytest.mark.parametrize(("text", "why"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_refused_as_a_whole(text: str, why: tuple[int, int, str] | None) -> None:
    """Not the line but the file; what systemd does not look at may be anything."""
    found = read_env(text)
    assert why == (found.refused and (found.refused.line, found.refused.column, found.refused.what))
    assert bool(found.settings) == (why is None)


# ---- beside the real thing -----------------------------------------------------------------------------

SIGNS = st.sampled_from(
    [*"AB1x=='\"\\\n\n #;$`\t\r", "A=", "\nB=", '="', "\\\n", "\r\n", "é", "\ufeff", "\udce9", "\0"]
)
TEXTS = st.lists(SIGNS, max_size=24).map("".join)


class RealSystemd:
    """systemd's own reader of env files, in the library its programs share."""

    def __init__(self, folder: Path) -> None:
        libraries = glob.glob("/usr/lib/*/systemd/libsystemd-shared-*.so") + glob.glob(
            "/usr/lib/systemd/libsystemd-shared-*.so"
        )
        assert libraries, "no systemd here: tests/system-packages.sh installs it"
        self.library = ctypes.CDLL(libraries[0])
        self.version = int(re.findall(r"shared-(\d+)", libraries[0])[0])
        strings = ctypes.POINTER(ctypes.c_char_p)
        self.library.load_env_file.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(strings)]
        self.library.strv_env_clean_with_callback.argtypes = [strings, ctypes.c_void_p, ctypes.c_void_p]
        self.library.strv_env_clean_with_callback.restype = strings
        self.path = folder / "real.env"

    def read(self, content: bytes) -> Mapping[bytes, bytes] | None:
        """Return what a service would get, None if it would not start."""
        self.path.write_bytes(content)
        found = ctypes.POINTER(ctypes.c_char_p)()
        if self.library.load_env_file(None, os.fsencode(self.path), ctypes.byref(found)) < 0:
            return None
        if not found:
            return {}
        found = self.library.strv_env_clean_with_callback(found, None, None)
        pairs: dict[bytes, bytes] = {}
        for text in found:
            if text is None:
                return pairs
            key, _, value = text.partition(b"=")
            pairs[key] = value
        raise AssertionError


@pytest.fixture(scope="module")
def systemd(tmp_path_factory: pytest.TempPathFactory) -> RealSystemd:
    """Return the systemd of this machine."""
    return RealSystemd(tmp_path_factory.mktemp("systemd"))


def read(text: str) -> Mapping[bytes, bytes] | None:
    """Return what we say that a service would get."""
    found = read_env(text)
    if found.refused is not None:
        return None
    return {key.encode(): setting.value.encode() for key, setting in found.settings.items()}


@settings(max_examples=400, deadline=None)
@given(text=TEXTS)
def test_the_real_systemd_reads_the_same(systemd: RealSystemd, text: str) -> None:
    """Whatever the text, except that before 254 a comment could go on in the next line."""
    if systemd.version < 254 and re.search(r"[#;][^\r\n]*\\[\r\n]", text):
        text = text.replace("\\", "")
    assert systemd.read(text.encode("utf-8", "surrogateescape")) == read(text)


@pytest.mark.parametrize("text", [p[1] for p in PARSED], ids=[p[0] for p in PARSED])
def test_the_table_above_is_systemds(systemd: RealSystemd, text: str) -> None:
    """Where it is not the version's."""
    if systemd.version >= 254 or not text.startswith("# A \\"):
        assert systemd.read(text.encode()) == read(text)


# ---- what was hardly meant -----------------------------------------------------------------------------

REMARKS = [
    ("C03 inline comment", "DRY_RUN=true # temporary\n", ["1:13 inline-comment"]),
    (
        "inline comment behind quotes",
        'A="true" # x\nB="true" #x\n',
        ["1:10 inline-comment", "2:10 inline-comment"],
    ),
    ("inline comment with ;", "A=1 ; x\n", ["1:4 inline-comment"]),
    ("nothing but a comment", "A=# x\n", ["1:3 inline-comment"]),
    ("a colour is none", "A=#fff\nB='x # y'\nC=a#b\nD=a;b\n", []),
    (
        "C03 quotes inside",
        'A=\'"x"\'\nB=pre"fix"\nC=x"\nD=“x”\n',
        [f"{n}:3 quotes-inside" for n in (1, 2, 3, 4)],
    ),
    ("quotes that are meant", 'A=\'{"a": 1}\'\nB={"a":1}\nC=it\'s\nD="it\'s"\nE=""\nF=\'\'\n', []),
    ("C04 CRLF", "A=1\r\nB=2\r\n", ["1:4 crlf"]),
    ("C04 leading space", " A=1\n\n\t B=1\n", ["1:2 leading-space", "3:3 leading-space"]),
    ("C04 key twice", "A=1\nB=2\nA=3\nB=2\n", ["3:1 key-twice", "4:1 key-twice"]),
    ("C04 no equals sign", "A=1\nlive\n", ["2:1 no-equals"]),
    ("names nobody can have", "export A=1\nB-C=1\n1D=1\n", ["1:1 bad-name", "2:1 bad-name", "3:1 bad-name"]),
    ("blanks around =", "A = 1\nB= 1\nC =1\n", [f"{n}:1 space-around-equals" for n in (1, 2, 3)]),
    ("a quote never closed", 'A="x\nB=2\n', ["1:3 open-quote", "1:3 swallowed-line"]),
    ("a quote closed by the next", 'A="x\nB="y"\n', ["1:3 quotes-inside", "1:3 swallowed-line"]),
    ("a path of Windows", "A=C:\\dir\\\nB=2\n", ["1:3 lost-backslash", "1:3 swallowed-line"]),
    ("a key of many lines", "A=\"-----BEGIN\nMIIab+c=\nabcd==\n-----END\"\nB='a\nb'\n", []),
    ("continued on purpose", "A=one \\\n  two\n", []),
    ("escapes that mean something", "A=a\\ b\\\\c\\$d\n", []),
    ("variables", 'A=${HOME}/x\nB="$(date)"\n', ["1:3 not-expanded", "2:3 not-expanded"]),
    ("dollars", "A=pa$$word\nB='${HOME}'\nC=$5\nD=$HOME\n", []),
    ("byte order mark", "\ufeffA=1\nB=1\n", ["1:1 byte-order-mark"]),
    ("comment with a backslash", "# a\\\nB=1\n", ["1:4 comment-continues"]),
    ("comment with a backslash before a comment", "# a\\\n# b\\\n\n# c\\\\\nB=1\n", []),
    ("a space that is none", "A=10\u00a0000\n", ["1:3 invisible-sign"]),
    (
        "nothing wrong",
        "# settings\nAPPLY_MODE=dry_run\n\nK_BLOCK_CRITICAL=0.80\nURL=redis://127.0.0.1:6379/0\n"
        'PATHS=/a:/b\nMESSAGE="two words"\nEMPTY=\nLIST=a,b c\nCRON=*/5 * * * *\nEND=1',
        [],
    ),
]


@pytest.mark.parametrize(("text", "expected"), [r[1:] for r in REMARKS], ids=[r[0] for r in REMARKS])
def test_remarks(text: str, expected: list[str]) -> None:
    """Each with line and column; what is written in good order is not remarked on."""
    assert expected == [f"{r.line}:{r.column} {r.kind}" for r in read_env(text).remarks]


def test_remarks_say_what_and_what_to_do() -> None:
    """In a sentence and its cure, for whoever has never heard of EnvironmentFile."""
    found = {r.kind: f"{r.what} ({r.cure})" for r in read_env(" A=1 # x\nA=2\nlive\n").remarks}
    assert found == {
        "leading-space": "blanks in front of A, which not every reader skips (remove them)",
        "inline-comment": "the comment behind A is part of its value (put it in a line of its own)",
        "key-twice": "A is set twice, in line 1 with another value; this one counts (remove one of them)",
        "no-equals": "a line without = is skipped (write KEY=value, or # in front of it)",
    }


def test_no_remark_shows_a_value() -> None:
    """Nor the key of a line that may be a piece of a secret."""
    text = "A=-----BEGIN\nMIIhunter2/+x==\nhunter2 hunter2\nB=hunter2 # hunter2\nB='hunter2\nC=hunter2"
    remarks = read_env(text).remarks
    assert len(remarks) > 4
    assert not [r for r in remarks if "hunter2" in f"{r.what}{r.cure}"]


# ---- anything at all -----------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(text=st.one_of(TEXTS, st.text(max_size=60)))
def test_no_text_is_lost(text: str) -> None:
    """Statements follow one another, and between them there is nothing but blanks and comments."""
    position = 0
    for one in statements(text):
        between = text[position : one.begin]
        assert re.fullmatch(r"(?:[ \t\r\n]|[#;][^\r\n]*(?=[\r\n]))*", between), between
        assert one.begin < one.at <= one.end
        position = one.end
    assert re.fullmatch(r"(?:[ \t\r\n]|[#;][^\r\n]*(?=[\r\n]|\Z))*", text[position:])
    places = [(r.line, r.column) for r in read_env(text).remarks]
    assert all(1 <= line <= text.count("\n") + 1 and column >= 1 for line, column in places)


@pytest.mark.parametrize(
    "unit",
    [
        "\\",
        "'",
        '"',
        "A=' ",
        "A=${",
        "A=$(",
        "# \\\n",
        "A=\\\n",
        " ",
        "A",
        "\r",
        "\nA",
        "A= #",
        'A="\n',
        "=",
        "A=x'y",
    ],
)
def test_time_is_linear(unit: str) -> None:
    """Eight times the text takes nowhere near sixty-four times as long."""

    def cost(size: int) -> float:
        text = "A=" + unit * (size // len(unit))
        return min(_timed(text) for _ in range(2))

    assert cost(1 << 15) < max(24 * cost(1 << 12), 0.03)


def _timed(text: str) -> float:
    began = time.process_time()
    read_env(text)
    return time.process_time() - began


def test_a_file_of_the_usual_size_costs_little() -> None:
    """68 keys in a few milliseconds, comments and quotes included."""
    text = "".join(f'# number {n}\nSETTING_NUMBER_{n}="value {n}"\nOTHER_{n}=0.{n}\n' for n in range(34))
    assert len(read_env(text).settings) == 68
    assert min(_timed(text) for _ in range(5)) < 0.005
