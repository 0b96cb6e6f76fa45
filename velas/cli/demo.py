"""`velas demo`: the real download, over real HTTP, from a venue that runs in this process."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import attrs
import click

from velas.cli.checks import Checked, check_series
from velas.cli.exits import DONE, FAILED, INTERRUPTED
from velas.cli.fetching import Fetched, Planner, fetch
from velas.cli.options import Common, velas_command
from velas.cli.output import count, emit_json, moment, write
from velas.cli.reports import report_document, show_report
from velas.cli.session import Shelf, Workplace, check_writable, open_shelf
from velas.cli.stats import show_stats
from velas.cli.verify import show_checked, verify_document
from velas.errors import ConfigError

if TYPE_CHECKING:
    from velas.cli.demo_backtest import BacktestTold
    from velas.cli.demo_live import LiveTold
    from velas.cli.demo_orders import OrdersTold
    from velas.history import Plan, Report
    from velas.models import SeriesStats
    from velas.settings import Settings
    from velas.testing import FaultPlan, StandInVenue

__all__ = ["command"]

_MARKETS: dict[str, Literal["spot", "futures"]] = {
    "binance_spot": "spot",
    "binance_futures": "futures",
}
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


@attrs.frozen
class _Told:
    """What the demo has to tell when it is over."""

    download: Report
    update: Report
    checked: list[Checked]
    stats: list[SeriesStats]
    rows_equal: int
    differing: list[str]
    faults: list[str]
    live: LiveTold | None = None
    orders: OrdersTold | None = None
    backtest: BacktestTold | None = None

    @property
    def ok(self) -> bool:
        whole = self.download.ok and self.update.ok and all(one.ok for one in self.checked)
        same = bool(self.rows_equal) and not self.differing
        parts = (self.live, self.orders, self.backtest)
        return whole and same and all(one and one.ok for one in parts)


@velas_command("demo")
@click.option(
    "--keep/--no-keep", default=True, help="Keep the files and say where; or leave nothing."
)
def command(common: Common, keep: bool) -> int:
    """Show velas at work: no network, no account.

    Starts a stand-in exchange on this machine that speaks Binance's dialect over real
    HTTP and misbehaves on purpose, downloads from it, asks again, verifies everything and
    compares it with the exchange's own candles. Then it streams some minutes on a fast
    clock, over a socket that is cut, places an order, and ends with a backtest over what it
    downloaded. The files, less than a megabyte, stay in a temporary folder or in --data-dir
    (an empty one).
    """
    began = time.monotonic()
    if not common.verbose:  # the faults are part of the show and told of in plain words
        for logger in ("velas", "velas_cryptofeed"):
            logging.getLogger(logger).setLevel(logging.ERROR)
    name = common.exchange or "binance_spot"
    if name not in _MARKETS:
        raise click.UsageError(f"the demo plays {' or '.join(_MARKETS)}, not {name!r}")
    if common.config is not None:
        raise click.UsageError("the demo has settings of its own and takes no --config")
    with _folder(common.data_dir) as folder, _venue(name) as venue:
        settings = _settings(name, venue.rest_url, folder.path)
        tell = _Teller(quiet=common.as_json)
        told = _play(settings, venue, tell)
        if told is None:
            return INTERRUPTED
        kept = folder.keep = folder.keep or keep
        elapsed_s = time.monotonic() - began
        if common.as_json:
            emit_json(_document(told, settings, elapsed_s, kept=kept))
        else:
            _end(told, settings, elapsed_s, tell, kept=kept)
    return DONE if told.ok else FAILED


@attrs.define
class _Folder:
    path: Path
    keep: bool


@contextmanager
def _folder(given: Path | None) -> Iterator[_Folder]:
    """Yield where the files go; one of the demo's own goes with it unless it is to be kept."""
    if given is not None:
        # made-up candles must never end up among real ones
        if given.exists() and (not given.is_dir() or any(given.iterdir())):
            raise ConfigError(f"--data-dir {str(given)!r} must be an empty folder for the demo")
        yield _Folder(given, keep=True)
        return
    folder = _Folder(Path(tempfile.mkdtemp(prefix="velas-demo-")), keep=False)
    try:
        yield folder
    finally:
        if not folder.keep:
            shutil.rmtree(folder.path, ignore_errors=True)


