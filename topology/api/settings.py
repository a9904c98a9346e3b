"""Where the API listens, and who may ask it."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from schemas.secrets import Secret


@dataclass(frozen=True, slots=True)
class TenantToken:
    """A token with which one tenant's documents are seen and its incidents silenced and acknowledged, and no other's."""

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
    """Address on which it listens. Another than loopback needs a token; put a proxy that speaks TLS before it."""

    port: int = 8088
    """Port; 0 takes a free one, which the command prints."""

    token: Secret = field(default_factory=lambda: Secret(""))
    """Bearer token of the operators, who see every tenant, 16 characters or more. Without one, whoever is on this machine may read on
    loopback, and nobody may silence or acknowledge."""

    tenant_tokens: tuple[TenantToken, ...] = ()
    """Bearer tokens of single tenants."""

    allowed_hosts: tuple[str, ...] = ()
    """Names under which browsers and clients reach the API besides localhost: a request with another `Host` or `Origin` is refused, so that no web
    page reaches it through a name of its own."""

    workers: tuple[str, ...] = ()
    """Where workers serve `/metrics`, such as `http://detect:8080`, for the page's view of the pipeline. Every address of a name is asked: one entry
    is enough for all replicas of a service. `sentinel standalone` fills it in."""

    live_clients: int = 1000
    """Most pages that are told of changes at once (WebSockets); the next one is refused with 503 and asks again later."""

    def __post_init__(self) -> None:
        for url in self.workers:
            if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
                raise ValueError(f"workers: {url!r} is no http:// address of a worker")
        if self.live_clients < 1:
            raise ValueError("live_clients must be 1 or more")
        if self.token:
            _check_length(self.token, "token")
        elif self.tenant_tokens or self.allowed_hosts:
            raise ValueError(
                "tenant_tokens and allowed_hosts are for others than this machine's users; give token_file too, "
                "or whoever gives no token is taken for an operator"
            )
        elif not is_loopback(self.host):
            raise ValueError(
                f"host {self.host} can be reached from other machines; give token_file, or listen on 127.0.0.1"
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address.

    >>> is_loopback("localhost"), is_loopback("127.0.0.1"), is_loopback("0.0.0.0"), is_loopback("sentinel.example")
    (True, True, False, False)
    """
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _check_length(token: Secret, name: str) -> None:
    if len(token.reveal()) < 16:
        raise ValueError(f"{name} is shorter than 16 characters; make one with: openssl rand -hex 32")
