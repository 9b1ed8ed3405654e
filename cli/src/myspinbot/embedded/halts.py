"""What services have found that only an operator can mend, as they say on `/ready`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping

from myspinbot.embedded.probe import waits_for

_EVERY_S = 2.0
_OPERATOR = "operator: "


async def halts(admin_ports: Mapping[str, int]) -> AsyncGenerator[tuple[str, str], None]:
    """(service, what is to be done) as it comes up, each once, without end."""
    told: dict[str, list[str]] = {}
    while True:
        for service, port in admin_ports.items():
            found = [what for what in await waits_for(port) if what.startswith(_OPERATOR)]
            for what in found:
                if what not in told.get(service, ()):
                    yield service, what.removeprefix(_OPERATOR)
            # What is gone and comes again is told again.
            told[service] = found
        await asyncio.sleep(_EVERY_S)
