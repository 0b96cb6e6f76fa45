"""Writers that are really killed, and writers and readers at the same time."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from velas.errors import StoreLocked
from velas.testing.contracts.store import candles
from velas_parquet import ParquetStore


class Writer:
    """The process of appender.py."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("appender.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def start(
        self, root: Path, slots: list[int], *, kill_after_s: float | None = None, fold_rows: int = 9
    ) -> None:
        order = {"root": str(root), "slots": slots, "kill_after_s": kill_after_s}
        print(json.dumps(order | {"fold_rows": fold_rows}), file=self._process.stdin, flush=True)

    def acknowledged(self) -> Iterator[int]:
        for line in self._process.stdout:
            if line == "end\n":
                return
            yield int(line)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def writers() -> Iterator[list[Writer]]:
    both = [Writer(), Writer()]
    yield both
    for writer in both:
        writer.close()


def _killed_again_and_again(writer: Writer, root: Path, seed: int, kills: int) -> None:
    rng = random.Random(seed)
    acknowledged: set[int] = set()
    tried = 0
    for kill in range(kills):
        slots = list(range(tried, tried + 400))
        writer.start(root, slots, kill_after_s=rng.uniform(0.001, 0.06))
        acked = list(writer.acknowledged())
        acknowledged.update(acked)
        store = ParquetStore(root)
        found = store.load("BTCUSDT", "1h")
        stored = ((found["timestamp"] - candles([0])["timestamp"][0]) // 3_600_000).tolist()
        what = f"seed {seed}, kill {kill}"
        assert acknowledged <= set(stored), what
        assert len(set(stored) - acknowledged) <= kill + 1, what
        assert found.equals(candles(stored)), what
        assert store.verify("BTCUSDT", "1h") == [], what
        tried = max([*stored, tried - 1]) + 1
    assert acknowledged, f"seed {seed}: no writer lived long enough"


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_9_at_random_moments_loses_nothing(
    writers: list[Writer], tmp_path: Path, seed: int
) -> None:
    _killed_again_and_again(writers[0], tmp_path, seed, 10)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(100, 120))
def test_kill_9_hundreds_of_times_loses_nothing(
    writers: list[Writer], tmp_path: Path, seed: int
) -> None:
    _killed_again_and_again(writers[0], tmp_path, seed, 25)


def test_two_processes_and_a_reader_share_a_series(writers: list[Writer], tmp_path: Path) -> None:
    parts = [list(range(0, 120, 2)), list(range(1, 120, 2))]
    acknowledged: list[int] = []

    def listen(writer: Writer) -> None:
        acknowledged.extend(writer.acknowledged())

    for writer, slots in zip(writers, parts, strict=True):
        writer.start(tmp_path, slots)
    listeners = [threading.Thread(target=listen, args=[writer]) for writer in writers]
    for listener in listeners:
        listener.start()
    store, seen = ParquetStore(tmp_path), 0
    while any(listener.is_alive() for listener in listeners):
        before = len(acknowledged)
        rows = len(store.load("BTCUSDT", "1h"))
        assert rows >= max(before, seen)
        assert store.get_stats("BTCUSDT", "1h").rows >= rows
        seen = rows
    assert sorted(acknowledged) == list(range(120))
    assert store.load("BTCUSDT", "1h").equals(candles(range(120)))
    assert store.verify("BTCUSDT", "1h") == []


def test_threads_and_stores_of_one_process_share_a_series(tmp_path: Path) -> None:
    stores = [ParquetStore(tmp_path, fold_rows=7), ParquetStore(tmp_path, fold_rows=5)]
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for slot in range(number, 80, 4):
                stores[number % 2].append(candles([slot]), "BTCUSDT", "1h")
                stores[number % 2].load("BTCUSDT", "1h")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert stores[0].load("BTCUSDT", "1h").equals(candles(range(80)))


def test_append_while_another_holds_the_lock_names_it(tmp_path: Path) -> None:
    first, second = ParquetStore(tmp_path), ParquetStore(tmp_path, lock_timeout_s=0.01)
    first.append(candles([1]), "BTCUSDT", "1h")
    with (
        first._of("BTCUSDT", "1h").writing(),
        pytest.raises(StoreLocked, match=r"\.1h\.lock.*0\.01 s"),
    ):
        second.append(candles([2]), "BTCUSDT", "1h")
    assert second.append(candles([2]), "BTCUSDT", "1h").rows_total == 2


def test_append_while_a_thread_of_the_same_store_holds_the_lock_names_it(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path, lock_timeout_s=0.01)
    with store._of("BTCUSDT", "1h").writing(), pytest.raises(StoreLocked, match=r"\.1h\.lock"):
        store.append(candles([2]), "BTCUSDT", "1h")
    assert store.load("BTCUSDT", "1h").empty
