"""What proves that a silent stream ought to have spoken."""

from __future__ import annotations

import attrs
import pytest

from velas.models import Candle
from velas.stream.probe import _is_news

HEARD = Candle(
    *("BTC/USDT", "1m", 60_000, 1.0, 1.0, 1.0, 1.0, 5.0, 119_999, 5.0, 10, 1.0, 1.0),
    is_closed=False,
)


@pytest.mark.parametrize(
    ("said", "heard", "news"),
    [
        ({}, None, True),
        ({"trades": 0, "volume": 0.0}, None, False),
        ({"trades": None, "volume": 0.0}, None, False),
        ({"trades": None, "volume": 2.0}, None, True),
        ({}, HEARD, False),
        ({"trades": 11}, HEARD, True),
        ({"trades": 9}, HEARD, False),
        ({"timestamp": 120_000, "trades": 1}, HEARD, True),
        ({"timestamp": 120_000, "trades": 0, "volume": 0.0}, HEARD, False),
        ({"timestamp": 0, "trades": 99}, HEARD, False),
        ({"trades": None, "volume": 6.0}, HEARD, True),
        ({"trades": None, "volume": 5.0}, HEARD, False),
    ],
)
def test_is_news_by_slot_then_trades_then_volume(
    said: dict[str, object], heard: Candle | None, news: bool
) -> None:
    assert _is_news(attrs.evolve(HEARD, **said), heard) is news  # type: ignore[arg-type]
