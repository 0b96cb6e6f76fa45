"""A disk that can stop the world at any step, and forget what was not synced."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from velas_parquet import ParquetStore, _commit


class SimulatedCrash(BaseException):
    """The process is gone; nothing may catch this."""


class Disk:
    """Counts the steps of the commit path; crashes before, or within, the chosen one.

    After the crash every further step crashes too, so that no clean-up runs that a dead
    process could not have run. `power_cut` rebuilds what a disk holds that kept only what
    was synced.
    """

    STEPS = (
        "create", "write", "sync", "sync_folder", "replace", "unlink", "mkdir", "link",
    )  # fmt: skip

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[str] = []
        self.crash_at: int | None = None
        self.torn = False
        self.dead = False
        self._contents: dict[int, bytes] = {}
        self._folders: dict[Path, dict[str, int]] = {}
        self._real = {name: getattr(_commit, name) for name in self.STEPS}
        for name in self.STEPS:
            monkeypatch.setattr(_commit, name, self._wrapped(name))

    def revive(self) -> None:
        """Let the next process run on a disk that works."""
        self.dead, self.crash_at = False, None

    def power_cut(self, source: Path, target: Path) -> None:
        """Write to `target` what is left of `source` when only synced things survive."""
        if source.name not in self._folders.get(source.parent, {}):
            return  # not even its name was synced
        target.mkdir(parents=True)
        for name, inode in self._folders.get(source, {}).items():
            if (source / name).is_dir():
                self.power_cut(source / name, target / name)
            else:
                (target / name).write_bytes(self._contents.get(inode, b""))

    def _wrapped(self, name: str):
        def step(*args):
            if self.dead:
                raise SimulatedCrash
            number = len(self.steps)
            self.steps.append(name)
            if number == self.crash_at:
                self.dead = True
                if self.torn and name == "write":
                    self._real["write"](args[0], args[1][: len(args[1]) // 2])
                raise SimulatedCrash
            result = self._real[name](*args)
            self._note(name, args, result)
            return result

        return step

    def _note(self, name: str, args: tuple, result: object) -> None:
        if name == "create":
            self._contents[os.fstat(result).st_ino] = b""
        elif name == "sync":
            status = os.fstat(args[0])
            self._contents[status.st_ino] = os.pread(args[0], status.st_size, 0)
        elif name == "sync_folder":
            with os.scandir(args[0]) as entries:
                # the lock file matters to nobody after a restart
                self._folders[args[0]] = {
                    one.name: one.inode() for one in entries if not one.name.endswith(".lock")
                }


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk(monkeypatch)
    yield disk
    disk.revive()


@pytest.fixture
def store(tmp_path: Path) -> ParquetStore:
    return ParquetStore(tmp_path / "candles")
