"""The real alert worker pings a dead man's switch; `tests/receivers/test_heartbeat.py` has when it
stops.
"""

from tests.harness.inbox import inbox
from tests.harness.worker import Installation, until


def test_a_worker_that_makes_progress_pings(installation: Installation) -> None:
    """Also without any incident; each ping that was answered is counted."""
    with inbox() as box:
        alerting = {"heartbeat": {"url": box.url, "every_s": 0.2, "allow_private": True}}
        with installation.worker("alert", alerting=alerting) as worker:
            worker.ready()
            until(lambda: len(box) >= 3, "it pings", worker=worker)
            assert worker.metric("sentinel_heartbeats_total", outcome="taken") >= 2
