"""The fixtures bot authors get, the lazy package, and the command."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

import velas.testing
from velas.testing import StandInVenue
from velas.testing.__main__ import _serve, main

HEAVY = ("aiohttp", "numpy", "pandas", "ccxt")


def _modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_package_import_is_light() -> None:
    assert not _modules_after("import velas.testing").intersection(HEAVY)


def test_plugin_import_is_light() -> None:
    assert not _modules_after("import velas.testing.plugin").intersection(HEAVY)


def test_package_names_all_resolve() -> None:
    for name in velas.testing.__all__:
        assert getattr(velas.testing, name) is not None
    assert dir(velas.testing) == sorted(velas.testing.__all__)


def test_package_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = velas.testing.nothing


def test_venue_does_not_import_ccxt() -> None:
    assert "ccxt" not in _modules_after("from velas.testing import StandInVenue")


def test_fixtures_of_the_plugin_serve_a_bots_tests(tmp_path: Path) -> None:
    (tmp_path / "test_bot.py").write_text(
        "import urllib.request\n"
        "def ask(url):\n"
        "    with urllib.request.urlopen(url) as response:\n"
        "        return response.read()\n"
        "def test_spot(standin_spot):\n"
        "    assert ask(standin_spot.rest_url + '/api/v3/ping') == b'{}'\n"
        "async def test_futures(standin_futures):\n"
        "    assert ask(standin_futures.rest_url + '/fapi/v1/ping') == b'{}'\n"
        "def test_factory(standin_factory):\n"
        "    one = standin_factory('spot', weight_limit=5)\n"
        "    two = standin_factory(symbols=['AUSDT'])\n"
        "    assert (one.weight_limit, two.symbols) == (5, ('AUSDT',))\n"
        "    assert one.rest_url != two.rest_url\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    command += ["-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"]
    command += ["-p", "no:looptime_plugin"]  # it leaves event loops behind
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "3 passed" in run.stdout, run.stdout + run.stderr


def test_command_serves_until_interrupted() -> None:
    command = [sys.executable, "-m", "velas.testing", "--market", "futures", "--faults", "1"]
    command += ["--symbols", "BTCUSDT,ETHUSDT", "--no-limit", "--socket-faults", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            url = line.split(" at ")[1].split()[0]
            assert url.startswith("http://127.0.0.1:")
            assert url.replace("http", "ws") in line
        finally:
            process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
    assert process.returncode == 0


def test_contracts_are_at_hand_by_name() -> None:
    from velas.testing import contracts

    assert contracts.FeedContract.__module__ == "velas.testing.contracts.feed"
    for name in contracts.__all__:
        assert getattr(contracts, name).__name__ == name
    with pytest.raises(AttributeError, match="NoContract"):
        _ = contracts.NoContract


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[StandInVenue]:
    """The venues the command would have served."""
    venues: list[StandInVenue] = []

    async def note(venue: StandInVenue) -> None:
        venues.append(venue)

    monkeypatch.setattr("velas.testing.__main__._serve", note)
    return venues


def test_command_serves_given_files(served: list[StandInVenue], tmp_path: Path) -> None:
    candles = tmp_path / "AUSDT-1h.csv"
    candles.write_text("0,1,1,1,1,1,3599999,1,1,1,1,0\n")
    info = tmp_path / "info.json"
    row = {"symbol": "AUSDT", "baseAsset": "A", "quoteAsset": "USDT", "status": "BREAK"}
    info.write_bytes(orjson.dumps({"symbols": [row]}))
    result = CliRunner().invoke(
        main, ["--klines", str(candles), "--exchange-info", str(info), "--latency", "0.5"]
    )
    assert result.exit_code == 0, result.output
    venue = served[0]
    assert (venue.symbols, venue.candles.symbols) == (("AUSDT",), ("AUSDT",))
    assert (venue.latency_s, venue.weight_limit) == (0.5, 6000)


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_command_bad_exchange_info_is_a_usage_error(
    served: list[StandInVenue], tmp_path: Path, text: str
) -> None:
    path = tmp_path / "info.json"
    path.write_text(text)
    result = CliRunner().invoke(main, ["--exchange-info", str(path)])
    assert (result.exit_code, served) == (2, [])
    assert "Traceback" not in result.output


def test_command_interrupted_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupt(_venue: StandInVenue) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("velas.testing.__main__._serve", interrupt)
    result = CliRunner().invoke(main, [])
    assert (result.exit_code, result.output) == (0, "")


async def test_command_says_where_it_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_serve(StandInVenue()), 0.05)
    assert capsys.readouterr().out.startswith("stand-in spot venue at http://127.0.0.1:")


def test_command_bad_symbol_is_a_usage_error(served: list[StandInVenue]) -> None:
    result = CliRunner().invoke(main, ["--symbols", "HELLO"])
    assert (result.exit_code, served) == (2, [])
    assert "HELLO" in result.output


def test_command_taken_port_is_one_line(standin_factory: Callable[..., StandInVenue]) -> None:
    port = standin_factory().rest_url.rpartition(":")[2]
    result = CliRunner().invoke(main, ["--port", port])
    assert result.exit_code == 1
    assert "cannot listen" in result.output


def test_fixtures_start_real_servers(
    standin_spot: StandInVenue, standin_futures: StandInVenue
) -> None:
    for venue, path in ((standin_spot, "/api/v3/ping"), (standin_futures, "/fapi/v1/ping")):
        with urllib.request.urlopen(venue.rest_url + path) as response:
            assert response.status == 200


def test_command_without_any_symbol_is_refused() -> None:
    result = CliRunner().invoke(main, ["--symbols", " , "])
    assert result.exit_code == 2
    assert "BTCUSDT,ETHUSDT" in result.output
