"""Record cassettes/kraken/tour.yaml against the small Kraken server of the tests.

PYTHONPATH=tests/support python tests/cassettes/record_kraken.py
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from ccxt_dialects import Kraken

from velas.testing import ManualClock
from velas_replay._session import tour
from velas_replay.record import STAND_IN_MS, record

SOURCE = "the small Kraken server of the tests"


async def main() -> None:
    path = Path(__file__).parents[2] / "cassettes" / "kraken" / "tour.yaml"
    async with Kraken(ManualClock(STAND_IN_MS)) as venue:
        await record("kraken", path, tour, symbols=["BTC/USDT"], rest_url=venue.url, source=SOURCE)


if __name__ == "__main__":
    asyncio.run(main())
