"""All settings of an installation as one frozen type; each section is defined beside its code."""

from dataclasses import dataclass, field

from agents.correlation.settings import CorrelationSettings
from agents.detectors.settings import DetectionSettings
from agents.sinking.settings import SinkSettings
from connectors.store.settings import StoreSettings
from schemas.secrets import Secret
from streams.settings import Broker, Lanes
from topology.api.settings import ApiSettings
from topology.settings.receivers import AlertingSettings


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """One worker process: health, metrics, logs, and the key of control records."""

    health_host: str = "127.0.0.1"
    """Address on which `/live`, `/ready` and `/metrics` are served. Loopback by default, since they
    ask for no password.
    """

    health_port: int = 0
    """Port of health and metrics. 0 picks a free one, which the log names. `sentinel standalone`
    gives its stages this port and the ones after it.
    """

    log_level: str = "info"
    """Lowest level that is logged: debug, info, warning or error."""

    control_key: Secret = field(default_factory=lambda: Secret(""))
    """Key that signs control records (new detection settings, skips), 16 characters or more. Every
    worker of an installation needs the same one; without one, control records are refused.
    """


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of an installation, by section."""

    broker: Broker = field(default_factory=Broker)
    lanes: Lanes = field(default_factory=Lanes)
    detection: DetectionSettings = field(default_factory=DetectionSettings)
    correlation: CorrelationSettings = field(default_factory=CorrelationSettings)
    alerting: AlertingSettings = field(default_factory=AlertingSettings)
    sink: SinkSettings = field(default_factory=SinkSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    api: ApiSettings = field(default_factory=ApiSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
