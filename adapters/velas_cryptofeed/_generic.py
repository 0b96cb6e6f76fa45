"""Any other venue cryptofeed knows, as a velas feed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from velas.clock import SYSTEM_CLOCK, Clock
from velas.errors import Unsupported
from velas.models import Subscription
from velas_cryptofeed._base import SocketFeed
from velas_cryptofeed._venues import find, known

if TYPE_CHECKING:  # cryptofeed takes long to import: not before a feed is made
    from velas.protocols import Exchange
    from velas.settings import Settings
    from velas_cryptofeed._session import Plan

__all__ = ["CryptofeedFeed", "Factory", "catalog"]


class CryptofeedFeed(SocketFeed):
    """Live candles, trades and best prices of a venue by its ccxt name, as far as it has them.

    `book_ticker` has prices only: cryptofeed drops the quantities, so they are NaN. Candle
    columns other than OHLCV are None. Trades are those the venue publishes, not aggregated.
    """

    def __init__(
        self,
        venue: str,
        exchange: Exchange | None = None,
        *,
        url: str | None = None,
        rotate_after_h: float = 23.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Make a feed; `url` replaces scheme, host and port of the venue's addresses.

        Without an `exchange` it has one of its own, of the same name.

        Raises:
            Unsupported: the installed cryptofeed has no such venue.
        """
        from velas_cryptofeed._foreign import offered

        self._venue = find(venue)
        super().__init__(exchange, name=venue, url=url, rotate_after_h=rotate_after_h, clock=clock)
        self.tells_closes = self._venue.tells_closes
        self.channels, self._intervals = offered(self._venue)

    @property
    def intervals(self) -> tuple[str, ...]:
        """The candle intervals the venue streams, in velas' spelling."""
        return tuple(self._intervals)

    async def _plans(self, subscriptions: Sequence[Subscription]) -> list[Plan]:
        from velas_cryptofeed._foreign import plans

        markets = {one.symbol: await self.exchange.market(one.symbol) for one in subscriptions}
        for market in markets.values():
            if market.type not in self._venue.types:
                raise Unsupported(
                    f"{self.name}: the feed has no {market.type} markets such as "
                    f"{market.symbol}; it has {', '.join(self._venue.types)}"
                )
        return plans(self, self._venue, markets, subscriptions, self._intervals, self._url)


@attrs.frozen
class Factory:
    """Makes the feed of one venue from settings."""

    venue: str

    def from_settings(
        self, settings: Settings, *, exchange: Exchange, clock: Clock = SYSTEM_CLOCK
    ) -> CryptofeedFeed:
        """Return the feed these settings describe, not yet connected."""
        return CryptofeedFeed(
            self.venue,
            exchange,
            url=settings.ws.url,
            rotate_after_h=settings.stream.rotate_after_h,
            clock=clock,
        )


def catalog() -> Mapping[str, Factory]:
    """Return a factory for every venue the installed cryptofeed serves, by ccxt's name."""
    return {name: Factory(name) for name in sorted(known())}
