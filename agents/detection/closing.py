"""What the close of a bucket does in one lane: verdicts, aggregates, and subjects forgotten."""

from collections.abc import Iterator
from itertools import chain
from typing import Final

from agents.detection.aggregates import aggregate_records
from agents.detection.anomaly_log import AnomalyLog
from agents.detection.intake.watch import IntakeWatch
from agents.detection.policy import PolicySet
from agents.detection.population import Int64s, Population
from agents.detection.service_levels import ServiceLevels
from agents.detection.signals import give_up, open_tenants, watched_users
from agents.detection.state import LaneState
from agents.detection.verdicts import failed_calls
from agents.detectors.contract import Bands, Closed, Kind, Verdicts
from streams.lane.outgoing import Step
from streams.settings import Lanes

_EXPIRY_EVERY: Final = 60
"""Buckets between two looks for subjects that expired."""


class Closing:
    """Closes the buckets of one lane, in order; the state, the watch and the log are the lane's."""

    def __init__(
        self,
        lane: int,
        topic: str,
        limits: Lanes,
        state: LaneState,
        watch: IntakeWatch,
        log: AnomalyLog,
    ) -> None:
        """`topic` is that of aggregates."""
        self.levels = ServiceLevels(limits.measured_series)
        self._lane, self._topic, self._limits = lane, topic, limits
        self._state, self._watch, self._log = state, watch, log
        self._bucket_us = limits.bucket_s * 1_000_000

    @property
    def still_open(self) -> set[int]:
        """Buckets that hold events."""
        return {*self._state.series.windows.open_buckets, *self._state.users.windows.open_buckets}

    def close(self, bucket: int, offset: int, policies: PolicySet, step: Step) -> None:
        """Closes one bucket, by the record at this offset."""
        state, everyone = self._state, bool(policies.detectors())
        closed = state.series.close(bucket, self._bucket_us, everyone=everyone)
        watched = watched_users(state, policies, bucket)
        active = state.users.close(bucket, self._bucket_us, everyone=False, watched=watched)
        # Closing gives new subjects their application, for which the detectors need room.
        state.reserve_applications()
        applications, requests = closed.applications, closed.numbers["requests"]
        for report in self._watch.closed(
            bucket, offset, state.applications, applications, requests, step
        ):
            self._log.report(report, closed.end, step)
        bands = self._judge(closed, active, offset, policies, step)
        step.with_state.extend(
            aggregate_records(
                self._topic, closed, bands, state.series.subjects, policies.version, self._lane
            )
        )
        self.levels.closed(closed, state.series.subjects)
        if bucket % _EXPIRY_EVERY == 0:
            self._expire(bucket, offset, policies, step)

    def passed(self, bucket: int, offset: int, policies: PolicySet, step: Step) -> None:
        """All buckets before this one are closed, by the record at this offset."""
        mark = bucket * self._bucket_us
        for report in self._watch.passed(bucket, offset, policies):
            self._log.report(report, mark, step)

        def tenants_with_signals() -> Iterator[str]:
            return chain(self._watch.open_tenants(), open_tenants(self._state, policies))

        self._log.closed(offset, mark, tenants_with_signals, step)

    def _judge(
        self, closed: Closed, active: Closed, offset: int, policies: PolicySet, step: Step
    ) -> Bands | None:
        """Writes what the detectors find in series (`closed`) and users (`active`); their bands."""
        state, bands = self._state, None
        failures = state.failures.close(closed.bucket)
        verdicts: list[tuple[Verdicts, str, int]] = []
        for detector in policies.at_close:
            subjects = closed if detector.kind is Kind.SERIES else active
            said = detector.at_close(state.tables[detector.name], subjects)
            bands = bands if said.bands is None else said.bands
            verdicts.append((said, detector.name, detector.version))
        for said, name, version in verdicts:
            for finding in said.findings:
                failed = failed_calls(finding, failures)
                self._log.finding(finding, (name, version), offset, step, failed=failed)
            for change in said.changes:
                self._log.change(change, name, closed.end, offset, step)
        for rules in policies.at_once:
            for change in rules.settle(state.tables[rules.name], closed):
                self._log.change(change, rules.name, closed.end, offset, step)
        return bands

    def _expire(self, bucket: int, offset: int, policies: PolicySet, step: Step) -> None:
        """Forgets subjects without an event for `lanes.subject_expiry_s`, but for those whose open
        signals are remembered for longer.
        """

        def forgettable(population: Population, idle: Int64s) -> Int64s:
            gone, given_up = give_up(
                self._state, policies, population, idle, bucket, self._bucket_us
            )
            for change, detector in given_up:
                self._log.change(change, detector, (bucket + 1) * self._bucket_us, offset, step)
            return gone

        before = bucket - self._limits.subject_expiry_s // self._limits.bucket_s
        self._state.expire(before, forgettable)
        self._watch.forget_rows()
