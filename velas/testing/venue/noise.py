"""Noise without state: the same number for the same place, computed for whole arrays."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from velas.testing.venue.series import Float64, Int64

__all__ = ["key_of", "smooth", "unit", "units"]

UInt64 = npt.NDArray[np.uint64]


def key_of(*parts: object) -> int:
    """Return a 64-bit key that differs for different parts, the same on every machine."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def unit(key: int, index: Int64) -> Float64:
    """Return a number in [0, 1) for each index, without any visible pattern."""
    return _mixed(index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key))


def units(keys: list[int]) -> Float64:
    """Return `unit` at index 0 for each key."""
    return _mixed(np.array(keys, dtype=np.uint64))


def smooth(key: int, index: Int64, period: int) -> Float64:
    """Return `unit` at every `period`-th index, joined by straight lines; in [0, 1)."""
    cell = index // period
    part = (index - cell * period) / period
    left = unit(key, cell)
    return left + (unit(key, cell + 1) - left) * part


def _mixed(x: UInt64) -> Float64:
    # the finaliser of SplitMix64: a few multiplications make neighbours unrelated
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53
