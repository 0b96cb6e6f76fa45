"""When an order fills and at what price, by the venue's clock."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from signed import START, Trading, limit, market, trading

from velas.testing import Account, GeneratedCandles, Instrument, ManualClock
from velas.testing.venue.pricing import Prices
from velas.testing.venue.quotes import Quotes

MARKETS = pytest.mark.parametrize("venue", ["spot", "futures"])
MINUTE = 60_000


def path(client: Trading, minutes: int) -> list[Decimal]:
    """The price each second from now on, in exact numbers."""
    instrument = client.venue._rest.listing.instruments["BTCUSDT"]
    times = START + 1000 * np.arange(minutes * 60 + 1, dtype=np.int64)
    prices = client.venue.candles.prices(instrument, times)
    return [Decimal(f"{price:.{instrument.price_decimals}f}") for price in prices.tolist()]


@MARKETS
@pytest.mark.parametrize("side", ["BUY", "SELL"])
async def test_order_that_crosses_fills_at_the_best_price(venue: Any, side: str) -> None:
    async with trading(venue) as client:
        ticker = await client.ticker()
        best = Decimal(ticker["askPrice" if side == "BUY" else "bidPrice"])
        price = "46900" if side == "BUY" else "46000"
        for params in (market(side=side), limit(side=side, price=price)):
            params = {**params, "newOrderRespType": "RESULT"}
            body = (await client.send("POST", "order", **params)).body
            spent = Decimal(body["cummulativeQuoteQty" if venue == "spot" else "cumQuote"])
            assert (body["status"], spent) == ("FILLED", best * Decimal("0.01"))


@MARKETS
async def test_limit_at_the_best_price_of_the_other_side_fills_one_tick_away_rests(
    venue: Any,
) -> None:
    async with trading(venue) as client:
        ticker = await client.ticker()
        rests = await client.place(price=ticker["bidPrice"], newOrderRespType="RESULT")
        fills = await client.place(price=ticker["askPrice"], newOrderRespType="RESULT")
    assert (rests.body["status"], fills.body["status"]) == ("NEW", "FILLED")


@MARKETS
@pytest.mark.parametrize("word", ["IOC", "FOK"])
async def test_order_of_the_moment_that_does_not_cross_expires(venue: Any, word: str) -> None:
    async with trading(venue) as client:
        body = (await client.place(timeInForce=word, newOrderRespType="RESULT")).body
        fill = (await client.place(timeInForce=word, price="46900", newOrderRespType="RESULT")).body
        orders = await client.send("GET", "openOrders")
    assert (body["status"], fill["status"], orders.body) == ("EXPIRED", "FILLED", [])


async def test_spot_maker_that_would_take_is_refused() -> None:
    maker = {"type": "LIMIT_MAKER", "timeInForce": None}
    async with trading() as client:
        takes = await client.place(**maker, price="46900")
        makes = await client.place(**maker)
        assert [one.status for one in client.venue.orders()] == ["NEW"]
    assert takes.error == (400, -2010, "Order would immediately match and take.")
    assert makes.status == 200


async def test_futures_maker_that_would_take_is_refused() -> None:
    async with trading("futures") as client:
        takes = await client.place(timeInForce="GTX", price="46900")
        makes = await client.place(timeInForce="GTX")
        assert len(client.venue.orders()) == 1
    assert takes.error == (
        400,
        -5022,
        "Due to the order could not be executed as maker, the Post Only order will be rejected.",
    )
    assert makes.status == 200


@MARKETS
@pytest.mark.parametrize("side", ["BUY", "SELL"])
async def test_resting_order_fills_when_the_path_reaches_it(venue: Any, side: str) -> None:
    clock = ManualClock(START)
    async with trading(venue, clock=clock) as client:
        prices = path(client, 180)
        tick = Decimal(1).scaleb(-2 if venue == "spot" else -1)
        # the order is as far as the path goes in three hours
        if side == "BUY":
            edge = min(prices)
            price, second = edge + tick, prices.index(edge)
        else:
            edge = max(prices)
            price, second = edge, prices.index(edge)
        await client.place(side=side, price=price, newClientOrderId="a")
        beyond = price - tick if side == "BUY" else price + tick
        await client.place(side=side, price=beyond, newClientOrderId="never")
        clock.advance(second - 31)
        before = client.venue.orders()[0].status
        clock.advance(32)
        after = (await client.send("GET", "order", symbol="BTCUSDT", orderId=1)).body
        clock.advance(180 * 60 - second - 1)
        assert client.venue.orders()[1].status == "NEW"
    assert (before, after["status"]) == ("NEW", "FILLED")
    paid = Decimal(after["cummulativeQuoteQty" if venue == "spot" else "cumQuote"])
    assert paid == price * Decimal("0.01")
    assert START + (second - 31) * 1000 < after["updateTime"] <= START + second * 1000


async def test_time_of_a_fill_does_not_depend_on_who_asks_when() -> None:
    times = set()
    for steps in (1, 7, 300):
        clock = ManualClock(START)
        async with trading(clock=clock) as client:
            await client.place(price=min(path(client, 180)) + 5)
            for _ in range(steps):
                clock.advance(180 * 60 / steps)
                client.venue.orders()
            body = (await client.send("GET", "order", symbol="BTCUSDT", orderId=1)).body
            times.add((body["status"], body["updateTime"]))
    assert len(times) == 1
    status, time_ms = times.pop()
    assert (status, time_ms > START) == ("FILLED", True)


def test_first_time_a_level_is_reached_is_exact_to_the_millisecond() -> None:
    prices = Prices(Quotes(GeneratedCandles(), 1))
    instrument = Instrument.make("BTCUSDT")

    def reached(end_ms: int) -> int | None:
        return prices.first_time(instrument, Fraction(46400), START, end_ms, above=False)

    at_ms = reached(START + 180 * MINUTE)
    assert at_ms is not None
    assert at_ms % 30_000  # within a straight piece of the path
    assert [reached(at_ms + more) for more in (-1, 0, 1, 20_000)] == [None, at_ms, at_ms, at_ms]


async def test_spot_quote_quantity_buys_whole_steps_for_no_more() -> None:
    async with trading() as client:
        ask = Decimal((await client.ticker())["askPrice"])
        body = (
            await client.send("POST", "order", **market(quantity=None, quoteOrderQty="1000"))
        ).body
    quantity, spent = Decimal(body["executedQty"]), Decimal(body["cummulativeQuoteQty"])
    assert body["origQuoteOrderQty"] == "1000.00000000"
    assert spent == quantity * ask <= 1000 < (quantity + Decimal("0.00001")) * ask


@pytest.mark.parametrize(
    ("kind", "side", "down"),
    [
        ("STOP_LOSS", "SELL", True),
        ("STOP_LOSS", "BUY", False),
        ("TAKE_PROFIT", "BUY", True),
        ("TAKE_PROFIT", "SELL", False),
    ],
)
async def test_spot_stop_triggers_when_the_price_is_there(kind: str, side: str, down: bool) -> None:
    clock = ManualClock(START)
    async with trading(clock=clock) as client:
        prices = path(client, 180)
        stop = min(prices) if down else max(prices)
        stops = {"type": kind, "side": side, "timeInForce": None, "price": None}
        placed = await client.place(**stops, stopPrice=stop)
        wrong = await client.place(**stops, stopPrice=stop + (10_000 if down else -10_000))
        query = {"symbol": "BTCUSDT", "orderId": 1}
        waiting = (await client.send("GET", "order", **query)).body
        clock.advance(180 * 60)
        done = (await client.send("GET", "order", **query)).body
    assert set(placed.body) == {
        "symbol", "orderId", "orderListId", "clientOrderId", "transactTime"
    }  # fmt: skip
    assert wrong.error == (400, -2010, "Stop price would trigger immediately.")
    assert (waiting["status"], waiting["isWorking"], waiting["workingTime"]) == ("NEW", False, -1)
    assert (done["status"], done["isWorking"]) == ("FILLED", True)
    assert START < done["workingTime"] == done["updateTime"] <= START + 180 * MINUTE


async def test_spot_stop_limit_rests_after_its_trigger() -> None:
    clock = ManualClock(START)
    async with trading(clock=clock) as client:
        lowest = min(path(client, 180))
        await client.place(type="STOP_LOSS_LIMIT", side="SELL", stopPrice=lowest, price="48000")
        clock.advance(180 * 60)
        found = (await client.send("GET", "openOrders")).body
    assert [(one["status"], one["isWorking"]) for one in found] == [("NEW", True)]


async def test_resting_order_does_not_fill_while_trading_is_halted() -> None:
    clock = ManualClock(START)
    async with trading(clock=clock) as client:
        prices = path(client, 180)
        lowest = prices.index(min(prices))
        await client.place(price=min(prices) + Decimal("0.01"))
        clock.advance(lowest - 60)
        client.venue.change_symbol("BTCUSDT", status="HALT")
        clock.advance(120)
        client.venue.change_symbol("BTCUSDT", status="TRADING")
        # nothing traded at the lowest price
        assert client.venue.orders()[0].status == "NEW"


async def test_what_happened_before_a_change_of_rules_stays() -> None:
    clock = ManualClock(START)
    async with trading(clock=clock) as client:
        await client.place(price=min(path(client, 180)) + 1)
        clock.advance(180 * 60)
        client.venue.change_symbol("BTCUSDT", status="HALT")
        assert client.venue.orders()[0].status == "FILLED"


async def test_spot_stop_that_cannot_be_paid_for_expires() -> None:
    clock = ManualClock(START)
    async with trading(clock=clock) as client:
        stop = max(path(client, 180))
        # what it costs at the stop is there, a tick more is not
        balances = {"USDT": stop * Decimal("0.01")}
        account = Account(balances=balances)
    async with trading(clock=clock, accounts=[account]) as client:
        params = {"type": "STOP_LOSS", "timeInForce": None, "price": None}
        assert (await client.place(**params, stopPrice=stop)).status == 200
        clock.advance(180 * 60)
        assert client.venue.orders()[0].status == "EXPIRED"
        free = (await client.send("GET", "account")).body["balances"][0]
    assert (Decimal(free["free"]), Decimal(free["locked"])) == (balances["USDT"], 0)


async def test_spot_stop_pays_with_what_was_locked_for_it() -> None:
    clock = ManualClock(START)
    async with trading(clock=clock) as client:
        params = {"type": "STOP_LOSS", "side": "SELL", "timeInForce": None, "price": None}
        await client.place(**params, stopPrice=min(path(client, 180)), quantity="2")
        clock.advance(180 * 60)
        assert client.venue.orders()[0].status == "FILLED"


async def test_spot_stop_limit_of_the_moment_expires_when_it_does_not_cross() -> None:
    clock = ManualClock(START)
    async with trading(clock=clock) as client:
        lowest = min(path(client, 180))
        await client.place(
            type="STOP_LOSS_LIMIT", side="SELL", stopPrice=lowest, price="48000", timeInForce="IOC"
        )
        clock.advance(180 * 60)
        assert client.venue.orders()[0].status == "EXPIRED"


async def test_spot_trailing_stop_is_taken_and_never_triggers() -> None:
    clock = ManualClock(START)
    async with trading(clock=clock) as client:
        await client.place(
            type="STOP_LOSS", side="SELL", timeInForce=None, price=None, trailingDelta="10"
        )
        clock.advance(180 * 60)
        (row,) = (await client.send("GET", "openOrders")).body
    assert (row["status"], row["trailingDelta"]) == ("NEW", 10)


async def test_futures_order_good_till_a_date_expires() -> None:
    clock = ManualClock(START)
    until = START + 700_000
    async with trading("futures", clock=clock) as client:
        await client.place(timeInForce="GTD", goodTillDate=until)
        clock.advance(3600)
        body = (await client.send("GET", "order", symbol="BTCUSDT", orderId=1)).body
    assert (body["status"], body["updateTime"], body["goodTillDate"]) == ("EXPIRED", until, until)


async def test_average_price_is_the_mean_of_five_minutes() -> None:
    async with trading() as client:
        body = (await client.raw("GET", "avgPrice?symbol=BTCUSDT", key=None)).body
    assert (body["mins"], body["closeTime"]) == (5, START)
    assert abs(Decimal(body["price"]) - 46413) < 100


async def test_mark_price_is_of_one_symbol_or_all() -> None:
    symbols = [Instrument.make(name, "futures") for name in ("BTCUSDT", "ETHUSDT")]
    async with trading("futures", symbols=symbols) as client:
        one = (await client.raw("GET", "premiumIndex?symbol=BTCUSDT", key=None)).body
        every = (await client.raw("GET", "premiumIndex", key=None)).body
    assert every[0] == one
    assert [row["symbol"] for row in every] == ["BTCUSDT", "ETHUSDT"]
    assert (one["time"], abs(Decimal(one["markPrice"]) - 46413) < 100) == (START, True)
    assert one["nextFundingTime"] % (8 * 60 * MINUTE) == 0
