"""`watchdog test`: rule tests on drawn timelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree as Xml

import typer

from watchdog.cast import Cast
from watchdog.commands.common import USAGE
from watchdog.config import load
from watchdog.errors import ConfigError
from watchdog.rulesheet import Sheet, bind_tests, read_sheet
from watchdog.ruletests import Answer, run_test, shown
from watchdog.terminal import DEFAULT_RULES, RulesOption, fail
from watchdog.units import plain

FAILED = 1
Results = Mapping[str, Sequence[Answer]]
"""What came of the tests of each file."""


class Format(StrEnum):
    """The forms of a report."""

    TEXT = "text"
    JUNIT = "junit"


def rule_tests_command(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="files of tests", show_default=False)
    ],
    rules: RulesOption = DEFAULT_RULES,
    form: Annotated[Format, typer.Option("--format", help="how to print it")] = Format.TEXT,
) -> None:
    """
    Run rule tests: a drawn timeline, and which alerts the rules make of it (as `promtool test rules`).

    The rules are those of `rule_files` in the file, or else of --rules. Exit status: 0 all passed,
    1 a test failed, 2 a file cannot be used.
    """
    results: dict[str, Sequence[Answer]] = {}
    problems: list[str] = []
    for path in files:
        try:
            sheet = read_sheet(path)
            results[str(path)] = _run(sheet, rules)
        except ConfigError as exc:
            problems.append(str(exc))
    if problems:
        raise fail("\n".join(problems), USAGE)
    typer.echo(_as_text(results) if form is Format.TEXT else _as_junit(results))
    if not all(answer.passed for answers in results.values() for answer in answers):
        raise typer.Exit(FAILED)


def _run(sheet: Sheet, rules: Path) -> list[Answer]:
    cast = Cast(load(sheet.rules(rules)))
    every = sheet.model.evaluation_interval
    return [answer for test in bind_tests(sheet, cast) for answer in run_test(test, cast, every)]


def _as_text(results: Results) -> str:
    lines: list[str] = []
    for path, answers in results.items():
        failed = [answer for answer in answers if not answer.passed]
        lines.append(f"Unit Testing:  {path}")
        if not failed:
            lines.append(f"  SUCCESS ({len(answers)} checks)")
            continue
        lines.append(f"  FAILED ({len(failed)} of {len(answers)} checks):")
        lines += (shown(answer, path) for answer in failed)
    return "\n".join(lines)


def _as_junit(results: Results) -> str:
    root = Xml.Element("testsuites", name="watchdog test")
    for path, answers in results.items():
        failed = sum(not answer.passed for answer in answers)
        suite = Xml.SubElement(
            root, "testsuite", name=path, tests=str(len(answers)), failures=str(failed), errors="0"
        )
        for answer in answers:
            line, _ = answer.place
            name = f"{answer.title}: {answer.question.alertname} (line {line})"
            case = Xml.SubElement(suite, "testcase", classname=path, name=plain(name))
            if not answer.passed:
                failure = Xml.SubElement(
                    case, "failure", message=f"{answer.question.alertname} is not as expected"
                )
                failure.text = shown(answer, path)
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True)
