"""`velas backtests`: listing, showing and comparing results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from backtested import CREATED_MS, a_result, a_trade
from fakes import HOUR, candles

from velas import frames
from velas.backtests import DataUsed, OpenTrade, save_result


@pytest.fixture
def kept(store_with):
    """Two results of a day; the data of the first are stored."""
    store = store_with({})
    frame = candles([n * HOUR for n in range(400_000, 400_011)])
    store.save(frame, "BTCUSDT", "1h")
    first_ms, last_ms = int(frame["timestamp"].iloc[0]), int(frame["timestamp"].iloc[-1])
    used = DataUsed("BTCUSDT", "1h", first_ms, last_ms, 11, frames.digest(frame), "binance_spot")
    one = save_result(a_result(data=(used,)), "data")
    other = a_result(strategy="Slow", symbol="ETHUSDT", trades=(a_trade(0),), value=950.0)
    return one, save_result(other, "data")


def test_backtests_of_nothing_are_friendly_and_create_nothing(velas):
    result = velas("backtests")
    assert (result.exit_code, "No results" in result.stdout) == (0, True)
    assert json.loads(velas("backtests", "--json").stdout) == {"results": [], "damaged": []}
    assert list(Path().iterdir()) == []


def test_backtests_lists_what_is_kept(velas, kept):
    result = velas("backtests")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == [
        "made", "trades", "return", "drawdown", "result",
    ]  # fmt: skip
    assert lines[1].startswith("15:13 ")
    assert "2025-11-26/BTCUSDT_Cross_1h" in lines[1]
    assert "+0.23 %" in lines[1]
    assert max(map(len, lines)) <= 80


def test_backtests_as_json_has_the_figures(velas, kept):
    (one, other) = json.loads(velas("backtests", "--json").stdout)["results"]
    assert one["file"] == str(kept[0])
    assert (one["symbol"], one["strategy"], one["trades"], one["won"]) == ("BTCUSDT", "Cross", 2, 2)
    assert other["return_pct"] == pytest.approx(-5.0)


@pytest.mark.parametrize(
    ("args", "names"),
    [
        (("--symbol", "ETH/USDT"), ["Slow"]),
        (("--strategy", "Cross"), ["Cross"]),
        (("--interval", "1h"), ["Cross", "Slow"]),
        (("--interval", "1d"), []),
    ],
)
def test_backtests_filters(velas, kept, args, names):
    found = json.loads(velas("backtests", "--json", *args).stdout)["results"]
    assert [one["strategy"] for one in found] == names


def test_damaged_result_is_named_and_hides_no_other(velas, kept):
    kept[1].write_text("{")
    result = velas("backtests")
    assert result.exit_code == 1
    assert "Cross" in result.stdout
    assert "damaged" in result.stderr
    assert len(json.loads(velas("backtests", "--json").stdout)["damaged"]) == 1


@pytest.mark.parametrize("short", [True, False])
def test_backtests_of_one_shows_it_and_that_it_can_be_reproduced(velas, kept, short):
    name = "2025-11-26/BTCUSDT_Cross_1h" if short else str(kept[0])
    result = velas("backtests", name)
    assert result.exit_code == 0, result.output
    for word in (
        "Cross on BTCUSDT 1h",
        "2 trades, 2 won",
        "fast 5, slow 20",
        "it can be reproduced",
    ):
        assert word in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_backtests_of_one_as_json_is_the_whole_of_it(velas, kept):
    found = json.loads(velas("backtests", "--json", str(kept[0])).stdout)
    assert found["reproducible"] is True
    assert found["checks"][0]["verdict"] == "same"
    assert found["result"] == json.loads(kept[0].read_text())


def test_backtests_whose_data_changed_or_are_gone_are_refused(velas, kept, store_with):
    assert velas("backtests", str(kept[1])).exit_code == 1
    store = store_with({})
    store.append(candles([400_003 * HOUR], price=7.0), "BTCUSDT", "1h")
    result = velas("backtests", str(kept[0]))
    assert result.exit_code == 1
    assert "it can NOT be reproduced" in result.stdout
    assert "CHANGED" in result.stdout
    store.delete("BTCUSDT", "1h")
    assert "NOT STORED" in velas("backtests", str(kept[0])).stdout


def test_backtests_of_two_compares_them(velas, kept):
    result = velas("backtests", str(kept[0]), str(kept[1]))
    assert result.exit_code == 1
    for word in ("strategy", "Slow", "net", "number 2"):
        assert word in result.stdout
    found = json.loads(velas("backtests", "--json", str(kept[0]), str(kept[1])).stdout)
    assert found["same"] is False
    assert found["first_trade"]["number"] == 1
    assert found["first_trade"]["second"] is None


def test_backtests_of_the_same_twice_are_the_same(velas, kept):
    result = velas("backtests", str(kept[0]), str(kept[0]))
    assert (result.exit_code, "the same, trade for trade" in result.stdout) == (0, True)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("nowhere",), "no backtest result 'nowhere'"),
        (("a", "b", "c"), "at most two"),
        (("a", "--symbol", "BTCUSDT"), "for the list"),
        (("--interval", "7m"), "7m"),
        (("--symbol", "../x"), "cannot name a series"),
    ],
)
def test_backtests_of_nonsense_is_2(velas, args, said):
    result = velas("backtests", *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_another_result_of_the_day_is_listed_too(velas, kept):
    save_result(a_result(parameters={"fast": 9}, created_ms=CREATED_MS + 1), "data")
    assert len(json.loads(velas("backtests", "--json").stdout)["results"]) == 3


def test_backtests_that_none_is_chosen_of_says_so(velas, kept):
    result = velas("backtests", "--symbol", "XRP/USDT")
    assert result.exit_code == 0
    assert "None of the 2 results is of those." in result.stdout


def test_backtests_finds_a_result_by_the_name_of_its_file_too(velas, kept):
    assert velas("backtests", "2025-11-26/BTCUSDT_Cross_1h.json").exit_code == 0


def test_backtests_of_one_says_what_was_refused_and_what_is_held(velas, kept):
    held = OpenTrade(
        symbol="BTC/USDT", side="long", quantity=0.5, opened_ms=0, entry_price=100.0, pnl=3.0,
        commission=0.5,
    )  # fmt: skip
    save_result(a_result(strategy="Left", open_trades=(held,), orders={"Margin": 11}), "data")
    told = velas("backtests", "2025-11-26/BTCUSDT_Left_1h").stdout
    assert "11 orders REFUSED by the simulated broker" in told
    assert "Held at the end: long 0.5 BTCUSDT from 100, +2.50" in told


def test_backtests_of_a_frame_of_ones_own_cannot_be_compared(velas, kept):
    used = DataUsed("BTCUSDT", "1h", 0, 1, 2, "ab")
    path = save_result(a_result(strategy="Own", data=(used,)), "data")
    result = velas("backtests", str(path))
    assert result.exit_code == 1
    assert "NOT FROM A STORE" in result.stdout
    found = json.loads(velas("backtests", "--json", str(path)).stdout)
    assert (found["reproducible"], found["checks"][0]["verdict"]) == (False, "unknown")


def test_backtests_of_several_symbols_fit_the_terminal(velas, kept):
    trades = (a_trade(0, entry_price=41234.56), a_trade(1, symbol="ETHUSDT", pnl=-1234.5))
    path = save_result(a_result(strategy="Both", trades=trades), "data")
    lines = velas("backtests", str(path)).stdout.splitlines()
    assert any(line.endswith("ETHUSDT") for line in lines)
    assert max(map(len, lines)) <= 80
