"""Tapes: what a socket said and when, as gzip-compressed lines of JSON.

The first line is the header, each further one a `velas.feed.Frame`, the last one says
when the recording ended and how many frames it has; a tape without it was cut short.
In front of that one may stand what REST had to say afterwards, see `velas.tape_rest`.

    {"velas_tape": 1, "exchange": "binance_spot", "started_ms": ..., "source": "...",
     "subscriptions": [["candles", "BTC/USDT", "1m"], ...], "markets": [{...}, ...]}
    ["o", "<connection>", <received_ns>]
    ["t", "<connection>", <received_ns>, "<the message as it came>"]
    ["c", "<connection>", <received_ns>, "<reason>"]
    {"rest": "candles", ...}
    {"ended_ms": ..., "frames": ...}
"""

from __future__ import annotations

import logging
import os
import re
import zlib
from collections.abc import Generator, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self, cast

import attrs
import orjson

from velas.errors import ConfigError
from velas.feed import CHANNELS, Frame
from velas.models import Market, Subscription

__all__ = ["PART", "Frames", "Header", "Tape", "TapeWriter", "load_tape"]

PART = ".part"  # what a tape's name ends in until it is whole
_LOG = logging.getLogger(__name__)
_VERSION = 1
_GZIP = 31  # zlib's word for a gzip container; its header has no time and no name
_MAGIC = b"\x1f\x8b"
_LEVEL = 9
_REST = b'{"rest":'
_CHUNK = 1 << 14  # zlib makes at most a thousand times as much of it
_LONGEST = 1 << 24  # bytes of one line
_FLUSH_NS = 2_000_000_000
_FLUSH_BYTES = 1 << 18
_MS = 1_000_000  # ns
_LETTERS: Mapping[str, str] = {"open": "o", "text": "t", "close": "c"}
_KINDS = {letter: kind for kind, letter in _LETTERS.items()}
# of a user data stream, or of a request that was signed
_PRIVATE = re.compile(
    r"listen_?key|api_?key|\"signature\"|\"(?:executionReport|outboundAccountPosition|"
    r"balanceUpdate|listStatus|ORDER_TRADE_UPDATE|ACCOUNT_UPDATE|MARGIN_CALL)\"",
    re.IGNORECASE,
)
_NAMED_SECRET = re.compile(r"((?:\w*key|token|signature|secret)=)[^&\s]+", re.IGNORECASE)
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9]{48,}")


@attrs.frozen
class Header:
    """What a tape says of itself: the adapter's name, when it began, what was subscribed.

    `markets` are those of the subscribed symbols, without the venue's own filters. `rest`
    says that REST was asked too, see `velas.tape_rest`.
    """

    exchange: str
    started_ms: int
    subscriptions: tuple[Subscription, ...]
    markets: tuple[Market, ...]
    source: str = ""
    rest: bool = False


@attrs.frozen
class Tape:
    """A recording on disk; `frames` reads it, as often as wanted."""

    path: Path
    header: Header

    def frames(self) -> Frames:
        """Return an iterator over the frames in the order they came."""
        return Frames(self.path)

    def rest(self) -> Iterator[Mapping[str, Any]]:
        """Iterate over what REST had to say, as it was written; passes over the frames.

        Raises:
            ConfigError: the file is damaged.
        """
        for number, line in enumerate(_Lines(self.path), 1):
            if number > 1 and line.startswith(_REST):
                row = _parsed(self.path, line, number)
                if isinstance(row, dict):
                    yield row


