"""A tour: download, verify, read, judge an order, stream.

python examples/tour.py             # on a stand-in venue: no network, no account
python examples/tour.py my.yaml     # on the venue of your settings
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path

import velas
from velas import frames
from velas.history import Wanted, make_plan, run_plan
from velas.status import Status
from velas.testing import ScaledClock, StandInVenue

SYMBOL = "BTC/USDT"
HOUR, MINUTE = velas.Interval("1h"), velas.Interval("1m")
HOURS, LIVE = 7 * 24, 3
JUDGED = {True: "pass", False: "FAIL", None: "not judged"}


async def download(settings: velas.Settings, exchange: velas.Exchange, store: velas.Store) -> None:
    """Fetch the last week of hourly candles, and look whether it is whole."""
    end_ms = HOUR.floor(await exchange.server_time_ms())
    wanted = Wanted([SYMBOL], [HOUR], start_ms=end_ms - HOURS * HOUR.length_ms, end_ms=end_ms)
    with velas.open_ledger(settings) as ledger:
        plan = await make_plan(exchange, store, ledger, wanted)
        report = await run_plan(exchange, store, ledger, plan)
    (series,) = report.series
    print(f"downloaded {series.rows_added} candles; gaps: {series.gaps or 'none'}")
    frame = store.load(SYMBOL, HOUR)
    print(f"checked {len(frame)} rows; findings: {frames.check(frame, HOUR) or 'none'}")
    print(frame[["timestamp", "open", "high", "low", "close", "volume"]].tail(3).to_string())


async def judge(exchange: velas.Exchange) -> None:
    """Judge an order that breaks rules, and find the nearest legal one; nothing is placed."""
    rules = velas.OrderValidator.from_market(await exchange.market(SYMBOL))
    bid = (await exchange.fetch_book_ticker(SYMBOL)).bid
    asked = velas.OrderRequest(SYMBOL, "buy", "limit", "0.012345678", bid - Decimal("0.00123"))
    for rule in rules.explain(asked, reference=bid):
        print(f"{JUDGED[rule.ok]:10} {rule.filter}: {rule.field} {rule.value}: {rule.rule}")
    legal = rules.normalize(asked, reference=bid)
    print(f"asked {asked.quantity} at {asked.price}; legal {legal.quantity} at {legal.price}")


async def stream(
    settings: velas.Settings,
    exchange: velas.Exchange,
    store: velas.Store,
    clock: ScaledClock | None,
) -> None:
    """Show a few closed candles; each is on disk before it is here."""
    async with velas.open_stream(settings, exchange, store, clock=clock) as live:
        live.subscribe("candles", [SYMBOL], intervals=[MINUTE.name])
        async for event in live.events():
            if isinstance(event, velas.Candle) and event.is_closed:
                print(f"live #{event.sequence}: {event.symbol} closed at {event.close}")
                if event.sequence == LIVE:
                    return
            elif isinstance(event, Status):
                print(event)


async def main() -> None:
    """Take the tour, on the stand-in unless settings are given."""
    async with AsyncExitStack() as stack:
        clock = None
        if sys.argv[1:]:
            settings = velas.load_settings(sys.argv[1])
        else:
            clock = ScaledClock(60)  # a minute is a second
            venue = await stack.enter_async_context(StandInVenue("spot", clock=clock))
            settings = velas.load_settings(
                exchange="binance_spot",
                data_dir=Path(stack.enter_context(tempfile.TemporaryDirectory())),
                rest={"url": venue.rest_url},
                ws={"url": venue.ws_url},
            )
        exchange = await stack.enter_async_context(velas.open_exchange(settings, clock=clock))
        store = velas.open_store(settings)
        await download(settings, exchange, store)
        await judge(exchange)
        await stream(settings, exchange, store, clock)


if __name__ == "__main__":
    asyncio.run(main())
