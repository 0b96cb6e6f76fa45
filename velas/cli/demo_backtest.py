"""The end of `velas demo`: a backtest over what was downloaded, and pictures of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from velas.cli.output import many
from velas.errors import MissingDependency

if TYPE_CHECKING:
    from velas.backtests import BacktestResult
    from velas.settings import Settings

__all__ = ["BacktestTold", "backtest_document", "play_backtest", "tell_backtest"]

Tell = Callable[[str], None]
_SYMBOL, _INTERVAL = "BTCUSDT", "1h"
_DRAWN = 14 * 24  # candles
_PICTURES = "pictures"


@attrs.frozen
class BacktestTold:
    """What came of it; `hints` say how to get what is not installed."""

    result: BacktestResult | None
    file: Path | None
    same: bool  # whether it can be reproduced from what is stored
    chart: Path | None
    coverage: Path
    hints: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing went wrong; what is not installed is no error."""
        return self.result is None or self.same

    @property
    def pictures(self) -> list[Path]:
        """The pictures that were drawn."""
        return [path for path in (self.chart, self.coverage) if path is not None]


def play_backtest(settings: Settings) -> BacktestTold:
    """Run the sample strategy, keep its result, draw its trades and what is stored."""
    hints: list[str] = []
    result, file, same = None, None, False
    try:
        result, file = _run(settings)
        same = _is_same(settings, file)
    except MissingDependency as error:
        hints.append(str(error))
    chart = None
    try:
        chart = _draw(settings, result)
    except MissingDependency as error:
        hints.append(str(error))
    return BacktestTold(result, file, same, chart, _coverage(settings), tuple(hints))


def tell_backtest(told: BacktestTold, settings: Settings, tell: Tell, *, kept: bool) -> None:
    """Say what came of it, and where everything is."""
    if told.result is not None:
        result = told.result
        tell(
            f"{result.strategy} on {result.symbol} {result.interval}, made-up prices: "
            f"{many(len(result.trades), 'trade')}, {result.won} won,\n"
            f"{result.cash:,.2f} -> {result.value:,.2f} ({result.return_pct:+.2f} %)."
        )
        words = "are stored as then" if told.same else "are NOT STORED as then"
        tell(f"The result names the candles it ran on by their digest; they {words}.")
    for hint in told.hints:
        tell(f"Left out: {hint}")
    if not kept:
        return
    tell("\nFiles and pictures:")
    tell(f"  {settings.data_dir / 'candles' / settings.exchange}")
    if told.file is not None:
        tell(f"  {told.file}")
    for path in told.pictures:
        tell(f"  {path}")


def backtest_document(told: BacktestTold, *, kept: bool) -> dict[str, object]:
    """Return it as plain data for JSON."""
    result = told.result
    return {
        "ok": told.ok,
        "strategy": None if result is None else result.strategy,
        "symbol": _SYMBOL,
        "interval": _INTERVAL,
        "trades": None if result is None else len(result.trades),
        "return_pct": None if result is None else result.return_pct,
        "reproducible": told.same,
        "file": str(told.file) if kept and told.file is not None else None,
        "pictures": [str(path) for path in told.pictures] if kept else [],
        "left_out": list(told.hints),
    }


def _run(settings: Settings) -> tuple[BacktestResult, Path]:
    from velas.backtests import save_result
    from velas.registry import load

    result: BacktestResult = load("backtesters", "backtrader")(settings, _SYMBOL, _INTERVAL)
    return result, save_result(result, settings.data_dir)


def _is_same(settings: Settings, file: Path) -> bool:
    from velas.backtests import check_data, load_result
    from velas.registry import open_store

    checks = check_data(
        load_result(file), lambda exchange: open_store(settings, exchange_name=exchange)
    )
    return all(one.verdict == "same" for one in checks)


def _draw(settings: Settings, result: BacktestResult | None) -> Path:
    from velas.backtests import marks
    from velas.charts import save_chart
    from velas.cli.gaps import explained_gaps
    from velas.cli.session import open_shelf
    from velas.models import SeriesId

    path = settings.data_dir / _PICTURES / f"{_SYMBOL}_{_INTERVAL}.png"
    with open_shelf(settings) as shelf:
        frame = shelf.store.load(_SYMBOL, _INTERVAL).tail(_DRAWN).reset_index(drop=True)
        gaps = explained_gaps(shelf, SeriesId(_SYMBOL, _INTERVAL))
    first_ms = int(frame["timestamp"].iloc[0])
    fills = [] if result is None else [one for one in marks(result) if one[0] >= first_ms]
    title = f"{_SYMBOL} · {_INTERVAL} · {settings.exchange}"
    title += "" if result is None else f" · {result.strategy}"
    shown = [gap for gap in gaps if gap.start_ms >= first_ms]
    save_chart(frame, _INTERVAL, path, title=title, gaps=shown, marks=fills)
    return path


def _coverage(settings: Settings) -> Path:
    from velas.cli.coverage import count_series, save_page
    from velas.cli.readable import read_each
    from velas.cli.session import open_shelf

    path = settings.data_dir / _PICTURES / "coverage.html"
    with open_shelf(settings) as shelf:
        read = read_each(shelf.store.series(), lambda one: count_series(shelf, one))
    save_page(path, settings.exchange, read)
    return path
