"""The protections, each with how it is taken away and the tests that must notice."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Mutation:
    """One protection that is taken away: in `file`, `old` becomes `new`."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    """What pytest is given. One of them must fail."""


_LANE_SET: Final = ("tests/streams/test_lane_set.py",)
_WATCHDOG: Final = ("tests/faust/test_watchdog.py", "-k", "not ends_to_be_started")
_STOCK: Final = ("tests/faust/test_stock.py",)
_ENDINGS: Final = "tests/faust/test_endings.py"
_KERNEL: Final = ("tests/schemas/test_kernel.py",)
_FLUSH: Final = (
    "        count = await lane.changelog.commit(rows, others)\n        lane.durable = lane.position.offset\n"
)

MUTATIONS: Final = (
    Mutation(
        "outputs are awaited before the position moves on",
        "streams/lanes.py",
        "            await self._sender.send(step.now)\n",
        "            self.sending = asyncio.create_task(self._sender.send(step.now))\n",
        _LANE_SET,
    ),
    Mutation(
        "what is committed is durable first",
        "streams/lanes.py",
        _FLUSH,
        "        lane.durable = lane.position.offset\n        count = await lane.changelog.commit(rows, others)\n",
        _LANE_SET,
    ),
    Mutation(
        "the position is part of the state's transaction",
        "streams/lanes.py",
        "        rows = chain(lane.program.changes(), [(KEY, lane.position.to_bytes())])\n",
        "        rows = chain(lane.program.changes(), [])\n",
        _LANE_SET,
    ),
    Mutation(
        "lanes are flushed apart from each other",
        "streams/lanes.py",
        "                await asyncio.wait({lane.flushing}, timeout=_FLUSH_WAIT_S)\n",
        "                await lane.flushing\n",
        _LANE_SET,
    ),
    Mutation(
        "a broker's clock that jumps moves time no further than what passed",
        "streams/watermark.py",
        "    return passed if most is None else min(passed, most)\n",
        "    return passed\n",
        ("tests/streams/test_watermark.py",),
    ),
    Mutation(
        "a lane that waits for ever after its last record is seen",
        "streams/lanes.py",
        "            if lane.lag > 0 or (lane.unflushed and lane.flushed_at < due)\n",
        "            if lane.lag > 0\n",
        _LANE_SET,
    ),
    Mutation(
        "a lane that is never fetched is seen",
        "streams/worker.py",
        "        end = max(-1 if fetched is None else fetched, app.ends.get(partition, -1))\n",
        "        end = -1 if fetched is None else fetched\n",
        ("tests/faust/test_log_ends.py",),
    ),
    Mutation(
        "the position is set before the first block is taken",
        "streams/lanes.py",
        "        if start.first or start.jumped:\n",
        "        if start.jumped:\n",
        _LANE_SET,
    ),
    Mutation(
        "stale blocks are dropped",
        "streams/lanes.py",
        "            if block.start > offset or self._suspended:\n",
        "            if self._suspended:\n",
        _LANE_SET,
    ),
    Mutation(
        "a suspended lane takes nothing",
        "streams/lanes.py",
        "            if block.start > offset or self._suspended:\n",
        "            if block.start > offset:\n",
        _LANE_SET,
    ),
    Mutation(
        "records that were taken already are cut off",
        "streams/lanes.py",
        "                await self._step(lane, block.from_offset(offset))\n",
        "                await self._step(lane, block)\n",
        _LANE_SET,
    ),
    Mutation(
        "lanes are flushed before a rebalance",
        "streams/lanes.py",
        "        self._suspending.set()\n        await self.flush()\n",
        "        self._suspending.set()\n",
        _LANE_SET,
    ),
    Mutation(
        "a restored lane knows the newest settings",
        "streams/lanes.py",
        "            await self._settings.catch_up()\n",
        "",
        _LANE_SET,
    ),
    Mutation(
        "settings that a block names are waited for",
        "streams/lanes.py",
        "        await self._settings_for(block)\n",
        "",
        _LANE_SET,
    ),
    Mutation(
        "a lane whose next records are gone ends the worker",
        "streams/lanes.py",
        "                self._refuse_to_wait(lane)\n",
        "",
        _LANE_SET,
    ),
    Mutation(
        "a lane is fenced before it is read",
        "streams/changelog.py",
        "        await self._producer.start()\n\n    async def close",
        "        self._producer._txn_manager = None\n        await self._producer.start()\n\n    async def close",
        ("tests/streams/test_changelog.py",),
    ),
    Mutation(
        "state is written in transactions",
        "streams/changelog.py",
        "        async with self._producer.transaction():\n",
        "        await self._producer.begin_transaction()\n        if True:\n",
        ("tests/streams/test_changelog.py",),
    ),
    Mutation(
        "only committed state is read back",
        "streams/changelog.py",
        '        isolation_level="read_committed",\n',
        "",
        ("tests/streams/test_changelog.py",),
    ),
    Mutation(
        "commits do not pass events in flight",
        "streams/hardened.py",
        "    def _new_offset(self, tp: TP)",
        "    def _no_new_offset(self, tp: TP)",
        _STOCK,
    ),
    Mutation(
        "reading goes on where the state is",
        "streams/hardened.py",
        "    async def perform_seek(self)",
        "    async def perform_no_seek(self)",
        _STOCK,
    ),
    Mutation(
        "aborted records are not read",
        "streams/hardened.py",
        '            isolation_level="read_committed",\n',
        "",
        _STOCK,
    ),
    Mutation(
        "other code underneath is refused",
        "streams/patches.py",
        "        if source_hash(patched) != HASHES.get(name):\n",
        "        if name not in HASHES:\n",
        _STOCK,
    ),
    Mutation(
        "an exception in a callback ends the process",
        "streams/ending.py",
        "            end_process(error)\n            raise\n\n    return guarded",
        "            raise\n\n    return guarded",
        (_ENDINGS, "-k", "agent or stop or suspend"),
    ),
    Mutation(
        "causes in a circle do not hang the ending",
        "streams/ending.py",
        "    while cause is not None and id(cause) not in seen:\n",
        "    while cause is not None:\n",
        ("tests/streams/test_ending.py", "-k", "circle"),
    ),
    Mutation(
        "an orderly end that hangs is ended",
        "streams/ending.py",
        "    _from_now(seconds, hung)\n",
        "",
        ("tests/streams/test_ending.py", "-k", "orderly"),
    ),
    Mutation(
        "another topic under the name is seen while a worker runs",
        "streams/topic_ids.py",
        "            if counts_in is not None and there.get(self._stage.topic, counts_in) != counts_in:\n",
        "            if False:\n",
        ("tests/streams/test_topic_ids.py",),
    ),
    Mutation(
        "a foreign template is named before a document is written",
        "connectors/store/elasticsearch.py",
        "        if why is not None:\n            known",
        "        if False:\n            known",
        ("tests/store/test_elasticsearch.py", "-k", "foreign"),
    ),
    Mutation(
        "a store's file that is gone takes no acknowledged write with it",
        "connectors/store/embedded.py",
        "            self._check_place()\n",
        "",
        ("tests/store/test_damage.py", "-k", "deleted"),
    ),
    Mutation(
        "a settings client that fetches no longer is noticed",
        "streams/followed.py",
        "            check_fetching(consumer)\n",
        "",
        (_ENDINGS, "-k", "fetch-settings"),
    ),
    Mutation(
        "a lane's client that fetches no longer is noticed",
        "streams/hardened.py",
        "    check_fetching(consumer)\n",
        "    pass\n",
        (_ENDINGS, "-k", "[fetch] or group"),
    ),
    Mutation(
        "a lane whose state is gone is refused",
        "streams/fetching.py",
        "OffsetAndMetadata(each.offset, OURS)",
        "each",
        ("tests/stages/test_refusals.py", "-k", "is_gone"),
    ),
    Mutation(
        "a log that ends before its lane ends the worker",
        "streams/hardened.py",
        "            if end < stands.get(partition, 0):\n",
        "            if end < 0:\n",
        ("tests/faust/test_log_ends.py",),
    ),
    Mutation(
        "an end that was asked for is compared with where the lane stood before",
        "streams/hardened.py",
        "            if end < stands.get(partition, 0):\n",
        "            if end < self.lane_set.lanes[partition].position.offset:\n",
        ("tests/faust/test_log_ends.py",),
    ),
    Mutation(
        "a write to a connection that has ended is a broken connection",
        "streams/connections.py",
        "    aiokafka.conn.AIOKafkaConnection = Connection\n",
        "    pass\n",
        ("tests/faust/test_connections.py",),
    ),
    Mutation(
        "looks at a client end before the client",
        "streams/hardened.py",
        "            watch.cancel()\n",
        "            pass\n",
        (_ENDINGS, "-k", "told_to_stop"),
    ),
    Mutation(
        "what stands still ends",
        "streams/watchdog.py",
        '            self._end(Stalled(f"{told}; ending, to be started again"))\n',
        "            pass\n",
        _WATCHDOG,
    ),
    Mutation(
        "it ends whatever saying where comes to",
        "streams/watchdog.py",
        "            saying.join(SAID_WITHIN_S)\n",
        "            saying.join()\n",
        _WATCHDOG,
    ),
    Mutation(
        "a position past the log's end is refused",
        "streams/position.py",
        "    if stored.offset > log.end:\n",
        "    if False:\n",
        ("tests/streams/test_position.py",),
    ),
    Mutation(
        "another topic under the name is refused",
        "streams/position.py",
        "and stored.topic_id != log.topic_id:\n",
        "and False:\n",
        ("tests/streams/test_position.py",),
    ),
    Mutation(
        "control records count only with our signature",
        "streams/settings_log.py",
        "        if not is_signed(self._key, headers, SKIP if skip else SETTINGS, key, value):\n",
        "        if False:\n",
        ("tests/streams/test_control.py",),
    ),
    Mutation(
        "a message that cannot be rendered is given up",
        "agents/alerting/retrying.py",
        "    if answer.unrenderable:\n        return Attempt.UNRENDERABLE\n",
        "",
        ("tests/receivers/test_rendering.py", "-k", "given_up"),
    ),
    Mutation(
        "what matches no receiver is on record",
        "agents/alerting/alerter.py",
        '            return [self._queues.unsent(incident, "", Reason.NOT_ROUTED, now)]\n',
        "            return []\n",
        ("tests/alerting/test_routing.py",),
    ),
    Mutation(
        "who cared for an incident is told with its end",
        "agents/alerting/alerter.py",
        "            self._over = self._standing.pop(incident.id, None)\n",
        "            self._standing.pop(incident.id, None)\n",
        ("tests/alerting/test_acknowledging.py",),
    ),
    Mutation(
        "a name that is looked up already is not looked up again",
        "streams/names.py",
        "        if found is None or found.done():\n",
        "        if True:\n",
        ("tests/receivers/test_one_is_silent.py", "-k", "one_thread"),
    ),
    Mutation(
        "a lane that waits for the broker holds up no other's wake",
        "agents/courier.py",
        "                    group.create_task(self._wake(lanes, lane))\n",
        "                    await self._wake(lanes, lane)\n",
        ("tests/alerting/test_courier.py",),
    ),
    Mutation(
        "a decision is durable before its message is sent",
        "agents/alert.py",
        "            step.flush = True\n            step.then",
        "            step.then",
        ("tests/alerting/test_lane.py",),
    ),
    Mutation(
        "a message whose fate is unknown is begun again",
        "agents/courier.py",
        "                    self.begin(lane, lane.pending())\n",
        "",
        ("tests/stages/test_messages.py",),
    ),
    Mutation(
        "the sink commits what is stored and no more",
        "agents/sink.py",
        "        refused = await self._store.write(batch.documents) if batch.documents else []\n",
        "        self._settled |= batch.positions\n        await self._begin_to_commit(consumer)\n"
        "        refused = await self._store.write(batch.documents) if batch.documents else []\n",
        ("tests/sink/test_sink.py", "-k", "stays_away or hangs"),
    ),
    Mutation(
        "faults of a cluster bury no document",
        "connectors/store/bulk.py",
        "        if is_poison(kind, reason):\n",
        "        if status == 400:\n",
        ("tests/store/test_elasticsearch.py",),
    ),
    Mutation(
        "the kernel reads no text beyond its record",
        "schemas/kernel/kernel.c",
        "            if (!number(cursor, &value) || value < 0 || value > cursor->end - cursor->at) return 0;\n",
        "            if (!number(cursor, &value) || value < 0) return 0;\n",
        _KERNEL,
    ),
    Mutation(
        "the kernel reads no number beyond its record",
        "schemas/kernel/kernel.c",
        "        if (cursor->at == cursor->end) return 0;\n        uint64_t byte",
        "        uint64_t byte",
        _KERNEL,
    ),
    Mutation(
        "the kernel reads no record beyond its batch",
        "schemas/kernel/kernel.c",
        " || length > batch.end - batch.at) return 0;\n",
        ") return 0;\n",
        _KERNEL,
    ),
    Mutation(
        "the kernel takes no record that has bytes left",
        "schemas/kernel/kernel.c",
        "        else if (cursor.at != cursor.end)\n            verdicts[row] = TRAILING;\n",
        "",
        _KERNEL,
    ),
    Mutation(
        "the kernel holds numbers to their bounds",
        "schemas/kernel/kernel.c",
        "            doubts->bounded &= value >= op[2] && value <= op[3];\n            if (op[1] >= 0) columns->numbers",
        "            if (op[1] >= 0) columns->numbers",
        _KERNEL,
    ),
    Mutation(
        "the kernel takes no number that is not finite",
        "schemas/kernel/kernel.c",
        "            doubts->bounded &= !op[1] || (bits >> 52 & 0x7ff) != 0x7ff;\n",
        "",
        _KERNEL,
    ),
    Mutation(
        "the kernel takes no text that is no UTF-8",
        "schemas/kernel/kernel.c",
        "            doubts->readable &= !op[4] || utf8(cursor->at, value);\n",
        "",
        _KERNEL,
    ),
    Mutation(
        "the kernel counts no latency that an event does not have",
        "schemas/kernel/kernel.c",
        "            if (value < 0) continue;\n",
        "",
        ("tests/streams/test_windows.py",),
    ),
    Mutation(
        "records with headers of ours are not the kernel's",
        "schemas/kernel/kernel.c",
        '        if (begins(at, name, "sentinel-") || begins(at, name, "__value_schema_id")) return 0;\n',
        "",
        ("tests/streams/test_blocks.py",),
    ),
    Mutation(
        "what the kernel leaves is judged by the slow way",
        "schemas/columns.py",
        "        if not len(rest.index):\n            return told\n",
        "        if len(told.index) >= 0:\n            return told\n",
        _KERNEL,
    ),
    Mutation(
        "bytes live as long as what was read from them",
        "schemas/kernel/reading.py",
        "(*given.holders, *plan.defaults)",
        "plan.defaults",
        _KERNEL,
    ),
)
