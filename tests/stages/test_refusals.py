"""A worker that must not go on ends within seconds, with a status that tells its supervisor and one
line that tells a person.

(What is found before it starts, as a broker that is away, is in tests/cli.)
"""

import re
import signal

import pytest
from confluent_kafka import TopicCollection, TopicPartition

from streams.admin.inspection import _committed, lanes, reset
from streams.exit_status import AGAIN, REFUSED
from streams.state.chunks import page_key, seal
from streams.state.position import KEY, Position
from tests.harness.telemetry_log import good
from tests.harness.worker import Installation, until

"""What is promised, from the start of the process to its end; a machine that runs other tests
beside gets as much again.
"""


def topic_id(installation: Installation) -> str:
    """Id of the telemetry topic."""
    topic = installation.names.telemetry
    described = installation.admin.describe_topics(TopicCollection([topic]), request_timeout=120)
    return str(described[topic].result().topic_id)


def kept(installation: Installation, *rows: tuple[bytes, bytes]) -> None:
    """State of lane 0 that another process wrote before."""
    for key, value in rows:
        installation.send(installation.names.state("detect"), 0, [value], key=key)


def refused(
    installation: Installation, status: int = REFUSED, **sections: dict[str, object]
) -> str:
    """The one line of a worker that ends with this status."""
    with installation.worker("detect", **sections) as worker:
        assert worker.ends() == status, worker.said()
        said = worker.said().splitlines()
        # The clients tell what they do; of ours there is one line, and no traceback.
        (line,) = [
            line
            for line in said
            if '"log.level": "critical"' in line or line.startswith("sentinel: ")
        ]
        assert all(other.startswith("{") for other in said if other != line), worker.said()
        return line


def test_another_topic_under_the_name_is_refused(installation: Installation) -> None:
    """Deleted and made again since the state was written: its offsets mean other records."""
    before = topic_id(installation)
    kept(installation, (KEY, Position(0, before).to_bytes()))
    made_again(installation, installation.names.telemetry)
    assert topic_id(installation) != before
    line = refused(installation)
    assert "detect/0" in line
    assert "made again" in line
    assert "sentinel lanes reset detect --lane 0 --yes" in line


def test_a_topic_that_is_made_again_under_a_running_worker_ends_it_with_what_to_do(
    installation: Installation,
) -> None:
    """Within seconds, also where the new one is already longer than the old one was: what is before
    the position there would never be read.
    """
    topic = installation.names.telemetry
    with installation.worker("detect") as worker:
        installation.send(topic, 0, [good(number, 0).value for number in range(3)])
        until(
            lambda: worker.metric("sentinel_lane_position", lane=0) >= 3,
            "they are taken",
            worker=worker.ready(),
        )
        made_again(installation, topic)
        installation.send(topic, 0, [good(number, 0).value for number in range(50)])
        assert worker.ends() == REFUSED, worker.said()
        assert re.search(r"made again|topic \S+ is missing", worker.said())
        assert "Traceback" not in worker.said()


def made_again(installation: Installation, topic: str) -> None:
    """Deletes a topic and makes it again."""
    installation.admin.delete_topics([topic])[topic].result(120)
    until(
        lambda: topic not in installation.admin.list_topics(timeout=120).topics, "the topic is gone"
    )
    installation.with_topics()


def test_a_log_shorter_than_the_position_is_refused(installation: Installation) -> None:
    """Records that were counted are gone."""
    kept(installation, (KEY, Position(1000, topic_id(installation)).to_bytes()))
    line = refused(installation)
    assert "stands at offset 1000, but the log ends at 0" in line
    assert "sentinel lanes reset detect --lane 0 --yes" in line


