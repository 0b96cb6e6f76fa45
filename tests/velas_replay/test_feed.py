"""A tape in place of sockets: what it delivers, when, and what it refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Self

import attrs
import pytest
from fakes import FakeExchange, candles

from velas import registry
from velas.config import load_settings
from velas.errors import ConfigError, FeedError, UnknownSymbol, Unsupported
from velas.feed import FeedAdapter, Frame
from velas.models import Candle, Market, Subscription, Trade
from velas.protocols import Exchange, Feed
from velas.status import CallbackFailed, Connected, Disconnected, Status
from velas.tape import Header, TapeWriter
from velas.testing import ManualClock
from velas_replay import ReplayExchange, ReplayFeed

START_MS = 1_700_000_000_000
CANDLES = Subscription("candles", "BTC/USDT", "1m")
TRADES = Subscription("trades", "ETH/USDT")
HEADER = Header(
    "pretend",
    START_MS,
    (CANDLES, TRADES),
    (Market("BTC/USDT", "BTCUSDT", "BTC", "USDT"), Market("ETH/USDT", "ETHUSDT", "ETH", "USDT")),
)


class PretendFeed(FeedAdapter):
    """Reads its own kind of message; remembers what it was asked for."""

    made: list[PretendFeed] = []  # noqa: RUF012

    @classmethod
    def from_settings(cls, settings: object, *, exchange: Exchange) -> Self:
        feed = cls("pretend", exchange)
        cls.made.append(feed)
        return feed

    async def _drive(self, subscriptions: Sequence[Subscription]) -> None:
        raise AssertionError("a replay connects to nothing")

    async def play(self, frames: AsyncIterator[Frame]) -> None:
        async for frame in frames:
            at_ms = frame.received_ns // 1_000_000
            if frame.kind == "open":
                self.report(Connected(at_ms=at_ms, connection=frame.connection))
            elif frame.kind == "close":
                self.report(
                    Disconnected(at_ms=at_ms, connection=frame.connection, reason=frame.data)
                )
            else:
                later = self._parse(json.loads(frame.data))
                if later is not None:
                    await later

    def _parse(self, row: dict[str, int]) -> object:
        n = row["n"]
        if n % 2:
            return self.deliver_trade(Trade("ETH/USDT", n, START_MS, 1, 1, False))
        return self.deliver_candle(
            Candle("BTC/USDT", "1m", n, 1.0, 1.0, 1.0, 1.0, 1.0, n, is_closed=n % 4 == 0)
        )


def frame(n: int, seconds: float) -> Frame:
    ns = START_MS * 1_000_000 + round(seconds * 1e9)
    return Frame("text", "stream-0", ns, json.dumps({"n": n}))


@pytest.fixture(autouse=True)
def _pretend(monkeypatch: pytest.MonkeyPatch) -> None:
    real = registry.load
    PretendFeed.made = []

    def load(kind: registry.Kind, name: str) -> object:
        return PretendFeed if (kind, name) == ("feeds", "pretend") else real(kind, name)

    monkeypatch.setattr(registry, "load", load)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Write a tape of numbered messages, one every ten seconds."""

    def write(count: int = 6, *, every_s: float = 10.0, header: Header = HEADER) -> Path:
        path = tmp_path / "live.tape"
        with TapeWriter(path, header, overwrite=True) as tape:
            tape.write(Frame("open", "stream-0", START_MS * 1_000_000))
            for n in range(count):
                tape.write(frame(n, every_s * (n + 1)))
            end_ns = START_MS * 1_000_000 + round(every_s * (count + 1) * 1e9)
            tape.write(Frame("close", "stream-0", end_ns, "cut"))
        return path

    return write


def ids(events: Sequence[object]) -> list[int | str]:
    return [one.id if isinstance(one, Trade) else one.timestamp for one in events]


async def collect(feed: ReplayFeed) -> list[object]:
    return [event async for event in feed.events()]


def test_replay_feed_is_a_feed(make: Callable[..., Path]) -> None:
    assert isinstance(ReplayFeed(make()), Feed)


async def test_replay_delivers_everything_in_order_and_ends(make: Callable[..., Path]) -> None:
    async with ReplayFeed(make(9)) as feed:
        found = await asyncio.wait_for(collect(feed), 30)
    assert ids(found) == list(range(9))


