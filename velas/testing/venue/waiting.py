"""Waiting for a clock or for an event, whichever is first."""

from __future__ import annotations

import asyncio

from velas.clock import Clock

__all__ = ["sleep_unless"]


async def sleep_unless(event: asyncio.Event, clock: Clock, seconds: float) -> None:
    """Return after `seconds` of `clock`, or as soon as `event` is set."""
    sleeper = asyncio.ensure_future(clock.sleep(seconds))
    waiter = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait((sleeper, waiter), return_when=asyncio.FIRST_COMPLETED)
    finally:
        sleeper.cancel()
        waiter.cancel()
