"""Every error that a broker may answer with, on every request of a worker: it goes on, or ends with
a reason and goes on when it is started again.

One worker of detect meets them one after the other, at librdkafka's mock of Kafka, while events
wait. Afterwards each event must be counted once, and what a rule said of it told. What can be
judged here is how the worker takes an answer, not what a real broker does beside it: what the mock
answers with an error it has not done, what it wrote is never aborted, nobody is fenced, and a
client's second try is never a duplicate.
"""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import yaml

from agents.detection.population import SERIES_WINDOW
from agents.detectors.settings import Comparison, DetectionSettings, Deviation, Profile, Rule
from schemas.records.aggregates import Aggregate
from schemas.records.anomalies import Anomaly
from schemas.secrets import Secret
from streams.admin.topics import EMBEDDED_PARTITIONS
from streams.exit_status import AGAIN, REFUSED
from streams.settings import Broker, Lanes
from streams.state.position import KEY
from streams.topic_names import TopicNames
from tests.faults.mock_cluster import MockCluster
from tests.faults.protocol_codes import CODES, Api, Case, Moment, cases
from tests.faults.protocol_events import SLOW_US, Events, Lane, Place
from tests.harness.exactness.disturbing import Say
from tests.harness.exactness.workers import Member, until
from tests.harness.metrics import scrape
from tests.harness.reference.lane_state import LaneState
from tests.harness.reference.reading import Reader
from tests.harness.showing import BenchmarkFailed, Json
from topology.control.publishing import publish
from topology.stages.standalone import make_topics

_HUNG_S: Final = 100.0
"""Longer than a watchdog takes to end a worker, and that to come back."""
_READY_S: Final = 60.0
_AT_ONCE: Final = 2
_LOOK_S: Final = 0.05
_MET_S: Final = 60.0
_SPOILT_FOR: Final = {Moment.RUNNING: 2, Moment.STARTING: 12}
"""Requests for metadata until topics are well again; at a start many ask for no topic."""
_TOLD_TO_END: Final = (Moment.STARTING, Moment.RESTORING, Moment.ENDING)
_PROVOKED_BY: Final[Mapping[tuple[Api | None, Moment], Case]] = {
    (None, Moment.REJOINING): Case(Api.HEARTBEAT, Moment.RUNNING, "REBALANCE_IN_PROGRESS", 1),
    (None, Moment.SEEKING): Case(Api.HEARTBEAT, Moment.RUNNING, "NOT_COORDINATOR", 1),
    (Api.METADATA, Moment.RUNNING): Case(Api.FETCH, Moment.RUNNING, "NOT_LEADER_OR_FOLLOWER", 3),
}
"""Errors that make a worker ask, by what is asked and when."""


class Hung(BenchmarkFailed):
    """The worker does not come to the end of what was sent, nor was it ended by its watchdog."""


class Wrong(BenchmarkFailed):
    """An event is counted twice or not at all, or what a rule said of it is missing."""


@dataclass(slots=True)
class Found:
    """What came of all cases."""

    recovered: int = 0
    ended: int = 0
    """With a reason, to be started again, which then worked."""
    hung: int = 0
    wrong: int = 0
    broken: list[str] = field(default_factory=list)
    """Those that hung, counted wrong, ended with another status, or that no request met."""
    wall_s: float = 0.0

    @property
    def numbers(self) -> dict[str, Json]:
        """As `--json` prints it."""
        return {
            "cases": self.recovered + self.ended + len(self.broken),
            "recovered": self.recovered,
            "ended": self.ended,
            "hung": self.hung,
            "wrong": self.wrong,
            "wall_s": round(self.wall_s, 1),
            "broken": [*self.broken],
        }

    def failed(self, case: Case | str, why: BenchmarkFailed) -> None:
        """Notes a case that came to no good end."""
        self.hung += isinstance(why, Hung)
        self.wrong += isinstance(why, Wrong)
        self.broken.append(f"{case}: {why}")


