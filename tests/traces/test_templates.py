"""Records made by patching templates are the records that encoding one by one would make."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records.telemetry import TelemetryEvent
from topology.demo.traces.ordinary import Population, marked_event, ordinary_events, scheduled_in
from topology.demo.traces.templates import Templates, event_id, zigzag_varints

RUN = "rate1790000000000000"
NOON = 1_790_000_000_000_000
SMALL = Population(applications=3, models=2, users=10)


def test_a_patched_record_equals_one_that_was_encoded() -> None:
    """Byte for byte, over the end of the templates and round again."""
    events = ordinary_events(SMALL, seed=1, count=7)
    times = NOON + np.arange(20) * 50
    keys, values = Templates(events).records(RUN, 4, times)
    for number, key, value in zip(range(4, 24), keys, values, strict=True):
        event = events[number % 7]
        assert key == f"{event.tenant}/{event.application}".encode()
        assert (
            value
            == replace(
                event, event_id=event_id(RUN, number), event_time=NOON + (number - 4) * 50
            ).to_bytes()
        )


def test_what_chunks_are_made_in_changes_nothing() -> None:
    """Records 0 to 29 at once are those of 0 to 9 and of 10 to 29."""
    templates = Templates(ordinary_events(SMALL, seed=1, count=7))
    times = NOON + np.arange(30)
    whole = templates.records(RUN, 0, times)
    parts = templates.records(RUN, 0, times[:10]), templates.records(RUN, 10, times[10:])
    assert whole == tuple(first + second for first, second in zip(*parts, strict=True))


@given(time=st.integers(2**48, 2**55 - 1))
def test_any_time_in_range_reads_back(time: int) -> None:
    """The eight bytes are the ones that Avro writes."""
    event = marked_event(NOON, 1)
    _, (value,) = Templates([event]).records(RUN, 0, np.array([time]))
    assert TelemetryEvent.from_bytes(value).event_time == time
    assert zigzag_varints(np.array([time])).shape == (1, 8)


@pytest.mark.parametrize("time", [0, 2**48 - 1, 2**55])
def test_a_time_that_takes_other_than_eight_bytes_is_refused(time: int) -> None:
    """A patched record would not decode; it must not be made."""
    with pytest.raises(ValueError, match="event times"):
        Templates([marked_event(NOON, 1)]).records(RUN, 0, np.array([time]))


def test_a_name_of_the_wrong_length_is_refused() -> None:
    """It would shift what follows."""
    with pytest.raises(ValueError, match="20 ASCII characters"):
        Templates([marked_event(NOON, 1)]).records("short", 0, np.array([NOON]))


def test_ordinary_traffic_has_all_subjects_and_users_that_were_asked_for() -> None:
    """In equal shares, each user in one application."""
    population = Population(applications=10, models=3, users=200)
    events = ordinary_events(population, seed=1, count=population.templates_needed())
    subjects = {(event.application, event.model) for event in events}
    users = {event.user for event in events}
    assert len(subjects) == population.subjects == 30
    assert len(users) == 200
    assert len({(event.application, event.user) for event in events}) == 200


def test_traffic_without_users_names_none() -> None:
    """For benchmarks of windows alone."""
    assert {event.user for event in ordinary_events(Population(users=0), seed=1, count=50)} == {
        None
    }


def test_a_marked_event_tells_its_moment_wherever_it_is_named() -> None:
    """In its id, its application and hence in any message; other texts tell none."""
    event = marked_event(NOON, 17)
    assert (
        event.event_time
        == scheduled_in(event.event_id)
        == scheduled_in(f'{{"application": "{event.application}"}}')
    )
    assert scheduled_in("app-00001") is None
    assert scheduled_in("marked-12") is None
