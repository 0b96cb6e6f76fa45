"""The candle frame: coercion, gaps, checks, digest; on made and on real candles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from realdata import market_data

from velas import frames
from velas.dates import iso
from velas.errors import FrameError
from velas.interval import INTERVALS, Interval
from velas.models import Finding, Gap

HOUR = 3_600_000
START = 1_700_000_000_000 // HOUR * HOUR


def make(rows: int = 5, **columns: object) -> pd.DataFrame:
    opens = START + HOUR * np.arange(rows)
    frame = pd.DataFrame(
        {
            "timestamp": opens,
            "open": 100.0,
            "high": 110.0,
            "low": 90.0,
            "close": 105.0,
            "volume": 10.0,
            "close_time": opens + HOUR - 1,
            "quote_volume": 1000.0,
            "trades": np.full(rows, 7),
            "taker_buy_base": 4.0,
            "taker_buy_quote": 400.0,
        }
    )
    return frame.assign(**columns)


def kinds(frame: pd.DataFrame, interval: str = "1h") -> list[str]:
    return [finding.kind for finding in frames.check(frame, interval)]


# --- shape


def test_empty_has_the_columns_in_order_with_their_types() -> None:
    frame = frames.empty()
    assert tuple(frame.columns) == frames.COLUMNS
    assert len(frame) == 0
    assert {name for name in frame if frame[name].dtype == np.int64} == set(frames.INT_COLUMNS)


def test_coerce_exact_frame_is_returned_as_it_is() -> None:
    frame = make()
    assert frames.coerce(frame) is frame


def test_coerce_exact_frame_with_null_trades_is_returned_as_it_is() -> None:
    frame = frames.coerce(make(3, trades=[1, None, 3]))
    assert str(frame["trades"].dtype) == "Int64"
    assert frames.coerce(frame) is frame


def test_coerce_columns_in_any_order_end_in_the_contracts() -> None:
    shuffled = make()[list(reversed(frames.COLUMNS))]
    pd.testing.assert_frame_equal(frames.coerce(shuffled), make())


def test_coerce_does_not_touch_its_input() -> None:
    frame = make()[list(reversed(frames.COLUMNS))].astype({"trades": "float64"})
    before = frame.copy(deep=True)
    frames.coerce(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_coerce_missing_optional_columns_become_null() -> None:
    six = make()[["timestamp", "open", "high", "low", "close", "volume"]]
    frame = frames.coerce(six, Interval("1h"))
    assert tuple(frame.columns) == frames.COLUMNS
    assert frame["close_time"].tolist() == (six["timestamp"] + HOUR - 1).tolist()
    assert str(frame["trades"].dtype) == "Int64"
    assert (
        frame[["quote_volume", "trades", "taker_buy_base", "taker_buy_quote"]]
        .isna()
        .to_numpy()
        .all()
    )


def test_coerce_close_time_of_a_month_is_its_last_ms() -> None:
    month = Interval("1M")
    opens = [month.open_of(slot) for slot in (660, 661, 662)]
    frame = frames.coerce(make(3, timestamp=opens).drop(columns="close_time"), month)
    assert frame["close_time"].tolist() == [month.next_open(ms) - 1 for ms in opens]


def test_coerce_close_time_follows_a_bar_off_the_grid() -> None:
    shifted = make(1, timestamp=START + 676).drop(columns="close_time")
    assert frames.coerce(shifted, Interval("1h"))["close_time"][0] == START + 676 + HOUR - 1


@pytest.mark.parametrize(
    ("dtype", "column"),
    [
        ("float64", "timestamp"),
        ("Int64", "timestamp"),
        ("int64[pyarrow]", "timestamp"),
        ("uint64", "timestamp"),
        ("object", "timestamp"),
        ("float64", "trades"),
        ("int32", "trades"),
        ("object", "close"),
        ("float64[pyarrow]", "close"),
        ("Float64", "close"),
        ("int64", "close"),
    ],
)
def test_coerce_other_numeric_types_keep_their_values(dtype: str, column: str) -> None:
    frame = frames.coerce(make().astype({column: dtype}))
    pd.testing.assert_frame_equal(frame, make())


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("timestamp", ["1", "2"]),
        ("timestamp", [True, False]),
        ("timestamp", pd.to_datetime([START, START + HOUR], unit="ms")),
        ("timestamp", [1.5, 2.0]),
        ("timestamp", [1.0, np.nan]),
        ("timestamp", [1.0, np.inf]),
        ("timestamp", np.array([1, 2**63], dtype="uint64")),
        ("timestamp", pd.array([1, None], dtype="Int64")),
        ("timestamp", [1, None]),
        ("trades", [1.5, None]),
        ("close", ["1.5", "2"]),
        ("close", [True, False]),
        ("close", [1 + 2j, 1]),
        ("close", np.array([1, "2"], dtype=object)),
        ("close", pd.to_timedelta([1, 2])),
    ],
)
def test_coerce_type_that_would_lose_values_is_refused(column: str, values: object) -> None:
    with pytest.raises(FrameError, match=f"column '{column}' of type .* is not"):
        frames.coerce(make(2, **{column: values}))


def test_coerce_missing_and_unknown_columns_are_named() -> None:
    frame = make().rename(columns={"close": "Close"})
    with pytest.raises(
        FrameError, match=r"missing columns \['close'\], unknown columns \['Close'\]"
    ):
        frames.coerce(frame)


def test_coerce_repeated_column_is_refused() -> None:
    frame = pd.concat([make(), make()[["close"]]], axis=1)
    with pytest.raises(FrameError, match="each once"):
        frames.coerce(frame)


def test_coerce_missing_close_time_without_interval_is_refused() -> None:
    with pytest.raises(FrameError, match="close_time is missing and no interval"):
        frames.coerce(make().drop(columns="close_time"))


def test_coerce_something_else_is_refused() -> None:
    with pytest.raises(FrameError, match="expected a pandas DataFrame of candles, not list"):
        frames.coerce([1])  # type: ignore[arg-type]


# --- gaps


def gaps(slots: list[int], start: int | None = None, end: int | None = None) -> list[Gap]:
    return frames.gaps(
        np.array(slots, dtype=np.int64) * HOUR,
        "1h",
        start_ms=None if start is None else start * HOUR,
        end_ms=None if end is None else end * HOUR,
    )


def test_gaps_between_first_and_last_candle() -> None:
    assert gaps([3, 4, 7, 9]) == [Gap(5 * HOUR, 7 * HOUR, 2), Gap(8 * HOUR, 9 * HOUR, 1)]


@pytest.mark.parametrize("slots", [[], [5], [5, 6, 7]])
def test_gaps_none_within_so_few(slots: list[int]) -> None:
    assert gaps(slots) == []


def test_gaps_start_and_end_widen_and_narrow() -> None:
    assert gaps([3, 7], 1, 9) == [
        Gap(1 * HOUR, 3 * HOUR, 2),
        Gap(4 * HOUR, 7 * HOUR, 3),
        Gap(8 * HOUR, 9 * HOUR, 1),
    ]
    assert gaps([1, 3, 5, 9], 4, 6) == [Gap(4 * HOUR, 5 * HOUR, 1)]
    assert gaps([1, 3, 5, 9], start=4) == [Gap(4 * HOUR, 5 * HOUR, 1), Gap(6 * HOUR, 9 * HOUR, 3)]
    assert gaps([1, 3, 5, 9], end=4) == [Gap(2 * HOUR, 3 * HOUR, 1)]


def test_gaps_no_candles_in_a_range_is_one_gap() -> None:
    assert gaps([], 4, 6) == [Gap(4 * HOUR, 6 * HOUR, 2)]


@pytest.mark.parametrize(("start", "end"), [(6, 6), (7, 4), (None, 4), (4, None)])
def test_gaps_empty_or_inverted_or_half_open_range_without_candles_has_none(
    start: int | None, end: int | None
) -> None:
    assert gaps([], start, end) == []


def test_gaps_bounds_off_the_grid_count_the_slots_that_open_within() -> None:
    found = frames.gaps(np.array([], dtype=np.int64), "1h", start_ms=1, end_ms=3 * HOUR + 1)
    assert found == [Gap(HOUR, 4 * HOUR, 3)]


def test_gaps_candle_off_the_grid_fills_its_slot() -> None:
    assert frames.gaps(np.array([0, HOUR + 676, 2 * HOUR]), "1h") == []


def test_gaps_carry_the_reason() -> None:
    assert frames.gaps(np.array([0, 2 * HOUR]), "1h", reason="venue")[0].reason == "venue"


@given(
    st.sampled_from(INTERVALS),
    st.sets(st.integers(-30, 90), max_size=40),
    st.integers(-40, 40),
    st.integers(0, 80),
)
def test_gaps_and_candles_make_up_the_whole_range(
    name: str, slots: set[int], first: int, length: int
) -> None:
    grid = Interval(name)
    opens = np.array([grid.open_of(slot) for slot in sorted(slots)], dtype=np.int64)
    start, end = grid.open_of(first), grid.open_of(first + length)
    found = frames.gaps(opens, grid, start_ms=start, end_ms=end)
    missing = {
        slot for gap in found for slot in range(grid.slot(gap.start_ms), grid.slot(gap.end_ms))
    }
    assert missing == set(range(first, first + length)) - slots
    assert all(grid.count(gap.start_ms, gap.end_ms) == gap.missing for gap in found)
    assert [gap.start_ms for gap in found] == sorted(gap.start_ms for gap in found)


# --- check


def test_check_clean_frame_finds_nothing() -> None:
    assert frames.check(make(), "1h") == []
    assert frames.check(frames.empty(), "1h") == []


def test_check_never_changes_the_frame() -> None:
    frame = make(6, low=95.0).iloc[[0, 3, 3, 2]]
    before = frame.copy(deep=True)
    frames.check(frame, "1h")
    pd.testing.assert_frame_equal(frame, before)


def test_check_gap_is_found_with_place_and_length() -> None:
    found = frames.check(make().drop(index=[1, 2]), "1h")
    assert found == [Finding("gap", START + HOUR, 2, "2 candles missing")]


def test_check_duplicate_is_found() -> None:
    assert kinds(make().iloc[[0, 1, 1, 2, 3]]) == ["duplicate"]


def test_check_disorder_is_found_without_a_false_gap() -> None:
    assert kinds(make().iloc[[0, 2, 1, 3, 4]]) == ["disorder"]


def test_check_off_grid_and_neighbours_are_one_finding() -> None:
    opens = make()["timestamp"].to_numpy() + np.array([0, 676, 676, 0, 0])
    found = frames.check(make(timestamp=opens, close_time=opens + HOUR - 1), "1h")
    assert [(one.kind, one.timestamp, one.count) for one in found] == [
        ("off_grid", START + HOUR + 676, 2)
    ]


def test_check_bar_closed_early_is_found() -> None:
    frame = make()
    frame.loc[2, "close_time"] -= 1
    assert [(one.kind, one.timestamp) for one in frames.check(frame, "1h")] == [
        ("cut_short", START + 2 * HOUR)
    ]


def test_check_month_closed_early_is_found() -> None:
    month = Interval("1M")
    opens = np.array([month.open_of(slot) for slot in range(660, 665)])
    ends = np.array([month.next_open(int(ms)) for ms in opens]) - 1
    assert kinds(make(timestamp=opens, close_time=ends), "1M") == []
    ends[1] -= 1
    assert kinds(make(timestamp=opens, close_time=ends), "1M") == ["cut_short"]


IMPOSSIBLE = [
    ("high", 80.0),
    ("high", 104.0),
    ("low", 101.0),
    ("open", 111.0),
    ("close", 89.0),
    ("close", np.nan),
    ("high", np.inf),
    ("low", 0.0),
    ("low", -1.0),
    ("volume", -1.0),
    ("volume", np.nan),
    ("volume", np.inf),
    ("quote_volume", -1.0),
    ("quote_volume", np.inf),
    ("taker_buy_base", -1.0),
    ("taker_buy_base", 10.1),
    ("taker_buy_quote", 1000.1),
    ("taker_buy_quote", np.inf),
    ("trades", -1),
]


@pytest.mark.parametrize(("column", "value"), IMPOSSIBLE)
def test_check_impossible_row_is_found(column: str, value: float) -> None:
    frame = make()
    frame.loc[2, column] = value
    found = [one for one in frames.check(frame, "1h") if one.kind == "impossible"]
    assert [(one.timestamp, one.count) for one in found] == [(START + 2 * HOUR, 1)]


@pytest.mark.parametrize("column", ["quote_volume", "trades", "taker_buy_base", "taker_buy_quote"])
def test_check_null_where_not_published_is_possible(column: str) -> None:
    frame = make().astype({column: "float64"})
    frame.loc[2, column] = np.nan
    assert frames.check(frame, "1h") == []


def test_check_taker_share_of_everything_is_possible() -> None:
    assert kinds(make(taker_buy_base=10.0 + 1e-12, taker_buy_quote=1000.0)) == []


def test_check_bar_without_trades_is_possible() -> None:
    assert (
        kinds(make(volume=0.0, quote_volume=0.0, trades=0, taker_buy_base=0.0, taker_buy_quote=0.0))
        == []
    )


@pytest.mark.parametrize(("column", "value"), [("high", 316.0), ("low", 34.0)])
def test_check_price_far_from_both_neighbours_is_found(column: str, value: float) -> None:
    frame = make()
    frame.loc[2, column] = value
    assert [(one.kind, one.timestamp) for one in frames.check(frame, "1h")] == [
        ("price_anomaly", START + 2 * HOUR)
    ]


def test_check_price_that_stays_is_no_anomaly() -> None:
    frame = make()
    for column in ("open", "high", "low", "close"):
        frame.loc[2:, column] *= 10
    assert frames.check(frame, "1h") == []


# --- digest


def test_digest_depends_on_every_value() -> None:
    digests = {frames.digest(make())}
    for column in frames.COLUMNS:
        frame = make()
        frame.loc[1, column] += 1
        digests.add(frames.digest(frame))
    assert len(digests) == 1 + len(frames.COLUMNS)


def test_digest_does_not_depend_on_order_types_or_index() -> None:
    other = make()[list(reversed(frames.COLUMNS))].astype({"timestamp": "float64"})
    assert frames.digest(other.set_index(np.arange(5) + 7)) == frames.digest(make())


@pytest.mark.parametrize("null", [None, np.nan, pd.NA, float("-nan")])
def test_digest_nulls_of_every_spelling_are_one_value(null: object) -> None:
    columns = ("quote_volume", "trades", "taker_buy_base", "taker_buy_quote")
    frame = make().drop(columns=list(columns))
    nulls = pd.Series([null] * 5, dtype=object)
    expected = frames.digest(frames.coerce(frame, Interval("1h")))
    assert frames.digest(frame.assign(**dict.fromkeys(columns, nulls))) == expected


def test_digest_nan_bits_do_not_matter() -> None:
    odd = np.array([0x7FF8000000000001], dtype=np.uint64).view(np.float64)
    assert frames.digest(make(1, quote_volume=odd)) == frames.digest(make(1, quote_volume=np.nan))


def test_digest_zero_has_no_sign() -> None:
    assert frames.digest(make(volume=-0.0)) == frames.digest(make(volume=0.0))


def test_digest_is_known() -> None:
    # a change of this value would make every stored digest worthless
    assert frames.digest(make(2)) == KNOWN_DIGEST


KNOWN_DIGEST = "db3fcedf7c5c4fdb9267e3e1d0272e4ffd8f2c31b7e8c836202417cbe3c8f8a8"


# --- real candles


def real(name: str) -> pd.DataFrame:
    file: Path = market_data() / "klines" / name
    has_header = "archive" in name
    table = pd.read_csv(file, header=0 if has_header else None).iloc[:, :11]
    table.columns = pd.Index(frames.COLUMNS)
    if not has_header:
        opens = pd.to_datetime(table["timestamp"], utc=True, format="ISO8601")
        table["timestamp"] = (opens - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(milliseconds=1)
    return frames.coerce(table)


OUTAGES = [
    ("2018-01-04T04", 1),
    ("2018-02-08T01", 32),
    ("2018-06-26T02", 10),
    ("2018-06-27T13", 1),
    ("2018-07-04T01", 7),
    ("2018-10-19T06", 3),
    ("2018-11-14T02", 7),
    ("2019-03-12T02", 6),
    ("2019-05-15T03", 10),
    ("2019-08-15T02", 8),
    ("2019-11-13T02", 2),
    ("2019-11-25T02", 2),
    ("2020-02-09T02", 1),
    ("2020-02-19T12", 5),
    ("2020-03-04T10", 1),
    ("2020-04-25T02", 2),
    ("2020-06-28T02", 3),
]


@pytest.mark.parametrize(
    ("name", "outages"),
    [
        ("binance_spot_BNBUSDT-1h_2017-2020.csv", OUTAGES),
        ("binance_spot_BNBBTC-1h_2017-2020.csv", [("2017-09-06T16", 7), *OUTAGES]),
    ],
)
def test_check_real_candles_outages_and_shifted_bars_are_found(
    name: str, outages: list[tuple[str, int]]
) -> None:
    frame = real(name)
    found = frames.check(frame, "1h")
    gaps_found = [(iso(one.timestamp)[:13], one.count) for one in found if one.kind == "gap"]
    assert gaps_found == outages
    assert [one.count for one in found if one.kind == "off_grid"] == [43]
    cut = [iso(one.timestamp)[:13] for one in found if one.kind == "cut_short"]
    assert cut == [
        "2017-12-18T12",
        "2018-01-04T03",
        "2018-02-08T00",
        "2018-02-11T03",
        "2018-07-04T00",
        "2019-06-07T21",
        "2020-02-19T11",
        "2020-03-04T09",
    ]
    assert {one.kind for one in found} == {"gap", "off_grid", "cut_short"}


def test_check_real_archive_month_has_one_gap_after_a_truncated_bar() -> None:
    found = frames.check(real("binance_spot_BTCUSDT-1h-2023-03_archive.csv"), "1h")
    assert [(one.kind, iso(one.timestamp), one.count) for one in found] == [
        ("gap", "2023-03-24T13:00:00Z", 1),
        ("cut_short", "2023-03-24T12:00:00Z", 1),
    ]
