"""Faust's recovery with lanes in the place of tables.

Each override names what stock Faust does instead.
"""

from typing import Any

from aiokafka.errors import IllegalStateError
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped

from streams.exit_status import ends_process_unless
from streams.faust.ports import lane_app


class LaneRecovery(Recovery):
    """Stock reads changelogs through agents' buffers, keeps revoked rows, waits for ever at a
    transaction's marker, and swallows exceptions.
    """

    async def on_rebalance(
        self, assigned: Any, revoked: Any, newly_assigned: Any, generation_id: int = 0
    ) -> None:
        """Lets the recovery task begin, but for an assignment that is over already."""
        if generation_id == self.app.consumer_generation_id:
            self._generation_id = generation_id
            self.signal_recovery_start.set()

    # Faust's own signals pass, and so does a partition that was revoked during its seek. On
    # anything else Faust would end in order, and commit on its way out.
    @ends_process_unless(RebalanceAgain, ServiceStopped, IllegalStateError)
    async def _resume_streams(self, generation_id: int = 0) -> None:
        app: Any = self.app
        host = lane_app(app)
        consumer = app.consumer
        await app.on_rebalance_complete.send()
        assignment = {tp for tp in consumer.assignment() if tp.topic == host.lane_topic}
        # Also raises, by Faust's own signal, when the next rebalance begins.
        await self._wait(host.restore_lanes({tp.partition for tp in assignment}))
        if app.consumer_generation_id != generation_id:
            # Another rebalance began meanwhile, and its recovery follows this one.
            return
        # Only after the restore: blocks that are fetched before it would be dropped.
        consumer.resume_partitions(assignment)
        await self._wait(consumer.perform_seek(), timeout=app.conf.broker_request_timeout)
        self.completed.set()
        app.flow_control.resume()
        consumer.resume_flow()
        await app._fetcher.maybe_start()
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.on_rebalance_end()
        host.lanes_ready = True


class LaneTables(TableManager):
    """Stock waits a second for tables that we do not have."""

    async def on_start(self) -> None:
        """Starts the recovery at once."""
        await self._update_channels()
        await self.recovery.start()

    @property
    def recovery(self) -> Recovery:
        """Ours."""
        if self._recovery is None:
            self._recovery = LaneRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
