"""The stage `detect`: telemetry in; anomalies, watermarks and aggregates out."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from agents.detection.intake.reading import Intake
from agents.detection.lane import DetectLane
from agents.detection.policy import PolicySet, policies_of
from agents.detectors.settings_codec import from_json
from schemas.secrets import Secret
from schemas.telemetry.columns import packaged_decoder
from streams.control.settings_log import SettingsLog
from streams.lane.program import LaneProgram, Stage
from streams.process.crash_note import CrashNote
from streams.records.contents import Reading
from streams.settings import Lanes
from streams.state.position import Refused
from streams.topic_names import TopicNames


@dataclass(slots=True)
class PolicySets:
    """Settings versions made ready, each once."""

    log: SettingsLog
    _made: dict[str, PolicySet] = field(default_factory=dict)

    def __call__(self, version: str) -> PolicySet:
        """Raises Refused when the version is not known: a block's lane waits for it before it asks,
        a restored lane cannot.
        """
        made = self._made.get(version)
        if made is None:
            try:
                body = self.log.body(version)
            except KeyError:
                raise Refused(
                    f"detection settings {version} are in effect in a lane, but not on the settings"
                    " topic, or not signed with this key; give the worker.control_key that signed"
                    " them, or publish them again"
                ) from None
            made = self._made[version] = policies_of(version, from_json(body))
        return made


def detect_stage(
    names: TopicNames, limits: Lanes, log: SettingsLog, control_key: Secret, note: CrashNote | None
) -> Stage:
    """Makes the stage; its lanes share the decoder and the policy sets."""
    intake = Intake(
        names,
        limits,
        packaged_decoder(limits.max_record_bytes),
        control_key,
        log.skipped,
        note,
    )
    policy_sets = PolicySets(log)
    # Hashes never leave the process; a producer who could guess the seed could make two names share
    # a row.
    seed = int.from_bytes(os.urandom(4), "little")

    def new_lane(partition: int) -> LaneProgram:
        return DetectLane(partition, limits, names, intake, policy_sets, seed)

    reading = Reading(telling=_telling(names, note), is_deadly=log.is_deadly)
    return Stage(
        "detect", names.telemetry, names.state("detect"), f"{names.prefix}detect", new_lane, reading
    )


def _telling(
    names: TopicNames, note: CrashNote | None
) -> Callable[[str, int, int, int], AbstractContextManager[None]]:
    """Notes which batch of telemetry is decompressed and cut."""

    def telling(topic: str, partition: int, start: int, end: int) -> AbstractContextManager[None]:
        if note is None or topic != names.telemetry:
            return nullcontext()
        return note.unpacking(partition, start, end)

    return telling