@dataclass(slots=True)
class Exchange:
    """A worker, the mock cluster that it speaks to, and what it is to take."""

    mock: MockCluster
    member: Member
    events: Events
    names: TopicNames

    async def meet(self, case: Case) -> str:
        """Lets the worker meet the errors, and tells the line in which it said why it ended; empty
        when it went on. Raises BenchmarkFailed when it neither went on nor ended with a reason.
        """
        member = self.member
        await self._comes(member.is_ready, "it is not ready")
        self._statuses("after the case before")
        # The mock keeps nothing that it answers so, and the client takes it for kept: no verdict
        # may hang on it.
        slow = case.name != "DUPLICATE_SEQUENCE_NUMBER"
        starts = case.moment in (Moment.STARTING, Moment.RESTORING)
        if starts:
            # Between its end and the moment at which it asks for anything lies the time in which
            # Python starts.
            await self._ended()
        else:
            # Frozen for a moment, so that nobody else meets the errors, and nobody asks for
            # anything before they are there.
            member.freeze()
        self.events.send(slow=slow)
        self._load(case)
        if not starts:
            member.thaw()
        if case.moment is Moment.ENDING:
            await self._ended()
        try:
            await self._met(case)
            await self._comes(self._is_through, "it does not come to the end of what was sent")
        finally:
            self._heal(case)
        # It goes on; and whatever the mock did not keep of state is written again with the rest of
        # its page.
        self.events.send(slow=False)
        await self._comes(self._is_through, "it does not go on")
        statuses = self._statuses("in this case")
        if case.moment in _TOLD_TO_END and 0 in statuses:
            statuses.remove(0)
        return _reason(member) if statuses else ""

    def _statuses(self, when: str) -> list[int]:
        """With which it ended since it was forgiven. Raises BenchmarkFailed when it was none that a
        supervisor is to see.
        """
        member = self.member
        statuses, words = list(member.deaths.elements()), "".join(member.last_words[-1:])
        # Told once: the next case has deaths of its own.
        member.forgive()
        others = sorted(set(statuses) - {0, AGAIN, REFUSED})
        if others:
            raise BenchmarkFailed(f"ended with status {others[0]} {when}: {words}")
        return statuses

    def _load(self, case: Case) -> None:
        provoked = _PROVOKED_BY.get((case.api, case.moment), _PROVOKED_BY.get((None, case.moment)))
        if provoked is not None:
            self.mock.load(provoked.api, CODES[provoked.name], provoked.times)
        if case.api is Api.METADATA:
            self.mock.spoil(self._spoilt(case), case.code)
        else:
            self.mock.load(case.api, case.code, case.times, case.after)

    def _spoilt(self, case: Case) -> tuple[str, ...]:
        """What the state's topic is said to be, the mock says in transactions as well, where other
        cases say it.
        """
        names = self.names
        return (names.telemetry, *((names.settings,) if case.moment is Moment.STARTING else ()))

    async def _met(self, case: Case) -> None:
        """Until all errors were met. Raises BenchmarkFailed when they are not."""
        wanted = _SPOILT_FOR[case.moment] if case.api is Api.METADATA else case.after + case.times

        async def met() -> bool:
            return self.mock.asked(case.api) >= wanted

        await until(met, _MET_S, "nobody asked")
        if case.api is Api.METADATA:
            self._heal(case)

    def _heal(self, case: Case) -> None:
        if case.api is Api.METADATA:
            self.mock.spoil(self._spoilt(case), 0)
        for api in (case.api, Api.HEARTBEAT, Api.FETCH):
            self.mock.forget(api)

    async def _ended(self) -> None:
        pid = self.member.pid
        self.member.terminate()

        async def gone() -> bool:
            return self.member.pid != pid

        await until(gone, _READY_S, "it does not end")

    async def _comes(self, done: Callable[[], Awaitable[bool]], what: str) -> None:
        """Raises Hung when it does not come to that, and BenchmarkFailed when it dies again and
        again.
        """
        deadline = time.monotonic() + _HUNG_S
        while not await done():
            if time.monotonic() > deadline:
                raise Hung(f"{what} after {_HUNG_S:g} s")
            await asyncio.sleep(_LOOK_S)

    async def _is_through(self) -> bool:
        if not await self.member.is_ready():
            return False
        durable = await asyncio.to_thread(_durable, self.member.port)
        return all(durable.get(lane, 0.0) >= end for lane, end in self.events.ends.items())

    def check(self, reader: Reader) -> None:
        """Raises Wrong when not every event is counted once, or an anomaly of a rule is missing;
        the next check goes on from there.
        """
        self._statuses("after the last case")
        events = self.events
        counted = {lane: self._counted(reader, lane) for lane in range(EMBEDDED_PARTITIONS)}
        told = set[Place]().union(
            *[_told(reader, self.names, lane) for lane in range(EMBEDDED_PARTITIONS)]
        )
        (sent, events.sent), (slow, events.slow) = (events.sent, counted), (events.slow, told)
        if counted != sent:
            raise Wrong(f"counted by lane {counted}, sent {sent}")
        if told != slow:
            raise Wrong(
                f"missing anomalies {sorted(slow - told)}, unexpected {sorted(told - slow)}"
            )

    def _counted(self, reader: Reader, lane: Lane) -> int:
        """In closed buckets and in open ones."""
        rows = reader.table(self.names.state("detect"), lane)
        rows.pop(KEY, None)
        dtype = SERIES_WINDOW.table_spec().dtype
        windows = LaneState.of(rows).windows.items()
        open_ones = (
            np.frombuffer(row, dtype)[0]
            for (table, _, _), row in windows
            if table == SERIES_WINDOW.table
        )
        closed = (
            Aggregate.from_bytes(each.value or b"")
            for each in reader.stored(self.names.aggregates, lane)
        )
        return sum(int(row["numbers"][0]) for row in open_ones) + sum(
            int(each.requests) for each in closed
        )


