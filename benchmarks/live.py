"""The live stream against its peers: CPU, latency, requests of a resync, memory.

python -m benchmarks.live [candles] [flat] [trades] [parse] [latency] [resync] [memory]

Without names all of them, each below a minute on two idle cores. Ratios compare within a
run; seconds are for information.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence

from benchmarks.live_cpu import candles, flat_out, parsing, trades
from benchmarks.live_latency import latency
from benchmarks.live_memory import memory
from benchmarks.live_resync import resync

__all__ = ["main"]

_Part = Callable[[argparse.Namespace], None]
_PARTS: Mapping[str, tuple[str, _Part]] = {
    "candles": (
        "CPU per message from the socket to the bot: candles, 30,000 messages/s",
        lambda given: candles(minutes=given.minutes, rounds=given.rounds),
    ),
    "flat": (
        "the same, flat out (forming candles are conflated)",
        lambda given: flat_out(minutes=given.minutes, rounds=given.rounds),
    ),
    "trades": (
        "the same: aggregate trades, 30,000 messages/s",
        lambda given: trades(minutes=given.minutes, rounds=given.rounds),
    ),
    "parse": (
        "CPU per message, the handlers alone",
        lambda given: parsing(minutes=given.minutes // 2, rounds=given.rounds),
    ),
    "latency": (
        "from the socket to the bot, 1,000 messages/s of 60 series",
        lambda given: latency(seconds=given.seconds),
    ),
    "resync": (
        "requests after ten dead minutes",
        lambda given: resync(factor=given.factor),
    ),
    "memory": (
        "memory over a million events",
        lambda given: memory(events=given.events),
    ),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the parts that were asked for."""
    parser = _parser()
    options = parser.parse_args(argv)
    for name in options.parts:
        if name not in _PARTS:
            parser.error(f"no part {name!r}; choose from {', '.join(_PARTS)}")
    for name in options.parts or _PARTS:
        title, part = _PARTS[name]
        print(f"\n== {title}\n")
        part(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live")
    parser.add_argument("parts", nargs="*", metavar="part", help="default: all")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each client")
    parser.add_argument("--minutes", type=int, default=20, help="of candles, 2,460 frames each")
    parser.add_argument("--seconds", type=int, default=8, help="of the latency part, each client")
    parser.add_argument("--factor", type=float, default=20.0, help="speed of the resync's clock")
    parser.add_argument("--events", type=int, default=1_000_000, help="of the memory part")
    return parser


if __name__ == "__main__":
    main()
