from __future__ import annotations

import json
import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from realdata import market_data

from velas import frames
from velas.errors import BadResponse
from velas.interval import Interval
from velas_ccxt import _mapping

STEP = 3_600_000
T0 = 1_700_000 * 1_000_000 // STEP * STEP


def row(index: int = 0, **changed: object) -> list[object]:
    opened = T0 + index * STEP
    fields: dict[str, object] = {
        "t": opened,
        "o": "100.5",
        "h": "101",
        "l": "99.25",
        "c": "100.75",
        "v": "12.5",
        "T": opened + STEP - 1,
        "q": "1255.1",
        "n": 42,
        "V": "6.25",
        "Q": "627.5",
        "i": "0",
    }
    return list((fields | changed).values())


def page(*rows: list[object]) -> str:
    return json.dumps(list(rows), separators=(",", ":"))


# -- klines ---------------------------------------------------------------------------


def test_kline_frame_of_two_rows_has_all_columns() -> None:
    frame = _mapping.kline_frame(page(row(0), row(1)))
    assert tuple(frame.columns) == frames.COLUMNS
    assert frame.iloc[0].to_list() == [
        *(T0, 100.5, 101.0, 99.25, 100.75, 12.5),
        *(T0 + STEP - 1, 1255.1, 42, 6.25, 627.5),
    ]
    assert frames.coerce(frame) is frame


def test_kline_frame_of_an_empty_page_has_no_rows() -> None:
    assert _mapping.kline_frame(" []\n").empty


def test_kline_frame_is_writable() -> None:
    frame = _mapping.kline_frame(page(row()))
    frame.loc[0, "close"] = 1.0
    assert frame["close"].to_list() == [1.0]


@pytest.mark.parametrize("indent", [None, 1])
def test_kline_frame_of_spaced_json_is_the_same(indent: int | None) -> None:
    spaced = json.dumps([row(0), row(1)], indent=indent)
    assert _mapping.kline_frame(spaced).equals(_mapping.kline_frame(page(row(0), row(1))))


def test_kline_frame_keeps_off_grid_and_cut_short_bars() -> None:
    frame = _mapping.kline_frame(page(row(0, t=T0 + 14_800, T=T0 + 99_000)))
    assert frame["timestamp"].to_list() == [T0 + 14_800]
    assert frame["close_time"].to_list() == [T0 + 99_000]


