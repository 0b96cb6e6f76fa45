"""From the server's write to the bot: 1,000 messages/s of 60 series, now and then 60 closes.

The time of sending is the price of each frame; sender and client read the same monotonic
clock. With a store a closed candle is durable before it is delivered.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.live_cpu import play
from benchmarks.live_frames import FrameServer, Script
from benchmarks.live_peers import WARM_MINUTES
from benchmarks.tables import show

__all__ = ["latency"]

_NAMES = ("cryptofeed", "velas-callback", "velas-events", "velas-stored")


def latency(*, seconds: int) -> None:
    """Print the table; closes come once a second."""
    script = Script(seconds + WARM_MINUTES, forming=1_000, stamped=True)
    with FrameServer(script) as server:
        found = {name: play(name, server.url, script) for name in _NAMES}
    rows = []
    for name, one in found.items():
        delivered = one["events"] / one["messages"]
        for what, delays in (("forming", one["delays_us"]), ("60 closes", one["closed_us"])):
            rows.append([f"{name}, {what}", f"{len(delays):,}", f"{delivered:.1%}", *_of(delays)])
    show(["client", "events", "delivered", "p50 ms", "p99 ms", "max ms"], rows)


def _of(delays_us: Sequence[int]) -> list[str]:
    ordered = sorted(delays_us)
    picked = (ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)], ordered[-1])
    return [f"{one / 1000:.2f}" for one in picked]
