"""What a feed or a stream has to say about itself, as typed, frozen events."""

from __future__ import annotations

import attrs

from velas.models import Candle, Subscription

__all__ = [
    "BadFrame",
    "Banned",
    "BudgetLow",
    "CallbackFailed",
    "CandleRevised",
    "CandleUnconfirmed",
    "CandlesUnchecked",
    "CatchingUp",
    "Connected",
    "ConnectionStatus",
    "ConsumerSlow",
    "Disconnected",
    "FellBack",
    "GapAbsent",
    "GapDetected",
    "GapEvent",
    "GapFilled",
    "Reconnecting",
    "Recovered",
    "RepairFailed",
    "Rotated",
    "RowsLost",
    "SeriesStatus",
    "Status",
    "StoreFailed",
    "StoreRecovered",
    "StreamMute",
]


@attrs.frozen(kw_only=True)
class Status:
    """Anything but data; `at_ms` is when it was noticed, by the local clock."""

    at_ms: int

    @property
    def status(self) -> str:
        """The name of the kind, as in the command's JSON lines."""
        return type(self).__name__


# -- of a connection ---------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ConnectionStatus(Status):
    """Of one socket; `connection` is its name within the feed, the same after a reconnect.

    `carries` are the series that come by it; none given, it may be any.
    """

    connection: str
    carries: tuple[Subscription, ...] = attrs.field(default=(), repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Connected(ConnectionStatus):
    """A socket is open and asked for `streams` streams; nothing has to have come yet."""

    streams: int = 0


@attrs.frozen(kw_only=True)
class Disconnected(ConnectionStatus):
    """A socket that was open is gone, or one could not be opened."""

    reason: str


@attrs.frozen(kw_only=True)
class Reconnecting(ConnectionStatus):
    """The next attempt starts in `delay_s`; `attempt` counts the failures in a row."""

    attempt: int
    delay_s: float


@attrs.frozen(kw_only=True)
class Rotated(ConnectionStatus):
    """A new socket has taken over from the old one, which is closed now."""

    reason: str


@attrs.frozen(kw_only=True)
class BadFrame(ConnectionStatus):
    """A frame that could not be read, or in which the venue reports an error; skipped."""

    reason: str


# -- of one series -----------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class SeriesStatus(Status):
    """Of one subscribed series; `interval` is None for trades and book tickers."""

    channel: str
    symbol: str
    interval: str | None = None


@attrs.frozen(kw_only=True)
class StreamMute(SeriesStatus):
    """Silent for `silent_s` although REST proves that the venue had something to say.

    Of the series, or of another one of its connection while all of that is silent.
    """

    silent_s: float


@attrs.frozen(kw_only=True)
class FellBack(SeriesStatus):
    """Served by REST from now on, as the socket does not deliver."""

    reason: str


@attrs.frozen(kw_only=True)
class Recovered(SeriesStatus):
    """Served by the socket again, after `after_s`."""

    after_s: float


@attrs.frozen(kw_only=True)
class GapEvent(SeriesStatus):
    """`missing` candles that open in ``[start_ms, end_ms)``; for trades, ids instead.

    Of trades, `start_ms` and `end_ms` hold the first missing id and the one after the
    last: ids are contiguous as open times are.
    """

    start_ms: int
    end_ms: int
    missing: int
    reason: str


@attrs.frozen(kw_only=True)
class GapDetected(GapEvent):
    """Due and not there; being asked for by REST. Nothing later is delivered before.

    With the reason ``history`` it lies before the first live candle, which does not wait.
    """


@attrs.frozen(kw_only=True)
class GapFilled(GapEvent):
    """The hole is closed: everything in it was delivered, each once, in order."""


@attrs.frozen(kw_only=True)
class GapAbsent(GapEvent):
    """Will not be delivered; `reason` is ``venue`` if the venue proved to have none."""


@attrs.frozen(kw_only=True)
class RepairFailed(SeriesStatus):
    """REST refuses what is missing, and waiting alone will not help; it is tried slowly.

    Told once, until an answer comes: a symbol that was delisted, say, or a key.
    """

    reason: str


@attrs.frozen(kw_only=True)
class CatchingUp(SeriesStatus):
    """History is being fetched, `missing` candles still; live ones wait for it.

    Told when it is much, and again every ten seconds.
    """

    missing: int


@attrs.frozen(kw_only=True)
class CandleRevised(SeriesStatus):
    """The venue has another row for a closed candle than the one delivered, or stored, before."""

    before: Candle
    after: Candle


@attrs.frozen(kw_only=True)
class CandleUnconfirmed(SeriesStatus):
    """REST has no row for a closed `candle` that the socket delivered, but has later ones."""

    candle: Candle


@attrs.frozen(kw_only=True)
class CandlesUnchecked(SeriesStatus):
    """`count` closed candles that open in ``[start_ms, end_ms)`` will not be compared with REST.

    They were delivered, or stored by an earlier run; `reason` says why nobody knows whether
    the venue has the same.
    """

    start_ms: int
    end_ms: int
    count: int
    reason: str


# -- of the stream -----------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class BudgetLow(Status):
    """`used` of the venue's request budget of `limit` are spent in the current window."""

    used: int
    limit: int


@attrs.frozen(kw_only=True)
class Banned(Status):
    """The venue refuses requests until `until_ms` (None: it does not say)."""

    until_ms: int | None
    reason: str


@attrs.frozen(kw_only=True)
class ConsumerSlow(Status):
    """`waiting` events are queued; `what` says what happens to the next ones."""

    waiting: int
    what: str


@attrs.frozen(kw_only=True)
class CallbackFailed(Status):
    """The user's `callback` raised `error`; the stream goes on."""

    callback: str
    error: BaseException = attrs.field(eq=False)


@attrs.frozen(kw_only=True)
class StoreFailed(SeriesStatus):
    """A closed candle could not be stored, so it is not delivered yet; tried again."""

    error: str


@attrs.frozen(kw_only=True)
class StoreRecovered(SeriesStatus):
    """What could not be stored after a `StoreFailed` is stored now."""


@attrs.frozen(kw_only=True)
class RowsLost(SeriesStatus):
    """Of `before` stored rows only `now` are there: somebody else has removed the rest."""

    before: int
    now: int
