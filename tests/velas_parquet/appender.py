"""A process that forks writers on demand, and kills them at a random moment.

Reads lines of JSON: {"root", "slots", "kill_after_s", "fold_rows"}; forks one writer that
appends the slots one by one and prints each once it is acknowledged. With `kill_after_s`
the writer gets a SIGKILL that long after it began. Prints "end" when the writer is gone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile

from velas.testing.contracts.store import candles
from velas_parquet import ParquetStore


def warm_up() -> None:
    with tempfile.TemporaryDirectory() as folder:
        ParquetStore(folder).append(candles([1]), "BTCUSDT", "1h")


def write(order: dict) -> None:
    store = ParquetStore(order["root"], fold_rows=order["fold_rows"])
    for number, slot in enumerate(order["slots"]):
        store.append(candles([slot]), "BTCUSDT", "1h")
        os.write(1, b"%d\n" % slot)
        if number % 23 == 22:
            store.compact("BTCUSDT", "1h")
    store.close()


def serve() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    for line in sys.stdin:
        order = json.loads(line)
        ready, is_ready = os.pipe()
        child = os.fork()
        if not child:
            status = 1
            try:
                warm_up()
                os.write(is_ready, b".")
                write(order)
                status = 0
            finally:
                os._exit(status)
        os.read(ready, 1)
        os.close(ready)
        os.close(is_ready)
        if order["kill_after_s"] is not None:
            signal.sigtimedwait({signal.SIGCHLD}, order["kill_after_s"])
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        signal.sigtimedwait({signal.SIGCHLD}, 0)  # or the next order would end at once
        failed = status and not os.WIFSIGNALED(status)
        os.write(1, b"failed\n" if failed else b"end\n")


if __name__ == "__main__":
    serve()
