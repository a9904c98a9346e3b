"""The policy of outgoing connections, on addresses alone: protection against server-side request
forgery. Names are resolved elsewhere.
"""

from enum import Enum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address


class Reach(Enum):
    """Which addresses a target may have."""

    PUBLIC = "public"
    """Addresses that anyone on the internet can reach."""

    PRIVATE = "private"
    """Public ones, loopback, and the ranges of private networks."""

    LOOPBACK = "loopback"
    """This machine alone: for plain http."""


# Never, under any setting: cloud metadata (of AWS by IPv6, Alibaba, Oracle, Azure), and what no
# server has.
_METADATA: Final = tuple(
    map(ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"))
)
_NO_SERVERS: Final = tuple(map(ip_network, ("0.0.0.0/8", "240.0.0.0/4", "::/128")))
_PRIVATE: Final = tuple(
    map(
        ip_network,
        (
            "127.0.0.0/8",
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
            "::1/128",
            "fc00::/7",
        ),
    )
)
_OWN: Final = (IPv6Address("::"), IPv6Address("::1"))
# IPv6 addresses that stand for an IPv4 one, and how many bits stand behind that in them: RFC 4291,
# 6052 and 3056.
_EMBEDDING: Final = (
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("::/96"), 0),
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("2002::/16"), 80),
)
# Teredo, and NAT64 of a network's own, where the IPv4 address may stand anywhere: RFC 4380 and
# 8215.
_TUNNELS: Final = (IPv6Network("2001::/32"), IPv6Network("64:ff9b:1::/48"))


def refusal(text: str, reach: Reach) -> str | None:
    """Why this address must not be connected to, in a few words; None when it may.

    Link-local, multicast, unspecified, reserved and metadata addresses are refused at any reach,
    and so is what cannot be read as an address. An IPv6 address that stands for an IPv4 one is
    judged as that one.

    >>> refusal("93.184.216.34", Reach.PUBLIC) is None, refusal("::ffff:127.0.0.1", Reach.PUBLIC)
    (True, '127.0.0.1 is a loopback address')
    >>> refusal("169.254.169.254", Reach.PRIVATE)
    '169.254.169.254 is a link-local address'
    """
    try:
        # A zone, as in `fe80::1%eth0`, names an interface and is no part of the address.
        address = _plain(ip_address(text.partition("%")[0]))
    except ValueError:
        return "not an address"
    kind = _forbidden_kind(address)
    if kind is None and reach is Reach.LOOPBACK:
        kind = None if address.is_loopback else "not a loopback"
    elif kind is None and not _is_public(address):
        is_private = any(address in network for network in _PRIVATE)
        if not is_private or reach is Reach.PUBLIC:
            kind = (
                "a loopback"
                if address.is_loopback
                else "a private"
                if is_private
                else "not a public"
            )
    return None if kind is None else f"{address} is {kind} address"


def _plain(address: Address) -> Address:
    # By value: from Python 3.13 on `is_loopback` also holds for addresses that stand for 127.0.0.1.
    if isinstance(address, IPv6Address) and address not in _OWN:
        for network, shift in _EMBEDDING:
            if address in network:
                return IPv4Address(int(address) >> shift & 0xFFFF_FFFF)
    return address


def _forbidden_kind(address: Address) -> str | None:
    if address in _METADATA:
        return "a cloud metadata"
    if address.is_link_local:
        return "a link-local"
    if address.is_multicast:
        return "a multicast"
    if any(address in network for network in _NO_SERVERS):
        return "not a server's"
    return "a tunnel" if any(address in network for network in _TUNNELS) else None


def _is_public(address: Address) -> bool:
    return address.is_global and not any(address in network for network in _PRIVATE)
