"""Tapes: what is written comes back, and what is damaged is said to be."""

from __future__ import annotations

import gzip
import logging
import tempfile
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from velas.errors import ConfigError
from velas.feed import Frame
from velas.models import Market, Subscription
from velas.tape import PART, Header, TapeWriter, load_tape

START_MS = 1_700_000_000_000
BTC = Market(
    symbol="BTC/USDT:USDT",
    id="BTCUSDT",
    base="BTC",
    quote="USDT",
    type="swap",
    settle="USDT",
    linear=True,
    contract_size=Decimal("1"),
    listed_ms=5,
    precision={"price": Decimal("0.10"), "cost": None},
    limits={"amount": (Decimal("0.001"), None)},
)
HEADER = Header(
    "binance_futures",
    START_MS,
    (Subscription("candles", BTC.symbol, "1m"), Subscription("trades", BTC.symbol)),
    (BTC,),
    "a test",
)
frames_of_a_tape = st.lists(
    st.builds(
        Frame,
        st.sampled_from(["open", "text", "close"]),
        st.text(max_size=20),
        st.integers(0, 2**63 - 1),
        st.text(max_size=60),
    ),
    max_size=30,
)


def text(n: int, *, at_ms: int = START_MS, data: str = '{"e":"kline"}') -> Frame:
    return Frame("text", "market-0", at_ms * 1_000_000 + n, data)


def write(path: Path, frames: list[Frame], header: Header = HEADER, **options: bool) -> Path:
    with TapeWriter(path, header, **options) as tape:
        for frame in frames:
            tape.write(frame)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "live.tape"


@settings(max_examples=100, deadline=None)
@given(frames_of_a_tape)
def test_tape_written_and_read_is_the_same(frames: list[Frame]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "x.tape", frames)
        tape = load_tape(path)
        assert tape.header == HEADER
        for _ in range(2):  # as often as wanted
            reading = tape.frames()
            assert list(reading) == frames
            assert (reading.count, reading.lost) == (len(frames), None)
            latest = max([START_MS, *(frame.received_ns // 1_000_000 for frame in frames)])
            assert reading.ended_ms == latest


def test_tape_header_gives_the_markets_back(path: Path) -> None:
    (market,) = load_tape(write(path, [])).header.markets
    assert market == BTC
    assert market.limits == {"amount": (Decimal("0.001"), None)}


def test_tape_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    frames = [text(n, at_ms=START_MS + n * 700) for n in range(50)]
    one, two = write(tmp_path / "a.tape", frames), write(tmp_path / "b.tape", frames)
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes()[4:8] == b"\0\0\0\0"  # no time in the header of gzip


def test_tape_can_be_read_by_any_gzip_and_json(path: Path) -> None:
    frame = text(1, data='{"s":"BTCUSDT"}')
    lines = [
        orjson.loads(line)
        for line in gzip.decompress(write(path, [frame]).read_bytes()).splitlines()
    ]
    assert lines[0]["velas_tape"] == 1
    assert lines[1] == ["t", "market-0", frame.received_ns, '{"s":"BTCUSDT"}']
    assert lines[2] == {"ended_ms": START_MS, "frames": 1}


def test_tape_end_is_when_the_recording_stopped(path: Path) -> None:
    tape = TapeWriter(path, HEADER)
    tape.write(text(1))
    tape.close(ended_ms=START_MS + 9_000)
    tape.close()
    reading = load_tape(path).frames()
    assert len(list(reading)) == 1
    assert reading.ended_ms == START_MS + 9_000


# --- publishing


def test_writer_publishes_on_close_only(path: Path) -> None:
    tape = TapeWriter(path, HEADER)
    tape.write(text(1))
    assert not path.exists()
    tape.close()
    assert [one.name for one in path.parent.iterdir()] == ["live.tape"]


def test_writer_discarded_leaves_nothing(path: Path) -> None:
    tape = TapeWriter(path, HEADER)
    tape.write(text(1))
    tape.discard()
    assert list(path.parent.iterdir()) == []


def test_writer_refuses_to_overwrite(path: Path) -> None:
    before = write(path, [text(1)]).read_bytes()
    with pytest.raises(ConfigError, match=r"live\.tape.* is there already"):
        TapeWriter(path, HEADER)
    assert path.read_bytes() == before
    write(path, [text(1), text(2)], overwrite=True)
    assert len(list(load_tape(path).frames())) == 2


def test_writer_refuses_a_tape_that_came_meanwhile(path: Path) -> None:
    tape = TapeWriter(path, HEADER)
    path.write_text("another's")
    with pytest.raises(ConfigError, match="is there already"):
        tape.close()
    assert path.read_text() == "another's"


def test_writer_two_at_once_one_is_refused(path: Path) -> None:
    with TapeWriter(path, HEADER), pytest.raises(ConfigError, match=r"\.part.* is there"):
        TapeWriter(path, HEADER)


def test_writer_into_no_folder_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.*No such file"):
        TapeWriter(tmp_path / "nowhere" / "live.tape", HEADER)


def test_writer_killed_leaves_what_is_older_than_two_seconds(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tape = TapeWriter(path, HEADER)
    frames = [text(n, at_ms=START_MS + n * 100) for n in range(100)]
    for frame in frames:
        tape.write(frame)
    part = path.with_name(path.name + PART)  # as it lies there when the process is killed
    with caplog.at_level(logging.WARNING, "velas.tape"):
        reading = load_tape(part).frames()
        found = list(reading)
    assert found == frames[: len(found)]
    assert frames[-1].received_ns - found[-1].received_ns <= 2_000_000_000
    assert reading.ended_ms is None
    assert reading.lost in caplog.text
    tape.discard()


# --- cut, damaged, foreign


@pytest.fixture
def whole(path: Path) -> bytes:
    data = [f'{{"n":{n},"x":"{n * 7919 % 1013}"}}' for n in range(400)]
    frames = [text(n, at_ms=START_MS + n * 50, data=one) for n, one in enumerate(data)]
    return write(path, frames).read_bytes()


@pytest.mark.parametrize("part", [0.3, 0.5, 0.9, 0.99])
def test_tape_cut_short_gives_what_is_there_and_says_so(
    path: Path, whole: bytes, part: float, caplog: pytest.LogCaptureFixture
) -> None:
    everything = list(load_tape(path).frames())
    path.write_bytes(whole[: int(len(whole) * part)])
    reading = load_tape(path).frames()
    with caplog.at_level(logging.WARNING, "velas.tape"):
        found = list(reading)
    assert found == everything[: len(found)]
    assert len(found) > len(everything) * part - 60
    assert reading.lost is not None
    assert f"cut short after {len(found)} frames" in caplog.text


def test_tape_cut_anywhere_never_raises_once_its_header_is_there(path: Path, whole: bytes) -> None:
    everything = list(load_tape(path).frames())
    header_ends = 0
    for end in range(1, len(whole), 97):
        path.write_bytes(whole[:end])
        try:
            tape = load_tape(path)
        except ConfigError:
            header_ends = end
            continue
        found = list(tape.frames())
        assert found == everything[: len(found)]
    assert header_ends < 1000


def test_tape_with_a_flipped_bit_is_refused_cut_short_or_right(path: Path, whole: bytes) -> None:
    everything = list(load_tape(path).frames())
    refused = 0
    for at in range(200, len(whole) - 8, 211):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        try:
            reading = load_tape(path).frames()
            found = list(reading)
        except ConfigError:
            refused += 1
            continue
        assert found == everything or reading.lost, at
    assert refused > 10


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "ends before its first line"),
        (b"interactions:\n- request", "not compressed by gzip"),
    ],
)
def test_load_tape_of_no_gzip_file_names_it_and_the_reason(
    path: Path, content: bytes, says: str
) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"live\.tape.*{says}"):
        load_tape(path)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("no json", "not JSON"),
        ("[1]", "no header"),
        ('{"a":1}', "no header"),
        ('{"velas_tape":2}', "version 2.*reads version 1"),
        ('{"velas_tape":1}', "header.*exchange"),
        (
            '{"velas_tape":1,"exchange":"x","started_ms":1,"markets":[],'
            '"subscriptions":[["books","X"]]}',
            "no subscription: books X",
        ),
    ],
)
def test_load_tape_of_a_foreign_file_names_it_and_the_reason(
    path: Path, line: str, says: str
) -> None:
    path.write_bytes(gzip.compress(line.encode() + b"\n"))
    with pytest.raises(ConfigError, match=rf"live\.tape.*{says}"):
        load_tape(path)


