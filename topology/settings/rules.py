"""What no single setting is wrong in: contradictions, which are refused, and what will hardly be
meant, which is only told.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from agents.detectors.settings import DetectionSettings
from agents.sinking.settings import EventsKept
from connectors.store.settings import StoreKind
from streams.client.broker_safety import RefusedBroker, refuse_unsafe
from streams.settings import Lanes, listening_s
from topology.settings.installation import Settings
from topology.settings.sources import Fault, nearest_origin

LEAST_KEY: Final = 16
"""Characters of a control key; whoever guesses it can silence every incident."""

_BROKERS_SESSION_S: Final = 6.0
"""The shortest session that brokers take, unless somebody set `group.min.session.timeout.ms`."""

_LEAST_WAIT_S: Final = 0.01
"""The shortest time that librdkafka lets a request take."""

_PREFIX: Final = re.compile("[A-Za-z0-9._-]{0,200}")
"""Of a topic's name, whose 249 characters our own names end."""

_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class _Places:
    """Where settings were given."""

    origins: Mapping[str, str]

    def fault(self, section: str, key: str, message: str) -> Fault:
        """One of `section`.`key`."""
        loc = (section, *key.split("."))
        return Fault(nearest_origin(self.origins, loc), f"{section}.{key}", message)


def contradictions(settings: Settings, origins: Mapping[str, str]) -> Iterator[Fault]:
    """What cannot work."""
    fault, broker, lanes = _Places(origins).fault, settings.broker, settings.lanes
    try:
        refuse_unsafe(broker)
    except RefusedBroker as refused:
        yield Fault(nearest_origin(origins, ("broker",)), "broker", str(refused))
    for value in dataclasses.fields(Lanes):
        number = getattr(lanes, value.name)
        # Rest, lateness and measured series may be none at all.
        least = 0 if value.name in ("lateness_s", "linger_s", "measured_series") else None
        if number < 0 or (least is None and number == 0):
            yield fault(
                "lanes",
                value.name,
                f"is {number}; it must be {'0 or more' if least == 0 else 'above 0'}",
            )
    if lanes.flush_min_s > lanes.flush_max_s:
        yield fault("lanes", "flush_min_s", f"is above lanes.flush_max_s ({lanes.flush_max_s:g})")
    for name in (
        "session_timeout_s",
        "heartbeat_interval_s",
        "request_timeout_s",
        "connect_timeout_s",
    ):
        if getattr(broker, name) <= 0:
            yield fault("broker", name, f"is {getattr(broker, name):g}; it must be above 0")
        elif getattr(broker, name) < _LEAST_WAIT_S:
            yield fault(
                "broker",
                name,
                f"is {getattr(broker, name):g}; it must be at least {_LEAST_WAIT_S:g}",
            )
    if not _PREFIX.fullmatch(broker.topic_prefix):
        yield fault(
            "broker",
            "topic_prefix",
            "must be at most 200 letters, digits and `._-`, which topics may have",
        )
    if broker.heartbeat_interval_s * 3 > broker.session_timeout_s:
        third = f"is above a third of broker.session_timeout_s ({broker.session_timeout_s:g})"
        yield fault("broker", "heartbeat_interval_s", third)
    if settings.correlation.quiet_s > (most := listening_s(lanes.bucket_s)):
        yield fault(
            "correlation",
            "quiet_s",
            f"is above the {most} s for which detect says how far it is after it found something",
        )
    if settings.worker.log_level not in ("debug", "info", "warning", "error"):
        yield fault("worker", "log_level", "must be debug, info, warning or error")
    if 0 < len(settings.worker.control_key.reveal()) < LEAST_KEY:
        short = f"is shorter than {LEAST_KEY} characters; make one with: openssl rand -hex 32"
        yield fault("worker", "control_key", short)
    for kept in dataclasses.fields(settings.store.retention):
        days = getattr(settings.store.retention, kept.name)
        if days is not None and days < 1:
            yield fault(
                "store",
                f"retention.{kept.name}",
                f"is {days}; it must be 1 or more, or null for ever",
            )


def hints(settings: Settings, origins: Mapping[str, str]) -> Iterator[Fault]:
    """What works and will hardly be meant: each with what happens."""
    places = _Places(origins)
    yield from _time(settings, places)
    yield from _incidents(settings, places)
    yield from _messages(settings, places)
    yield from _installation(settings, places)


