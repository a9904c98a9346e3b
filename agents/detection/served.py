"""Which detectors a lane can serve. One that needs more is refused when its settings are read,
never in a running lane.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from agents.detectors.contract import BAND_METRICS, AtCloseDetector, AtOnceDetector, Detector, Kind
from agents.detectors.deviation.detector import DeviationDetector
from agents.detectors.deviation.native import CannotJudge
from agents.detectors.profile.detector import ProfileDetector
from agents.detectors.settings import DetectionSettings
from agents.detectors.threshold.detector import ThresholdDetector
from streams.state.position import Refused

_CLOSED_OF: Final = (Kind.SERIES, Kind.USER)
"""Kinds of subject whose closed buckets a lane has."""

_OWN_TABLES: Final = frozenset(
    {"application-names"}
    | {f"{kind}-{table}" for kind in _CLOSED_OF for table in ("names", "seen", "window", "buckets")}
)
"""Tables of the lane itself."""


@dataclass(frozen=True, slots=True)
class Detectors:
    """The detectors of one settings version, in the order in which they are asked.

    Raises:
        Refused: a lane cannot serve one of them; the text names it and says why.
    """

    at_once: Sequence[AtOnceDetector]
    at_close: Sequence[AtCloseDetector]

    def __post_init__(self) -> None:
        everyone: list[Detector] = [*self.at_once, *self.at_close]
        _refuse_twice("detectors", (one.name for one in everyone))
        _refuse_twice("tables", (spec.name for one in everyone for _, spec in one.tables))
        for one in everyone:
            if taken := sorted(_OWN_TABLES & {spec.name for _, spec in one.tables}):
                raise Refused(
                    f"detector {one.name}: table {taken[0]} is the lane's own; give it another name"
                )
        for one in self.at_close:
            if one.kind not in _CLOSED_OF:
                raise Refused(
                    f"detector {one.name}: a lane has closed buckets of {' and '.join(_CLOSED_OF)}"
                    f" subjects, none of {one.kind} subjects"
                )
            if one.bands and (one.kind is not Kind.SERIES or set(one.bands) != set(BAND_METRICS)):
                raise Refused(
                    f"detector {one.name}: an aggregate has bands of series, for exactly"
                    f" {', '.join(BAND_METRICS)}"
                )
        drawing = [one.name for one in self.at_close if one.bands]
        if len(drawing) > 1:
            raise Refused(
                f"detectors {' and '.join(drawing)} both give bands; an aggregate has room for"
                " those of one: switch one of them off"
            )


def detectors_of(settings: DetectionSettings) -> Detectors:
    """The detectors that these settings switch on. Raises Refused when a lane cannot serve one of
    them.
    """
    at_once: list[AtOnceDetector] = (
        [ThresholdDetector(settings.rules, settings.rule_quiet_buckets, settings.no_data_buckets)]
        if settings.rules
        else []
    )
    at_close: list[AtCloseDetector] = []
    if settings.deviation.enabled:
        try:
            at_close.append(DeviationDetector(settings.deviation, settings.no_data_buckets))
        except CannotJudge as why:
            raise Refused(f"detector deviation: {why}") from None
    if settings.profile.enabled:
        at_close.append(ProfileDetector(settings.profile, settings.no_data_buckets))
    return Detectors(at_once, at_close)


def _refuse_twice(what: str, names: Iterable[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise Refused(f"two {what} are named {twice[0]}: their state would be mixed; rename one")
