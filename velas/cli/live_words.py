"""Live events in words: one line for people of everything a stream can say."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from velas import status as said
from velas.cli.output import count, many, second
from velas.interval import Interval
from velas.models import VENUE, BookTicker, Candle, Subscription, Trade

if TYPE_CHECKING:
    from velas.protocols import Event

__all__ = ["event_text", "next_close_text", "number", "span", "status_text", "time_of_day"]

_MINUTE_S = 60.0
_DAY_MS = 86_400_000


def event_text(event: Event) -> str:
    """Return a candle, a trade or a book ticker as one line."""
    if isinstance(event, Candle):
        prices = " ".join(map(number, (event.open, event.high, event.low, event.close)))
        closed = f"#{event.sequence}" if event.is_closed else "forming"
        return (
            f"{second(event.timestamp)}  {event.symbol} {event.interval}  {prices}  "
            f"vol {number(event.volume)}  {closed} {event.source}"
        )
    if isinstance(event, Trade):
        side = "sell" if event.is_buyer_maker else "buy"
        return (
            f"{second(event.timestamp)}  {event.symbol}  {side} {event.quantity:f} "
            f"at {event.price:f}  id {event.id}"
        )
    return _ticker(event)


def status_text(status: said.Status) -> str:
    """Return a status event as one line, with the local time it was noticed at."""
    words = _WORDS.get(type(status))
    text = status.status if words is None else words(status)
    return f"{time_of_day(status.at_ms)} {_about(status)}{text}"


def next_close_text(series: Sequence[Subscription], now_ms: int) -> str | None:
    """Return which candle closes next and when (UTC), None where no candles are watched."""
    closes = [
        (Interval(one.interval).next_open(now_ms), f"{one.symbol} {one.interval}")
        for one in series
        if one.interval is not None
    ]
    if not closes:
        return None
    due_ms, name = min(closes, key=lambda one: one[0])
    others = sum(1 for at_ms, _ in closes if at_ms == due_ms) - 1
    more = f" and {count(others)} more" if others else ""
    today = due_ms - now_ms < _DAY_MS
    return f"next close: {name}{more} at {time_of_day(due_ms) if today else second(due_ms)}"


def time_of_day(ts_ms: int) -> str:
    """Return the UTC time of day to the second."""
    return dt.datetime.fromtimestamp(ts_ms // 1000, dt.UTC).strftime("%H:%M:%S")


def number(value: float) -> str:
    """Return a price or a volume with the digits it has, ten at most."""
    text = format(value, ".10g")
    return format(value, ".10f").rstrip("0").rstrip(".") if "e-" in text else text


def span(seconds: float) -> str:
    """Return a duration in the unit that suits it."""
    if seconds < _MINUTE_S:
        return f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _ticker(ticker: BookTicker) -> str:
    at = "-" if ticker.timestamp is None else second(ticker.timestamp)
    return (
        f"{at}  {ticker.symbol}  bid {ticker.bid:f} ({ticker.bid_quantity:f})  "
        f"ask {ticker.ask:f} ({ticker.ask_quantity:f})"
    )


def _about(status: said.Status) -> str:
    if isinstance(status, said.ConnectionStatus):
        return f"{status.connection}: "
    if isinstance(status, said.SeriesStatus):
        return f"{status.symbol} {status.interval or status.channel.replace('_', ' ')}: "
    return ""


def _hole(gap: said.GapEvent) -> str:
    if gap.channel != "candles":
        return f"{many(gap.missing, 'trade')} from id {gap.start_ms} on"
    return f"{many(gap.missing, 'candle')} from {second(gap.start_ms)} on"


def _absent(gap: said.GapAbsent) -> str:
    why = "the venue has none" if gap.reason == VENUE else f"LOST: {gap.reason}"
    return f"{_hole(gap)} will not come: {why}"


def _revised(revised: said.CandleRevised) -> str:
    before, after = revised.before, revised.after
    return (
        f"the venue revised {second(after.timestamp)}: close {number(before.close)} -> "
        f"{number(after.close)}, volume {number(before.volume)} -> {number(after.volume)}"
    )


def _unconfirmed(one: said.CandleUnconfirmed) -> str:
    candle = one.candle
    return (
        f"the venue's REST has later candles but not {second(candle.timestamp)}, "
        f"which its socket closed at {number(candle.close)}, volume {number(candle.volume)}"
    )


def _unchecked(one: said.CandlesUnchecked) -> str:
    hole = f"{many(one.count, 'candle')} from {second(one.start_ms)} on"
    return f"{hole} will not be compared with the venue's REST: {one.reason}"


def _slow(one: said.ConsumerSlow) -> str:
    waiting = many(one.waiting, "event")
    return f"{waiting} {'waits' if one.waiting == 1 else 'wait'} to be shown: {one.what}"


def _wait(seconds: float) -> str:
    # rounded up: an attempt does not come before it is said to
    tenths = math.ceil(round(seconds * 10, 6))
    return f"{tenths / 10:.1f} s" if tenths < 100 else span(math.ceil(round(seconds, 6)))


def _banned(ban: said.Banned) -> str:
    until = "for now" if ban.until_ms is None else f"until {second(ban.until_ms)}"
    return f"the venue refuses requests {until}: {ban.reason}"


# Any: each of these reads one kind of status, as its key says
_WORDS: dict[type[said.Status], Callable[[Any], str]] = {
    said.Connected: lambda one: f"connected, {many(one.streams, 'stream')}",
    said.Disconnected: lambda one: f"disconnected: {one.reason}",
    said.Reconnecting: lambda one: f"next attempt in {_wait(one.delay_s)} ({one.attempt} failed)",
    said.Rotated: lambda one: f"replaced by a new connection: {one.reason}",
    said.BadFrame: lambda one: f"a frame was skipped: {one.reason}",
    said.StreamMute: lambda one: f"mute for {span(one.silent_s)} although the venue has news",
    said.FellBack: lambda one: f"served by REST from now on: {one.reason}",
    said.Recovered: lambda one: f"served by the socket again, after {span(one.after_s)}",
    said.GapDetected: lambda one: f"gap, {_hole(one)}; asking by REST",
    said.GapFilled: lambda one: f"gap filled, {_hole(one)}",
    said.GapAbsent: _absent,
    said.CandleRevised: _revised,
    said.CandleUnconfirmed: _unconfirmed,
    said.RepairFailed: lambda one: f"what is missing cannot be asked for: {one.reason}",
    said.CandlesUnchecked: _unchecked,
    said.CatchingUp: lambda one: (
        f"fetching history, {many(one.missing, 'candle')} to go, live ones wait"
    ),
    said.BudgetLow: lambda one: (
        f"request budget low: {count(one.used)} of {count(one.limit)} are spent"
    ),
    said.Banned: _banned,
    said.ConsumerSlow: _slow,
    said.CallbackFailed: lambda one: f"the callback {one.callback} raised: {one.error!r}",
    said.StoreFailed: lambda one: (
        f"NOT STORED; it will be tried again, and candles wait until then: {one.error}"
    ),
    said.RowsLost: lambda one: (
        f"STORED CANDLES ARE GONE: of {count(one.before)} rows {count(one.now)} are left; "
        "something else removed them"
    ),
    said.StoreRecovered: lambda _: "stored again; the candles that waited for it come now",
}
