"""Binance's stream payloads as models, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest

from velas.models import BookTicker, Candle, Trade
from velas_cryptofeed._errors import BadMessage
from velas_cryptofeed._mapping import book_ticker, candle, trade

BAR = {
    "t": 1_700_000_000_000, "T": 1_700_000_059_999, "s": "BTCUSDT", "i": "1m", "f": 1,
    "L": 9, "o": "1.5", "c": "2.5", "h": "3.5", "l": "0.5", "v": "10.25", "n": 9, "x": True,
    "q": "20.5", "V": "4.25", "Q": "8.5", "B": "0",
}  # fmt: skip
AGG_TRADE = {
    "e": "aggTrade", "E": 1, "s": "BTCUSDT", "a": 26_129, "p": "0.01633102", "q": "4.70443515",
    "f": 27_781, "l": 27_783, "T": 1_498_793_709_153, "m": True, "M": True,
}  # fmt: skip
SPOT_TICKER = {"u": 400, "s": "BNBUSDT", "b": "25.35", "B": "31.21", "a": "25.36", "A": "40.66"}
FUTURES_TICKER = {**SPOT_TICKER, "e": "bookTicker", "E": 1_568_014_460_893, "T": 1_568_014_460_891}
Mapper = Callable[[Mapping[str, Any], str], object]


def test_candle_kline_has_every_column() -> None:
    assert candle(BAR, "BTC/USDT") == Candle(
        symbol="BTC/USDT", interval="1m", timestamp=1_700_000_000_000, open=1.5, high=3.5, low=0.5,
        close=2.5, volume=10.25, close_time=1_700_000_059_999, quote_volume=20.5, trades=9,
        taker_buy_base=4.25, taker_buy_quote=8.5, is_closed=True, sequence=0, source="ws",
    )  # fmt: skip


def test_trade_aggregate_keeps_exact_numbers_and_ids() -> None:
    assert trade(AGG_TRADE, "BTC/USDT") == Trade(
        "BTC/USDT", 26_129, 1_498_793_709_153, Decimal("0.01633102"), Decimal("4.70443515"), True,
        27_781, 27_783,
    )  # fmt: skip


def test_trade_tombstone_is_a_trade_of_nothing() -> None:
    void = {**AGG_TRADE, "p": "0", "q": "0", "f": -1, "l": -1}
    assert trade(void, "BTC/USDT").quantity == 0
    assert trade(void, "BTC/USDT").first_trade_id == -1


@pytest.mark.parametrize(("message", "at"), [(SPOT_TICKER, None), (FUTURES_TICKER, 1568014460891)])
def test_book_ticker_has_a_time_only_on_futures(message: dict[str, Any], at: int | None) -> None:
    assert book_ticker(message, "BNB/USDT") == BookTicker(
        "BNB/USDT", Decimal("25.35"), Decimal("31.21"), Decimal("25.36"), Decimal("40.66"), at, 400
    )


@pytest.mark.parametrize("mapper", [candle, trade, book_ticker])
@pytest.mark.parametrize("message", [{}, {"t": 1, "p": [], "b": []}])
def test_mapping_wrong_shape_is_a_bad_message(mapper: Mapper, message: dict[str, Any]) -> None:
    with pytest.raises(BadMessage, match="BTC/USDT"):
        mapper(message, "BTC/USDT")


@pytest.mark.parametrize("key", list("tTohlcvnxqVQi"))
def test_candle_missing_field_is_a_bad_message(key: str) -> None:
    bar = {name: value for name, value in BAR.items() if name != key}
    with pytest.raises(BadMessage, match=f"'{key}'"):
        candle(bar, "BTC/USDT")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("o", "nan"), ("h", "inf"), ("l", "-Infinity"), ("v", "many"), ("q", None), ("t", "1"),
        ("T", 1.5), ("n", True), ("x", 1), ("x", "true"),
    ],
)  # fmt: skip
def test_candle_impossible_value_is_a_bad_message(key: str, value: object) -> None:
    with pytest.raises(BadMessage):
        candle({**BAR, key: value}, "BTC/USDT")


@pytest.mark.parametrize(
    ("key", "value"), [("p", "NaN"), ("q", "x"), ("a", "1"), ("f", None), ("T", 1.0), ("m", 0)]
)
def test_trade_impossible_value_is_a_bad_message(key: str, value: object) -> None:
    with pytest.raises(BadMessage):
        trade({**AGG_TRADE, key: value}, "BTC/USDT")


@pytest.mark.parametrize(("key", "value"), [("b", "Infinity"), ("A", ""), ("u", "1"), ("T", "1")])
def test_book_ticker_impossible_value_is_a_bad_message(key: str, value: object) -> None:
    with pytest.raises(BadMessage):
        book_ticker({**FUTURES_TICKER, key: value}, "BTC/USDT")


@pytest.mark.parametrize(
    ("mapper", "message"), [(candle, BAR), (trade, AGG_TRADE), (book_ticker, FUTURES_TICKER)]
)
def test_mapping_unknown_keys_change_nothing(mapper: Mapper, message: dict[str, Any]) -> None:
    assert mapper({**message, "nq": "1", "st": 0}, "X") == mapper(message, "X")