def _time(settings: Settings, places: _Places) -> Iterator[Fault]:
    lanes, deviation = settings.lanes, settings.detection.deviation
    if lanes.lateness_s > lanes.bucket_s:
        yield places.fault(
            "lanes",
            "lateness_s",
            f"is above lanes.bucket_s ({lanes.bucket_s}): each verdict waits for more than a"
            " bucket",
        )
    if lanes.max_ahead_s < lanes.bucket_s:
        yield places.fault(
            "lanes",
            "max_ahead_s",
            f"is below lanes.bucket_s ({lanes.bucket_s}): clocks that differ by less make dead"
            " letters",
        )
    if lanes.tick_after_s > lanes.bucket_s:
        yield places.fault(
            "lanes",
            "tick_after_s",
            f"is above lanes.bucket_s ({lanes.bucket_s}): silence is noticed later than a bucket",
        )
    if lanes.subject_expiry_s < deviation.least_buckets * lanes.bucket_s:
        learnt = f"{deviation.least_buckets * lanes.bucket_s} s, detection.deviation.least_buckets"
        yield places.fault(
            "lanes", "subject_expiry_s", f"is shorter than it takes to learn a series ({learnt})"
        )
    if deviation.memory_buckets < deviation.least_buckets:
        yield places.fault(
            "detection",
            "deviation.memory_buckets",
            f"is below least_buckets ({deviation.least_buckets}): what a series is learnt from is"
            " forgotten meanwhile",
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
                f"is not above the {every_s} s after which an anomaly that lasts is told again"
                f" (detection.{name}.repeat_buckets): a fault that comes and goes is resolved and"
                " opened again and again",
            )
    if correlation.give_up_s <= correlation.quiet_s:
        yield places.fault(
            "correlation",
            "give_up_s",
            f"is not above quiet_s ({correlation.quiet_s:g}): an incident is given up before it can"
            " be resolved",
        )
    give_in = detection.deviation.give_in_buckets
    if give_in is not None and detection.deviation.level_memory_buckets < give_in:
        yield places.fault(
            "detection",
            "deviation.level_memory_buckets",
            f"is below give_in_buckets ({give_in}): an old level is forgotten sooner than a new one"
            " is taken",
        )
    if correlation.active_lane_s < settings.lanes.tick_after_s:
        yield places.fault(
            "correlation",
            "active_lane_s",
            f"is below lanes.tick_after_s ({settings.lanes.tick_after_s:g}): quiet lanes count as"
            " dead between two ticks",
        )


def _messages(settings: Settings, places: _Places) -> Iterator[Fault]:
    alerting, lanes, days = (
        settings.alerting,
        settings.lanes,
        settings.store.retention.incident_days,
    )
    if not alerting.receivers:
        yield places.fault("alerting", "receivers", "is empty: nobody is told of incidents")
    found_after_s = lanes.bucket_s + lanes.lateness_s
    if alerting.alert_max_age_s < found_after_s:
        yield places.fault(
            "alerting",
            "alert_max_age_s",
            f"is below the {found_after_s:g} s after which an anomaly is found: incidents are only"
            " told in summaries",
        )
    if alerting.summary_wait_s > alerting.summary_max_wait_s:
        yield places.fault(
            "alerting", "summary_wait_s", "is above summary_max_wait_s, which then holds alone"
        )
    if alerting.retry.deadline_s < alerting.retry.first_s:
        yield places.fault(
            "alerting",
            "retry.deadline_s",
            "is below retry.first_s: no message is tried a second time",
        )
    if days is not None and (alerting.repeat_interval_s or 0) > days * _DAY_S:
        yield places.fault(
            "store",
            "retention.incident_days",
            "is shorter than alerting.repeat_interval_s: a repeated message links to what is"
            " deleted",
        )
    for index, receiver in enumerate(alerting.receivers):
        if receiver.kind == "pagerduty" and not receiver.send_resolved:
            yield places.fault(
                "alerting",
                f"receivers[{index}].send_resolved",
                "is false: PagerDuty's incidents stay open until a person ends them",
            )


def _installation(settings: Settings, places: _Places) -> Iterator[Fault]:
    broker, store, api = settings.broker, settings.store, settings.api
    if broker.session_timeout_s < _BROKERS_SESSION_S:
        yield places.fault(
            "broker",
            "session_timeout_s",
            f"is below {_BROKERS_SESSION_S:g} s, which brokers refuse unless their"
            " group.min.session.timeout.ms is lower",
        )
    if broker.group_instance_id is not None and not places.origins.get(
        "broker.group_instance_id", ""
    ).startswith("env "):
        yield places.fault(
            "broker",
            "group_instance_id",
            "is given in the file: two workers of a stage that read it shut each other out; "
            "give SENTINEL_BROKER__GROUP_INSTANCE_ID to each",
        )
    if settings.detection != DetectionSettings() and not settings.worker.control_key:
        yield places.fault(
            "worker",
            "control_key",
            "is not given: the section detection cannot be published, since it is signed",
        )
    if settings.sink.events is not EventsKept.NONE and store.kind is StoreKind.NONE:
        yield places.fault("sink", "events", "is without effect: store.kind is none")
    if store.kind is not StoreKind.NONE and store.timeout_s > store.deadline_s:
        yield places.fault(
            "store",
            "timeout_s",
            f"is above store.deadline_s ({store.deadline_s:g}): a request is tried once",
        )
    if store.kind is not StoreKind.NONE and api.token and not settings.worker.control_key:
        yield places.fault(
            "worker",
            "control_key",
            "is not given: nobody can silence or acknowledge, since commands are signed",
        )
