"""Pure functions from what venues and ccxt send to models and candle frames."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import attrs
import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.csv as csv

from velas import frames
from velas.errors import BadResponse
from velas.interval import Interval
from velas.models import BookTicker, Market, MarketType, Trade

__all__ = [
    "book_ticker",
    "exchange_filters",
    "kline_frame",
    "market",
    "markets",
    "ohlcv_frame",
    "server_time",
    "trades",
    "used_weight",
    "weight_limits",
]

N = TypeVar("N", np.int64, np.float64)
Bounds = tuple[Decimal | None, Decimal | None]
Filters = tuple[Mapping[str, Any], ...]

_NEVER_MS = 4_133_404_800_000  # 2100-12-25, Binance's delivery date of a perpetual
_WINDOW_S = {"S": 1, "M": 60, "H": 3_600, "D": 86_400}
_INTERVAL_S = {"SECOND": 1, "MINUTE": 60, "HOUR": 3_600, "DAY": 86_400}
_USED_WEIGHT = re.compile(r"(?i)x-mbx-used-weight-(\d+)([smhd])")
_PRECISION_MODES: dict[int, Literal["decimal_places", "significant_digits", "tick_size"]] = {
    2: "decimal_places",
    3: "significant_digits",
    4: "tick_size",
}
_MARKET_TYPES: tuple[MarketType, ...] = ("spot", "swap", "future", "option")
_UNREADABLE = (AttributeError, KeyError, TypeError, ValueError, InvalidOperation)
_EPOCH_MS_FROM, _EPOCH_MS_TO = 10**11, 10**14  # years 1973 to 5138: neither s nor us

# -- candles: the twelve fields of a Binance kline row ------------------------------------

_LEAD = "lead"  # the empty field before a row's first comma, see _table
_ROW = (_LEAD, *frames.COLUMNS, "ignore")
_READ = csv.ReadOptions(column_names=list(_ROW), use_threads=False, block_size=1 << 22)
_PARSE = csv.ParseOptions(ignore_empty_lines=False)
_CONVERT = csv.ConvertOptions(
    column_types={
        name: pa.int64() if name in frames.INT_COLUMNS else pa.float64() for name in frames.COLUMNS
    },
    include_columns=list(frames.COLUMNS),
    null_values=[],
    strings_can_be_null=False,
)
_ROW_ENDS = bytes.maketrans(b"]", b"\n")


def kline_frame(
    body: str, *, start_ms: int | None = None, end_ms: int | None = None, rows: int | None = None
) -> pd.DataFrame:
    """Return the candle frame of a kline reply, with all eleven columns.

    Raises:
        BadResponse: it is no list of rows of twelve fields with finite numbers, ascending
            by open time within ``[start_ms, end_ms)``, or longer than `rows`.
    """
    text = body.strip()
    if text == "[]":
        return frames.empty()
    table = _table(text)
    ints = _block(table, frames.INT_COLUMNS, np.int64)
    floats = _block(table, frames.FLOAT_COLUMNS, np.float64)
    _check_page(ints[0], floats, start_ms, end_ms, rows)
    return frames.of_blocks(ints, floats)


def ohlcv_frame(
    rows: object, interval: Interval, *, start_ms: int | None, end_ms: int
) -> pd.DataFrame:
    """Return the candle frame of ccxt's OHLCV rows that open in ``[start_ms, end_ms)``.

    Rows are sorted and repeated open times dropped (the last one stays). The columns
    ccxt does not know are null; `close_time` is computed.

    Raises:
        BadResponse: rows that are not six numbers, or open times that are not ms.
    """
    if not isinstance(rows, list):
        raise BadResponse(f"expected a list of candles, not {_shown(rows)}")
    parsed = [_ohlcv_row(row) for row in rows]
    kept = {row[0]: row for row in parsed if (start_ms or 0) <= row[0] < end_ms}
    if not kept:
        return frames.empty()
    columns = list(zip(*(kept[key] for key in sorted(kept)), strict=True))
    frame = pd.DataFrame(dict(zip(frames.COLUMNS, map(list, columns), strict=False)))
    return frames.coerce(frame, interval)


def _ohlcv_row(row: object) -> tuple[int, float, float, float, float, float]:
    try:
        opened, *values = list(row)[:6]  # type: ignore[call-overload]
        timestamp = int(opened)
        prices = [float(value) for value in values[:4]]
        # some venues publish no volume for index markets
        volume = math.nan if values[4] is None else float(values[4])
    except (TypeError, ValueError, IndexError) as error:
        raise BadResponse(f"not a candle: {_shown(row)}") from error
    if not all(map(math.isfinite, prices)) or math.isinf(volume):
        raise BadResponse(f"a candle with a number that is none: {_shown(row)}")
    if not _EPOCH_MS_FROM <= timestamp < _EPOCH_MS_TO:
        raise BadResponse(f"a candle whose open time is not in ms: {_shown(row)}")
    return (timestamp, prices[0], prices[1], prices[2], prices[3], volume)


def _table(text: str) -> pa.Table:
    try:
        return _compact_table(text)
    except (pa.ArrowInvalid, ValueError) as reason:
        # JSON may be spaced differently, by a mirror for one: write it again the one way
        try:
            return _compact_table(orjson.dumps(orjson.loads(text)).decode())
        except (pa.ArrowInvalid, ValueError):
            raise BadResponse(f"not a page of candles ({reason}): {_shown(text)}") from None


def _compact_table(text: str) -> pa.Table:
    # Arrow's CSV reader needs 0.33 ms for 1,000 rows, a JSON parser with columns built from
    # its lists twice that. Dropping "[" and turning "]" into a line end costs a third of
    # replacing "],[", and leaves a comma (an empty first field) at each row's beginning.
    if not (text.startswith("[[") and text.endswith("]]")):
        raise ValueError("no list of rows")
    page = bytearray(text, "utf-8")
    page[0] = ord(",")
    del page[-1]
    lines = page.translate(_ROW_ENDS, b"[")
    table = csv.read_csv(
        pa.BufferReader(lines),
        read_options=_READ,
        parse_options=_PARSE,
        convert_options=_CONVERT,
        # Arrow's default allocator keeps tens of MB of such short-lived pages
        memory_pool=pa.system_memory_pool(),
    )
    if len(page) - len(lines) != table.num_rows:  # how many "[" there were
        raise ValueError("a row within a row")
    return table


def _block(table: pa.Table, names: tuple[str, ...], kind: type[N]) -> npt.NDArray[N]:
    block = np.empty((len(names), table.num_rows), dtype=kind)
    for row, name in enumerate(names):
        block[row] = table.column(name).to_numpy()
    return block


def _check_page(
    opens: npt.NDArray[np.int64],
    floats: npt.NDArray[np.float64],
    start_ms: int | None,
    end_ms: int | None,
    rows: int | None,
) -> None:
    if rows is not None and len(opens) > rows:
        raise BadResponse(f"{len(opens)} candles where at most {rows} were asked for")
    if not np.isfinite(floats).all():
        at = int(np.flatnonzero(~np.isfinite(floats).all(axis=1))[0])
        raise BadResponse(f"column {frames.FLOAT_COLUMNS[at]} holds a number that is none")
    if (opens[1:] <= opens[:-1]).any():
        raise BadResponse("candles are not in order of open time")
    if (start_ms is not None and opens[0] < start_ms) or (
        end_ms is not None and opens[-1] >= end_ms
    ):
        raise BadResponse(
            f"candles of [{opens[0]}, {opens[-1]}] where [{start_ms}, {end_ms}) was asked for"
        )


# -- markets ------------------------------------------------------------------------------


def markets(
    entries: Iterable[Mapping[str, Any] | None],
    precision_mode: int,
    exchange_filters: Filters = (),
    *,
    with_filters: bool = True,
) -> dict[str, Market]:
    """Return ccxt's market structures as markets by unified symbol.

    `with_filters` False leaves out what the venue itself calls filters.

    Where a venue lists two of one symbol (a coin's old and new contract) the active one
    stays.

    Raises:
        BadResponse: no entry, or one without symbol, id, base or quote.
    """
    found: dict[str, Market] = {}
    for entry in entries:
        if entry is None:
            continue
        one = market(entry, precision_mode, exchange_filters)
        if not with_filters:
            one = attrs.evolve(one, filters=())
        if one.symbol not in found or (one.active and not found[one.symbol].active):
            found[one.symbol] = one
    if not found:
        raise BadResponse("the list of markets is empty")
    return found


def market(entry: Mapping[str, Any], precision_mode: int, exchange_filters: Filters = ()) -> Market:
    """Return one of ccxt's market structures as a market, its numbers as exact decimals."""
    info = entry.get("info")
    raw: Mapping[str, Any] = info if isinstance(info, Mapping) else {}
    try:
        return Market(
            symbol=_text(entry, "symbol"),
            id=_text(entry, "id"),
            base=_text(entry, "base"),
            quote=_text(entry, "quote"),
            type=_market_type(entry),
            settle=entry.get("settle") or None,
            active=entry.get("active") is not False,
            status=str(raw.get("status") or raw.get("contractStatus") or ""),
            linear=entry.get("linear"),
            contract_size=_decimal(entry.get("contractSize")),
            listed_ms=_whole(entry.get("created")),
            expiry_ms=_expiry_ms(entry, raw),
            precision_mode=_PRECISION_MODES[precision_mode],
            precision=_precision(entry.get("precision"), precision_mode),
            limits=_limits(entry.get("limits")),
            filters=_filters(raw.get("filters")),
            exchange_filters=exchange_filters,
            order_types=tuple(map(str, raw.get("orderTypes") or raw.get("OrderType") or ())),
            info=raw,
        )
    except _UNREADABLE as error:
        raise BadResponse(f"market {entry.get('id')!r}: {error!r}") from error


def _market_type(entry: Mapping[str, Any]) -> MarketType:
    kind = entry.get("type")
    # a contract that is announced but has no kind yet
    return kind if kind in _MARKET_TYPES else "swap" if entry.get("contract") else "spot"


def _expiry_ms(entry: Mapping[str, Any], raw: Mapping[str, Any]) -> int | None:
    # ccxt has none for a perpetual, but Binance announces its delisting there
    expiry = _whole(entry.get("expiry")) or _whole(raw.get("deliveryDate"))
    return None if expiry == _NEVER_MS else expiry


def exchange_filters(document: object) -> Filters:
    """Return the filters of exchangeInfo that count over all markets."""
    return _filters(document.get("exchangeFilters")) if isinstance(document, Mapping) else ()


def _filters(filters: object) -> Filters:
    if not isinstance(filters, list):
        return ()
    return tuple(MappingProxyType(one) for one in filters if isinstance(one, dict))


def _limits(limits: Mapping[str, Any] | None) -> Mapping[str, Bounds]:
    found = {}
    for name, bounds in (limits or {}).items():
        if isinstance(bounds, Mapping):
            # zero is how Binance spells "no upper bound"
            found[name] = (_decimal(bounds.get("min")), _decimal(bounds.get("max")) or None)
    return MappingProxyType(found)


def _precision(values: Mapping[str, Any] | None, mode: int) -> Mapping[str, Decimal | None]:
    found = {name: _decimal(value) for name, value in (values or {}).items()}
    if _PRECISION_MODES[mode] == "tick_size":  # a step of zero means none
        found = {name: value or None for name, value in found.items()}
    return MappingProxyType(found)


# -- trades, book, time, limits -----------------------------------------------------------


def trades(document: object, symbol: str) -> list[Trade]:
    """Return Binance's aggregate trades, ascending by id.

    Ids the venue took out again (no quantity, first trade -1) are left out.

    Raises:
        BadResponse: it is no such list, or not ascending.
    """
    if not isinstance(document, list):
        raise BadResponse(f"expected a list of trades, not {_shown(document)}")
    try:
        found = [_trade(row, symbol) for row in document if not _is_tombstone(row)]
        ids = [int(row["a"]) for row in document]
    except _UNREADABLE as error:
        raise BadResponse(f"not a list of aggregate trades: {error!r}") from error
    if any(after <= before for before, after in itertools.pairwise(ids)):
        raise BadResponse("trades are not in order of their ids")
    return found


def _is_tombstone(row: Mapping[str, Any]) -> bool:
    return int(row["f"]) == -1 or Decimal(row["q"]) == 0


def _trade(row: Mapping[str, Any], symbol: str) -> Trade:
    return Trade(
        symbol=symbol,
        id=int(row["a"]),
        timestamp=int(row["T"]),
        price=_finite(row["p"]),
        quantity=_finite(row["q"]),
        is_buyer_maker=bool(row["m"]),
        first_trade_id=int(row["f"]),
        last_trade_id=int(row["l"]),
    )


def book_ticker(document: object, symbol: str) -> BookTicker:
    """Return Binance's best bid and ask.

    Raises:
        BadResponse: a field is missing or no number.
    """
    try:
        row: Mapping[str, Any] = document  # type: ignore[assignment]
        return BookTicker(
            symbol=symbol,
            bid=_finite(row["bidPrice"]),
            bid_quantity=_finite(row["bidQty"]),
            ask=_finite(row["askPrice"]),
            ask_quantity=_finite(row["askQty"]),
            timestamp=_whole(row.get("time")),
            update_id=_whole(row.get("lastUpdateId")),
        )
    except _UNREADABLE as error:
        raise BadResponse(f"not a book ticker: {_shown(document)}") from error


def server_time(document: object) -> int:
    """Return the time in ms of Binance's time reply.

    Raises:
        BadResponse: there is none, or not in ms.
    """
    value = document.get("serverTime") if isinstance(document, Mapping) else None
    if type(value) is not int or not _EPOCH_MS_FROM <= value < _EPOCH_MS_TO:
        raise BadResponse(f"not a time in ms: {_shown(document)}")
    return value


def used_weight(headers: Mapping[str, str]) -> tuple[int, int] | None:
    """Return (weight used, window in s) of Binance's used-weight header, if there is one."""
    for name, value in headers.items():
        match = _USED_WEIGHT.fullmatch(name)
        if match and value.isdigit():
            return int(value), int(match[1]) * _WINDOW_S[match[2].upper()]
    return None


def weight_limits(
    document: object, kind: Literal["REQUEST_WEIGHT", "ORDERS"] = "REQUEST_WEIGHT"
) -> list[tuple[int, int]]:
    """Return exchangeInfo's limits of one kind as (window in s, most in it)."""
    entries = document.get("rateLimits") if isinstance(document, Mapping) else None
    found = []
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping) and entry.get("rateLimitType") == kind:
            unit_s, count = _INTERVAL_S.get(entry.get("interval", "")), entry.get("intervalNum")
            limit = entry.get("limit")
            if unit_s and isinstance(count, int) and isinstance(limit, int) and limit > 0:
                found.append((unit_s * count, limit))
    return found


# -- values -------------------------------------------------------------------------------


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry[name]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is {value!r}")
    return value


def _decimal(value: object) -> Decimal | None:
    """A float's shortest spelling is the decimal it was read from."""
    if value is None or value == "" or isinstance(value, bool):
        return None
    found = Decimal(str(value))
    return found if found.is_finite() else None


def _finite(value: object) -> Decimal:
    found = _decimal(value)
    if found is None:
        raise ValueError(f"{value!r} is no number")
    return found


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | float | str) and value != "" else None


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 120 else f"{text[:120]}..."
