"""Reaching the broker: what both clients are given, what is refused, and what a person reads when
nobody answers.
"""

import asyncio
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from schemas.secrets import Secret
from streams.client.broker_safety import RefusedBroker
from streams.client.brokers import (
    CannotReachBroker,
    aiokafka_config,
    librdkafka_config,
    producer_config,
    reach,
    refuse_untrusted,
)
from streams.settings import Broker
from tests.harness.servers.tls import SecuredKafka, secured_kafka
from tests.harness.worker import PATIENCE_S
from topology.supervision.ports import free_port

USER = Broker(username="sentinel", password=Secret("geheim"), tls=True)


@pytest.mark.parametrize(
    ("broker", "says"),
    [
        (replace(USER, tls=False), "plain text"),
        (replace(USER, password=Secret("")), "broker.password"),
        (replace(USER, username=None), "broker.username"),
        (replace(USER, sasl_mechanism="GSSAPI"), "SCRAM-SHA-512"),
        (Broker(tls_ca_file="ca.pem"), "broker.tls is false"),
        (
            Broker(tls=True, tls_ca_file="/no/such.pem"),
            r"tls_ca_file: there is no file /no/such\.pem",
        ),
        (Broker(bootstrap_servers=" , "), "host:port"),
    ],
)
def test_unsafe_or_contradicting_settings_are_refused_for_both_clients(
    broker: Broker, says: str
) -> None:
    """No client is configured from settings that would send a password readable, or that mean
    nothing.
    """
    for config in (librdkafka_config, aiokafka_config):
        with pytest.raises(RefusedBroker, match=says) as refused:
            config(broker)
        assert "\n" not in str(refused.value)
        assert "geheim" not in str(refused.value)


def test_file_that_is_no_certificate_is_an_error_of_settings(tmp_path: Path) -> None:
    """A PEM file with something else in it is refused in one line by whichever client meets it
    first.
    """
    (tmp_path / "ca.pem").write_text("not a certificate")
    broker = Broker(tls=True, tls_ca_file=str(tmp_path / "ca.pem"))
    with pytest.raises(RefusedBroker, match="TLS files"):
        aiokafka_config(broker)
    with pytest.raises(RefusedBroker, match=r"ssl\.ca\.location"):
        reach(broker)


def test_producers_place_keys_by_murmur2_and_wait_for_the_broker() -> None:
    """State is found by key only if every producer partitions alike; an unacknowledged record is no
    record.
    """
    config = producer_config(Broker())
    assert config["partitioner"] == "murmur2_random"
    assert config["acks"] == "all"
    assert config["enable.idempotence"] is True


def test_unreachable_broker_is_one_line_in_time() -> None:
    """Nobody listens: within the connect timeout there is one line with the address and what to
    check.
    """
    address = f"127.0.0.1:{free_port()}"
    began = time.monotonic()
    with pytest.raises(CannotReachBroker, match=address) as why:
        reach(Broker(bootstrap_servers=address, connect_timeout_s=1.5))
    # Longer than a busy machine needs, and shorter than one request of a client by default.
    assert time.monotonic() - began < 60
    assert "\n" not in str(why.value)
    assert "broker.bootstrap_servers" in str(why.value)


@pytest.fixture(scope="module")
def secured(kafka_jars: None) -> Iterator[SecuredKafka]:
    """A real broker that asks for TLS and a user."""
    with secured_kafka() as server:
        yield server


def _broker(secured: SecuredKafka, password: str) -> Broker:
    return Broker(
        bootstrap_servers=secured.address,
        tls=True,
        tls_ca_file=secured.ca_file,
        username=secured.user,
        password=Secret(password),
    )


async def test_both_clients_get_in_with_tls_and_scram(secured: SecuredKafka) -> None:
    """What the two configurations say is enough for a real broker that demands TLS and SCRAM."""
    broker = _broker(secured, secured.password)
    _, cluster = reach(broker)
    assert cluster.brokers
    producer = AIOKafkaProducer(**aiokafka_config(broker))
    await producer.start()
    await producer.stop()
    # stop() leaves TLS connections half closed, for up to 30 s.
    for transport in list(asyncio.get_running_loop()._transports.values()):  # type: ignore[attr-defined]
        transport.abort()
    await asyncio.sleep(0)


def test_wrong_password_is_one_line_that_names_it(secured: SecuredKafka) -> None:
    """A refused password is told apart from a broker that is away, at once, without showing the
    password.
    """
    began = time.monotonic()
    with pytest.raises(
        CannotReachBroker, match=r"refused the user 'sentinel'.*broker\.password"
    ) as why:
        reach(replace(_broker(secured, "falsch"), connect_timeout_s=2 * PATIENCE_S))
    assert time.monotonic() - began < PATIENCE_S, "it should not wait for the connect timeout"
    assert "falsch" not in str(why.value)


def test_untrusted_certificate_is_one_line_that_names_tls(secured: SecuredKafka) -> None:
    """A broker whose certificate the system does not trust is not talked to, and the line says
    TLS.
    """
    with pytest.raises(CannotReachBroker, match=r"TLS") as why:
        reach(replace(_broker(secured, secured.password), tls_ca_file=None, connect_timeout_s=3.0))
    assert "\n" not in str(why.value)


def _pem(folder: Path, *, with_identifier: bool) -> tuple[Path, Path, Path]:
    """An authority, and a certificate of it for 127.0.0.1 with its key; without the authority's key
    identifier on request.
    """

    def run(*command: str) -> None:
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    usage = ("-addext", "keyUsage=critical,keyCertSign")
    run(
        "req",
        "-x509",
        *key,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-subj",
        "/CN=authority",
        *usage,
    )
    run("req", *key[:-2], "-keyout", "broker.key", "-out", "broker.csr", "-subj", "/CN=127.0.0.1")
    identifier = "keyid" if with_identifier else "none"
    (folder / "ext").write_text(
        f"subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier={identifier}\n"
    )
    signed = (
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-extfile",
        "ext",
        "-days",
        "2",
    )
    run("x509", "-req", "-in", "broker.csr", "-out", "broker.pem", *signed)
    return folder / "ca.pem", folder / "broker.pem", folder / "broker.key"


@contextmanager
def _shaking_hands(certificate: Path, key: Path) -> Iterator[int]:
    """A server that shakes hands and says no more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with suppress(OSError), context.wrap_socket(connection, server_side=True):
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@pytest.mark.parametrize(
    ("with_identifier", "trusted", "reason"),
    [
        (True, True, None),
        (False, True, "Missing Authority Key Identifier"),
        (True, False, "unable to get local issuer"),
    ],
)
def test_a_certificate_that_workers_refuse_is_refused_by_the_check(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    with_identifier: bool,
    trusted: bool,
    reason: str | None,
) -> None:
    """By Python's rules, which are strict from 3.13 on, also where librdkafka takes it; with TLS's
    own reason.
    """
    authority, certificate, key = _pem(tmp_path, with_identifier=with_identifier)
    stock = ssl.create_default_context

    def strict(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        context = stock(*args, **kwargs)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    with _shaking_hands(certificate, key) as port:
        broker = Broker(
            f"127.0.0.1:{port}", tls=True, tls_ca_file=str(authority) if trusted else None
        )
        if reason is None:
            refuse_untrusted(broker)
        else:
            with pytest.raises(CannotReachBroker, match=reason):
                refuse_untrusted(broker)


def test_a_broker_that_is_away_is_not_told_as_a_tls_fault() -> None:
    """Nobody listens there."""
    refuse_untrusted(Broker("127.0.0.1:9", tls=True))
