"""Each filter of a symbol's row, with the venue's code and words for it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from realdata import market_data
from signed import limit, market, trading

from velas.testing import Account, ManualClock
from velas.testing.venue.engine import Engine, Trader
from velas.testing.venue.generated import GeneratedCandles
from velas.testing.venue.listing import Listing
from velas.testing.venue.order_params import read_futures_order, read_spot_order
from velas.testing.venue.pricing import Prices
from velas.testing.venue.quotes import Quotes
from velas.testing.venue.refusal import Refused

Filters = dict[str, dict[str, Any] | None]
EXACT_LOT = {"minQty": "0.003", "maxQty": "0.5", "stepSize": "0.002"}


def failure(name: str, code: int = -1013) -> tuple[int, int, str]:
    return 400, code, f"Filter failure: {name}"


async def verdict(venue: Any, filters: Filters, params: dict[str, Any]) -> Any:
    async with trading(venue) as client:
        client.venue.change_symbol("BTCUSDT", filters=filters)
        reply = await client.send("POST", "order", **params)
        test = await client.send("POST", "order/test", **params)
        assert (test.status, test.code) == (reply.status, reply.code)
        return reply.error if reply.code else None


@pytest.mark.parametrize(
    ("params", "name"),
    [
        (limit(price="44999.995"), "PRICE_FILTER"),
        (limit(price="0.001"), "PRICE_FILTER"),
        (limit(price="9999999"), "PRICE_FILTER"),
        (limit(price="9000"), "PERCENT_PRICE_BY_SIDE"),
        (limit(price="240000", side="SELL"), "PERCENT_PRICE_BY_SIDE"),
        (limit(quantity="0.010001"), "LOT_SIZE"),
        (limit(quantity="0.000001"), "LOT_SIZE"),
        (limit(quantity="2000"), "LOT_SIZE"),
        (limit(icebergQty="0.001001"), "LOT_SIZE"),
        (limit(icebergQty="0.00001"), "ICEBERG_PARTS"),
        (market(quantity="11"), "MARKET_LOT_SIZE"),
        (limit(quantity="0.00011"), "NOTIONAL"),
        (limit(quantity="201"), "NOTIONAL"),
        (market(quantity="0.0001"), "NOTIONAL"),
        (market(quantity=None, quoteOrderQty="4.99"), "NOTIONAL"),
        (
            limit(type="STOP_LOSS", timeInForce=None, price=None, stopPrice="50000.001"),
            "PRICE_FILTER",
        ),
        (
            limit(type="STOP_LOSS", timeInForce=None, price=None, trailingDelta="9"),
            "TRAILING_DELTA",
        ),
    ],
)
async def test_spot_filter_of_the_made_up_row_is_enforced(
    params: dict[str, Any], name: str
) -> None:
    assert await verdict("spot", {}, params) == failure(name)


@pytest.mark.parametrize(
    ("filters", "params", "name"),
    [
        ({"LOT_SIZE": EXACT_LOT}, {"quantity": "0.004"}, None),
        ({"LOT_SIZE": EXACT_LOT}, {"quantity": "0.005"}, "LOT_SIZE"),
        ({"LOT_SIZE": EXACT_LOT}, {"quantity": "0.002"}, "LOT_SIZE"),
        ({"LOT_SIZE": None}, {"quantity": "0.0050001"}, None),
        ({"PRICE_FILTER": {"tickSize": "0.00"}}, {"price": "45000.001"}, None),
        ({"PRICE_FILTER": {"minPrice": "45000.01"}}, {"price": "45000"}, "PRICE_FILTER"),
        ({"PRICE_FILTER": {"minPrice": "0", "maxPrice": "0"}}, {"price": "45000"}, None),
        ({"PERCENT_PRICE_BY_SIDE": {"bidMultiplierDown": "0.98"}}, {}, "PERCENT_PRICE_BY_SIDE"),
        ({"PERCENT_PRICE_BY_SIDE": {"askMultiplierDown": "0.98"}}, {}, None),
        (
            {
                "PERCENT_PRICE_BY_SIDE": None,
                "PERCENT_PRICE": {
                    "multiplierUp": "5",
                    "multiplierDown": "0.97",
                    "avgPriceMins": 0,
                },
            },
            {},
            "PERCENT_PRICE",
        ),
        (
            {
                "NOTIONAL": None,
                "MIN_NOTIONAL": {"minNotional": "451", "applyToMarket": False, "avgPriceMins": 5},
            },
            {},
            "MIN_NOTIONAL",
        ),
        (
            {
                "NOTIONAL": None,
                "MIN_NOTIONAL": {"minNotional": "999", "applyToMarket": False, "avgPriceMins": 5},
            },
            market(),
            None,
        ),
        ({"NOTIONAL": {"minNotional": "450"}}, {}, None),
        ({"NOTIONAL": {"minNotional": "450.01"}}, {}, "NOTIONAL"),
        ({"NOTIONAL": {"maxNotional": "449.99"}}, {}, "NOTIONAL"),
        ({"NOTIONAL": {"maxNotional": "449.99"}}, market(), None),
        ({"A_NEW_ONE": {"limit": 0}}, {}, None),
    ],
)
async def test_spot_filter_as_changed_is_enforced(
    filters: Filters, params: dict[str, Any], name: str | None
) -> None:
    error = await verdict("spot", filters, params if "type" in params else limit(**params))
    assert error == (None if name is None else failure(name))


@pytest.mark.parametrize(
    ("filters", "params", "name", "code"),
    [
        ({"MAX_NUM_ORDERS": {"maxNumOrders": 1}}, {}, "MAX_NUM_ORDERS", -1013),
        (
            {"MAX_NUM_ALGO_ORDERS": {"maxNumAlgoOrders": 0}},
            {"type": "STOP_LOSS_LIMIT", "stopPrice": "50000"},
            "MAX_NUM_ALGO_ORDERS",
            -1013,
        ),
        (
            {"MAX_NUM_ICEBERG_ORDERS": {"maxNumIcebergOrders": 0}},
            {"icebergQty": "0.005"},
            "MAX_NUM_ICEBERG_ORDERS",
            -1013,
        ),
        ({"MAX_POSITION": {"maxPosition": "2.019"}}, {}, "MAX_POSITION", -2010),
    ],
)
async def test_spot_filter_that_counts_is_enforced(
    filters: Filters, params: dict[str, Any], name: str, code: int
) -> None:
    async with trading() as client:
        client.venue.change_symbol("BTCUSDT", filters=filters)
        # 2 BTC are owned, 0.01 wanted by the order that is open
        assert (await client.place()).status == 200
        assert (await client.place(**params)).error == failure(name, code)


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        (limit(price="45000.05"), -4014, "Price not increased by tick size."),
        (limit(price="0.05"), -4013, "Price less than min price. 0.1"),
        (limit(price="9999999"), -4002, "Price greater than max price."),
        (limit(quantity="2000000"), -4005, "Quantity greater than max quantity."),
        (market(quantity="500"), -4005, "Quantity greater than max quantity."),
        (
            limit(quantity="0.002"),
            -4164,
            "Order's notional must be no smaller than 100 (unless you choose reduce only).",
        ),
        (
            market(quantity="0.002"),
            -4164,
            "Order's notional must be no smaller than 100 (unless you choose reduce only).",
        ),
    ],
)
async def test_futures_filter_of_the_made_up_row_is_enforced(
    params: dict[str, Any], code: int, text: str
) -> None:
    assert await verdict("futures", {}, params) == (400, code, text)


@pytest.mark.parametrize(
    ("filters", "params", "code"),
    [
        ({"LOT_SIZE": EXACT_LOT}, {"quantity": "0.005"}, None),
        ({"LOT_SIZE": EXACT_LOT}, {"quantity": "0.004"}, -4023),
        ({"LOT_SIZE": EXACT_LOT}, {"quantity": "0.002"}, -4004),
        ({"MARKET_LOT_SIZE": {"stepSize": "0.004"}}, market(), -4023),
        ({"MARKET_LOT_SIZE": {"stepSize": "0.004"}}, {}, None),
        ({"PRICE_FILTER": {"minPrice": "0.3", "tickSize": "0.4"}}, {"price": "45000.3"}, None),
        ({"PRICE_FILTER": {"minPrice": "0.3", "tickSize": "0.4"}}, {"price": "45000.4"}, -4014),
        ({"PERCENT_PRICE": {"multiplierDown": "0.99"}}, {}, None),
        ({"PERCENT_PRICE": {"multiplierDown": "0.99"}}, {"side": "SELL"}, -4024),
        ({"PERCENT_PRICE": {"multiplierUp": "0.9"}}, {}, -4016),
        ({"PERCENT_PRICE": {"multiplierUp": "0.9"}}, market(), -4131),
        ({"PERCENT_PRICE": {"multiplierDown": "1.1"}}, market(side="SELL"), -4131),
        ({"MIN_NOTIONAL": {"notional": "450"}}, {}, None),
        ({"MIN_NOTIONAL": {"notional": "450.01"}}, {}, -4164),
        ({"MAX_NUM_ORDERS": {"limit": 0}}, {}, -2025),
        ({"POSITION_RISK_CONTROL": {"positionControlSide": "BOTH"}}, {}, -4105),
        ({"POSITION_RISK_CONTROL": {"positionControlSide": "BUY"}}, {}, -4106),
        ({"POSITION_RISK_CONTROL": {"positionControlSide": "SELL"}}, {}, None),
    ],
)
async def test_futures_filter_as_changed_is_enforced(
    filters: Filters, params: dict[str, Any], code: int | None
) -> None:
    async with trading("futures") as client:
        client.venue.change_symbol("BTCUSDT", filters=filters)
        params = params if "type" in params else limit(**params)
        assert (await client.send("POST", "order", **params)).code == code


async def test_futures_percent_price_names_the_bound() -> None:
    async with trading("futures") as client:
        mark = await client.raw("GET", "premiumIndex?symbol=BTCUSDT", key=None)
        reply = await client.place(side="SELL", price="40000")
        assert mark.body["markPrice"] == "46414.59354839"
    assert reply.error == (400, -4024, "Limit price can't be lower than 44093.8638709705.")


async def test_change_of_a_filter_is_in_exchange_info() -> None:
    async with trading(symbols=["BTCUSDT"]) as client:
        client.venue.change_symbol("BTCUSDT", filters={"PRICE_FILTER": {"minPrice": "0.50"}})
        client.venue.change_symbol("BTCUSDT", filters={"PRICE_FILTER": {"tickSize": "0.10"}})
        client.venue.change_symbol("BTCUSDT", filters={"ICEBERG_PARTS": None})
        info = await client.raw("GET", "exchangeInfo", key=None)
        refused = await client.place(price="45000.05")
    filters = {row["filterType"]: row for row in info.body["symbols"][0]["filters"]}
    assert filters["PRICE_FILTER"] == {
        "filterType": "PRICE_FILTER",
        "minPrice": "0.50",
        "maxPrice": "1000000.00000000",
        "tickSize": "0.10",
    }
    assert "ICEBERG_PARTS" not in filters
    assert refused.error == failure("PRICE_FILTER")


async def test_change_of_a_given_document_is_served() -> None:
    name = "binance_spot_2025-08-07"
    document = orjson.loads((market_data() / "exchange_info" / f"{name}.json").read_bytes())
    async with trading(exchange_info=document) as client:
        client.venue.change_symbol("BTCUSDT", filters={"LOT_SIZE": {"minQty": "1.00000000"}})
        info = await client.raw("GET", "exchangeInfo?symbol=BTCUSDT", key=None)
        refused = await client.place(quantity="0.5")
    changed = [row for row in info.body["symbols"][0]["filters"] if "minQty" in row]
    assert changed[0]["minQty"] == "1.00000000"
    assert refused.error == failure("LOT_SIZE")


@pytest.mark.parametrize(
    ("name", "venue"), [("binance_spot_2025-08-07", "spot"), ("binance_usdm_2025-08-07", "futures")]
)
def test_every_row_of_a_real_document_can_judge_an_order(name: str, venue: Any) -> None:
    document = orjson.loads((market_data() / "exchange_info" / f"{name}.json").read_bytes())
    listing = Listing.of_document(venue, document, overridden=False)
    engine = Engine(listing, Prices(Quotes(GeneratedCandles(), 1)))
    trader = Trader(Account(), spot=venue == "spot")
    now_ms = ManualClock().now_ms()
    read = read_spot_order if venue == "spot" else read_futures_order
    judged = set()
    for row in document["symbols"]:
        for params in (limit(symbol=row["symbol"]), market(symbol=row["symbol"])):
            try:
                engine.check(trader, read(params, now_ms), now_ms)
            except Refused as error:
                judged.add(error.code)
    assert judged
