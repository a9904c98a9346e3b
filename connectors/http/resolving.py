"""Name look-ups of aiohttp's clients, without the threads that the process shares."""

import socket
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from streams.client.name_lookups import NameLookups


class OwnResolver(AbstractResolver):
    """Looks names up in threads of its own, one for each name, so that a name that is never
    answered holds up no other client.
    """

    def __init__(self) -> None:
        self._names: Final = NameLookups()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises OSError when there is no such name."""
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=found_family,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for found_family, _, proto, _, address in await self._names.addresses(
                host, port, family
            )
        ]

    async def close(self) -> None:
        """Nothing to close: a look-up that is under way ends unheard."""
