"""What a backtest leaves behind, as plain values."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import attrs

from velas.errors import ConfigError
from velas.interval import Interval
from velas.symbols import series_key

__all__ = ["BacktestResult", "ClosedTrade", "DataUsed", "plain"]

_FORBIDDEN = frozenset('/\\:*?"<>|')


def plain(value: Any) -> Any:
    """Return a value as what JSON has: numbers that are none become None, keys text.

    Times become ISO text, anything unknown its `str`.
    """
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(one) for key, one in value.items()}
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, Sequence | set | frozenset):
        return [plain(one) for one in value]
    if hasattr(value, "item"):  # a number of numpy's
        return plain(value.item())
    return str(value)


def _plain_mapping(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return {str(key): plain(one) for key, one in value.items()}


@attrs.frozen
class DataUsed:
    """One series that was played: `rows` candles that open in ``[first_ms, last_ms]``.

    `digest` is `velas.frames.digest` of them.
    """

    symbol: str = attrs.field(converter=series_key)
    interval: str
    first_ms: int
    last_ms: int
    rows: int
    digest: str
    exchange: str | None = None


@attrs.frozen(kw_only=True)
class ClosedTrade:
    """A position from its opening to its end; prices are averages, `pnl` before commission."""

    symbol: str = attrs.field(converter=series_key)
    side: Literal["long", "short"]
    quantity: float
    opened_ms: int
    closed_ms: int
    entry_price: float
    exit_price: float
    pnl: float
    commission: float

    @property
    def net(self) -> float:
        """What it earned after commission."""
        return self.pnl - self.commission


def _named(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    printable = value.isprintable() and not _FORBIDDEN & set(value)
    if not value or not printable or value != value.strip() or value.startswith("."):
        raise ConfigError(
            f"{attribute.name} {value!r} cannot be part of a file's name: use letters, digits, "
            "dots and dashes"
        )


def _interval(value: str | Interval) -> str:
    return Interval.of(value).name


def _data(value: Iterable[DataUsed]) -> tuple[DataUsed, ...]:
    return tuple(value)


def _trades(value: Iterable[ClosedTrade]) -> tuple[ClosedTrade, ...]:
    return tuple(value)


def _steps(value: Iterable[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    return tuple((int(at_ms), float(worth)) for at_ms, worth in value)


@attrs.frozen(kw_only=True)
class BacktestResult:
    """Everything to judge a run by, and to tell whether another is the same.

    `symbol` and `interval` are of the series it is named after, `data` are all that were
    played. `equity` are the times (ms, UTC) at which the account's worth changed, each with
    what it was from then on; the first is the beginning, the last the end.
    """

    strategy: str = attrs.field(validator=_named)
    symbol: str = attrs.field(converter=series_key)
    interval: str = attrs.field(converter=_interval)
    created_ms: int
    cash: float
    value: float
    data: tuple[DataUsed, ...] = attrs.field(converter=_data)
    trades: tuple[ClosedTrade, ...] = attrs.field(default=(), converter=_trades)
    equity: tuple[tuple[int, float], ...] = attrs.field(default=(), converter=_steps)
    parameters: Mapping[str, Any] = attrs.field(factory=dict, converter=_plain_mapping)
    analyzers: Mapping[str, Any] = attrs.field(factory=dict, converter=_plain_mapping)
    versions: Mapping[str, str] = attrs.field(factory=dict)
    exchange: str | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse a result of no data."""
        if not self.data:
            raise ConfigError(f"backtest of {self.strategy}: no data were played")

    @property
    def name(self) -> str:
        """How it is called: symbol, strategy and interval."""
        return f"{self.symbol}_{self.strategy}_{self.interval}"

    @property
    def day(self) -> str:
        """The day it was made on, UTC, as ``2025-01-31``."""
        return dt.datetime.fromtimestamp(self.created_ms // 1000, dt.UTC).strftime("%Y-%m-%d")

    @property
    def net(self) -> float:
        """What was earned in all, open positions at their last price."""
        return self.value - self.cash

    @property
    def return_pct(self) -> float:
        """What was earned, in percent of the cash it began with."""
        return 100 * self.net / self.cash if self.cash else 0.0

    @property
    def drawdown_pct(self) -> float:
        """The deepest fall of the account's worth from a peak, in percent of that peak."""
        deepest, peak = 0.0, -math.inf
        for _, worth in self.equity:
            peak = max(peak, worth)
            if peak > 0:
                deepest = max(deepest, 100 * (peak - worth) / peak)
        return deepest

    @property
    def won(self) -> int:
        """How many trades earned something after commission."""
        return sum(1 for trade in self.trades if trade.net > 0)