class Frames(Iterator[Frame]):
    """The frames of a tape, read as they are asked for.

    When they are through, `ended_ms` is when the recording ended and `lost` is None, or
    it says what is missing of a tape that was cut short, which is also logged.

    Raises:
        ConfigError: while iterating, the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.count = 0
        self.ended_ms: int | None = None
        self.lost: str | None = None
        self._path = path
        self._lines = _Lines(path)
        self._rows = self._read()

    def __next__(self) -> Frame:
        """Return the next frame."""
        return next(self._rows)

    def close(self) -> None:
        """Close the file; done by itself at the end."""
        self._rows.close()

    def _read(self) -> Generator[Frame, None, None]:
        lines = iter(self._lines)
        next(lines, None)  # the header
        for line in lines:
            row = _parsed(self._path, line, self.count + 2)
            if isinstance(row, dict):
                if "rest" not in row:
                    self._end(row)
                continue
            if self.ended_ms is not None:
                raise _damaged(self._path, "frames follow its end")
            frame = _frame(row)
            if frame is None:
                raise _damaged(self._path, f"line {self.count + 2} is no frame")
            self.count += 1
            yield frame
        if self.ended_ms is None:
            self.lost = f"cut short after {self.count} frames, {self._lines.rest} bytes of the next"
            _LOG.warning("tape %s: %s; what came later is lost", self._path, self.lost)

    def _end(self, row: Mapping[str, object]) -> None:
        ended_ms, frames = row.get("ended_ms"), row.get("frames")
        if not isinstance(ended_ms, int) or frames != self.count:
            raise _damaged(self._path, f"it holds {self.count} frames, but claims {frames!r}")
        self.ended_ms = ended_ms


def load_tape(path: str | Path) -> Tape:
    """Return the tape in a file; reads no more than its header.

    Raises:
        ConfigError: there is no such file, or it is no tape.
    """
    path = Path(path)
    line = next(iter(_Lines(path)), None)
    if line is None:
        raise _foreign(path, "it ends before its first line does")
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise _foreign(path, "its first line is not JSON") from None
    if not isinstance(document, dict) or "velas_tape" not in document:
        raise _foreign(path, "its first line is no header")
    if document["velas_tape"] != _VERSION:
        raise ConfigError(
            f"tape {str(path)!r} has version {document['velas_tape']!r}, "
            f"this velas reads version {_VERSION}"
        )
    try:
        return Tape(path, _header(document))
    except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation) as error:
        raise _damaged(path, f"its header: {error!r}") from error


class TapeWriter:
    """Writes a tape as the frames come; what is not yet whole is in ``<path>.part``.

    A recorder that is killed leaves that file, which can be read up to two seconds before
    its end. `close` makes it the tape. The same frames give the same bytes.

    Raises:
        ConfigError: the tape, or an unfinished one, is there and `overwrite` is not set.
    """

    def __init__(self, path: str | Path, header: Header, *, overwrite: bool = False) -> None:
        self.path = Path(path)
        self.part = self.path.with_name(self.path.name + PART)
        self.header = header
        self.frames = 0
        self._overwrite = overwrite
        self._last_ns = header.started_ms * _MS
        self._flushed_ns = self._last_ns
        self._pending = 0
        self._pack = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._file: BinaryIO | None = self._create()
        self._line(_header_document(header))
        self.flush()

    def write(self, frame: Frame) -> None:
        """Append a frame; keys in the name of a connection or a reason become ``***``.

        Raises:
            ConfigError: the message is about an account, or belongs to a signed request.
        """
        if frame.kind == "text":
            if _PRIVATE.search(frame.data):
                raise ConfigError(
                    f"tape {str(self.path)!r}: a message of {_clean(frame.connection)} is not "
                    "recorded: it is about an account, or signed"
                )
            data = frame.data
        else:
            data = _clean(frame.data)
        row: list[object] = [_LETTERS[frame.kind], _clean(frame.connection), frame.received_ns]
        self._line(row if frame.kind == "open" and not data else [*row, data])
        self.frames += 1
        self._last_ns = max(self._last_ns, frame.received_ns)
        if self._pending > _FLUSH_BYTES or self._last_ns - self._flushed_ns >= _FLUSH_NS:
            self.flush()

    def write_rest(self, what: str, document: Mapping[str, object]) -> None:
        """Append what REST had to say, once the frames are written."""
        self._line({"rest": what, **document})

    def flush(self) -> None:
        """Hand everything written so far to the operating system."""
        if self._file is None or not self._pending:
            return
        self._file.write(self._pack.flush(zlib.Z_SYNC_FLUSH))
        self._file.flush()
        self._pending, self._flushed_ns = 0, self._last_ns

    def close(self, *, ended_ms: int | None = None) -> None:
        """Finish the tape under its own name; does nothing when called again.

        `ended_ms` is when recording stopped, by default the last frame's time.
        """
        if self._file is None:
            return
        self._line({"ended_ms": ended_ms or self._last_ns // _MS, "frames": self.frames})
        self._file.write(self._pack.flush())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        if not self._overwrite:
            _refuse_existing(self.path)
        self.part.replace(self.path)

    def discard(self) -> None:
        """Remove what was written; does nothing after `close`."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self.part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _create(self) -> BinaryIO:
        if not self._overwrite:
            _refuse_existing(self.path)
        try:
            return self.part.open("wb" if self._overwrite else "xb")
        except FileExistsError:
            raise ConfigError(
                f"{str(self.part)!r} is there: a recording under way, or one that was killed "
                "(it can be replayed as it is); rename or remove it, or choose another name"
            ) from None
        except OSError as error:
            raise ConfigError(f"tape {str(self.path)!r}: {error.strerror}") from error

    def _line(self, document: object) -> None:
        assert self._file is not None, "the tape is closed"
        line = orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
        self._file.write(self._pack.compress(line))
        self._pending += len(line)


# -- lines ---------------------------------------------------------------------------------


