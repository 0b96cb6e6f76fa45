"""The live stream against its peers: CPU, latency, requests of a resync, memory.

python -m benchmarks.live [cpu] [parse] [latency] [resync] [memory]

Without names all of them, each below a minute on two idle cores. Ratios compare within a
run; seconds are for information.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence

from benchmarks.live_cpu import cpu, parsing
from benchmarks.live_latency import latency
from benchmarks.live_memory import memory
from benchmarks.live_resync import resync

__all__ = ["main"]

_Part = Callable[[argparse.Namespace], None]
_PARTS: Mapping[str, tuple[str, _Part]] = {
    "cpu": ("CPU per message, from the socket to the bot", lambda o: cpu(minutes=o.minutes, rounds=o.rounds)),
    "parse": ("CPU per message, handlers alone", lambda o: parsing(minutes=o.minutes // 2, rounds=o.rounds)),
    "latency": ("socket to bot, 1,000 messages/s", lambda o: latency(seconds=o.seconds)),
    "resync": ("resync after ten dead minutes", lambda o: resync(factor=o.factor)),
    "memory": ("memory", lambda o: memory(events=o.events)),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the parts that were asked for."""
    options = _parser().parse_args(argv)
    for name in options.parts or _PARTS:
        title, part = _PARTS[name]
        print(f"\n== {title}\n")
        part(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live")
    parser.add_argument("parts", nargs="*", choices=[*_PARTS, []], help="default: all")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each client")
    parser.add_argument("--minutes", type=int, default=20, help="of candles, 2,460 frames each")
    parser.add_argument("--seconds", type=int, default=10, help="of the latency part, each client")
    parser.add_argument("--factor", type=float, default=20.0, help="speed of the resync's clock")
    parser.add_argument("--events", type=int, default=1_000_000, help="of the memory part")
    return parser


if __name__ == "__main__":
    main()
