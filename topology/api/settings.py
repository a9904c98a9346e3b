"""Where the API listens, and who may use it."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from schemas.secrets import Secret


@dataclass(frozen=True, slots=True)
class TenantToken:
    """A token that gives access to one tenant: to read its documents, and to silence and
    acknowledge its incidents.
    """

    tenant: str
    """The tenant."""

    token: Secret
    """The token, 16 characters or more; give token_file."""

    def __post_init__(self) -> None:
        _check_length(self.token, "token")


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """The JSON API over the store, and the page."""

    host: str = "127.0.0.1"
    """Address on which it listens. Any other than loopback needs a token; put a TLS proxy before
    it.
    """

    port: int = 8088
    """Port; 0 chooses a free one, which the command prints."""

    token: Secret = field(default_factory=lambda: Secret(""))
    """Bearer token of the operators, who see all tenants, 16 characters or more. Without one, every
    user of this machine may read on loopback, and nobody may silence or acknowledge.
    """

    tenant_tokens: tuple[TenantToken, ...] = ()
    """Bearer tokens of single tenants."""

    allowed_hosts: tuple[str, ...] = ()
    """Names under which browsers and clients reach the API besides localhost: a request with
    another `Host` or `Origin` is rejected, so that no web page reaches it through a name of its
    own.
    """

    workers: tuple[str, ...] = ()
    """Where workers serve `/metrics`, such as `http://detect:8080`, for the page's view of the
    pipeline. All addresses of a name are used: one entry is enough for all replicas of a service.
    `sentinel standalone` sets it.
    """

    live_clients: int = 1000
    """Maximum number of open pages that follow changes (WebSockets); the next one is rejected with
    503 and retries later.
    """

    live_clients_per_tenant: int = 200
    """Maximum number of open pages that follow changes with one tenant's token; the next one is
    rejected with 429. For operators only `live_clients` applies.
    """

    connections: int = 1500
    """Maximum number of connections; the next one is rejected with 429. More than `live_clients`,
    each of which holds one.
    """

    connections_per_address: int = 500
    """Maximum number of connections from one address (IPv6: from one /64 network), so that one
    client cannot use all; the next one is rejected with 429. 0 means that only `connections`
    applies: set it behind a proxy, from whose address all connections come.
    """

    request_s: float = 10.0
    """Seconds for a request's head, from its first byte or a new connection, and the same for its
    body; then the connection is closed, or the request rejected with 408.
    """

    answer_s: float = 60.0
    """Seconds in which a client must have received a response; then the connection is closed."""

    commands_waiting: int = 16
    """Commands (silences, acknowledgements, closing an incident) of one tenant's token, or of the
    operators', that may wait for Kafka at once; the next one is rejected with 503. Kafka has 10 s
    to accept one.
    """

    stale_after_s: float = 60.0
    """Seconds after which the page and `/api/v1/overview` no longer call something live: the newest
    data, a lane that has not moved, a broker that has not answered. Normally data are stored within
    `bucket_s` and `lateness_s` and a few seconds more. If `lanes.tick_after_s` is not less than
    half of it, lanes that do not move count only while records wait for them.
    """

    def __post_init__(self) -> None:
        for url in self.workers:
            if not _is_address(url):
                raise ValueError(f"workers: {url!r} is no http:// address of a worker")
        for name in ("live_clients", "live_clients_per_tenant", "commands_waiting"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more")
        for name in ("stale_after_s", "request_s", "answer_s"):
            if not 0 < getattr(self, name) <= 86_400:
                raise ValueError(f"{name} must be above 0 and at most 86,400 seconds")
        if self.connections_per_address < 0:
            raise ValueError("connections_per_address must be 0 (no bound) or more")
        if self.connections <= self.live_clients:
            raise ValueError(
                f"connections must be more than live_clients ({self.live_clients}), each of which"
                " holds one"
            )
        if self.token:
            _check_length(self.token, "token")
            self._check_owners()
        elif self.tenant_tokens or self.allowed_hosts:
            raise ValueError(
                "tenant_tokens and allowed_hosts are for others than this machine's users; give"
                " token_file too, or requests without a token count as an operator's"
            )
        elif not is_loopback(self.host):
            raise ValueError(
                f"host {self.host} can be reached from other machines; give token_file, or listen"
                " on 127.0.0.1"
            )

    def _check_owners(self) -> None:
        """Raises ValueError if two owners have the same token: one of them would see the data of
        the other.
        """
        owners: dict[str, str] = {}
        for one in self.tenant_tokens:
            if one.token == self.token:
                raise ValueError(
                    f"tenant_tokens: the token of tenant {one.tenant!r} is the operators' token, so"
                    " the tenant would see every tenant; give it one of its own"
                )
            if (other := owners.setdefault(one.token.reveal(), one.tenant)) != one.tenant:
                raise ValueError(
                    f"tenant_tokens: the tenants {other!r} and {one.tenant!r} have the same token;"
                    " give each its own"
                )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # Reading the port raises ValueError if it is out of range.
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address.

    >>> is_loopback("localhost"), is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _check_length(token: Secret, name: str) -> None:
    if len(token.reveal()) < 16:
        raise ValueError(
            f"{name} is shorter than 16 characters; make one with: openssl rand -hex 32"
        )
    if not token.reveal().isprintable():
        raise ValueError(
            f"{name} holds a line break or the like, which no request can have; it must be one line"
        )
