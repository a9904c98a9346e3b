"""Detection settings: canonical, named by their content, and refused with a word on which field."""

import ast
import inspect
import json
from dataclasses import fields, replace

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.detectors import settings as module
from agents.detectors.settings import (
    MOST_RULES,
    RULE_METRICS,
    Comparison,
    DetectionSettings,
    Deviation,
    LeastChange,
    Profile,
    Rule,
    SettingsError,
)
from agents.detectors.settings_codec import from_json, to_json, version_of
from schemas.records.anomalies import Severity
from schemas.records.telemetry import TelemetryEvent

RULES = st.builds(
    Rule,
    name=st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,20}", fullmatch=True),
    metric=st.sampled_from([*RULE_METRICS, "quality.truth", "security.injection", "feature.x"]),
    comparison=st.sampled_from(Comparison),
    threshold=st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**9), 10**9),
    severity=st.sampled_from(Severity),
    tenant=st.none() | st.text(max_size=5),
)
SETTINGS = st.builds(
    DetectionSettings,
    rules=st.lists(RULES, max_size=4, unique_by=lambda rule: rule.name).map(tuple),
    deviation=st.builds(
        Deviation,
        false_alarms_per_week=st.floats(0.01, 100),
        give_in_buckets=st.none() | st.integers(10, 99),
    ),
)


@hypothesis.settings(deadline=None)
@given(SETTINGS)
def test_settings_read_back_the_same_under_the_same_version(settings: DetectionSettings) -> None:
    """Text, version and value stand for each other."""
    text = to_json(settings)
    assert from_json(text) == settings
    assert to_json(from_json(text)) == text
    assert version_of(from_json(text)) == version_of(settings)


def test_the_packaged_defaults_are_version_0() -> None:
    """And any change has another name, also when it is only in type or order."""
    assert version_of(DetectionSettings()) == version_of(from_json("{}")) == "0"
    one = from_json('{"deviation": {"false_alarms_per_week": 4.5, "enabled": true}}')
    assert version_of(one) != "0"
    assert version_of(one) == version_of(
        from_json('{"deviation":{"enabled":true,"false_alarms_per_week":4.5}}')
    )
    whole, real = (Rule("r", "tokens", Comparison.ABOVE, number) for number in (3, 3.0))
    assert version_of(DetectionSettings((whole,))) == version_of(DetectionSettings((real,)))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{", ""),
        ("[]", ""),
        ("[" * 100_000, ""),
        ('{"deviation":{"threshold":1' + "0" * 400 + "}}", ""),
        ('{"rulez":[]}', "rulez"),
        ('{"rules":[],"rules":[]}', "rules"),
        ('{"rules":{}}', "rules"),
        ('{"rules":[{"name":"a","metric":"tokens","comparison":">"}]}', "rules[0].threshold"),
        (
            '{"rules":[{"name":"a","metric":"tokens","comparison":">","threshold":"9"}]}',
            "rules[0].threshold",
        ),
        (
            '{"rules":[{"name":"a","metric":"tokens","comparison":">","threshold":true}]}',
            "rules[0].threshold",
        ),
        (
            '{"rules":[{"name":"a","metric":"tokens","comparison":">","threshold":1e999}]}',
            "rules[0].threshold",
        ),
        (
            '{"rules":[{"name":"a","metric":"tokens","comparison":">","threshold":NaN}]}',
            "rules[0].threshold",
        ),
        (
            '{"rules":[{"name":"a","metric":"tokens","comparison":"~","threshold":1}]}',
            "rules[0].comparison",
        ),
        (
            '{"rules":[{"name":"a","metric":"wisdom","comparison":">","threshold":1}]}',
            "rules[0].metric",
        ),
        (
            '{"rules":[{"name":"a","metric":"quality.","comparison":">","threshold":1}]}',
            "rules[0].metric",
        ),
        (
            '{"rules":[{"name":"a b","metric":"tokens","comparison":">","threshold":1}]}',
            "rules[0].name",
        ),
        ('{"deviation":{"enabled":1}}', "deviation.enabled"),
        ('{"deviation":{"false_alarms_per_week":0}}', "deviation.false_alarms_per_week"),
        ('{"deviation":{"repeat_buckets":30.5}}', "deviation.repeat_buckets"),
        ('{"deviation":{"least_change":{"cost":1}}}', "deviation.least_change.cost"),
        ('{"deviation":{"least_change":{"error_rate":1.5}}}', "deviation.least_change.error_rate"),
        ('{"profile":{"window_buckets":0}}', "profile.window_buckets"),
        ('{"profile":null}', "profile"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(text: str, field: str) -> None:
    """One error, with the path of the field, whatever the text."""
    with pytest.raises(SettingsError) as caught:
        from_json(text)
    assert caught.value.field == field
    assert caught.value.why


def test_settings_published_by_former_versions_are_read() -> None:
    """Their fields that are gone say nothing; those that are still there do."""
    former = '{"deviation":{"threshold":4.0,"least_buckets":30,"memory_buckets":180,'
    former += '"level_memory_buckets":60480,"least_rate":1.0,"give_in_buckets":360}}'
    assert from_json(former).deviation == Deviation(give_in_buckets=360)


def test_two_rules_of_one_name_are_refused() -> None:
    """An anomaly names its rule."""
    rule = Rule("a", "tokens", Comparison.ABOVE, 1.0)
    with pytest.raises(SettingsError, match=r"rules\[1\].name"):
        DetectionSettings((rule, rule))


def test_more_rules_than_a_row_has_room_for_are_refused() -> None:
    """A series keeps eight bytes for each rule."""
    rules = tuple(Rule(f"r{i}", "tokens", Comparison.ABOVE, 1.0) for i in range(MOST_RULES + 1))
    DetectionSettings(rules[:-1])
    with pytest.raises(SettingsError, match="rules"):
        DetectionSettings(rules)


def test_every_numeric_column_of_an_event_can_be_named_by_a_rule() -> None:
    """Rules and schema hold together: times and identifiers aside, what is a whole number in an
    event is a metric.
    """
    numeric = {
        f.name for f in fields(TelemetryEvent) if f.type in (int, int | None, "int", "int | None")
    }
    assert numeric - {"event_time"} <= set(RULE_METRICS)


def test_every_setting_has_a_word_on_what_it_means() -> None:
    """Docs are made of these; a bare field is a defect."""
    tree = ast.parse(inspect.getsource(module))
    for kind in (
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name != "Comparison"
    ):
        for node, after in zip(kind.body, [*kind.body[1:], None], strict=True):
            if isinstance(node, ast.AnnAssign):
                assert isinstance(after, ast.Expr), f"{kind.name}.{ast.unparse(node.target)}"


def test_null_switches_a_metric_off_and_stays_null() -> None:
    """None is a value of its own in the text."""
    settings = DetectionSettings(
        deviation=replace(Deviation(), least_change=LeastChange(cost=None)), profile=Profile()
    )
    assert json.loads(to_json(settings))["deviation"]["least_change"]["cost"] is None
    assert from_json(to_json(settings)) == settings
