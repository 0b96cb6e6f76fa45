"""Encoded kline pages, kept for the next client that asks for the same candles."""

from __future__ import annotations

import threading
from collections import OrderedDict

import orjson

from velas.testing.venue.series import Series

__all__ = ["PageCache"]

_Key = tuple[str, str, int, int]


class PageCache:
    """JSON bytes of kline pages by (symbol, interval, first, last); closed candles only.

    Holds at most `most_bytes`, forgetting the page that was longest unused. May be used
    from several threads: a test warms it while the server's own thread answers.
    """

    def __init__(self, most_bytes: int = 128 << 20) -> None:
        self._most_bytes = most_bytes
        self._pages: OrderedDict[_Key, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self.size_bytes = 0

    def page(self, series: Series, key: _Key, now_ms: int) -> bytes:
        """Return candles ``key[2]`` to ``key[3] - 1`` of `series` as a JSON list."""
        with self._lock:
            known = self._pages.get(key)
            if known is not None:
                self._pages.move_to_end(key)
                return known
        start, stop = key[2], key[3]
        body = orjson.dumps(series.rows(start, stop, now_ms))
        if stop <= series.closed(now_ms):
            self._keep(key, body)
        return body

    def _keep(self, key: _Key, body: bytes) -> None:
        with self._lock:
            self.size_bytes += len(body) - len(self._pages.pop(key, b""))
            self._pages[key] = body
            while self.size_bytes > self._most_bytes:
                self.size_bytes -= len(self._pages.popitem(last=False)[1])
