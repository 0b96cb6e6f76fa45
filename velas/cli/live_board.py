"""What a live stream has shown so far: series by series, and in sum."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import TYPE_CHECKING, Literal

import attrs

from velas.models import VENUE, BookTicker, Candle, Subscription, Trade
from velas.status import (
    CatchingUp,
    Connected,
    ConnectionStatus,
    Disconnected,
    FellBack,
    GapAbsent,
    GapDetected,
    GapEvent,
    GapFilled,
    Recovered,
    RowsLost,
    SeriesStatus,
    Status,
    StoreFailed,
    StoreRecovered,
    StreamMute,
)

if TYPE_CHECKING:
    from velas.clock import Clock
    from velas.protocols import Event

__all__ = ["Board", "Row", "State", "Tally"]

State = Literal["waiting", "live", "rest", "history", "mute", "gap", "not stored"]
_STATUSES = 200  # kept for showing; only the last few are


@attrs.define
class Row:
    """One series: the newest event, the last close, and how it is served."""

    series: Subscription
    candle: Candle | None = None
    closed: Candle | None = None
    trade: Trade | None = None
    ticker: BookTicker | None = None
    events: int = 0
    heard_s: float | None = None  # by the monotonic clock
    mute: bool = False
    rest: bool = False
    unstored: bool = False
    rows_lost: int = 0  # that were stored and are gone
    caught_up_ms: int | None = None  # history is fetched until a candle ends after it
    open_gaps: list[tuple[int, int]] = attrs.Factory(list)

    @property
    def catching_up(self) -> bool:
        """Whether history is being fetched, and live candles wait for it."""
        return self.caught_up_ms is not None

    @property
    def state(self) -> State:
        """How the series is served now; the most serious of what is true of it."""
        if self.unstored:
            return "not stored"
        if self.catching_up:
            return "history"
        if self.open_gaps:
            return "gap"
        if self.mute:
            return "mute"
        if self.rest:
            return "rest"
        return "live" if self.events else "waiting"


@attrs.define
class Tally:
    """What came, in sum; `lost` are candles or trades gone for another reason than the venue's."""

    events: int = 0
    closed: int = 0
    statuses: int = 0
    gaps_filled: int = 0
    gaps_absent: int = 0
    lost: int = 0
    reconnects: int = 0


class Board:
    """Takes every event of a stream and keeps what is to be shown of it."""

    def __init__(self, series: list[Subscription], clock: Clock) -> None:
        self.rows = {one: Row(one) for one in series}
        self.statuses: deque[Status] = deque(maxlen=_STATUSES)
        self.tally = Tally()
        self._clock = clock
        self._cut: set[Hashable] = set()  # connections that are down

    @property
    def complete(self) -> bool:
        """Whether nothing is missing but what the venue itself lacks, and all is stored."""
        pending = any(row.open_gaps or row.catching_up for row in self.rows.values())
        gone = any(row.rows_lost for row in self.rows.values())
        return not (pending or gone or self.unstored or self.tally.lost)

    @property
    def unstored(self) -> bool:
        """Whether a closed candle of any series waits because it could not be stored."""
        return any(row.unstored for row in self.rows.values())

    def take(self, event: Event | Status) -> None:
        """Note one event."""
        if isinstance(event, Status):
            self._status(event)
            return
        self.tally.events += 1
        row = self._row(_series_of(event))
        row.events += 1
        row.heard_s = self._clock.monotonic_s()
        if isinstance(event, Candle):
            self._candle(row, event)
        elif isinstance(event, Trade):
            row.trade = event
        else:
            row.ticker = event

    def age_s(self, row: Row) -> float | None:
        """Return the seconds since a series' last event, None before its first."""
        return None if row.heard_s is None else self._clock.monotonic_s() - row.heard_s

    def _row(self, series: Subscription) -> Row:
        return self.rows.setdefault(series, Row(series))

    def _candle(self, row: Row, candle: Candle) -> None:
        row.candle = candle
        if row.caught_up_ms is not None and candle.close_time >= row.caught_up_ms:
            row.caught_up_ms = None  # a live one
        if candle.is_closed:
            self.tally.closed += 1
            row.closed = candle
            row.unstored = False  # what is stored first is delivered first

    def _status(self, status: Status) -> None:
        self.tally.statuses += 1
        self.statuses.append(status)
        if isinstance(status, ConnectionStatus):
            self._connection(status)
        elif isinstance(status, GapEvent):
            self._gap(status)
        elif isinstance(status, SeriesStatus):
            self._service(self._row(_series_of(status)), status)

    def _service(self, row: Row, status: SeriesStatus) -> None:
        if isinstance(status, StreamMute):
            row.mute = True
        elif isinstance(status, FellBack):
            row.mute, row.rest = False, True
        elif isinstance(status, Recovered):
            row.mute = row.rest = False
        elif isinstance(status, StoreFailed):
            row.unstored = True
        elif isinstance(status, StoreRecovered):
            row.unstored = False
        elif isinstance(status, RowsLost):
            row.rows_lost += status.before - status.now
        elif isinstance(status, CatchingUp):
            row.caught_up_ms = status.at_ms if status.missing else None

    def _connection(self, status: ConnectionStatus) -> None:
        if isinstance(status, Disconnected):
            self._cut.add(status.connection)
        elif isinstance(status, Connected) and status.connection in self._cut:
            self._cut.remove(status.connection)
            self.tally.reconnects += 1

    def _gap(self, gap: GapEvent) -> None:
        row = self._row(_series_of(gap))
        if isinstance(gap, GapDetected):
            row.open_gaps.append((gap.start_ms, gap.end_ms))
            return
        row.open_gaps = _without(row.open_gaps, gap.start_ms, gap.end_ms)
        if isinstance(gap, GapFilled):
            self.tally.gaps_filled += 1
        elif isinstance(gap, GapAbsent):
            self.tally.gaps_absent += 1
            self.tally.lost += 0 if gap.reason == VENUE else gap.missing


def _series_of(event: Event | SeriesStatus) -> Subscription:
    if isinstance(event, Candle):
        return Subscription("candles", event.symbol, event.interval)
    if isinstance(event, Trade):
        return Subscription("trades", event.symbol)
    if isinstance(event, BookTicker):
        return Subscription("book_ticker", event.symbol)
    return Subscription(event.channel, event.symbol, event.interval)  # type: ignore[arg-type]


def _without(ranges: list[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    left = [(begin, min(stop, start)) for begin, stop in ranges]
    right = [(max(begin, end), stop) for begin, stop in ranges]
    return sorted({one for one in [*left, *right] if one[0] < one[1]})