@contextmanager
def _venue(name: str) -> Iterator[StandInVenue]:
    from velas.testing import GeneratedCandles, StandInVenue

    candles = GeneratedCandles(seed=7, outages={"BTCUSDT": [_outage()]})
    with StandInVenue(_MARKETS[name], candles=candles, faults=_faults()).in_thread() as venue:
        yield venue


def _outage() -> tuple[int, int]:
    day_ms = time.time_ns() // 1_000_000 // _DAY_MS * _DAY_MS - 10 * _DAY_MS
    return day_ms + 6 * _HOUR_MS, day_ms + 10 * _HOUR_MS


def _faults() -> FaultPlan:
    from velas.testing import Fault, FaultPlan

    return FaultPlan.script(
        [
            *[None] * 4,
            Fault.reset(),
            None,
            Fault.server_error(503),
            None,
            Fault.too_many(1.0),
            None,
            Fault.truncated(),
        ],
        path="klines",
    )


def _settings(name: str, rest_url: str, folder: Path) -> Settings:
    from velas.config import load_settings

    try:
        text = resources.files("velas_config").joinpath("demo.yaml")
        with resources.as_file(text) as path:
            # environ: nothing of the user's environment may lead to a real venue or account
            settings = load_settings(
                path, environ={}, exchange=name, rest={"url": rest_url}, data_dir=folder
            )
    except ModuleNotFoundError as error:
        raise ConfigError(f"the shipped demo.yaml is not installed: {error}") from error
    check_writable(settings)
    return settings


def _play(settings: Settings, venue: StandInVenue, tell: _Teller) -> _Told | None:
    """Run the steps; None when the user stopped it."""
    _introduce(settings, venue, tell)
    first = _download(settings, tell, update=False)
    if first is None:
        return None
    faults = [str(one.fault.kind) for one in list(venue.requests) if one.fault is not None]
    tell(
        f"The exchange misbehaved {len(faults)} times ({', '.join(faults)});\n"
        f"{count(first[1].usage.retries)} requests were repeated, nothing was lost."
    )
    tell("\n2. Ask again. What is stored, and what the exchange does not have, is known.")
    second = _download(settings, tell, update=True)
    if second is None:
        return None
    told = _looked_at(settings, venue, first, second, faults)
    _show(told, tell)
    live = _live(settings, tell)
    if live is None:
        return None
    _tell_live(live, tell)
    orders = _orders(settings, venue, tell)
    return attrs.evolve(told, live=live, orders=orders, backtest=_backtest(settings, tell))


def _tell_live(live: LiveTold, tell: _Teller) -> None:
    from velas.cli.demo_live import tell_live

    tell_live(live, tell)


def _orders(settings: Settings, venue: StandInVenue, tell: _Teller) -> OrdersTold:
    from velas.cli.demo_orders import play_orders, tell_orders

    tell("\n7. Judge an order that breaks rules, and place the nearest legal one, twice.")
    tell("   $ velas check-order BTCUSDT --side buy --type limit --quantity 0.0123456 ...\n")
    told = play_orders(settings, venue)
    tell_orders(told, tell)
    return told


def _backtest(settings: Settings, tell: _Teller) -> BacktestTold:
    from velas.cli.demo_backtest import play_backtest

    tell("\n8. A backtest over what was downloaded, and pictures of it.")
    tell("   (of the commands: velas backtests, velas plot, velas coverage)\n")
    return play_backtest(settings)


def _live(settings: Settings, tell: _Teller) -> LiveTold | None:
    from velas.cli.demo_live import play_live

    tell("\n6. Stream live candles, a minute in a second, over a socket that is cut.")
    tell("   $ velas stream --interval 1m\n")
    return play_live(settings, _MARKETS[settings.exchange], tell)


def _introduce(settings: Settings, venue: StandInVenue, tell: _Teller) -> None:
    outage_ms, over_ms = _outage()
    tell(
        f"A stand-in for {settings.exchange} listens on {venue.rest_url}: real HTTP, the\n"
        "exchange's own limits and error codes, made-up prices. It misbehaves on purpose,\n"
        f"and BTCUSDT did not trade from {moment(outage_ms)} to {moment(over_ms)[-5:]}."
    )
    tell("\n1. Fetch a month of three pairs at three intervals.")


