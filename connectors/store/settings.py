"""Where documents are kept, and for how long."""

from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from schemas.documents import Kind
from schemas.secrets import Secret


class StoreKind(StrEnum):
    """Stores."""

    NONE = "none"
    EMBEDDED = "embedded"
    ELASTICSEARCH = "elasticsearch"


@dataclass(frozen=True, slots=True)
class Retention:
    """Days of its own time for which a document is kept, by kind. None means for ever."""

    anomaly_days: int | None = 90
    """As long as the topic has them."""

    incident_days: int | None = 365
    """Counted from when an incident opened. A year, so that last year's same week can be
    looked at.
    """

    notification_days: int | None = 365
    """As long as the incidents that they are about."""

    aggregate_days: int | None = 90
    """Most of what is stored: one document for each series and bucket."""

    event_days: int | None = 7
    """As long as the topic has them."""

    def days(self, kind: Kind) -> int | None:
        """Those of a kind."""
        days: int | None = getattr(self, f"{kind}_days")
        return days


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the sink keeps documents, and where page and API read them."""

    kind: StoreKind = StoreKind.NONE
    """`embedded` is one SQLite file on the machine of the sink and its readers; `elasticsearch` a
    cluster of version 9. `none`, the default, keeps nothing beyond the topics; the stage `sink` is
    then not started.
    """

    path: str = "sentinel.db"
    """File of the embedded store. Its folder must be there and be writable, and must not be a
    network file system.
    """

    urls: tuple[str, ...] = ("http://127.0.0.1:9200",)
    """Nodes of Elasticsearch, each `https://host:port`; without encryption only without credentials
    or on loopback.
    """

    username: str | None = None
    """User name at Elasticsearch. None means no user; an API key may replace it."""

    password: Secret = field(default_factory=lambda: Secret(""))
    """Password of that user."""

    api_key: Secret = field(default_factory=lambda: Secret(""))
    """API key of Elasticsearch, encoded, instead of user name and password. It needs `monitor`,
    `manage_index_templates`, and all rights on the indices of `index_prefix`.
    """

    tls_ca_file: str | None = None
    """PEM file of the authorities to trust. None means the system's."""

    index_prefix: str = "sentinel-"
    """Put before every index and template, so that several installations share a cluster. Lower
    case.
    """

    replicas: int = 1
    """Copies of each index beside the first; takes effect for indices that are made from then
    on.
    """

    timeout_s: float = 20.0
    """Seconds that one request to the store may take before it counts as failed for now."""

    deadline_s: float = 60.0
    """Seconds for which what failed for now is tried again, ever more slowly, before the worker
    ends and is started again. Nothing is lost meanwhile: the sink continues only when the store has
    accepted what it read.
    """

    retention: Retention = field(default_factory=Retention)
    """How long documents are kept."""

    def __post_init__(self) -> None:
        if not self.urls:
            raise ValueError("urls names no node of Elasticsearch")
        if (self.username is None) != (not self.password):
            raise ValueError("username and password go together; give password_file")
        if self.username is not None and self.api_key:
            raise ValueError("give either username and password or api_key")
        if not all("!" <= character <= "~" for character in self.api_key.reveal()):
            raise ValueError(
                "api_key must be one word of ASCII, as Elasticsearch gives it under `encoded`"
            )
        if self.timeout_s <= 0:
            raise ValueError(f"timeout_s is {self.timeout_s}, it must be above 0")
        for name in ("deadline_s", "replicas"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, it must not be negative")
        for url in self.urls:
            _check_url(url, bool(self.password or self.api_key))
        if self.index_prefix != self.index_prefix.lower() or not self.index_prefix[:1].isalnum():
            raise ValueError("index_prefix must be lower case and begin with a letter or digit")


def _check_url(url: str, with_credentials: bool) -> None:
    wrong = f"urls: {url!r} is no URL such as https://elasticsearch:9200"
    try:
        parts = urlsplit(url)
        # A port beyond range is found when it is asked for.
        port = parts.port
    except ValueError:
        raise ValueError(wrong) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(wrong)
    if parts.username or parts.password:
        raise ValueError("a URL must not hold credentials; give username and password_file")
    if (
        with_credentials
        and parts.scheme == "http"
        and parts.hostname not in ("127.0.0.1", "localhost", "::1")
    ):
        raise ValueError(f"{url} would carry the credentials in plain text; use https")
