"""What a feed of candles and the views of it have in common."""

from __future__ import annotations

from typing import Any

from velas_backtrader._fills import fill_forward
from velas_backtrader._filters import CandleReplayer, CandleResampler
from velas_backtrader._grid import Grid
from velas_backtrader._library import UNBOUNDED, AbstractDataBase
from velas_backtrader._lines import MORE_LINES
from velas_backtrader._zones import zone_of

__all__ = ["CandleLines", "CandleView"]

_TICKS = ("close", "low", "high", "open", "volume", "openinterest")  # what brokers look at
_NO_TICKS = dict.fromkeys(("tick_last", *(f"tick_{name}" for name in _TICKS)))


class CandleLines(AbstractDataBase):  # type: ignore[misc]
    """Lines of candles that can be viewed, resampled, replayed and kept short."""

    lines: Any = MORE_LINES
    grid: Grid  # the slots that its candles fill

    def start(self) -> None:
        """Begin with the first bar."""
        super().start()
        fill_forward(self._env)
        self._buffers = [getattr(self.lines, name) for name in self.getlinealiases()]
        self._ticks = [(f"tick_{name}", getattr(self.lines, name)) for name in _TICKS]
        for one, _, _ in self._filters:
            if isinstance(one, CandleResampler | CandleReplayer):
                one.restart()

    def _gettz(self) -> Any:
        return zone_of(self.p.tz)

    def clone(self, **params: Any) -> CandleView:
        """Return a view of this feed that can be resampled on its own."""
        view: CandleView = _VIEW(dataname=self, **params)
        return view

    def copyas(self, _dataname: str, **params: Any) -> CandleView:
        """Return a view of this feed under another name."""
        view: CandleView = _VIEW(dataname=self, **params)
        view._dataname = view._name = _dataname
        return view

    def resample(self, **params: Any) -> None:
        """Make longer candles of these; see `cerebro.resampledata`."""
        self.addfilter(CandleResampler, **params)

    def replay(self, **params: Any) -> None:
        """Show longer candles as they grow; see `cerebro.replaydata`."""
        self.addfilter(CandleReplayer, **params)

    def qbuffer(self, savemem: int = 0, replaying: bool = False) -> None:
        """Keep no more bars than are looked at, and the one that comes next."""
        for line in self.lines:
            line.qbuffer(savemem=savemem, extrasize=1)

    # the next three are those of every feed, and most of what an empty backtest takes

    def advance(self, size: int = 1, datamaster: Any = None, ticks: bool = True) -> None:
        """Go on to a bar that is there already."""
        if datamaster is not None or self._buffers[0].mode != UNBOUNDED:
            super().advance(size, datamaster, ticks=ticks)
            return
        if ticks:
            self._tick_nullify()
        for line in self._buffers:
            line._idx += size
            line.lencount += size
        if ticks and len(self) < self.buflen():
            self._tick_fill()

    def _tick_nullify(self) -> None:
        self.__dict__.update(_NO_TICKS)

    def _tick_fill(self, force: bool = False) -> None:
        ticks = self.__dict__
        if force or ticks.get("tick_close") is None:
            for name, line in self._ticks:
                ticks[name] = line.array[line._idx]
            ticks["tick_last"] = ticks["tick_close"]

    def rewind(self, size: int = 1) -> None:
        """Put a bar back that is later than those of other feeds."""
        if self.lines[0].mode == UNBOUNDED:
            super().rewind(size)
            return
        # a short buffer does not know any more what it has put back
        self._barstack.appendleft([line[0] for line in self.itersize()])
        self.backwards(force=True)


class CandleView(CandleLines):
    """A view of a feed in the same cerebro, as `backtrader.feed.DataClone` is one.

    That one has the lines of every feed only, and loses a bar after one was put back.
    """

    _clone = True

    def __init__(self) -> None:
        self.data = self.p.dataname
        self._dataname = self.data._dataname
        self.grid = self.data.grid
        for name in ("sessionstart", "sessionend", "timeframe", "compression"):
            setattr(self.p, name, getattr(self.data.p, name))

    def start(self) -> None:
        """Begin with the first bar."""
        super().start()
        self._seen = 0
        self._in_bulk = False

    def preload(self) -> None:
        """Look at all bars of the feed, which has been preloaded."""
        self._in_bulk = True
        super().preload()
        self.data.home()
        self._in_bulk = False

    def _start(self) -> None:
        self.start()
        for name in ("_tz", "_calendar", "fromdate", "todate", "sessionstart", "sessionend"):
            setattr(self, name, getattr(self.data, name))
        self.lines.datetime._settz(self._tz)
        self._tzinput = None

    def _load(self) -> bool:
        if self._in_bulk:
            self.data.advance()
            if len(self.data) > self.data.buflen():
                return False
        elif len(self.data) <= self._seen:
            return False
        self._seen += 1
        for line, other in zip(self.lines, self.data.lines, strict=True):
            line[0] = other[0]
        return True


# its metaclass takes the parameters
_VIEW: Any = CandleView
