"""Free ports for servers whose address must be known before they start."""

import random
import socket
from pathlib import Path
from typing import Final

_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_DEFAULT: Final = 32_768
"""First port of outgoing connections where the system does not say; others begin later."""
_LOWEST: Final = 15_000
_TRIES: Final = 1_000


def free_port() -> int:
    """A free TCP port of the loopback address.

    It is below the range of outgoing connections: one of those could otherwise occupy it before the
    server listens, for as long as the connection lives. Raises OSError when none is free.
    """
    for _ in range(_TRIES):
        port = random.randrange(_LOWEST, max(_outgoing_from(), _LOWEST + 1))
        with socket.socket() as listener:
            # As servers do: a port whose last connections are being forgotten is free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port from {_LOWEST} to {_outgoing_from()}")


def _outgoing_from() -> int:
    try:
        return int(_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _DEFAULT
