"""What every Exchange adapter must keep: subclass it and override one fixture."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from velas import frames
from velas.errors import AuthError, ConfigError, TradingOff, UnknownSymbol, Unsupported
from velas.interval import INTERVALS, Interval
from velas.models import Candle, OrderRequest
from velas.protocols import Exchange, FormingCandles

__all__ = ["ExchangeContract"]


class ExchangeContract:
    """Tests of the `Exchange` protocol, for pytest with pytest-asyncio.

    A subclass overrides the fixture `exchange`: an open adapter to a venue, real or
    stand-in, that lists `symbol` and has at least three pages of its `interval` candles
    up to now without a hole. Tests of what the adapter's `capabilities` lack are skipped.
    One that trades is to have neither a key nor a trading mode: no order is ever placed.

        class TestMyVenue(ExchangeContract):
            @pytest.fixture
            async def exchange(self):
                async with MyVenue(url=...) as exchange:
                    yield exchange
    """

    symbol: ClassVar[str] = "BTC/USDT"
    interval: ClassVar[str] = "1h"
    pytestmark: ClassVar[object] = pytest.mark.asyncio

    @pytest.fixture
    def exchange(self) -> Exchange:
        """Give the adapter under test."""
        raise NotImplementedError("override the fixture `exchange`")

    # -- what is known without I/O ----------------------------------------------------

    async def test_adapter_as_built_keeps_the_protocol(self, exchange: Exchange) -> None:
        """Has name, capabilities and every method."""
        assert isinstance(exchange, Exchange)
        assert exchange.name
        assert set(exchange.capabilities.intervals) <= set(INTERVALS)
        assert exchange.capabilities.page_rows > 0

    async def test_aclose_twice_does_nothing_more(self, exchange: Exchange) -> None:
        """May be closed again."""
        await exchange.market(self.symbol)
        await exchange.aclose()
        await exchange.aclose()

    # -- markets ----------------------------------------------------------------------

    async def test_markets_are_listed_by_unified_symbol(self, exchange: Exchange) -> None:
        """Keys are the markets' own unified symbols."""
        markets = await exchange.markets()
        assert markets
        assert all(name == market.symbol for name, market in markets.items())

    async def test_markets_again_are_not_fetched(self, exchange: Exchange) -> None:
        """Cost one download."""
        first = await exchange.markets()
        spent = exchange.usage
        assert await exchange.markets() is first
        assert exchange.usage == spent

    async def test_markets_refreshed_are_fetched(self, exchange: Exchange) -> None:
        """Are downloaded again on `refresh`."""
        first = await exchange.markets()
        spent = exchange.usage
        assert set(await exchange.markets(refresh=True)) == set(first)
        assert exchange.usage.since(spent).requests >= 1

    async def test_market_in_any_spelling_is_the_same(self, exchange: Exchange) -> None:
        """Is found by unified name and by the venue's id."""
        market = await exchange.market(self.symbol)
        assert await exchange.market(market.symbol) == market
        assert await exchange.market(market.id) == market

    async def test_market_unknown_names_near_matches(self, exchange: Exchange) -> None:
        """Names what was perhaps meant."""
        market = await exchange.market(self.symbol)
        with pytest.raises(UnknownSymbol) as caught:
            await exchange.market(f"{self.symbol}X")
        assert market.symbol in caught.value.near

    async def test_market_with_a_path_is_unknown(self, exchange: Exchange) -> None:
        """Is never a file name in disguise."""
        with pytest.raises((UnknownSymbol, ConfigError)):
            await exchange.market("../BTCUSDT")

    # -- time -------------------------------------------------------------------------

    async def test_server_time_is_in_ms_and_kept(self, exchange: Exchange) -> None:
        """Is a measured offset, not a request a call."""
        now_ms = await exchange.server_time_ms()
        spent = exchange.usage
        assert isinstance(now_ms, int)
        assert 10**12 < now_ms < 10**13
        assert await exchange.server_time_ms() >= now_ms
        assert exchange.usage == spent

    # -- candles ----------------------------------------------------------------------

    async def test_candles_have_the_contract_shape(self, exchange: Exchange) -> None:
        """Have the eleven columns, their types, finite prices."""
        page = await exchange.fetch_candles(self.symbol, self.interval, limit=5)
        assert tuple(page.columns) == frames.COLUMNS
        assert frames.coerce(page) is not None
        assert len(page) == 5
        assert np.isfinite(page[["open", "high", "low", "close", "volume"]].to_numpy()).all()

    async def test_candles_newest_end_at_the_last_closed(self, exchange: Exchange) -> None:
        """Without bounds end at the last closed candle."""
        grid = Interval(self.interval)
        page = await exchange.fetch_candles(self.symbol, grid, limit=3)
        now_ms = await exchange.server_time_ms()
        last = _opens(page)[-1]
        assert grid.end_of(last) <= now_ms
        assert last >= grid.floor(now_ms) - 2 * grid.length_ms
        assert _opens(page) == [last - 2 * grid.length_ms, last - grid.length_ms, last]

    async def test_candles_bounds_are_half_open(self, exchange: Exchange) -> None:
        """Open in ``[start_ms, end_ms)``."""
        start_ms, step = await self._past(exchange, 10)
        page = await exchange.fetch_candles(
            self.symbol, self.interval, start_ms=start_ms, end_ms=start_ms + 4 * step
        )
        assert _opens(page) == [start_ms + i * step for i in range(4)]

    async def test_candles_between_two_opens_begin_at_the_next(self, exchange: Exchange) -> None:
        """Are chosen by open time, not by overlap."""
        start_ms, step = await self._past(exchange, 10)
        page = await exchange.fetch_candles(
            self.symbol, self.interval, start_ms=start_ms + 1, end_ms=start_ms + 2 * step + 1
        )
        assert _opens(page) == [start_ms + step, start_ms + 2 * step]

    async def test_candles_with_start_and_limit_are_the_oldest(self, exchange: Exchange) -> None:
        """Begin at `start_ms` when `limit` cuts them."""
        start_ms, step = await self._past(exchange, 10)
        page = await exchange.fetch_candles(self.symbol, self.interval, start_ms=start_ms, limit=3)
        assert _opens(page) == [start_ms + i * step for i in range(3)]

    async def test_candles_with_end_and_limit_are_the_newest(self, exchange: Exchange) -> None:
        """End at `end_ms` when `limit` cuts them."""
        end_ms, step = await self._past(exchange, 10)
        page = await exchange.fetch_candles(self.symbol, self.interval, end_ms=end_ms, limit=3)
        assert _opens(page) == [end_ms - i * step for i in (3, 2, 1)]

    async def test_candles_of_a_full_page_are_page_rows(self, exchange: Exchange) -> None:
        """Fill a page of `capabilities.page_rows`."""
        rows = exchange.capabilities.page_rows
        start_ms, _ = await self._past(exchange, min(rows + 5, self._reach(exchange)))
        page = await exchange.fetch_candles(self.symbol, self.interval, start_ms=start_ms)
        assert len(page) == min(rows, self._reach(exchange))
        assert _opens(page)[0] == start_ms
        assert frames.gaps(page["timestamp"].to_numpy(), self.interval) == []

    async def test_candles_of_the_future_are_none(self, exchange: Exchange) -> None:
        """Of the future are an empty frame."""
        now_ms = await exchange.server_time_ms()
        page = await exchange.fetch_candles(
            self.symbol, self.interval, start_ms=now_ms + 10**9, end_ms=now_ms + 2 * 10**9
        )
        assert page.empty
        assert tuple(page.columns) == frames.COLUMNS

    async def test_candles_of_an_empty_range_are_none(self, exchange: Exchange) -> None:
        """Of no range are an empty frame."""
        start_ms, _ = await self._past(exchange, 10)
        page = await exchange.fetch_candles(
            self.symbol, self.interval, start_ms=start_ms, end_ms=start_ms
        )
        assert page.empty

    async def test_candles_of_an_inverted_range_are_refused(self, exchange: Exchange) -> None:
        """Need `start_ms` before `end_ms`."""
        with pytest.raises(ConfigError, match="inverted"):
            await exchange.fetch_candles(self.symbol, self.interval, start_ms=2, end_ms=1)

    @pytest.mark.parametrize("limit", [0, -1, 10**9])
    async def test_candles_with_an_impossible_limit_are_refused(
        self, exchange: Exchange, limit: int
    ) -> None:
        """Need a `limit` the venue has."""
        with pytest.raises(ConfigError, match="limit"):
            await exchange.fetch_candles(self.symbol, self.interval, limit=limit)

    async def test_candles_of_an_unknown_interval_are_refused(self, exchange: Exchange) -> None:
        """Need an interval velas knows."""
        with pytest.raises(ConfigError, match="7m"):
            await exchange.fetch_candles(self.symbol, "7m")

    async def test_candles_of_an_interval_it_lacks_are_unsupported(
        self, exchange: Exchange
    ) -> None:
        """Need an interval the venue has."""
        lacking = [name for name in INTERVALS if name not in exchange.capabilities.intervals]
        if not lacking:
            pytest.skip("the venue has every interval")
        with pytest.raises(Unsupported, match=lacking[0]):
            await exchange.fetch_candles(self.symbol, lacking[0])

    async def test_candles_of_an_unknown_symbol_are_refused(self, exchange: Exchange) -> None:
        """Need a market the venue lists."""
        with pytest.raises(UnknownSymbol):
            await exchange.fetch_candles("NOSUCHCOIN", self.interval)

    async def test_candles_full_have_no_nulls(self, exchange: Exchange) -> None:
        """Have every column where the capabilities claim it."""
        if not exchange.capabilities.full_candles:
            pytest.skip("the venue does not publish every column")
        page = await exchange.fetch_candles(self.symbol, self.interval, limit=5)
        assert not page.isna().to_numpy().any()

    async def test_candles_at_the_same_time_are_not_mixed_up(self, exchange: Exchange) -> None:
        """Belong to the call that asked for them."""
        start_ms, step = await self._past(exchange, 60)
        starts = [start_ms + i * step for i in range(20)]
        pages = await asyncio.gather(
            *(
                exchange.fetch_candles(self.symbol, self.interval, start_ms=at, limit=2)
                for at in starts
            )
        )
        assert [_opens(page) for page in pages] == [[at, at + step] for at in starts]

    # -- the candle that is forming ----------------------------------------------------

    async def test_forming_candle_is_of_the_running_slot(self, exchange: Exchange) -> None:
        """Is the one that is not over, or there is none."""
        forming = await self._forming(exchange, self.symbol)
        grid = Interval(self.interval)
        now_ms = await exchange.server_time_ms()
        assert forming is not None, "the venue has had no trade in the running slot"
        assert forming.timestamp in (grid.floor(now_ms), grid.floor(now_ms) - grid.length_ms)
        assert forming.close_time >= forming.timestamp
        assert (forming.is_closed, forming.sequence, forming.source) == (False, 0, "rest")
        market = await exchange.market(self.symbol)
        assert (forming.symbol, forming.interval) == (market.symbol, self.interval)
        assert forming.low <= min(forming.open, forming.close)
        assert forming.high >= max(forming.open, forming.close)
        if exchange.capabilities.full_candles:
            assert forming.quote_volume is not None
            assert forming.trades is not None

    async def test_forming_candle_costs_one_request(self, exchange: Exchange) -> None:
        """Is one light request, once markets and clock are known."""
        await self._forming(exchange, self.symbol)
        spent = exchange.usage
        await self._forming(exchange, self.symbol)
        assert exchange.usage.since(spent).requests == 1
        assert exchange.usage.since(spent).weight <= exchange.capabilities.page_weight

    async def test_forming_candle_of_an_unknown_symbol_is_refused(self, exchange: Exchange) -> None:
        """Needs a market the venue lists."""
        with pytest.raises(UnknownSymbol):
            await self._forming(exchange, "NOSUCHCOIN")

    async def test_forming_candle_it_lacks_is_unsupported(self, exchange: Exchange) -> None:
        """Is refused where the capabilities lack it, if there is such a method at all."""
        if exchange.capabilities.forming_candles:
            pytest.skip("the venue gives candles before they are closed")
        if isinstance(exchange, FormingCandles):
            with pytest.raises(Unsupported):
                await exchange.fetch_forming_candle(self.symbol, self.interval)

    # -- paging -----------------------------------------------------------------------

    async def test_iter_candles_gives_the_range_once_in_order(self, exchange: Exchange) -> None:
        """Gives each candle once, in order, in pages with rows."""
        rows = min(2 * exchange.capabilities.page_rows + 7, self._reach(exchange))
        start_ms, step = await self._past(exchange, rows)
        end_ms = start_ms + (rows - 2) * step
        pages = [
            page
            async for page in exchange.iter_candles(
                self.symbol, self.interval, start_ms=start_ms, end_ms=end_ms
            )
        ]
        assert all(len(page) for page in pages)
        assert _opens(pd.concat(pages)) == list(range(start_ms, end_ms, step))

    async def test_iter_candles_of_an_empty_range_gives_no_page(self, exchange: Exchange) -> None:
        """Gives no page without rows."""
        now_ms = await exchange.server_time_ms()
        pages = exchange.iter_candles(
            self.symbol, self.interval, start_ms=now_ms + 10**9, end_ms=now_ms + 2 * 10**9
        )
        assert [page async for page in pages] == []

    async def test_iter_candles_left_early_can_be_closed(self, exchange: Exchange) -> None:
        """Can be left, and the adapter used on."""
        rows = min(3 * exchange.capabilities.page_rows, self._reach(exchange))
        start_ms, step = await self._past(exchange, rows)
        pages = exchange.iter_candles(
            self.symbol, self.interval, start_ms=start_ms, end_ms=start_ms + rows * step
        )
        assert len(await anext(pages))
        close = getattr(pages, "aclose", None)
        if close is not None:
            await close()
        assert (await exchange.fetch_candles(self.symbol, self.interval, limit=1)).shape[0] == 1

    async def test_iter_candles_of_an_inverted_range_is_refused(self, exchange: Exchange) -> None:
        """Needs `start_ms` before `end_ms`."""
        with pytest.raises(ConfigError, match="inverted"):
            await anext(exchange.iter_candles(self.symbol, self.interval, start_ms=2, end_ms=1))

    # -- trades, book, orders ---------------------------------------------------------

    async def test_trades_newest_are_ascending(self, exchange: Exchange) -> None:
        """Come oldest first, at most `limit`."""
        if not exchange.capabilities.trades:
            pytest.skip("the venue has no public trades")
        trades = await exchange.fetch_trades(self.symbol, limit=20)
        assert 1 <= len(trades) <= 20
        times = [trade.timestamp for trade in trades]
        assert times == sorted(times)
        assert all(trade.price > 0 and trade.quantity > 0 for trade in trades)

    async def test_trades_from_an_id_begin_with_it(self, exchange: Exchange) -> None:
        """Begin with the id asked for, each once."""
        if not exchange.capabilities.trades_by_id:
            pytest.skip("the venue does not look up trades by id")
        newest = await exchange.fetch_trades(self.symbol, limit=50)
        wanted = newest[0].id
        assert isinstance(wanted, int)
        found = await exchange.fetch_trades(self.symbol, from_id=wanted, limit=10)
        assert found[0].id == wanted
        ids = [int(trade.id) for trade in found]
        assert ids == sorted(set(ids))

    async def test_trades_it_lacks_are_unsupported(self, exchange: Exchange) -> None:
        """Are refused where the capabilities lack them."""
        if exchange.capabilities.trades:
            pytest.skip("the venue has public trades")
        with pytest.raises(Unsupported):
            await exchange.fetch_trades(self.symbol)

    async def test_book_ticker_is_not_crossed(self, exchange: Exchange) -> None:
        """Has a bid below the ask, or is refused."""
        if not exchange.capabilities.book_ticker:
            with pytest.raises(Unsupported):
                await exchange.fetch_book_ticker(self.symbol)
            return
        ticker = await exchange.fetch_book_ticker(self.symbol)
        assert 0 < ticker.bid < ticker.ask
        assert ticker.symbol == (await exchange.market(self.symbol)).symbol

    async def test_orders_it_lacks_are_unsupported(self, exchange: Exchange) -> None:
        """Are refused where the capabilities lack them."""
        if exchange.capabilities.orders:
            pytest.skip("the adapter trades")
        request = OrderRequest(self.symbol, "buy", "MARKET", quantity=1)
        for refused in (
            exchange.create_order(request),
            exchange.cancel_order(self.symbol, "1"),
            exchange.fetch_order(self.symbol, "1"),
            exchange.open_orders(),
            exchange.balances(),
            exchange.positions(),
            exchange.recover_orders(),
            exchange.fetch_intent("x"),
            exchange.declare_absent("x"),
            exchange.market_state(self.symbol),
        ):
            with pytest.raises(Unsupported):
                await refused

    async def test_orders_in_mode_off_do_not_leave(self, exchange: Exchange) -> None:
        """Are refused before anything is asked, and so is canceling."""
        self._trades(exchange)
        spent = exchange.usage
        request = OrderRequest(self.symbol, "buy", "MARKET", quantity=1)
        with pytest.raises(TradingOff, match="off"):
            await exchange.create_order(request)
        with pytest.raises(TradingOff, match="off"):
            await exchange.cancel_order(self.symbol, "1")
        with pytest.raises(TradingOff, match="off"):
            await exchange.cancel_order(self.symbol, client_id="1")
        assert exchange.usage == spent

    async def test_account_without_a_key_is_refused(self, exchange: Exchange) -> None:
        """Is not asked about without a key; `Unsupported` is for what it never has."""
        self._trades(exchange)
        await exchange.market(self.symbol)
        await exchange.server_time_ms()
        spent = exchange.usage
        for refused in (
            exchange.balances(),
            exchange.open_orders(),
            exchange.open_orders(self.symbol),
            exchange.fetch_order(self.symbol, "1"),
            exchange.fetch_order(self.symbol, client_id="1"),
        ):
            with pytest.raises(AuthError):
                await refused
        with pytest.raises((AuthError, Unsupported)):
            await exchange.positions()
        assert exchange.usage == spent

    async def test_market_state_has_the_prices_of_its_kind(self, exchange: Exchange) -> None:
        """Needs no key, and has at least one price that rules refer to."""
        self._trades(exchange)
        state = await exchange.market_state(self.symbol)
        prices = (state.reference_price, state.mark_price, state.best_bid, state.best_ask)
        assert any(price is not None and price > 0 for price in prices)

    async def test_order_validator_judges_by_the_market(self, exchange: Exchange) -> None:
        """Refuses an order of nothing; adapters without orders may lack it."""
        try:
            rules = await exchange.order_validator(self.symbol)
        except Unsupported:
            assert not exchange.capabilities.orders
            return
        assert not rules.check(OrderRequest(self.symbol, "buy", "LIMIT", quantity=0, price=0)).ok

    # -- helpers ----------------------------------------------------------------------

    def _trades(self, exchange: Exchange) -> None:
        if not exchange.capabilities.orders:
            pytest.skip("the adapter does not trade")

    async def _forming(self, exchange: Exchange, symbol: str) -> Candle | None:
        if not exchange.capabilities.forming_candles:
            pytest.skip("the venue gives no candle before it is closed")
        assert isinstance(exchange, FormingCandles)
        return await exchange.fetch_forming_candle(symbol, self.interval)

    async def _past(self, exchange: Exchange, rows: int) -> tuple[int, int]:
        """Return the open time of the `rows`-th candle before now, and the step."""
        grid = Interval(self.interval)
        now_ms = await exchange.server_time_ms()
        return grid.floor(now_ms) - rows * grid.length_ms, grid.length_ms

    def _reach(self, exchange: Exchange) -> int:
        # the newest row may be the one still open
        newest = exchange.capabilities.newest_rows
        return 10**9 if newest is None else newest - 1


def _opens(page: pd.DataFrame) -> list[int]:
    return [int(value) for value in page["timestamp"]]
