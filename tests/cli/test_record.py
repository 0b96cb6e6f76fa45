"""`velas record`: what a feed says ends up on a tape, whatever happens."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from fakes import FakeExchange

from velas.errors import FeedError
from velas.feed import FeedAdapter, Frame
from velas.limits import reset_shared_limiters
from velas.models import BookTicker, Candle, Subscription, Trade
from velas.polling import PollingFeed
from velas.tape import TapeWriter, load_tape
from velas.tape_rest import load_rest
from velas_replay import ReplayFeed

NS = 1_800_000_000_000_000_000


class ScriptedFeed(FeedAdapter):
    """Says what it is told to, then calls `at_end`, then stays silent."""

    def __init__(self, exchange: FakeExchange) -> None:
        super().__init__("binance_spot", exchange)
        self.frames = [Frame("open", "stream-0", NS), Frame("text", "stream-0", NS + 1, "hello")]
        self.at_end: Callable[[], object] = lambda: None
        self.ended = asyncio.Event()

    async def _drive(self, subscriptions: Sequence[Subscription]) -> None:
        for frame in self.frames:
            assert self.on_frame is not None
            self.on_frame(frame)
        self.deliver_candle(Candle("BTC/USDT", "1m", 0, 1.0, 1.0, 1.0, 1.0, 1.0, 59_999))
        self.deliver_trade(Trade("BTC/USDT", 1, 0, Decimal(1), Decimal(1), False))
        self.deliver_book_ticker(
            BookTicker("BTC/USDT", Decimal(1), Decimal(1), Decimal(1), Decimal(1))
        )
        self.at_end()
        await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def _own_limiters() -> Iterator[None]:
    yield
    reset_shared_limiters()


@pytest.fixture
def feed(venue: FakeExchange, monkeypatch: pytest.MonkeyPatch) -> ScriptedFeed:
    """The feed that the command opens."""
    scripted = ScriptedFeed(venue)
    monkeypatch.setattr("velas.registry.open_feed", lambda settings, exchange: scripted)
    return scripted


def messages(path: str | Path) -> list[str]:
    return [frame.data for frame in load_tape(path).frames() if frame.kind == "text"]


def test_record_writes_the_frames_and_says_what_came(velas, feed) -> None:
    result = velas("record", "live", "--seconds", "0.05", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found.pop("seconds") >= 0.05
    assert found.pop("bytes") == Path("live.tape").stat().st_size
    assert found == {
        "exchange": "binance_spot",
        "tape": "live.tape",
        "frames": 2,
        "messages": 1,
        "connections": 1,
        "events": {"candles": 1, "trades": 1, "book_ticker": 1, "closed_candles": 1},
        "rest_rows": 0,
        "interrupted": False,
    }
    tape = load_tape("live.tape")
    assert list(tape.frames()) == feed.frames
    assert [market.symbol for market in tape.header.markets] == ["BTC/USDT", "ETH/USDT"]
    assert tape.header.subscriptions == (
        Subscription("candles", "BTC/USDT", "1m"),
        Subscription("candles", "ETH/USDT", "1m"),
        Subscription("trades", "BTC/USDT"),
        Subscription("trades", "ETH/USDT"),
        Subscription("book_ticker", "BTC/USDT"),
        Subscription("book_ticker", "ETH/USDT"),
    )


def test_record_for_people_names_the_file_and_the_numbers(velas, feed) -> None:
    result = velas("record", "live.tape", "--seconds", "0.05")
    assert result.exit_code == 0, result.output
    assert "live.tape: 2 frames of 6 series" in result.stdout
    assert "1 candle (1 closed), 1 trade, 1 book ticker; 1 connection, ended" in result.stdout
    assert "recording binance_spot for 0.05 s to live.tape" in result.stderr


def test_record_takes_what_is_chosen(velas, feed) -> None:
    args = ("--symbol", "ETHUSDT", "--interval", "5m", "--interval", "1h", "--channel", "candles")
    assert velas("record", "x", "--seconds", "0.05", *args).exit_code == 0
    assert load_tape("x.tape").header.subscriptions == (
        Subscription("candles", "ETH/USDT", "5m"),
        Subscription("candles", "ETH/USDT", "1h"),
    )


def test_record_goes_to_the_cassettes_if_there_are_any(velas, feed) -> None:
    Path("cassettes/binance_spot").mkdir(parents=True)
    assert velas("record", "x", "--seconds", "0.05").exit_code == 0
    assert messages("cassettes/binance_spot/x.tape") == ["hello"]


def test_record_goes_to_the_folder_named(velas, feed) -> None:
    assert velas("record", "x", "--seconds", "0.05", "--folder", "new/one").exit_code == 0
    assert messages("new/one/x.tape") == ["hello"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a file system of the Linux kernel")
def test_record_to_a_folder_that_takes_no_files_is_one_clear_error(velas, feed) -> None:
    result = velas("record", "x", "--seconds", "0.05", "--folder", "/proc")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "velas: error: --folder: no permission to write to '/proc'\n"


def test_record_to_a_folder_that_is_a_file_is_refused(velas, feed) -> None:
    Path("file").write_text("x")
    result = velas("record", "x", "--folder", "file")
    assert result.exit_code == 2
    assert "--folder: 'file' is a file" in result.stderr


@pytest.mark.parametrize("name", ["../x", "a/b", "/x", "..", "", ".hidden", "a..b", "x" * 200])
def test_record_name_stays_in_its_folder(velas, feed, name) -> None:
    result = velas("record", name, "--seconds", "0.05")
    assert result.exit_code == 2
    assert "make a name" in result.stderr
    assert list(Path().rglob("*.tape*")) == []


def test_record_overwrites_only_by_force(velas, feed) -> None:
    Path("live.tape").write_text("precious")
    result = velas("record", "live", "--seconds", "0.05")
    assert result.exit_code == 2
    assert "'live.tape' is there already; --force overwrites it" in result.stderr
    assert Path("live.tape").read_text() == "precious"
    assert velas("record", "live", "--seconds", "0.05", "--force").exit_code == 0
    assert messages("live.tape") == ["hello"]


def test_record_interrupted_is_130_and_keeps_the_tape(velas, feed, monkeypatch) -> None:
    @contextmanager
    def stop_on_signals():
        stop = asyncio.Event()
        feed.at_end = stop.set
        yield stop

    monkeypatch.setattr("velas.cli.record.stop_on_signals", stop_on_signals)
    result = velas("record", "live", "--json")
    assert result.exit_code == 130
    assert json.loads(result.stdout)["interrupted"] is True
    reading = load_tape("live.tape").frames()
    assert len(list(reading)) == 2
    assert reading.lost is None


def test_record_interrupted_before_it_began_leaves_nothing(velas, feed, monkeypatch) -> None:
    @contextmanager
    def stop_on_signals():
        stop = asyncio.Event()
        stop.set()
        yield stop

    async def never(*_args: object) -> object:
        return await asyncio.Event().wait()

    monkeypatch.setattr("velas.cli.record.stop_on_signals", stop_on_signals)
    monkeypatch.setattr(feed, "subscriptions", never)
    result = velas("record", "live")
    assert (result.exit_code, result.stdout) == (130, "")
    assert list(Path().iterdir()) == []


def test_record_of_silence_is_unreachable_and_leaves_nothing(velas, feed) -> None:
    feed.frames = feed.frames[:1]
    result = velas("record", "live", "--seconds", "0.05")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "nothing was received" in result.stderr
    assert list(Path().iterdir()) == []


def test_record_that_meets_account_data_stops_without_it(velas, feed) -> None:
    feed.frames += [
        Frame("text", "stream-0", NS + 2, '{"e":"executionReport"}'),
        Frame("text", "stream-0", NS + 3, "later"),
    ]
    result = velas("record", "live", "--seconds", "60")
    assert result.exit_code == 2
    assert "is about an account" in result.stderr
    assert messages("live.tape") == ["hello"]


def test_record_whose_feed_fails_keeps_what_came(velas, feed) -> None:
    def fail() -> None:
        raise FeedError("cannot go on")

    feed.at_end = fail
    result = velas("record", "live", "--seconds", "60")
    assert result.exit_code == 1
    assert "velas: error: cannot go on" in result.stderr
    assert messages("live.tape") == ["hello"]


def test_record_to_a_full_disk_ends_with_the_systems_word(velas, feed, monkeypatch) -> None:
    def write(self: TapeWriter, frame: Frame) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "live.tape.part")

    monkeypatch.setattr(TapeWriter, "write", write)
    result = velas("record", "live", "--seconds", "60")
    assert result.exit_code == 1
    assert "live.tape.part: No space left on device" in result.stderr


def test_record_of_a_venue_without_a_socket_is_refused(velas, venue, monkeypatch) -> None:
    monkeypatch.setattr("velas.registry.open_feed", lambda _, exchange: PollingFeed(exchange))
    result = velas("record", "live")
    assert result.exit_code == 2
    assert "no socket that could be recorded" in result.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--clock-factor", "5"), "need --stand-in"),
        (("--cut-after", "5"), "need --stand-in"),
        (("--interval", "1m", "--channel", "trades"), "--interval is for candles"),
        (("--stand-in", "--exchange", "kraken"), "--stand-in plays binance_spot or"),
        (("--stand-in", "--config", "c.yaml"), "takes no --config"),
        (("--seconds", "0"), "'0' cannot be used; it takes a number above 0 up to 2,678,400."),
        (("--stand-in", "--clock-factor", "x"), "it takes a number from 1 up to 100."),
        (("--channel", "books"), "candles"),
        (("--symbol", "NOPE"), "NOPE"),
        (("--interval", "7m"), "7m"),
    ],
)
def test_record_refuses_what_cannot_be(velas, feed, args, says) -> None:
    result = velas("record", "live", *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("exchange", ["binance_spot", "binance_futures"])
def test_record_of_the_stand_in_replays_to_the_same_events(velas, exchange) -> None:
    args = ("--stand-in", "--seconds", "30", "--cut-after", "8", "--clock-factor", "20")
    args = (*args, "--with-rest")
    result = velas("--exchange", exchange, "record", "live", *args, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)

    async def replay() -> dict[str, int]:
        kinds = {Candle: "candles", Trade: "trades", BookTicker: "book_ticker"}
        counted = dict.fromkeys(kinds.values(), 0)
        async for event in ReplayFeed("live.tape").events():
            counted[kinds[type(event)]] += 1
        return counted

    counted = asyncio.run(replay())
    assert all(counted.values())
    assert counted == {name: found["events"][name] for name in counted}
    assert found["connections"] >= 1
    rest = load_rest(load_tape("live.tape"))
    assert found["rest_rows"] == sum(map(len, (*rest.candles.values(), *rest.trades.values())))
    assert found["rest_rows"] >= 200 + found["events"]["trades"]
    assert load_tape("live.tape").header.source == "the stand-in venue of velas.testing"
