"""Who may use which route: every route declares it, and `Gate.admit` enforces it for all."""

from enum import Enum, auto
from typing import Final

from aiohttp import web

from topology.api.access import ASKER, Credentials
from topology.api.commands import COMMANDS
from topology.api.problems import Handler, Problem


class Access(Enum):
    """Who may use a route."""

    PUBLIC = auto()
    """Everybody: nothing of any tenant is shown."""
    READ = auto()
    """Every token, and on loopback without tokens everybody: what a tenant's token shows is that
    tenant's.
    """
    OPERATORS = auto()
    """Operators: what is shown is of all tenants."""
    ACT = auto()
    """Every token, when the API can sign commands."""


ACCESS: Final = web.AppKey[dict[web.AbstractRoute, Access]]("access")
"""The permission of each route of the application."""


def serve_at(
    app: web.Application, access: Access, method: str, path: str, handler: Handler
) -> None:
    """Add a route with its permission. A route that is added otherwise is never served."""
    if ACCESS not in app:
        app[ACCESS] = {}
    app[ACCESS][app.router.add_route(method, path, handler)] = access


class Gate:
    """Checks every request before its handler runs."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def admit(self, request: web.Request) -> None:
        """Note who asks, as ASKER. Raises Problem when the route does not permit it, LookupError
        for a route without a permission.
        """
        self._credentials.check_names(request)
        if request.match_info.http_exception is not None:
            # Unknown routes of the API require a token too, so that strangers cannot explore it.
            if request.path.startswith("/api/"):
                request[ASKER] = self._credentials.asker(request)
            return
        # No default: a route that declares nothing must stay closed, not open.
        access = request.app[ACCESS][request.match_info.route]
        if access is Access.PUBLIC:
            return
        asker = request[ASKER] = self._credentials.asker(request)
        if access is Access.OPERATORS and asker.tenant is not None:
            raise Problem(403, "this is about all tenants; an operator's token is needed")
        if access is Access.ACT and (why := why_not_act(request)):
            raise Problem(403 if asker.has_token else 401, why)


def why_not_act(request: web.Request) -> str:
    """Why this request's token may change nothing; empty when it may."""
    if not request[ASKER].has_token:
        return "without a token one may only read; set api.token_file, and give its token"
    if not request.app[COMMANDS].key:
        return (
            "commands are signed, and the API has no key; set worker.control_key_file, the same for"
            " every worker"
        )
    return ""
