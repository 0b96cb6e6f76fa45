"""Instruments and exchangeInfo, made up or given."""

from __future__ import annotations

from typing import Literal

import orjson
import pytest
from realdata import market_data

from velas.errors import ConfigError
from velas.testing import DEFAULT_SYMBOLS, Instrument
from velas.testing.venue.listing import Listing
from velas.testing.venue.weights import WeightWindow

MarketName = Literal["spot", "futures"]
NOW = 1_790_000_000_000
DOCUMENTS = [
    ("spot", "binance_spot_2021-10-12", 1695),
    ("spot", "binance_spot_2025-08-07", 25),
    ("futures", "binance_usdm_2021-07-22", 122),
    ("futures", "binance_usdm_2025-08-07", 25),
]


def test_instruments_default_are_twenty_usdt_pairs() -> None:
    assert len(set(DEFAULT_SYMBOLS)) == 20
    assert all(symbol.endswith("USDT") for symbol in DEFAULT_SYMBOLS)


def test_instrument_without_known_quote_is_refused() -> None:
    for symbol in ("HELLO", "USDT", ""):
        with pytest.raises(ConfigError, match="ids that end in"):
            Instrument.make(symbol)


def test_instrument_level_follows_the_quote() -> None:
    assert Instrument.make("ETHBTC").level == pytest.approx(3200 / 64_000)
    assert Instrument.make("BTCUSDT", level=10.0).level == 10.0


def test_instrument_unknown_base_gets_a_level_of_its_own() -> None:
    one, two = Instrument.make("FOOUSDT"), Instrument.make("BARUSDT")
    assert one.level != two.level
    assert 0.1 <= one.level <= 100


def test_instrument_futures_are_listed_after_the_market_opened() -> None:
    spot, futures = (Instrument.make("BTCUSDT", market) for market in ("spot", "futures"))
    assert spot.listed_ms < futures.listed_ms == 1_567_900_800_000
    assert Instrument.make("BTCUSDT", listed_ms=5).listed_ms == 5


@pytest.mark.parametrize("market", ["spot", "futures"])
def test_listing_row_has_the_filters_of_live_symbols(market: MarketName) -> None:
    listing = Listing(market, [Instrument.make(symbol, market) for symbol in DEFAULT_SYMBOLS])
    rows = listing.document(WeightWindow(6000), NOW)["symbols"]
    kinds = {entry["filterType"] for entry in rows[0]["filters"]}
    common = {"PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "MAX_NUM_ORDERS"}
    own = {
        "spot": {
            "ICEBERG_PARTS", "TRAILING_DELTA", "PERCENT_PRICE_BY_SIDE", "NOTIONAL",
            "MAX_NUM_ALGO_ORDERS", "MAX_NUM_ORDER_LISTS", "MAX_NUM_ORDER_AMENDS",
        },
        "futures": {"MIN_NOTIONAL", "PERCENT_PRICE", "POSITION_RISK_CONTROL"},
    }  # fmt: skip
    assert kinds == common | own[market]
    assert all(row["status"] == "TRADING" for row in rows)


@pytest.mark.parametrize(("market", "status"), [("spot", "BREAK"), ("futures", "SETTLING")])
def test_listing_delisted_symbol_stays_with_another_status(market: MarketName, status: str) -> None:
    one = Instrument.make("BTCUSDT", market, delisted_ms=NOW)
    listing = Listing(market, [one])
    assert listing.status("BTCUSDT", NOW - 1) == "TRADING"
    assert listing.status("BTCUSDT", NOW) == status
    row = listing.document(WeightWindow(0), NOW)["symbols"][0]
    assert row.get("deliveryDate", NOW) == NOW


def test_listing_describes_the_window_in_force() -> None:
    listing = Listing("spot", [])
    rule = listing.document(WeightWindow(77, 10), NOW)["rateLimits"][0]
    assert (rule["interval"], rule["intervalNum"], rule["limit"]) == ("SECOND", 10, 77)


@pytest.mark.parametrize(("market", "name", "symbols"), DOCUMENTS)
def test_listing_of_a_real_document_is_served_as_it_is(
    market: MarketName, name: str, symbols: int
) -> None:
    given = orjson.loads((market_data() / "exchange_info" / f"{name}.json").read_bytes())
    listing = Listing.of_document(market, given, overridden=False)
    assert len(listing.instruments) == symbols
    served = listing.document(WeightWindow(1), NOW)
    assert served == {**given, "serverTime": NOW}
    btc = listing.instruments["BTCUSDT"]
    assert listing.status("BTCUSDT", NOW) == "TRADING"
    assert (btc.base, btc.quote) == ("BTC", "USDT")


def test_listing_of_a_real_document_reads_tick_and_onboard_date() -> None:
    path = market_data() / "exchange_info" / "binance_usdm_2025-08-07.json"
    listing = Listing.of_document("futures", orjson.loads(path.read_bytes()), overridden=False)
    btc = listing.instruments["BTCUSDT"]
    assert (btc.price_decimals, btc.quantity_decimals) == (1, 3)
    assert btc.listed_ms == 1_569_398_400_000


def test_listing_overridden_replaces_only_the_weight_rule() -> None:
    orders = {"rateLimitType": "ORDERS", "limit": 1}
    given = {
        "symbols": [{"symbol": "AUSDT", "baseAsset": "A", "quoteAsset": "USDT"}],
        "rateLimits": [{"rateLimitType": "REQUEST_WEIGHT", "limit": 9}, orders],
    }
    listing = Listing.of_document("spot", given, overridden=True)
    window = WeightWindow(5, 10)
    assert listing.document(window, NOW)["rateLimits"] == [window.rule, orders]


@pytest.mark.parametrize("document", [{}, {"symbols": [{}]}, {"symbols": [3]}, {"symbols": None}])
def test_listing_of_something_else_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="exchange info"):
        Listing.of_document("spot", document, overridden=False)
