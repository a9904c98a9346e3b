"""Passwords and keys do not show themselves, wherever settings are printed."""

import logging
import traceback
from dataclasses import asdict, replace
from pprint import pformat

import pytest

from schemas.secrets import Secret
from streams.client.broker_safety import RefusedBroker
from streams.client.brokers import aiokafka_config, librdkafka_config
from streams.control.settings_log import SettingsLog
from streams.settings import Broker

HIDDEN = "correct horse battery staple"
BROKER = Broker(username="ann", password=Secret(HIDDEN), tls=True)


def test_settings_with_a_secret_never_show_it(caplog: pytest.LogCaptureFixture) -> None:
    """Printed, formatted, logged, nested, changed, as a dict, or in a traceback with locals."""
    logging.getLogger("test").warning("%s %r", BROKER, BROKER.password)
    try:
        raise ValueError(BROKER)
    except ValueError as error:
        told = "".join(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )
    shown = [
        repr(BROKER),
        f"{BROKER.password}{BROKER.password!r}{BROKER.password!s:>20}",
        str([BROKER, {"password": BROKER.password}]),
        pformat(asdict(BROKER)),
        repr(replace(BROKER, tls=False)),
        repr(SettingsLog({}, "settings", BROKER.password, {})),
        caplog.text,
        told,
    ]
    assert not any(HIDDEN in text for text in shown)
    assert "***" in shown[0]


def test_a_refusal_does_not_show_it() -> None:
    """The line names the setting."""
    with pytest.raises(RefusedBroker) as refused:
        librdkafka_config(replace(BROKER, tls=False))
    assert HIDDEN not in str(refused.value)
    assert "broker.tls" in str(refused.value)


def test_the_clients_get_it() -> None:
    """It is revealed in the one place that needs it."""
    assert librdkafka_config(BROKER)["sasl.password"] == HIDDEN
    assert aiokafka_config(BROKER)["sasl_plain_password"] == HIDDEN
