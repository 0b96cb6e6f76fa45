"""`velas demo`: the real download, over real HTTP, from a venue that runs in this process."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from velas.cli.checks import Checked, check_series
from velas.cli.exits import DONE, FAILED, INTERRUPTED
from velas.cli.fetching import Fetched, fetch
from velas.cli.options import Common, velas_command
from velas.cli.output import count, emit_json, moment, write
from velas.cli.reports import report_document, show_report
from velas.cli.session import Workplace, check_writable, open_shelf
from velas.cli.stats import show_stats
from velas.cli.verify import show_checked, verify_document
from velas.errors import ConfigError

if TYPE_CHECKING:
    from velas.history import Plan, Report
    from velas.models import SeriesStats
    from velas.settings import Settings
    from velas.testing import FaultPlan, StandInVenue

__all__ = ["command"]

_MARKETS = {"binance_spot": "spot", "binance_futures": "futures"}
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


@attrs.frozen
class _Told:
    """What the demo has to tell when it is over."""

    plan: Plan
    download: Report
    update: Report
    checked: list[Checked]
    stats: list[SeriesStats]
    rows_equal: int
    differing: list[str]
    faults: list[str]

    @property
    def ok(self) -> bool:
        whole = self.download.ok and self.update.ok and all(one.ok for one in self.checked)
        return whole and bool(self.rows_equal) and not self.differing


@velas_command("demo")
@click.option("--keep", is_flag=True, help="Keep what was stored, and say where.")
def command(common: Common, keep: bool) -> int:
    """Show velas at work: no network, no account, nothing left behind.

    Starts a stand-in exchange on this machine that speaks Binance's dialect over real
    HTTP and misbehaves on purpose, downloads from it, asks again, verifies everything and
    compares it with the exchange's own candles. --data-dir (an empty folder) or --keep
    keep the files.
    """
    began = time.monotonic()
    name = common.exchange or "binance_spot"
    if name not in _MARKETS:
        raise click.UsageError(f"the demo plays {' or '.join(_MARKETS)}, not {name!r}")
    if common.config is not None:
        raise click.UsageError("the demo has settings of its own and takes no --config")
    with _folder(common.data_dir, keep=keep) as folder, _venue(name) as venue:
        settings = _settings(name, venue.rest_url, folder)
        told = _play(settings, venue, quiet=common.as_json)
        if told is None:
            return INTERRUPTED
        kept = keep or common.data_dir is not None
        elapsed_s = time.monotonic() - began
        if common.as_json:
            emit_json(_document(told, settings, elapsed_s, kept=kept))
        else:
            _end(told, settings, elapsed_s, kept=kept)
    return DONE if told.ok else FAILED


@contextmanager
def _folder(given: Path | None, *, keep: bool) -> Iterator[Path]:
    if given is not None:
        # made-up candles must never end up among real ones
        if given.exists() and (not given.is_dir() or any(given.iterdir())):
            raise ConfigError(f"--data-dir {str(given)!r} must be an empty folder for the demo")
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="velas-demo-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _venue(name: str) -> Iterator[StandInVenue]:
    from velas.testing import GeneratedCandles, StandInVenue

    candles = GeneratedCandles(seed=7, outages={"BTCUSDT": [_outage()]})
    market = "futures" if name == "binance_futures" else "spot"
    with StandInVenue(market, candles=candles, faults=_faults()).in_thread() as venue:
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


def _play(settings: Settings, venue: StandInVenue, *, quiet: bool) -> _Told | None:
    """Run the steps; None when the user stopped it."""
    tell = (lambda text: None) if quiet else write
    _introduce(settings, venue, tell=tell)
    first = _download(settings, update=False)
    if first is None:
        return None
    plan, report = first
    if not quiet:
        show_report(report, as_json=False)
    faults = [record.fault.kind for record in list(venue.requests) if record.fault is not None]
    tell(f"\nThe exchange misbehaved {len(faults)} times ({', '.join(faults)}); all was healed.")
    tell("\n2. Ask again: what is stored, and what the exchange proved not to have, is known")
    tell("   $ velas download --update\n")
    second = _download(settings, update=True)
    if second is None:
        return None
    tell(
        f"   {count(second[0].requests)} pages to ask for, "
        f"{count(sum(one.rows_added for one in second[1].series))} candles added."
    )
    with open_shelf(settings) as shelf:
        series = shelf.store.series()
        checked = [check_series(shelf, one) for one in series]
        stats = [shelf.store.get_stats(one.symbol, one.interval) for one in series]
        rows_equal, differing = _compare(venue, second[0], plan, shelf.store)
    told = _Told(
        plan, report, second[1], checked, stats, rows_equal, differing, faults
    )
    return told
