from __future__ import annotations

import datetime as dt
import pickle
import zoneinfo
from typing import Any

import backtrader as bt
import pytest
from btkit import candles, played

from velas.errors import ConfigError
from velas_backtrader import CandleData
from velas_backtrader._zones import zone_of

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
# clocks are set forward at 01:00 UTC of 2024-03-31, and back at that of 2024-10-27
SPRING, AUTUMN = 1_711_843_200_000, 1_729_987_200_000
MODES: list[dict[str, Any]] = [{}, {"preload": False}, {"exactbars": 1}]


class Clock(bt.Strategy):  # type: ignore[misc]
    """Writes down what the data, and the strategy itself, say of the time."""

    def __init__(self) -> None:
        self.of_data: list[dt.datetime] = []
        self.own: list[dt.datetime] = []

    def next(self) -> None:
        self.of_data.append(self.data.datetime.datetime())
        self.own.append(self.datetime.datetime())


def hours(start_ms: int, **options: Any) -> CandleData:
    return CandleData(candles(4, "1h", start_ms=start_ms), "BTCUSDT", "1h", **options)


def shown(start_ms: int) -> list[dt.datetime]:
    ends = [start_ms // 1000 + 3600 * number for number in range(1, 5)]
    return [dt.datetime.fromtimestamp(end, BERLIN).replace(tzinfo=None) for end in ends]


@pytest.mark.parametrize("modes", MODES, ids=str)
@pytest.mark.parametrize("start_ms", [SPRING, AUTUMN])
@pytest.mark.parametrize("tz", ["Europe/Berlin", BERLIN], ids=["name", "zone"])
def test_zone_of_a_feed_shows_its_times(tz: Any, start_ms: int, modes: dict[str, Any]) -> None:
    strategy = played([hours(start_ms, tz=tz)], Clock, **modes)
    assert [one.replace(fold=0) for one in strategy.of_data] == shown(start_ms)
    assert strategy.own[0] == dt.datetime.fromtimestamp(start_ms / 1000 + 3600, dt.UTC).replace(
        tzinfo=None
    )


@pytest.mark.parametrize("start_ms", [SPRING, AUTUMN])
@pytest.mark.parametrize("tz", ["Europe/Berlin", BERLIN, 0], ids=["name", "zone", "of the data"])
def test_zone_of_cerebro_shows_the_times_of_strategies(tz: Any, start_ms: int) -> None:
    strategy = played([hours(start_ms, tz=BERLIN)], Clock, tz=tz)
    assert [one.replace(fold=0) for one in strategy.own] == shown(start_ms)


def test_zone_that_is_added_later_counts_too() -> None:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(hours(SPRING))
    cerebro.addstrategy(Clock)
    cerebro.addtz("Europe/Berlin")
    assert cerebro.run()[0].own == shown(SPRING)


def test_dates_that_bound_the_bars_are_of_the_zone() -> None:
    bounds = {"fromdate": dt.datetime(2024, 3, 31, 4), "todate": dt.datetime(2024, 3, 31, 5)}
    assert played([hours(SPRING, tz=BERLIN, **bounds)], Clock).of_data == shown(SPRING)[1:3]
    zoned = {name: date.replace(tzinfo=BERLIN) for name, date in bounds.items()}
    for tz in (BERLIN, "Asia/Tokyo", dt.UTC):
        data = hours(SPRING, tz=tz, **zoned)
        assert len(played([data], Clock).of_data) == 2


def test_resampled_candles_show_the_zone_and_stay_on_the_grid() -> None:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(hours(AUTUMN, tz="Europe/Berlin"))
    cerebro.resampledata(cerebro.datas[0], timeframe=bt.TimeFrame.Minutes, compression=120)
    cerebro.addstrategy(Clock)
    cerebro.run()
    made = cerebro.datas[1]
    assert list(made.lines.timestamp.array) == [AUTUMN, AUTUMN + 7_200_000]
    assert made.num2date(made.lines.datetime.array[0]) == dt.datetime(2024, 10, 27, 3)


@pytest.mark.parametrize("tz", ["Europe/Berlim", "../etc/passwd", "", 5.0])
def test_zone_that_is_none_is_refused(tz: Any) -> None:
    with pytest.raises(ConfigError, match=r"^tz .*Europe/Berlin"):
        hours(SPRING, tz=tz)
    with pytest.raises(ConfigError, match=r"^tz .*Europe/Berlin"):
        played([hours(SPRING)], Clock, tz=tz)


@pytest.mark.parametrize("zone", [BERLIN, dt.UTC, dt.timezone(dt.timedelta(hours=2))], ids=str)
def test_zone_says_what_the_one_inside_does(zone: dt.tzinfo) -> None:
    ours = pickle.loads(pickle.dumps(zone_of(zone)))
    for at in range(AUTUMN // 1000 - 7_200, AUTUMN // 1000 + 14_400, 1_800):
        theirs, got = (dt.datetime.fromtimestamp(at, one) for one in (zone, ours))
        assert got.replace(tzinfo=None) == theirs.replace(tzinfo=None)
        for name in ("utcoffset", "dst", "tzname"):
            assert getattr(got, name)() == getattr(theirs, name)()
        assert got.timestamp() == at
    assert "Zone(" in repr(ours)


def test_zone_of_pytz_is_taken_as_it_is() -> None:
    class Theirs:
        def localize(self, moment: dt.datetime) -> dt.datetime:
            return moment

    theirs = Theirs()
    assert zone_of(theirs) is theirs
