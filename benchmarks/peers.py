"""The download job as others would write it: the bare minimum, and ccxt's own way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import attrs

__all__ = ["Job", "bare", "ccxt_loops"]

_NAMES = ("t", "o", "h", "l", "c", "v", "T", "q", "n", "b", "B")
_INTS = "tTn"


@attrs.frozen
class Job:
    """What to download: every symbol at every interval in ``[start_ms, end_ms)``."""

    url: str
    symbols: tuple[str, ...]
    intervals: tuple[str, ...]
    start_ms: int
    end_ms: int
    out: Path

    def series(self) -> Iterator[tuple[str, str]]:
        return ((symbol, interval) for symbol in self.symbols for interval in self.intervals)


async def bare(job: Job) -> int:
    """aiohttp, Arrow's CSV reader on the JSON text, one Parquet file a series; no guarantees."""
    import aiohttp
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    from velas.interval import Interval

    types = {name: pa.int64() if name in _INTS else pa.float64() for name in _NAMES}
    read = csv.ReadOptions(column_names=[*_NAMES, "x"], use_threads=False)
    convert = csv.ConvertOptions(column_types=types, include_columns=list(_NAMES))
    gate = asyncio.Semaphore(20)

    async with aiohttp.ClientSession() as session:

        async def page(symbol: str, interval: str, start_ms: int) -> pa.Table:
            query = (
                f"symbol={symbol}&interval={interval}&startTime={start_ms}&endTime={job.end_ms - 1}"
            )
            async with gate, session.get(f"{job.url}/api/v3/klines?{query}&limit=1000") as answer:
                body = await answer.read()
            text = body[2:-2].replace(b"],[", b"\n")
            return csv.read_csv(pa.BufferReader(text), read_options=read, convert_options=convert)

        async def one(symbol: str, interval: str) -> int:
            step = Interval(interval).length_ms * 1000
            starts = range(job.start_ms, job.end_ms, step)
            pages = await asyncio.gather(*[page(symbol, interval, start) for start in starts])
            table = pa.concat_tables(pages)
            pq.write_table(table, job.out / f"{symbol}-{interval}.parquet", compression="zstd")
            return len(table)

        return sum(await asyncio.gather(*[one(*series) for series in job.series()]))


async def ccxt_loops(job: Job, *, at_once: int) -> int:
    """Loop over ccxt's fetch_ohlcv (six columns), `at_once` series at a time, to Parquet."""
    import ccxt.async_support as ccxt
    import pandas as pd

    venue = ccxt.binance(
        {"enableRateLimit": False, "options": {"fetchMarkets": {"types": ["spot"]}}}
    )
    host = "https://api.binance.com"
    venue.urls["api"] = {
        name: url.replace(host, job.url) for name, url in venue.urls["api"].items()
    }
    gate = asyncio.Semaphore(at_once)
    try:
        await venue.load_markets()

        async def one(symbol: str, interval: str) -> int:
            found: list[list[float]] = []
            async with gate:
                since = job.start_ms
                while since < job.end_ms:
                    page = await venue.fetch_ohlcv(symbol, interval, since=since, limit=1000)
                    page = [row for row in page if row[0] < job.end_ms]
                    if not page:
                        break
                    found += page
                    since = int(page[-1][0]) + 1
            frame = pd.DataFrame(found, columns=["t", "o", "h", "l", "c", "v"])
            frame.to_parquet(job.out / f"{symbol}-{interval}.parquet", compression="zstd")
            return len(frame)

        return sum(await asyncio.gather(*[one(*series) for series in job.series()]))
    finally:
        await venue.close()
