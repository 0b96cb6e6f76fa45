"""What all feeds over cryptofeed share: one supervisor per planned socket."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from velas.clock import SYSTEM_CLOCK, Clock
from velas.config import load_settings
from velas.errors import Unsupported
from velas.feed import FeedAdapter, Frame, wanted
from velas.models import Channel, Subscription
from velas.registry import open_exchange

if TYPE_CHECKING:  # cryptofeed takes long to import: not before a feed runs
    from velas.protocols import Exchange
    from velas_cryptofeed._session import Plan
    from velas_cryptofeed._supervisor import Wire

__all__ = ["SocketFeed"]

_HOUR_S = 3600.0


class SocketFeed(FeedAdapter):
    """A feed whose subclass plans the sockets; `url` replaces scheme, host and port.

    Without an `exchange` it opens one of its own by `name`, as the environment says
    (`REST_URL`, and `WS_URL` where no `url` is given), and closes it with itself.
    """

    def __init__(
        self,
        exchange: Exchange | None,
        *,
        name: str,
        url: str | None = None,
        rotate_after_h: float = 23.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._own: Exchange | None = None
        if exchange is None:
            settings = load_settings(exchange=name)
            self._own = exchange = open_exchange(settings, clock=_injected(clock))
            url = settings.ws.url if url is None else url
        super().__init__(exchange.name, exchange, clock=clock)
        self._url = url
        self._rotate_after_s = rotate_after_h * _HOUR_S
        self._wires: dict[Subscription, Wire] = {}

    @property
    @abstractmethod
    def intervals(self) -> tuple[str, ...]:
        """The candle intervals the venue streams."""

    @abstractmethod
    async def _plans(self, subscriptions: Sequence[Subscription]) -> list[Plan]:
        """Return the sockets that carry these subscriptions, by unified symbol."""

    def subscribe(
        self, channel: Channel, symbols: Sequence[str], *, intervals: Sequence[str] = ()
    ) -> None:
        """Ask for a channel of some symbols; `intervals` for candles only.

        Raises:
            ConfigError: the arguments make no subscription.
            Unsupported: the venue has no such channel or interval.
            FeedError: the feed runs already, or is closed.
        """
        if channel in self.channels:
            for one in wanted(channel, symbols, intervals, self.channels):
                if one.interval is not None and one.interval not in self.intervals:
                    raise Unsupported(
                        f"{self.name} has no live candles of {one.interval}; "
                        f"it has {', '.join(self.intervals)}"
                    )
        super().subscribe(channel, symbols, intervals=intervals)

    def rotate(self, subscription: Subscription, reason: str) -> None:
        """Open a new socket for what this one carries, then drop the old; returns at once.

        Ignored while one is on its way, and for 30 s after.
        """
        wire = self._wires.get(subscription)
        if wire is not None:
            wire.rotate(reason)

    async def aclose(self) -> None:
        """Close the sockets, and the exchange if it is the feed's own; may be called again."""
        await super().aclose()
        if self._own is not None:
            await self._own.aclose()

    async def play(self, frames: AsyncIterator[Frame]) -> None:
        """Parse recorded frames as if they arrived now, to the same callbacks."""
        from velas_cryptofeed._player import play

        plans = await self._plans(await self.subscriptions())
        await play(self, frames, {plan.name: plan for plan in plans})

    async def _drive(self, subscriptions: Sequence[Subscription]) -> None:
        from velas_cryptofeed._supervisor import Wire

        plans = await self._plans(subscriptions)
        wires = [Wire(plan, self, rotate_after_s=self._rotate_after_s) for plan in plans]
        self._wires = {one: wire for wire in wires for one in wire.plan.carries}
        async with asyncio.TaskGroup() as group:
            for wire in wires:
                group.create_task(wire.run())


def _injected(clock: Clock) -> Clock | None:
    # an exchange need not take one
    return None if clock is SYSTEM_CLOCK else clock
