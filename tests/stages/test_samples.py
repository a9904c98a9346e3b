"""What workers say of the applications that they watch, at `/metrics`."""

import time

from tests.harness.telemetry_log import event
from tests.harness.worker import Installation, until


def test_a_worker_says_how_its_applications_do(installation: Installation) -> None:
    """Levels of service and the time of the last event, by tenant, application and model; none when
    the setting says so.
    """
    now_s = time.time()
    topic = installation.names.telemetry

    def send(number: int) -> None:
        at = time.time_ns() // 1000
        installation.send(topic, 0, [event(number, 0, event_time=at).to_bytes()])

    with (
        installation.worker("detect", lanes={"bucket_s": 1, "lateness_s": 0.5}) as worker,
    ):
        worker.ready()
        number = 0

        def seen() -> bool:
            nonlocal number
            number += 1
            send(number)
            return (
                worker.metric("sentinel_service_request_rate", tenant="acme", application="shop")
                > 0
            )

        until(seen, "the levels of a closed bucket are told", worker=worker)
        last = worker.metric(
            "sentinel_last_event_timestamp_seconds", tenant="acme", application="shop"
        )
        assert now_s < last < time.time() + 2
        assert (
            worker.metric("sentinel_service_latency_seconds", application="shop", quantile="0.95")
            > 1
        )
