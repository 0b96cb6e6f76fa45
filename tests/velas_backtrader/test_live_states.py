"""What `notify_data` says of a live feed, and what a strategy sees meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from btkit import Witness, played
from btlive import START, Venue, live
from fastforward import run_fast

import velas
from velas.status import Connected, Disconnected
from velas.testing import LoopClock, SocketFault, StandInVenue
from velas_backtrader import CandleData, LiveCandles
from velas_backtrader._align import Alignment
from velas_backtrader._handover import Handover
from velas_backtrader._pump import key_of, pump

MINUTE = 60_000
NOW = START // MINUTE * MINUTE


class Listener(Witness):
    """Writes down states, and how many bars there were of the data."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, str, int]] = []

    def notify_data(self, data: Any, status: int, *args: Any, **kwargs: Any) -> None:
        bars = len(data) if status != data.CONNECTED else 0  # it may come with the first bar
        self.told.append((data._name[:3], data._getstatusname(status), bars))

    def of(self, name: str) -> list[tuple[str, int]]:
        return [(status, bars) for one, status, bars in self.told if one == name]


def heard(venue: Venue, *symbols: str, start_ms: int | None = None, **options: Any) -> Any:
    source = live(venue, **options)
    datas = [CandleData(source, symbol, "1m", start_ms=start_ms) for symbol in symbols]
    return played(datas, Listener)


def times(strategy: Any, at: int) -> list[float]:
    return [row[at][1] for row in strategy.log if row[at][0]]


def test_history_is_delayed_and_the_newest_candle_live() -> None:
    strategy = heard(Venue(seconds=130), "BTCUSDT", start_ms=NOW - 10 * MINUTE)
    assert strategy.of("BTC") == [
        ("CONNECTED", 0),
        ("DELAYED", 1),
        ("LIVE", 10),
        ("DISCONNECTED", 12),
    ]


def test_slow_start_is_delayed_and_no_broken_connection() -> None:
    venue = Venue(seconds=200, options={"latency_s": 6.0})
    told = [one[0] for one in heard(venue, "BTCUSDT", start_ms=NOW - 1_500 * MINUTE).of("BTC")]
    assert told[0] == "DELAYED"
    assert told[-2:] == ["LIVE", "DISCONNECTED"]  # the end
    assert told.count("DISCONNECTED") == told.count("CONNECTED") == 1


class Scripted:
    """A stream that says what it is told to, each after so many seconds."""

    def __init__(self, *script: tuple[float, Any]) -> None:
        self.clock = LoopClock(start_ms=START)
        self._script = script

    def subscribe(self, *args: Any, **options: Any) -> None:
        pass

    async def events(self) -> AsyncIterator[Any]:
        for delay_s, event in self._script:
            await self.clock.sleep(delay_s)
            if event is not None:
                yield event


UP = Connected(at_ms=START, connection="ws")
DOWN = Disconnected(at_ms=START, connection="ws", reason="away")


@pytest.mark.parametrize(
    ("script", "states"),
    [
        ([(35, None)], ["delayed"]),
        ([(100, None)], ["delayed", "disconnected"]),
        ([(20, UP), (80, None)], ["delayed", "connected"]),
        ([(20, UP), (50, DOWN), (20, None)], ["delayed", "connected", "disconnected"]),
        ([(2, DOWN), (10, None)], ["disconnected"]),
    ],
)
def test_series_that_is_late_is_disconnected_without_a_link_only(
    script: list[tuple[float, Any]], states: list[str]
) -> None:
    @asynccontextmanager
    async def opener() -> Any:
        yield Scripted(*script)

    alignment = Alignment()
    key = key_of("BTC/USDT", "1m")
    alignment.add(key, NOW - 60 * MINUTE, settled=True, history=None)
    handover = Handover(alignment, lockstep=False)
    run_fast(pump(opener, [], handover, 40.0))
    assert handover.states(key) == states


def test_without_history_the_first_candle_is_live() -> None:
    strategy = heard(Venue(seconds=130), "BTCUSDT", "ETHUSDT")
    for name in ("BTC", "ETH"):
        assert strategy.of(name) == [("CONNECTED", 0), ("LIVE", 1), ("DISCONNECTED", 2)]


def test_stored_candle_that_is_the_newest_is_live(tmp_path: Any) -> None:
    from velas_parquet import ParquetStore

    store = ParquetStore(tmp_path)
    venue = Venue(seconds=70)
    heard(venue, "BTCUSDT")
    store.save(venue.frame("BTCUSDT", "1m", NOW - 5 * MINUTE, NOW), "BTC/USDT", "1m")
    strategy = heard(venue, "BTCUSDT", start_ms=NOW - 5 * MINUTE, store=store)
    assert [one for one in strategy.of("BTC") if one[0] in ("DELAYED", "LIVE")] == [
        ("DELAYED", 1),
        ("LIVE", 5),
    ]


