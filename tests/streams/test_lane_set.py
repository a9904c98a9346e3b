"""What becomes of a block, who owns a lane, and when its state is durable; the broker is a faithful
fake.
"""

import asyncio
from collections import Counter

import pytest
from aiokafka.errors import ProducerFenced

from streams import metrics
from streams.exit_status import AGAIN, fate_of
from streams.lane.effects import Effect
from streams.lane.facts import Fact, FactKind
from streams.lane.lane_set import LaneSet
from streams.lane.outgoing import Outgoing, Step
from streams.lane.stepping import MAX_PENDING
from streams.records.blocks import Block
from streams.settings import Lanes
from streams.state.position import Committed, Displaced, Log, Refused
from tests.streams.fakes import Counting, Machine, machine
from tests.streams.test_blocks import batch, blocks

__all__ = ["machine"]


def block(start: int, count: int, ask: int | None = None) -> Block:
    """Records from `start` on; by default of a fetch that asked for the first."""
    return blocks(batch(start, range(count)), start if ask is None else ask)[0]


def block_of(partition: int, start: int) -> Block:
    """One record of a partition."""
    made = block(start, 1)
    made.partition = partition
    return made


def program(lanes: LaneSet, partition: int = 3) -> Counting:
    """The lane's program."""
    found = lanes.lanes[partition].program
    assert isinstance(found, Counting)
    return found


async def assigned(machine: Machine, *partitions: int, limits: Lanes | None = None) -> LaneSet:
    """A worker that owns these lanes."""
    lanes = machine.worker(limits)
    await lanes.assign(partitions or (3,))
    return lanes


async def test_the_position_is_written_before_the_first_block_is_taken(machine: Machine) -> None:
    """A worker that dies at once leaves its successor a position, not a guess."""
    machine.logs.committed_offset = Committed(40, "")
    lanes = machine.worker()
    assert await lanes.assign([3]) == {3: 40}
    assert machine.memory.position(3) == 40
    await lanes.process(block(40, 5))
    machine.logs.committed_offset = Committed(45, "")
    assert await machine.worker().assign([3]) == {3: 40}


async def test_what_begins_at_or_before_the_position_is_taken_from_the_position_on(
    machine: Machine,
) -> None:
    """Overlapping fetches, repeated ones, and gaps in the log: every record once."""
    lanes = await assigned(machine)
    for one in (block(0, 10), block(0, 10), block(5, 10), block(20, 5, ask=15), block(3, 40)):
        await lanes.process(one)
    assert machine.sender.sent == [*range(15), *range(20, 43)]
    assert (program(lanes).count, lanes.lanes[3].position.offset) == (38, 43)


async def test_a_lane_that_went_to_another_worker_leaves_no_gauge_behind(machine: Machine) -> None:
    """Its last lag would stand for ever, and alarm for ever; the lanes that stay keep theirs."""
    lanes = await assigned(machine, 3, 4)
    name = lanes.stage.name
    for partition in (3, 4):
        taken = block(0, 10)
        taken.partition = partition
        await lanes.process(taken)
        await lanes.flush()
        metrics.LAG.labels(name, partition).set(7)
    assert _standing(name) == {(gauge, lane) for gauge in _STANDING for lane in ("3", "4")}
    await lanes.assign([4])
    assert _standing(name) == {(gauge, "4") for gauge in _STANDING}


