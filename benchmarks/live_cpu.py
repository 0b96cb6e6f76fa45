"""CPU of the client per message: cryptofeed as its users run it, and velas' whole stream.

Contestants are processes that take turns at the same bare server. Paced, frames come in
rounds of 60, so that a consumer sees nearly every event. Flat out one read holds hundreds of
frames and the stream conflates forming candles by design: `delivered` says how many are left.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import Any

import attrs

from benchmarks.live_frames import SYMBOLS, FrameServer, Script, frames
from benchmarks.live_peers import WARM_MINUTES, redirected
from benchmarks.live_venue import LocalVenue, StillClock
from benchmarks.tables import show
from velas_cryptofeed import BinanceSpotFeed

__all__ = ["candles", "flat_out", "parsing", "play", "trades"]

_BASE = "cryptofeed"
_FULL = ("bare", "cryptofeed", "velas-events", "velas-callback")
_SHORT = ("cryptofeed", "velas-events", "velas-callback")
_ROUNDS_PER_S = 500.0  # 30,000 messages/s: about a fifth of a core
_Handler = Callable[[Any, Any, float], Awaitable[None]]


def candles(*, minutes: int, rounds: int) -> None:
    """Print the table of candles, paced."""
    _compare(Script(minutes + WARM_MINUTES, rounds_per_s=_ROUNDS_PER_S), _FULL, rounds)


def flat_out(*, minutes: int, rounds: int) -> None:
    """Print the table of candles, as fast as the client takes them."""
    _compare(Script(minutes + WARM_MINUTES), _SHORT, rounds)


def trades(*, minutes: int, rounds: int) -> None:
    """Print the table of aggregate trades, paced."""
    script = Script(minutes + WARM_MINUTES, rounds_per_s=_ROUNDS_PER_S, trades=True)
    _compare(script, _SHORT, rounds)


def play(name: str, url: str, script: Script) -> dict[str, Any]:
    """Run one contestant in a process of its own; return what it measured."""
    command = [sys.executable, "-m", "benchmarks.live_peers", name, url]
    command.append(json.dumps(attrs.asdict(script)))
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if answer.returncode:
        raise SystemExit(f"{name}: {answer.stderr[-2_000:]}")
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def _compare(script: Script, names: Sequence[str], rounds: int) -> None:
    with FrameServer(script) as server:
        found = [{name: play(name, server.url, script) for name in names} for _ in range(rounds)]
    rows = []
    for name in names:
        mine = [one[name] for one in found]
        each = [one["cpu"] / one["messages"] * 1e6 for one in mine]
        ratios = [one[name]["cpu"] / one[_BASE]["cpu"] for one in found]
        delivered = statistics.median(one["events"] / one["messages"] for one in mine)
        rows.append(
            [name, f"{mine[0]['messages']:,}", f"{delivered:.1%}", f"{statistics.median(each):.2f}",
             f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f}-{max(ratios):.2f}"]
        )  # fmt: skip
    show(["client", "messages", "delivered", "CPU us each", f"/ {_BASE}", "rounds"], rows)


def parsing(*, minutes: int, rounds: int) -> None:
    """Print what the handlers alone cost, without socket and stream."""
    asyncio.run(_parsing(minutes, rounds))


async def _parsing(minutes: int, rounds: int) -> None:
    rows = []
    scripts = {"candles": Script(minutes), "trades": Script(minutes, trades=True)}
    for what, script in scripts.items():
        lines = list(chain.from_iterable(frames(script)))
        handlers = {"cryptofeed": _theirs(script), "velas feed": await _ours(script)}
        seconds: dict[str, list[float]] = {name: [] for name in handlers}
        for _ in range(2 * rounds + 1):
            for name, (handle, connection) in handlers.items():
                began = time.process_time()
                for line in lines:
                    await handle(line, connection, 0.0)
                seconds[name].append(time.process_time() - began)
        base = seconds[_BASE]
        for name, taken in seconds.items():
            ratio = statistics.median(a / b for a, b in zip(taken, base, strict=True))
            each = statistics.median(taken) / len(lines) * 1e6
            rows.append([f"{what}: {name}", f"{len(lines):,}", f"{each:.2f}", f"{ratio:.2f}"])
    show(["handler", "messages", "CPU us each", f"/ {_BASE}"], rows)


def _theirs(script: Script) -> tuple[_Handler, Any]:
    async def take(_event: Any, _received_s: float) -> None:
        return None

    feed = redirected("ws://127.0.0.1:1", script, take)
    if not feed.subscription:  # 3.x fills it when it runs
        feed._ensure_symbol_mapping()
        feed._build_subscription()
    (parts,) = feed.connect()
    return parts[2], parts[0]


async def _ours(script: Script) -> tuple[_Handler, Any]:
    async def take(_event: Any) -> None:
        return None

    clock = StillClock()
    feed = BinanceSpotFeed(LocalVenue(clock), url="ws://127.0.0.1:1", clock=clock)
    feed.on_candle = feed.on_trade = take
    if script.trades:
        feed.subscribe("trades", SYMBOLS)
    else:
        feed.subscribe("candles", SYMBOLS, intervals=["1m"])
    (plan,) = await feed._plans(await feed.subscriptions())
    session = plan.dial()
    return session.handle, session.connection