def test_load_tape_that_is_not_there_says_how_to_make_one(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"live\.tape.* is not there; `velas record`"):
        load_tape(path)
    with pytest.raises(ConfigError, match="Is a directory"):
        load_tape(path.parent)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([b"nonsense"], "line 2"),
        ([b'["x","a",1]'], "line 2 is no frame"),
        ([b'["t","a","1","d"]'], "line 2 is no frame"),
        ([b"7"], "line 2 is no frame"),
        ([b'{"ended_ms":1,"frames":3}'], "holds 0 frames, but claims 3"),
        ([b'{"ended_ms":1,"frames":0}', b'["o","a",1]'], "follow its end"),
    ],
)
def test_tape_with_a_line_that_is_none_is_damaged(
    path: Path, lines: list[bytes], says: str
) -> None:
    header = gzip.decompress(write(path, []).read_bytes()).splitlines()[0]
    path.write_bytes(gzip.compress(b"\n".join([header, *lines, b""])))
    with pytest.raises(ConfigError, match=rf"live\.tape.* is damaged: .*{says}"):
        list(load_tape(path).frames())


def test_tape_with_something_behind_it_is_damaged(path: Path, whole: bytes) -> None:
    path.write_bytes(whole + b"\0" * 100)
    with pytest.raises(ConfigError, match="is damaged"):
        list(load_tape(path).frames())


def test_tape_line_without_end_is_refused_not_kept(path: Path) -> None:
    header = gzip.decompress(write(path, []).read_bytes()).splitlines()[0]
    path.write_bytes(gzip.compress(header + b"\n" + b"x" * (20 << 20)))
    with pytest.raises(ConfigError, match="more than 16,777,216 bytes"):
        list(load_tape(path).frames())


# --- nothing secret


@pytest.mark.parametrize(
    "message",
    [
        '{"e":"executionReport","s":"BTCUSDT"}',
        '{"e":"ORDER_TRADE_UPDATE"}',
        '{"e":"listenKeyExpired","listenKey":"1"}',
        '{"method":"order.place","params":{"apiKey":"1","signature":"2"}}',
    ],
)
def test_writer_refuses_what_is_about_an_account(path: Path, message: str) -> None:
    tape = TapeWriter(path, HEADER)
    with pytest.raises(ConfigError, match="is about an account"):
        tape.write(text(1, data=message))
    tape.close()
    assert list(load_tape(path).frames()) == []


def test_writer_strips_keys_from_names_and_reasons(path: Path) -> None:
    key = "aB3" * 22
    name = f"wss://host/ws/{key}"
    write(path, [Frame("open", name, 1), Frame("close", "a", 2, f"lost ?listenKey={key}&x=1")])
    assert [(one.connection, one.data) for one in load_tape(path).frames()] == [
        ("wss://host/ws/***", ""),
        ("a", "lost ?listenKey=***&x=1"),
    ]