def _download(settings: Settings, tell: _Teller, *, update: bool) -> tuple[Plan, Report] | None:
    tell(f"   $ velas download{' --update' if update else ''}\n")
    fetched: Fetched = asyncio.run(fetch(settings, _planner(settings, update=update)))
    if fetched.error is not None:
        raise fetched.error
    plan, report = fetched.plan, fetched.report
    if plan is None or report is None or report.interrupted:
        return None
    if not tell.quiet:
        show_report(report, as_json=False)
    return plan, report


def _planner(settings: Settings, *, update: bool) -> Planner:
    async def plan(place: Workplace) -> Plan:
        from velas.config import load_pairs
        from velas.history import Wanted, make_plan
        from velas.interval import Interval

        wanted = Wanted(
            symbols=[pair.symbol for pair in load_pairs(settings)],
            intervals=[Interval(name) for name in settings.history.intervals],
            months=settings.history.months,
            update=update,
        )
        return await make_plan(place.exchange, place.store, place.ledger, wanted)

    return plan


def _looked_at(
    settings: Settings,
    venue: StandInVenue,
    first: tuple[Plan, Report],
    second: tuple[Plan, Report],
    faults: list[str],
) -> _Told:
    with open_shelf(settings) as shelf:
        series = shelf.store.series()
        rows_equal, differing = _compare(venue, first[0], second[0], shelf)
        return _Told(
            download=first[1],
            update=second[1],
            checked=[check_series(shelf, one) for one in series],
            stats=[shelf.store.get_stats(one.symbol, one.interval) for one in series],
            rows_equal=rows_equal,
            differing=differing,
            faults=faults,
        )


def _compare(venue: StandInVenue, first: Plan, second: Plan, shelf: Shelf) -> tuple[int, list[str]]:
    """Compare every stored row with the venue's own series, all eleven columns."""
    from velas import frames

    equal, differing = 0, []
    for began, ended in zip(first.series, second.series, strict=True):
        stored = shelf.store.load(began.symbol, began.interval)
        theirs = venue.frame(
            began.symbol, began.interval.name, start_ms=began.start_ms, end_ms=ended.end_ms
        )
        if len(stored) and frames.digest(stored) == frames.digest(theirs):
            equal += len(stored)
        else:
            differing.append(f"{began.symbol} {began.interval}")
    return equal, differing


def _show(told: _Told, tell: _Teller) -> None:
    if tell.quiet:
        return
    tell("\n3. Read every byte and row again.\n   $ velas verify\n")
    show_checked(told.checked)
    tell("\n4. What is there now.\n   $ velas stats\n")
    show_stats(told.stats)
    tell("\n5. Compare every stored row with the exchange's own candles, all eleven columns.\n")
    if told.differing:
        tell(f"DIFFERENT: {', '.join(told.differing)}")
    else:
        tell(f"{count(told.rows_equal)} rows x 11 columns: all equal.")


def _end(told: _Told, settings: Settings, elapsed_s: float, tell: _Teller, *, kept: bool) -> None:
    from velas.cli.demo_backtest import tell_backtest

    if told.backtest is not None:
        tell_backtest(told.backtest, settings, tell, kept=kept)
    if kept:
        tell(f"Look at them: velas --data-dir {settings.data_dir} stats (or backtests)")
    else:
        tell("The files lay in a temporary folder and are gone; --keep keeps them.")
    verdict = "All is well" if told.ok else "SOMETHING IS WRONG"
    tell(f"{verdict}; the demo took {elapsed_s:.1f} s.")


def _document(
    told: _Told, settings: Settings, elapsed_s: float, *, kept: bool
) -> dict[str, object]:
    from velas.cli.demo_backtest import backtest_document
    from velas.cli.demo_live import live_document
    from velas.cli.demo_orders import orders_document

    return {
        "ok": told.ok,
        "download": report_document(told.download),
        "update": report_document(told.update),
        "verify": verify_document(told.checked, settings.exchange),
        "rows_equal": told.rows_equal,
        "differing": told.differing,
        "faults": told.faults,
        "live": None if told.live is None else live_document(told.live),
        "orders": None if told.orders is None else orders_document(told.orders),
        "backtest": None if told.backtest is None else backtest_document(told.backtest, kept=kept),
        "data_dir": str(settings.data_dir) if kept else None,
        "elapsed_s": round(elapsed_s, 3),
    }


@attrs.frozen
class _Teller:
    quiet: bool

    def __call__(self, text: str) -> None:
        if not self.quiet:
            write(text)
