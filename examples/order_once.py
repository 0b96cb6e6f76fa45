"""One order, although its answer is lost and the bot is killed while it waits for it.

python examples/order_once.py       # on a stand-in venue: no network, no account
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import velas
from velas.testing import STAND_IN_KEY, STAND_IN_SECRET, FaultPlan, OrderFault, StandInVenue

# What is wanted, decided once: an intent is one order, so its numbers must be the same when
# the bot asks again.
WANTED = velas.OrderRequest(
    "BTC/USDT", "buy", "limit", "0.001", price="30000", intent="first buy of BTC"
)


async def bot(settings: velas.Settings) -> None:
    """Want the order, and say which one it is; knows nothing of what happened before."""
    async with velas.open_exchange(settings) as exchange:
        order = await exchange.create_order(WANTED)
    print(f"  bot: order {order.id} is {order.status}, for the intent {order.intent!r}")


def settings_at(url: str, folder: Path) -> velas.Settings:
    """Return settings that trade at the stand-in, whatever the environment says."""
    return velas.load_settings(
        environ={},
        exchange="binance_spot",
        data_dir=folder,
        rest={"url": url},
        trading={"mode": "live", "max_notional": 100},
        api_key=STAND_IN_KEY,
        api_secret=STAND_IN_SECRET,
    )


def start_bot(url: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start the bot as a process of its own."""
    return subprocess.Popen([sys.executable, __file__, url, str(folder)])


def tell(venue: StandInVenue, folder: Path) -> None:
    """Say what the venue has, and what the bot's journal knows of it."""
    print(f"  venue: {len(venue.orders())} order, asked for {venue.order_attempts} time(s)")
    with velas.Ledger(folder / "velas.db", read_only=True) as ledger:
        for intent, state, requests in ledger.read("SELECT intent, state, attempt FROM intent", ()):
            print(f"  journal: {intent!r} is {state!r} after {requests} request(s)")


def main() -> None:
    """Kill the bot while it waits for an answer that never comes, and start it again."""
    faults = FaultPlan.script([OrderFault.no_answer(accepted=True)], path="POST /api/v3/order")
    with (
        tempfile.TemporaryDirectory() as name,
        StandInVenue("spot", faults=faults).in_thread() as venue,
    ):
        folder = Path(name)
        print("The venue takes the order and does not answer; the bot is killed.")
        with start_bot(venue.rest_url, folder) as process:
            try:
                while not venue.orders() and process.poll() is None:
                    time.sleep(0.02)
            finally:
                process.kill()
        tell(venue, folder)
        print("The bot starts again and wants the same.")
        with start_bot(venue.rest_url, folder) as process:
            failed = process.wait()
        tell(venue, folder)
    sys.exit(failed)


if __name__ == "__main__":
    if sys.argv[1:]:
        asyncio.run(bot(settings_at(sys.argv[1], Path(sys.argv[2]))))
    else:
        main()
