"""Generated candles: deterministic, and consistent across intervals and trades."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from velas import frames
from velas.interval import INTERVALS, Interval
from velas.testing import GeneratedCandles, Instrument
from velas.testing.venue.series import Row, Series, select
from velas.testing.venue.tape import Tape
from velas.testing.venue.truth import frame_of

NOW = 1_790_000_012_345
HOUR = 3_600_000
DAY = 24 * HOUR
BTC = Instrument.make("BTCUSDT")


def _newest(series: Series, limit: int, now_ms: int = NOW) -> list[Row]:
    start, stop = select(series, start_ms=None, end_ms=None, limit=limit, now_ms=now_ms)
    return series.rows(start, stop, now_ms)


def _series(interval: str, source: GeneratedCandles | None = None, one: Instrument = BTC) -> Series:
    return (source or GeneratedCandles()).series(one, Interval(interval))


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("market", ["spot", "futures"])
def test_generated_any_interval_is_a_faultless_frame(interval: str, market: str) -> None:
    one = Instrument.make("SOLUSDT", "spot" if market == "spot" else "futures")
    series = _series(interval, one=one)
    start = NOW - 300 * Interval(interval).length_ms
    frame = frame_of(series, start, NOW, NOW)
    assert len(frame) > 20
    assert frames.check(frame, interval) == []


def test_generated_open_is_the_close_before() -> None:
    rows = _newest(_series("1h"), 200)
    assert [row[1] for row in rows[1:]] == [row[4] for row in rows[:-1]]


def test_generated_same_seed_gives_the_same_rows() -> None:
    assert _newest(_series("5m"), 50) == _newest(_series("5m"), 50)


def test_generated_other_seed_gives_other_rows() -> None:
    assert _newest(_series("5m"), 5) != _newest(_series("5m", GeneratedCandles(2)), 5)


def test_generated_any_window_gives_the_same_row() -> None:
    series = _series("15m")
    count = series.closed(NOW)
    whole = series.rows(count - 50, count, NOW)
    assert whole[20:23] == series.rows(count - 30, count - 27, NOW)


@pytest.mark.parametrize(("fine", "coarse"), [("1s", "1m"), ("1m", "1h"), ("30m", "1d")])
def test_generated_coarse_candle_is_the_sum_of_its_fine_ones(fine: str, coarse: str) -> None:
    start = Interval(coarse).floor(NOW - 40 * DAY)
    end = Interval(coarse).next_open(start)
    parts = frame_of(_series(fine), start, end, NOW)
    whole = frame_of(_series(coarse), start, end, NOW).iloc[0]
    assert whole["open"] == parts["open"].iloc[0]
    assert whole["close"] == parts["close"].iloc[-1]
    assert whole["high"] == parts["high"].max()
    assert whole["low"] == parts["low"].min()
    assert whole["volume"] == pytest.approx(parts["volume"].sum())
    assert whole["taker_buy_base"] == pytest.approx(parts["taker_buy_base"].sum())
    assert whole["trades"] == parts["trades"].sum()


def test_generated_trades_add_up_to_the_candle() -> None:
    row = _newest(_series("1m"), 2)[0]
    tape = Tape(BTC, 1)
    opened, closed = int(row[0]), int(row[6])
    first, after = tape.before(np.array([opened, closed + 1], dtype=np.int64))
    numbers = np.arange(first, after, dtype=np.int64)
    times = tape.time(numbers)
    steps = tape.quantity(numbers)
    assert row[8] == len(numbers)
    assert (steps > 0).all()
    assert opened <= times[0] <= times[-1] <= closed
    assert (np.diff(times) >= 0).all()
    assert float(row[5]) == pytest.approx(steps.sum() * 1e-5)
    prices = GeneratedCandles().prices(BTC, times)
    assert float(row[3]) <= prices.min() <= prices.max() <= float(row[2])


@given(ts_ms=st.integers(1_600_000_000_000, 1_800_000_000_000))
def test_tape_before_counts_exactly_the_trades_before(ts_ms: int) -> None:
    tape = Tape(BTC, 1)
    number = int(tape.before(np.array([ts_ms], dtype=np.int64))[0])
    last, following = tape.time(np.array([number - 1, number], dtype=np.int64)).tolist()
    assert last < ts_ms <= following


def test_generated_forming_candle_changes_and_grows_with_time() -> None:
    series = _series("1h")
    opened = Interval("1h").floor(NOW)
    early, late = (_newest(series, 1, opened + part)[0] for part in (60_000, 3_000_000))
    assert early[0] == late[0] == opened
    assert early[6] == opened + HOUR - 1
    assert float(early[5]) < float(late[5])
    assert float(early[2]) <= float(late[2])


def test_generated_listing_first_candle_holds_the_first_moment() -> None:
    first = Interval("1d").floor(NOW - 20 * DAY) + 5 * HOUR
    source = GeneratedCandles(first_ms={"BTCUSDT": first})
    daily, hourly = (_series(i, source).rows(0, 1, NOW)[0][0] for i in ("1d", "1h"))
    assert (daily, hourly) == (first - 5 * HOUR, first)


def test_generated_delisting_ends_the_series() -> None:
    last = Interval("1h").floor(NOW - DAY)
    series = _series("1h", GeneratedCandles(last_ms=last))
    assert _newest(series, 1)[0][0] == last - HOUR


def test_generated_delisted_instrument_ends_the_series() -> None:
    last = Interval("1h").floor(NOW - DAY)
    series = _series("1h", one=Instrument.make("BTCUSDT", delisted_ms=last))
    assert _newest(series, 1)[0][0] == last - HOUR


def test_generated_outage_removes_only_slots_wholly_inside() -> None:
    base = Interval("1d").floor(NOW - 10 * DAY)
    outage = (base + HOUR // 2, base + 4 * HOUR)  # 00:30 to 04:00
    source = GeneratedCandles(outages={"BTCUSDT": [outage, (base + HOUR, base + 2 * HOUR)]})
    frame = frame_of(_series("1h", source), base - HOUR, base + 6 * HOUR, NOW)
    assert ((frame["timestamp"] - base) // HOUR).tolist() == [-1, 0, 4, 5]


def test_generated_outage_of_everyone_leaves_other_prices_as_they_were() -> None:
    base = Interval("1d").floor(NOW - 10 * DAY)
    source = GeneratedCandles(outages={"*": [(base, base + 2 * HOUR)]})
    with_hole = frame_of(_series("1h", source), base - 5 * HOUR, base + DAY, NOW)
    without = frame_of(_series("1h"), base - 5 * HOUR, base + DAY, NOW)
    kept = without[~without["timestamp"].isin([base, base + HOUR])].reset_index(drop=True)
    prices = ["timestamp", "open", "high", "low", "close"]
    assert with_hole[prices].equals(kept[prices])
    before = with_hole["timestamp"] < base
    assert frames.digest(with_hole[before]) == frames.digest(kept[before])


def test_generated_outage_has_no_trades_and_leaves_no_hole_in_their_numbers() -> None:
    base = Interval("1d").floor(NOW - 10 * DAY)
    outage = (base + 5_000, base + 2 * HOUR)
    source = GeneratedCandles(outages={"*": [outage]})
    tape = source.tape(BTC)
    first = int(tape.before(np.array([base]))[0])
    times = tape.time(np.arange(first, first + 1000))
    assert not ((outage[0] <= times) & (times < outage[1])).any()
    assert tape.before(times).tolist() == [
        first + int(np.searchsorted(times, time)) for time in times
    ]
    assert (times >= outage[1]).any()


def test_generated_outage_before_listing_is_nothing() -> None:
    source = GeneratedCandles(outages={"*": [(0, 1000 * DAY)]})
    assert _series("1d", source).rows(0, 1, NOW)[0][0] == Interval("1d").floor(BTC.listed_ms)


@given(
    start=st.integers(0, 400),
    length=st.integers(1, 60),
    at=st.integers(0, 500),
)
def test_generated_numbers_and_slots_are_inverse(start: int, length: int, at: int) -> None:
    first = 450_000 * HOUR
    outage = (first + start * HOUR, first + (start + length) * HOUR)
    source = GeneratedCandles(first_ms=first, outages={"*": [outage]})
    series = _series("1h", source)
    opened = first + at * HOUR
    number = series.before(opened)
    if outage[0] <= opened < outage[1]:
        assert number == start
    else:
        assert series.rows(number, number + 1, NOW)[0][0] == opened


def test_generated_empty_range_is_no_row() -> None:
    assert _series("1h").rows(5, 5, NOW) == []


def test_generated_prices_of_no_time_is_empty() -> None:
    assert len(GeneratedCandles().prices(BTC, np.empty(0, dtype=np.int64))) == 0


def test_generated_spot_prints_eight_decimals_futures_the_tick() -> None:
    futures = Instrument.make("BTCUSDT", "futures")
    spot_row, futures_row = _newest(_series("1h"), 1)[0], _newest(_series("1h", one=futures), 1)[0]
    assert [len(str(spot_row[i]).partition(".")[2]) for i in (1, 5, 7)] == [8, 8, 8]
    assert [len(str(futures_row[i]).partition(".")[2]) for i in (1, 5, 7)] == [1, 3, 5]
