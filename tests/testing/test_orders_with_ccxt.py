"""ccxt trades at the stand-in by its own signing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import ccxt.async_support as ccxt
import pytest

from velas.testing import STAND_IN_KEY, STAND_IN_SECRET, StandInVenue


def _moved(urls: Any, base: str) -> Any:
    if isinstance(urls, dict):
        return {name: _moved(url, base) for name, url in urls.items()}
    return base + urlsplit(urls).path


@asynccontextmanager
async def _client(market: Any) -> AsyncIterator[Any]:
    async with StandInVenue(market, symbols=["BTCUSDT"]) as venue:
        kind, types = (ccxt.binance, "spot") if market == "spot" else (ccxt.binanceusdm, "linear")
        client = kind(
            {
                "apiKey": STAND_IN_KEY,
                "secret": STAND_IN_SECRET,
                "options": {"fetchMarkets": {"types": [types]}, "fetchMargins": False},
                "has": {"fetchCurrencies": False},
            }
        )
        client.urls["api"] = _moved(client.urls["api"], venue.rest_url)
        try:
            yield client
        finally:
            await client.close()


async def test_ccxt_spot_trades_by_the_private_methods() -> None:
    async with _client("spot") as client:
        price = float((await client.publicGetTickerPrice({"symbol": "BTCUSDT"}))["price"])
        order = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "0.01",
            "price": f"{price * 0.9:.2f}",
            "newClientOrderId": "a",
        }
        wanted = {"symbol": "BTCUSDT", "origClientOrderId": "a"}
        assert await client.privatePostOrderTest(dict(order)) == {}
        placed = await client.privatePostOrder(dict(order))
        found = await client.privateGetOrder(dict(wanted))
        opened = await client.privateGetOpenOrders()
        gone = await client.privateDeleteOrder(dict(wanted))
        account = await client.privateGetAccount()
    assert placed["orderId"] == found["orderId"] == opened[0]["orderId"] == gone["orderId"]
    assert (placed["status"], gone["status"]) == ("NEW", "CANCELED")
    assert account["balances"][0]["asset"] == "USDT"


async def test_ccxt_futures_trades_by_the_private_methods() -> None:
    async with _client("futures") as client:
        price = float((await client.fapiPublicGetPremiumIndex({"symbol": "BTCUSDT"}))["markPrice"])
        order = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "0.01",
            "price": f"{price * 0.98:.1f}",
            "newClientOrderId": "a",
        }
        wanted = {"symbol": "BTCUSDT", "origClientOrderId": "a"}
        assert await client.fapiPrivatePostOrderTest(dict(order)) == {}
        placed = await client.fapiPrivatePostOrder(dict(order))
        found = await client.fapiPrivateGetOrder(dict(wanted))
        opened = await client.fapiPrivateGetOpenOrders()
        gone = await client.fapiPrivateDeleteOrder(dict(wanted))
        balance = await client.fapiPrivateV3GetBalance()
        risk = await client.fapiPrivateV2GetPositionRisk({"symbol": "BTCUSDT"})
    assert placed["orderId"] == found["orderId"] == opened[0]["orderId"] == gone["orderId"]
    assert (placed["status"], gone["status"]) == ("NEW", "CANCELED")
    assert (balance[0]["asset"], float(risk[0]["positionAmt"])) == ("USDT", 0.0)


@pytest.mark.parametrize(("market", "symbol"), [("spot", "BTC/USDT"), ("futures", "BTC/USDT:USDT")])
async def test_ccxt_trades_by_its_unified_methods(market: Any, symbol: str) -> None:
    async with _client(market) as client:
        bought = await client.create_order(symbol, "market", "buy", 0.01)
        assert (bought["status"], bought["filled"]) == ("closed", 0.01)
        price = round(bought["average"] * 0.98)
        resting = await client.create_order(symbol, "limit", "buy", 0.01, price)
        found = await client.fetch_order(resting["id"], symbol)
        opened = await client.fetch_open_orders(symbol)
        gone = await client.cancel_order(resting["id"], symbol)
        balance = await client.fetch_balance()
        stop = await client.create_order(
            symbol, "market", "sell", 0.01, None, {"stopLossPrice": round(price * 0.9)}
        )
        if market == "spot":
            assert balance["BTC"]["free"] == pytest.approx(2.01)
        else:
            (position,) = await client.fetch_positions([symbol])
            assert (position["side"], position["contracts"]) == ("long", 0.01)
    assert (found["status"], [one["id"] for one in opened]) == ("open", [resting["id"]])
    assert gone["status"] == "canceled"
    assert stop["triggerPrice"] == round(price * 0.9)


async def test_ccxt_maps_the_refusals() -> None:
    async with _client("spot") as client:
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "3"}
        with pytest.raises(ccxt.InsufficientFunds):
            await client.privatePostOrder(dict(order))
        with pytest.raises(ccxt.OrderNotFound):
            await client.privateGetOrder({"symbol": "BTCUSDT", "orderId": 7})
        client.secret = "another"
        with pytest.raises(ccxt.AuthenticationError):
            await client.privateGetAccount()
