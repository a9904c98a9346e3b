"""Rules over several settings: contradictions are refused, probable mistakes become hints."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from agents.detectors.settings import LEARNING_BUCKETS, DetectionSettings
from agents.sinking.settings import EventsKept
from connectors.store.settings import StoreKind
from streams.client.broker_safety import RefusedBroker, refuse_unsafe
from streams.settings import Broker, Lanes, listening_s
from topology.settings.installation import Settings
from topology.settings.sources import Fault, nearest_origin

MIN_KEY_CHARACTERS: Final = 16
"""Characters of a control key: a client that guesses it can silence every incident."""

_MIN_SESSION_S: Final = 6.0
"""The shortest session that brokers accept unless `group.min.session.timeout.ms` is set."""

_MIN_REQUEST_S: Final = 0.01
"""The shortest request timeout that librdkafka accepts."""

_PREFIX: Final = re.compile("[A-Za-z0-9._-]{0,200}")
"""A topic's name has at most 249 characters; our own names come after the prefix."""

_MAY_BE_0: Final = ("lateness_s", "linger_s", "measured_series")
"""Settings of lanes that 0 switches off."""

_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class _Places:
    """The origins of settings."""

    origins: Mapping[str, str]

    def fault(self, section: str, key: str, message: str) -> Fault:
        """A fault of `section`.`key`."""
        loc = (section, *key.split("."))
        return Fault(nearest_origin(self.origins, loc), f"{section}.{key}", message)


def contradictions(settings: Settings, origins: Mapping[str, str]) -> Iterator[Fault]:
    """Faults: combinations that cannot work."""
    places = _Places(origins)
    yield from _lanes(settings.lanes, places)
    yield from _broker(settings.broker, places)
    yield from _others(settings, places)


def _lanes(lanes: Lanes, places: _Places) -> Iterator[Fault]:
    for value in dataclasses.fields(Lanes):
        number = getattr(lanes, value.name)
        may_be_0 = value.name in _MAY_BE_0
        if number < 0 or (number == 0 and not may_be_0):
            least = "0 or more" if may_be_0 else "above 0"
            yield places.fault("lanes", value.name, f"is {number}; it must be {least}")
    if lanes.flush_min_s > lanes.flush_max_s:
        yield places.fault(
            "lanes", "flush_min_s", f"is above lanes.flush_max_s ({lanes.flush_max_s:g})"
        )


def _broker(broker: Broker, places: _Places) -> Iterator[Fault]:
    try:
        refuse_unsafe(broker)
    except RefusedBroker as refused:
        yield Fault(nearest_origin(places.origins, ("broker",)), "broker", str(refused))
    for name in (
        "session_timeout_s",
        "heartbeat_interval_s",
        "request_timeout_s",
        "connect_timeout_s",
    ):
        seconds = getattr(broker, name)
        if seconds <= 0:
            yield places.fault("broker", name, f"is {seconds:g}; it must be above 0")
        elif seconds < _MIN_REQUEST_S:
            least = f"it must be at least {_MIN_REQUEST_S:g}"
            yield places.fault("broker", name, f"is {seconds:g}; {least}")
    if not _PREFIX.fullmatch(broker.topic_prefix):
        yield places.fault(
            "broker", "topic_prefix", "must be at most 200 letters, digits and `._-`"
        )
    # A member must miss more than two heartbeats before the group lets it go.
    if broker.heartbeat_interval_s * 3 > broker.session_timeout_s:
        third = f"is above a third of broker.session_timeout_s ({broker.session_timeout_s:g})"
        yield places.fault("broker", "heartbeat_interval_s", third)


def _others(settings: Settings, places: _Places) -> Iterator[Fault]:
    # Correlate ends an incident by a watermark, which detect sends for so long only.
    if settings.correlation.quiet_s > (most := listening_s(settings.lanes.bucket_s)):
        yield places.fault(
            "correlation",
            "quiet_s",
            f"is above {most} s: detect sends its watermark for no longer after its last anomaly",
        )
    if settings.worker.log_level not in ("debug", "info", "warning", "error"):
        yield places.fault("worker", "log_level", "must be debug, info, warning or error")
    # An empty key is allowed: then nothing is signed, and control records are refused.
    if 0 < len(settings.worker.control_key.reveal()) < MIN_KEY_CHARACTERS:
        short = f"is shorter than {MIN_KEY_CHARACTERS} characters"
        yield places.fault("worker", "control_key", f"{short}; make one with: openssl rand -hex 32")
    for kept in dataclasses.fields(settings.store.retention):
        days = getattr(settings.store.retention, kept.name)
        if days is not None and days < 1:
            yield places.fault(
                "store",
                f"retention.{kept.name}",
                f"is {days}; it must be 1 or more, or null to keep for ever",
            )


def hints(settings: Settings, origins: Mapping[str, str]) -> Iterator[Fault]:
    """Hints: combinations that work and are probably mistakes, each with its consequence."""
    places = _Places(origins)
    yield from _time(settings, places)
    yield from _incidents(settings, places)
    yield from _messages(settings, places)
    yield from _installation(settings, places)


