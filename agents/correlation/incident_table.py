"""The open incidents of a lane and the signals of closed ones, by tenant and application."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from agents.correlation import closed
from agents.correlation.closed import ClosedSignals
from agents.correlation.open_incident import OpenIncident
from agents.correlation.settings import CorrelationSettings
from agents.correlation.signals import Signals, signal_key
from schemas.ids import record_id
from schemas.records.anomalies import INTAKE, Anomaly, SignalChange
from schemas.records.control import Command
from streams.state.rows import Rows, by_row_key

OTHER_APPLICATIONS: Final = "(other applications)"
"""Application of the one incident that a tenant's applications beyond `max_open` share."""

_OPEN_KEY: Final = b"open/"


class IncidentTable:
    """Which incident a record belongs to, by its row key.

    `open` and `closed` know what changed: they are read through `view` where nothing is to change,
    since a flush encodes all that they handed out.
    """

    def __init__(self, settings: CorrelationSettings) -> None:
        self._settings: Final = settings
        limits = settings.max_listed, settings.max_signals
        self.open: Final = Rows(
            by_row_key(
                _OPEN_KEY,
                OpenIncident.row,
                lambda value: OpenIncident.from_row(value, *limits, settings.thresholds),
            )
        )
        self.closed: Final = Rows(
            by_row_key(
                closed.KEY,
                ClosedSignals.row,
                lambda value: ClosedSignals.from_row(value, settings.max_signals),
            )
        )
        self._per_tenant: Counter[str] = Counter()

    def group(self, anomaly: Anomaly) -> tuple[bytes, str]:
        """Row key and application of the incident that the anomaly belongs to, open or not."""
        key, others = _key_of(anomaly), _key(anomaly.tenant, OTHER_APPLICATIONS)
        if key in self.open:
            return key, anomaly.application
        # A signal stays with the shared incident that it joined, also when there is room again.
        shared = self.open.view().get(others)
        is_there = shared is not None and (
            signal_key(anomaly) in shared.signals or (shared.signals.unlisted and not anomaly.first)
        )
        if is_there or self._per_tenant[anomaly.tenant] >= self._settings.max_open:
            return others, OTHER_APPLICATIONS
        return key, anomaly.application

    def insert(self, key: bytes, application: str, anomaly: Anomaly) -> OpenIncident:
        """Open an incident that the anomaly is yet to join."""
        incident = self.open[key] = OpenIncident(
            id=record_id(anomaly.tenant, application, anomaly.id),
            tenant=anomaly.tenant,
            application=application,
            opened_at=anomaly.event_time,
            max_listed=self._settings.max_listed,
            thresholds=self._settings.thresholds,
            signals=Signals(self._settings.max_signals),
        )
        self._per_tenant[incident.tenant] += 1
        return incident

    def remove(self, key: bytes) -> OpenIncident:
        """Remove an incident that is over."""
        incident = self.open.pop(key)
        self._per_tenant[incident.tenant] -= 1
        if not self._per_tenant[incident.tenant]:
            del self._per_tenant[incident.tenant]
        return incident

    def named(self, command: Command) -> bytes | None:
        """Row key of the open incident that the command names; None without one of its tenant."""
        wanted = command.target, command.tenant
        found = (key for key, one in self.open.view().items() if (one.id, one.tenant) == wanted)
        return next(found, None)

    def keep_closed(self, incident: OpenIncident, append_time: int) -> None:
        """Remember what is still wrong of an incident that a person closes."""
        key = _key(incident.tenant, incident.application, closed.KEY)
        known = self.closed.setdefault(
            key, ClosedSignals(Signals(self._settings.max_signals), append_time)
        )
        known.signals.merge(incident.signals)
        known.last_append = append_time

    def is_closed(self, anomaly: Anomaly, append_time: int) -> bool:
        """Whether the anomaly says again that something lasts whose incident was closed; then it
        counts as heard of.
        """
        if anomaly.first:
            return False
        signal = signal_key(anomaly)
        for application in (anomaly.application, OTHER_APPLICATIONS):
            key = _key(anomaly.tenant, application, closed.KEY)
            known = self.closed.view().get(key)
            if known is not None and (signal in known.signals or known.signals.unlisted):
                self.closed[key].last_append = append_time
                return True
        return False

    def holders(self, change: SignalChange) -> Iterator[bytes]:
        """Row keys, of open incidents and closed signals, that may have the signal that changed.

        Those that have it by name come before those that may have it among signals that they only
        count.
        """
        applications = (change.application, OTHER_APPLICATIONS)
        keys = [
            _key_of(change),
            _key(change.tenant, OTHER_APPLICATIONS),
            *(_key(change.tenant, application, closed.KEY) for application in applications),
        ]
        known = dict(self._signals_of(keys))
        signal = signal_key(change)
        return iter(sorted(known, key=lambda key: signal not in known[key]))

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Restore its rows of these. Raises NewerState."""
        self.open.restore(rows.items())
        self.closed.restore(rows.items())
        self._per_tenant.update(one.tenant for one in self.open.view().values())

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """Rows that changed since the last call; None for one that is gone."""
        return [*self.closed.changes(), *self.open.changes()]

    def _signals_of(self, keys: list[bytes]) -> Iterator[tuple[bytes, Signals]]:
        for key in keys:
            one = self.open.view().get(key) or self.closed.view().get(key)
            if one is not None:
                yield key, one.signals


def is_row(key: bytes) -> bool:
    """Whether the row under this key belongs to IncidentTable."""
    return key.startswith((_OPEN_KEY, closed.KEY))


def _key(tenant: str, application: str, kind: bytes = _OPEN_KEY) -> bytes:
    return kind + record_id(tenant, application).encode()


def _key_of(record: Anomaly | SignalChange) -> bytes:
    """The row of the incident of a record's application.

    Records that do not count make an incident of their own, beside that of their application's
    calls: it may last for weeks, and a fault that joined it would not open a new one.
    """
    if record.detector == INTAKE:
        return _OPEN_KEY + record_id(record.tenant, record.application, INTAKE).encode()
    return _key(record.tenant, record.application)
