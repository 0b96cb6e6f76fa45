"""Run a strategy over candles and return what came of it as a `BacktestResult`."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from velas.backtests import BacktestResult, DataUsed
from velas.clock import SYSTEM_CLOCK, Clock
from velas.errors import ConfigError
from velas_backtrader._feed import CandleData
from velas_backtrader._library import BrokerObserver, Cerebro
from velas_backtrader._lineset import CandleView
from velas_backtrader._recorder import Recorder
from velas_backtrader._setup import code_of, setup_of, stated

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
    runs, to add sizers, more feeds, resampled ones or whatever else. Times in the result
    are those of the bars, their ends. What the result names is what ran: also the feeds,
    the cash and the costs that `prepare` has set, and digests of code that is not
    backtrader's.

    Raises:
        ConfigError: no data, the same series twice, feeds that cannot be played again or
            only in part (live, another class, ``fromdate``), more than one strategy; no
            cash; a worth at the end that is no number.
    """
    if not cash > 0 or not math.isfinite(cash):
        raise ConfigError(f"cash {cash}: expected an amount above 0")
    _check(datas)
    cerebro = Cerebro(stdstats=False, tradehistory=True)
    for data in datas:
        cerebro.adddata(data)
    cerebro.addstrategy(strategy, **(parameters or {}))
    cerebro.broker.setcash(cash)
    cerebro.broker.setcommission(commission=commission)
    cerebro.addanalyzer(Recorder, _name=_RECORDER)
    if analyzers:
        cerebro.addobserver(BrokerObserver)  # some of them read what it observes
    for name, kind in (analyzers or {}).items():
        cerebro.addanalyzer(kind, _name=name)
    if prepare is not None:
        prepare(cerebro)
    used = _used(cerebro.datas)
    ran = _ran(cerebro)
    recorded = ran.analyzers.getbyname(_RECORDER)
    return BacktestResult(
        strategy=type(ran).__name__,
        symbol=datas[0].symbol,
        interval=datas[0].interval,
        exchange=datas[0].exchange,
        created_ms=clock.now_ms(),
        cash=float(cerebro.broker.startingcash),
        value=float(cerebro.broker.getvalue()),
        data=used,
        trades=recorded.trades,
        equity=recorded.equity,
        parameters=stated(ran.params._getkwargs()),
        analyzers={name: ran.analyzers.getbyname(name).get_analysis() for name in analyzers or {}},
        versions=_versions(),
        setup=dict(setup_of(cerebro, ran)),
        code=code_of(type(ran)),
        orders=dict(recorded.orders),
        open_trades=recorded.open_trades,
    )


def _check(datas: tuple[CandleData, ...]) -> None:
    if not datas:
        raise ConfigError("a backtest needs data: CandleData(store, 'BTCUSDT', '1h')")
    for data in datas:
        if not isinstance(data, CandleData):
            raise ConfigError(
                f"{type(data).__name__} is no CandleData: give CandleData(frame, symbol, interval)"
            )


def _ran(cerebro: Any) -> Any:
    if len(cerebro.strats) != 1:
        raise ConfigError(f"{len(cerebro.strats)} strategies: the result of a backtest is of one")
    if cerebro._dooptimize:
        raise ConfigError("optstrategy: the result of a backtest is of one run; make one of each")
    ran = cerebro.run()
    if not ran:
        raise ConfigError("the strategy has skipped itself (StrategySkipError): nothing ran")
    return ran[0]


def _used(datas: list[Any]) -> tuple[DataUsed, ...]:
    used = tuple(_one(data) for data in datas if not isinstance(data, CandleView))
    names = [f"{one.symbol} {one.interval}" for one in used]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{name} is played twice; one feed of a series is enough")
    return used


def _one(data: Any) -> DataUsed:
    if not isinstance(data, CandleData):
        raise ConfigError(
            f"a feed of {type(data).__name__}: a result can only name candles of CandleData"
        )
    name = f"{data.symbol} {data.interval}"
    if data.islive():
        raise ConfigError(
            f"{name} is live and cannot be played again: a backtest needs stored candles"
        )
    for wrong, right in (("fromdate", "start_ms"), ("todate", "end_ms")):
        if getattr(data.p, wrong) is not None:
            raise ConfigError(f"{name}: {wrong} leaves candles out unsaid; use {right}")
    opens = data.read["timestamp"]
    return DataUsed(
        symbol=data.symbol,
        interval=data.interval.name,
        first_ms=int(opens.iloc[0]),
        last_ms=int(opens.iloc[-1]),
        rows=len(opens),
        digest=data.digest,
        exchange=data.exchange,
        integrity=data.integrity,
    )


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}
