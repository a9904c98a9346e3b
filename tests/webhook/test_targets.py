"""Where a program that posts to URLs may connect to, and where it must not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.http.addresses import Reach, refusal
from connectors.http.exchange import ForbiddenTarget
from connectors.http.outbound import OutboundTarget
from connectors.webhook.receiver import WebhookReceiver
from schemas.secrets import Secret
from tests.webhook.test_delivering import SECRET

NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "224.0.0.1",
    "ff02::1",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "255.255.255.255",
    "240.0.0.1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "64:ff9b:1::a00:1",
    "192.0.2.1",
    "198.18.0.1",
    "2001:db8::1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "no address",
    "",
]
PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "::1",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "fc00::1",
    "fd12:3456::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::c0a8:101",
    "2002:7f00:1::",
]
PUBLIC = [
    "93.184.216.34",
    "172.32.0.1",
    "2606:2800:220:1::1",
    "::ffff:93.184.216.34",
    "64:ff9b::5db8:d822",
    "8.8.8.8",
]


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_never_connected_to(address: str) -> None:
    """Metadata, link-local, multicast, reserved, documentation and unreadable ones, in any
    disguise, whatever the setting.
    """
    assert all(refusal(address, reach) for reach in Reach)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_need_the_setting(address: str) -> None:
    """Loopback and private networks, in any disguise."""
    assert refusal(address, Reach.PUBLIC)
    assert refusal(address, Reach.PRIVATE) is None


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_open(address: str) -> None:
    """But not to plain http."""
    assert refusal(address, Reach.PUBLIC) is None
    assert refusal(address, Reach.PRIVATE) is None
    assert refusal(address, Reach.LOOPBACK)


@settings(deadline=None)
@given(st.ip_addresses())
def test_every_address_has_a_verdict(address: object) -> None:
    """What is open to the public setting is open to the private one too."""
    if refusal(str(address), Reach.PUBLIC) is None:
        assert refusal(str(address), Reach.PRIVATE) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/x",
        "ftp://hooks.example/x",
        "https://user:password@hooks.example/x",
        "https:///x",
        "hooks.example",
        "",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://10.1.2.3/x",
        "https://169.254.169.254/latest",
        "https://2130706433/x",
        "https://127.1/x",
        "https://0177.0.0.1/x",
    ],
)
def test_url_that_is_not_allowed_is_refused_at_the_start(url: str) -> None:
    """Before anything is sent, in words without the URL's secrets."""
    with pytest.raises(ForbiddenTarget) as refused:
        OutboundTarget(url)
    assert "password@" not in str(refused.value)


def test_plain_http_is_for_loopback_alone() -> None:
    """Also with `allow_private`, a private address needs https."""
    OutboundTarget("http://127.0.0.1:8080/x", allow_private=True)
    OutboundTarget("https://10.1.2.3/x", allow_private=True)
    with pytest.raises(ForbiddenTarget):
        OutboundTarget("http://10.1.2.3/x", allow_private=True)
    with pytest.raises(ForbiddenTarget):
        OutboundTarget("https://169.254.169.254/x", allow_private=True)


@pytest.mark.parametrize("url", ["https://localhost:1/x", "https://0x7f.1:1/x"])
async def test_name_that_resolves_to_what_is_not_allowed_is_refused(url: str) -> None:
    """The addresses are vetted, not the name; the answer says that another attempt is pointless."""
    hook = WebhookReceiver(url, Secret(SECRET))
    answer = await hook.deliver("msg-1", b"{}", 0)
    await hook.close()
    assert answer.refused
    assert answer.fault is not None
    assert "loopback" in answer.fault
