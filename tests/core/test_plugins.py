"""What monitoring plugins print, read as the guidelines say."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.drawn import ids, rows
from watchdog.plugins import MOST_FIGURES, Said, parse_figures, parse_output

FIGURES = """
  performance data                                | figures
  time=0.006ms;;;0.000000;10.000000               | time=6e-06
  time=2us                                        | time=2e-06
  time=0,25s                                      | time=0.25
  /=2643MB;5948;5958;0;5968                       | _=2643000000.0
  'C: used'=12GB;;;0;40                           | C_used=12000000000.0
  size=512KiB                                     | size=524288.0
  used=87%;80;90                                  | used=0.87
  load1=0.42;5;10;0; load5=-3;;;0; load15=.5      | load1=0.42 load5=-3.0 load15=0.5
  requests=1834522c                               | requests=1834522.0
  users=4users                                    | users=4.0
  'it''s'=1 'a=b'=2                               | it_s=1.0 a_b=2.0
  temp=U;;; fan=3                                 | temp=None fan=3.0
  rta=1.5e-3s                                     | rta=0.0015
  a=1 a=2                                         | a=1.0
  a=1;@10:20;~:5;; b=2                            | a=1.0 b=2.0
  huge=1e999 nan=nan inf=inf a=1                  | a=1.0
  no figure here a= =5 'open=1                    |
  a=1.2.3 b=3                                     | b=3.0
                                                  |
"""


@pytest.mark.parametrize(("data", "figures"), rows(FIGURES), ids=ids(FIGURES))
def test_figures(data: str, figures: str) -> None:
    """In base units (seconds, bytes, shares), under names that a rule can write; what is none is left out."""
    assert figures == " ".join(f"{name}={value}" for name, value in parse_figures(data).items())


OUTPUTS = [
    ("one line", "DISK OK\n", Said("DISK OK", "", {})),
    ("with figures", "DISK OK - free | /=5%\n", Said("DISK OK - free", "", {"_": 0.05})),
    (
        "many lines, from the guidelines",
        "DISK OK - free space: / 3326 MB (56%); | /=2643MB;5948;5958;0;5968\n"
        "/ 15272 MB (77%);\n/boot 68 MB (69%);\n"
        "/var/log 819 MB (84%); | /boot=68MB;88;93;0;98\n/home=69357MB;253404;253409;0;253414\n",
        Said(
            "DISK OK - free space: / 3326 MB (56%);",
            "/ 15272 MB (77%);\n/boot 68 MB (69%);\n/var/log 819 MB (84%);",
            {"_": 2643e6, "_boot": 68e6, "_home": 69357e6},
        ),
    ),
    ("nothing", "", Said("", "", {})),
    ("only figures", "|a=1", Said("", "", {"a": 1.0})),
    ("Windows", "OK\r\nmore\r\n", Said("OK", "more", {})),
]


@pytest.mark.parametrize(("printed", "said"), [o[1:] for o in OUTPUTS], ids=[o[0] for o in OUTPUTS])
def test_outputs(printed: str, said: Said) -> None:
    """The first line is for people; figures may stand on it, and after a bar on a later one."""
    assert said == parse_output(printed)


def test_figures_are_cut() -> None:
    """A check that lists everything does not become a thousand measures."""
    assert len(parse_figures(" ".join(f"a{i}={i}" for i in range(500)))) == MOST_FIGURES


@settings(max_examples=100)
@given(st.text("ab'=|;.,%U1\n -é", max_size=80))
def test_any_text_can_be_printed(text: str) -> None:
    """No crash, and no figure that is none."""
    figures = parse_output(text).figures
    assert all(value is None or math.isfinite(value) for value in figures.values())


@settings(max_examples=60)
@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1),
    st.floats(-1e9, 1e9),
)
def test_what_is_written_as_the_guidelines_say_is_read(label: str, value: float) -> None:
    """Any label in quotes, a quote in it doubled."""
    quoted = label.replace("'", "''")
    assert list(parse_figures(f"a=1 '{quoted}'={value:f}ms;1;2 z=3").values())[-2:] in (
        [pytest.approx(value / 1000, abs=1e-6), 3.0],
        [1.0, 3.0],  # it is called "a" as well
        [1.0, pytest.approx(value / 1000, abs=1e-6)],  # it is called "z"
    )


@pytest.mark.parametrize("piece", ["'", "''a ", "'''a ", "=", "a='", "a=1.", "1;", "'a'=", " ' "])
def test_reading_takes_time_in_proportion(piece: str) -> None:
    """No output of a megabyte holds a look up."""
    began = time.perf_counter()
    parse_output(piece * (200_000 // len(piece)))
    assert time.perf_counter() - began < 1
