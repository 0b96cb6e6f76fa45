"""Two results beside each other, and one beside what is stored."""

from __future__ import annotations

import attrs
from backtested import a_result, a_trade
from fakes import HOUR, FakeStore, candles

from velas import frames
from velas.backtests import DataUsed, check_data, compare


def test_results_that_came_to_the_same_are_the_same_whatever_the_version() -> None:
    found = compare(a_result(), a_result(created_ms=5, versions={"velas": "9"}))
    assert found.same
    assert found.inputs == (("versions.velas", "0.1.0", "9"),)


def test_comparison_names_inputs_figures_and_the_first_trade_that_differ() -> None:
    other = a_result(
        parameters={"fast": 6, "slow": 20, "stop": 0.1},
        trades=(a_trade(0), a_trade(1, exit_price=90.0), a_trade(2)),
        value=990.0,
    )
    found = compare(a_result(), other)
    assert not found.same
    assert found.inputs == (("parameters.fast", 5, 6), ("parameters.stop", None, 0.1))
    assert {name for name, _, _ in found.figures} >= {"trades", "net", "value"}
    assert found.first_trade == (1, a_trade(1), a_trade(1, exit_price=90.0))


def test_trade_that_one_lacks_is_the_first_that_differs() -> None:
    found = compare(a_result(), a_result(trades=(a_trade(0),)))
    assert found.first_trade == (1, a_trade(1), None)


def test_data_are_same_changed_or_missing() -> None:
    store = FakeStore()
    frame = candles([n * HOUR for n in range(11)])
    store.save(frame, "BTCUSDT", "1h")
    digest = frames.digest(frame.iloc[1:10])
    used = DataUsed("BTCUSDT", "1h", HOUR, 9 * HOUR, 9, digest, "binance_spot")
    there = a_result(data=(used,))
    (same,) = check_data(there, lambda exchange: store)
    assert (same.verdict, same.rows) == ("same", 9)
    (changed,) = check_data(
        attrs.evolve(there, data=(attrs.evolve(used, digest="0"),)), lambda exchange: store
    )
    assert changed.verdict == "changed"
    gone = attrs.evolve(used, symbol="ETHUSDT")
    (missing,) = check_data(attrs.evolve(there, data=(gone,)), lambda exchange: store)
    assert (missing.verdict, missing.rows, missing.digest) == ("missing", 0, None)
