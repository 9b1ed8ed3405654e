"""Waiting for the first of several things, with an end to patience."""

from __future__ import annotations

import asyncio


async def first_of(*events: asyncio.Event, within_s: float) -> bool:
    """Wait until one of the events is set; whether one was within so many seconds."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return any(event.is_set() for event in events)
