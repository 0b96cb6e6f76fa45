"""Paging rules, parameters and error codes, without HTTP."""

from __future__ import annotations

from typing import Any, Literal

import orjson
import pytest

from velas.interval import Interval
from velas.testing import GeneratedCandles, Instrument
from velas.testing.venue.listing import Listing
from velas.testing.venue.pages import PageCache
from velas.testing.venue.refusal import Refused
from velas.testing.venue.rest import RestSide
from velas.testing.venue.weights import WeightWindow

HOUR = 3_600_000
NOW = Interval("1h").floor(1_790_000_012_345) + HOUR // 2
LAST = NOW - HOUR // 2
PREFIX = {"spot": "/api/v3", "futures": "/fapi/v1"}
MarketName = Literal["spot", "futures"]


class Venue:
    def __init__(self, market: MarketName) -> None:
        self.market = market
        window = WeightWindow(6000)
        instruments = [
            Instrument.make("BTCUSDT", market),
            Instrument.make("ETHUSDT", market),
            Instrument.make("OLDUSDT", market, delisted_ms=NOW - 24 * HOUR),
        ]
        self.side = RestSide(
            Listing(market, instruments),
            GeneratedCandles(),
            window,
            PageCache(),
            seed=1,
            started_ms=7,
        )

    def ask(self, name: str, **params: object) -> Any:
        query = {key: str(value) for key, value in params.items()}
        return orjson.loads(self.side.answer("GET", f"{PREFIX[self.market]}/{name}", query, NOW))

    def opens(self, **params: object) -> list[int]:
        params = {"symbol": "BTCUSDT", "interval": "1h", **params}
        return [(row[0] - LAST) // HOUR for row in self.ask("klines", **params)]

    def code(self, name: str, **params: object) -> int:
        with pytest.raises(Refused) as caught:
            self.ask(name, **params)
        assert caught.value.status == 400
        return caught.value.code


@pytest.fixture
def spot() -> Venue:
    return Venue("spot")


@pytest.fixture
def futures() -> Venue:
    return Venue("futures")


@pytest.fixture(params=["spot", "futures"])
def venue(request: pytest.FixtureRequest) -> Venue:
    return Venue(request.param)


def test_klines_without_bounds_are_the_newest_with_the_forming_one(venue: Venue) -> None:
    assert venue.opens(limit=3) == [-2, -1, 0]


def test_klines_default_is_500(venue: Venue) -> None:
    assert len(venue.opens()) == 500


def test_klines_from_a_start_are_the_oldest_from_there(venue: Venue) -> None:
    assert venue.opens(startTime=LAST - 10 * HOUR, limit=3) == [-10, -9, -8]


def test_klines_up_to_an_end_are_the_newest_before(venue: Venue) -> None:
    assert venue.opens(endTime=LAST - 10 * HOUR, limit=3) == [-12, -11, -10]


def test_klines_bounds_are_inclusive_on_the_open_time(venue: Venue) -> None:
    bounds = {"startTime": LAST - 3 * HOUR, "endTime": LAST - HOUR}
    assert venue.opens(**bounds) == [-3, -2, -1]
    assert venue.opens(startTime=LAST - 3 * HOUR + 1, endTime=LAST - HOUR - 1) == [-2]


def test_klines_same_bounds_is_one_candle(venue: Venue) -> None:
    assert venue.opens(startTime=LAST, endTime=LAST) == [0]


def test_klines_from_zero_begin_with_the_listing(venue: Venue) -> None:
    listed = venue.side.listing.instruments["BTCUSDT"].listed_ms
    rows = venue.ask("klines", symbol="BTCUSDT", interval="1h", startTime=0, limit=1)
    assert rows[0][0] == Interval("1h").floor(listed)


def test_klines_of_the_future_or_before_listing_are_empty(venue: Venue) -> None:
    assert venue.opens(startTime=NOW + HOUR) == []
    assert venue.opens(endTime=1_000) == []


def test_klines_row_has_twelve_fields_of_the_wire(venue: Venue) -> None:
    row = venue.ask("klines", symbol="BTCUSDT", interval="1h", limit=1)[0]
    assert [type(field) for field in row] == [int] + [str] * 5 + [int, str, int, str, str, str]
    assert row[6] == row[0] + HOUR - 1


def test_klines_times_in_microseconds_are_understood(spot: Venue) -> None:
    assert spot.opens(startTime=LAST * 1000) == [0]


def test_klines_spot_limit_is_cut_to_1000(spot: Venue) -> None:
    assert len(spot.opens(limit=1001)) == 1000


def test_klines_futures_limit_is_at_most_1500(futures: Venue) -> None:
    assert len(futures.opens(limit=1500)) == 1500
    assert futures.code("klines", symbol="BTCUSDT", interval="1h", limit=1501) == -1130


def test_klines_inverted_range_is_refused_only_by_futures(spot: Venue, futures: Venue) -> None:
    bounds: dict[str, object] = {"startTime": LAST, "endTime": LAST - HOUR}
    assert spot.opens(**bounds) == []
    assert futures.code("klines", symbol="BTCUSDT", interval="1h", **bounds) == -1023


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"interval": "1h"}, -1102),
        ({"symbol": "BTCUSDT"}, -1102),
        ({"symbol": "", "interval": "1h"}, -1102),
        ({"symbol": "NOPE", "interval": "1h"}, -1121),
        ({"symbol": "btcusdt", "interval": "1h"}, -1121),
        ({"symbol": "BTCUSDT", "interval": "7m"}, -1120),
        ({"symbol": "BTCUSDT", "interval": "1H"}, -1120),
        ({"symbol": "BTCUSDT", "interval": "1h", "limit": "x"}, -1100),
        ({"symbol": "BTCUSDT", "interval": "1h", "limit": "-1"}, -1100),
        ({"symbol": "BTCUSDT", "interval": "1h", "limit": "0"}, -1130),
        ({"symbol": "BTCUSDT", "interval": "1h", "startTime": "1.5"}, -1100),
        ({"symbol": "BTCUSDT", "interval": "1h", "startTime": ""}, -1102),
        ({"symbol": "BTCUSDT", "interval": "1h", "endTime": "9" * 21}, -1100),
        ({"symbol": "BTCUSDT", "interval": "1h", "timeZone": "8"}, -1130),
    ],
)
def test_klines_bad_argument_has_the_venues_code(
    venue: Venue, params: dict[str, object], code: int
) -> None:
    assert venue.code("klines", **params) == code