BROKEN = {
    "html": "<html><body>busy</body></html>",
    "empty": "",
    "null": "null",
    "object": '{"code":-1003,"msg":"Too many requests."}',
    "flat list": "[1,2,3]",
    "list of objects": '[{"t":1}]',
    "truncated": page(row(0), row(1))[:-20],
    "truncated between rows": page(row(0), row(1)).rsplit("],[")[0] + "]",
    "eleven fields": page(row()[:-1]),
    "thirteen fields": page([*row(), "0"]),
    "last row short": page(row(0), row(1)[:7]),
    "an empty row": page(row(0), []),
    "a row in a row": page([row()]),
    "a bracket too many": page(row(0), row(1)).replace("],[", "],[["),
    "a nested value": page(row(0, o=["1"])),
    "two documents": page(row(0)) + page(row(1)),
    "empty text": page(row(0, c="")),
    "null price": page(row(0, c=None)),
    "word": page(row(0, c="many")),
    "nan": page(row(0, c="nan")),
    "infinity": page(row(0, v="inf")),
    "overflow": page(row(0, v="1e999")),
    "NaN literal": page(row(0)).replace('"100.75"', "NaN"),
    "true": page(row(0, n=True)),
    "fractional time": page(row(0, t=1.5)),
    "time beyond int64": page(row(0, t=10**19)),
    "descending": page(row(1), row(0)),
    "repeated": page(row(0), row(0)),
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_kline_frame_of_anything_else_is_a_bad_response(body: str) -> None:
    with pytest.raises(BadResponse):
        _mapping.kline_frame(body)


@pytest.mark.parametrize(("start", "end"), [(1, 9), (0, 2)])
def test_kline_frame_outside_the_bounds_is_a_bad_response(start: int, end: int) -> None:
    body = page(row(0), row(1), row(2))
    with pytest.raises(BadResponse, match="was asked for"):
        _mapping.kline_frame(body, start_ms=T0 + start * STEP, end_ms=T0 + end * STEP)


def test_kline_frame_longer_than_asked_is_a_bad_response() -> None:
    with pytest.raises(BadResponse, match="at most 1"):
        _mapping.kline_frame(page(row(0), row(1)), rows=1)


@given(st.lists(st.decimals(0, 10**9, places=8), min_size=1, max_size=30))
def test_kline_frame_values_are_what_python_reads(values: list[Decimal]) -> None:
    rows = [row(i, c=f"{value:f}", v=str(value)) for i, value in enumerate(values)]
    frame = _mapping.kline_frame(page(*rows))
    assert frame["close"].to_list() == [float(f"{value:f}") for value in values]
    assert frame["volume"].to_list() == [float(str(value)) for value in values]


def recorded(pattern: str) -> Iterator[tuple[Path, Any]]:
    for path in sorted((market_data() / "rest").glob(pattern)):
        yield path, json.loads(path.read_text())["response"]


@pytest.mark.parametrize("pattern", ["*_api_v3_klines_*", "*_fapi_v1_klines_*"])
def test_kline_frame_of_recorded_replies_equals_every_field(pattern: str) -> None:
    seen = 0
    for path, rows in recorded(pattern):
        frame = _mapping.kline_frame(page(*rows))
        for index, name in enumerate(frames.COLUMNS):
            kind = int if name in frames.INT_COLUMNS else float
            assert frame[name].to_list() == [kind(one[index]) for one in rows], (path, name)
        seen += len(rows)
    assert seen > 0


# -- ccxt's candles ---------------------------------------------------------------------


def ohlcv(index: int, *rest: object) -> list[object]:
    return [T0 + index * STEP, *(rest or (1.0, 2.0, 0.5, 1.5, 10.0))]


def ohlcv_frame(rows: object, start: int = 0, end: int = 99) -> Any:
    return _mapping.ohlcv_frame(
        rows, Interval("1h"), start_ms=T0 + start * STEP, end_ms=T0 + end * STEP
    )


def test_ohlcv_frame_has_nulls_where_ccxt_has_nothing() -> None:
    frame = ohlcv_frame([ohlcv(0)])
    assert tuple(frame.columns) == frames.COLUMNS
    assert frame["close_time"].to_list() == [T0 + STEP - 1]
    assert (
        frame[["quote_volume", "trades", "taker_buy_base", "taker_buy_quote"]].isna().all(axis=None)
    )


def test_ohlcv_frame_sorts_and_drops_repeated_rows() -> None:
    frame = ohlcv_frame([ohlcv(2), ohlcv(0), ohlcv(1, 1, 2, 0.5, 1, 1), ohlcv(1)])
    assert frame["timestamp"].to_list() == [T0, T0 + STEP, T0 + 2 * STEP]
    assert frame["volume"].to_list() == [10.0, 10.0, 10.0]


def test_ohlcv_frame_leaves_out_rows_outside_the_range() -> None:
    frame = ohlcv_frame([ohlcv(i) for i in range(5)], start=1, end=3)
    assert frame["timestamp"].to_list() == [T0 + STEP, T0 + 2 * STEP]


def test_ohlcv_frame_of_nothing_is_empty() -> None:
    assert ohlcv_frame([]).empty


def test_ohlcv_frame_without_volume_has_nan() -> None:
    assert math.isnan(ohlcv_frame([ohlcv(0, "1", "2", "0.5", "1.5", None)])["volume"][0])


@pytest.mark.parametrize(
    "rows",
    [
        None,
        {"a": 1},
        "text",
        [None],
        [[T0]],
        [["x", 1, 2, 3, 4, 5]],
        [ohlcv(0, 1, None, 0.5, 1, 1)],
        [ohlcv(0, 1, math.nan, 0.5, 1, 1)],
        [ohlcv(0, 1, 2, 0.5, 1, math.inf)],
        [[T0 // 1000, 1, 2, 0.5, 1, 1]],
        [[T0 * 1000, 1, 2, 0.5, 1, 1]],
    ],
)
def test_ohlcv_frame_of_garbage_is_a_bad_response(rows: object) -> None:
    with pytest.raises(BadResponse):
        ohlcv_frame(rows)


# -- trades, book, time, headers ----------------------------------------------------------


def trade(number: int, **changed: object) -> dict[str, object]:
    fields = {"a": number, "p": "10.5", "q": "2", "f": number, "l": number, "T": T0, "m": True}
    return fields | changed


def test_trades_are_models_with_exact_decimals() -> None:
    found = _mapping.trades([trade(7, p="0.00001000", nq="1")], "BTC/USDT")
    assert found[0].id == 7
    assert str(found[0].price) == "0.00001000"
    assert found[0].is_buyer_maker is True


def test_trades_taken_out_by_the_venue_are_skipped() -> None:
    gone = [trade(2, q="0.00000000"), trade(3, f=-1, l=-1)]
    found = _mapping.trades([trade(1), *gone, trade(4)], "BTC/USDT")
    assert [one.id for one in found] == [1, 4]


@pytest.mark.parametrize(
    "document",
    [
        *({}, "x", [1], [{}]),
        *([trade(2), trade(1)], [trade(1), trade(1)]),
        *([trade(1, p="x")], [trade(1, p="NaN")], [trade(1, q=None)]),
    ],
)
def test_trades_of_garbage_are_a_bad_response(document: object) -> None:
    with pytest.raises(BadResponse):
        _mapping.trades(document, "BTC/USDT")


def test_trades_recorded_are_all_read() -> None:
    for path, rows in recorded("*_api_v3_aggTrades_*"):
        found = _mapping.trades(rows, "BTC/USDT")
        assert [one.id for one in found] == [one["a"] for one in rows], path
        assert [one.price for one in found] == [Decimal(one["p"]) for one in rows], path


def test_book_ticker_recorded_is_read() -> None:
    for path, document in recorded("*ticker_bookTicker*"):
        ticker = _mapping.book_ticker(document, "BTC/USDT")
        assert ticker.bid == Decimal(document["bidPrice"]), path
        assert ticker.timestamp == document.get("time"), path


@pytest.mark.parametrize("document", [[], "x", {}, {"bidPrice": "x"}, None])
def test_book_ticker_of_garbage_is_a_bad_response(document: object) -> None:
    with pytest.raises(BadResponse):
        _mapping.book_ticker(document, "BTC/USDT")


@pytest.mark.parametrize(
    "document", [None, {}, {"serverTime": "1"}, {"serverTime": T0 // 1000}, {"serverTime": True}]
)
def test_server_time_of_garbage_is_a_bad_response(document: object) -> None:
    with pytest.raises(BadResponse):
        _mapping.server_time(document)


def test_server_time_is_in_ms() -> None:
    assert _mapping.server_time({"serverTime": T0}) == T0


@pytest.mark.parametrize(
    ("headers", "used"),
    [
        ({"x-mbx-used-weight-1m": "17"}, (17, 60)),
        ({"X-MBX-USED-WEIGHT": "9", "X-MBX-USED-WEIGHT-10S": "8"}, (8, 10)),
        ({"X-MBX-USED-WEIGHT-1H": "5"}, (5, 3600)),
        ({"X-MBX-USED-WEIGHT-1M": "many"}, None),
        ({"X-MBX-ORDER-COUNT-10S": "1"}, None),
    ],
)
def test_used_weight_is_read_with_its_window(
    headers: dict[str, str], used: tuple[int, int] | None
) -> None:
    assert _mapping.used_weight(headers) == used


def test_weight_limits_are_those_of_request_weight() -> None:
    def limit(kind: str, unit: object, count: object, most: object) -> dict[str, object]:
        return {
            "rateLimitType": kind,
            "interval": unit,
            "intervalNum": count,
            "limit": most,
        }

    document = {
        "rateLimits": [
            limit("REQUEST_WEIGHT", "MINUTE", 1, 6000),
            limit("REQUEST_WEIGHT", "HOUR", 2, 50_000),
            limit("ORDERS", "SECOND", 10, 50),
            limit("REQUEST_WEIGHT", "FORTNIGHT", 1, 5),
            limit("REQUEST_WEIGHT", "MINUTE", 1, "x"),
            "garbage",
        ]
    }
    assert _mapping.weight_limits(document) == [(60, 6000), (7200, 50_000)]


@pytest.mark.parametrize("document", [None, [], {}, {"rateLimits": "x"}])
def test_weight_limits_of_anything_else_are_none(document: object) -> None:
    assert _mapping.weight_limits(document) == []


# -- markets ----------------------------------------------------------------------------


def entry(**changed: object) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "symbol": "BTC/USDT",
        "id": "BTCUSDT",
        "base": "BTC",
        "quote": "USDT",
        "type": "spot",
        "active": True,
        "limits": {"amount": {"min": "0.00001", "max": "0.00"}, "odd": None},
        "precision": {"amount": 1e-05, "price": "0.00"},
        "info": {"status": "TRADING", "filters": [{"filterType": "X"}, "odd"], "new": 1},
    }
    return fields | changed


def test_market_numbers_are_exact_decimals() -> None:
    found = _mapping.market(entry(), 4)
    assert found.limits == {"amount": (Decimal("0.00001"), None)}
    assert found.precision == {"amount": Decimal("0.00001"), "price": None}
    assert found.filters == ({"filterType": "X"},)
    assert found.status == "TRADING"


def test_market_precision_zero_is_a_number_of_decimal_places() -> None:
    found = _mapping.market(entry(precision={"amount": 0}), 2)
    assert found.precision == {"amount": Decimal(0)}
    assert found.precision_mode == "decimal_places"


def test_market_without_info_is_read() -> None:
    assert _mapping.market(entry(info=None), 4).filters == ()


def test_market_of_no_kind_is_a_swap_if_it_is_a_contract() -> None:
    assert _mapping.market(entry(type=None, contract=True), 4).type == "swap"
    assert _mapping.market(entry(type=None), 4).type == "spot"


def test_market_delivery_far_in_the_future_is_no_expiry() -> None:
    info = {"deliveryDate": 4_133_404_800_000}
    assert _mapping.market(entry(info=info), 4).expiry_ms is None
    info = {"deliveryDate": 1_800_000_000_000}
    assert _mapping.market(entry(info=info), 4).expiry_ms == 1_800_000_000_000


@pytest.mark.parametrize(
    "changed", [{"symbol": None}, {"id": ""}, {"contractSize": "x"}, {"limits": 3}]
)
def test_market_that_cannot_be_read_is_a_bad_response(changed: dict[str, object]) -> None:
    with pytest.raises(BadResponse, match="market"):
        _mapping.market(entry(**changed), 4)


def test_markets_of_one_symbol_keep_the_active_one() -> None:
    old, new = entry(id="OLD", active=False), entry(id="NEW")
    for entries in ([old, new], [new, old], [None, new]):
        assert _mapping.markets(entries, 4)["BTC/USDT"].id == "NEW"


def test_shown_text_in_messages_is_cut() -> None:
    with pytest.raises(BadResponse) as caught:
        _mapping.kline_frame("<" + "x" * 10_000)
    assert len(str(caught.value)) < 400


def test_kline_frame_of_numbers_without_quotes_is_read() -> None:
    frame = _mapping.kline_frame(page(row(0, o=100.5, i=0)))
    assert frame["open"].to_list() == [100.5]
    assert frame["open"].dtype == np.float64