def _reason(member: Member) -> str:
    """The one line in which it said why it ended."""
    lines = [line for line in member.tail().splitlines() if '"log.level": "critical"' in line]
    return str(json.loads(lines[-1])["message"]) if lines else "no reason given"


def _told(reader: Reader, names: TopicNames, partition: int) -> set[Place]:
    values = (record.value for record in reader.stored(names.anomalies, partition))
    verdicts = (Anomaly.from_bytes(value) for value in values if value is not None)
    return {(verdict.lane, verdict.offset) for verdict in verdicts if verdict.rule is not None}


def _durable(port: int) -> Mapping[Lane, float]:
    """Durable position of each lane, as the worker tells it; empty while it does not answer."""
    answer = scrape(port)
    lanes = {} if answer is None else answer.by("lane", "sentinel_lane_durable_position")
    return {int(lane): position for lane, position in lanes.items()}


@asynccontextmanager
async def exchange() -> AsyncIterator[Exchange]:
    """All of it at work. However it is left, nothing of it is left behind."""
    with MockCluster() as mock, TemporaryDirectory(prefix="sentinel-protocol-") as folder:
        key = Secret(uuid.uuid4().hex)
        broker = Broker(bootstrap_servers=mock.address, topic_prefix="protocol.", embedded=True)
        lanes = Lanes(partitions=EMBEDDED_PARTITIONS)
        await asyncio.to_thread(make_topics, broker, lanes)
        rule = Rule("slow-call", "latency_us", Comparison.ABOVE, float(SLOW_US))
        settings = DetectionSettings(
            rules=(rule,), deviation=Deviation(enabled=False), profile=Profile(enabled=False)
        )
        await asyncio.to_thread(publish, broker, lanes, settings, key, "protocol")
        member = Member("detect", "detect", _config(broker, key, Path(folder)), Path(folder))
        member.start()
        try:
            await until(member.is_ready, _READY_S, "the worker is not ready")
            yield Exchange(mock, member, Events(broker), TopicNames(broker.topic_prefix))
        finally:
            await member.drop()


def _config(broker: Broker, key: Secret, folder: Path) -> Path:
    sections = {
        "broker": {
            "bootstrap_servers": broker.bootstrap_servers,
            "topic_prefix": broker.topic_prefix,
            "embedded": True,
            "session_timeout_s": 1.5,
            "heartbeat_interval_s": 0.3,
        },
        # Buckets that stay open: a transaction is one batch, which the mock has or has not. Broken
        # off between two, one would be half there.
        "lanes": {
            "partitions": EMBEDDED_PARTITIONS,
            "bucket_s": 86_400,
            "flush_min_s": 0.1,
            "flush_max_s": 1.0,
        },
        "worker": {"control_key": key.reveal(), "log_level": "warning"},
    }
    config = folder / "sentinel.yaml"
    config.touch(mode=0o600)
    config.write_text(yaml.safe_dump(sections))
    return config


def suffer(wanted: Iterable[Case], say: Say, *, checks_each: bool) -> Found:
    """Meets every case, and counts after each, or after all of them. Raises BenchmarkFailed when
    there is no going on.
    """
    return asyncio.run(_suffered(wanted, say, checks_each))


async def _suffered(wanted: Iterable[Case], say: Say, checks_each: bool) -> Found:
    found, began = Found(), time.monotonic()
    # Most of the time is waiting: several workers, each with a cluster of its own, take the next
    # case in turn.
    left = iter(wanted)
    await asyncio.gather(*[_one_by_one(left, found, say, checks_each) for _ in range(_AT_ONCE)])
    found.wall_s = time.monotonic() - began
    return found


async def _one_by_one(left: Iterator[Case], found: Found, say: Say, checks_each: bool) -> None:
    async with exchange() as here:
        with Reader(here.events.broker) as reader:
            for case in left:
                since = time.monotonic()
                try:
                    reason = await here.meet(case)
                    if checks_each:
                        await asyncio.to_thread(here.check, reader)
                except BenchmarkFailed as why:
                    found.failed(case, why)
                    say(f"{case} BROKEN: {why}")
                    continue
                found.ended += bool(reason)
                found.recovered += not reason
                say(f"{case}: {reason or 'recovered'} ({time.monotonic() - since:.1f} s)")
            try:
                await asyncio.to_thread(here.check, reader)
            except BenchmarkFailed as why:
                found.failed("all together", why)
        await here.member.leave()


def answered(*, long: bool, say: Say) -> Found:
    """Every error that a broker may answer a worker with, retriable or fatal, on every request."""
    return suffer(cases(long=long), say, checks_each=long)
