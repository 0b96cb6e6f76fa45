"""Recording: the command, what it refuses, and that what it writes plays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from click.testing import CliRunner

from velas.errors import ConfigError, ExchangeError
from velas.protocols import Exchange
from velas_replay import NotRecorded, ReplayExchange
from velas_replay.record import main

Recorder = Callable[..., int]
ORIGINAL = aiohttp.ClientSession._request


def run(*args: str) -> Any:
    return CliRunner().invoke(main, args)


def _answers(path: Path) -> dict[str, str]:
    interactions = yaml.safe_load(path.read_text("utf-8"))["interactions"]
    return {one["request"]["uri"]: one["response"]["body"]["string"] for one in interactions}


@pytest.mark.parametrize("exchange", ["binance_spot", "binance_futures"])
def test_command_with_the_stand_in_makes_the_committed_files(exchange: str, tmp_path: Path) -> None:
    result = run("--exchange", exchange, "--stand-in", "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "tour.yaml" in result.output
    committed = Path(__file__).parents[2] / "cassettes" / exchange
    assert sorted(path.name for path in tmp_path.iterdir()) == ["download.yaml", "tour.yaml"]
    for path in tmp_path.iterdir():
        assert _answers(path) == _answers(committed / path.name), (
            f"{path.name} is out of date: python -m velas_replay.record "
            f"--exchange {exchange} --stand-in"
        )


def test_command_without_a_venue_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    closed = "http://127.0.0.1:1"
    result = run("--exchange", "binance_spot", "--rest-url", closed, "--out", str(tmp_path))
    assert result.exit_code == 1
    assert "error:" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--exchange", "kraken", "--stand-in"), "binance_spot or binance_futures"),
        (("--exchange", "binance_spot", "--stand-in", "--rest-url", "http://x"), "exclude"),
        (("--exchange", "nowhere"), "nowhere"),
    ],
)
def test_command_with_impossible_options_is_refused(
    options: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    result = run(*options, "--out", str(tmp_path))
    assert result.exit_code != 0
    assert message in result.output
    assert list(tmp_path.iterdir()) == []


async def _raw_request(exchange: Any, path: str, **options: Any) -> None:
    url = exchange._client._url + path
    async with aiohttp.ClientSession() as session:
        await session.get(url, **options)


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("/api/v3/account", {}, "not known to be public"),
        ("/api/v3/time?signature=SESAME", {}, "signed"),
        ("/api/v3/time", {"headers": {"X-MBX-APIKEY": "SESAME"}}, "signed"),
    ],
)
def test_session_that_asks_for_more_is_refused_and_leaves_nothing(
    recorder: Recorder, tmp_path: Path, path: str, options: dict[str, Any], message: str
) -> None:
    async def greedy(exchange: Exchange, symbols: Sequence[str]) -> None:
        try:
            await _raw_request(exchange, path, **options)
        except ConfigError as error:  # an adapter would turn it into an error of its own
            raise ExchangeError("something else") from error

    with pytest.raises(ConfigError, match=message) as caught:
        recorder("binance_spot", tmp_path / "tape.yaml", greedy)
    assert "SESAME" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert aiohttp.ClientSession._request is ORIGINAL


def test_session_during_which_a_candle_closed_is_run_again(
    recorder: Recorder, tmp_path: Path
) -> None:
    runs: list[type] = []

    async def moving(exchange: Exchange, symbols: Sequence[str]) -> None:
        runs.append(type(exchange))
        # as if the hour had changed between the first recording and its trial
        await exchange.fetch_candles(symbols[0], "1h", limit=4 if len(runs) == 2 else 3)

    assert recorder("binance_spot", tmp_path / "tape.yaml", moving) == 3
    assert [one is ReplayExchange for one in runs] == [False, True, False, True]
    assert [path.name for path in tmp_path.iterdir()] == ["tape.yaml"]


def test_session_that_never_asks_the_same_is_not_kept(recorder: Recorder, tmp_path: Path) -> None:
    runs: list[int] = []

    async def restless(exchange: Exchange, symbols: Sequence[str]) -> None:
        runs.append(1)
        await exchange.fetch_candles(symbols[0], "1h", limit=len(runs))

    with pytest.raises(NotRecorded):
        recorder("binance_spot", tmp_path / "tape.yaml", restless)
    assert len(runs) == 6
    assert list(tmp_path.iterdir()) == []


async def test_source_and_markets_are_kept_as_told(recorder: Recorder, tmp_path: Path) -> None:
    async def both(exchange: Exchange, symbols: Sequence[str]) -> None:
        await exchange.markets()

    path = tmp_path / "tape.yaml"
    recorder("binance_spot", path, both, source="a test")
    assert "source: a test" in path.read_text("utf-8")
    async with ReplayExchange(path) as exchange:
        # the stand-in lists two; what is recorded is what the session was about
        assert set(await exchange.markets()) == {"BTC/USDT"}


def test_failed_download_ends_the_recording(recorder: Recorder, tmp_path: Path) -> None:
    from velas_replay._session import download

    async def broken(exchange: Exchange, symbols: Sequence[str]) -> None:
        real = exchange.fetch_candles

        async def fetch(*args: Any, **kwargs: Any) -> Any:
            if kwargs.get("limit") != 1:
                raise ExchangeError("no candles today")
            return await real(*args, **kwargs)

        exchange.fetch_candles = fetch  # type: ignore[method-assign]
        await download(exchange, symbols)

    with pytest.raises(ExchangeError, match="no candles today"):
        recorder("binance_spot", tmp_path / "tape.yaml", broken)
    assert list(tmp_path.iterdir()) == []