async def test_replay_twice_gives_the_same_at_the_same_times(make: Callable[..., Path]) -> None:
    async def once() -> list[tuple[int, str]]:
        feed, seen = ReplayFeed(make(20, every_s=0.37)), []
        feed.on_candle = feed.on_trade = feed.on_status = lambda event: seen.append(
            (feed.clock.now_ms(), repr(event))
        )
        await feed.run()
        return seen

    first = await once()
    assert len(first) == 22
    assert first == await once()


async def test_replay_delivers_only_what_is_subscribed(make: Callable[..., Path]) -> None:
    feed = ReplayFeed(make(6))
    feed.subscribe("trades", ["ETHUSDT"])
    assert ids(await collect(feed)) == [1, 3, 5]
    feed = ReplayFeed(make(6))
    feed.subscribe("candles", ["BTCUSDT"], intervals=["1m"])
    assert ids(await collect(feed)) == [0, 2, 4]


async def test_replay_subscribes_the_venues_feed_to_what_the_tape_has(
    make: Callable[..., Path],
) -> None:
    feed = ReplayFeed(make(1))
    feed.subscribe("trades", ["ETHUSDT"])
    await feed.run()
    (inner,) = PretendFeed.made
    assert await inner.subscriptions() == (CANDLES, TRADES)
    assert inner.exchange is feed.exchange
    assert inner.clock is feed.clock


async def test_replay_of_what_is_not_on_the_tape_says_what_is(make: Callable[..., Path]) -> None:
    feed = ReplayFeed(make())
    feed.subscribe("candles", ["ETH/USDT"], intervals=["1m"])
    with pytest.raises(ConfigError, match="no candles of ETH/USDT 1m; it holds candles of BTC/"):
        await feed.run()
    feed = ReplayFeed(make())
    feed.subscribe("trades", ["ETHUSD"])
    with pytest.raises(UnknownSymbol, match="ETH/USDT"):
        await feed.run()


async def test_replay_takes_the_markets_of_an_exchange_if_given(make: Callable[..., Path]) -> None:
    exchange = FakeExchange({})
    feed = ReplayFeed(make(), exchange=exchange)
    assert feed.exchange is exchange
    with pytest.raises(UnknownSymbol):
        await feed.run()


async def test_replay_markets_of_a_tape_fetch_nothing(make: Callable[..., Path]) -> None:
    feed = ReplayFeed(make())
    assert list(await feed.exchange.markets()) == ["BTC/USDT", "ETH/USDT"]
    assert await feed.exchange.server_time_ms() == START_MS
    with pytest.raises(Unsupported):
        await feed.exchange.fetch_candles("BTC/USDT", "1m")


# --- callbacks


async def test_replay_reports_connections_and_failing_callbacks(make: Callable[..., Path]) -> None:
    feed, told = ReplayFeed(make(2)), list[Status]()

    def fail(event: object) -> None:
        raise RuntimeError("a bug of the user")

    feed.on_candle, feed.on_status = fail, told.append
    await feed.run()
    assert [type(one) for one in told] == [Connected, CallbackFailed, Disconnected]
    assert [one.at_ms - START_MS for one in told] == [0, 10_000, 30_000]


async def test_replay_gives_its_raw_frames_too(make: Callable[..., Path]) -> None:
    feed, frames = ReplayFeed(make(3)), list[Frame]()
    feed.on_frame = frames.append
    await feed.run()
    assert frames == list(feed.tape.frames())


async def test_replay_waits_for_a_callback_that_sleeps_on_its_clock(
    make: Callable[..., Path],
) -> None:
    feed, seen = ReplayFeed(make(3)), []

    async def slow(event: Candle | Trade) -> None:
        await asyncio.gather(feed.clock.sleep(25.0), feed.clock.sleep(1.0))
        seen.append(feed.clock.monotonic_s())

    feed.on_candle = feed.on_trade = slow
    await asyncio.wait_for(feed.run(), 30)
    assert seen == [35.0, 60.0, 85.0]


async def test_replay_waits_for_a_consumer_that_sleeps_on_its_clock(
    make: Callable[..., Path],
) -> None:
    feed, seen = ReplayFeed(make(4)), []

    async def consume() -> None:
        async for event in feed.events():
            await feed.clock.sleep(25.0)
            seen.append(event)

    await asyncio.wait_for(consume(), 30)
    assert ids(seen) == [0, 1, 2, 3]


