"""A record that kills the decoder is found after the death, and no worker decodes it again; other
deaths condemn nothing.
"""

import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from confluent_kafka import Producer

from schemas.records.telemetry import Operation, Status, TelemetryEvent
from schemas.secrets import Secret
from streams.client.brokers import aiokafka_config, producer_config
from streams.control.settings_log import SettingsLog
from streams.process.crash_note import CrashNote
from streams.settings import Broker, Lanes
from streams.topic_names import TopicNames
from topology.control.reading import whole
from topology.stages.standalone import make_topics
from topology.supervision.condemning import Condemner
from topology.supervision.decoding_trial import framed
from topology.supervision.supervisor import Child

KEY = Secret("only-for-tests")
DETECT = Child("detect", ["unused"])

DIES_OF_KILL = """
import os, signal, sys
number = 0
while length := sys.stdin.buffer.read(4):
    value = sys.stdin.buffer.read(int.from_bytes(length, "big"))
    print(number, flush=True)
    if value.startswith(b"kill"):
        os.kill(os.getpid(), signal.SIGSEGV)
    number += 1
"""
"""Stands for a decoder with a defect in native code."""


class Installation:
    """Topics on the shared broker, records in lane 1 from offset 0 on, and what the supervisor
    said.
    """

    def __init__(self, address: str, prefix: str, note: Path) -> None:
        self.broker = Broker(bootstrap_servers=address, topic_prefix=prefix)
        self.names = TopicNames(prefix)
        self.note = note
        self.said: list[str] = []
        make_topics(self.broker, Lanes(partitions=2))

    def produce(self, values: Sequence[bytes | None]) -> None:
        producer = Producer(producer_config(self.broker))
        for value in values:
            producer.produce(self.names.telemetry, value, partition=1)
        assert producer.flush(120) == 0

    def was_decoding(self, start: int, end: int) -> None:
        """The note as a worker leaves it that dies in its decoder."""
        with suppress(RuntimeError), CrashNote(self.note).decoding(1, start, end):
            raise RuntimeError

    async def died(self, status: int, key: Secret = KEY, child: Child = DETECT) -> None:
        trial = (sys.executable, "-c", DIES_OF_KILL)
        await Condemner(self.broker, key, self.note, self.said.append, trial).after_death(
            child, status
        )

    def skipped(self) -> set[int]:
        """The offsets that a worker which starts now would not decode: what its own settings log
        makes of the topic.
        """
        log = SettingsLog(aiokafka_config(self.broker), self.names.settings, KEY, {})
        for record in whole(self.broker, [self.names.settings]):
            log._read(record.key or b"", record.value, record.headers)
        return log.skipped(self.names.telemetry, 1)


@pytest.fixture
def installation(kafka: str, topic_prefix: str, tmp_path: Path) -> Installation:
    """Topics of this test."""
    return Installation(kafka, topic_prefix, tmp_path / "note")


async def test_every_killer_in_the_batch_is_skipped_and_nothing_else(
    installation: Installation,
) -> None:
    """Two killers among good records, a tick and garbage: exactly they are condemned, in a way that
    workers believe.
    """
    installation.produce(
        [b"good", b"kill 1", None, b"garbage", b"kill 4", b"good", b"kill beyond the batch"]
    )
    installation.was_decoding(0, 6)
    await installation.died(-signal.SIGSEGV)
    assert installation.skipped() == {1, 4}
    assert [line.split(";")[0] for line in installation.said] == [
        f"record {installation.names.telemetry}/1 offset {offset} kills the decoder (killed by"
        " SIGSEGV)"
        for offset in (1, 4)
    ]


@pytest.mark.parametrize("status", [-signal.SIGKILL, -signal.SIGTERM, 70, 1, 0])
async def test_other_deaths_condemn_nothing(installation: Installation, status: int) -> None:
    """kill -9 in the midst of decoding says nothing about the records."""
    installation.produce([b"kill"])
    installation.was_decoding(0, 1)
    await installation.died(status)
    assert installation.skipped() == set()
    assert installation.said == []


