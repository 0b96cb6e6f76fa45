"""A result as a value: what it is named, what it says of itself, what it refuses."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pytest
from backtested import a_result, a_trade

from velas.backtests.result import plain
from velas.errors import ConfigError


def test_result_is_named_by_symbol_strategy_and_interval() -> None:
    result = a_result()
    assert (result.name, result.day) == ("BTCUSDT_Cross_1h", "2025-11-26")


def test_result_counts_what_was_earned() -> None:
    result = a_result()
    assert result.net == pytest.approx(2.3)
    assert result.return_pct == pytest.approx(0.23)
    assert result.won == 2
    assert a_trade(1).net == pytest.approx(0.4)


def test_drawdown_is_the_deepest_fall_from_a_peak() -> None:
    assert a_result().drawdown_pct == pytest.approx(10.0)
    assert a_result(equity=()).drawdown_pct == 0.0
    rising = [(0, 1.0), (1, 2.0), (2, 3.0)]
    assert a_result(equity=rising).drawdown_pct == 0.0
    lost = [(0, 100.0), (1, 0.0), (2, -50.0)]
    assert a_result(equity=lost).drawdown_pct == pytest.approx(150.0)


@pytest.mark.parametrize("name", ["", "a/b", "..", "a\\b", " a", "a\nb", "x:y", ".hidden", "a*"])
def test_strategy_that_cannot_be_in_a_file_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="strategy"):
        a_result(strategy=name)


def test_result_of_no_data_is_refused() -> None:
    with pytest.raises(ConfigError, match="no data"):
        a_result(data=())


def test_plain_makes_json_of_what_analyzers_give() -> None:
    found = plain(
        {
            dt.datetime(2025, 1, 2, 3, tzinfo=dt.UTC): np.float64(1.5),
            "nan": float("nan"),
            "list": (np.int64(3), {"deep": np.bool_(True)}),
            "decimal": Decimal("1.10"),
            3: None,
        }
    )
    assert found == {
        "2025-01-02T03:00:00+00:00": 1.5,
        "nan": None,
        "list": [3, {"deep": True}],
        "decimal": "1.10",
        "3": None,
    }


@pytest.mark.parametrize("name", ["cash", "value"])
@pytest.mark.parametrize("amount", [float("nan"), float("inf")])
def test_amount_that_is_no_number_is_refused(name: str, amount: float) -> None:
    with pytest.raises(ConfigError, match=f"{name} (nan|inf)"):
        a_result(**{name: amount})


def test_equity_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="equity at 7 is nan"):
        a_result(equity=[(0, 1.0), (7, float("nan"))])


def test_plain_has_arrays_sets_bytes_and_functions_as_text_that_stays() -> None:
    found = plain({"array": np.array([[1, 2], [3, 4]]), "set": {"b", "a"}, "f": plain, "raw": b"x"})
    assert found == {"array": [[1, 2], [3, 4]], "set": ["a", "b"], "f": "plain", "raw": "b'x'"}
