"""The exchange `replay` with nothing but a tape: in a settings file, and in a bot."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import orjson
import pytest
from click.testing import CliRunner, Result

import velas
from velas.cli import cli
from velas.errors import ConfigError, Unsupported
from velas.models import Candle, Trade
from velas.status import Status
from velas.tape import PART, TapeWriter, load_tape

MINUTE = 60_000
BTC, ETH = "BTC/USDT", "ETH/USDT"
LIVE = Path(__file__).parents[2] / "cassettes" / "binance_spot" / "live.tape"
LOGGERS = (None, "velas", "velas_cryptofeed", "velas_replay")


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """The spot tape as it would be had it been recorded without --with-rest."""
    return copy_frames(tmp_path / "plain.tape").path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Result]]:
    """Run `velas stream` over a tape, by a settings file."""
    for name in ("EXCHANGE", "DATA_DIR", "DB_PATH", "VELAS_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    handlers = list(logging.getLogger().handlers)
    levels = {name: logging.getLogger(name).level for name in LOGGERS}

    def stream(tape: Path, *options: str, exchange: str = "binance_spot") -> Result:
        lines = ("exchange: replay", "replay:", f"  tape: {tape}", f"  exchange: {exchange}")
        Path("replay.yaml").write_text("\n".join(lines))
        return CliRunner().invoke(cli, ["--config", "replay.yaml", "-v", "stream", *options])

    yield stream
    logging.getLogger().handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def copy_frames(path: Path, *, finished: bool = True) -> TapeWriter:
    tape = load_tape(LIVE)
    writer = TapeWriter(path, attrs.evolve(tape.header, rest=False))
    for frame in tape.frames():
        writer.write(frame)
    writer.flush()
    if finished:
        writer.close()
    return writer


def closed_in(path: Path, symbol: str) -> list[int]:
    """Return the open times of the closed candles that the frames hold."""
    found: dict[int, None] = {}
    for frame in load_tape(path).frames():
        data = orjson.loads(frame.data)["data"] if frame.kind == "text" else {}
        if data.get("e") == "kline" and data["k"]["x"] and data["s"] == symbol.replace("/", ""):
            found[data["k"]["t"]] = None
    return list(found)


def settings(tape: Path, exchange: str = "binance_spot") -> velas.Settings:
    return velas.load_settings(
        environ={}, exchange="replay", replay={"tape": tape, "exchange": exchange}
    )


async def told(tape: Path) -> list[object]:
    """Write down, as a bot would, what may not differ from run to run."""
    chosen = settings(tape)
    async with velas.open_exchange(chosen) as exchange:
        found: list[object] = [await exchange.server_time_ms()]
        async with velas.open_stream(chosen, exchange) as stream:
            stream.subscribe("candles", [BTC, ETH], intervals=["1m"])
            stream.subscribe("trades", [BTC])
            async for event in stream.events():
                if not isinstance(event, Candle) or event.is_closed:
                    found.append(event)
    return found


# --- velas stream


def test_stream_over_a_tape_without_rest_shows_its_closed_candles(run, plain: Path) -> None:
    result = run(plain, "--symbol", BTC, "--interval", "1m")
    assert result.exit_code == 0, result.stderr
    shown = [line for line in result.stdout.splitlines() if f"{BTC} 1m" in line]
    assert len(shown) == len(closed_in(plain, BTC)) >= 2
    assert "no REST part; record with --with-rest" in result.stderr
    assert "Traceback" not in result.output


def test_stream_of_an_interval_the_tape_lacks_names_those_it_has(run, plain: Path) -> None:
    result = run(plain, "--symbol", BTC, "--interval", "5m")
    assert result.exit_code == 2
    assert "no interval 5m; it has 1m" in result.stderr


def test_stream_over_a_tape_of_another_exchange_is_one_clear_error(run, plain: Path) -> None:
    result = run(plain, "--symbol", BTC, exchange="binance_futures")
    assert result.exit_code == 2
    (said,) = result.stderr.splitlines()
    assert "recorded from 'binance_spot', and replay.exchange is 'binance_futures'" in said


def test_stream_over_an_unfinished_tape_shows_what_is_there(run, tmp_path: Path) -> None:
    writer = copy_frames(tmp_path / "x.tape", finished=False)
    part = tmp_path / f"x.tape{PART}"
    result = run(part, "--symbol", BTC, "--interval", "1m")
    writer.discard()
    assert result.exit_code == 0, result.stderr
    assert f"{BTC} 1m" in result.stdout
    assert "cut short" in result.stderr


# --- the exchange


async def test_tape_without_rest_refuses_requests_and_says_how_to_record_them(plain: Path) -> None:
    async with velas.open_exchange(settings(plain)) as exchange:
        assert exchange.capabilities.intervals == ("1m",)
        assert not exchange.capabilities.trades
        with pytest.raises(Unsupported, match="this tape has no REST part; record with --with-"):
            await exchange.fetch_candles(BTC, "1m")
        with pytest.raises(Unsupported, match="no REST part"):
            exchange.iter_candles(BTC, "1m", start_ms=0, end_ms=MINUTE)
        with pytest.raises(Unsupported, match="no REST part"):
            await exchange.fetch_trades(BTC)
        with pytest.raises(Unsupported, match="no REST part"):
            await exchange.fetch_book_ticker(BTC)
        with pytest.raises(Unsupported, match="no 1h candles; it has 1m"):
            await exchange.fetch_candles(BTC, "1h")


async def test_tape_of_another_exchange_is_refused_by_the_exchange_too(plain: Path) -> None:
    async with velas.open_exchange(settings(plain, "binance_futures")) as exchange:
        with pytest.raises(ConfigError, match=r"recorded from 'binance_spot'.* set it to binance_"):
            await exchange.market(BTC)


async def test_tape_exchange_shows_no_later_time_than_the_tapes_before_a_feed_is_opened() -> None:
    tape = load_tape(LIVE)
    async with velas.open_exchange(settings(LIVE)) as exchange:
        assert await exchange.server_time_ms() == tape.header.started_ms
        frame = await exchange.fetch_candles(BTC, "1m")
        assert len(frame) > 10
        assert frame["close_time"].max() < tape.header.started_ms


# --- a bot


@pytest.mark.parametrize("rest", [True, False])
async def test_bot_over_a_tape_is_told_the_same_every_time(plain: Path, rest: bool) -> None:
    tape = LIVE if rest else plain
    first = await asyncio.wait_for(told(tape), 30)
    assert first == await asyncio.wait_for(told(tape), 30)
    assert sum(isinstance(one, Status) for one in first) > 4
    assert sum(isinstance(one, Trade) for one in first) > 100
    for symbol in (BTC, ETH):
        candles = [one for one in first if isinstance(one, Candle) and one.symbol == symbol]
        assert [one.timestamp for one in candles] == closed_in(tape, symbol)
