"""The default download job against its peers: CPU, wall time, memory, budget used.

    python -m benchmarks.download                   no rate limit
    python -m benchmarks.download --latency 0.05    every answer 50 ms later
    python -m benchmarks.download --budget          the weight limit enforced

Every case is a process of its own against the same warmed stand-in; the cases take turns,
`--repeat` rounds, the best of each is shown (noise only ever adds), and only the ratios
within a run mean anything.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.peers import Job, bare, ccxt_loops
from benchmarks.tables import show

__all__ = ["main"]

_DAY_MS = 86_400_000
_INTERVALS = ("30m", "1h", "2h")
_CASES = ("bare", "ccxt-20", "velas")


def main(argv: list[str] | None = None) -> None:
    """Run the cases in turns and print the best of each, with ratios."""
    options = _parser().parse_args(argv)
    if options.case:
        print(json.dumps(_run_case(options.case, _job(options))))
        return
    if options.budget:
        _budget(options)
        return
    options.end = int(time.time() * 1000) // _DAY_MS * _DAY_MS
    options.start = options.end - options.days * _DAY_MS
    with _Venue(latency_s=options.latency, weight_limit=0) as venue:
        venue.warm(options.start, options.end)
        rounds = [
            {case: _in_process(case, venue.url, options) for case in options.cases}
            for _ in range(options.repeat)
        ]
    _print(rounds, options.cases)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.download")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds per answer")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--cases", nargs="+", default=list(_CASES), choices=[*_CASES, "ccxt-1"])
    parser.add_argument("--budget", action="store_true", help="enforce the weight limit")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)
    parser.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--end", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path(), help=argparse.SUPPRESS)
    return parser


def _job(options: argparse.Namespace) -> Job:
    from velas.testing import DEFAULT_SYMBOLS

    symbols = tuple(DEFAULT_SYMBOLS)
    return Job(options.url, symbols, _INTERVALS, options.start, options.end, options.out)


def _in_process(case: str, url: str, options: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "benchmarks.download", "--case", case, "--url", url]
        command += ["--start", str(options.start), "--end", str(options.end), "--out", out]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(answer.stdout)
    return result


def _run_case(case: str, job: Job) -> dict[str, float]:
    _import_what_it_needs(case)
    started, cpu = time.perf_counter(), time.process_time()
    if case == "bare":
        rows = asyncio.run(bare(job))
    elif case == "velas":
        rows = asyncio.run(_velas(job))
    else:
        rows = asyncio.run(ccxt_loops(job, at_once=int(case.partition("-")[2])))
    return {
        "rows": rows,
        "wall": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "process": time.process_time(),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _import_what_it_needs(case: str) -> None:
    """Keep the imports apart from the work; they are in the column `process`."""
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401

    if case == "velas":
        from importlib import import_module

        for name in ("velas.history", "velas_ccxt", "velas_parquet", "velas.config"):
            import_module(name)
    elif case != "bare":
        import ccxt.async_support  # noqa: F401
        import pandas as pd  # noqa: F401


async def _velas(job: Job) -> int:
    import velas
    from velas.history import Wanted, make_plan, run_plan

    settings = velas.load_settings(data_dir=str(job.out), rest={"url": job.url})
    wanted = Wanted(
        job.symbols, tuple(map(velas.Interval, job.intervals)), job.start_ms, job.end_ms
    )
    store = velas.open_store(settings)
    with velas.open_ledger(settings) as ledger:
        async with velas.open_exchange(settings, ledger=ledger) as exchange:
            plan = await make_plan(exchange, store, ledger, wanted)
            history = settings.history
            report = await run_plan(
                exchange, store, ledger, plan,
                parallel=history.parallel, pages_in_flight=history.pages_in_flight,
            )  # fmt: skip
    assert report.ok, report
    return sum(one.rows_added for one in report.series)


def _print(rounds: list[dict[str, dict[str, float]]], cases: list[str]) -> None:
    best = {
        case: {key: min(one[case][key] for one in rounds) for key in rounds[0][case]}
        for case in cases
    }
    base = best[cases[0]]
    rows = [
        [
            case,
            f"{found['rows']:,.0f}",
            f"{found['wall']:.2f}",
            f"{found['cpu']:.2f}",
            f"{found['cpu'] / base['cpu']:.2f}",
            f"{found['process']:.2f}",
            f"{found['process'] / base['process']:.2f}",
            f"{found['peak']:.0f}",
        ]
        for case, found in best.items()
    ]
    head = ["case", "candles", "wall s", "CPU s", "ratio", "with imports", "ratio", "peak MB"]
    show(head, rows)


def _budget(options: argparse.Namespace) -> None:
    """Download with a small enforced budget; show how much of each full window was used."""
    window_s, limit = 10, 240
    options.end = int(time.time() * 1000) // _DAY_MS * _DAY_MS
    options.start = options.end - options.days * _DAY_MS
    with _Venue(latency_s=options.latency, weight_limit=limit, window_s=window_s) as venue:
        venue.warm(options.start, options.end)
        found = _in_process("velas", venue.url, options)
        used = venue.used_by_window(window_s)
        refused = venue.refused()
    full = used[1:-1]
    share = statistics.mean(full) / limit if full else 0.0
    show(
        ["candles", "wall s", "windows", "used of budget", "most", "refused (429)"],
        [[f"{found['rows']:,.0f}", f"{found['wall']:.1f}", str(len(used)), f"{share:.1%}",
          f"{max(used)}/{limit}", str(refused)]],
    )  # fmt: skip


class _Venue:
    """The stand-in in a process of its own, so that its CPU is not ours."""

    def __init__(self, *, latency_s: float, weight_limit: int, window_s: int = 60) -> None:
        here, there = multiprocessing.get_context("spawn").Pipe()
        self._pipe = here
        self._process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(there, latency_s, weight_limit, window_s), daemon=True
        )

    def __enter__(self) -> _Venue:
        self._process.start()
        self.url = str(self._pipe.recv())
        return self

    def __exit__(self, *exc: object) -> None:
        self._pipe.send(("stop",))
        self._process.join(10)

    def warm(self, start_ms: int, end_ms: int) -> None:
        self._ask("warm", start_ms, end_ms)

    def used_by_window(self, window_s: int) -> list[int]:
        return list(self._ask("used", window_s))

    def refused(self) -> int:
        return int(self._ask("refused"))

    def _ask(self, *question: object) -> Any:
        self._pipe.send(question)
        return self._pipe.recv()


def _serve(pipe: Connection, latency_s: float, weight_limit: int, window_s: int) -> None:
    from velas.testing import StandInVenue

    venue = StandInVenue(
        latency_s=latency_s, weight_limit=weight_limit, weight_window_s=window_s,
        cache_bytes=1 << 30,
    )  # fmt: skip
    with venue.in_thread():
        pipe.send(venue.rest_url)
        while True:
            what, *args = pipe.recv()
            if what == "stop":
                return
            if what == "warm":
                start_ms, end_ms = args
                for rows in (999, 1000):
                    venue.warm(
                        venue.symbols, _INTERVALS,
                        start_ms=start_ms, end_ms=end_ms, page_rows=rows,
                    )  # fmt: skip
                pipe.send(None)
            elif what == "refused":
                pipe.send(venue.refused)
            else:
                used: dict[int, int] = {}
                for record in venue.requests:
                    at = record.time_ms // (args[0] * 1000)
                    used[at] = used.get(at, 0) + record.weight
                pipe.send([used[at] for at in sorted(used)])


if __name__ == "__main__":
    main()
