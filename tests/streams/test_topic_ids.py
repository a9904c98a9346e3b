"""A topic that is deleted and made again under a running worker is another one."""

import pytest

from streams.admin.topic_ids import TopicWatch
from streams.lane.program import Stage
from streams.settings import Broker
from streams.state.position import Displaced, Refused
from tests.streams.fakes import Counting

INPUT, STATE, FOLLOWED = "t.telemetry", "t.detect-state", "t.settings"
WELL = {INPUT: "a", STATE: "b", FOLLOWED: "c"}


def watch() -> TopicWatch:
    """Of a stage that has looked once."""
    made = TopicWatch(
        Stage("detect", INPUT, STATE, "t.detect", Counting), Broker(topic_prefix="t.")
    )
    made.check(WELL, {0: "a"})
    return made


def test_an_input_that_was_made_again_names_the_command() -> None:
    """By the id that the position counts in, also when the first look came after it."""
    with pytest.raises(
        Refused,
        match=r"lane detect/0: .*made again.*run: sentinel lanes reset detect --lane 0 --yes",
    ):
        watch().check({**WELL, INPUT: "z"}, {0: "a"})


def test_a_state_topic_that_was_made_again_is_refused_and_a_followed_one_read_again() -> None:
    """Only changed rows are written: what is not in the new topic would be missing after the next
    start.
    """
    with pytest.raises(Refused, match="sentinel lanes reset detect --yes"):
        watch().check({**WELL, STATE: "z"}, {0: "a"})
    with pytest.raises(Displaced, match="read it from its begin"):
        watch().check({**WELL, FOLLOWED: "z"}, {0: "a"})


def test_a_topic_must_be_missing_twice() -> None:
    """Brokers hear of topics one after another; one that does not answer, or gives no ids, says
    nothing.
    """
    seen = watch()
    for answer in ({**WELL, INPUT: None}, WELL, {}, {**WELL, INPUT: None}):
        seen.check(answer, {0: "a", 1: None})
    with pytest.raises(
        Refused, match=r"topic t\.telemetry is missing; run: sentinel topics create"
    ):
        seen.check({**WELL, INPUT: None}, {0: "a"})