async def test_replay_drops_nothing_for_a_slow_consumer(make: Callable[..., Path]) -> None:
    feed, found = ReplayFeed(make(200, every_s=0.001)), []
    async for event in feed.events():
        for _ in range(50):
            await asyncio.sleep(0)
        found.append(event)
    assert ids(found) == list(range(200))


async def test_replay_clock_stops_at_sleepers_between_frames(make: Callable[..., Path]) -> None:
    feed, log = ReplayFeed(make(2)), []

    async def heartbeat() -> None:
        while True:
            await feed.clock.sleep(4.0)
            log.append(feed.clock.monotonic_s())

    feed.on_candle = feed.on_trade = lambda event: log.append(ids([event])[0])
    beating = asyncio.ensure_future(heartbeat())
    await feed.run()
    beating.cancel()
    assert log == [4.0, 8.0, 0, 12.0, 16.0, 20.0, 1, 24.0, 28.0]


async def test_replay_runs_to_the_end_of_the_recording_not_of_the_last_frame(
    tmp_path: Path,
) -> None:
    tape = TapeWriter(tmp_path / "x.tape", HEADER)
    tape.write(frame(0, 1.0))
    tape.close(ended_ms=START_MS + 60_000)
    feed = ReplayFeed(tape.path)
    late = asyncio.ensure_future(feed.clock.sleep(59.0))
    await feed.run()
    assert late.done()


async def test_replay_events_can_be_left_early(make: Callable[..., Path]) -> None:
    feed = ReplayFeed(make(50))
    async with feed:
        events = feed.events()
        async for event in events:
            if ids([event]) == [3]:
                break
        await events.aclose()
    assert feed.on_candle is None
    with pytest.raises(FeedError, match="closed"):
        await feed.run()


async def test_replay_closed_while_it_runs_returns(make: Callable[..., Path]) -> None:
    clock = ManualClock()
    feed = ReplayFeed(make(), speed=1.0, clock=clock)
    running = asyncio.ensure_future(feed.run())
    await clock.run_for(15.0)
    await feed.aclose()
    await asyncio.wait_for(running, 30)


async def test_replay_events_beside_callbacks_are_refused(make: Callable[..., Path]) -> None:
    feed = ReplayFeed(make())
    feed.on_trade = print
    with pytest.raises(FeedError, match="either"):
        await collect(feed)


# --- pace


@pytest.mark.parametrize(("speed", "factor"), [("original", 1.0), (1.0, 1.0), (10.0, 10.0)])
async def test_replay_keeps_its_pace_on_the_given_clock(
    make: Callable[..., Path], speed: object, factor: float
) -> None:
    clock, seen = ManualClock(), []
    feed = ReplayFeed(make(3), speed=speed, clock=clock)
    feed.on_candle = feed.on_trade = lambda event: seen.append(clock.monotonic_s())
    running = asyncio.ensure_future(feed.run())
    await clock.run_for(50.0 / factor)
    assert running.done()
    assert seen == pytest.approx([10.0 / factor, 20.0 / factor, 30.0 / factor])


@pytest.mark.parametrize("speed", [None, 0, 0.0])
async def test_replay_as_fast_as_possible_asks_no_clock_to_sleep(
    make: Callable[..., Path], speed: float | None
) -> None:
    clock = ManualClock()
    assert len(await collect(ReplayFeed(make(5), speed=speed, clock=clock))) == 5
    assert (clock.monotonic_s(), clock.sleepers) == (0.0, 0)


@pytest.mark.parametrize("speed", [-1, float("nan"), float("inf"), "fast"])
def test_replay_speed_that_is_none_is_refused(make: Callable[..., Path], speed: object) -> None:
    with pytest.raises(ConfigError, match=r"speed .*'original'"):
        ReplayFeed(make(), speed=speed)


# --- the tape's own exchange


