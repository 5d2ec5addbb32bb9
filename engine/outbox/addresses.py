"""Which addresses of the network a webhook may be at: only those that are everybody's.

Else whoever may write a workflow could ask what stands behind our firewall.
"""

import ipaddress
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

# What Python's own tables say of these differs from version to version.
_NOT_GLOBAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
    )
)
# All of IPv6 that is given out to be reached from everywhere.
_UNICAST = ipaddress.ip_network("2000::/3")
# An IPv4 address in the last 32 bits: written as IPv6, or behind a translator.
_MAPPED, _TRANSLATED = ipaddress.ip_network("::ffff:0:0/96"), ipaddress.ip_network("64:ff9b::/96")
# An IPv4 address behind the first 16 bits.
_SIX_TO_FOUR = ipaddress.ip_network("2002::/16")


def refused(text: str) -> bool:
    """Whether a webhook must not be at this address, as a name server tells it: it is not everybody's, or none."""
    try:
        address: Address = ipaddress.ip_address(text)
    except ValueError:
        return True
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return True
        number = int(address)
        if address in _MAPPED or address in _TRANSLATED:
            address = ipaddress.IPv4Address(number & 0xFFFFFFFF)
        elif address in _SIX_TO_FOUR:
            address = ipaddress.IPv4Address(number >> 80 & 0xFFFFFFFF)
        elif address not in _UNICAST:
            return True
    return any(address in network for network in _NOT_GLOBAL) or not address.is_global
