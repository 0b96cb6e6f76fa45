"""Run a strategy over candles and return what came of it as a `BacktestResult`."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from velas.backtests import BacktestResult, DataUsed
from velas.clock import SYSTEM_CLOCK, Clock
from velas.errors import ConfigError
from velas_backtrader._feed import CandleData
from velas_backtrader._library import Cerebro
from velas_backtrader._recorder import Recorder

__all__ = ["backtest"]

_RECORDER = "velas"
_PACKAGES = ("velas", "backtrader", "numpy", "pandas")


def backtest(
    strategy: type[Any],
    *datas: CandleData,
    parameters: Mapping[str, Any] | None = None,
    cash: float = 10_000.0,
    commission: float = 0.001,
    analyzers: Mapping[str, type[Any]] | None = None,
    prepare: Callable[[Any], None] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> BacktestResult:
    """Run a backtrader strategy over candles; `velas.backtests.save_result` keeps the result.

    The result is named after the first of `datas`. `parameters` are the strategy's,
    `commission` is the share of each fill's worth, `analyzers` are more of backtrader's, by
    the names their figures get in the result. `prepare` is given the ``Cerebro`` before it
    runs, to add sizers, resampled feeds or whatever else. Times in the result are those of
    the bars, their ends.

    Raises:
        ConfigError: no data, the same series twice, or live ones, which cannot be played
            again.
    """
    used = _used(datas)
    given = dict(parameters or {})
    cerebro = Cerebro(stdstats=False, tradehistory=True)
    for data in datas:
        cerebro.adddata(data)
    cerebro.addstrategy(strategy, **given)
    cerebro.broker.setcash(cash)
    cerebro.broker.setcommission(commission=commission)
    cerebro.addanalyzer(Recorder, _name=_RECORDER)
    for name, kind in (analyzers or {}).items():
        cerebro.addanalyzer(kind, _name=name)
    if prepare is not None:
        prepare(cerebro)
    (ran,) = cerebro.run()
    recorded = ran.analyzers.getbyname(_RECORDER)
    figures = {name: ran.analyzers.getbyname(name).get_analysis() for name in analyzers or {}}
    return BacktestResult(
        strategy=strategy.__name__,
        symbol=datas[0].symbol,
        interval=datas[0].interval,
        exchange=datas[0].exchange,
        created_ms=clock.now_ms(),
        cash=float(cash),
        value=float(cerebro.broker.getvalue()),
        data=used,
        trades=recorded.trades,
        equity=recorded.equity,
        parameters={**dict(ran.params._getkwargs()), "commission": commission},
        analyzers=figures,
        versions=_versions(),
    )


def _used(datas: tuple[CandleData, ...]) -> tuple[DataUsed, ...]:
    if not datas:
        raise ConfigError("a backtest needs data: CandleData(store, 'BTCUSDT', '1h')")
    used = tuple(_one(data) for data in datas)
    names = [f"{one.symbol} {one.interval}" for one in used]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{name} is played twice; one feed of a series is enough")
    return used


def _one(data: CandleData) -> DataUsed:
    if data.islive():
        raise ConfigError(
            f"{data.symbol} {data.interval} is live and cannot be played again: a backtest "
            "needs stored candles"
        )
    opens = data.frame["timestamp"]
    return DataUsed(
        symbol=data.symbol,
        interval=data.interval.name,
        first_ms=int(opens.iloc[0]),
        last_ms=int(opens.iloc[-1]),
        rows=len(opens),
        digest=data.digest,
        exchange=data.exchange,
    )


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}
