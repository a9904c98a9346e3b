"""docs/operations.md knows every metric, every line of the log and every exit status, and no
others.
"""

import ast
import re
from collections.abc import Iterator

import pytest

from agents.alerting.reasons import Attempt, Reason
from agents.detection.intake import bad_records, sorting
from schemas.errors import Reason as BadReason
from schemas.records.notifications import NotificationOutcome
from streams import exit_status
from streams.admin.topics import specs
from streams.control import command_log
from streams.records.cutting import Broken
from streams.settings import Lanes
from streams.topic_names import TopicNames
from tests.deploy.files import series
from tests.docs.pages import ROOT, text

PAGE = text("docs/operations.md")
PACKAGES = ("schemas", "streams", "agents", "connectors", "topology")
LEVELS = ("debug", "info", "warning", "error", "exception", "critical")


def _lines() -> Iterator[tuple[str, str]]:
    """Level and name of every event that is logged anywhere."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield from _logged(ast.parse(path.read_text()))


def _logged(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(attr=level), args=[ast.Constant(value=str(name)), *_]
            ) if level in LEVELS:
                # The line with which a process ends is in words.
                if name != "%s":
                    yield ("error" if level == "exception" else level), name


def _section(heading: str) -> str:
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def _rows(section: str, begin: str = "`") -> list[list[str]]:
    rows = re.findall(rf"^\| {begin}.*\|$", section, re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]


def test_every_metric_is_described_and_every_described_metric_is_there() -> None:
    """A new metric, or one that is gone, changes the page."""
    named = {
        name for row in _rows(_section("Metrics")) for name in re.findall(r"sentinel_\w+", row[0])
    }
    assert named == {re.sub(r"_(bucket|sum|count)$", "", name) for name in series()}


def test_every_line_of_the_log_is_described_with_its_level() -> None:
    """No line without a row, no row without a line."""
    described = {
        (row[1], row[0].strip("`")) for row in _rows(_section("Log lines")) if len(row) == 4
    }
    assert described == set(_lines())


def test_lines_are_seen_whatever_the_logger_is_called() -> None:
    """The check above can fail."""
    code = (
        "log.warning('a.b', x=1)\nself._log.info('c')\nstructlog.get_logger('n').exception('d.e')"
    )
    assert set(_logged(ast.parse(code))) == {("warning", "a.b"), ("info", "c"), ("error", "d.e")}


def test_every_exit_status_is_described() -> None:
    """Those with which a worker ends by itself, and those of the command line."""
    described = {
        int(status)
        for status in re.findall(r"^\| (\d+) \|", _section("Exit statuses"), re.MULTILINE)
    }
    assert described == {0, 1, 2, exit_status.BUG, exit_status.REFUSED, exit_status.AGAIN}


def test_every_topic_is_described() -> None:
    """What `sentinel topics create` makes, and no others."""
    described = {
        name for row in _rows(_section("First start")) for name in re.findall(r"`([\w-]+)`", row[0])
    }
    assert described == {spec.name for spec in specs(TopicNames(""), Lanes())}


@pytest.mark.parametrize(
    "heading", ["Why a record is in dead letters", "How an attempt to deliver ends", "Messages"]
)
def test_every_reason_is_described(heading: str) -> None:
    """Why a record is bad, how an attempt ends, and why it was decided so: all of the words, and
    none that is not one.
    """
    words = {
        "Why a record is in dead letters": {
            *BadReason,
            *Broken,
            *(bad_records.AHEAD, bad_records.BEHIND, bad_records.SKIPPED),
            *(sorting.UNSIGNED, sorting.SUPERSEDED),
            *(command_log.UNSIGNED, command_log.OTHER_TENANT, "refused by the store:"),
        },
        "How an attempt to deliver ends": {*Attempt, Reason.RECEIVER_GONE},
        "Messages": {*Reason, *NotificationOutcome} - {Reason.RECEIVER_GONE},
    }[heading]
    section = PAGE.split(f" {heading}\n")[1].split("\n##")[0]
    column = 1 if heading == "Messages" else 0
    rows = [row for row in _rows(section) if row[0].startswith("`")] + _rows(section, "none")
    described = {
        word
        for row in rows
        for cell in row[: column + 1]
        for word in re.findall(r"`([^`]+)`", cell)
    }
    assert described == {str(word) for word in words}


def test_what_a_worker_says_last_stands_in_the_source() -> None:
    """Each quoted part of a line is one that some module writes."""
    written = " ".join(
        part.value
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for part in ast.walk(ast.parse(path.read_text()))
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    )
    quoted = [
        quote
        for row in _rows(_section("Log lines"))
        if len(row) == 3
        for quote in re.findall(r"`([^`]+)`", row[0])
    ]
    assert len(quoted) > 10
    assert [quote for quote in quoted if quote not in written] == []
