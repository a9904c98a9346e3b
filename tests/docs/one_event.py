"""One event through all stages in one process, from a fetched batch to a webhook, and the modules
that its way leads through.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType

import pytest

from agents.detectors.settings_codec import to_json
from agents.stages.alert import AlertLane
from streams.lane.dispatching import Feeder
from streams.lane.lane_set import LaneSet
from streams.lane.outgoing import Outgoing
from tests.docs.pages import ROOT
from tests.harness.telemetry_log import LANE, ORDINARY, Rec, block
from tests.harness.webhook_server import BadReceiver
from tests.streams.fakes import Machine
from topology.settings.loading import load
from topology.stages.build import worker_of

PACKAGES = ("schemas", "streams", "agents", "connectors", "topology")

_SETTINGS = """
broker: {{topic_prefix: t.}}
detection:
  rules: [{{name: too-slow, metric: latency_us, comparison: ">", threshold: 1000}}]
alerting:
  receivers:
    - {{name: on-call, kind: webhook, url: "{url}", secret_file: hook-secret, allow_private: true}}
"""


@dataclass
class Sent:
    """A sender that keeps what lanes produce."""

    records: list[Outgoing] = field(default_factory=list)

    async def send(self, records: Sequence[Outgoing]) -> None:
        self.records += records


async def follow(
    receiver: BadReceiver, machine: Machine, folder: Path, patch: pytest.MonkeyPatch
) -> list[str]:
    """Carries one slow call to the webhook; returns the modules of ours that were called, in the
    order of their first call.
    """
    (folder / "hook-secret").write_text("whsec_" + "c2VudGluZWw" * 4 + "\n")
    (folder / "sentinel.yaml").write_text(_SETTINGS.format(url=receiver.url))
    settings = load(folder / "sentinel.yaml").settings
    patch.setattr(
        "topology.stages.build.packaged_versions", lambda: {"0": to_json(settings.detection)}
    )
    workers = [worker_of(stage, settings) for stage in ("detect", "correlate", "alert")]
    now = time.time_ns() // 1000
    value = replace(ORDINARY, event_time=now).to_bytes()
    passed: dict[str, None] = {}
    for worker in workers:
        sent = machine.sender = Sent()  # type: ignore[assignment]
        machine.new_lane = worker.stage.new_lane
        lanes = machine.worker(settings.lanes)
        await lanes.assign([LANE])
        feeder = Feeder(lanes.process)
        beside = None
        with _seen(passed):
            if worker.companion is not None:
                beside = asyncio.create_task(worker.companion.run(lanes))
            await feeder.put(block([Rec(0, now // 1000, value)]))
            async with asyncio.timeout(30):
                # Nobody but this loop waits for what a lane sends.
                while not (sent.records or _is_delivered(receiver, lanes)):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        await feeder.stop()
        if beside is not None:
            beside.cancel()
            await asyncio.wait([beside])
        found = [record.value for record in sent.records if record.value is not None]
        value = found[0] if found else b""
    return list(passed)


def _is_delivered(receiver: BadReceiver, lanes: LaneSet) -> bool:
    """Whether the webhook came and its outcome is back in the lane."""
    lane = lanes.lanes[LANE].program
    return bool(receiver.received) and isinstance(lane, AlertLane) and not lane.pending()


@contextlib.contextmanager
def _seen(passed: dict[str, None]) -> Iterator[None]:
    """Notes each module of ours that is called meanwhile."""

    def called(frame: FrameType, what: str, _: object) -> None:
        name = frame.f_code.co_filename
        if what == "call" and name.startswith(str(ROOT)) and frame.f_code.co_name != "<module>":
            module = str(Path(name).relative_to(ROOT).with_suffix("")).replace("/", ".")
            if module.split(".")[0] in PACKAGES:
                passed.setdefault(module)

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        yield
    finally:
        sys.setprofile(before)
