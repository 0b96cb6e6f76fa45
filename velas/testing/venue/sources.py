"""What streams have to say and when: one source for each stream that somebody reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from velas.interval import Interval
from velas.testing.venue import frames_out
from velas.testing.venue.forming import forming_rows
from velas.testing.venue.frames_out import Frame
from velas.testing.venue.instruments import MarketName
from velas.testing.venue.noise import key_of, unit
from velas.testing.venue.revision import revised
from velas.testing.venue.series import Int64, Row, Series
from velas.testing.venue.socket_faults import SocketFault
from velas.testing.venue.streams import StreamName
from velas.testing.venue.ticks import Ticks

__all__ = ["NEVER_MS", "AtClose", "BookSource", "KlineSource", "Source", "TradeSource", "push_ms"]

AtClose = Callable[[str, int, int], SocketFault | None]
"""Asked with stream, candle number and open time what happens to a close frame."""

NEVER_MS = 1 << 60
_FAR_MS = 4_102_444_800_000  # year 2100: all candles are over
_MOST_AT_ONCE = 500  # frames of one source, so that catching up lets others have a turn
_AHEAD = 64  # pushes computed together
_CLOSES_AHEAD_MS = 4 * 3_600_000
_MOST_CLOSES_AHEAD = 64
_LATEST_CLOSE_MS = 2000  # how late a close frame may be; seen 0.2 to 2.0 s


class Source(Protocol):
    """One stream's events in order; `due_ms` is when the next one may be ready."""

    due_ms: int

    def take(self, now_ms: int) -> list[Frame]:
        """Return what became due, at most some hundred, and move `due_ms` on."""
        ...


def push_ms(market: MarketName, interval: str) -> int:
    """Return how often a candle in progress is pushed (binance-facts 3.3)."""
    if market == "futures":
        return 250
    return 1000 if interval == "1s" else 2000


class TradeSource:
    """Every aggregate trade, once."""

    def __init__(self, name: StreamName, ticks: Ticks, now_ms: int) -> None:
        self._name = name.text
        self._ticks = ticks
        self._number = ticks.before(now_ms + 1)
        self.due_ms = ticks.due_ms(self._number)

    def take(self, now_ms: int) -> list[Frame]:
        """Return the trades that became due, in order of id."""
        frames: list[Frame] = []
        while self.due_ms <= now_ms and len(frames) < _MOST_AT_ONCE:
            frames.append(Frame(self.due_ms, self._name, self._ticks.agg_trade(self._number)))
            self._number += 1
            self.due_ms = self._ticks.due_ms(self._number)
        return frames


class BookSource:
    """The best bid and ask after each trade."""

    def __init__(self, name: StreamName, ticks: Ticks, now_ms: int) -> None:
        self._name = name.text
        self._ticks = ticks
        self._number = ticks.before(now_ms + 1)
        self.due_ms = ticks.time_ms(self._number)

    def take(self, now_ms: int) -> list[Frame]:
        """Return the changes that became due."""
        frames: list[Frame] = []
        while self.due_ms <= now_ms and len(frames) < _MOST_AT_ONCE:
            frames.append(Frame(self.due_ms, self._name, self._ticks.book_ticker(self._number)))
            self._number += 1
            self.due_ms = self._ticks.time_ms(self._number)
        return frames


