"""Open signals where something else than a detector ends them: other settings, and subjects that
are forgotten.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from agents.detection.policy import PolicySet
from agents.detection.population import Population
from agents.detection.state import LaneState
from agents.detectors.contract import WATCHED_EVERY, Change, Detector, Kind, Signal
from agents.detectors.threshold.detector import ThresholdDetector
from schemas.records.anomalies import SignalStatus
from schemas.units import utc

Int64s = npt.NDArray[np.int64]

Ended = tuple[Change, str]
"""What became of a signal, and the detector whose it is."""


def retire(state: LaneState, former: PolicySet, policies: PolicySet) -> Iterator[Ended]:
    """Ends the signals that `policies` do not judge, and hands the others over, before they replace
    `former`.
    """
    new = {detector.name: detector for detector in policies.detectors()}
    for detector in former.detectors():
        tables, successor = state.tables[detector.name], new.get(detector.name)
        open_signals = detector.open_signals(tables)
        retired = [
            one
            for one in open_signals
            if successor is None or not successor.judges(one, state.name(one))
        ]
        for signal in retired:
            why = (
                f"settings version {policies.version} does not judge {signal.rule or signal.metric}"
            )
            yield Change(signal, SignalStatus.RETIRED, why), detector.name
        detector.forget(tables, retired)
        if isinstance(detector, ThresholdDetector) and isinstance(successor, ThresholdDetector):
            successor.adopt(tables, detector, state.series.subjects)


def give_up(
    state: LaneState,
    policies: PolicySet,
    population: Population,
    idle: Int64s,
    bucket: int,
    bucket_us: int,
) -> tuple[Int64s, list[Ended]]:
    """Of subjects without an event for so long that they are due to be forgotten at `bucket`: those
    that are, and the ends of their open signals.

    A subject with an open signal stays for its tenant's `give_up_buckets`.
    """
    seen = population.seen.rows["bucket"]
    held: set[int] = set()
    given_up: list[Ended] = []
    for detector in policies.detectors() if len(idle) else ():
        for signal in _open_signals(detector, state, population.kind, idle):
            tenant = state.name(signal)[0]
            if seen[signal.row] > bucket - policies.of(tenant).give_up_buckets:
                held.add(signal.row)
            else:
                last = int(seen[signal.row]) * bucket_us
                why = f"given up: no data since {utc(last)}"
                given_up.append((Change(signal, SignalStatus.GIVEN_UP, why, last), detector.name))
    return np.array([row for row in idle.tolist() if row not in held], np.int64), given_up


def open_tenants(state: LaneState, policies: PolicySet) -> Iterator[str]:
    """Tenants with open signals, each once for each of its subjects that has one."""
    for detector in policies.detectors():
        signals = detector.open_signals(state.tables[detector.name])
        for signal in {(one.kind, one.row): one for one in signals}.values():
            yield state.name(signal)[0]


def watched_users(state: LaneState, policies: PolicySet, bucket: int) -> Int64s:
    """Users that a detector wants to see in this closed bucket though they had no event."""
    rows = [np.zeros(0, np.int64)]
    if bucket % WATCHED_EVERY == 0:
        at_close = [detector for detector in policies.at_close if detector.kind is Kind.USER]
        rows += [detector.watched(state.tables[detector.name]) for detector in at_close]
    return np.concatenate(rows)


def _open_signals(detector: Detector, state: LaneState, kind: Kind, rows: Int64s) -> list[Signal]:
    if all(of is not kind for of, _ in detector.tables):
        return []
    return [
        one for one in detector.open_signals(state.tables[detector.name], rows) if one.kind is kind
    ]
