"""Free loopback ports."""

from __future__ import annotations

import random

from myspinbot.embedded.ports import GRPC_OFFSET, is_free

# Below the range from which Linux takes the ports of outgoing connections (32768 and up), so
# that a port stays free while its server is killed and started again, and apart from those of
# embedded stacks. At random, as several runs of tests may share a machine.
_CANDIDATES = random.SystemRandom().sample(range(12_700, 20_000), 7_300)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, nor at SeaweedFS's distance above; never given before."""
    found: list[int] = []
    while len(found) < count:
        port = _CANDIDATES.pop()
        if is_free(port) and is_free(port + GRPC_OFFSET):
            found.append(port)
    return found