def test_klines_seconds_exist_only_on_spot(spot: Venue, futures: Venue) -> None:
    assert len(spot.ask("klines", symbol="BTCUSDT", interval="1s", limit=2)) == 2
    assert futures.code("klines", symbol="BTCUSDT", interval="1s") == -1120


def test_agg_trades_newest_are_contiguous(venue: Venue) -> None:
    rows = venue.ask("aggTrades", symbol="BTCUSDT", limit=1000)
    assert [row["a"] for row in rows] == list(range(rows[0]["a"], rows[0]["a"] + 1000))
    assert NOW - 2_000 <= rows[-1]["T"] <= NOW


def test_agg_trades_by_id_page_on_without_hole(venue: Venue) -> None:
    first = venue.ask("aggTrades", symbol="BTCUSDT", limit=1)[0]["a"] - 3_000
    rows = venue.ask("aggTrades", symbol="BTCUSDT", fromId=first, limit=10)
    more = venue.ask("aggTrades", symbol="BTCUSDT", fromId=rows[-1]["a"] + 1, limit=10)
    assert [row["a"] for row in rows + more] == list(range(first, first + 20))


def test_agg_trades_time_bounds_are_inclusive(venue: Venue) -> None:
    rows = venue.ask("aggTrades", symbol="BTCUSDT", limit=20)
    bounds = {"startTime": rows[5]["T"], "endTime": rows[9]["T"]}
    assert venue.ask("aggTrades", symbol="BTCUSDT", **bounds) == rows[5:10]
    assert venue.ask("aggTrades", symbol="BTCUSDT", limit=2, endTime=rows[9]["T"]) == rows[8:10]


def test_agg_trades_id_and_time_exclude_one_another(venue: Venue) -> None:
    assert venue.code("aggTrades", symbol="BTCUSDT", fromId=1, startTime=NOW) == -1128


