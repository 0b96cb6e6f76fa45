"""cryptofeed's feeds of other venues as sessions: one feed object per candle interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import attrs
from cryptofeed.connection import WSAsyncConn
from cryptofeed.defines import CANDLES, TICKER, TRADES

from velas.errors import Unsupported
from velas.feed import CHANNELS, FeedAdapter
from velas.interval import INTERVALS, Interval
from velas.models import Channel, Market, Subscription
from velas_cryptofeed import _events
from velas_cryptofeed._errors import BadMessage
from velas_cryptofeed._library import CONFIG, forget, listing
from velas_cryptofeed._names import Names, names_of
from velas_cryptofeed._session import Keepalive, Plan, Session
from velas_cryptofeed._streams import replace_host
from velas_cryptofeed._venues import Venue, load

__all__ = ["offered", "plans"]

_CHANNELS: dict[Channel, str] = {"candles": CANDLES, "trades": TRADES, "book_ticker": TICKER}


def offered(venue: Venue) -> tuple[tuple[Channel, ...], Mapping[str, str]]:
    """Return a venue's channels, and its candle intervals: our spelling to cryptofeed's."""
    kind = load(venue)
    has = kind.websocket_channels
    channels: tuple[Channel, ...] = tuple([ours for ours in CHANNELS if _CHANNELS[ours] in has])
    if "candles" not in channels:
        return channels, {}
    spelled: dict[str, str] = {}
    for theirs in kind.valid_candle_intervals:
        ours = theirs[:-1] + theirs[-1].lower() if theirs[-1] in "HDW" else theirs
        spelled[ours] = theirs
    return channels, {name: spelled[name] for name in INTERVALS if name in spelled}


def plans(
    feed: FeedAdapter,
    venue: Venue,
    markets: Mapping[str, Market],
    subscriptions: Sequence[Subscription],
    intervals: Mapping[str, str],
    url: str | None,
) -> list[Plan]:
    """Return the sockets needed: one group per candle interval, one for the rest."""
    kind = load(venue)
    names = names_of(venue, kind, markets.values())
    groups: dict[str | None, list[Subscription]] = {}
    for one in subscriptions:
        groups.setdefault(one.interval, []).append(one)
    found: list[Plan] = []
    for interval, members in groups.items():
        dialer = _Dialer(feed, kind, names, tuple(members), interval, intervals, url)
        found.extend(dialer.plans())
    carried = {one for plan in found for one in plan.carries}
    for one in subscriptions:
        if one not in carried:
            raise Unsupported(f"{feed.name}: the feed has no {one.channel} of {one.symbol}")
    return found


@attrs.define
class _Tally:
    events: int = 0


@attrs.frozen
class _Dialer:
    feed: FeedAdapter
    kind: Any
    names: Names
    members: tuple[Subscription, ...]
    interval: str | None
    intervals: Mapping[str, str]
    url: str | None

    def plans(self) -> Iterator[Plan]:
        made, tuples = self._connect(_Tally())
        group = "market" if self.interval is None else f"candles-{self.interval}"
        for number, parts in enumerate(tuples):
            carries = self._carried(parts[0])
            yield Plan(
                name=f"{group}-{number}",
                host=urlsplit(replace_host(parts[0].address, self.url)).netloc,
                streams=len(carries),
                carries=carries,
                dial=partial(self._session, number),
            )
        forget(made.http_conn, *(parts[0] for parts in tuples))

    def _session(self, number: int) -> Session:
        tally = _Tally()
        made, tuples = self._connect(tally)
        connection, subscribe, handle = tuples[number][:3]
        connection.address = replace_host(connection.address, self.url)
        forget(*(parts[0] for parts in tuples if parts[0] is not connection))
        every_s = getattr(made, "keepalive_interval", None)  # since 3.0
        return Session(
            connection=connection,
            subscribe=subscribe,
            handle=handle,
            prefix=None,
            judge=None,
            release=lambda: forget(connection, made.http_conn),
            keepalive=None if every_s is None else Keepalive(every_s, made.keepalive),
            events=lambda: tally.events,
        )

    def _connect(self, tally: _Tally) -> tuple[Any, list[Any]]:
        wanted: dict[str, list[str]] = {}
        for one in self.members:
            wanted.setdefault(_CHANNELS[one.channel], []).append(self.names.by_symbol[one.symbol])
        extra = {} if self.interval is None else {"candle_interval": self.intervals[self.interval]}
        with listing(self.kind.id, self.names.ids, self.names.info):
            made = self.kind(
                subscription=wanted,
                callbacks=self._callbacks(tally),
                config=CONFIG,
                candle_closed_only=False,
                **extra,
            )
            tuples = [parts for parts in made.connect() if isinstance(parts[0], WSAsyncConn)]
        return made, tuples

    def _carried(self, connection: Any) -> tuple[Subscription, ...]:
        given = connection.subscription or {}
        carried = []
        for one in self.members:
            theirs = self.kind.websocket_channels[_CHANNELS[one.channel]]
            if self.names.ids[self.names.by_symbol[one.symbol]] in given.get(theirs, ()):
                carried.append(one)
        return tuple(carried)

    def _callbacks(self, tally: _Tally) -> dict[str, Any]:
        feed, ours = self.feed, {name: one for one, name in self.names.by_symbol.items()}
        interval = None if self.interval is None else Interval(self.interval)
        made_up = _events.TradeNames()

        def symbol(event: Any) -> str:
            if event.symbol not in ours:
                raise BadMessage(f"an event nobody asked for: {event.symbol}")
            return ours[event.symbol]

        async def candle(event: Any, _received_s: float) -> None:
            assert interval is not None
            one = _events.candle(event, symbol(event), interval)
            tally.events += 1
            later = feed.deliver_candle(one)
            if later is not None:
                await later

        async def trade(event: Any, _received_s: float) -> None:
            one = _events.trade(event, symbol(event), made_up)
            tally.events += 1
            later = feed.deliver_trade(one)
            if later is not None:
                await later

        async def ticker(event: Any, _received_s: float) -> None:
            one = _events.book_ticker(event, symbol(event))
            tally.events += 1
            later = feed.deliver_book_ticker(one)
            if later is not None:
                await later

        return {CANDLES: candle, TRADES: trade, TICKER: ticker}
