"""What came out of a run: every comparison, and the numbers that must be 0."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from schemas.records.anomalies import Anomaly
from streams.exit_status import AGAIN
from tests.harness.exactness import comparing, telling
from tests.harness.exactness.plan import Plan
from tests.harness.exactness.running import Ran
from tests.harness.reference.detecting import Reference
from tests.harness.reference.reading import Reader
from tests.harness.reference.tally import Tally
from tests.harness.showing import Json

_ERRORS: Final = (
    "lost",
    "wrong_state",
    "missing",
    "duplicates",
    "unequal",
    "unexpected",
    "crashes",
)
_STATE: Final = ("detect-state", "open buckets and clock", "correlate-state", "alert-state")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came out of a run."""

    ran: Ran
    tallies: list[Tally]
    lost: int
    """Events that were acknowledged and are not in the log up to where the lanes stand, or that no
    bucket counts.
    """
    twice: int
    """Events counted more than once."""
    late: int
    detectors: dict[str, int]
    """Anomalies by detector."""

    @property
    def numbers(self) -> dict[str, Json]:
        """As `--json` prints it. All that must be 0: lost, wrong_state, missing, duplicates,
        unequal, unexpected, crashes.
        """
        state = [tally for tally in self.tallies if tally.what in _STATE]
        others = [tally for tally in self.tallies if tally.what not in _STATE]
        by_name = {tally.what: tally for tally in self.tallies}
        return {
            "events": self.ran.sent,
            "kills": self.ran.kills.total(),
            "kills_by_stage": dict(self.ran.kills),
            "lost": self.lost,
            "wrong_state": sum(tally.errors for tally in state),
            "missing": sum(tally.missing for tally in others),
            "duplicates": self.twice + sum(tally.duplicates for tally in others),
            "unequal": sum(tally.unequal for tally in others),
            "unexpected": sum(tally.unexpected for tally in others),
            "crashes": sum(
                count for status, count in self.ran.unexpected.items() if status != AGAIN
            ),
            "ended_by_themselves": self.ran.unexpected.get(AGAIN, 0),
            "stale_blocks": self.ran.stale_blocks,
            "buckets": by_name["buckets, slowly"].compared,
            "anomalies": by_name["anomalies"].compared,
            "anomalies_by_detector": self.detectors,
            "incidents": by_name["incidents"].compared,
            "messages": by_name["messages received"].compared,
            "late": self.late,
            "dead_letters": by_name["dead letters"].compared,
            "written_again": {
                tally.what: tally.repeated
                for tally in others
                if tally.what in ("anomalies", "incidents", "dead letters")
            },
            "delivered_again": by_name["messages received"].repeated,
        }

    @property
    def differing(self) -> list[Tally]:
        """The comparisons that found something, with examples."""
        return [tally for tally in self.tallies if tally.errors]

    @property
    def is_exact(self) -> bool:
        """Whether nothing differs."""
        numbers = self.numbers
        return not any(numbers[name] for name in _ERRORS)


def judged(
    plan: Plan, ran: Ran, references: Sequence[Reference], stored: Sequence[Tally] = ()
) -> Verdict:
    """Compares everything that the run left behind with the references; the store has been compared
    already. Raises what reading raises.
    """
    with Reader(plan.broker) as reader:
        buckets = comparing.buckets(plan, reader, references)
        states = [Tally(name) for name in _STATE[:2]]
        for lane, reference in enumerate(references):
            found = comparing.detect_state(plan, reader, lane, reference)
            for state, part in zip(states, found, strict=True):
                state.add(part)
        incidents = telling.incidents(plan, reader)
        tallies = [
            *buckets.tallies,
            *states,
            *comparing.anomalies(plan, reader, references),
            comparing.dead_letters(plan, reader, references),
            *incidents.tallies,
            *telling.messages(plan, reader, ran, incidents.read),
            *stored,
        ]
    unread = sum(
        len({*ran.acknowledged.get(lane, ())} - {*each.offsets})
        for lane, each in enumerate(references)
    )
    return Verdict(
        ran=ran,
        tallies=tallies,
        lost=buckets.lost + unread,
        twice=buckets.twice,
        late=sum(each.slow.late for each in references),
        detectors=dict(
            Counter(
                Anomaly.from_bytes(told).detector
                for each in references
                for told in each.outputs.anomalies.values()
            )
        ),
    )
