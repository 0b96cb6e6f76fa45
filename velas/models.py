"""The nouns: markets, candles, trades, gaps, statistics. Frozen, validated once."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

import attrs

from velas.errors import ConfigError
from velas.order_models import Order, OrderRequest, Position
from velas.symbols import series_key

__all__ = [
    "PENDING",
    "VENUE",
    "AppendResult",
    "BookTicker",
    "Candle",
    "Capabilities",
    "Channel",
    "Finding",
    "FindingKind",
    "Gap",
    "Market",
    "MarketType",
    "Order",
    "OrderRequest",
    "Position",
    "SeriesId",
    "SeriesStats",
    "Source",
    "Subscription",
    "Trade",
    "Usage",
]

VENUE = "venue"  # the reason of a gap that the venue itself proved to have
PENDING = "not published by the venue yet"  # of candles that closed within the last day

MarketType = Literal["spot", "swap", "future", "option"]
Source = Literal["ws", "rest"]
Channel = Literal["candles", "trades", "book_ticker"]
FindingKind = Literal[
    "gap", "duplicate", "disorder", "off_grid", "cut_short", "impossible", "price_anomaly"
]


def _positive(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value <= 0:
        raise ConfigError(f"{attribute.name} must be positive, not {value!r}")


@attrs.frozen
class Market:
    """One tradable market as the venue lists it.

    `limits` and `precision` are ccxt's, as exact decimals (`precision_mode` says how to
    read the latter); `filters` are the venue's own, untouched, `exchange_filters` those
    it has for all markets together. `listed_ms` is the venue's word on when trading
    began, None where it does not say.
    """

    symbol: str
    id: str
    base: str
    quote: str
    type: MarketType = "spot"
    settle: str | None = None
    active: bool = True
    status: str = ""
    linear: bool | None = None
    contract_size: Decimal | None = None
    listed_ms: int | None = None
    expiry_ms: int | None = None
    precision_mode: Literal["tick_size", "decimal_places", "significant_digits"] = "tick_size"
    precision: Mapping[str, Decimal | None] = attrs.field(factory=dict, repr=False)
    limits: Mapping[str, tuple[Decimal | None, Decimal | None]] = attrs.field(
        factory=dict, repr=False
    )
    filters: tuple[Mapping[str, Any], ...] = attrs.field(default=(), repr=False)
    exchange_filters: tuple[Mapping[str, Any], ...] = attrs.field(default=(), repr=False)
    order_types: tuple[str, ...] = attrs.field(default=(), repr=False)
    info: Mapping[str, Any] = attrs.field(factory=dict, repr=False, eq=False)

    @property
    def key(self) -> str:
        """The folder name of this market's series."""
        return series_key(self.symbol)


@attrs.frozen
class Capabilities:
    """What a venue, through its adapter, can do. Differences are data.

    `page_rows` candles of one page cost `page_weight` of the venue's request budget of
    `weight_per_minute` (None: the venue counts requests, not weight). `newest_rows` is
    how far back candles reach at all, None for all history. `probe_listing` says that a
    page from time 0 begins with the very first candle, `forming_candles` that the adapter
    has `fetch_forming_candle` (see `velas.protocols.FormingCandles`).
    """

    intervals: tuple[str, ...]
    page_rows: int = attrs.field(default=500, validator=_positive)
    page_weight: int = 1
    weight_per_minute: int | None = None
    requests_per_second: float | None = None
    newest_rows: int | None = None
    probe_listing: bool = False
    full_candles: bool = False
    trades: bool = False
    trades_by_id: bool = False
    book_ticker: bool = False
    forming_candles: bool = False
    orders: bool = False


@attrs.frozen
class Usage:
    """What was spent at a venue so far: requests sent, their weight, repeats among them."""

    requests: int = 0
    weight: int = 0
    retries: int = 0

    def plus(self, other: Usage) -> Usage:
        """Return both together."""
        return Usage(
            self.requests + other.requests,
            self.weight + other.weight,
            self.retries + other.retries,
        )

    def since(self, before: Usage) -> Usage:
        """Return what was spent after `before`."""
        return Usage(
            self.requests - before.requests,
            self.weight - before.weight,
            self.retries - before.retries,
        )


@attrs.frozen
class SeriesId:
    """Names one candle series: the symbol's folder name and the interval's spelling."""

    symbol: str
    interval: str

    def __str__(self) -> str:
        return f"{self.symbol} {self.interval}"


@attrs.frozen
class Candle:
    """One candle of a live stream; the eleven columns of the candle frame and its place.

    `sequence` counts the closed candles a stream delivered for the series, from 1 on; it
    is 0 for a forming candle and outside a stream. `source` is the socket (`ws`) or REST.
    None where the venue does not publish a column.
    """

    symbol: str
    interval: str
    timestamp: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    close_time: int
    quote_volume: float | None = None
    trades: int | None = None
    taker_buy_base: float | None = None
    taker_buy_quote: float | None = None
    is_closed: bool = True
    sequence: int = 0
    source: Source = "rest"


@attrs.frozen
class Trade:
    """One public (aggregate) trade; `is_buyer_maker` tells the taker's side."""

    symbol: str
    id: int | str
    timestamp: int
    price: Decimal
    quantity: Decimal
    is_buyer_maker: bool
    first_trade_id: int | None = None
    last_trade_id: int | None = None


@attrs.frozen
class BookTicker:
    """Best bid and ask; `timestamp` and `update_id` are None where not published."""

    symbol: str
    bid: Decimal
    bid_quantity: Decimal
    ask: Decimal
    ask_quantity: Decimal
    timestamp: int | None = None
    update_id: int | None = None


@attrs.frozen
class Subscription:
    """One series of a feed; `interval` is None for all but candles."""

    channel: Channel
    symbol: str
    interval: str | None = None


@attrs.frozen
class Gap:
    """`missing` slots without a candle in ``[start_ms, end_ms)``, and why.

    The reason ``venue`` means: asked, and the venue proved to have none there.
    """

    start_ms: int
    end_ms: int
    missing: int
    reason: str = "not downloaded"


@attrs.frozen
class Finding:
    """One thing `frames.check` noticed: `count` rows or slots from `timestamp` on."""

    kind: FindingKind
    timestamp: int
    count: int
    message: str


@attrs.frozen
class AppendResult:
    """What `Store.append` did: rows that are new, rows whose values changed, the total."""

    rows_added: int
    rows_replaced: int
    rows_total: int
    first_ms: int | None
    last_ms: int | None


@attrs.frozen
class SeriesStats:
    """Size and extent of one stored series; times are open times, None when empty."""

    symbol: str
    interval: str
    rows: int
    first_ms: int | None
    last_ms: int | None
    expected: int
    missing: int
    size_bytes: int
    files: tuple[str, ...] = ()
    provenance: Mapping[str, str] = attrs.field(factory=dict)