def test_agg_trades_futures_reach_back_48_hours(spot: Venue, futures: Venue) -> None:
    old = NOW - 48 * HOUR - 1
    assert spot.ask("aggTrades", symbol="BTCUSDT", startTime=old, limit=1)[0]["T"] >= old
    assert futures.code("aggTrades", symbol="BTCUSDT", startTime=old) == -4166
    assert futures.code("aggTrades", symbol="BTCUSDT", endTime=old) == -4166
    assert futures.code("aggTrades", symbol="BTCUSDT", fromId=5) == -4166
    assert futures.ask("aggTrades", symbol="BTCUSDT", startTime=old + 1, limit=1)


def test_agg_trades_before_listing_begin_with_it(spot: Venue) -> None:
    listed = spot.side.listing.instruments["BTCUSDT"].listed_ms
    for params in ({"fromId": 0}, {"startTime": 0}):
        rows = spot.ask("aggTrades", symbol="BTCUSDT", limit=1, **params)
        assert listed <= rows[0]["T"] < listed + 2_000


def test_agg_trades_fields_differ_by_market(spot: Venue, futures: Venue) -> None:
    assert list(spot.ask("aggTrades", symbol="BTCUSDT", limit=1)[0]) == list("apqflTmM")
    futures_row = futures.ask("aggTrades", symbol="BTCUSDT", limit=1)[0]
    assert list(futures_row) == ["a", "p", "q", "nq", "f", "l", "T", "m"]


def test_trades_are_the_newest(venue: Venue) -> None:
    rows = venue.ask("trades", symbol="BTCUSDT", limit=3)
    assert [row["id"] for row in rows] == [
        row["a"] for row in venue.ask("aggTrades", symbol="BTCUSDT", limit=3)
    ]
    assert ("isBestMatch" in rows[0]) == (venue.market == "spot")


def test_trades_of_a_delisted_symbol_end_with_it(spot: Venue) -> None:
    row = spot.ask("trades", symbol="OLDUSDT", limit=1)[0]
    assert NOW - 24 * HOUR - 2_000 < row["time"] <= NOW - 24 * HOUR


def test_depth_is_sorted_from_the_best_and_does_not_cross(venue: Venue) -> None:
    book = venue.ask("depth", symbol="BTCUSDT", limit=5)
    bids, asks = ([float(price) for price, _ in book[side]] for side in ("bids", "asks"))
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]
    assert len(bids) == len(asks) == 5
    assert ("E" in book) == (venue.market == "futures")


def test_depth_limits_differ_by_market(spot: Venue, futures: Venue) -> None:
    assert len(spot.ask("depth", symbol="BTCUSDT")["asks"]) == 100
    assert len(spot.ask("depth", symbol="BTCUSDT", limit=7)["asks"]) == 7
    assert len(spot.ask("depth", symbol="BTCUSDT", limit=9999)["asks"]) == 5000
    assert spot.code("depth", symbol="BTCUSDT", limit=0) == -1130
    assert len(futures.ask("depth", symbol="BTCUSDT")["asks"]) == 500
    assert futures.code("depth", symbol="BTCUSDT", limit=7) == -4021


def test_book_ticker_agrees_with_the_book(venue: Venue) -> None:
    best = venue.ask("ticker/bookTicker", symbol="BTCUSDT")
    book = venue.ask("depth", symbol="BTCUSDT", limit=5)
    assert [best["bidPrice"], best["bidQty"]] == book["bids"][0]
    assert [best["askPrice"], best["askQty"]] == book["asks"][0]


@pytest.mark.parametrize("name", ["ticker/bookTicker", "ticker/price", "ticker/24hr"])
def test_ticker_without_symbol_lists_those_that_trade(venue: Venue, name: str) -> None:
    assert [row["symbol"] for row in venue.ask(name)] == ["BTCUSDT", "ETHUSDT"]


def test_ticker_of_a_list_is_spots(spot: Venue) -> None:
    rows = spot.ask("ticker/price", symbols='["ETHUSDT"]')
    assert [row["symbol"] for row in rows] == ["ETHUSDT"]
    assert spot.code("ticker/price", symbols='["NOPE"]') == -1121
    assert spot.code("ticker/price", symbols="[1]") == -1100
    assert spot.code("ticker/price", symbols='["ETHUSDT"]', symbol="BTCUSDT") == -1128


