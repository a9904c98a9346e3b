"""Titles of anomalies about records that do not count: whose, what is wrong, and where one of them
is.
"""

from typing import Final

from schemas.records.anomalies import Anomaly
from schemas.units import number, quantity

_NO_APPLICATION: Final = "(intake)"


def intake_sentence(anomaly: Anomaly) -> str:
    """As in "half of the records of tenant acme are refused: latency_us is negative (e.g.
    telemetry/3@1234)".
    """
    whose = _whose(anomaly)
    if anomaly.metric == "misplaced_events":
        return f"events of {whose} are on partition {anomaly.lane}, the wrong one{_cause(anomaly)}"
    example = f" (e.g. telemetry/{anomaly.lane}@{anomaly.offset})"
    share = _share(anomaly.observed)
    match anomaly.metric:
        case "bad_records":
            why = f": {anomaly.breakdown[0].value}" if anomaly.breakdown else ""
            return f"{share} of the records of {whose} are refused{why}{example}"
        case "late_events":
            return (
                f"{share} of the events of {whose} arrive {_skew(anomaly)}late and are not"
                f" counted{example}"
            )
        case _:
            return (
                f"{share} of the events of {whose} are {_skew(anomaly)}ahead of the clock and are"
                f" refused{example}"
            )


def _whose(anomaly: Anomaly) -> str:
    if anomaly.application == _NO_APPLICATION:
        return f"tenant {anomaly.tenant}"
    return f"{anomaly.tenant}/{anomaly.application}"


def _share(observed: float) -> str:
    """A share in words.

    >>> _share(1.0), _share(0.51), _share(0.731)
    ('all', 'half', '73 %')
    """
    if observed >= 1.0:
        return "all"
    return "half" if 0.45 <= observed <= 0.55 else f"{number(100 * observed, 2)} %"


def _skew(anomaly: Anomaly) -> str:
    """The least of how far off they are."""
    known = {each.name: each.value for each in anomaly.evidence}
    return f"{quantity('latency', known['least_us'])} " if "least_us" in known else ""


def _cause(anomaly: Anomaly) -> str:
    said = {each.name: each.value for each in anomaly.breakdown}
    causes = {"none": "the producer sends no key", "another": "the key is not tenant/application"}
    if said.get("key") in causes:
        return f": {causes[said['key']]}"
    return f": the producer partitions by {said['partitioner']}" if "partitioner" in said else ""
