"""Alarms about Sentinel itself: each can fire, and each says what to do."""

import subprocess
from typing import Any

import pytest
import yaml

from tests.conftest import without
from tests.deploy.files import OPERATIONS, ROOT, anchors, series, unknown

RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
CASES = ROOT / "tests" / "deploy" / "rules_test.yml"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_reads_what_a_worker_has(rule: dict[str, Any]) -> None:
    """A metric that was renamed would leave its alarm silent for ever."""
    assert list(unknown(rule["expr"])) == []


@pytest.mark.parametrize(
    "expression", ["sentinel_laag > 0", 'sentinel_lane_lag{stag="x"}', "sum by (stge) (x)"]
)
def test_an_unknown_name_is_seen(expression: str) -> None:
    """The check above can fail."""
    assert list(unknown(expression))


def test_series_are_named_as_a_scrape_names_them() -> None:
    """A counter ends in _total, a histogram has buckets with bounds."""
    known = series()
    assert "sentinel_records" not in known
    assert known["sentinel_records_total"] == {"stage", "lane", "job", "instance"}
    assert "le" in known["sentinel_flush_seconds_bucket"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_leads_to_a_page_that_says_what_to_do(rule: dict[str, Any]) -> None:
    """Its link is absolute where it is read, and names a heading of the operations page; it has a
    summary and a severity.
    """
    page, anchor = rule["annotations"]["runbook_url"].split("#")
    assert page == "{{ $externalLabels.sentinel_page }}/docs/operations"
    assert anchor in anchors(OPERATIONS)
    assert rule["annotations"]["summary"]
    assert rule["labels"]["severity"] in ("warning", "critical")


def test_the_links_begin_where_the_page_is() -> None:
    """Prometheus adds the address that messages link to, too."""
    prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    settings = yaml.safe_load((ROOT / "deploy/compose/sentinel.yaml").read_text())
    assert prometheus["global"]["external_labels"] == {
        "sentinel_page": settings["alerting"]["page_url"]
    }


def test_every_rule_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    """What promtool plays covers every alarm both ways."""
    played = [
        case
        for test in yaml.safe_load(CASES.read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    names = {rule["alert"] for rule in RULES}
    assert {case["alertname"] for case in played if case["exp_alerts"]} == names
    assert {case["alertname"] for case in played if not case["exp_alerts"]} == names


@pytest.mark.parametrize(
    "command",
    [
        ("check", "rules", "deploy/prometheus/rules.yml"),
        ("check", "config", "--syntax-only", "deploy/prometheus/prometheus.yml"),
        ("test", "rules", "tests/deploy/rules_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_agrees(command: tuple[str, ...]) -> None:
    """Prometheus's own tool reads the files, and each alarm fires and keeps silent as the cases
    say.
    """
    promtool = ROOT / ".servers" / "promtool"
    if not promtool.exists():
        without("promtool", "make servers fetches it; elsewhere it comes with Prometheus")
    done = subprocess.run(
        [promtool, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