async def test_native_death_outside_the_decoder_condemns_nothing(
    installation: Installation,
) -> None:
    """Without a note that says decoding, and for other stages, nobody is suspected."""
    installation.produce([b"kill"])
    await installation.died(-signal.SIGSEGV)
    installation.was_decoding(0, 1)
    await installation.died(-signal.SIGSEGV, child=Child("alert", ["unused"]))
    assert installation.skipped() == set()


async def test_records_that_kill_nothing_alone_are_not_skipped_but_told(
    installation: Installation,
) -> None:
    """The death is not explained by a record: that is said, and no data is given up."""
    installation.produce([b"good"])
    installation.was_decoding(0, 1)
    await installation.died(-signal.SIGABRT)
    assert installation.skipped() == set()
    assert "none is skipped" in installation.said[0]


async def test_without_a_key_the_record_is_named_and_not_skipped(
    installation: Installation,
) -> None:
    """A verdict that nobody could believe is not written; the line says what to set."""
    installation.produce([b"kill"])
    installation.was_decoding(0, 1)
    await installation.died(-signal.SIGSEGV, key=Secret(""))
    assert installation.skipped() == set()
    assert "worker.control_key" in installation.said[0]


def test_trial_decodes_good_and_bad_records_and_names_each() -> None:
    """The real trial: a good record, garbage and an empty one are all tried, and none of them kills
    it.
    """
    event = TelemetryEvent(
        event_id="e",
        event_time=1,
        tenant="t",
        application="a",
        model="m",
        operation=Operation.CHAT,
        status=Status.SUCCESS,
        latency_us=1,
    )
    done = subprocess.run(
        [sys.executable, "-m", "topology.supervision.decoding_trial"],
        input=framed([event.to_bytes(), b"\0\0\0\0\1garbage", b""]),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [b"0", b"1", b"2"]


async def _dies_unpacking(
    installation: Installation, condemner: Condemner, start: int, status: int
) -> None:
    with suppress(RuntimeError), CrashNote(installation.note).unpacking(1, start, start + 4):
        raise RuntimeError
    await condemner.after_death(DETECT, status)


def _is_deadly(installation: Installation, offset: int) -> bool:
    """What a worker that starts now would think of the batch."""
    log = SettingsLog(aiokafka_config(installation.broker), installation.names.settings, KEY, {})
    for record in whole(installation.broker, [installation.names.settings]):
        log._read(record.key or b"", record.value, record.headers)
    return log.is_deadly(installation.names.telemetry, 1, offset)


@pytest.mark.parametrize(
    "status", [-signal.SIGKILL, -signal.SIGABRT, 70], ids=["SIGKILL", "SIGABRT", "a bug"]
)
async def test_three_deaths_at_one_batch_are_deaths_by_that_batch(
    installation: Installation, status: int
) -> None:
    """Memory that runs out kills too; other batches are not condemned, and counting begins anew
    with another batch.
    """
    condemner = Condemner(installation.broker, KEY, installation.note, installation.said.append)
    for start in (7, 3, 3):
        await _dies_unpacking(installation, condemner, start, status)
    assert not _is_deadly(installation, 3)
    await _dies_unpacking(installation, condemner, 3, status)
    assert _is_deadly(installation, 3)
    assert not _is_deadly(installation, 7)
    assert installation.skipped() == set()
    assert (
        f"{installation.names.telemetry}/1 offsets 3 to 6 kills the worker" in installation.said[-1]
    )


@pytest.mark.parametrize("status", [0, 75, 78, -signal.SIGTERM])
async def test_other_deaths_at_a_batch_condemn_nothing(
    installation: Installation, status: int
) -> None:
    """A person ended it, or the broker is away."""
    condemner = Condemner(installation.broker, KEY, installation.note, installation.said.append)
    for _ in range(4):
        await _dies_unpacking(installation, condemner, 3, status)
    assert installation.said == []
