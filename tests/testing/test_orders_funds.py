"""What orders lock, cost and leave behind; how many may be sent."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from signed import START, Trading, market, trading

from velas.testing import Account, ManualClock

POOR = (400, -2010, "Account has insufficient balance for requested action.")
NO_MARGIN = (400, -2019, "Margin is insufficient.")
NOT_REDUCING = (400, -2022, "ReduceOnly Order is rejected.")
CENT = Decimal("0.01")


async def balances(client: Trading) -> dict[str, tuple[Decimal, Decimal]]:
    rows = (await client.send("GET", "account")).body["balances"]
    return {row["asset"]: (Decimal(row["free"]), Decimal(row["locked"])) for row in rows}


async def position(client: Trading) -> dict[str, Any]:
    rows = (await client.send("GET", "/fapi/v2/positionRisk", symbol="BTCUSDT")).body
    row: dict[str, Any] = rows[0]
    return row


async def test_spot_open_order_locks_its_cost_until_it_ends() -> None:
    async with trading() as client:
        await client.place()
        await client.place(side="SELL", price="50000")
        locked = await balances(client)
        await client.send("DELETE", "openOrders", symbol="BTCUSDT")
        freed = await balances(client)
    assert locked["USDT"] == (Decimal(99550), Decimal(450))
    assert locked["BTC"] == (Decimal("1.99"), Decimal("0.01"))
    assert (freed["USDT"], freed["BTC"]) == ((Decimal(100_000), 0), (Decimal(2), 0))


async def test_spot_fill_exchanges_base_and_quote() -> None:
    async with trading() as client:
        ticker = await client.ticker()
        await client.send("POST", "order", **market())
        bought = await balances(client)
        await client.send("POST", "order", **market(side="SELL", quantity="0.02"))
        sold = await balances(client)
    ask, bid = Decimal(ticker["askPrice"]), Decimal(ticker["bidPrice"])
    assert bought["USDT"] == (100_000 - ask * CENT, 0)
    assert bought["BTC"] == (Decimal("2.01"), 0)
    assert sold["USDT"] == (100_000 - ask * CENT + bid * 2 * CENT, 0)
    assert sold["BTC"] == (Decimal("1.99"), 0)


async def test_spot_limit_that_fills_better_gives_the_rest_back() -> None:
    async with trading() as client:
        ask = Decimal((await client.ticker())["askPrice"])
        await client.place(price="46900")
        assert (await balances(client))["USDT"] == (100_000 - ask * CENT, 0)


@pytest.mark.parametrize(
    "params",
    [
        {"price": "45000", "quantity": "2.3"},
        {"side": "SELL", "price": "50000", "quantity": "2.00001"},
        {"type": "MARKET", "timeInForce": None, "price": None, "quantity": "3"},
        {
            "type": "MARKET",
            "timeInForce": None,
            "price": None,
            "quantity": None,
            "quoteOrderQty": "100100",
        },
    ],
)
async def test_spot_order_beyond_the_balance_is_refused(params: dict[str, Any]) -> None:
    async with trading() as client:
        assert (await client.place(**params)).error == POOR
        assert client.venue.orders() == []


async def test_spot_what_is_locked_cannot_be_spent_twice() -> None:
    async with trading() as client:
        assert (await client.place(quantity="2")).status == 200
        assert (await client.place(quantity="2")).error == POOR
        await client.send("DELETE", "openOrders", symbol="BTCUSDT")
        assert (await client.place(quantity="2")).status == 200


async def test_spot_account_leaves_out_what_is_empty_when_asked() -> None:
    accounts = [Account(balances={"USDT": Decimal(1), "BTC": Decimal(0)})]
    async with trading(accounts=accounts) as client:
        every = await balances(client)
        rows = (await client.send("GET", "account", omitZeroBalances="true")).body["balances"]
    assert list(every) == ["USDT", "BTC"]
    assert [row["asset"] for row in rows] == ["USDT"]


async def test_futures_position_opens_grows_turns_and_closes() -> None:
    async with trading("futures") as client:
        ticker = await client.ticker()
        ask, bid = Decimal(ticker["askPrice"]), Decimal(ticker["bidPrice"])
        seen = []
        for side, quantity in (("BUY", "0.01"), ("BUY", "0.01"), ("SELL", "0.05"), ("BUY", "0.03")):
            await client.send("POST", "order", **market(side=side, quantity=quantity))
            row = await position(client)
            seen.append((Decimal(row["positionAmt"]), Decimal(row["entryPrice"])))
        closed = (await client.send("GET", "/fapi/v3/positionRisk")).body
        wallet = (await client.send("GET", "/fapi/v2/balance")).body[0]
    assert seen == [(CENT, ask), (2 * CENT, ask), (-3 * CENT, bid), (0, 0)]
    assert closed == []
    # bought at the ask and sold at the bid, 0.05 in all
    assert Decimal(wallet["balance"]) == 100_000 - (ask - bid) * 5 * CENT
    assert wallet["balance"] == wallet["availableBalance"]


async def test_futures_open_order_and_position_take_margin() -> None:
    async with trading("futures", accounts=[Account(leverage=10)]) as client:
        await client.place(quantity="0.1")
        waiting = (await client.send("GET", "/fapi/v3/account")).body
        await client.send("POST", "order", **market())
        row = await position(client)
        account = (await client.send("GET", "/fapi/v2/account")).body
    assert waiting["totalOpenOrderInitialMargin"] == "450.00000000"
    assert waiting["availableBalance"] == "99550.00000000"
    mark, entry = Decimal(row["markPrice"]), Decimal(row["entryPrice"])
    assert (row["leverage"], row["marginType"]) == ("10", "cross")
    assert Decimal(row["unRealizedProfit"]) == pytest.approx((mark - entry) * CENT)
    assert account["positions"][0]["symbol"] == "BTCUSDT"
    free = Decimal(account["availableBalance"])
    assert free == pytest.approx(100_000 - 450 - mark * CENT / 10 + (mark - entry) * CENT)


async def test_futures_order_beyond_the_margin_is_refused() -> None:
    async with trading("futures") as client:
        # 100,000 at twenty times
        assert (await client.place(quantity="45")).error == NO_MARGIN
        assert (await client.place(quantity="44")).status == 200


async def test_futures_reduce_only_needs_a_position_and_is_cut_to_it() -> None:
    reducing = {"side": "SELL", "reduceOnly": "true", "newOrderRespType": "RESULT"}
    async with trading("futures") as client:
        none = await client.send("POST", "order", **market(**reducing))
        await client.send("POST", "order", **market())
        wrong_side = await client.send("POST", "order", **market(**{**reducing, "side": "BUY"}))
        small = await client.send("POST", "order", **market(**reducing, quantity="0.001"))
        rest = await client.send("POST", "order", **market(**reducing, quantity="5"))
        after = await position(client)
    assert (none.error, wrong_side.error) == (NOT_REDUCING, NOT_REDUCING)
    assert (small.body["executedQty"], rest.body["executedQty"]) == ("0.001", "0.009")
    assert Decimal(after["positionAmt"]) == 0


async def test_futures_resting_reduce_only_expires_when_its_position_is_gone() -> None:
    clock = ManualClock(START)
    async with trading("futures", clock=clock) as client:
        await client.send("POST", "order", **market())
        bid = Decimal((await client.ticker())["bidPrice"])
        await client.place(side="SELL", reduceOnly="true", price=bid + 20)
        await client.send("POST", "order", **market(side="SELL"))
        clock.advance(3600 * 12)
        statuses = [one.status for one in client.venue.orders()]
        assert statuses == ["FILLED", "EXPIRED", "FILLED"]
        assert Decimal((await position(client))["positionAmt"]) == 0


@pytest.mark.parametrize(
    ("venue", "rule", "header", "retry_after"),
    [
        ("spot", {"interval": "SECOND", "intervalNum": 10}, "X-MBX-ORDER-COUNT-10S", "6"),
        ("futures", {"interval": "MINUTE", "intervalNum": 1}, "X-MBX-ORDER-COUNT-1M", None),
    ],
)
async def test_orders_above_the_rate_are_refused_until_the_window_ends(
    venue: Any, rule: dict[str, Any], header: str, retry_after: str | None
) -> None:
    clock = ManualClock(START + 4_000)
    async with trading(venue, clock=clock) as client:
        rules = client.venue._rest.listing
        limits = [{"rateLimitType": "ORDERS", **rule, "limit": 2}]
        rules.rate_limits = lambda: limits  # type: ignore[method-assign]
        counts = [(await client.place()).headers[header] for _ in range(2)]
        await client.send("GET", "openOrders", symbol="BTCUSDT")
        refused = await client.place()
        cancelled = await client.send("DELETE", "order", symbol="BTCUSDT", orderId=1)
        clock.advance(60)
        again = await client.place()
    text = f"Too many new orders; current limit is 2 orders per {rule['intervalNum']} "
    assert counts == ["1", "2"]
    assert refused.error == (429, -1015, f"{text}{rule['interval']}.")
    assert refused.headers.get("Retry-After") == retry_after
    assert header not in refused.headers
    assert (cancelled.status, again.headers[header]) == (200, "1")


async def test_order_limit_of_the_document_is_the_one_in_force() -> None:
    async with trading() as client:
        replies = [await client.place(quantity="0.0002") for _ in range(101)]
    assert [reply.status for reply in replies].count(200) == 100
    assert replies[-1].code == -1015


async def test_spot_order_counts_can_be_asked_for() -> None:
    async with trading() as client:
        await client.place()
        refused = await client.place(quantity="0.0000001")
        rows = (await client.send("GET", "rateLimit/order")).body
    assert refused.status == 400
    assert [(row["interval"], row["limit"], row["count"]) for row in rows] == [
        ("SECOND", 100, 1),
        ("DAY", 200_000, 1),
    ]


@pytest.mark.parametrize("seed", range(3))
async def test_spot_balances_are_always_explained_by_the_orders(seed: int) -> None:
    clock = ManualClock(START)
    draw = random.Random(seed)
    async with trading(clock=clock) as client:
        for _ in range(60):
            clock.advance(draw.uniform(0, 900))
            bid = Decimal((await client.ticker())["bidPrice"])
            price = (bid * Decimal(draw.uniform(0.995, 1.005))).quantize(CENT)
            side, quantity = draw.choice(("BUY", "SELL")), f"{draw.uniform(0.001, 0.3):.5f}"
            stop = {"type": "STOP_LOSS_LIMIT", "stopPrice": (price * 2 - bid)}
            kind = draw.choice(({}, {}, {"timeInForce": "IOC"}, stop))
            await client.place(side=side, quantity=quantity, price=price, **kind)
            if draw.random() < 0.2:
                await client.send("DELETE", "openOrders", symbol="BTCUSDT")
        orders = (await client.send("GET", "allOrders", symbol="BTCUSDT")).body
        found = await balances(client)
    assert {one["status"] for one in orders} >= {"FILLED", "CANCELED"}
    sign = {"BUY": 1, "SELL": -1}
    bought = sum(sign[one["side"]] * Decimal(one["executedQty"]) for one in orders)
    paid = sum(sign[one["side"]] * Decimal(one["cummulativeQuoteQty"]) for one in orders)
    opened = [one for one in orders if one["status"] == "NEW"]
    held = {
        "BTC": sum(Decimal(one["origQty"]) for one in opened if one["side"] == "SELL"),
        "USDT": sum(
            Decimal(one["origQty"]) * Decimal(one["price"])
            for one in opened
            if one["side"] == "BUY"
        ),
    }
    assert {asset: found[asset][1] for asset in held} == held
    assert sum(found["BTC"]) == 2 + bought
    assert sum(found["USDT"]) == 100_000 - paid


@pytest.mark.parametrize("seed", range(3))
async def test_futures_wallet_is_always_explained_by_the_orders(seed: int) -> None:
    clock = ManualClock(START)
    draw = random.Random(seed)
    async with trading("futures", clock=clock) as client:
        for _ in range(60):
            clock.advance(draw.uniform(0, 900))
            bid = Decimal((await client.ticker())["bidPrice"])
            price = (bid * Decimal(draw.uniform(0.997, 1.003))).quantize(Decimal("0.1"))
            reduce_only = draw.choice(("true", "false", "false"))
            quantity = f"{draw.uniform(0.003, 0.3):.3f}"
            side = draw.choice(("BUY", "SELL"))
            await client.place(side=side, quantity=quantity, price=price, reduceOnly=reduce_only)
        await client.send("DELETE", "allOpenOrders", symbol="BTCUSDT")
        orders = (await client.send("GET", "allOrders", symbol="BTCUSDT")).body
        row = await position(client)
        wallet = Decimal((await client.send("GET", "/fapi/v2/balance")).body[0]["balance"])
        account = (await client.send("GET", "/fapi/v3/account")).body
    sign = {"BUY": 1, "SELL": -1}
    amount = sum(sign[one["side"]] * Decimal(one["executedQty"]) for one in orders)
    paid = sum(sign[one["side"]] * Decimal(one["cumQuote"]) for one in orders)
    assert Decimal(row["positionAmt"]) == amount
    # what was paid is in the position at its entry price, or realised
    worth = amount * Decimal(row["entryPrice"])
    assert wallet == pytest.approx(100_000 - paid + worth, abs=Decimal("0.0001"))
    assert account["totalOpenOrderInitialMargin"] == "0.00000000"
