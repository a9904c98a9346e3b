"""Every benchmark runs, small: it measures something, and prints the one object that it
promises.
"""

import pytest

from tests.benchmarks.running import run
from tests.conftest import without
from tests.harness.browser import missing


@pytest.mark.system
@pytest.mark.usefixtures("kafka_jars")
def test_throughput_tells_events_per_cpu_second_for_each_number_of_subjects() -> None:
    """Every case counts events, in steps of some size, in a worker that ends in order; some are
    left when the first are seen.
    """
    result = run("throughput", "--events", "1500000", "--subjects", "20")
    for rate in (result["subjects"]["20"], result["with_detectors"]):
        assert 0 < rate["events"] < 1_500_000
        assert rate["events_per_cpu_s"] > 1000
        assert rate["records_per_step"] > 1
        assert rate["pss_mb"] > 50


@pytest.mark.nightly
def test_the_page_is_timed_in_a_browser() -> None:
    """Every view and every filter; it is accessible, and within its weight."""
    if why := missing():
        without("a browser", why)
    result = run("page", "--anomalies", "2000", "--times", "2")
    assert set(result["views"]) == {
        "now",
        "incident",
        "anomaly",
        "explore",
        "explore 24 h",
        "pipeline",
    }
    for times in (*result["views"].values(), result["filters"]):
        assert 0 < times["p50_ms"] <= times["p95_ms"]
    assert (result["axe_violations"], result["bytes"] <= 500_000) == (0, True)


@pytest.mark.nightly
@pytest.mark.usefixtures("kafka_jars")
def test_latency_counts_a_message_for_every_marked_event() -> None:
    """None is missing, and the parts of the way are those of the whole."""
    result = run("latency", "--rate", "300", "--seconds", "4", "--warm-up", "1")
    assert (result["through"], result["sink"]) == ("webhook", None)
    assert result["missing"] == 0
    assert result["count"] >= 30
    assert 0 < result["p50_ms"] <= result["p99_ms"] <= result["p999_ms"]
    # Broker stamps are whole milliseconds: a part may look that much shorter than it is.
    assert all(-2 < part["p50_ms"] < result["max_ms"] + 2 for part in result["hops"].values())


@pytest.mark.nightly
@pytest.mark.usefixtures("kafka_jars")
def test_latency_through_pagerduty_counts_what_a_receiver_of_its_shape_took() -> None:
    """A refused event would be missing; the store had something to do meanwhile."""
    result = run(
        "latency", "--through", "pagerduty", "--rate", "300", "--seconds", "5", "--warm-up", "1"
    )
    assert result["through"] == "pagerduty"
    assert result["missing"] == 0
    assert result["count"] >= 5
    assert 0 < result["p50_ms"] <= result["p99_ms"]
    assert result["sink"]["documents_per_s"] > 0
    assert result["cpu_share"]["sink"] > 0


@pytest.mark.nightly
@pytest.mark.usefixtures("kafka_jars")
def test_recovery_comes_back_after_a_stop_and_after_a_kill() -> None:
    """Both in less time than a person would wait; a verdict after a kill takes longer than no time
    at all.
    """
    result = run("recovery", "--subjects", "400", "--kills", "1")
    assert result["subjects"] == 400
    assert 0 < result["restore_s"] < result["recovery_s"] < 60
    assert result["state_rows"] > 0
    assert 0 < result["kill_to_verdict_p95_s"] < 60


@pytest.mark.nightly
@pytest.mark.usefixtures("kafka_jars")
def test_memory_names_every_process_that_standalone_starts() -> None:
    """Each has some, and the whole is their sum."""
    result = run("memory", "--seconds", "0")
    assert set(result["processes"]) == {"standalone", "detect", "correlate", "alert", "sink", "api"}
    assert min(result["processes"].values()) > 20
    assert result["pss_mb"] == pytest.approx(sum(result["processes"].values()), abs=1)
