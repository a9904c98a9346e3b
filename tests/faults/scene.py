"""Where a fault happens: all stages at work on a real broker, traffic, and somebody who looks."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from streams.admin.topics import STAGES
from tests.faults.elastic import Elastic
from tests.faults.front import Front
from tests.faults.watching import Watch
from tests.faults.wire import Wire
from tests.harness.exactness.disturbing import Disturber, Group, Say, works
from tests.harness.exactness.inbox import Inbox
from tests.harness.exactness.plan import Plan
from tests.harness.exactness.sending import Sender
from tests.harness.exactness.storing import SINK
from tests.harness.servers.kafka import KafkaCluster, KafkaServer


@dataclass(slots=True)
class Scene:
    """What a fault can lay hands on."""

    plan: Plan
    group: Group
    sender: Sender
    inbox: Inbox
    say: Say
    kafka: KafkaServer
    """The only node, unless the fault is one of several."""
    cluster: KafkaCluster
    """Not started when it is not."""
    wire: Wire
    elastic: Elastic
    """Not started when the fault names another store, or none."""
    front: Front
    """Between the sink and Elasticsearch."""
    watch: Watch
    long: bool
    """Whether it may take minutes."""
    rng: random.Random = field(init=False)
    """Seeded by the plan."""

    def __post_init__(self) -> None:
        self.rng = random.Random(self.plan.seed)

    @property
    def disturber(self) -> Disturber:
        """Of the workers of detect."""
        return Disturber(self.plan, self.group, self.sender, self.inbox, self.say)

    @property
    def index_prefix(self) -> str:
        """Of the indices that the sink writes to."""
        assert self.plan.store is not None
        return self.plan.store.index_prefix

    @contextlib.asynccontextmanager
    async def harm(self, what: str) -> AsyncIterator[None]:
        """Meanwhile nobody can be asked to work; afterwards all have to, soon."""
        self.say(what)
        self.watch.harmed()
        try:
            yield
        finally:
            self.watch.healed()

    async def all_work(self) -> None:
        """Returns when every worker that has not left is ready. Raises BenchmarkFailed when that
        takes too long.
        """
        for stage in (*STAGES, SINK):
            for member in self.group.of_stage(stage):
                await works(member)

    async def all_work_again(self) -> None:
        """The same after the broker was away: who started meanwhile said so and ended, as it
        should.
        """
        await self.all_work()
        for member in self.group.members.values():
            member.forgive_starts()

    async def flow(self, share: float = 0.05, seconds: float = 1.0) -> None:
        """More events than usual come for a while."""
        self.sender.rush(share)
        await asyncio.sleep(seconds)


Does = Callable[[Scene], Awaitable[None]]
