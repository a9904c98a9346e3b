"""Ordinary traffic over any number of applications, models and users, for templates."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from schemas.records.telemetry import Operation, Status, TelemetryEvent

TENANT: Final = "load"
MARKED_LATENCY_US: Final = 3_600_000_000
"""Latency of a marked event, µs: an hour, which no ordinary one has, for a rule at once to find."""


@dataclass(frozen=True, slots=True)
class Population:
    """Who makes ordinary traffic. The records of an application lie on one partition."""

    applications: int = 20
    models: int = 5
    """Models of each application: applications times models is the number of subjects."""

    users: int = 1_000
    """Users in all; each belongs to one application, and each application has at least one. 0 means
    that events name none.
    """

    tenant: str = TENANT

    @property
    def subjects(self) -> int:
        """Series that the population makes."""
        return self.applications * self.models

    def templates_needed(self) -> int:
        """As many events as show every subject and every user a few times, and not fewer than
        20,000.
        """
        return max(20_000, 2 * self.subjects, 3 * self.users)


def ordinary_events(
    population: Population, seed: int, count: int | None = None
) -> list[TelemetryEvent]:
    """Events that no sensible rule minds: latency around a second, 500 prompt and 150 completion
    tokens, one in a hundred failed. Subjects come in equal shares and random order; `count` None
    means `templates_needed()`. Their ids and times are placeholders.
    """
    rng = np.random.default_rng(seed)
    count = population.templates_needed() if count is None else count
    subject = rng.permutation(count) % population.subjects
    per_application = max(1, population.users // population.applications)
    user = (
        rng.permutation(count) % per_application * population.applications
        + subject // population.models
    )
    first = rng.lognormal(np.log(180_000), 0.25, count).astype(np.int64)
    prompt = rng.integers(100, 900, count)
    completion = rng.integers(50, 250, count)
    latency = first + completion * 6_000
    failed = rng.random(count) < 0.01
    columns = (subject, user, first, latency, prompt, completion, failed)
    return [
        _ordinary(population, *row)
        for row in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _ordinary(
    population: Population,
    subject: int,
    user: int,
    first: int,
    latency: int,
    prompt: int,
    completion: int,
    failed: bool,
) -> TelemetryEvent:
    application, model = divmod(subject, population.models)
    return TelemetryEvent(
        event_id="",
        event_time=0,
        tenant=population.tenant,
        application=f"app-{application:05d}",
        model=f"model-{model}",
        operation=Operation.CHAT,
        status=Status.ERROR if failed else Status.SUCCESS,
        latency_us=latency,
        time_to_first_token_us=None if failed else first,
        prompt_tokens=prompt,
        completion_tokens=0 if failed else completion,
        cost_nano=0 if failed else prompt * 600 + completion * 2_400,
        currency="USD",
        user=f"u-{user:06d}" if population.users else None,
        session=f"s-{user:06d}" if population.users else None,
        provider="heronai",
        error_type="server_error" if failed else None,
        http_status=500 if failed else 200,
        finish_reason=None if failed else "stop",
        service="load",
        environment="benchmark",
        region="eu-west",
    )


def marked_event(scheduled: int, number: int, tenant: str = TENANT) -> TelemetryEvent:
    """An event that a rule on latency finds. Its scheduled moment (µs) is its event time, and
    stands in its id and in the name of its application, which is its own: so each makes an incident
    and a message of its own, and `scheduled_in` finds the moment in whatever tells of it.
    """
    return TelemetryEvent(
        event_id=f"marked-{scheduled:016d}-{number:08d}",
        event_time=scheduled,
        tenant=tenant,
        application=f"marked-{scheduled:016d}",
        model="model-0",
        operation=Operation.CHAT,
        status=Status.SUCCESS,
        latency_us=MARKED_LATENCY_US,
        prompt_tokens=500,
        completion_tokens=150,
        service="load",
        environment="benchmark",
    )


def scheduled_in(text: str) -> int | None:
    """The scheduled moment (µs) of the marked event that a text tells of; None when it tells of
    none.

    >>> scheduled_in('{"application": "marked-1790000000000000"}')
    1790000000000000
    """
    _, mark, rest = text.partition("marked-")
    digits = rest[:16]
    return int(digits) if mark and len(digits) == 16 and digits.isdigit() else None
