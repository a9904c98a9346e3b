"""The real alert worker beats, until it is gone."""

import time

from tests.harness.inbox import inbox
from tests.harness.worker import Installation, until


def test_heartbeat_stops_with_the_worker(installation: Installation) -> None:
    """Beats come while it runs, also without any incident; after its death none."""
    with inbox() as box:
        alerting = {"heartbeat": {"url": box.url, "every_s": 0.2, "allow_private": True}}
        with installation.worker("alert", alerting=alerting) as worker:
            worker.ready()
            until(lambda: len(box) >= 3, "it beats", worker=worker)
            assert worker.metric("sentinel_heartbeats_total", outcome="taken") >= 2
            worker.kill()
        before = len(box)
        time.sleep(1.0)
        assert len(box) <= before + 1, "one may have been under way"
