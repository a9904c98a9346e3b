"""Which settings of the broker are unsafe or contradict each other. No Kafka client is needed for
that.
"""

from pathlib import Path
from typing import Final

from schemas.errors import UserError
from schemas.redacting import redacted_address
from streams.settings import Broker

MECHANISMS: Final = frozenset({"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"})


class RefusedBroker(UserError, ValueError):
    """Broker settings that are unsafe or contradict each other; the text is one line that says what
    to change.
    """


def refuse_unsafe(broker: Broker) -> None:
    """Raise RefusedBroker where credentials would be readable on the network, or a setting would be
    without effect.
    """
    if broker.username is not None and not broker.tls:
        raise RefusedBroker(
            "broker.username is given without broker.tls: the password would cross the network in"
            " plain text; set broker.tls to true"
        )
    if broker.username is not None and not broker.password:
        raise RefusedBroker(
            "broker.username is given without broker.password; give broker.password_file"
        )
    if broker.username is None and broker.password:
        raise RefusedBroker("broker.password is given without broker.username")
    if broker.sasl_mechanism not in MECHANISMS:
        raise RefusedBroker(
            f"broker.sasl_mechanism is {broker.sasl_mechanism!r}; known are"
            f" {', '.join(sorted(MECHANISMS))}"
        )
    for name in ("tls_ca_file", "tls_certificate_file", "tls_key_file"):
        path = getattr(broker, name)
        if path is not None and not broker.tls:
            raise RefusedBroker(
                f"broker.{name} is given but broker.tls is false: nothing would be encrypted"
            )
        if path is not None and not Path(path).is_file():
            raise RefusedBroker(f"broker.{name}: there is no file {path}")
    if not bootstrap_servers(broker):
        raise RefusedBroker("broker.bootstrap_servers names no broker; give host:port")
    for server in bootstrap_servers(broker):
        if not _is_address(server):
            raise RefusedBroker(
                f"broker.bootstrap_servers: {redacted_address(server)!r} is no host:port, whose"
                " port is 1 to 65535"
            )


def _is_address(server: str) -> bool:
    """Whether it is `host:port`, perhaps behind `scheme://`; without a port it is the usual one."""
    address = server.rpartition("/")[2].rpartition("@")[2]
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        return bool(address)
    return (
        bool(host)
        and port.isascii()
        and port.isdigit()
        and len(port) <= 5
        and 1 <= int(port) <= 65_535
    )


def bootstrap_servers(broker: Broker) -> list[str]:
    """The brokers to start from, each `host:port`."""
    return [server.strip() for server in broker.bootstrap_servers.split(",") if server.strip()]