def test_price_is_the_forming_candles_close(venue: Venue) -> None:
    row = venue.ask("klines", symbol="BTCUSDT", interval="1m", limit=1)[0]
    assert abs(float(venue.ask("ticker/price", symbol="BTCUSDT")["price"]) - float(row[4])) <= 0.5


def test_day_ticker_counts_the_days_trades(venue: Venue) -> None:
    row = venue.ask("ticker/24hr", symbol="BTCUSDT")
    assert row["count"] == row["lastId"] - row["firstId"] + 1
    assert float(row["lowPrice"]) <= float(row["lastPrice"]) <= float(row["highPrice"])


def test_futures_price_has_a_second_version(futures: Venue) -> None:
    body = futures.side.answer("GET", "/fapi/v2/ticker/price", {"symbol": "BTCUSDT"}, NOW)
    assert orjson.loads(body)["symbol"] == "BTCUSDT"


def test_time_and_ping(venue: Venue) -> None:
    assert venue.ask("time") == {"serverTime": NOW}
    assert venue.ask("ping") == {}


@pytest.mark.parametrize(("method", "path"), [("POST", "ping"), ("GET", "nothing")])
def test_unknown_path_or_method_is_404(venue: Venue, method: str, path: str) -> None:
    with pytest.raises(Refused) as caught:
        venue.side.answer(method, f"{PREFIX[venue.market]}/{path}", {}, NOW)
    assert (caught.value.status, caught.value.code) == (404, -5000)


def _names(document: Any) -> list[str]:
    return [row["symbol"] for row in document["symbols"]]


def test_exchange_info_spot_selects_symbols(spot: Venue) -> None:
    assert _names(spot.ask("exchangeInfo")) == ["BTCUSDT", "ETHUSDT", "OLDUSDT"]
    assert _names(spot.ask("exchangeInfo", symbol="ETHUSDT")) == ["ETHUSDT"]
    assert _names(spot.ask("exchangeInfo", symbols='["ETHUSDT","BTCUSDT"]')) == [
        "BTCUSDT",
        "ETHUSDT",
    ]
    assert _names(spot.ask("exchangeInfo", symbolStatus="BREAK")) == ["OLDUSDT"]
    assert len(_names(spot.ask("exchangeInfo", permissions="SPOT"))) == 3
    assert _names(spot.ask("exchangeInfo", permissions='["LEVERAGED"]')) == []


def test_exchange_info_spot_one_unknown_symbol_fails_all(spot: Venue) -> None:
    assert spot.code("exchangeInfo", symbols='["BTCUSDT","NOPE"]') == -1121


@pytest.mark.parametrize(
    "params",
    [
        {"symbol": "BTCUSDT", "symbols": '["BTCUSDT"]'},
        {"symbol": "BTCUSDT", "permissions": "SPOT"},
        {"symbol": "BTCUSDT", "symbolStatus": "TRADING"},
    ],
)
def test_exchange_info_spot_parameters_exclude_one_another(
    spot: Venue, params: dict[str, object]
) -> None:
    assert spot.code("exchangeInfo", **params) == -1128


def test_exchange_info_spot_permission_sets_can_be_hidden(spot: Venue) -> None:
    rows = spot.ask("exchangeInfo", showPermissionSets="false")["symbols"]
    assert [row["permissionSets"] for row in rows] == [[], [], []]


def test_exchange_info_futures_time_is_not_the_time(futures: Venue) -> None:
    assert futures.ask("exchangeInfo")["serverTime"] == 7


def test_pages_are_kept_only_when_closed_and_within_bounds() -> None:
    spot = Venue("spot")
    cache = PageCache(most_bytes=1_000)
    series = spot.side.series("BTCUSDT", "1h")
    closed = series.closed(NOW)
    forming = ("BTCUSDT", "1h", closed, closed + 1)
    assert cache.page(series, forming, NOW) != cache.page(series, forming, NOW + 60_000)
    assert cache.size_bytes == 0
    keys = [("BTCUSDT", "1h", closed - n, closed - n + 3) for n in (30, 20, 10)]
    pages = [cache.page(series, key, NOW) for key in keys]
    assert cache.page(series, keys[2], NOW) is pages[2]
    assert cache.page(series, keys[0], NOW) == pages[0]
    assert cache.page(series, keys[0], NOW) is not pages[0]
    assert cache.size_bytes <= 1_000
