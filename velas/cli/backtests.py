"""`velas backtests`: results that were kept, one of them, or two beside each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from velas.cli.exits import DONE, FAILED, error_text, tell
from velas.cli.options import Common, series_options, velas_command
from velas.cli.output import Justify, count, emit_json, many, moment, show_table, write
from velas.cli.session import settings_of
from velas.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from velas.backtests import BacktestResult, ClosedTrade, Comparison, DataCheck
    from velas.backtests.check import Stores
    from velas.settings import Settings

__all__ = ["command"]

_LIST: tuple[tuple[str, Justify], ...] = (
    ("made", "left"),
    ("trades", "right"),
    ("return", "right"),
    ("drawdown", "right"),
    ("result", "left"),  # its day, symbol, strategy and interval
)
_TRADES: tuple[tuple[str, Justify], ...] = (
    ("opened", "left"),
    ("closed", "left"),
    ("side", "left"),
    ("size", "right"),
    ("entry", "right"),
    ("exit", "right"),
    ("net", "right"),
    ("symbol", "left"),
)
_PAIR: tuple[tuple[str, Justify], ...] = (("", "left"), ("first", "left"), ("second", "left"))
_SHOWN = 20  # trades
_WIDEST = 24  # of a value that is compared


@velas_command("backtests")
@click.argument("results", nargs=-1, metavar="[RESULT [OTHER]]")
@series_options
@click.option("--strategy", "strategies", multiple=True, metavar="N", help="Only of these.")
def command(
    common: Common,
    results: tuple[str, ...],
    symbols: tuple[str, ...],
    intervals: tuple[str, ...],
    strategies: tuple[str, ...],
) -> int:
    """List results of backtests, show one, or compare two.

    RESULT is a file, or how the list names it. Of one it is said whether the data it ran
    on are still what is stored: exit code 1 if not. Two that are not the same, trade for
    trade, are exit code 1 as well.
    """
    settings = settings_of(common)
    if len(results) > 2:
        raise click.UsageError(f"at most two results can be compared, not {len(results)}")
    if results and (symbols or intervals or strategies):
        raise click.UsageError("--symbol, --interval and --strategy are for the list")
    if len(results) == 2:
        return _compare(common, settings, *results)
    if results:
        return _show(common, settings, results[0])
    return _list(common, settings, _chosen(symbols, intervals, strategies))


# -- the list ----------------------------------------------------------------------------


def _chosen(
    symbols: Sequence[str], intervals: Sequence[str], strategies: Sequence[str]
) -> Callable[[BacktestResult], bool]:
    from velas.interval import Interval
    from velas.symbols import series_key

    keys = {series_key(symbol) for symbol in symbols}
    names = {Interval(interval).name for interval in intervals}

    def wanted(result: BacktestResult) -> bool:
        return (
            (not keys or result.symbol in keys)
            and (not names or result.interval in names)
            and (not strategies or result.strategy in strategies)
        )

    return wanted


def _list(common: Common, settings: Settings, wanted: Callable[[BacktestResult], bool]) -> int:
    from velas.backtests import load_result, results

    found: list[tuple[Path, BacktestResult]] = []
    damaged: list[tuple[Path, str]] = []
    hidden = 0
    for path in results(settings.data_dir):
        try:
            result = load_result(path)
        except (StoreError, ConfigError) as error:  # another process may have moved it
            damaged.append((path, error_text(error)))
        else:
            if wanted(result):
                found.append((path, result))
            else:
                hidden += 1
    if common.as_json:
        emit_json(
            {
                "results": [_summary(path, result) for path, result in found],
                "damaged": [{"file": str(path), "error": text} for path, text in damaged],
            }
        )
    elif found:
        show_table(_LIST, [_row(settings, path, result) for path, result in found])
    elif hidden:
        write(f"None of the {many(hidden, 'result')} is of those.")
    elif not damaged:
        write(f"No results of backtests under {str(settings.data_dir)!r} yet.")
    for _, text in damaged:
        tell(text)
    return FAILED if damaged else DONE


def _summary(path: Path, result: BacktestResult) -> dict[str, Any]:
    from velas.backtests.compare import figures

    return {
        "file": str(path),
        "created_ms": result.created_ms,
        "exchange": result.exchange,
        "symbol": result.symbol,
        "interval": result.interval,
        "strategy": result.strategy,
        **figures(result),
    }


def _row(settings: Settings, path: Path, result: BacktestResult) -> list[str]:
    return [
        moment(result.created_ms // 60_000 * 60_000).partition(" ")[2],
        count(len(result.trades)),
        f"{result.return_pct:+.2f} %",
        f"{result.drawdown_pct:.2f} %",
        _short(settings, path),
    ]


def _short(settings: Settings, path: Path) -> str:
    from velas.backtests.files import FOLDER

    try:
        return str(path.relative_to(settings.data_dir / FOLDER).with_suffix(""))
    except ValueError:
        return str(path)


# -- one ---------------------------------------------------------------------------------


def _show(common: Common, settings: Settings, name: str) -> int:
    from velas.backtests import check_data, load_result
    from velas.backtests.files import document

    path = _path(settings, name)
    result = load_result(path)
    checks = check_data(result, _stores(settings))
    good = all(one.verdict == "same" for one in checks)
    if common.as_json:
        emit_json(
            {
                "file": str(path),
                "reproducible": good,
                "checks": [_check(one) for one in checks],
                "result": document(result),
            }
        )
    else:
        _tell(path, result, checks)
    return DONE if good else FAILED


def _check(one: DataCheck) -> dict[str, Any]:
    series = attrs.asdict(one.data)
    return {
        "exchange": series["exchange"],
        "symbol": series["symbol"],
        "interval": series["interval"],
        "verdict": one.verdict,
        "rows": one.rows,
        "digest": one.digest,
    }


def _tell(path: Path, result: BacktestResult, checks: Sequence[DataCheck]) -> None:
    write(f"{result.strategy} on {result.symbol} {result.interval}, {moment(result.created_ms)}")
    write(
        f"{many(len(result.trades), 'trade')}, {count(result.won)} won, "
        f"{result.cash:,.2f} -> {result.value:,.2f} ({result.return_pct:+.2f} %), "
        f"deepest fall {result.drawdown_pct:.2f} %"
    )
    for title, values in (("Parameters", result.parameters), ("Versions", result.versions)):
        if values:
            write(f"{title}: " + ", ".join(f"{key} {value}" for key, value in values.items()))
    good = all(one.verdict == "same" for one in checks)
    write(f"\nThe data it ran on; it can {'be' if good else 'NOT be'} reproduced:")
    for one in checks:
        write(_verdict(one))
    _tell_left(result)
    if result.trades:
        write()
        several = len({one.symbol for one in result.trades}) > 1
        rows = [_trade(one, symbol=several) for one in result.trades[-_SHOWN:]]
        show_table(_TRADES if several else _TRADES[:-1], rows)
        if len(result.trades) > _SHOWN:
            write(f"(the last {_SHOWN} of {count(len(result.trades))}; all are in {path})")


def _tell_left(result: BacktestResult) -> None:
    """Say which orders came to nothing for want of money, and what is still held."""
    refused = sum(result.orders.get(name, 0) for name in ("Margin", "Rejected"))
    if refused:
        write(f"\n{many(refused, 'order')} REFUSED by the simulated broker: not enough money")
    for held in result.open_trades:
        write(
            f"\nHeld at the end: {held.side} {held.quantity:.4g} {held.symbol} from "
            f"{held.entry_price:,.10g}, {held.net:+,.2f}"
        )


def _verdict(one: DataCheck) -> str:
    data = one.data
    what = (
        f"{data.symbol} {data.interval}, {many(data.rows, 'candle')} from {moment(data.first_ms)}"
    )
    words = {
        "same": "stored as then",
        "changed": f"CHANGED, {count(one.rows)} now",
        "missing": "NOT STORED any more",
        "unknown": "NOT FROM A STORE of some settings, so not comparable",
    }
    return f"  {what}: {words[one.verdict]}"


def _trade(trade: ClosedTrade, *, symbol: bool = True) -> list[str]:
    cells = [
        moment(trade.opened_ms),
        moment(trade.closed_ms),
        trade.side,
        f"{trade.quantity:.4g}",
        f"{trade.entry_price:,.10g}",
        f"{trade.exit_price:,.10g}",
        f"{trade.net:+,.2f}",
    ]
    return [*cells, trade.symbol] if symbol else cells


# -- two ---------------------------------------------------------------------------------


def _compare(common: Common, settings: Settings, first: str, second: str) -> int:
    from velas.backtests import compare, load_result

    paths = _path(settings, first), _path(settings, second)
    found = compare(*(load_result(path) for path in paths))
    if common.as_json:
        emit_json(
            {
                "same": found.same,
                "files": [str(path) for path in paths],
                "inputs": [_pair(*one) for one in found.inputs],
                "figures": [_pair(*one) for one in found.figures],
                "first_trade": _first(found),
            }
        )
    else:
        _tell_comparison(found)
    return DONE if found.same else FAILED


def _pair(name: str, first: object, second: object) -> dict[str, object]:
    return {"name": name, "first": first, "second": second}


def _first(found: Comparison) -> dict[str, Any] | None:
    if found.first_trade is None:
        return None
    number, first, second = found.first_trade
    return {
        "number": number,
        "first": None if first is None else attrs.asdict(first),
        "second": None if second is None else attrs.asdict(second),
    }


def _tell_comparison(found: Comparison) -> None:
    if found.inputs:
        show_table((("what went in", "left"), *_PAIR[1:]), [_texts(*one) for one in found.inputs])
        write()
    if found.same:
        write("Both came to the same, trade for trade.")
        return
    if found.figures:
        show_table((("what came out", "left"), *_PAIR[1:]), [_texts(*one) for one in found.figures])
    if found.first_trade is not None:
        number, first, second = found.first_trade
        write(f"\nThe first trade that is not the same is number {count(number + 1)}:")
        rows = [_trade(one) for one in (first, second) if one is not None]
        show_table(_TRADES, rows)


def _texts(name: str, first: object, second: object) -> list[str]:
    return [name, _text(first), _text(second)]


def _text(value: object) -> str:
    if value is None:
        return "-"
    text = f"{value:,.10g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


# -- what both need ----------------------------------------------------------------------


def _path(settings: Settings, name: str) -> Path:
    from velas.backtests.files import FOLDER

    given = Path(name)
    if given.is_file():
        return given
    kept = settings.data_dir / FOLDER / f"{name.removesuffix('.json')}.json"
    if kept.is_file():
        return kept
    raise ConfigError(
        f"no backtest result {name!r}: neither a file nor one of those that `velas backtests` lists"
    )


def _stores(settings: Settings) -> Stores:
    from velas.registry import open_store

    @cache
    def store(exchange: str) -> Any:
        return open_store(settings, exchange_name=exchange)

    return store
