"""Where deliveries may go. A webhook must not become a way into somebody's network.

A name is resolved here, and the connection goes to an address that was judged; a name that
resolves to another address a moment later (DNS rebinding) changes nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address

from gateway.webhooks.settings import Reach

Address = IPv4Address | IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Where clouds tell machines their secrets; 169.254.169.254 is link-local anyway.
_METADATA = frozenset(
    ipaddress.ip_address(text) for text in ("100.100.100.200", "192.0.0.192", "fd00:ec2::254")
)
_RESOLVERS = 8


class TargetError(Exception):
    """There is no address that may be called."""


def allowed(address: Address, reach: Reach) -> bool:
    """Whether an address may be called. What it stands for counts, not how it is written."""
    real = _unwrapped(address)
    if (
        real.is_link_local
        or real.is_unspecified
        or real.is_multicast
        or (real.is_reserved and not real.is_loopback)
        or getattr(real, "is_site_local", False)
        or real in _METADATA
    ):
        return False
    return reach is Reach.ANY or real.is_global


def literal(host: str) -> Address | None:
    """The address that a host is, if it is one and not a name."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside of an IPv6 address that stands for one."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None) or address


class Resolver:
    """Finds the addresses of names. Slow name servers keep only these threads waiting."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._threads = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="resolve")

    async def addresses(self, host: str, port: int) -> Sequence[Address]:
        """The addresses of a host that may be called, in the system's order.

        Raises TargetError if there is none.
        """
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(
                self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            )
        except (OSError, UnicodeError) as error:
            raise TargetError("the name of the target is not known") from error
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        usable = [address for address in addresses if allowed(address, self._reach)]
        if not usable:
            raise TargetError("the target is at an address that must not be called")
        return usable

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)
