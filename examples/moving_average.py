"""A bot that says when two moving averages cross; the venue is one line of its YAML.

python examples/moving_average.py                            # a recorded session
EXCHANGE=binance_futures python examples/moving_average.py   # or edit the line; Ctrl-C ends it
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import pandas as pd

import velas
from velas.status import GapAbsent

SETTINGS = Path(__file__).with_suffix(".yaml")
SYMBOL, INTERVAL = "BTC/USDT", "1m"
FAST, SLOW = 5, 20


def wanted(closes: pd.Series) -> str:
    """Return what to hold: long or flat; nothing is known before there is enough history."""
    if len(closes) < SLOW:
        return "unknown"
    return "long" if closes.tail(FAST).mean() > closes.tail(SLOW).mean() else "flat"


async def main(settings_file: Path) -> None:
    """Follow the closed candles and say when what is wanted changes."""
    settings = velas.load_settings(settings_file)
    held = "unknown"
    async with (
        velas.open_exchange(settings) as exchange,
        velas.open_stream(settings, exchange) as stream,
    ):
        stream.subscribe("candles", [SYMBOL], intervals=[INTERVAL])
        async for event in stream.events():
            if isinstance(event, GapAbsent):
                print(f"{event.missing} candles are missing: {event.reason}")
            if not (isinstance(event, velas.Candle) and event.is_closed):
                continue
            # history and this one: dense, checked, in order
            now = wanted(stream.candles(SYMBOL, INTERVAL)["close"])
            when = pd.Timestamp(event.close_time + 1, unit="ms", tz="UTC")
            print(f"{when:%Y-%m-%d %H:%M} {event.symbol} {event.close}: {held} -> {now}")
            held = now


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(Path(sys.argv[1]) if sys.argv[1:] else SETTINGS))
