"""The nouns: frozen, comparable, and able to travel."""

from __future__ import annotations

import inspect
import json
import pickle
from decimal import Decimal

import attrs
import pytest

from velas import models
from velas.errors import ConfigError
from velas.models import (
    AppendResult,
    BookTicker,
    Candle,
    Capabilities,
    Finding,
    Gap,
    Market,
    Order,
    OrderRequest,
    Position,
    SeriesId,
    SeriesStats,
    Subscription,
    Trade,
    Usage,
)

ONE = Decimal(1)
EXAMPLES = [
    Market("BTC/USDT", "BTCUSDT", "BTC", "USDT"),
    Capabilities(intervals=("1h",)),
    Usage(1, 2, 3),
    SeriesId("BTCUSDT", "1h"),
    Candle("BTC/USDT", "1h", 0, 1.0, 2.0, 0.5, 1.5, 10.0, 3_599_999),
    Trade("BTC/USDT", 1, 0, ONE, ONE, True),
    BookTicker("BTC/USDT", ONE, ONE, ONE, ONE),
    Subscription("candles", "BTC/USDT", "1h"),
    OrderRequest("BTC/USDT", "buy", "limit", ONE),
    Position("BTC/USDT:USDT", ONE),
    Order("BTC/USDT", "1", None, "buy", "limit", "open", ONE, ONE, None, None),
    Gap(0, 1, 1),
    Finding("gap", 0, 1, "1 candles missing"),
    AppendResult(1, 0, 1, 0, 0),
    SeriesStats("BTCUSDT", "1h", 0, None, None, 0, 0, 0),
]


def test_examples_cover_every_model() -> None:
    classes = {one for one in vars(models).values() if inspect.isclass(one) and attrs.has(one)}
    assert {type(example) for example in EXAMPLES} == classes


def test_models_all_is_complete() -> None:
    public = {
        name
        for name, value in vars(models).items()
        if inspect.isclass(value) and value.__module__ == models.__name__ and name[0] != "_"
    }
    assert public <= set(models.__all__)
    assert all(hasattr(models, name) for name in models.__all__)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: type(one).__name__)
def test_model_is_frozen(example: attrs.AttrsInstance) -> None:
    field = attrs.fields(type(example))[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(example, field, None)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: type(one).__name__)
def test_model_survives_pickling(example: object) -> None:
    assert pickle.loads(pickle.dumps(example)) == example


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: type(one).__name__)
def test_model_as_dict_is_plain_data(example: attrs.AttrsInstance) -> None:
    assert json.dumps(attrs.asdict(example), default=str)


def test_market_key_is_the_folder_of_its_series() -> None:
    assert Market("BTC/USDT:USDT", "BTCUSDT", "BTC", "USDT", type="swap").key == "BTCUSDT"


def test_market_info_neither_shows_nor_compares() -> None:
    one = Market("A/B", "AB", "A", "B", info={"x": 1})
    assert one == Market("A/B", "AB", "A", "B", info={"x": 2})
    assert "info" not in repr(one)


@pytest.mark.parametrize("rows", [0, -1])
def test_capabilities_page_without_rows_is_refused(rows: int) -> None:
    with pytest.raises(ConfigError, match="page_rows must be positive"):
        Capabilities(intervals=("1h",), page_rows=rows)


def test_usage_since_is_the_difference() -> None:
    assert Usage(10, 20, 3).since(Usage(4, 5, 1)) == Usage(6, 15, 2)


def test_series_id_prints_well() -> None:
    assert str(SeriesId("BTCUSDT", "1h")) == "BTCUSDT 1h"
