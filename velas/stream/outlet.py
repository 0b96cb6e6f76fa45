"""The last step to the bot: durable before delivered, in one order for each series."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import attrs

from velas.candles import frame_of
from velas.clock import Clock
from velas.mailbox import Mailbox
from velas.models import AppendResult, BookTicker, Candle, Trade
from velas.status import (
    CandleRevised,
    CandleUnconfirmed,
    ConnectionStatus,
    ConsumerSlow,
    GapEvent,
    RowsLost,
    SeriesStatus,
    Status,
    StoreFailed,
    StoreRecovered,
)
from velas.stream.series import About
from velas.stream.tasks import until

if TYPE_CHECKING:
    from velas.protocols import Store

__all__ = ["Key", "Outlet", "Said"]

Key = tuple[str, str | None]  # symbol, interval
Said = Candle | Trade | BookTicker | Status

_LOG = logging.getLogger(__name__)
_THREADS = 4  # a store locks one series at a time, and waits for the disk
_BACKLOG = 1_000  # candles of one series that may wait for a store that is behind
_ALIKE = 10  # statuses of one kind and series, or connection, that may wait: the newest
_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_OF_CANDLES = (GapEvent, CandleRevised, CandleUnconfirmed)


@attrs.define(eq=False)
class _Box:
    """What one series has said that is not delivered yet, in order.

    The first `durable` items are stored. For the first `promised` candles there is room
    with the bot; others, which came while the store was at work, must wait for it.
    """

    key: Key
    items: deque[Candle | Status] = attrs.Factory(deque)
    durable: int = 0
    promised: int = 0
    forming: Candle | None = None
    task: asyncio.Task[None] | None = None
    storing: bool = False
    failed: bool = False

    @property
    def backlog(self) -> int:
        return len(self.items) - self.promised


class Outlet:
    """Takes what the tracks release, stores closed candles, fills the mailbox.

    With a store no data of a series overtake a closed candle that is not durable yet.
    Storing that fails is told as `StoreFailed` and tried again; other series go on: what
    waits for the store takes nothing of the room that the bot leaves. Nor do statuses; the
    newest of a kind wait for each series and connection.
    """

    def __init__(
        self, mailbox: Mailbox[Said], store: Store | None, clock: Clock, counters: Counter[str]
    ) -> None:
        self._mailbox = mailbox
        self._store = store
        self._clock = clock
        self._counters = counters
        self._boxes: dict[Key, _Box] = {}
        self.stored: Counter[Key] = Counter()  # rows that were new, by series
        self._totals: dict[Key, int] = {}
        self._waiting = 0  # items in boxes
        self._promised = 0  # candles among them for which the bot has room
        self._told_slow = False
        self._finishing = asyncio.Event()
        self._threads = ThreadPoolExecutor(_THREADS, "velas-store") if store is not None else None

    @property
    def room(self) -> int:
        """How many closed candles and trades can be taken before the bot must catch up."""
        mailbox = self._mailbox  # asked for every trade
        return mailbox.size - mailbox.kept - self._promised

    def room_for(self, key: Key) -> int:
        """How many closed candles of a series can be taken before bot or store catch up."""
        box = self._boxes.get(key)
        return self.room if box is None else min(self.room, _BACKLOG - box.backlog)

    def behind(self, key: Key) -> bool:
        """Whether so much of a series waits for the store that none is to be asked for again."""
        box = self._boxes.get(key)
        return box is not None and box.backlog > _BACKLOG // 2

    def idle(self, key: Key) -> bool:
        """Whether nothing of a series waits for the store."""
        box = self._boxes.get(key)
        return box is None or not box.items

    @property
    def roomy(self) -> bool:
        """Whether the bot has caught up so far that it may be given all again."""
        roomy = self.room > self._mailbox.size // 2
        if roomy:
            self._told_slow = False
        return roomy

    def candle(self, candle: Candle, key: Key) -> None:
        """Deliver a closed candle, once it is durable."""
        if self._store is None:
            self._mailbox.put(candle, overtakes=key)
            return
        box = self._box(key)
        if box.forming is not None and box.forming.timestamp <= candle.timestamp:
            box.forming = None
        if not box.storing:
            box.promised += 1
            self._promised += 1
        self._keep(box, candle)

    def forming(self, candle: Candle, key: Key) -> None:
        """Deliver a forming candle, unless a newer one comes before the bot asks."""
        box = self._boxes.get(key) if self._boxes else None
        if box is not None and box.items:
            box.forming = candle
        else:
            self._mailbox.put_latest(candle, key)

    def trade(self, trade: Trade) -> None:
        """Deliver a trade."""
        self._mailbox.put(trade)

    def book_ticker(self, ticker: BookTicker) -> None:
        """Deliver a book ticker, unless a newer one comes before the bot asks."""
        self._mailbox.put_latest(ticker, ticker.symbol)

    def say(self, status: Status) -> None:
        """Deliver a status; one about candles keeps its place among them."""
        if isinstance(status, _OF_CANDLES) and self._store is not None:
            box = self._box((status.symbol, status.interval))
            if box.items or isinstance(status, CandleRevised):
                self._keep(box, status)
                return
        self._put_status(status)

    def say_slow(self) -> None:
        """Tell, once until the bot has caught up, that it is too slow."""
        if self._told_slow:
            return
        self._told_slow = True
        what = (
            "closed candles and trades are held back and asked for again by REST when there is "
            "room (trades that the venue cannot look up by id are lost); of forming candles and "
            "book tickers only the newest waits"
        )
        waiting = len(self._mailbox) + self._waiting
        self.say(ConsumerSlow(at_ms=self._clock.now_ms(), waiting=waiting, what=what))

    async def finish(self) -> None:
        """Store what was accepted, then close the mailbox; may be called again.

        When it returns nobody is in the store any more on behalf of `append`.
        """
        self._finishing.set()
        tasks = [box.task for box in self._boxes.values() if box.task is not None]
        try:
            if tasks:  # not gather: it would cancel what is being stored along with its caller
                await asyncio.wait(tasks)
            if self._threads is not None:  # a thread goes on when who asked is cancelled
                await asyncio.to_thread(self._threads.shutdown)
        finally:
            if self._threads is not None:
                self._threads.shutdown(wait=False)
            self._mailbox.close()

    async def append(self, candles: Sequence[Candle], key: Key) -> None:
        """Store candles; does nothing without a store.

        Raises whatever the store does, and tells it as `StoreFailed` once, until it works
        again.
        """
        if self._store is None or self._threads is None or not candles:
            return
        rows = {candle.timestamp: candle for candle in candles}
        frame = frame_of([rows[timestamp] for timestamp in sorted(rows)])
        box = self._box(key)
        try:
            result = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._store.append, frame, key[0], str(key[1])
            )
        except Exception as error:
            self._tell_failure(box, error)
            raise
        self._count(key, result)
        if box.failed:
            box.failed = False
            self._put_status(StoreRecovered(**self._about(key)))

    def _count(self, key: Key, result: AppendResult) -> None:
        self.stored[key] += result.rows_added
        before, self._totals[key] = self._totals.get(key, 0), result.rows_total
        if result.rows_total < before:
            _LOG.warning("%s %s: %d stored rows, now %d", *key, before, result.rows_total)
            self._put_status(RowsLost(**self._about(key), before=before, now=result.rows_total))

    def _put_status(self, status: Status) -> None:
        if self._mailbox.put_note(status, _topic(status), _ALIKE):
            self._counters["statuses_conflated"] += 1

    def _keep(self, box: _Box, item: Candle | Status) -> None:
        box.items.append(item)
        self._waiting += 1
        if box.task is None:
            box.task = asyncio.ensure_future(self._commit(box))

    def _box(self, key: Key) -> _Box:
        box = self._boxes.get(key)
        if box is None:
            box = self._boxes[key] = _Box(key)
        return box

    async def _commit(self, box: _Box) -> None:
        pause_s = _PAUSE_S
        box.storing = True
        try:
            while box.items:
                if box.durable or await self._stored(box):
                    self._deliver(box)
                    pause_s = _PAUSE_S
                    if box.durable:
                        await until(self._finishing, self._clock, _PAUSE_S)
                elif self._finishing.is_set():
                    return
                else:
                    self._break_promise(box)
                    await until(self._finishing, self._clock, pause_s)
                    pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        finally:
            box.task, box.storing = None, False
        forming, box.forming = box.forming, None
        if forming is not None:
            self._mailbox.put_latest(forming, box.key)

    async def _stored(self, box: _Box) -> bool:
        rows = [item.after if isinstance(item, CandleRevised) else item for item in box.items]
        try:
            await self.append([row for row in rows if isinstance(row, Candle)], box.key)
        except Exception:  # told; whatever it is, the candle is not durable
            return False
        box.durable = len(rows)
        return True

    def _break_promise(self, box: _Box) -> None:
        # the bot's room is for what can be delivered
        self._promised -= box.promised
        box.promised = 0

    def _tell_failure(self, box: _Box, error: Exception) -> None:
        if not box.failed:
            _LOG.warning("%s %s: not stored: %s", *box.key, error)
        if not box.failed or self._finishing.is_set():
            text = f"{type(error).__name__}: {error}"
            self._put_status(StoreFailed(**self._about(box.key), error=text))
        box.failed = True

    def _about(self, key: Key) -> About:
        symbol, interval = key
        now_ms = self._clock.now_ms()
        return {"at_ms": now_ms, "channel": "candles", "symbol": symbol, "interval": interval}

    def _deliver(self, box: _Box) -> None:
        while box.durable:
            item = box.items[0]
            if not isinstance(item, Candle):
                self._put_status(item)
            elif self._has_room(box):
                self._mailbox.put(item, overtakes=box.key)
            else:
                break
            box.items.popleft()
            box.durable -= 1
            self._waiting -= 1

    def _has_room(self, box: _Box) -> bool:
        if box.promised:
            box.promised -= 1
            self._promised -= 1
            return True
        # a backlog leaves half of the room to what is new
        return self.room > self._mailbox.size // 2 or self._finishing.is_set()


def _topic(status: Status) -> Hashable:
    # what two statuses have in common of which the newer may stand for both
    if isinstance(status, GapEvent):
        about: Hashable = (status.channel, status.symbol, status.interval, status.start_ms)
    elif isinstance(status, CandleRevised):
        about = (status.symbol, status.interval, status.before.timestamp)
    elif isinstance(status, CandleUnconfirmed):
        about = (status.symbol, status.interval, status.candle.timestamp)
    elif isinstance(status, SeriesStatus):
        about = (status.channel, status.symbol, status.interval)
    else:
        about = status.connection if isinstance(status, ConnectionStatus) else None
    return type(status), about
