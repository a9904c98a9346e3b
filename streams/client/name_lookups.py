"""Look-ups of host names that delay no other look-up.

A loop's own `getaddrinfo` runs in threads that the whole process shares: six of Python's default
executor on two cores, two of libuv's pool under uvloop. A name server that does not answer blocks
such a thread for ten to thirty seconds, regardless of the caller's timeout, and a few such names
block all of them.
"""

import asyncio
import socket
import threading
from concurrent.futures import Future

AddressInfo = tuple[
    socket.AddressFamily, int, int, str, tuple[str, int] | tuple[str, int, int, int]
]
"""As `socket.getaddrinfo` answers."""


class NameLookups:
    """Look-ups of one owner: at most one thread for each of its names, shared with no other owner.

    A caller that asks for a name that is being looked up already gets that answer too. The threads
    are daemons: a look-up without an answer does not hold up the end of the process either. Not for
    use from several threads.
    """

    def __init__(self) -> None:
        self._under_way: dict[tuple[str, int], Future[list[AddressInfo]]] = {}

    async def addresses(
        self, host: str, port: int, family: int = socket.AF_UNSPEC
    ) -> list[AddressInfo]:
        """Stream addresses of a name, in the system's order of preference. It has no timeout of its
        own: the caller sets one.

        Raises OSError when there is no such name.
        """
        key = (host, family)
        found = self._under_way.get(key)
        if found is None or found.done():
            found = self._under_way[key] = _begun(host, family)
        try:
            # A caller that is cancelled leaves the look-up, which cannot be cancelled, to the
            # others.
            answer = await asyncio.wrap_future(found)
        finally:
            if found.done() and self._under_way.get(key) is found:
                del self._under_way[key]
        return [(*info[:4], (info[4][0], port, *info[4][2:])) for info in answer]


def _begun(host: str, family: int) -> "Future[list[AddressInfo]]":
    found: Future[list[AddressInfo]] = Future()
    # Marked as running: otherwise a caller that is cancelled would cancel it for all callers.
    found.set_running_or_notify_cancel()

    def look_up() -> None:
        try:
            answer = socket.getaddrinfo(
                host, None, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
            )
        except (OSError, UnicodeError) as fault:
            # A label that is too long for IDNA is a UnicodeError.
            found.set_exception(
                fault
                if isinstance(fault, OSError)
                else socket.gaierror(socket.EAI_NONAME, str(fault))
            )
        else:
            found.set_result(answer)  # type: ignore[arg-type]  # the stub allows other address families

    threading.Thread(target=look_up, name=f"look-up {host}"[:60], daemon=True).start()
    return found
