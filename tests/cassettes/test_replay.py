"""The committed recordings played through the adapters, with everything cut off."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from ccxt_dialects import ohlcv_at
from click.testing import CliRunner, Result

from velas import frames
from velas.cli import cli
from velas.interval import Interval
from velas.testing import GeneratedCandles, ManualClock, StandInVenue
from velas_parquet import ParquetStore
from velas_replay import ReplayExchange
from velas_replay._session import SESSIONS
from velas_replay.record import STAND_IN_MS, STAND_IN_SEED, STAND_IN_SYMBOLS

HOUR = 3_600_000
Velas = Callable[..., Result]
binances = pytest.mark.parametrize("name", ["binance_spot", "binance_futures"])


def truth_of(name: str) -> StandInVenue:
    """The venue the recordings were made against; not started, only asked."""
    return StandInVenue(
        "spot" if name == "binance_spot" else "futures",
        candles=GeneratedCandles(STAND_IN_SEED),
        clock=ManualClock(STAND_IN_MS),
    )


async def test_machine_is_cut_off() -> None:
    with (
        socket.socket() as plain,
        pytest.raises(AssertionError, match="tried to connect"),
    ):
        plain.connect(("127.0.0.1", 9))
    async with aiohttp.ClientSession() as session:
        with pytest.raises(AssertionError, match="tried to connect"):
            await session.get("http://127.0.0.1:9/")


@pytest.mark.parametrize(
    ("name", "session", "symbols"),
    [
        ("binance_spot", "tour", STAND_IN_SYMBOLS),
        ("binance_spot", "download", STAND_IN_SYMBOLS),
        ("binance_futures", "tour", STAND_IN_SYMBOLS),
        ("binance_futures", "download", STAND_IN_SYMBOLS),
        ("kraken", "tour", ["BTC/USDT"]),
    ],
)
async def test_session_replays_whole(
    folder: Path, name: str, session: str, symbols: list[str]
) -> None:
    async with ReplayExchange(folder / name / f"{session}.yaml", exchange=name) as exchange:
        await SESSIONS[session](exchange, symbols)


@binances
async def test_tour_of_every_interval_equals_the_venue(folder: Path, name: str) -> None:
    truth = truth_of(name)
    async with ReplayExchange(folder / name / "tour.yaml", exchange=name) as exchange:
        for interval in exchange.capabilities.intervals:
            page = await exchange.fetch_candles("BTC/USDT", interval, limit=5)
            first, last = (int(page["timestamp"].iloc[at]) for at in (0, -1))
            expected = truth.frame("BTCUSDT", interval, start_ms=first, end_ms=last + 1)
            assert len(page) == 5, interval
            assert tuple(page.columns) == frames.COLUMNS
            assert frames.digest(page) == frames.digest(expected), interval


@binances
async def test_tour_markets_time_trades_and_book_are_there(folder: Path, name: str) -> None:
    async with ReplayExchange(folder / name / "tour.yaml", exchange=name) as exchange:
        assert await exchange.server_time_ms() == STAND_IN_MS
        assert {market.id for market in (await exchange.markets()).values()} == {
            "BTCUSDT",
            "ETHUSDT",
        }
        trades = await exchange.fetch_trades("BTC/USDT", limit=20)
        assert len(trades) == 20
        ticker = await exchange.fetch_book_ticker("BTC/USDT")
        assert 0 < ticker.bid < ticker.ask


async def test_kraken_tour_candles_equal_the_venue(folder: Path) -> None:
    async with ReplayExchange(folder / "kraken" / "tour.yaml", exchange="kraken") as exchange:
        assert await exchange.server_time_ms() == STAND_IN_MS // 1000 * 1000
        page = await exchange.fetch_candles("BTC/USDT", "1h", limit=5)
    opens = [int(value) for value in page["timestamp"]]
    last = STAND_IN_MS // HOUR * HOUR - HOUR
    assert opens == [last - n * HOUR for n in (4, 3, 2, 1, 0)]
    rows = page[["open", "high", "low", "close", "volume"]].itertuples(index=False, name=None)
    assert list(rows) == [ohlcv_at(at, HOUR) for at in opens]


# -- the command, from a configuration file -------------------------------------------


@pytest.fixture(params=["binance_spot", "binance_futures"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def velas(folder: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Velas:
    """Run the command with a configuration that plays one recording."""
    for variable in ("EXCHANGE", "REST_URL", "DATA_DIR", "DB_PATH", "VELAS_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    config = tmp_path / "config.yaml"
    config.write_text(
        f"exchange: replay\n"
        f"data_dir: {json.dumps(str(tmp_path / 'data'))}\n"
        f"replay:\n"
        f"  exchange: {name}\n"
        f"  recording: {json.dumps(str(folder / name / 'download.yaml'))}\n"
    )

    def run(*args: str) -> Result:
        return CliRunner().invoke(cli, ["--config", str(config), *args])

    return run


def _hours(name: str) -> tuple[int, int]:
    day = 24 * HOUR
    end_ms = STAND_IN_MS // day * day
    rows = {"binance_spot": 1005, "binance_futures": 504}[name]
    return (end_ms - rows * HOUR) // day * day, end_ms


def test_download_of_the_recorded_hours_stores_the_venue_s_candles(
    velas: Velas, name: str, tmp_path: Path
) -> None:
    start_ms, end_ms = _hours(name)
    hours = ("--symbol", "BTCUSDT", "--interval", "1h")
    bounds = ("--start", f"{_date(start_ms)}", "--end", f"{_date(end_ms)}")
    result = velas("download", *hours, *bounds)
    assert result.exit_code == 0, result.output
    stored = ParquetStore(tmp_path / "data" / "candles" / "replay").load("BTCUSDT", "1h")
    expected = truth_of(name).frame("BTCUSDT", "1h", start_ms=start_ms, end_ms=end_ms)
    assert len(stored) == (end_ms - start_ms) // HOUR
    assert frames.digest(stored) == frames.digest(expected)


def test_download_of_the_default_months_is_the_same_on_any_day(
    velas: Velas, name: str, tmp_path: Path
) -> None:
    days = ("download", "--symbol", "BTCUSDT", "--interval", "1d")
    result = velas("--json", *days)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["series"][0]["rows_added"] == 365
    stored = ParquetStore(tmp_path / "data" / "candles" / "replay").load("BTCUSDT", "1d")
    first = int(stored["timestamp"].iloc[0])
    expected = truth_of(name).frame("BTCUSDT", "1d", start_ms=first, end_ms=STAND_IN_MS)
    assert frames.digest(stored) == frames.digest(expected)
    again = velas("--json", *days, "--update")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["requests"] == 2  # the clock and the listing


def test_stats_and_verify_of_a_replayed_download_are_clean(velas: Velas) -> None:
    assert velas("download", "--symbol", "BTCUSDT", "--interval", "1d").exit_code == 0
    stats = velas("stats")
    assert stats.exit_code == 0, stats.output
    assert "365" in stats.output
    verified = velas("--json", "verify")
    assert verified.exit_code == 0, verified.output
    assert json.loads(verified.stdout)["ok"] is True


def test_download_of_what_is_not_recorded_says_so_once(velas: Velas) -> None:
    result = velas("download", "--symbol", "ETHUSDT", "--interval", "1h", "--months", "1")
    assert result.exit_code == 1, result.output
    assert "not in the recording" in result.output
    assert "Traceback" not in result.output


def _date(ms: int) -> str:
    from velas.dates import iso

    return iso(ms)


def test_recorded_hours_begin_on_the_grid(name: str) -> None:
    assert all(Interval("1d").floor(at) == at for at in _hours(name))
