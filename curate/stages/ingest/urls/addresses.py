"""Addresses of servers, and which of them belong to the public internet."""

import ipaddress
import socket

from curate.stages.ingest.urls.outcomes import LinkFailed

_UNICAST, _NAT64 = ipaddress.IPv6Network("2000::/3"), ipaddress.IPv6Network("64:ff9b::/96")


def check_public(host: str, port: int) -> list[str]:
    """Return the addresses of a host. Raises ``LinkFailed`` if any of its addresses is not public, or it has none."""
    try:
        address_infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise LinkFailed("unavailable", f"{host} has no address: {error}") from error
    addresses = list(dict.fromkeys(str(info[4][0]) for info in address_infos))
    for address in addresses:
        if not is_public(address):
            raise LinkFailed(
                "private_address",
                f"{host} {'is' if host == address else f'is at {address},'} an address of a private network or of this "
                "machine: if that is meant, `curate run --private-links` allows it",
            )
    return addresses


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet, also if it carries one of the older kind within."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo or (None, None))[1]
        inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF) if parsed in _NAT64 else inner
        if inner is not None:
            return is_public(str(inner))
        if parsed not in _UNICAST:  # such as fec0::1, which older networks use within
            return False
    return parsed.is_global and not parsed.is_multicast
