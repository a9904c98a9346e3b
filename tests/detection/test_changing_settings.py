"""Detection settings take effect where their control record stands, also in the middle of a
block.
"""

from agents.detectors.settings import Comparison, DetectionSettings, Deviation, Profile, Rule
from agents.detectors.settings_codec import to_json, version_of
from agents.stages.detect import detect_stage
from schemas.records.anomalies import Anomaly
from schemas.records.control import Settings
from schemas.records.telemetry import Operation, Status, TelemetryEvent
from schemas.secrets import Secret
from streams.control.records import Publication, settings_control
from streams.control.settings_log import SettingsLog, version_record
from streams.lane.outgoing import Outgoing
from streams.records.blocks import Block
from streams.records.contents import Content, Part
from streams.records.cutting import Record
from streams.settings import Lanes
from streams.topic_names import TopicNames

KEY = Secret("a key for tests alone")
NAMES = TopicNames("")
NOON = 1_790_000_000_000_000
QUIET = DetectionSettings(deviation=Deviation(enabled=False), profile=Profile(enabled=False))
OVERLOADED = DetectionSettings(
    rules=(Rule("overloaded", "http_status", Comparison.AT_LEAST, 500),),
    deviation=Deviation(enabled=False),
    profile=Profile(enabled=False),
)


def event(number: int) -> Outgoing:
    """An event that a rule on the HTTP status finds."""
    made = TelemetryEvent(
        event_id=f"event-{number}",
        event_time=NOON + number,
        tenant="acme",
        application="chat",
        model=f"model-{number}",
        operation=Operation.CHAT,
        status=Status.ERROR,
        latency_us=1_000_000,
        http_status=503,
    )
    return Outgoing(NAMES.telemetry, b"acme/chat", made.to_bytes())


def block_of(*records: Outgoing) -> Block:
    """The records as one fetch brings them, from offset 0 on."""
    read = [
        Record(at, NOON // 1000, one.key, one.value, one.headers) for at, one in enumerate(records)
    ]
    part = Part(len(read), list(range(len(read))), NOON // 1000, [], read)
    headed = {at: record for at, record in enumerate(read) if record.headers}
    content = Content([one.value for one in records], headed, {}, [part])
    return Block((NAMES.telemetry, 0), 0, len(read), content)


def log_of(*versions: DetectionSettings) -> SettingsLog:
    """A settings log that has read these versions."""
    log = SettingsLog({}, NAMES.settings, KEY, {"0": to_json(QUIET)})
    for settings in versions:
        described = Settings(
            version=version_of(settings),
            tenant=None,
            author="ann",
            created_at=NOON,
            body=to_json(settings),
        )
        record = version_record(NAMES.settings, described, KEY)
        log._read(record.key or b"", record.value, record.headers)
    return log


def test_settings_that_need_other_columns_may_take_effect_within_a_block() -> None:
    """A rule on a column that no earlier settings looked at judges the events behind its control
    record, and only those.
    """
    lane = detect_stage(NAMES, Lanes(partitions=1), log_of(OVERLOADED), KEY, None).new_lane(0)
    control = settings_control(NAMES.telemetry, 0, Publication(1, version_of(OVERLOADED)), KEY)
    step = lane.step(block_of(event(0), control, event(2)))
    told = [Anomaly.from_bytes(record.value or b"") for record in step.now]
    assert [(one.rule, one.model, one.settings_version) for one in told] == [
        ("overloaded", "model-2", version_of(OVERLOADED))
    ]
