"""The one way to send HTTP requests: to a target whose address is checked first."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from yarl import URL

from connectors.http.addresses import Reach, refusal
from connectors.http.exchange import Answer, ForbiddenTarget, OutboundLimits

if TYPE_CHECKING:
    import aiohttp


_LIMITS: Final = OutboundLimits()


class OutboundTarget:
    """One URL for POST requests, with its own connections and name look-ups, so that a target that
    hangs holds up no other.

    https only; http for loopback where `allow_private`. `allow_private` also opens loopback and
    private addresses, never link-local, metadata or multicast ones. For each connection the name is
    resolved again, and the connection goes to an address that was checked. Redirects are not
    followed, proxies, cookies and credentials of the environment not used.

    Raises ForbiddenTarget when the URL itself is not allowed; the text says what to change.
    """

    def __init__(
        self, url: str, *, allow_private: bool = False, limits: OutboundLimits = _LIMITS
    ) -> None:
        self._url: Final = _checked(url, allow_private)
        self._limits: Final = limits
        if self._url.scheme == "http":
            self._reach = Reach.LOOPBACK
        else:
            self._reach = Reach.PRIVATE if allow_private else Reach.PUBLIC
        self._session: aiohttp.ClientSession | None = None
        if (why := _literal_refusal(self._url, self._reach)) is not None:
            raise ForbiddenTarget(f"{self._url.host}: {why}")

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Make one attempt. Raises NoAnswer when no status came, ForbiddenTarget when the name
        resolves to addresses that are not allowed.
        """
        # With the first attempt, not with the settings' check: aiohttp is slow to import.
        from connectors.http import sessions

        if self._session is None:
            # A session belongs to a running loop, so it is opened here, not by building the target.
            self._session = sessions.session(self._reach, self._limits)
        return await sessions.posted(
            self._session, self._url, body, headers, self._limits.answer_bytes
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _checked(url: str, allow_private: bool) -> URL:
    try:
        parsed = URL(url)
    except ValueError as error:
        raise ForbiddenTarget(f"not a URL: {error}") from error
    if not parsed.host:
        raise ForbiddenTarget("the URL has no host")
    if parsed.user or parsed.password:
        raise ForbiddenTarget(f"{parsed.host}: a URL must not hold a user or a password")
    if parsed.scheme != "https" and not (parsed.scheme == "http" and allow_private):
        raise ForbiddenTarget(
            f"{parsed.host}: the URL must begin with https:// (http:// is for loopback with"
            " allow_private)"
        )
    return parsed


def _literal_refusal(url: URL, reach: Reach) -> str | None:
    """aiohttp connects to a host that looks like an address without asking the resolver: it is
    vetted here.
    """
    host = url.host or ""
    looks_literal = ":" in host or host.rstrip(".").replace(".", "").isdigit()
    return refusal(host, reach) if looks_literal else None