def test_state_that_is_gone_is_refused_until_a_person_says_so(installation: Installation) -> None:
    """A worker that went on would forget open buckets, and nobody would know. Told that it was
    meant, the lane starts where the group committed.
    """
    topic, state = installation.names.telemetry, installation.names.state("detect")
    with installation.worker("detect") as worker:
        worker.ready()
        installation.send(topic, 0, [good(number, 0).value for number in range(10)])
        group = f"{installation.broker.topic_prefix}detect"
        until(
            lambda: 0 in _committed(installation.admin, group), "lane 0 is committed", worker=worker
        )
        worker.signal(signal.SIGTERM)
        assert worker.ends() == 0, worker.said()
    installation.admin.delete_topics([state])[state].result(120)
    until(
        lambda: state not in installation.admin.list_topics(timeout=120).topics, "the topic is gone"
    )
    installation.with_topics()
    line = refused(installation)
    assert re.search(r"lane detect/\d: its state is gone: a worker committed offset \d+", line)
    assert "sentinel lanes reset detect --lane" in line
    described = installation.admin.describe_consumer_groups
    until(
        lambda: not described([group])[group].result().members, "the group has forgotten the dead"
    )
    for dry_run in (True, False):
        told = list(reset(installation.broker, "detect", None, dry_run=dry_run))
        assert any("lane detect/0: " in each for each in told), told
    begins = _committed(installation.admin, group)[0].offset
    with installation.worker("detect") as worker:
        worker.ready()
        (lane,) = [lane for lane in lanes(installation.broker, "detect") if lane.lane == 0]
        assert lane.position >= begins


@pytest.mark.parametrize(
    ("row", "table"),
    [
        ((page_key("series-seen", 0), seal(9, b"\0" * 8)), "'series-seen' has version 9"),
        ((KEY, b'{"version":2,"offset":0,"topic_id":null}'), "position has version 2"),
    ],
    ids=["table", "position"],
)
def test_state_of_a_newer_program_is_refused(
    installation: Installation, row: tuple[bytes, bytes], table: str
) -> None:
    """A roll-back does not read what it does not know; nothing is changed."""
    kept(installation, row)
    assert f"{table}, this program reads up to" in refused(installation)
    assert len(installation.read(installation.names.state("detect"), 0)) == 1


def test_a_missing_topic_is_refused(installation: Installation) -> None:
    """The line names the command that makes it; the broker does not make it by itself."""
    topic = installation.names.state("detect")
    installation.admin.delete_topics([topic])[topic].result(120)
    until(
        lambda: topic not in installation.admin.list_topics(timeout=120).topics, "the topic is gone"
    )
    line = refused(installation, 1)
    assert f"{topic} missing: run `sentinel topics create`" in line
    assert topic not in installation.admin.list_topics(timeout=120).topics


def test_a_log_that_begins_later_is_a_jump_that_is_counted(installation: Installation) -> None:
    """Retention took records that were not read: the lane goes on with what is left, and says how
    many are gone.
    """
    topic = installation.names.telemetry
    kept(installation, (KEY, Position(3, topic_id(installation)).to_bytes()))
    installation.send(topic, 0, [good(number, 0).value for number in range(20)])
    installation.admin.delete_records([TopicPartition(topic, 0, 15)])[
        TopicPartition(topic, 0)
    ].result(120)
    # The events are a year old when they arrive; that makes them neither late nor bad.
    with installation.worker("detect") as worker:
        worker.ready()
        until(
            lambda: worker.metric("sentinel_lane_position", lane=0) >= 20,
            "lane 0 takes what is left",
            worker=worker,
        )
        assert worker.metric("sentinel_jumped_records_total", lane=0) == 12
        assert worker.metric("sentinel_events_total", lane=0) == 5
        assert "lane.jumped" in worker.said()


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "later"])
def test_a_topic_that_goes_under_a_running_worker_ends_it(
    installation: Installation, at_once: bool
) -> None:
    """Deleted, it is missed within seconds. Made again at once, its records are not taken for those
    that stood at their offsets before.
    """
    topic = installation.names.telemetry
    with installation.worker("detect", lanes={"tick_after_s": 3600.0}) as worker:
        worker.ready()
        installation.send(topic, 0, [good(number, 0).value for number in range(10)])
        until(
            lambda: worker.metric("sentinel_lane_durable_position", lane=0) >= 10,
            "ten are durable",
            worker=worker,
        )
        installation.admin.delete_topics([topic])[topic].result(120)
        if at_once:
            until(
                lambda: topic not in installation.admin.list_topics(timeout=120).topics,
                "the topic is gone",
            )
            installation.with_topics()
            installation.send(topic, 0, [good(number, 0).value for number in range(20)])
        assert worker.ends() in (REFUSED, AGAIN), worker.said()
        assert "detect/0" in worker.said() or f"topic {topic} is missing" in worker.said()
        assert "Traceback" not in worker.said()
    # Who starts it again finds the same, in one line.
    with installation.worker("detect") as again:
        assert again.ends() in (1, REFUSED), again.said()