class KlineSource:
    """Candles in progress, one newest at a time, and every close frame.

    `step_ms` is the spacing of pushes. As at the venue the next candle is not pushed
    before the last one's close frame is out.
    """

    def __init__(
        self,
        name: StreamName,
        series: Series,
        ticks: Ticks,
        now_ms: int,
        *,
        step_ms: int,
        price_decimals: int,
        at_close: AtClose,
    ) -> None:
        self._name = name
        self._series = series
        self._ticks = ticks
        self._step_ms = step_ms
        self._price_decimals = price_decimals
        self._at_close = at_close
        self._key = key_of("close", name.text)
        self._phase = self._key % step_ms
        self._late_ms = min(_LATEST_CLOSE_MS, Interval(name.interval or "1m").length_ms)
        self._closes: list[_Close] = []  # the coming ones, the next one last
        self._number = series.closed(now_ms - _LATEST_CLOSE_MS)
        self._pushes: list[_Push] = []
        self._pushed_ms = self._grid(now_ms)
        self._closed_ms = 0  # when the newest close frame was due
        self._pushed_trades = ticks.before(now_ms + 1)
        self._look_ahead()
        while self._closes and self._closes[-1].due_ms <= now_ms:
            self._next_close()
        self._schedule()

    def take(self, now_ms: int) -> list[Frame]:
        """Return the close frames that became due and the candle in progress."""
        frames: list[Frame] = []
        for _ in range(_MOST_AT_ONCE):
            if not self._closes or self._closes[-1].due_ms > now_ms:
                break
            frames += self._closed(self._closes[-1])
            self._next_close()
        else:
            self._schedule()
            return frames
        grid_ms = self._grid(now_ms)
        if grid_ms > self._pushed_ms:
            self._pushed_ms = grid_ms
            if grid_ms >= self._closed_ms:
                frames += self._pushed(grid_ms)
        self._schedule()
        return frames

    def _grid(self, now_ms: int) -> int:
        return (now_ms - self._phase) // self._step_ms * self._step_ms + self._phase

    def _schedule(self) -> None:
        self.due_ms = self._pushed_ms + self._step_ms
        if self._closes:
            self.due_ms = min(self.due_ms, self._closes[-1].due_ms)

    def _closed(self, close: _Close) -> list[Frame]:
        row = close.row
        fault = self._at_close(self._name.text, close.number, int(row[0]))
        if fault is not None and fault.kind == "withhold_close":
            return []
        if fault is not None:
            row = revised(row, self._price_decimals)
        raw = frames_out.kline(self._name, row, close.trades, close.due_ms, closed=True)
        return [Frame(close.due_ms, self._name.text, raw)]

    def _pushed(self, at_ms: int) -> list[Frame]:
        push = self._push(at_ms)
        if push is None or push.trades_before == self._pushed_trades:
            return []
        waiting = self._closes[-1].row[0] if self._closes else push.row[0]
        if int(waiting) < int(push.row[0]):
            return []  # the close frame of an earlier candle comes first
        if push.trades[0] < 0:
            return []
        self._pushed_trades = push.trades_before
        raw = frames_out.kline(self._name, push.row, push.trades, at_ms, closed=False)
        return [Frame(at_ms, self._name.text, raw)]

    def _push(self, at_ms: int) -> _Push | None:
        while self._pushes and self._pushes[-1].at_ms < at_ms:
            self._pushes.pop()
        if not self._pushes or self._pushes[-1].at_ms > at_ms:
            self._prepare(at_ms)
        push = self._pushes[-1]
        return push if push.row else None

    def _prepare(self, at_ms: int) -> None:
        times = at_ms + np.arange(_AHEAD, dtype=np.int64) * self._step_ms
        rows = forming_rows(self._series, times)
        ends = self._ticks.counts(times + 1).tolist()
        opens = np.array([row[0] if row else 0 for row in rows], dtype=np.int64)
        firsts = self._ticks.counts(opens).tolist()
        self._pushes = [
            _Push(int(time), row or (), _ids(first, end), end)
            for time, row, first, end in zip(times, rows, firsts, ends, strict=True)
        ][::-1]

    def _next_close(self) -> None:
        close = self._closes.pop()
        self._number, self._closed_ms = close.number + 1, close.due_ms
        if not self._closes:
            self._look_ahead()

    def _look_ahead(self) -> None:
        length_ms = Interval(self._name.interval or "1m").length_ms
        ahead = min(max(1, _CLOSES_AHEAD_MS // length_ms), _MOST_CLOSES_AHEAD)
        stop = min(self._number + ahead, self._series.before(_FAR_MS))
        rows = self._series.rows(self._number, stop, _FAR_MS)
        self._closes = self._timed(rows)[::-1]

    def _timed(self, rows: list[Row]) -> list[_Close]:
        if not rows:
            return []
        opens = np.array([row[0] for row in rows], dtype=np.int64)
        ends = np.array([row[6] for row in rows], dtype=np.int64) + 1
        late = (unit(self._key, opens) * self._late_ms).astype(np.int64)
        due: Int64 = np.maximum.accumulate(np.maximum(ends + late, self._closed_ms))
        firsts, lasts = self._ticks.counts(opens).tolist(), self._ticks.counts(ends).tolist()
        return [
            _Close(self._number + i, int(due[i]), row, _ids(firsts[i], lasts[i]))
            for i, row in enumerate(rows)
        ]


class _Close:
    __slots__ = ("due_ms", "number", "row", "trades")

    def __init__(self, number: int, due_ms: int, row: Row, trades: tuple[int, int]) -> None:
        self.number = number
        self.due_ms = due_ms
        self.row = row
        self.trades = trades


class _Push:
    __slots__ = ("at_ms", "row", "trades", "trades_before")

    def __init__(self, at_ms: int, row: Row, trades: tuple[int, int], trades_before: int) -> None:
        self.at_ms = at_ms
        self.row = row
        self.trades = trades
        self.trades_before = trades_before


def _ids(first: int, end: int) -> tuple[int, int]:
    return (first, end - 1) if end > first else (-1, -1)
