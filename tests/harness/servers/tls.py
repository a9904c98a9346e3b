"""A second listener for the test server: TLS with a certificate of its own making, and SCRAM
users.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._scram import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from tests.harness.servers.kafka import KafkaServer
from topology.supervision.ports import free_port

_KEYSTORE_PASSWORD = "only-for-tests"


@dataclass(frozen=True)
class SecuredKafka:
    """A server that asks for TLS and a user on `address`; `user` and `password` are let in."""

    address: str
    ca_file: str
    user: str
    password: str


@contextmanager
def secured_kafka() -> Iterator[SecuredKafka]:
    """Start a server with a SASL_SSL listener; it goes at the end, with its keys."""
    with tempfile.TemporaryDirectory(prefix="sentinel-tls-") as name:
        folder = Path(name)
        _make_certificate(folder)
        port = free_port()
        with KafkaServer(
            _listener(folder, port), extra_listeners=(f"SASL_SSL://127.0.0.1:{port}",)
        ) as server:
            _add_user(server.address, "sentinel", "right")
            yield SecuredKafka(f"127.0.0.1:{port}", str(folder / "ca.pem"), "sentinel", "right")


def _listener(folder: Path, port: int) -> dict[str, str]:
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    return {
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL"
        ),
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": scram,
        "ssl.keystore.location": str(folder / "broker.p12"),
        "ssl.keystore.type": "PKCS12",
        "ssl.keystore.password": _KEYSTORE_PASSWORD,
    }


def _make_certificate(folder: Path) -> None:
    store = [
        "-keystore",
        str(folder / "broker.p12"),
        "-storetype",
        "PKCS12",
        "-storepass",
        _KEYSTORE_PASSWORD,
    ]
    name = [
        "-alias",
        "broker",
        "-dname",
        "CN=127.0.0.1",
        "-ext",
        "SAN=ip:127.0.0.1",
        "-ext",
        "bc=ca:true",
    ]
    _run("keytool", "-genkeypair", *name, "-keyalg", "EC", "-validity", "2", *store)
    _run(
        "keytool",
        "-exportcert",
        "-rfc",
        "-alias",
        "broker",
        "-file",
        str(folder / "ca.pem"),
        *store,
    )


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _add_user(address: str, user: str, password: str) -> None:
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    admin = AdminClient({"bootstrap.servers": address})
    done = admin.alter_user_scram_credentials(
        [UserScramCredentialUpsertion(user, info, password.encode())]
    )
    done[user].result(timeout=10)