class _Lines:
    """The whole lines of a file; `rest` bytes of an unfinished one were there at its end."""

    def __init__(self, path: Path) -> None:
        self.rest = 0
        self._path = path

    def __iter__(self) -> Iterator[bytes]:
        try:
            with self._path.open("rb") as file:
                yield from self._split(file)
        except FileNotFoundError:
            raise ConfigError(
                f"tape {str(self._path)!r} is not there; `velas record` makes one"
            ) from None
        except OSError as error:
            raise ConfigError(f"tape {str(self._path)!r}: {error.strerror}") from error

    def _split(self, file: BinaryIO) -> Iterator[bytes]:
        rest = b""
        for text in self._unpacked(file):
            *lines, rest = (rest + text).split(b"\n")
            if len(rest) > _LONGEST:
                raise _damaged(self._path, f"a line has more than {_LONGEST:,} bytes")
            yield from lines
        self.rest = len(rest)

    def _unpacked(self, file: BinaryIO) -> Iterator[bytes]:
        unpack = zlib.decompressobj(_GZIP)
        if file.read(len(_MAGIC)) not in (_MAGIC, b""):
            raise _foreign(self._path, "it is not compressed by gzip")
        file.seek(0)
        while packed := file.read(_CHUNK):
            while packed:
                if unpack.eof:
                    unpack = zlib.decompressobj(_GZIP)
                try:
                    yield unpack.decompress(packed)
                except zlib.error as error:
                    raise _damaged(self._path, str(error)) from error
                packed = unpack.unused_data


def _parsed(path: Path, line: bytes, number: int) -> object:
    try:
        return cast(object, orjson.loads(line))
    except orjson.JSONDecodeError as error:
        raise _damaged(path, f"line {number}: {error}") from None


def _frame(row: object) -> Frame | None:
    match row:
        case [str(letter), str(connection), int(ns)] if letter in _KINDS:
            return Frame(_kind(letter), connection, ns)
        case [str(letter), str(connection), int(ns), str(data)] if letter in _KINDS:
            return Frame(_kind(letter), connection, ns, data)
    return None


def _kind(letter: str) -> Literal["open", "text", "close"]:
    return cast(Literal["open", "text", "close"], _KINDS[letter])


def _clean(text: str) -> str:
    return _LIKE_A_KEY.sub("***", _NAMED_SECRET.sub(r"\1***", text))


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise ConfigError(f"{str(path)!r} is there already and is not overwritten")


def _damaged(path: Path, why: str) -> ConfigError:
    return ConfigError(f"tape {str(path)!r} is damaged: {why}")


def _foreign(path: Path, why: str) -> ConfigError:
    return ConfigError(f"{str(path)!r} is not a tape of velas: {why}")


# -- the header ----------------------------------------------------------------------------


def _header_document(header: Header) -> dict[str, object]:
    return {
        "velas_tape": _VERSION,
        "exchange": header.exchange,
        "started_ms": header.started_ms,
        "source": header.source,
        "rest": header.rest,
        "subscriptions": [
            [one.channel, one.symbol, *([one.interval] if one.interval else [])]
            for one in header.subscriptions
        ],
        "markets": [_market_document(market) for market in header.markets],
    }


def _header(document: Mapping[str, Any]) -> Header:
    exchange, started_ms = document["exchange"], document["started_ms"]
    if not isinstance(exchange, str) or not isinstance(started_ms, int):
        raise TypeError(f"exchange {exchange!r}, started_ms {started_ms!r}")
    return Header(
        exchange=exchange,
        started_ms=started_ms,
        subscriptions=tuple(_subscription(*one) for one in document["subscriptions"]),
        markets=tuple(_market(one) for one in document["markets"]),
        source=str(document.get("source", "")),
        rest=document.get("rest") is True,
    )


def _subscription(channel: str, symbol: str, interval: str | None = None) -> Subscription:
    if channel not in CHANNELS or (channel == "candles") != (interval is not None):
        raise ValueError(f"no subscription: {channel} {symbol} {interval}")
    return Subscription(channel, symbol, interval)


_PLAIN = (
    "symbol",
    "id",
    "base",
    "quote",
    "type",
    "settle",
    "active",
    "status",
    "linear",
    "listed_ms",
    "expiry_ms",
    "precision_mode",
)


def _market_document(market: Market) -> dict[str, object]:
    plain: dict[str, object] = {name: getattr(market, name) for name in _PLAIN}
    size = market.contract_size
    return {
        **{name: value for name, value in plain.items() if value is not None},
        **({} if size is None else {"contract_size": _text(size)}),
        "precision": {name: _text(value) for name, value in market.precision.items()},
        "limits": {name: [_text(one) for one in pair] for name, pair in market.limits.items()},
    }


def _market(row: Mapping[str, Any]) -> Market:
    for name in ("symbol", "id", "base", "quote"):
        if not isinstance(row[name], str):
            raise TypeError(f"a market's {name} is {row[name]!r}")
    return Market(
        **{name: row[name] for name in _PLAIN if name in row},
        contract_size=_number(row.get("contract_size")),
        precision={name: _number(value) for name, value in row.get("precision", {}).items()},
        limits={
            name: (_number(low), _number(high))
            for name, (low, high) in row.get("limits", {}).items()
        },
    )


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _number(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)
