"""The faults, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from connectors.store.settings import StoreKind
from tests.faults import brokers, older, processes, protocol, receivers, records, state, stores
from tests.faults.scene import Does


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong while events flow."""

    name: str
    does: Does
    through_wire: bool = False
    """Whether workers reach the broker through a network that can be disturbed."""
    on_three: bool = False
    """Whether the broker has three nodes, and three copies of everything."""
    prepare: Callable[[], None] | None = None
    """What each process of the reference does first."""
    store: StoreKind = StoreKind.NONE
    """Where what the stages say is stored meanwhile."""

    is_last: bool = False
    """Whether nothing may follow it over the same installation: what it sends is only for workers
    that know of it, or moves the lanes' time ahead of the traffic.
    """

    @property
    def what(self) -> str:
        """In one line."""
        return (self.does.__doc__ or "").splitlines()[0]

    @property
    def way(self) -> tuple[bool, bool]:
        """How workers reach which broker: faults of the same way may share an installation, and
        those that need no store any one.
        """
        return self.through_wire, self.on_three


@dataclass(frozen=True, slots=True)
class Alone:
    """One that brings its own broker and worker, and judges itself."""

    name: str
    suffers: Callable[..., protocol.Found]
    """Given whether it may take long, and where its lines go."""

    @property
    def what(self) -> str:
        """In one line."""
        return (self.suffers.__doc__ or "").splitlines()[0]


_ALL: Final = (
    Fault("kills", processes.killed),
    Fault("zombie", processes.frozen),
    Fault("rebalance-storm", processes.storm),
    Fault("scale", processes.scaled),
    Fault("relief", processes.relieved),
    Fault("clocks-off", processes.misled),
    Fault("detector-bug", processes.buggy),
    Fault("settings-wrong", processes.misconfigured),
    Fault("state-compacted", state.compacted),
    Fault("outputs-refused", state.refused),
    Fault("broker-paused", brokers.paused),
    Fault("broker-killed", brokers.died),
    Fault("broker-bounced", brokers.bounced),
    Fault("broker-disk-full", brokers.filled),
    Fault("node-killed", brokers.one_died, on_three=True),
    Fault("node-paused", brokers.one_paused, on_three=True),
    Fault("network-delay", brokers.delayed, through_wire=True),
    Fault("network-throttled", brokers.throttled, through_wire=True),
    Fault("network-black-hole", brokers.swallowed, through_wire=True),
    Fault("network-reset", brokers.reset, through_wire=True),
    Fault("network-half-closed", brokers.half_closed, through_wire=True),
    Fault("records-bad", records.bad),
    Fault("records-deadly", records.deadly),
    Fault("records-of-two-schemas", records.of_two_schemas, prepare=older.learn, is_last=True),
    Fault("records-large", records.large),
    Fault("records-disordered", records.disordered),
    Fault("receiver-slow", receivers.slow),
    Fault("receiver-breaks-off", receivers.breaking_off),
    Fault("receiver-redirects", receivers.redirecting),
    Fault("receiver-wrong-tls", receivers.of_another_name),
    Fault("store-slow", stores.slow, store=StoreKind.ELASTICSEARCH),
    Fault("store-throttles", stores.throttled, store=StoreKind.ELASTICSEARCH),
    Fault("store-unavailable", stores.unavailable, store=StoreKind.ELASTICSEARCH),
    Fault("store-breaks-off", stores.breaking_off, store=StoreKind.ELASTICSEARCH),
    Fault("store-refuses-one", stores.refusing, store=StoreKind.ELASTICSEARCH, is_last=True),
    Fault("store-killed", stores.died, store=StoreKind.ELASTICSEARCH),
    Fault("store-disk-full", stores.filled, store=StoreKind.EMBEDDED),
)

FAULTS: Final[Mapping[str, Fault]] = MappingProxyType({fault.name: fault for fault in _ALL})

ALONE: Final[Mapping[str, Alone]] = MappingProxyType(
    {"protocol-errors": Alone("protocol-errors", protocol.answered)}
)
