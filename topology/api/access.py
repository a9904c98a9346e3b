"""Who asks, and whether a browser asks on behalf of another site's page."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from schemas.secrets import Secret
from topology.api.problems import Problem
from topology.api.settings import ApiSettings, is_loopback


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks."""

    tenant: str | None
    """The one tenant that may be seen; None for operators, who name the tenant that they mean."""
    has_token: bool
    """Whether a token says so. On loopback all may read without one; to change something takes one
    even there.
    """


ASKER: Final = web.RequestKey("asker", Asker)

PROTOCOL: Final = "sentinel"
"""WebSocket subprotocol. Browsers can give a WebSocket no header, so the token comes as a second
one, `bearer.TOKEN`.
"""
_BEARER: Final = "bearer."

_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Credentials:
    """The tokens that are valid, and the names under which the API is served."""

    def __init__(self, settings: ApiSettings) -> None:
        self._hosts = {*_LOCAL, *(name.lower() for name in settings.allowed_hosts)}
        if not is_loopback(settings.host):
            self._hosts.add(settings.host.lower())
        self._operators = settings.token
        self._tenants = [(one.tenant, one.token) for one in settings.tenant_tokens]
        self._open = not settings.token and is_loopback(settings.host)

    def check_names(self, request: web.Request) -> None:
        """Raises Problem for a Host that is not served, or a page of another site.

        This stops DNS rebinding and cross-site requests, which loopback alone does not.
        """
        if _hostname(f"//{request.headers.get('Host', '')}") not in self._hosts:
            raise Problem(403, "this Host is not served; api.allowed_hosts names those that are")
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_ours(origin, request.headers["Host"]):
            raise Problem(
                403,
                "requests of this Origin are refused; api.allowed_hosts names the allowed ones",
            )

    def _is_ours(self, origin: str, host: str) -> bool:
        """Whether the page came from here: another port of this machine may be anybody's. A proxy's
        name may have any port.
        """
        name = _hostname(origin)
        return name in self._hosts - _LOCAL or (
            name in self._hosts and urlsplit(origin).netloc.lower() == host.lower()
        )

    def asker(self, request: web.Request) -> Asker:
        """Who asks, by the token. Raises Problem without a valid one, where one is needed."""
        given = _token(request)
        if given is None and self._open:
            return Asker(None, has_token=False)
        if given and self._operators and _same(given, self._operators):
            return Asker(None, has_token=True)
        if given and (tenant := _owner(given, self._tenants)) is not None:
            return Asker(tenant, has_token=True)
        raise _refused(given)


def _refused(given: str | None) -> Problem:
    """The problem for a missing, malformed or wrong token."""
    realm = 'Bearer realm="sentinel"'
    if given is None:
        return Problem(
            401, "a bearer token is needed, and none was given", headers={"WWW-Authenticate": realm}
        )
    if not given:
        why = (
            "the Authorization header holds no bearer token; it must be: Authorization: Bearer"
            " TOKEN"
        )
        return Problem(401, why, headers={"WWW-Authenticate": realm})
    why = (
        "this token is wrong: it is neither the operators' (api.token) nor a tenant's"
        " (api.tenant_tokens)"
    )
    return Problem(401, why, headers={"WWW-Authenticate": f'{realm}, error="invalid_token"'})


def _token(request: web.Request) -> str | None:
    """The token that is given, empty for something that is none; None when nothing is given."""
    header = request.headers.get("Authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        return token if scheme.lower() == "bearer" else ""
    offered = [one.strip() for one in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    return next((one.removeprefix(_BEARER) for one in offered if one.startswith(_BEARER)), None)


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _same(token: str, secret: Secret) -> bool:
    # Headers may hold bytes that are no text.
    return hmac.compare_digest(token.encode(errors="surrogateescape"), secret.reveal().encode())


def _owner(token: str, tenants: Iterable[tuple[str, Secret]]) -> str | None:
    # All are compared, so that the time does not depend on which one matches.
    owners = [tenant for tenant, secret in tenants if _same(token, secret)]
    return owners[0] if owners else None