async def _outage(venue: StandInVenue, clock: LoopClock) -> None:
    await clock.sleep(150)
    venue.offline(300)


def test_venue_that_is_gone_is_told_and_what_was_missed_comes_in_order() -> None:
    strategy = heard(Venue(seconds=900, script=_outage), "BTCUSDT", "ETHUSDT", patience_s=30.0)
    for at, name in enumerate(("BTC", "ETH")):
        told = strategy.of(name)
        gone = told.index(("DISCONNECTED", 2))
        assert told[:gone] == [("CONNECTED", 0), ("LIVE", 1)]
        assert [one[0] for one in told[gone:]] == [
            "DISCONNECTED",
            "CONNECTED",
            "DELAYED",
            "LIVE",
            "DISCONNECTED",
        ], told
        moments = times(strategy, at)
        assert len(moments) == len(set(moments)) == 15
        assert moments == sorted(moments)
    assert all(len({row[0][1], row[1][1]}) == 1 for row in strategy.log)


async def _mute(venue: StandInVenue, clock: LoopClock) -> None:
    await clock.sleep(150)
    venue.strike(SocketFault.drop())


def test_reconnect_alone_is_no_news() -> None:
    strategy = heard(Venue(seconds=600, script=_mute), "BTCUSDT", "ETHUSDT")
    assert strategy.of("BTC") == [("CONNECTED", 0), ("LIVE", 1), ("DISCONNECTED", 10)]
    assert len(times(strategy, 0)) == 10


class Laggard(velas.Stream):
    """Delivers one series later than it came; the venue's time goes on."""

    async def events(self) -> Any:
        held: list[velas.Candle] = []
        async for event in super().events():
            if isinstance(event, velas.Candle) and event.symbol == "ETH/USDT":
                if event.is_closed and len(held) < 2:
                    held.append(event)
                    continue
                if held and event.is_closed:
                    for one in held:
                        yield one
                    held = []
            yield event


def lagging(**options: Any) -> Any:
    from fastforward import fast_loop

    class Late(Venue):
        def stream_class(self) -> type[velas.Stream]:
            return Laggard

    venue = Late(seconds=370)
    source = LiveCandles(venue, loop_factory=fast_loop, lockstep=True, **options)
    return played([CandleData(source, name, "1m") for name in ("BTCUSDT", "ETHUSDT")], Listener)


def test_candle_waits_for_a_series_that_is_late() -> None:
    strategy = lagging(patience_s=None)
    assert all(row[0][1] == row[1][1] for row in strategy.log)
    assert len(strategy.log) >= 4


def test_patience_ends_and_what_was_late_comes_in_order_all_the_same() -> None:
    strategy = lagging(patience_s=10.0)
    assert [len(row[0]) for row in strategy.log[:2]] != [0, 0]
    alone = [row for row in strategy.log if row[1] == (0,)]
    assert len(alone) == 2  # went without the other
    moments = times(strategy, 1)
    assert sorted(set(moments)) == list(dict.fromkeys(moments))
    assert len(set(moments)) >= 4


def test_status_of_a_tape_is_the_same_each_time() -> None:
    from pathlib import Path

    tape = Path(__file__).parents[2] / "cassettes" / "binance_spot" / "live.tape"
    settings = velas.load_settings(environ={}, exchange="replay", replay={"tape": tape})
    start = velas.tape.load_tape(tape).header.started_ms - 20 * MINUTE
    told = []
    for _ in range(2):
        source = LiveCandles(settings)
        datas = [CandleData(source, one, "1m", start_ms=start) for one in ("BTCUSDT", "ETHUSDT")]
        told.append(played(datas, Listener).told)
    assert told[0] == told[1]
    assert [one[1] for one in told[0] if one[0] == "BTC"] == [
        "CONNECTED",
        "DELAYED",
        "LIVE",
        "DISCONNECTED",
    ]


@pytest.mark.parametrize("modes", [{}, {"exactbars": 1}])
def test_live_feeds_are_no_look_ahead(modes: dict[str, Any]) -> None:
    venue = Venue(seconds=16 * 60)
    source = live(venue)
    series = [("BTCUSDT", "1m"), ("ETHUSDT", "5m"), ("ETHUSDT", "1m"), ("BTCUSDT", "5m")]
    start = NOW // (5 * MINUTE) * 5 * MINUTE - 20 * MINUTE
    datas = [CandleData(source, *one, start_ms=start) for one in series]
    got = [
        tuple(row[:3] if row[0] else row for row in rows)
        for rows in played(datas, Listener, **modes).log
    ]
    frames = [venue.frame(*one, start, NOW + 16 * MINUTE) for one in series]
    offline = [CandleData(frame, *one) for frame, one in zip(frames, series, strict=True)]
    theirs = [
        tuple(row[:3] if row[0] else row for row in rows)
        for rows in played(offline, Witness, **modes).log
    ]
    assert got == theirs[: len(got)]
    assert len(got) >= 34