def rest_tape(path: Path) -> Path:
    header = attrs.evolve(HEADER, rest=True)
    minutes = candles([START_MS // 60_000 * 60_000 + n * 60_000 for n in range(10)], "1m")
    tape = TapeWriter(path, header)
    tape.write(frame(0, 1.0))
    columns = {name: minutes[name].tolist() for name in minutes}
    tape.write_rest("candles", {"symbol": "BTC/USDT", "interval": "1m", "columns": columns})
    rows = [[n, START_MS + n * 1_000, "1.5", "2", True, n, n] for n in range(100)]
    tape.write_rest("trades", {"symbol": "ETH/USDT", "rows": rows})
    tape.close(ended_ms=START_MS + 300_000)
    return path


async def test_tape_exchange_answers_up_to_the_tapes_time(tmp_path: Path) -> None:
    feed = ReplayFeed(rest_tape(tmp_path / "x.tape"))
    exchange = feed.exchange
    assert exchange.capabilities.intervals == ("1m",)
    assert exchange.capabilities.trades_by_id
    assert len(await exchange.fetch_candles("BTCUSDT", "1m")) == 0
    assert [one.id for one in await exchange.fetch_trades("ETHUSDT")] == [0]
    seen: list[tuple[int, list[object]]] = []

    async def ask() -> None:
        await feed.clock.sleep(90.5)
        frame = await exchange.fetch_candles("BTCUSDT", "1m", start_ms=START_MS - 60_000)
        trades = await exchange.fetch_trades("ETHUSDT", from_id=88)
        seen.append((len(frame), [one.id for one in trades]))

    asking = asyncio.ensure_future(ask())
    await feed.run()
    await asking
    assert seen == [(1, [88, 89, 90])]


async def test_tape_exchange_of_a_tape_without_rest_has_its_intervals(
    make: Callable[..., Path],
) -> None:
    exchange = ReplayFeed(make()).exchange
    assert exchange.capabilities.intervals == ("1m",)
    assert not exchange.capabilities.trades


async def test_replay_from_settings_with_a_tape_alone_shares_its_time(tmp_path: Path) -> None:
    chosen = settings(rest_tape(tmp_path / "x.tape"))
    async with ReplayExchange.from_settings(chosen) as exchange:
        feed = ReplayFeed.from_settings(chosen, exchange=exchange)
        assert exchange.clock is feed.clock
        await feed.run()
        assert await exchange.server_time_ms() >= START_MS + 300_000
        assert len(await exchange.fetch_candles("BTCUSDT", "1m")) == 5


async def test_tape_with_a_damaged_rest_side_says_so(tmp_path: Path) -> None:
    tape = TapeWriter(tmp_path / "x.tape", HEADER)
    tape.write_rest("trades", {"symbol": "ETH/USDT", "rows": [[1, 2]]})
    tape.close()
    with pytest.raises(ConfigError, match="damaged: its REST side"):
        await ReplayFeed(tape.path).exchange.markets()


# --- settings and wrong tapes


def settings(path: Path | None, exchange: str = "pretend") -> object:
    return load_settings(environ={}, exchange="replay", replay={"tape": path, "exchange": exchange})


async def test_replay_from_settings_plays_the_tape(make: Callable[..., Path]) -> None:
    feed = ReplayFeed.from_settings(settings(make(3)), exchange=ReplayFeed(make(3)).exchange)
    assert ids(await collect(feed)) == [0, 1, 2]


def test_replay_from_settings_without_a_tape_says_which_key() -> None:
    with pytest.raises(ConfigError, match=r"replay\.tape"):
        ReplayFeed.from_settings(settings(None), exchange=FakeExchange({}))


async def test_replay_of_another_exchanges_tape_says_what_to_set(make: Callable[..., Path]) -> None:
    feed = ReplayFeed.from_settings(settings(make(), "kraken"), exchange=FakeExchange({}))
    with pytest.raises(ConfigError, match=r"replay\.exchange is 'kraken': set it to pretend"):
        await feed.run()


async def test_replay_of_a_replay_is_refused(make: Callable[..., Path]) -> None:
    header = Header("replay", START_MS, HEADER.subscriptions, HEADER.markets)
    with pytest.raises(ConfigError, match="recording of a replay"):
        await ReplayFeed(make(header=header)).run()


async def test_replay_of_a_damaged_tape_ends_with_one_clear_error(
    make: Callable[..., Path],
) -> None:
    path = make(50)
    data = bytearray(path.read_bytes())
    data[-30] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"live\.tape.* is damaged"):
        await collect(ReplayFeed(path))
    with pytest.raises(ConfigError, match="is not there"):
        await collect(ReplayFeed(path.with_name("no.tape")))
