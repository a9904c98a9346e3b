"""Where the API listens, and who may ask it."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from schemas.secrets import Secret


@dataclass(frozen=True, slots=True)
class TenantToken:
    """A token with which one tenant's documents are seen and its incidents silenced and
    acknowledged, and no other's.
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
    """Address on which it listens. Another than loopback needs a token; put a proxy that speaks TLS
    before it.
    """

    port: int = 8088
    """Port; 0 takes a free one, which the command prints."""

    token: Secret = field(default_factory=lambda: Secret(""))
    """Bearer token of the operators, who see every tenant, 16 characters or more. Without one,
    whoever is on this machine may read on loopback, and nobody may silence or acknowledge.
    """

    tenant_tokens: tuple[TenantToken, ...] = ()
    """Bearer tokens of single tenants."""

    allowed_hosts: tuple[str, ...] = ()
    """Names under which browsers and clients reach the API besides localhost: a request with
    another `Host` or `Origin` is refused, so that no web page reaches it through a name of its own.
    """

    workers: tuple[str, ...] = ()
    """Where workers serve `/metrics`, such as `http://detect:8080`, for the page's view of the
    pipeline. Every address of a name is asked: one entry is enough for all replicas of a service.
    `sentinel standalone` fills it in.
    """

    live_clients: int = 1000
    """Most pages that are told of changes at once (WebSockets); the next one is refused with 503
    and asks again later.
    """

    live_clients_per_tenant: int = 200
    """Most pages opened with one tenant's token that are told of changes at once; the next one is
    refused with 429. Operators have no such bound besides `live_clients`.
    """

    connections: int = 1500
    """Most connections at once; the next one is refused with 429. More than `live_clients`, each of
    which holds one.
    """

    connections_per_address: int = 500
    """Most connections at once from one address (IPv6: from one network of 64 bits), so that one
    client cannot take all; the next one is refused with 429. 0 means no bound besides
    `connections`: set it behind a proxy, from whose address all connections come.
    """

    request_s: float = 10.0
    """Seconds for a request's head, from its first byte or a new connection, and as many for its
    body; then the connection is closed, or the request refused with 408.
    """

    answer_s: float = 60.0
    """Seconds in which a client must have taken an answer; then the connection is closed."""

    commands_waiting: int = 16
    """Commands (silences, acknowledgements, closing an incident) of one tenant's token, or of the
    operators', that may wait for Kafka at once; the next one is refused with 503. Kafka has 10 s to
    take one.
    """

    stale_after_s: float = 60.0
    """Seconds after which the page and `/api/v1/overview` no longer call something live: the newest
    data, a lane that has not moved, a broker that has not answered. In good order data are stored
    within `bucket_s` and `lateness_s` and a few seconds more. Where `lanes.tick_after_s` is not
    less than half of it, lanes that stand still count only while records wait for them.
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
                " token_file too, or whoever gives no token is taken for an operator"
            )
        elif not is_loopback(self.host):
            raise ValueError(
                f"host {self.host} can be reached from other machines; give token_file, or listen"
                " on 127.0.0.1"
            )

    def _check_owners(self) -> None:
        """Raises ValueError where one token would be two askers': the first that is found would see
        what is another's.
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
        # A port beyond range is found when it is asked for.
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