def _time(settings: Settings, places: _Places) -> Iterator[Fault]:
    lanes = settings.lanes
    if lanes.lateness_s > lanes.bucket_s:
        yield places.fault(
            "lanes",
            "lateness_s",
            f"is above lanes.bucket_s ({lanes.bucket_s}): each verdict comes more than a"
            " bucket late",
        )
    if lanes.max_ahead_s < lanes.bucket_s:
        yield places.fault(
            "lanes",
            "max_ahead_s",
            f"is below lanes.bucket_s ({lanes.bucket_s}): small clock differences make dead"
            " letters",
        )
    if lanes.tick_after_s > lanes.bucket_s:
        yield places.fault(
            "lanes",
            "tick_after_s",
            f"is above lanes.bucket_s ({lanes.bucket_s}): silence is noticed a bucket late",
        )
    if lanes.subject_expiry_s < LEARNING_BUCKETS * lanes.bucket_s:
        learning = f"{LEARNING_BUCKETS * lanes.bucket_s} s"
        yield places.fault(
            "lanes", "subject_expiry_s", f"is shorter than learning a series takes ({learning})"
        )


def _incidents(settings: Settings, places: _Places) -> Iterator[Fault]:
    correlation, detection, bucket_s = (
        settings.correlation,
        settings.detection,
        settings.lanes.bucket_s,
    )
    for name in ("deviation", "profile"):
        every_s = getattr(detection, name).repeat_buckets * bucket_s
        if correlation.quiet_s <= every_s:
            yield places.fault(
                "correlation",
                "quiet_s",
                f"is not above the {every_s} s between two anomalies of one lasting fault"
                f" (detection.{name}.repeat_buckets): an intermittent fault resolves and reopens"
                " again and again",
            )
    if correlation.give_up_s <= correlation.quiet_s:
        yield places.fault(
            "correlation",
            "give_up_s",
            f"is not above quiet_s ({correlation.quiet_s:g}): an incident is given up before it can"
            " be resolved",
        )
    if correlation.active_lane_s < settings.lanes.tick_after_s:
        yield places.fault(
            "correlation",
            "active_lane_s",
            f"is below lanes.tick_after_s ({settings.lanes.tick_after_s:g}): idle lanes count as"
            " inactive between two ticks",
        )


def _messages(settings: Settings, places: _Places) -> Iterator[Fault]:
    alerting, lanes, days = (
        settings.alerting,
        settings.lanes,
        settings.store.retention.incident_days,
    )
    if not alerting.receivers:
        yield places.fault("alerting", "receivers", "is empty: incidents notify nobody")
    found_after_s = lanes.bucket_s + lanes.lateness_s
    if alerting.alert_max_age_s < found_after_s:
        yield places.fault(
            "alerting",
            "alert_max_age_s",
            f"is below the {found_after_s:g} s that finding an anomaly takes: incidents appear in"
            " summaries only",
        )
    if alerting.summary_wait_s > alerting.summary_max_wait_s:
        yield places.fault(
            "alerting", "summary_wait_s", "is above summary_max_wait_s, which then applies alone"
        )
    if alerting.retry.deadline_s < alerting.retry.first_s:
        yield places.fault(
            "alerting",
            "retry.deadline_s",
            "is below retry.first_s: no message is retried",
        )
    if days is not None and (alerting.repeat_interval_s or 0) > days * _DAY_S:
        yield places.fault(
            "store",
            "retention.incident_days",
            "is shorter than alerting.repeat_interval_s: a repeated message links to a deleted"
            " incident",
        )
    for index, receiver in enumerate(alerting.receivers):
        if receiver.kind == "pagerduty" and not receiver.send_resolved:
            yield places.fault(
                "alerting",
                f"receivers[{index}].send_resolved",
                "is false: PagerDuty's incidents stay open until a person resolves them",
            )


def _installation(settings: Settings, places: _Places) -> Iterator[Fault]:
    broker, store, api = settings.broker, settings.store, settings.api
    if broker.session_timeout_s < _MIN_SESSION_S:
        yield places.fault(
            "broker",
            "session_timeout_s",
            f"is below {_MIN_SESSION_S:g} s, which brokers refuse unless their"
            " group.min.session.timeout.ms allows it",
        )
    if broker.group_instance_id is not None and not places.origins.get(
        "broker.group_instance_id", ""
    ).startswith("env "):
        yield places.fault(
            "broker",
            "group_instance_id",
            "is set in the file: two workers of a stage that read it fence each other; "
            "set SENTINEL_BROKER__GROUP_INSTANCE_ID for each worker instead",
        )
    if settings.detection != DetectionSettings() and not settings.worker.control_key:
        yield places.fault(
            "worker",
            "control_key",
            "is not set: the detection settings cannot be published, since they are signed",
        )
    if settings.sink.events is not EventsKept.NONE and store.kind is StoreKind.NONE:
        yield places.fault("sink", "events", "has no effect: store.kind is none")
    if store.kind is not StoreKind.NONE and store.timeout_s > store.deadline_s:
        yield places.fault(
            "store",
            "timeout_s",
            f"is above store.deadline_s ({store.deadline_s:g}): a request is never retried",
        )
    if store.kind is not StoreKind.NONE and api.token and not settings.worker.control_key:
        yield places.fault(
            "worker",
            "control_key",
            "is not set: nobody can silence or acknowledge, since commands are signed",
        )
