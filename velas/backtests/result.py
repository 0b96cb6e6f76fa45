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

__all__ = ["BacktestResult", "ClosedTrade", "DataUsed", "OpenTrade", "plain"]

_LAST_MS = 253_402_300_800_000  # the year 10000
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
    if isinstance(value, set | frozenset):
        return sorted(map(plain, value), key=str)
    if isinstance(value, bytes | bytearray):
        return str(value)
    if isinstance(value, Sequence):
        return [plain(one) for one in value]
    if hasattr(value, "tolist"):  # a number or an array of numpy's
        return plain(value.tolist())
    if callable(value):  # its text has an address that is another each time
        return getattr(value, "__qualname__", type(value).__name__)
    return str(value)


def _finite(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not math.isfinite(value):
        raise ConfigError(f"{attribute.name} {value} is no amount: expected a finite number")


def _moment(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if not 0 <= value < _LAST_MS:
        raise ConfigError(f"{attribute.name} {value}: expected ms since the epoch, UTC")


def _plain_mapping(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return {str(key): plain(one) for key, one in value.items()}


def _interval(value: str | Interval) -> str:
    return Interval.of(value).name


@attrs.frozen
class DataUsed:
    """One series that was played: `rows` candles that open in ``[first_ms, last_ms]``.

    `digest` is `velas.frames.digest` of them, `integrity` the policy for what is wrong with
    them: both are of the candles as they were read. `exchange` is None where they are not
    from the store of some settings.
    """

    symbol: str = attrs.field(converter=series_key)
    interval: str = attrs.field(converter=_interval)
    first_ms: int = attrs.field(validator=_moment)
    last_ms: int = attrs.field(validator=_moment)
    rows: int
    digest: str
    exchange: str | None = None
    integrity: str = "raise"


@attrs.frozen(kw_only=True)
class _Trade:
    symbol: str = attrs.field(converter=series_key)
    side: Literal["long", "short"]
    quantity: float = attrs.field(validator=_finite)
    opened_ms: int = attrs.field(validator=_moment)
    entry_price: float = attrs.field(validator=_finite)
    pnl: float = attrs.field(validator=_finite)
    commission: float = attrs.field(validator=_finite)

    @property
    def net(self) -> float:
        """What it earned after commission."""
        return self.pnl - self.commission


@attrs.frozen(kw_only=True)
class ClosedTrade(_Trade):
    """A position from its opening to its end; prices are averages, `pnl` before commission.

    Times are the ends of the candles, of `interval`, in which it was filled.
    """

    closed_ms: int = attrs.field(validator=_moment)
    exit_price: float = attrs.field(validator=_finite)
    interval: str | None = None


@attrs.frozen(kw_only=True)
class OpenTrade(_Trade):
    """A position that was still held at the end; `pnl` is at the last price."""


def _named(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    printable = value.isprintable() and not _FORBIDDEN & set(value)
    if not value or not printable or value != value.strip() or value.startswith("."):
        raise ConfigError(
            f"{attribute.name} {value!r} cannot be part of a file's name: use letters, digits, "
            "dots and dashes"
        )


def _data(value: Iterable[DataUsed]) -> tuple[DataUsed, ...]:
    return tuple(value)


def _trades(value: Iterable[ClosedTrade]) -> tuple[ClosedTrade, ...]:
    return tuple(value)


def _open_trades(value: Iterable[OpenTrade]) -> tuple[OpenTrade, ...]:
    return tuple(value)


def _steps(value: Iterable[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    return tuple((int(at_ms), float(worth)) for at_ms, worth in value)


@attrs.frozen(kw_only=True)
class BacktestResult:
    """Everything to judge a run by, and to tell whether another is the same.

    `symbol` and `interval` are of the series it is named after, `data` are all that were
    played. `equity` are the times (ms, UTC) at which the account's worth changed, each with
    what it was from then on; the first is the beginning, the last the end. `setup` says
    what else decided: feeds, costs, sizes; `code` is a digest of the strategy's source,
    `orders` how many orders ended how, `open_trades` what was still held at the end.
    """

    strategy: str = attrs.field(validator=_named)
    symbol: str = attrs.field(converter=series_key)
    interval: str = attrs.field(converter=_interval)
    created_ms: int = attrs.field(validator=_moment)
    cash: float = attrs.field(validator=_finite)
    value: float = attrs.field(validator=_finite)
    data: tuple[DataUsed, ...] = attrs.field(converter=_data)
    trades: tuple[ClosedTrade, ...] = attrs.field(default=(), converter=_trades)
    equity: tuple[tuple[int, float], ...] = attrs.field(default=(), converter=_steps)
    parameters: Mapping[str, Any] = attrs.field(factory=dict, converter=_plain_mapping)
    analyzers: Mapping[str, Any] = attrs.field(factory=dict, converter=_plain_mapping)
    versions: Mapping[str, str] = attrs.field(factory=dict)
    exchange: str | None = None
    setup: Mapping[str, Any] = attrs.field(factory=dict, converter=_plain_mapping)
    code: str | None = None
    orders: Mapping[str, int] = attrs.field(factory=dict)
    open_trades: tuple[OpenTrade, ...] = attrs.field(default=(), converter=_open_trades)

    def __attrs_post_init__(self) -> None:
        """Refuse a result of no data, and one whose worth is no number at some time."""
        if not self.data:
            raise ConfigError(f"backtest of {self.strategy}: no data were played")
        for at_ms, worth in self.equity:
            if not math.isfinite(worth):
                raise ConfigError(f"backtest of {self.strategy}: the equity at {at_ms} is {worth}")

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
