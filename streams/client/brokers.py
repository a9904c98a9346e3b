"""From the broker's settings to the configuration of both Kafka clients, and a first contact that
says what is wrong.

Credentials never travel in plain text: settings that would do so are refused before a connection is
tried.
"""

import contextlib
import socket
import ssl
import time
from typing import Final, TypedDict, cast

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import ClusterMetadata

from schemas.errors import UserError
from streams.client.broker_safety import RefusedBroker, bootstrap_servers, refuse_unsafe
from streams.exit_status import FAULTS_THAT_PASS
from streams.settings import Broker

EMBEDDED_LINGER_MS: Final = 50
"""The embedded broker answers a fetch with one record batch per partition, so batches have to be
few and large.
"""

LINGER_MS: Final = 5


_SLICE_S: Final = 2.0
_FINAL: Final = (KafkaError._AUTHENTICATION, KafkaError._SSL)
"""Faults for which a retry cannot help."""


class CannotReachBroker(UserError):
    """No broker answered in time, or it refused the connection; the text, one line, says which."""


class AiokafkaConfig(TypedDict):
    """Keyword arguments of aiokafka's clients."""

    bootstrap_servers: list[str]
    security_protocol: str
    ssl_context: ssl.SSLContext | None
    sasl_mechanism: str
    sasl_plain_username: str | None
    sasl_plain_password: str | None
    request_timeout_ms: int


def librdkafka_config(broker: Broker) -> dict[str, str | int | float | bool]:
    """What every librdkafka client (admin, producer, consumer) needs to reach the broker. Raises
    RefusedBroker.
    """
    refuse_unsafe(broker)
    config: dict[str, str | int | float | bool] = {
        "bootstrap.servers": ",".join(bootstrap_servers(broker)),
        "security.protocol": _protocol(broker),
        "socket.timeout.ms": int(broker.request_timeout_s * 1000),
    }
    if broker.tls_ca_file is not None:
        config["ssl.ca.location"] = broker.tls_ca_file
    if broker.tls_certificate_file is not None:
        config["ssl.certificate.location"] = broker.tls_certificate_file
        config["ssl.key.location"] = broker.tls_key_file or broker.tls_certificate_file
    if broker.username is not None:
        config["sasl.mechanism"] = broker.sasl_mechanism
        config["sasl.username"] = broker.username
        config["sasl.password"] = broker.password.reveal()
    return config


def producer_config(broker: Broker) -> dict[str, str | int | float | bool]:
    """`librdkafka_config` for a producer outside Faust: durable, in order, and with murmur2, so
    that a key goes to the same partition as from Sentinel's other clients.
    """
    return {
        **librdkafka_config(broker),
        "partitioner": "murmur2_random",
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": "lz4",
        "linger.ms": EMBEDDED_LINGER_MS if broker.embedded else LINGER_MS,
    }


def aiokafka_config(broker: Broker) -> AiokafkaConfig:
    """What every aiokafka client needs to reach the broker. Raises RefusedBroker, also for an
    unreadable PEM file.
    """
    refuse_unsafe(broker)
    return {
        "bootstrap_servers": bootstrap_servers(broker),
        "security_protocol": _protocol(broker),
        "ssl_context": _ssl_context(broker) if broker.tls else None,
        "sasl_mechanism": broker.sasl_mechanism if broker.username is not None else "PLAIN",
        "sasl_plain_username": broker.username,
        "sasl_plain_password": broker.password.reveal() if broker.username is not None else None,
        "request_timeout_ms": int(broker.request_timeout_s * 1000),
    }


def reach(broker: Broker) -> tuple[AdminClient, ClusterMetadata]:
    """An admin client that has just spoken to the cluster, and what the cluster said of itself.

    Raises:
        RefusedBroker: unsafe settings.
        CannotReachBroker: nothing answered within `connect_timeout_s`, or the cluster refused the
        credentials.
    """
    faults: list[KafkaError] = []
    # The client's own type hint leaves out callbacks.
    error_callback = cast("str", faults.append)
    try:
        admin = AdminClient(
            {**librdkafka_config(broker), "log_level": 0, "error_cb": error_callback}
        )
    except KafkaException as fault:
        raise RefusedBroker(f"broker settings: {fault.args[0].str()}") from fault
    if broker.tls:
        refuse_untrusted(broker)
    deadline = time.monotonic() + broker.connect_timeout_s
    while True:
        try:
            return admin, admin.list_topics(
                timeout=max(0.1, min(_SLICE_S, deadline - time.monotonic()))
            )
        except KafkaException as fault:
            with contextlib.suppress(KafkaException):
                admin.poll(0)
            hopeless = any(fault.code() in _FINAL for fault in faults)
            if hopeless or time.monotonic() > deadline:
                raise CannotReachBroker(_why(broker, faults or [fault.args[0]])) from fault


def refuse_untrusted(broker: Broker) -> None:
    """Shakes hands with the brokers to start from by the rules of the client that workers use:
    Python's TLS, whose rules are stricter than librdkafka's from Python 3.13 on. aiokafka reports
    a refused certificate only as a broker that does not answer.

    Raises:
        CannotReachBroker: the TLS reason. A broker that does not answer at all raises nothing here.
    """
    context = _ssl_context(broker)
    for server in bootstrap_servers(broker):
        host, _, port = server.rpartition(":")
        try:
            with (
                socket.create_connection(
                    (host.strip("[]"), int(port)), timeout=_SLICE_S
                ) as connection,
                context.wrap_socket(connection, server_hostname=host.strip("[]")),
            ):
                pass
        except ssl.SSLEOFError:
            # The broker closed the connection during the handshake.
            continue
        except ssl.SSLError as fault:
            reason = getattr(fault, "verify_message", "") or fault.reason or str(fault)
            raise CannotReachBroker(f"no TLS connection to {server}: {reason}") from fault
        except (OSError, ValueError):
            continue


def fault_text(broker: Broker, fault: KafkaError) -> str:
    """Text of a fault that occurred after a cluster was reached; the cluster may be away again."""
    return _why(broker, [fault]) if fault.code() in FAULTS_THAT_PASS else fault.str()


def _why(broker: Broker, faults: list[KafkaError]) -> str:
    for fault in faults:
        if fault.code() == KafkaError._AUTHENTICATION:
            return (
                f"{broker.bootstrap_servers} refused the user {broker.username!r}: check"
                " broker.password"
            )
        if fault.code() == KafkaError._SSL:
            return f"no TLS connection to {broker.bootstrap_servers}: {_first_line(fault)}"
    return (
        f"no Kafka broker answers at {broker.bootstrap_servers} within {broker.connect_timeout_s:g}"
        f" s; check broker.bootstrap_servers ({_first_line(faults[0])})"
    )


def _first_line(fault: KafkaError) -> str:
    return fault.str().splitlines()[0]


def _protocol(broker: Broker) -> str:
    if broker.username is not None:
        return "SASL_SSL"
    return "SSL" if broker.tls else "PLAINTEXT"


def _ssl_context(broker: Broker) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=broker.tls_ca_file)
        if broker.tls_certificate_file is not None:
            context.load_cert_chain(broker.tls_certificate_file, broker.tls_key_file)
    except (OSError, ssl.SSLError) as fault:
        raise RefusedBroker(f"the TLS files of the broker cannot be read: {fault}") from fault
    return context