async def test_what_a_rebalance_leaves_free_is_given_back(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for each, when the lanes' logs are read and those that went are gone."""
    owned: list[list[int]] = []
    lanes = machine.worker()
    monkeypatch.setattr(
        "streams.lane.lane_set.give_back", lambda: owned.append(sorted(lanes.lanes))
    )
    await lanes.assign([3, 4])
    await lanes.assign([4])
    assert owned == [[3, 4], [4]]


_STANDING = {
    "sentinel_lane_position",
    "sentinel_lane_durable_position",
    "sentinel_lane_lag",
    "sentinel_lane_progress_timestamp_seconds",
}


def _standing(stage: str) -> set[tuple[str, str]]:
    samples = (sample for family in metrics.REGISTRY.collect() for sample in family.samples)
    return {
        (sample.name, sample.labels["lane"])
        for sample in samples
        if sample.name in _STANDING
        and sample.labels["stage"] == stage
        and sample.labels["lane"] in ("3", "4")
    }


async def test_a_stale_block_behind_the_position_is_dropped_and_comes_again(
    machine: Machine,
) -> None:
    """Of an old assignment's buffers: records between are not taken yet, so it must not be counted
    now.
    """
    lanes = await assigned(machine)
    await lanes.process(block(0, 10))
    await lanes.process(block(20, 10))
    assert lanes.lanes[3].position.offset == 10
    await lanes.process(block(10, 20))
    assert machine.sender.sent == list(range(30))


async def test_blocks_between_suspension_and_assignment_are_dropped(machine: Machine) -> None:
    """Also of lanes that stay; after the rebalance they come again from the position."""
    lanes = await assigned(machine, 3, 4)
    await lanes.process(block(0, 10))
    await lanes.suspend()
    await lanes.process(block(10, 10))
    assert machine.sender.sent == list(range(10))
    assert await lanes.assign([3]) == {3: 10}
    await lanes.process(block(10, 10))
    assert machine.sender.sent == list(range(20))


async def test_before_a_rebalance_everything_is_made_durable(machine: Machine) -> None:
    """Otherwise the lane's next worker would do all of it again."""
    lanes = await assigned(machine, 3, 4)
    await lanes.process(block(0, 10))
    await lanes.suspend()
    assert machine.memory.position(3) == 10


async def test_a_block_of_a_lane_that_is_not_ours_is_dropped(machine: Machine) -> None:
    """It was assigned to somebody else while it waited."""
    lanes = await assigned(machine, 4)
    await lanes.process(block(0, 10))
    assert machine.sender.sent == []


async def test_a_lane_that_stays_keeps_its_state_and_another_is_restored(machine: Machine) -> None:
    """Nobody reads back what is there already."""
    lanes = await assigned(machine, 3)
    await lanes.process(block(0, 10))
    kept = program(lanes)
    await lanes.suspend()
    assert await lanes.assign([3, 4]) == {3: 10, 4: 0}
    assert program(lanes) is kept
    assert program(lanes, 4).count == 0


async def test_a_successor_goes_on_where_the_state_is(machine: Machine) -> None:
    """What was not flushed is computed again from the position: state and position are of one
    offset.
    """
    first = await assigned(machine)
    await first.process(block(0, 10))
    await first.flush()
    await first.process(block(10, 10))
    second = await assigned(machine)
    assert (program(second).count, second.lanes[3].position.offset) == (10, 10)


async def test_a_lane_is_restored_by_a_worker_that_has_read_all_settings(machine: Machine) -> None:
    """Its last owner may have taken a version that this worker, which only follows the topic, has
    not read yet.
    """
    known: list[int] = []

    class Restored(Counting):
        """Notes how often the settings were caught up with when it was restored."""

        def restore(self, rows: dict[bytes, bytes]) -> None:
            known.append(machine.settings.caught_up)
            super().restore(rows)

    machine.new_lane = Restored
    await assigned(machine, 3, 4)
    assert known == [1, 1]


async def test_a_zombie_cannot_write_and_ends(machine: Machine) -> None:
    """Once another owns the lane, the old owner's flush raises, and nothing of it is there."""
    zombie = await assigned(machine)
    await zombie.process(block(0, 10))
    heir = await assigned(machine)
    await heir.process(block(0, 5))
    await heir.flush()
    with pytest.raises(ProducerFenced):
        await zombie.flush()
    assert machine.memory.position(3) == 5


async def test_outputs_are_durable_before_the_position_moves_on(machine: Machine) -> None:
    """A send that fails leaves the lane's durable position where it was; nothing was committed."""
    lanes = await assigned(machine)
    machine.sender.fails = RuntimeError("the broker is away")
    with pytest.raises(RuntimeError):
        await lanes.process(block(0, 10))
    assert (lanes.durable_position(3), machine.memory.position(3)) == (0, 0)


async def test_what_may_be_committed_is_never_more_than_what_is_durable(machine: Machine) -> None:
    """Faust asks for it; a lane that is not owned has none."""
    lanes = await assigned(machine)
    await lanes.process(block(0, 10))
    assert lanes.durable_position(3) == 0
    machine.memory.fails = RuntimeError("the broker is away")
    with pytest.raises(RuntimeError):
        await lanes.flush()
    assert lanes.durable_position(3) == 0
    machine.memory.fails = None
    await lanes.flush()
    assert (lanes.durable_position(3), lanes.durable_position(9)) == (10, None)


async def test_rows_position_and_records_for_later_are_one_transaction(machine: Machine) -> None:
    """Aggregates go out with the state that they come from, once."""
    lanes = await assigned(machine)
    before = machine.memory.commits
    await lanes.process(block(0, 2))
    assert machine.memory.others() == []
    await lanes.flush()
    await lanes.flush()
    assert machine.memory.commits == before + 1
    assert machine.memory.others() == [
        ("t.aggregates", b"k", [b"0"]),
        ("t.aggregates", b"k", [b"1"]),
    ]
    assert machine.memory.rows[3][b"count"] == b"2"
    await lanes.process(block(2, 1))
    await lanes.flush()
    assert machine.memory.others()[2:] == [("t.aggregates", b"k", [b"2"])]


async def test_a_step_that_asks_for_it_is_durable_before_the_next(machine: Machine) -> None:
    """An answer that a person waits for is on the topic at once."""
    machine.new_lane = lambda partition: Counting(partition, flush=True)
    lanes = await assigned(machine)
    await lanes.process(block(0, 7))
    assert machine.memory.position(3) == 7


async def test_an_effect_is_begun_when_its_decision_is_durable(machine: Machine) -> None:
    """A decision to call somebody is on the topic before the call; if it cannot be written, nobody
    is called.
    """
    effect = Effect("e1", "call", "payload", 0)
    machine.new_lane = lambda partition: Counting(partition, effects=[effect])
    lanes = await assigned(machine)
    await lanes.process(block(0, 7))
    assert machine.memory.position(3) == 7
    assert lanes.effects.get_nowait() == (3, program(lanes), effect)
    machine.memory.fails = ConnectionError()
    with pytest.raises(ConnectionError):
        await lanes.process(block(7, 7))
    assert lanes.effects.empty()


async def test_a_flush_is_made_early_when_much_is_pending(machine: Machine) -> None:
    """Records that wait for a transaction are bounded."""
    lanes = await assigned(machine)
    for start in range(0, 3 * MAX_PENDING, MAX_PENDING):
        await lanes.process(block(start, MAX_PENDING))
    assert machine.memory.position(3) == 2 * MAX_PENDING


async def test_flushes_keep_their_interval_and_it_stretches_with_their_cost(
    machine: Machine,
) -> None:
    """At least a second, at most ten, and in between so that flushing costs at most a tenth of the
    CPU. Steps that another lane takes while the broker is waited for are no cost of the flush.
    """
    cost = 0.0

    def step_works() -> None:
        machine.cpu += 7.0

    async def commit_works() -> None:
        machine.cpu += cost
        other = block(lanes.lanes[4].position.offset, 1)
        other.partition = 4
        await lanes.process(other)
        lanes.lanes[4].flushed_at = machine.now

    machine.new_lane = lambda partition: Counting(partition, works=step_works)
    lanes = await assigned(machine, 3, 4)
    machine.memory.meanwhile = commit_works
    for start, (spent, due_s) in enumerate(
        ((0.005, 1.0), (0.15, 1.0), (0.45, 3.0), (5.0, 9.0), (0.0, 10.0))
    ):
        await lanes.process(block(start, 1))
        commits, cost = machine.memory.commits, spent
        machine.now += due_s - 0.01
        lanes.lanes[4].flushed_at = machine.now
        await lanes.flush_due()
        assert machine.memory.commits == commits
        machine.now += 0.02
        await lanes.flush_due()
        assert machine.memory.commits == commits + 1


async def test_a_lane_that_waits_for_an_acknowledgement_holds_up_no_others_flush(
    machine: Machine,
) -> None:
    """Its step holds its lock for as long as the broker does not answer; the others' state becomes
    durable meanwhile, again and again.
    """
    lanes = await assigned(machine, 3, 4)
    for partition in (3, 4):
        await lanes.process(block_of(partition, 0))
    machine.sender.waits = asyncio.Event()
    waiting = asyncio.create_task(lanes.process(block_of(3, 1)))
    await asyncio.sleep(0)
    for start in (1, 2):
        machine.now += 20
        async with asyncio.timeout(5):
            await lanes.flush_due()
        assert lanes.durable_position(4) == start
        machine.sender.waits, held = None, machine.sender.waits
        await lanes.process(block_of(4, start))
        machine.sender.waits = held
    assert lanes.durable_position(3) == 0
    held.set()
    await waiting
    await lanes.close()
    assert machine.memory.position(3) == 2


async def test_a_flush_that_fails_later_ends_the_worker_with_its_own_error(
    machine: Machine,
) -> None:
    """What nobody waited for is raised by the next look; of several all are told."""
    lanes = await assigned(machine, 3, 4)
    for partition in (3, 4):
        await lanes.process(block_of(partition, 0))
    go_on = asyncio.Event()

    async def meanwhile() -> None:
        await go_on.wait()
        raise ProducerFenced

    machine.memory.meanwhile = meanwhile
    machine.now += 20
    await lanes.flush_due()
    go_on.set()
    await asyncio.sleep(0.01)
    with pytest.raises(BaseExceptionGroup) as raised:
        await lanes.flush_due()
    assert [type(each) for each in raised.value.exceptions] == [ProducerFenced, ProducerFenced]
    assert fate_of(raised.value)[0] == AGAIN


async def test_a_quiet_lane_is_ticked_only_while_it_wants_to_know(machine: Machine) -> None:
    """After a second without a record; an empty block (a transaction's marker) is no record; not
    while a rebalance is on.
    """
    lanes = await assigned(machine)
    assert lanes.idle_partitions() == {}
    machine.now += 1.0
    await lanes.process(Block.empty(("t", 3), 0, 1))
    assert (lanes.lanes[3].position.offset, lanes.idle_partitions()) == (1, {3: 1_000_000})
    await lanes.process(block(1, 1))
    assert lanes.idle_partitions() == {}
    machine.now += 1.0
    program(lanes).wants_ticks = False
    assert lanes.idle_partitions() == {}
    program(lanes).wants_ticks = True
    await lanes.suspend()
    assert lanes.idle_partitions() == {}


async def test_a_tick_on_its_way_is_waited_for(machine: Machine) -> None:
    """A lane that an open transaction holds back would be ticked twice a second for minutes, each
    time for all that passed.
    """
    lanes = await assigned(machine)
    machine.now += 1.5
    assert lanes.idle_partitions() == {3: 1_500_000}
    machine.now += 60
    assert lanes.idle_partitions() == {}
    await lanes.process(block(0, 1))
    machine.now += 1.0
    assert lanes.idle_partitions() == {3: 1_000_000}


@pytest.mark.parametrize("passes_us", [0, 1000])
async def test_records_that_move_no_time_do_not_stand_in_for_ticks(
    machine: Machine, passes_us: int
) -> None:
    """Late ones, bad ones, or ticks by which next to nothing passed: whoever sends them would hide
    that all others are silent.
    """
    machine.new_lane = lambda partition: Counting(
        partition, last_append=1_000_000_000, passes_us=passes_us
    )
    lanes = await assigned(machine)
    ticks = []
    for number in range(20):
        machine.now += 0.9
        ticks += lanes.idle_partitions().values()
        await lanes.process(block(number, 1))
    assert len(ticks) >= 9
    # Each from when time last moved, which none of these records did.
    assert ticks[-1] > 15_000_000


@pytest.mark.parametrize(("last_append_s", "passed"), [(None, 1), (400, 601), (1000, 1), (2800, 1)])
async def test_the_first_tick_after_a_restart_says_what_passed_meanwhile(
    machine: Machine, last_append_s: int | None, passed: int
) -> None:
    """As far as the lane's last append time tells; one that lies before us is of a broker whose
    clock is ahead, and takes nothing away.
    """
    last = None if last_append_s is None else last_append_s * 1_000_000
    machine.new_lane = lambda partition: Counting(partition, last_append=last)
    lanes = await assigned(machine)
    machine.now += 1.0
    assert lanes.idle_partitions() == {3: passed * 1_000_000}


async def test_settings_are_waited_for_before_the_step_that_needs_them(machine: Machine) -> None:
    """A lane does not judge by a version that it has not read."""
    machine.new_lane = lambda partition: Counting(partition, needs=frozenset({"v1"}))
    lanes = await assigned(machine)

    waiting, read = asyncio.Event(), asyncio.Event()

    async def until_read(version: str) -> None:
        assert version == "v1"
        waiting.set()
        await read.wait()

    machine.settings.wait_for = until_read  # type: ignore[method-assign]
    taking = asyncio.create_task(lanes.process(block(0, 1)))
    await asyncio.wait_for(waiting.wait(), 10)
    assert (program(lanes).count, machine.sender.sent) == (0, [])
    read.set()
    await taking
    assert machine.sender.sent == [0]


async def test_a_lane_whose_next_records_are_gone_ends_the_worker(machine: Machine) -> None:
    """Retention overtook a running lane: blocks behind the gap alone come for seconds. A fresh
    start counts the jump.
    """
    lanes = await assigned(machine)
    await lanes.process(block(100, 5))
    machine.now += 4.0
    await lanes.process(block(105, 5))
    machine.now += 2.0
    with pytest.raises(Displaced, match=r"detect/3.*after offset 0"):
        await lanes.process(block(110, 5))


async def test_stale_blocks_now_and_then_are_not_taken_for_a_gap(machine: Machine) -> None:
    """Between them the lane moves."""
    lanes = await assigned(machine)
    for start in range(0, 50, 10):
        await lanes.process(block(start + 100, 5))
        machine.now += 4.0
        await lanes.process(block(start, 10))
    assert lanes.lanes[3].position.offset == 50


async def test_a_refused_start_lets_go_of_all_lanes(machine: Machine) -> None:
    """One lane that must not go on: none is taken."""
    lanes = await assigned(machine)
    await lanes.process(block(0, 10))
    await lanes.flush()
    machine.logs.log = Log("id-2", 0, 1000)
    other = machine.worker()
    with pytest.raises(Refused):
        await other.assign([3, 4])
    assert other.lanes == {}
    assert machine.memory.owner[3]._open == set()


async def test_a_lane_acts_besides_its_records_only_while_it_is_ours(machine: Machine) -> None:
    """What it says is carried out as after a step; a lane that went, or came again, does not act
    for its old self.
    """
    lanes = await assigned(machine)
    old = program(lanes)
    acted: list[Counting] = []

    def work(lane: Counting) -> Step:
        acted.append(lane)
        return Step(flush=True, with_state=[("t.notes", b"k", [b"x"])])

    await lanes.run_in_lane(3, work, old)
    assert (acted, machine.memory.others()) == ([old], [("t.notes", b"k", [b"x"])])
    await lanes.suspend()
    await lanes.assign([])
    await lanes.run_in_lane(3, work, old)
    await lanes.assign([3])
    await lanes.run_in_lane(3, work, old)
    assert acted == [old]


@pytest.mark.parametrize("where", ["acknowledgement", "commit"])
async def test_a_lane_that_waits_for_ever_has_something_to_do_though_it_took_its_last_record(
    machine: Machine, where: str
) -> None:
    """Nothing is before it, so by its records alone it would seem idle, and nobody would end the
    worker.
    """
    lanes = await assigned(machine)
    machine.now += 3600.0
    await lanes.process(block(0, 10))
    await lanes.flush()
    never = asyncio.Event()
    if where == "commit":
        await lanes.process(block(10, 10))
        machine.memory.meanwhile = never.wait
        hanging = asyncio.create_task(lanes.flush())
    else:
        machine.sender.waits = never
        hanging = asyncio.create_task(lanes.process(block(10, 10)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert lanes.lanes[3].position.offset == 20
    assert lanes.lanes_with_work() == {}
    machine.now += Lanes().flush_max_s + 1.0
    assert lanes.lanes_with_work() == {3: 21}
    never.set()
    await hanging
    await lanes.flush()
    assert lanes.lanes_with_work() == {}


async def test_a_lane_has_all_its_series_before_its_first_record(machine: Machine) -> None:
    """An alarm compares lag with progress: of a lane that never takes a record there must be
    both.
    """
    lanes = await assigned(machine, 5)
    name = lanes.stage.name
    value = metrics.REGISTRY.get_sample_value
    for series in (
        "records_total",
        "lane_position",
        "lane_durable_position",
        "lane_progress_timestamp_seconds",
    ):
        assert value(f"sentinel_{series}", {"stage": name, "lane": "5"}) is not None


async def test_facts_are_counted_once_their_outputs_are_acknowledged(machine: Machine) -> None:
    """A step that fails to send is repeated by the lane's next owner, which counts its facts."""
    lanes = await assigned(machine, 6)
    reason = "a test of facts"
    labels = {"stage": lanes.stage.name, "reason": reason}

    def work(lane: Counting) -> Step:
        return Step(
            now=[Outgoing("t.out", b"k", b"1")],
            facts=Counter({Fact(FactKind.BAD_RECORD, reason): 3}),
        )

    machine.sender.fails = ProducerFenced()
    with pytest.raises(ProducerFenced):
        await lanes.run_in_lane(6, work, program(lanes, 6))
    assert metrics.REGISTRY.get_sample_value("sentinel_bad_records_total", labels) is None
    machine.sender.fails = None
    await lanes.run_in_lane(6, work, program(lanes, 6))
    assert metrics.REGISTRY.get_sample_value("sentinel_bad_records_total", labels) == 3


async def test_a_block_that_waits_for_settings_does_not_outlast_a_suspension(
    machine: Machine,
) -> None:
    """A version that never comes would keep the worker from its end; the block comes again."""
    machine.settings.never = True
    machine.new_lane = lambda partition: Counting(partition, needs=frozenset({"v1"}))
    lanes = await assigned(machine)
    waiting = asyncio.create_task(lanes.process(block(0, 1)))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await lanes.suspend()
    async with asyncio.timeout(5):
        await waiting
    assert lanes.lanes[3].position.offset == 0
